//! A set's folder holds what its manifest names: other sets are refused before anything is read, and debris is named and removed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Bench, is_shard, picture, run, stderr, stdout};

const ALL: &str = "images: {include: ['**/*.png']}";
const OPTIONS: [&str; 4] = ["--size", "32", "--rows-per-shard", "4"];

fn bench() -> Bench {
    let bench = Bench::new();
    for (source, seed) in [("a", 0), ("b", 40)] {
        bench.describe(source, ALL);
        for index in 0..3 {
            bench.save(source, &format!("{index}.png"), &picture(64, 64, seed + index));
        }
    }
    bench
}

/// What a build leaves that is killed after its first two shards: no manifest, no card, and a staging file.
fn killed(bench: &Bench, whole: &str, out: &str) {
    let files = bench.files(whole);
    let shards = files.keys().filter(|name| is_shard(name)).take(2);
    for name in shards.chain([&"build.json".to_owned()]) {
        put(&bench.path(out).join(name), &files[name]);
    }
    let third = files.keys().filter(|name| is_shard(name)).nth(2).expect("three shards");
    put(&bench.path(out).join(format!("{third}#1")), b"half a sha");
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    std::fs::write(path, bytes).expect("file");
}

fn uri(bench: &Bench, out: &str) -> String {
    bench.path(out).to_str().expect("UTF-8").to_owned()
}

/// The shards that lie where the set's card tells readers to look, by a listing of the folder.
fn listed(bench: &Bench, out: &str) -> Vec<String> {
    let card = std::fs::read_to_string(bench.path(out).join("README.md")).expect("a card");
    let glob = card.lines().find_map(|line| line.trim().strip_prefix("data_files: ")).expect("data_files").to_owned();
    let folder = glob.strip_suffix("/*.parquet").expect("a glob of one folder").to_owned();
    let mut names: Vec<String> = bench
        .files(out)
        .into_keys()
        .filter(|name| Path::new(name).parent() == Some(Path::new(&folder)) && name.ends_with(".parquet"))
        .collect();
    names.sort();
    names
}

fn named(bench: &Bench, out: &str) -> Vec<String> {
    bench.open(out).manifest().shards.iter().map(|shard| shard.key.clone()).collect()
}

#[test]
fn a_killed_build_is_no_set_refuses_others_and_ends_without_debris() {
    let bench = bench();
    assert!(bench.build("whole", &OPTIONS).status.success());
    killed(&bench, "whole", "killed");
    let before = bench.files("killed");
    let other = bench.build("killed", &["--size", "16", "--rows-per-shard", "4"]);
    let said = stderr(&other);
    assert!(!other.status.success() && said.contains("2 shards are there of a build"), "{said}");
    assert!(said.contains("--out") && !said.contains("read a"), "refused before images are read: {said}");
    assert_eq!(bench.files("killed"), before);
    let unfinished = run(&["verify", &uri(&bench, "killed")]);
    let said = stderr(&unfinished);
    assert!(!unfinished.status.success() && said.contains("2 shards and no manifest"), "{said}");
    assert!(said.contains("run the same build again"), "{said}");
    let resumed = bench.build("killed", &OPTIONS);
    assert!(
        resumed.status.success() && stdout(&resumed).contains("finished by an earlier attempt and kept: 2 shards"),
        "{}",
        stdout(&resumed)
    );
    assert_eq!(bench.files("killed"), bench.files("whole"));
    assert!(run(&["verify", &uri(&bench, "killed")]).status.success());
}

