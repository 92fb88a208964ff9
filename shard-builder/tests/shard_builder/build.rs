//! The program on small datasets: what becomes a row, what is reported, and that bytes depend on nothing else.

use std::collections::BTreeSet;

use crate::support::{Bench, is_shard, picture, program, run, stderr, stdout};
use image::{Rgb, RgbImage};

const ALL: &str = "images: {include: ['**/*.png', '**/*.bmp', '**/*.tif', '**/*.jpg']}";

fn groups(bench: &Bench, out: &str) -> Vec<(String, String)> {
    let set = bench.open(out);
    (0..set.len())
        .map(|row| {
            let meta = set.meta(row).expect("row");
            (format!("{}/{}", meta.source, meta.image), meta.group.to_string())
        })
        .collect()
}

#[test]
fn a_field_becomes_patches_whose_pixels_are_those_of_the_image() {
    let bench = Bench::new();
    bench.describe("smears", ALL);
    let field = picture(100, 70, 1);
    bench.save("smears", "a/field one.bmp", &field);
    let run = bench.build("set", &["--size", "32"]);
    assert!(run.status.success());
    assert!(stdout(&run).contains("smears"), "{}", stdout(&run));
    let set = bench.open("set");
    assert_eq!(set.len(), 6);
    let last = set.meta(5).expect("row");
    assert_eq!((&*last.source, &*last.image, last.x, last.y, last.w), ("smears", "a/field one.bmp", 64, 32, 32));
    assert_eq!((last.label, &*last.licence), (None, "MIT"));
    for row in 0..6 {
        let meta = set.meta(row).expect("row");
        let rgb = set.rgb(row).expect("pixels");
        let expected = image::imageops::crop_imm(&field, meta.x as u32, meta.y as u32, 32, 32).to_image();
        assert_eq!(rgb, expected);
    }
    let report = bench.images("set");
    assert_eq!((report[0]["status"].as_str(), report[0]["rows"].as_str()), ("used", "6"));
    assert_eq!(report[0]["unused_px"], (100 * 70 - 96 * 64).to_string());
}

#[test]
fn masks_texts_and_broken_files_never_become_patches_and_each_has_its_reason() {
    let bench = Bench::new();
    bench.describe("wbc", "images: {include: ['*.bmp', '*.dat'], exclude: [{glob: '*mask*', why: a mask}]}");
    bench.save("wbc", "1.bmp", &picture(40, 40, 1));
    bench.save("wbc", "1-mask.bmp", &picture(40, 40, 2));
    bench.save("wbc", "1.png", &picture(40, 40, 3));
    bench.write("wbc", "1.txt", b"3 4 1");
    bench.write("wbc", "text.bmp", b"I am no image");
    bench.write("wbc", "cut.bmp", &std::fs::read(bench.path("data/wbc/1.bmp")).expect("file")[..500]);
    std::fs::copy(bench.path("data/wbc/1.png"), bench.path("data/wbc/really-png.dat")).expect("copy");
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let report = bench.images("set");
    let of =
        |name: &str| report.iter().find(|row| row["image"] == name).unwrap_or_else(|| panic!("{name}: {report:?}"));
    assert_eq!(of("1.bmp")["status"], "used");
    assert_eq!((of("really-png.dat")["status"].as_str(), of("really-png.dat")["format"].as_str()), ("used", "png"));
    assert!(of("1-mask.bmp")["reason"].contains("a mask"));
    assert!(of("1.png")["reason"].contains("no `include` pattern"));
    assert!(of("text.bmp")["reason"].contains("not an image format"));
    assert!(of("cut.bmp")["reason"].contains("unreadable bmp"));
    assert_eq!(report.len(), 6, "the label file is not a row: {report:?}");
    assert_eq!(bench.open("set").len(), 2);
}

