//! Datasets that still lie in their archive, through the program.

use std::io::{Cursor, Write};

use crate::support::{Bench, picture, stderr, stdout};

/// Three labelled pictures of one dataset, by path.
fn dataset() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = (0..3)
        .map(|seed| {
            let mut bytes = Cursor::new(Vec::new());
            picture(96, 64, 7 * seed).write_to(&mut bytes, image::ImageFormat::Png).expect("PNG");
            (format!("images/{seed}.png"), bytes.into_inner())
        })
        .collect();
    files.push(("classes.csv".into(), b"image,class\n0.png,a\n1.png,b\n2.png,a\n".to_vec()));
    files
}

const RULES: &str = "images: {include: ['images/*.png']}\n\
     label: {from: csv-class, file: classes.csv, image: image, class: class, key: name}";

fn zipped(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).expect("member");
        zip.write_all(bytes).expect("member");
    }
    zip.finish().expect("zip").into_inner()
}

fn tarred(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        // Written past the checks of `set_path`, which refuses the names that a hostile archive has.
        header.as_gnu_mut().expect("GNU").name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, bytes.as_slice()).expect("member");
    }
    tar.into_inner().expect("tar")
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(bytes).expect("gzip");
    gz.finish().expect("gzip")
}

#[test]
fn a_folder_a_zip_a_tar_and_a_tar_gz_give_the_same_set() {
    let bench = Bench::new();
    bench.describe("one", RULES);
    let files = dataset();
    for (name, bytes) in &files {
        bench.write("one", name, bytes);
    }
    assert!(bench.build("folder", &["--size", "32"]).status.success());
    let set = bench.files("folder");
    std::fs::remove_dir_all(bench.path("data/one")).expect("remove");
    let gz = gzipped(&tarred(&files));
    // As hosts of repositories pack them.
    let packed: Vec<_> = files.iter().map(|(name, bytes)| (format!("one-0123abc/{name}"), bytes.clone())).collect();
    for (name, ending, bytes) in [
        ("zip", "zip", zipped(&files)),
        ("tar", "tar", tarred(&files)),
        ("tar.gz", "tar.gz", gz.clone()),
        ("tgz", "tgz", gz),
        ("packed", "zip", zipped(&packed)),
        ("packed tar", "tar", tarred(&packed)),
    ] {
        let path = bench.path(&format!("data/one.{ending}"));
        std::fs::write(&path, bytes).expect("archive");
        let made = bench.build(name, &["--size", "32"]);
        assert!(made.status.success(), "{ending}: {}", stderr(&made));
        assert!(bench.files(name) == set, "{name}: another set than from the folder");
        std::fs::remove_file(path).expect("remove");
    }
}

/// The top folder is entered although `**` takes images with it and without it, whatever junk a Mac adds; it is not where the description
/// names it, or needs it.
#[test]
fn a_top_folder_is_entered_unless_the_description_names_or_needs_it() {
    let image = dataset()[0].1.clone();
    let labelled = "images: {include: ['**/*.png']}\nlabel: {from: folder}\ngroup: {by: folder}";
    let flat = "images: {include: ['**/*.png']}";
    let named = "images: {include: ['**/*.png'], exclude: [{glob: 'photos/bad.png', why: blurred}]}";
    let needed = "images: {include: ['*/*.png']}";
    for (rules, files, wrapper) in [
        (labelled, vec!["x/0.png", "y/1.png", "y/deep/2.png"], "one"),
        (labelled, vec!["x/0.png", "y/1.png"], "REPOSITORY-main"),
        (flat, vec!["0.png", "1.png"], "top folder"),
        (named, vec!["photos/0.png", "photos/bad.png"], ""),
        (needed, vec!["photos/0.png"], ""),
    ] {
        let bench = Bench::new();
        bench.describe("one", rules);
        for name in &files {
            bench.write("one", name, &image);
        }
        assert!(bench.build("folder", &["--size", "32"]).status.success());
        std::fs::remove_dir_all(bench.path("data/one")).expect("remove");
        let member = |name: &str| if wrapper.is_empty() { name.to_owned() } else { format!("{wrapper}/{name}") };
        let mut members: Vec<_> = files.iter().map(|name| (member(name), image.clone())).collect();
        members.push(("__MACOSX/._0.png".to_owned(), b"junk".to_vec()));
        members.push((member(".DS_Store"), b"junk".to_vec()));
        std::fs::write(bench.path("data/one.zip"), zipped(&members)).expect("archive");
        assert!(bench.build("zip", &["--size", "32"]).status.success(), "{wrapper} {files:?}");
        assert!(bench.files("zip") == bench.files("folder"), "{wrapper} {files:?}: another set than from the folder");
    }
}