#[test]
fn shards_of_an_interrupted_build_of_other_images_are_never_among_those_that_readers_list() {
    let bench = bench();
    assert!(bench.build("first", &OPTIONS).status.success());
    killed(&bench, "first", "set");
    let old = bench.files("first").into_iter().find(|(name, _)| name.contains("report/images-")).expect("a report");
    put(&bench.path("set").join(&old.0), &old.1);
    bench.save("b", "0.png", &picture(64, 64, 900));
    assert!(bench.build("set", &OPTIONS).status.success());
    assert_eq!(listed(&bench, "set"), named(&bench, "set"));
    let files = bench.files("set");
    assert_eq!(files.keys().filter(|name| is_shard(name)).count(), named(&bench, "set").len());
    assert!(!files.contains_key(&old.0) && files.keys().all(|name| !name.contains('#')), "{:?}", files.keys());
    assert!(run(&["verify", &uri(&bench, "set")]).status.success());
    // The configuration is the same and the images are not: the set stays, and nothing of the late build does.
    bench.save("b", "0.png", &picture(64, 64, 901));
    let late = bench.build("set", &OPTIONS);
    assert!(!late.status.success() && stderr(&late).contains("with other rows"), "{}", stderr(&late));
    assert!(bench.files("set") == files, "{:?}", bench.files("set").keys());
    assert_eq!(std::fs::read_dir(bench.path("set/shards")).expect("listed").count(), 1, "no empty folder stays");
    assert!(run(&["verify", &uri(&bench, "set")]).status.success());
}

#[test]
fn verify_names_strays_and_debris_with_the_remedy() {
    let bench = bench();
    assert!(bench.build("set", &OPTIONS).status.success());
    let out = bench.path("set");
    let shard = named(&bench, "set")[0].clone();
    let bytes = bench.files("set")[&shard].clone();
    put(&out.join("notes.txt"), b"a person's notes harm nobody");
    put(&out.join("shards/.DS_Store"), b"nor does this");
    assert!(run(&["verify", &uri(&bench, "set")]).status.success());
    let folder = Path::new(&shard).parent().expect("folder").to_str().expect("UTF-8").to_owned();
    for stray in [
        format!("{folder}/99999.parquet"),
        format!("{folder}/00000 (1).parquet"),
        "shards/00000.parquet".to_owned(),
        "features.parquet".to_owned(),
        format!("{shard}#1"),
        "splits/g.parquet#2".to_owned(),
        "report/images-0123456789ab.csv".to_owned(),
    ] {
        put(&out.join(&stray), &bytes);
        let verify = run(&["verify", &uri(&bench, "set")]);
        let said = stderr(&verify);
        assert!(!verify.status.success() && said.contains("1 fault\n"), "{stray}: {said}");
        assert!(said.contains(&format!("/{stray} ")) && said.contains("delete it"), "{stray}: {said}");
        std::fs::remove_file(out.join(&stray)).expect("remove");
    }
    // What a builder left goes when the build is run again; what a person put there stays and is named.
    put(&out.join(format!("{shard}#1")), b"half");
    put(&out.join("shards/0123456789ab/00000.parquet"), &bytes);
    put(&out.join("features.parquet"), &bytes);
    put(&out.join("shards/readme.txt"), b"a text");
    let said = stderr(&run(&["verify", &uri(&bench, "set")]));
    assert_eq!((said.matches("repeat the command").count(), said.matches("move it out").count()), (2, 2), "{said}");
    let again = bench.build("set", &OPTIONS);
    assert!(again.status.success() && stdout(&again).contains("features.parquet (2 in all)"), "{}", stdout(&again));
    let said = stderr(&run(&["verify", &uri(&bench, "set")]));
    assert!(
        said.contains("2 faults\n") && said.contains("features.parquet") && said.contains("shards/readme.txt"),
        "{said}"
    );
    assert!(!said.contains("repeat the command"), "advice that would not help: {said}");
}