#[test]
fn copies_share_a_group_across_sources_by_bytes_and_by_pixels() {
    let bench = Bench::new();
    bench.describe("one", &format!("{ALL}\ngroup: {{by: folder}}"));
    bench.describe("two", &format!("{ALL}\nsame_as: [{{image: far.png, source: one, of: q/other.png}}]"));
    let copied = picture(40, 40, 1);
    bench.save("one", "p/a.png", &copied);
    bench.save("one", "p/b.png", &picture(40, 40, 2));
    bench.save("one", "q/other.png", &picture(40, 40, 3));
    bench.save("two", "same pixels.bmp", &copied);
    bench.save("two", "alone.png", &picture(40, 40, 4));
    bench.save("two", "far.png", &picture(80, 80, 5));
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let groups: BTreeSet<(String, String)> = groups(&bench, "set").into_iter().collect();
    let expected = [
        ("one/p/a.png", "one/p"),
        ("one/p/b.png", "one/p"),
        ("one/q/other.png", "one/q"),
        ("two/alone.png", "two/alone.png"),
        ("two/far.png", "one/q"),
        ("two/same pixels.bmp", "one/p"),
    ];
    assert_eq!(groups, expected.map(|(image, group)| (image.to_owned(), group.to_owned())).into());
}

#[test]
fn cells_are_cut_around_points_with_their_labels_and_bad_points_reported() {
    let bench = Bench::new();
    bench.describe(
        "points",
        "images: {include: ['img/*.png']}\nlabel: {from: points, file: 'lab/{stem}.txt'}\nlabels: {0: round, 1: sickle}\ncells: {size: 10, pad: white}",
    );
    let field = picture(60, 50, 1);
    bench.save("points", "img/1.png", &field);
    bench.save("points", "img/2.png", &picture(60, 50, 2));
    bench.save("points", "img/3.png", &picture(60, 50, 3));
    bench.write("points", "lab/1.txt", b"30 20 0\n2 3 1\n60 3 1\n9 9 7\n30 20 0\nx y z\n");
    bench.write("points", "lab/3.txt", b"");
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    let set = bench.open("set");
    assert_eq!(set.len(), 2);
    let (edge, inner) = (set.meta(0).expect("row"), set.meta(1).expect("row"));
    assert_eq!((edge.x, edge.y, edge.w, edge.label.as_deref()), (-3, -2, 10, Some("sickle")));
    assert_eq!((inner.x, inner.y, inner.label.as_deref()), (25, 15, Some("round")));
    assert_eq!(set.rgb(0).expect("pixels").get_pixel(0, 0).0, [255; 3], "outside the image it is white");
    let expected = image::imageops::crop_imm(&field, 25, 15, 10, 10).to_image();
    assert_eq!(set.rgb(1).expect("pixels"), expected);
    let labels = bench.labels("set");
    let reasons: Vec<&str> = labels.iter().map(|row| row["reason"].as_str()).collect();
    assert_eq!(labels.len(), 4, "{labels:?}");
    for part in ["outside", "not in the label map", "repeats", "not numbers"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{part}: {reasons:?}");
    }
    let images = bench.images("set");
    assert!(
        images[1]["reason"].contains("no such file") && images[2]["reason"].contains("names no cell"),
        "{images:?}"
    );
}

#[test]
fn a_flat_image_and_an_image_of_one_pixel_are_no_trouble() {
    let bench = Bench::new();
    bench.describe("odd", ALL);
    bench.save("odd", "flat.png", &RgbImage::from_pixel(32, 32, Rgb([9; 3])));
    bench.save("odd", "one.png", &RgbImage::from_pixel(1, 1, Rgb([8; 3])));
    bench.save("odd", "line.png", &picture(200, 1, 1));
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let set = bench.open("set");
    assert_eq!(set.len(), 1 + 6 + 1);
    assert_eq!(set.rgb(7).expect("pixels").into_raw(), vec![8; 32 * 32 * 3]);
}

