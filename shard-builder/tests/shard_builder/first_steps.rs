//! From an unknown folder to a set: `describe`, `build --verify`, balanced sets, splits that other readers see, the page of a set.

use std::path::Path;

use image::{Rgb, RgbImage};

use crate::support::{Bench, is_shard, picture, report, run, stderr, stdout};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A folder of fields with a VOC file each beside a folder of pictures that are named masks.
fn unknown(bench: &Bench) -> std::path::PathBuf {
    for number in 0..6 {
        bench.save("unknown", &format!("scans/slide{}_{number}.PNG", number / 3), &picture(120, 90, number));
        bench.save("unknown", &format!("scans_mask/slide{}_{number}_mask.png", number / 3), &picture(120, 90, 50));
        let boxes = "<object><name>rbc</name><bndbox><xmin>10</xmin><ymin>10</ymin><xmax>40</xmax><ymax>42</ymax></bndbox></object>\
                     <object><name>wbc</name><bndbox><xmin>60</xmin><ymin>30</ymin><xmax>90</xmax><ymax>70</ymax></bndbox></object>";
        let voc = format!("<annotation><size><width>120</width><height>90</height></size>{boxes}</annotation>");
        bench.write("unknown", &format!("boxes/slide{}_{number}.xml", number / 3), voc.as_bytes());
    }
    bench.write("unknown", "LICENSE", b"MIT License");
    bench.path("data/unknown")
}

#[test]
fn two_commands_lead_from_an_unknown_folder_to_a_verified_set() {
    let bench = Bench::new();
    let folder = unknown(&bench);
    let (yaml, sheet) = (bench.path("unknown.yaml"), bench.path("sheet.png"));
    let described = run(&["describe", text(&folder), "--out", text(&yaml), "--sheet", text(&sheet)]);
    assert!(described.status.success(), "{}", stderr(&described));
    let written = std::fs::read_to_string(&yaml).expect("a description");
    for part in [
        "name: unknown",
        "scans/*.png",
        "scans_mask/*.png: 6 files taken for masks",
        "label: { from: \"voc\", file: \"boxes/{stem}.xml\" }",
        "# Labels in the sample: rbc 6, wbc 6",
        "licence: MIT",
        "# guessed: the licence, by `LICENSE`",
        "# Possible: group:",
        "2 groups of up to 3 images: slide0, slide1",
    ] {
        assert!(written.contains(part), "{part} in\n{written}");
    }
    assert!(image::open(&sheet).expect("a sheet").width() > 300);
    let again = run(&["describe", text(&folder), "--out", text(&yaml)]);
    assert!(stderr(&again).contains("exists and is not overwritten"), "{}", stderr(&again));
    let next = stdout(&described);
    let command = next.lines().find(|line| line.starts_with("shard-builder build")).expect("the next command");
    let out = bench.path("set");
    let arguments: Vec<&str> =
        command.split(' ').skip(1).map(|word| if word == "SET" { text(&out) } else { word }).collect();
    let built = run(&arguments);
    assert!(built.status.success(), "{}", stderr(&built));
    assert!(stdout(&built).contains("OK: 12 rows"), "{}", stdout(&built));
    let empty = bench.path("data");
    std::fs::create_dir_all(empty.join("nothing")).expect("a folder");
    let none = run(&["describe", text(&empty.join("nothing"))]);
    assert!(stderr(&none).contains("holds no image"), "{}", stderr(&none));
    let gone = run(&["describe", "/no/such/folder"]);
    assert_eq!(stderr(&gone), "error: there is no folder /no/such/folder\n");
    assert!(written.contains("membership: own\n"), "{written}");
}

/// A dark disc on a bright field, as a cell of 40 px that is `x` px from the left edge.
fn disc(x: f32) -> RgbImage {
    RgbImage::from_fn(120, 100, |across, down| {
        let inside = (across as f32 - x).hypot(down as f32 - 50.0) < 20.0;
        Rgb([200, if inside { 120 } else { 230 }, 200])
    })
}

#[test]
fn segment_says_why_no_cell_was_found_and_tries_the_diameter_of_the_command_line() {
    let bench = Bench::new();
    bench.save("a", "whole.png", &disc(60.0));
    bench.save("a", "cut.png", &disc(8.0));
    let segment = |out: &str, more: &[&str]| {
        let (sources, data, out) = (bench.path("sources"), bench.path("data"), bench.path(out));
        run(&[&["segment", text(&sources), "--data", text(&data), "--out", text(&out)], more].concat())
    };
    bench.describe("a", "images: {include: ['*.png']}\ngroup: {by: folder}\ncells: {segment: {diameter: 40}}");
    let flat = segment("flat", &[]);
    let said = stderr(&flat);
    assert!(!flat.status.success() && said.contains("no cell was found in any image"), "{said}");
    assert!(said.contains("a: 2 × it is in no folder, so `group: { by: folder, up: 1 }` gives it no group"), "{said}");
    bench.describe("a", "images: {include: ['*.png']}\ncells: {segment: {diameter: 400}}");
    let large = segment("large", &[]);
    assert!(!large.status.success() && stderr(&large).contains("2 × no cell was found in it"), "{}", stderr(&large));
    let tried = segment("tried", &["--diameter", "40"]);
    assert!(tried.status.success(), "{}", stderr(&tried));
    assert!(
        stdout(&tried).contains("2 pictures with outlines beside it, of 2 images with cells"),
        "{}",
        stdout(&tried)
    );
    bench.describe("a", "images: {include: ['*.png']}\ncells: {segment: {diameter: 40}}");
    let built = bench.build("set", &["--product", "cells"]);
    assert!(stdout(&built).contains("source a: the squares of 1 of 2 cells reach over the edge"), "{}", stdout(&built));
}