#[test]
fn a_place_that_cannot_be_written_or_holds_other_files_is_refused_before_images_are_read() {
    let bench = bench();
    put(&bench.path("old/shards/00000-0123456789ab.parquet"), b"by an earlier version");
    put(&bench.path("other/README.md"), b"about something else");
    put(&bench.path("file"), b"not a folder");
    for (out, says) in [
        ("old", "shards/00000-0123456789ab.parquet is there, but no set"),
        ("other", "README.md is there, but no set"),
        ("file", "Not a directory"),
    ] {
        let made = bench.build(out, &OPTIONS);
        let said = stderr(&made);
        assert!(!made.status.success() && said.contains(says) && !said.contains("read a"), "{out}: {said}");
    }
    assert_eq!(std::fs::read(bench.path("other/README.md")).expect("kept"), b"about something else");
    assert_eq!(bench.files("old").len(), 1);
    for command in ["duplicates", "segment"] {
        let mut program = crate::support::program();
        let program = program.arg(command).arg(bench.path("sources")).arg("--data").arg(bench.path("data"));
        let more: &[&str] = if command == "segment" { &["--diameter", "20"] } else { &[] };
        let said = stderr(&program.arg("--out").arg(bench.path("file")).args(more).output().expect("starts"));
        assert!(said.contains("make the folder") && !said.contains("read a"), "{command}: {said}");
    }
    // Nobody may write there, whoever runs the tests.
    if cfg!(target_os = "linux") {
        let mut command = crate::support::program();
        let command = command.arg("build").arg(bench.path("sources")).arg("--data").arg(bench.path("data"));
        let made = command.args(["--out", "/sys/reddino-no-set"]).output().expect("shard-builder starts");
        let said = stderr(&made);
        assert!(!made.status.success() && said.contains("/sys/reddino-no-set") && !said.contains("read a"), "{said}");
    }
}

#[test]
fn remove_writes_what_build_writes_refuses_other_places_and_goes_on() {
    let bench = bench();
    bench.describe("c", &format!("{ALL}\nquality: {{blank: {{least: 1.0, action: flag}}}}"));
    bench.save("c", "0.png", &picture(64, 64, 80));
    bench.write("c", "broken.png", b"\x89PNG\r\n\x1a\n");
    bench.save("a", "copy.png", &picture(64, 64, 80));
    assert!(bench.build("set", &OPTIONS).status.success());
    let remove = |out: &str| run(&["remove", &uri(&bench, "set"), "--source", "b", "--out", &uri(&bench, out)]);
    let set = bench.files("set");
    let refused = remove("set");
    let said = stderr(&refused);
    assert!(!refused.status.success() && said.contains("is in use") && !said.contains("copy shards"), "{said}");
    assert_eq!(bench.files("set"), set);
    let made = remove("less");
    assert!(made.status.success(), "{}", stderr(&made));
    let less = bench.files("less");
    let kinds = |files: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        let kind = |name: &String| match name.strip_prefix("fingerprints/").and_then(|rest| rest.split_once('/')) {
            Some((_, file)) => format!("fingerprints: {file}"),
            None => name.rsplit_once('-').map_or(name.clone(), |(kind, _)| kind.to_owned()),
        };
        files.keys().filter(|name| !name.starts_with("shards/")).map(kind).collect()
    };
    assert_eq!(kinds(&less), kinds(&set));
    let card = String::from_utf8(less["README.md"].clone()).expect("UTF-8");
    assert!(card.contains("from 2 sources") && card.contains("| c | 1 | 4 | 1 | MIT | M | training |"), "{card}");
    assert!(
        card.contains("1 pair of images (1 with the same bytes") && card.contains("- c: 4 blank (4 flagged)"),
        "{card}"
    );
    assert!(!card.contains("| b |") && card.contains("- **c**: T. Home: H. Citation: C\n"), "{card}");
    assert_eq!(listed(&bench, "less"), named(&bench, "less"));
    let images = bench.images("less");
    assert!(images.len() == 6 && images.iter().all(|row| row["source"] != "b"), "{images:?}");
    let picture = image::load_from_memory(&less["examples.png"]).expect("a picture");
    let before = image::load_from_memory(&set["examples.png"]).expect("a picture");
    assert!(picture.width() == before.width() && picture.height() < before.height());
    assert!(run(&["verify", &uri(&bench, "less")]).status.success());
    assert!(remove("less").status.success(), "a finished removal may be asked for again");
    assert_eq!(bench.files("less"), less);
    killed(&bench, "less", "killed");
    assert!(remove("killed").status.success());
    assert_eq!(bench.files("killed"), less);
    let twice = run(&["remove", &uri(&bench, "less"), "--source", "a", "--out", &uri(&bench, "twice")]);
    assert!(twice.status.success(), "{}", stderr(&twice));
    let card = String::from_utf8(bench.files("twice")["README.md"].clone()).expect("UTF-8");
    assert!(card.contains("- **c**: T. Home: H. Citation: C\n") && !card.contains("**a**"), "{card}");
}