#[test]
fn bytes_depend_on_the_content_alone_not_on_jobs_place_or_repetition() {
    let make = |jobs: &str| {
        let bench = Bench::new();
        bench.describe("b", ALL);
        bench.describe("a", ALL);
        for seed in 0..7 {
            bench.save("a", &format!("{seed}.png"), &picture(150, 100, seed));
            bench.save("b", &format!("{seed}.tif"), &picture(100, 150, seed + 50));
        }
        assert!(bench.build("set", &["--size", "32", "--rows-per-shard", "20", "--jobs", jobs]).status.success());
        let files = bench.files("set");
        let again = bench.build("set", &["--size", "32", "--rows-per-shard", "20", "--jobs", "2"]);
        assert!(again.status.success(), "a finished build may be asked for again");
        assert_eq!(bench.files("set"), files);
        files
    };
    let one = make("1");
    assert!(one.len() >= 10, "{:?}", one.keys());
    assert!(one == make("4"), "jobs changed the bytes");
}

#[test]
fn a_killed_build_resumes_and_ends_with_the_same_bytes() {
    let bench = Bench::new();
    bench.describe("big", ALL);
    for seed in 0..12 {
        bench.save("big", &format!("{seed}.png"), &picture(640, 480, seed));
    }
    let options = ["--size", "64", "--rows-per-shard", "12", "--jobs", "1"];
    assert!(bench.build("whole", &options).status.success());
    let whole = bench.files("whole");
    let shards = |out: &str| bench.files(out).keys().filter(|name| is_shard(name)).count();
    assert!(shards("whole") >= 60);
    let mut kills = 0;
    for wanted in (1..=40).step_by(2) {
        let mut child = bench.spawn("killed", &options);
        while shards("killed") < wanted && child.try_wait().expect("child").is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("child ends");
        kills += u32::from(!bench.path("killed/manifest.json").exists());
    }
    assert_eq!(kills, 20, "the build was too fast to be killed in the middle");
    let resumed = bench.build("killed", &options);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(stdout(&resumed).contains("finished by an earlier attempt"), "{}", stdout(&resumed));
    let killed = bench.files("killed");
    assert!(killed == whole, "{:?} and {:?}", killed.keys(), whole.keys());
    let path = bench.path("killed");
    assert!(run(&["verify", path.to_str().expect("UTF-8")]).status.success());
}

#[test]
fn another_set_in_the_same_place_is_refused() {
    let bench = Bench::new();
    bench.describe("a", ALL);
    bench.save("a", "1.png", &picture(64, 64, 1));
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let files = bench.files("set");
    let other = program()
        .arg("build")
        .arg(bench.path("sources"))
        .arg("--data")
        .arg(bench.path("data"))
        .arg("--out")
        .arg(bench.path("set"))
        .args(["--size", "64"])
        .output()
        .expect("starts");
    assert!(!other.status.success());
    assert!(stderr(&other).contains("--out") && !stderr(&other).contains("read a"), "{}", stderr(&other));
    assert_eq!(bench.files("set"), files);
}

#[test]
fn a_missing_source_stops_the_build_unless_allowed_and_a_root_finds_it() {
    let bench = Bench::new();
    bench.describe("a", ALL);
    bench.describe("b", ALL);
    bench.save("a", "1.png", &picture(40, 40, 1));
    std::fs::remove_dir(bench.path("data/b")).expect("remove");
    let build = |out: &str, more: &[&str]| {
        let mut command = program();
        command.arg("build").arg(bench.path("sources")).arg("--data").arg(bench.path("data"));
        command.args(["--size", "32", "--out"]).arg(bench.path(out)).args(more).output().expect("starts")
    };
    let refused = build("none", &[]);
    assert!(!refused.status.success());
    let message = stderr(&refused);
    assert!(
        message.contains("`b`") && message.contains("--root b=") && message.contains("--allow-missing"),
        "{message}"
    );
    assert!(!bench.path("none").exists(), "nothing was written");
    assert!(build("some", &["--allow-missing"]).status.success());
    assert_eq!(bench.open("some").len(), 1);
    std::fs::create_dir(bench.path("elsewhere")).expect("folder");
    picture(40, 40, 2).save(bench.path("elsewhere/2.png")).expect("image");
    assert!(build("both", &["--root", &format!("b={}", bench.path("elsewhere").display())]).status.success());
    assert_eq!(bench.open("both").len(), 2);
}