#[test]
fn hostile_members_are_rows_of_the_report_and_nothing_is_written() {
    let bench = Bench::new();
    bench.describe("one", RULES);
    std::fs::remove_dir(bench.path("data/one")).expect("remove");
    let mut files = dataset();
    let image = files[0].1.clone();
    for name in ["../../evil.png", "/evil.png", "images\\evil.png", "images/.hidden.png"] {
        files.push((name.into(), image.clone()));
    }
    let refused = |out: &str| -> Vec<(String, String)> {
        let made = bench.build(out, &["--size", "32"]);
        assert!(made.status.success(), "{}", stderr(&made));
        assert_eq!(bench.open(out).len(), 18, "{out}");
        let rows = bench.images(out);
        let unused = rows.iter().filter(|row| row["status"] == "unused");
        unused.map(|row| (row["image"].clone(), row["reason"].clone())).collect()
    };
    let expected = [
        ("../../evil.png", "name leads out of the archive"),
        ("/evil.png", "name leads out of the archive"),
        ("images\\evil.png", "name contains a backslash or a zero byte"),
    ]
    .map(|(path, reason)| (path.to_owned(), reason.to_owned()));
    std::fs::write(bench.path("data/one.tar"), tarred(&files)).expect("archive");
    assert_eq!(refused("tar"), expected);
    std::fs::remove_file(bench.path("data/one.tar")).expect("remove");
    std::fs::write(bench.path("data/one.zip"), zipped(&files)).expect("archive");
    assert_eq!(refused("zip"), expected);
    for evil in ["evil.png", "data/evil.png"] {
        assert!(!bench.path(evil).exists(), "{evil}");
    }
}

#[test]
fn archives_that_are_damaged_or_inflate_too_far_stop_the_build_with_one_sentence() {
    let bench = Bench::new();
    bench.describe("one", RULES);
    std::fs::remove_dir(bench.path("data/one")).expect("remove");
    let (zip, gz) = (zipped(&dataset()), gzipped(&tarred(&dataset())));
    let bomb = gzipped(&vec![0; 50_000_000]);
    for (ending, bytes, says) in [
        ("zip", zip[..zip.len() - 30].to_vec(), "directory of the zip"),
        ("zip", b"no archive at all".to_vec(), "neither a folder nor a zip, tar or tar.gz"),
        ("tar.gz", gz[..gz.len() / 2].to_vec(), "inflate the tar.gz"),
        ("tar.gz", bomb, "--max-archive-bytes"),
    ] {
        let path = bench.path(&format!("data/one.{ending}"));
        std::fs::write(&path, bytes).expect("archive");
        let made = bench.build("set", &["--size", "32", "--max-archive-bytes", "1000000"]);
        assert!(!made.status.success(), "{says}: {}", stdout(&made));
        let said = stderr(&made);
        assert!(said.contains(says) && said.contains("one") && said.lines().count() == 1, "{says}: {said}");
        std::fs::remove_file(path).expect("remove");
    }
    assert!(!bench.path("set/manifest.json").exists());
}

#[test]
fn a_member_that_was_changed_is_a_reason_for_the_report() {
    let bench = Bench::new();
    bench.describe("one", RULES);
    std::fs::remove_dir(bench.path("data/one")).expect("remove");
    let mut zip = zipped(&dataset());
    // One bit of the first picture's deflated data: it no longer inflates, or its checksum no longer fits.
    let name = b"images/0.png";
    let at = zip.windows(name.len()).position(|bytes| bytes == name).expect("the first member");
    zip[at + name.len() + 300] ^= 1;
    std::fs::write(bench.path("data/one.zip"), &zip).expect("archive");
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let rows = bench.images("set");
    let bad: Vec<_> = rows.iter().filter(|row| row["status"] == "unused").collect();
    assert_eq!(bad.len(), 1, "{rows:?}");
    assert!(bad[0]["reason"].contains("cannot be read from the archive"), "{}", bad[0]["reason"]);
}

#[test]
fn a_set_does_not_go_where_the_next_run_would_look_for_the_data() {
    let bench = Bench::new();
    bench.describe("one", RULES);
    std::fs::remove_dir(bench.path("data/one")).expect("remove");
    std::fs::write(bench.path("data/one.zip"), zipped(&dataset())).expect("archive");
    for (out, words) in [
        ("data/one", "in place of"),
        ("data/one/set", "in place of"),
        ("data", "holds the data of source one"),
        ("data/one.zip/set", "lies in the data of source one"),
    ] {
        let refused = bench.build(out, &["--size", "32"]);
        assert!(!refused.status.success() && stderr(&refused).contains(words), "{out}: {}", stderr(&refused));
    }
    assert!(!bench.path("data/one").exists());
    assert!(bench.build("data/other", &["--size", "32"]).status.success());
}