#[test]
fn a_set_is_complete_once_its_manifest_exists_wherever_a_build_was_killed() {
    let bench = bench();
    assert!(bench.build("whole", &OPTIONS).status.success());
    let whole = bench.files("whole");
    // In the order in which a build writes them.
    let rank = |name: &String| -> u32 {
        let order = ["build.json", "fingerprints/", "shards/", "report/", "README.md", "examples.png", "manifest.json"];
        (0..).zip(order).find(|(_, start)| name.starts_with(start)).expect("a known file").0
    };
    let mut names: Vec<String> = whole.keys().cloned().collect();
    names.sort_by_key(rank);
    for kept in [1, 3, names.len() - 3, names.len() - 2, names.len() - 1] {
        let out = format!("killed{kept}");
        for name in &names[..kept] {
            put(&bench.path(&out).join(name), &whole[name]);
        }
        assert!(!run(&["verify", &uri(&bench, &out)]).status.success(), "no set after {kept} files");
        assert!(bench.build(&out, &OPTIONS).status.success());
        assert!(bench.files(&out) == whole, "after {kept} files");
    }
    // Without its card a set is not sound, and the remedy works; a card that a person changed stays.
    std::fs::remove_file(bench.path("whole/README.md")).expect("removed");
    let said = stderr(&run(&["verify", &uri(&bench, "whole")]));
    assert!(said.contains("README.md is missing") && said.contains("repeat the command"), "{said}");
    assert!(bench.build("whole", &OPTIONS).status.success());
    assert!(bench.files("whole") == whole);
    put(&bench.path("whole/README.md"), b"in my own words");
    let again = bench.build("whole", &OPTIONS);
    assert!(again.status.success() && stdout(&again).contains("README.md was not replaced"), "{}", stdout(&again));
    assert_eq!(bench.files("whole")["README.md"], b"in my own words");
    // A card of an attempt that did not end gives way to that of the images which are there now.
    for name in &names[..names.len() - 1] {
        put(&bench.path("late").join(name), &whole[name]);
    }
    bench.save("b", "0.png", &picture(64, 64, 900));
    assert!(bench.build("late", &OPTIONS).status.success());
    assert_eq!(listed(&bench, "late"), named(&bench, "late"));
    assert!(run(&["verify", &uri(&bench, "late")]).status.success());
}

#[test]
fn files_that_give_no_row_may_change_before_a_build_is_run_again() {
    let bench = bench();
    bench.write("b", "broken.png", b"\x89PNG\r\n\x1a\n");
    assert!(bench.build("whole", &OPTIONS).status.success());
    let whole = bench.files("whole");
    for (name, bytes) in whole.iter().filter(|(name, _)| *name != "manifest.json") {
        put(&bench.path("killed").join(name), bytes);
    }
    let reason = |out: &str, image: &str| -> Option<String> {
        bench.images(out).iter().find(|row| row["image"] == image).map(|row| row["reason"].clone())
    };
    bench.write("b", "broken.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n");
    bench.write("b", "late.png", b"\x89PNG\r\n\x1a\n");
    // The report of an attempt that did not end gives way, as its card does.
    let resumed = bench.build("killed", &OPTIONS);
    assert!(resumed.status.success() && !stdout(&resumed).contains("was not replaced"), "{}", stdout(&resumed));
    assert!(
        reason("killed", "late.png").is_some() && reason("killed", "broken.png").expect("a row").contains("git lfs")
    );
    assert!(run(&["verify", &uri(&bench, "killed")]).status.success());
    assert_eq!(named(&bench, "killed"), named(&bench, "whole"));
    // That of a published set stays, and the build says so.
    let again = bench.build("whole", &OPTIONS);
    let said = stdout(&again);
    assert!(
        again.status.success() && said.contains("warning: ") && said.contains("README.md was not replaced"),
        "{said}"
    );
    assert!(said.contains("report/images-") && said.contains("files that give no row have changed"), "{said}");
    assert!(bench.files("whole") == whole);

    let remove = |out: &str| run(&["remove", &uri(&bench, "killed"), "--source", "a", "--out", &uri(&bench, out)]);
    assert!(remove("less").status.success());
    let less = bench.files("less");
    let report = less.keys().find(|name| name.starts_with("report/images-")).expect("a report");
    put(&bench.path("less").join(report), b"source,image\n");
    let again = remove("less");
    let said = stdout(&again);
    assert!(again.status.success() && said.contains(report) && said.contains("was not replaced"), "{said}");
    std::fs::remove_file(bench.path("less/manifest.json")).expect("removed");
    let again = remove("less");
    assert!(again.status.success() && bench.files("less") == less, "{}", stderr(&again));
}