#[test]
fn a_set_without_a_row_is_refused() {
    let bench = Bench::new();
    bench.describe("a", "images: {include: ['*.jpg']}");
    bench.save("a", "1.png", &picture(40, 40, 1));
    let run = bench.build("set", &[]);
    assert!(!run.status.success() && stderr(&run).contains("no image was used"), "{}", stderr(&run));
    assert!(!stderr(&run).contains("compare"), "copies of images without rows are not searched: {}", stderr(&run));
    assert!(!bench.path("set").exists(), "nothing stays of a build that wrote nothing");
}

#[test]
fn four_builders_one_of_them_killed_write_the_set_that_one_writes() {
    let bench = Bench::new();
    bench.describe("big", ALL);
    for seed in 0..8 {
        bench.save("big", &format!("{seed}.png"), &picture(640, 480, seed));
    }
    let options = ["--size", "64", "--rows-per-shard", "12", "--jobs", "1"];
    assert!(bench.build("one", &options).status.success());
    let one = bench.files("one");
    let shards = |out: &str| bench.files(out).keys().filter(|name| is_shard(name)).count();
    let part = |part: &'static str| [options.as_slice(), &["--part", part]].concat();
    let mut first = bench.spawn("four", &part("1/4"));
    while shards("four") < 1 && first.try_wait().expect("child").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    first.kill().expect("SIGKILL");
    first.wait().expect("child ends");
    assert!(!bench.path("four/manifest.json").exists());
    let others: Vec<_> = ["2/4", "3/4", "4/4"].map(|name| bench.spawn("four", &part(name))).into_iter().collect();
    for mut other in others {
        assert!(other.wait().expect("child ends").success());
    }
    let four = bench.files("four");
    assert!(four == one, "{:?} and {:?}", four.keys(), one.keys());
    let wrong = bench.build("wrong", &["--part", "5/4"]);
    assert!(!wrong.status.success() && stderr(&wrong).contains("5/4"), "{}", stderr(&wrong));
}

#[test]
fn a_dataset_in_parts_is_several_sources_that_a_split_leaves_out_one_by_one() {
    let bench = Bench::new();
    let parts = "parts: {pattern: 'Slide (\\d+)', table: {1: north, 2: south, 3: north}}";
    bench.describe("cells", &format!("{ALL}\n{parts}\ngroup: {{by: pattern, pattern: 'Slide (\\d+)'}}"));
    for (slide, seed) in [(1, 1), (2, 2), (3, 3), (9, 4)] {
        bench.save("cells", &format!("a/Slide {slide} (7,{seed}).png"), &picture(40, 40, seed));
    }
    let made = bench.build("set", &["--size", "32"]);
    assert!(made.status.success());
    assert!(stdout(&made).contains("cells.north: 1 × parts.table names no part for `9`"), "{}", stdout(&made));
    let set = bench.open("set");
    let mut rows: Vec<(String, String)> = (0..set.len())
        .map(|row| {
            let meta = set.meta(row).expect("row");
            (meta.source.to_string(), meta.group.to_string())
        })
        .collect();
    rows.sort();
    rows.dedup();
    let expected =
        [("cells.north", "cells.north/1"), ("cells.north", "cells.north/3"), ("cells.south", "cells.south/2")];
    assert_eq!(rows, expected.map(|(source, group)| (source.to_owned(), group.to_owned())));
    let out = bench.path("set");
    let split = run(&["split", out.to_str().expect("UTF-8"), "--name", "camera", "--kind", "leave-one-source-out"]);
    assert!(split.status.success(), "{}", stderr(&split));
    let split = bench.open("set").split("camera").expect("a split");
    assert_eq!((split.fold_name(0), split.fold_name(1), split.folds()), (Some("cells.north"), Some("cells.south"), 2));
}