/// The seed of the first picture of a source: no two of these tests' sources show the same.
fn first_seed(source: &str) -> u32 {
    5000 * source.len() as u32
}

/// A source of single cells, whose folder is their label.
fn cells(bench: &Bench, source: &str, role: &str, counts: &[(&str, u32)]) {
    bench.describe(source, &format!("{role}images: {{include: ['**/*.png']}}\nlabel: {{from: folder}}"));
    for (at, (label, count)) in (0..).zip(counts) {
        for number in 0..*count {
            bench.save(
                source,
                &format!("{label}/{number}.png"),
                &picture(40, 40, first_seed(source) + 1000 * at + number),
            );
        }
    }
}

#[test]
fn a_balanced_set_draws_what_its_file_says_and_reports_it() {
    let bench = Bench::new();
    cells(&bench, "red", "", &[("rbc", 30), ("wbc", 9)]);
    cells(&bench, "white", "", &[("neutrophil", 12), ("monocyte", 8)]);
    let file = bench.path("sampling.yaml");
    std::fs::write(
        &file,
        "piles:\n- {name: white cells, sources: [white], share: 0.25}\n- {name: few, labels: [wbc], most: 3}\n",
    )
    .expect("a sampling");
    let sample = ["--product", "cells", "--sample", text(&file)];
    let built = bench.build("set", &sample);
    assert!(built.status.success(), "{}", stderr(&built));
    // 30 red cells and 3 white ones are three quarters.
    assert!(stdout(&built).contains("drawn: 11 of 20 rows of \"white cells\", 11 wanted"), "{}", stdout(&built));
    let set = bench.open("set");
    assert_eq!(set.len(), 44);
    let rows = report(&bench.path("set"), "report/sampling-");
    assert_eq!(rows.iter().map(|row| row["drawn"].parse::<u64>().expect("a count")).sum::<u64>(), 14, "{rows:?}");
    bench.build("again", &sample);
    assert_eq!(bench.open("again").digest(), set.digest());
    assert!(bench.open("again").manifest().version() == 1);
    std::fs::write(&file, "piles:\n- {name: a, sources: [nowhere], most: 3}\n").expect("a sampling");
    let wrong = bench.build("wrong", &sample);
    assert!(stderr(&wrong).contains("no source named `nowhere`"), "{}", stderr(&wrong));
}

#[test]
fn splits_that_readers_see_part_no_group_and_survive_removal() {
    let bench = Bench::new();
    cells(&bench, "train", "group: {by: pattern, pattern: '/(\\d)'}\n", &[("rbc", 30), ("wbc", 10)]);
    cells(&bench, "eval", "role: evaluation\n", &[("ring", 6)]);
    // The same picture on both sides.
    bench.save("eval", "ring/copy.png", &picture(40, 40, first_seed("train") + 3));
    let by_role =
        bench.build("role", &["--product", "cells", "--splits", "role", "--rows-per-shard", "16", "--verify"]);
    assert!(by_role.status.success(), "{}", stderr(&by_role));
    assert!(stdout(&by_role).contains("splits: 40 train, 7 test"), "{}", stdout(&by_role));
    assert!(stdout(&by_role).contains("warning: train and test share 1 group,"), "{}", stdout(&by_role));
    let files = bench.files("role");
    let shards: Vec<&str> =
        files.keys().filter(|name| is_shard(name)).filter_map(|name| name.rsplit('/').next()).collect();
    assert_eq!(shards, ["test-00003.parquet", "train-00000.parquet", "train-00001.parquet", "train-00002.parquet"]);
    let card = String::from_utf8(files["README.md"].clone()).expect("UTF-8");
    assert!(
        card.contains("data_files:\n  - split: train\n    path: shards/") && card.contains("- split: test"),
        "{card}"
    );
    let set = bench.open("role");
    assert_eq!((set.manifest().version(), set.roles()["eval"].as_str()), (2, "evaluation"));

    let grouped =
        bench.build("grouped", &["--product", "cells", "--splits", "grouped", "--test-share", "0.3", "--verify"]);
    assert!(grouped.status.success(), "{}", stderr(&grouped));
    assert!(!stdout(&grouped).contains("train and test share"), "{}", stdout(&grouped));
    assert_ne!(set.digest(), bench.open("grouped").digest());

    let out = bench.path("without");
    let removed = run(&["remove", text(&bench.path("role")), "--source", "eval", "--out", text(&out)]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    let verified = run(&["verify", text(&out)]);
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(std::fs::read_to_string(out.join("README.md")).expect("a card").contains("- split: train"));
    assert_eq!(crate::support::open(&out).manifest().shard_splits(), ["train"]);

    let page = bench.path("set.html");
    let shown = run(&["show", text(&bench.path("role")), "--html", text(&page), "--html-rows", "20"]);
    assert!(shown.status.success() && stdout(&shown).contains("3,076,269"), "{}{}", stdout(&shown), stderr(&shown));
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("20 of 47 cells of 2 sources") && html.contains("data:image/jpeg;base64,"), "the page");
}