#[test]
fn the_place_of_a_source_that_is_left_out_is_no_place_for_a_set() {
    let bench = bench();
    bench.describe("c", ALL);
    bench.save("c", "0.png", &picture(64, 64, 80));
    let unknown = std::fs::read_to_string(bench.path("sources/c.yaml")).expect("text").replace("MIT", "unknown");
    std::fs::write(bench.path("sources/c.yaml"), unknown).expect("description");
    bench.describe("d", ALL);
    std::fs::remove_dir(bench.path("data/d")).expect("an empty folder");
    let root = format!("c={}", bench.path("elsewhere/c").display());
    let more = ["--licences", "permissive", "--allow-missing"];
    for (out, rooted, words) in [
        ("data/c", false, "is or lies in the data of source c"),
        ("data/c/sets/new", false, "is or lies in the data of source c"),
        ("data/d", false, "would take for the data of source d"),
        ("data/d/new", false, "would take for the data of source d"),
        ("elsewhere/c/set", true, "would take for the data of source c"),
        ("elsewhere", true, "holds the place for the data of source c"),
    ] {
        let more: Vec<&str> =
            more.into_iter().chain(rooted.then_some(["--root", &root]).into_iter().flatten()).collect();
        let made = bench.build(out, &[&OPTIONS[..], &more].concat());
        let said = stderr(&made);
        assert!(!made.status.success() && said.contains(words) && said.contains("--out"), "{out}: {said}");
        assert!(!said.contains("read a") && !bench.path(out).join("build.json").exists(), "{out}: {said}");
    }
    let made = bench.build("set", &[&OPTIONS[..], &more].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    let mut program = crate::support::program();
    let program = program.arg("duplicates").arg(bench.path("sources")).arg("--data").arg(bench.path("data"));
    let made = program.arg("--out").arg(bench.path("data/d")).arg("--allow-missing").output().expect("starts");
    assert!(!made.status.success() && stderr(&made).contains("the data of source d"), "{}", stderr(&made));
}

#[test]
fn a_damaged_shard_of_a_killed_build_is_made_again() {
    let bench = bench();
    assert!(bench.build("whole", &OPTIONS).status.success());
    let whole = bench.files("whole");
    let first = whole.keys().find(|name| is_shard(name)).expect("a shard").clone();
    let bytes = &whole[&first];
    let pixels = bytes.windows(4).position(|four| four == b"IDAT").expect("a PNG") + 60;
    let mut flipped = bytes.clone();
    flipped[pixels] ^= 1;
    let other = whole.iter().filter(|(name, _)| is_shard(name)).nth(1).expect("two shards").1;
    for (number, damaged) in [b"".as_slice(), &bytes[..bytes.len() / 2], &flipped, other].into_iter().enumerate() {
        let out = format!("killed{number}");
        killed(&bench, "whole", &out);
        put(&bench.path(&out).join(&first), damaged);
        let resumed = bench.build(&out, &OPTIONS);
        assert!(resumed.status.success(), "{number}: {}", stderr(&resumed));
        let (said, warned) = (stdout(&resumed), stderr(&resumed));
        assert!(said.contains("finished by an earlier attempt and kept: 1 shard\n"), "{said}");
        assert!(said.contains("damaged and made again: 1 shard\n"), "{said}");
        assert!(warned.contains(&first) && warned.contains("is made again"), "{warned}");
        assert!(bench.files(&out) == whole, "{number}");
    }
}

#[test]
fn places_in_a_set_beside_tables_and_in_the_data_are_refused_before_images_are_read() {
    let bench = bench();
    assert!(bench.build("set", &OPTIONS).status.success());
    put(&bench.path("tables/deep/features.parquet"), b"PAR1");
    let set = bench.files("set");
    let data = bench.files("data");
    for (out, words) in [
        ("set/sub", "is inside"),
        ("set/shards/sub", "is inside"),
        (".", "data"),
        ("tables", "deep/features.parquet is there"),
        ("data", "holds the data of source a"),
        ("data/a", "is or lies in the data of source a"),
        ("data/a/sets/new", "is or lies in the data of source a"),
    ] {
        let made = bench.build(out, &OPTIONS);
        let said = stderr(&made);
        assert!(!made.status.success() && said.contains(words) && said.contains("--out"), "{out}: {said}");
        assert!(!said.contains("read a"), "{out}: {said}");
    }
    for (out, words) in [("set/sub", "is inside"), ("tables", "is there")] {
        let made = run(&["remove", &uri(&bench, "set"), "--source", "b", "--out", &uri(&bench, out)]);
        assert!(!made.status.success() && stderr(&made).contains(words), "{out}: {}", stderr(&made));
    }
    for command in ["duplicates", "segment"] {
        let mut program = crate::support::program();
        let program = program.arg(command).arg(bench.path("sources")).arg("--data").arg(bench.path("data"));
        let more: &[&str] = if command == "segment" { &["--diameter", "20"] } else { &[] };
        let said = stderr(&program.arg("--out").arg(bench.path("data/a/report")).args(more).output().expect("starts"));
        assert!(said.contains("lies in the data of source a") && !said.contains("read a"), "{command}: {said}");
    }
    assert!(bench.files("set") == set && bench.files("data") == data);
}

#[test]
fn results_that_are_not_there_are_an_error_before_a_set_is_written() {
    let bench = bench();
    assert!(bench.build("set", &OPTIONS).status.success());
    let remove = |results: &str| {
        run(&[
            "remove",
            &uri(&bench, "set"),
            "--source",
            "b",
            "--out",
            &uri(&bench, "less"),
            "--results",
            &uri(&bench, results),
        ])
    };
    let missing = remove("nodir");
    let said = stderr(&missing);
    assert!(
        !missing.status.success() && said.contains("nodir: nothing is there") && said.contains("--results"),
        "{said}"
    );
    std::fs::create_dir_all(bench.path("empty")).expect("folder");
    put(&bench.path("texts/readme.txt"), b"about runs");
    for results in ["empty", "texts"] {
        let none = remove(results);
        let said = stderr(&none);
        assert!(!none.status.success() && said.contains(&format!("{results}: no record")), "{said}");
    }
    assert!(!bench.path("less").exists());
    let digest = bench.open("set").digest().to_string();
    put(&bench.path("runs/a/run.json"), format!("{{\"shards\": \"{digest}\"}}").as_bytes());
    put(&bench.path("runs/b/run.json"), b"{}");
    let made = remove("runs");
    assert!(made.status.success() && stdout(&made).contains("1 of the 2 records of"), "{}", stdout(&made));
}

#[test]
fn shards_without_a_record_of_their_build_are_a_part_of_a_set() {
    let bench = bench();
    assert!(bench.build("set", &OPTIONS).status.success());
    put(&bench.path("part/shards/readme.txt"), b"a text");
    let said = stderr(&run(&["verify", &uri(&bench, "part")]));
    assert!(
        said.contains("manifest.json does not exist") && said.contains("`shard-builder build` makes one"),
        "{said}"
    );
    let shard = named(&bench, "set")[0].clone();
    put(&bench.path("part").join(&shard), &bench.files("set")[&shard]);
    let said = stderr(&run(&["verify", &uri(&bench, "part")]));
    assert!(
        said.contains("1 shard and neither manifest.json nor build.json") && said.contains("copy the whole set"),
        "{said}"
    );
    assert!(!bench.build("part", &OPTIONS).status.success());
}
