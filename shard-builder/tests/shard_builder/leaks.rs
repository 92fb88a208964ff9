//! Leaks between two sets, through the program: what is found without the images, what cannot be recognised, and the remedy.

use std::collections::{BTreeMap, BTreeSet};

use image::{RgbImage, imageops};

use crate::copies::{discs, jpeg};
use crate::support::{Bench, run, stderr, stdout};

/// A field large enough for near-copies to be recognised.
fn field(seed: u64) -> RgbImage {
    discs((320, 240), 900, seed)
}

/// Two sets, the first with five copies of images of the second: by bytes, by pixels, compressed again, mirrored, trimmed.
struct Two {
    train: Bench,
    evaluation: Bench,
}

impl Two {
    fn new() -> Self {
        let (train, evaluation) = (Bench::new(), Bench::new());
        train.describe("smears", "images: {include: ['*']}");
        train.describe("web", "images: {include: ['*']}");
        evaluation.describe("held-out", "images: {include: ['*']}");
        for seed in 0..5 {
            train.save("smears", &format!("{seed}.png"), &field(seed));
            evaluation.save("held-out", &format!("{seed}.png"), &field(100 + seed));
        }
        let [bytes, pixels, again, mirrored, trimmed] = [100, 101, 102, 103, 104].map(field);
        train.save("web", "bytes.png", &bytes);
        train.save("web", "pixels.bmp", &pixels);
        train.write("web", "again.jpg", &jpeg(&again, 70));
        train.save("web", "mirrored.png", &imageops::flip_horizontal(&mirrored));
        train.save("smears", "trimmed.png", &imageops::crop_imm(&trimmed, 15, 9, 290, 218).to_image());
        let two = Self { train, evaluation };
        for bench in [&two.train, &two.evaluation] {
            assert!(bench.build("set", &["--size", "64"]).status.success());
            // From here on there are no images but those of the sets.
            std::fs::remove_dir_all(bench.path("data")).expect("removed");
        }
        two
    }

    fn train(&self) -> String {
        self.train.path("set").display().to_string()
    }

    fn evaluation(&self) -> String {
        self.evaluation.path("set").display().to_string()
    }

    /// Runs `leaks` and returns what it printed, with the rows of its table by training image.
    fn leaks(&self, train: &str, more: &[&str]) -> (String, BTreeMap<String, (String, String)>) {
        let said = run(&[&["leaks", train, &self.evaluation()], more].concat());
        assert!(said.status.success(), "{}", stderr(&said));
        let text = stdout(&said);
        let table = text.lines().find_map(|line| line.strip_prefix("table: ")).expect("a table").to_owned();
        let mut reader = csv::Reader::from_path(table).expect("CSV");
        let row = |row: csv::StringRecord| (row[3].to_owned(), (row[0].to_owned(), row[5].to_owned()));
        (text, reader.records().map(|record| row(record.expect("a row"))).collect())
    }
}

#[test]
fn copies_across_two_sets_are_found_without_their_images_and_removed() {
    let two = Two::new();
    let (text, rows) = two.leaks(&two.train(), &[]);
    let pair = |train: &str, kind: &str, evaluation: &str| (train.to_owned(), (kind.to_owned(), evaluation.to_owned()));
    let planted = BTreeMap::from([
        pair("bytes.png", "bytes", "0.png"),
        pair("pixels.bmp", "pixels", "1.png"),
        pair("again.jpg", "near", "2.png"),
        pair("mirrored.png", "near", "3.png"),
        pair("trimmed.png", "near", "4.png"),
    ]);
    assert_eq!(rows, planted, "{text}");
    for said in [
        "10 training images compared with 5 evaluation images. Pairs with the same bytes: 1; with the same pixels: 1; near-copies: 3;",
        "of training source smears: 1 of 6 images are copies",
        "of training source web: 4 of 4 images are copies",
        "shard-builder remove",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let sheet = text.lines().find_map(|line| line.strip_prefix("pairs: ")).expect("a sheet");
    assert!(image::open(sheet).expect("a picture").width() > 1000);
    assert_eq!(two.leaks(&two.train(), &[]).0, text, "asked again, the record answers");

    let (clean, record) = (two.train.path("clean").display().to_string(), two.evaluation());
    let removed = run(&["remove", &two.train(), "--images-in", &record, "--out", &clean]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    assert!(stdout(&removed).contains("5 images that are copies of images of set"), "{}", stdout(&removed));
    let images: BTreeSet<String> = two.train.open("clean").metas().map(|row| row.image.to_string()).collect();
    assert_eq!(images, (0..5).map(|seed| format!("{seed}.png")).collect());
    let card = std::fs::read_to_string(two.train.path("clean/README.md")).expect("a card");
    assert!(card.contains("with 5 images that are copies of images of set"), "{card}");
    for set in [&two.train(), &clean] {
        let sound = run(&["verify", set]);
        assert!(sound.status.success(), "{}", stderr(&sound));
    }
    let (text, rows) = two.leaks(&clean, &[]);
    assert!(rows.is_empty() && text.contains("5 training images compared"), "{text}");
    let nothing = run(&["remove", &clean, "--images-in", &record, "--out", "x"]);
    assert!(stderr(&nothing).contains("shares no image with that set"), "{}", stderr(&nothing));
    let same = run(&["leaks", &clean, &clean]);
    assert!(stderr(&same).contains("are one set"), "{}", stderr(&same));
}

#[test]
fn without_fingerprints_bytes_and_pixels_are_compared_and_the_rest_is_said() {
    let two = Two::new();
    std::fs::remove_dir_all(two.train.path("set/fingerprints")).expect("a set of an earlier version");
    let elsewhere = two.train.path("store").display().to_string();
    let (text, rows) = two.leaks(&two.train(), &["--out", &elsewhere]);
    assert_eq!(rows.keys().map(String::as_str).collect::<Vec<_>>(), ["bytes.png", "pixels.bmp"], "{text}");
    assert!(
        text.contains("has no fingerprints, so only bytes and pixels were compared and near-copies were not searched"),
        "{text}"
    );
    let record = text.lines().find_map(|line| line.strip_prefix("record: ")).expect("a record");
    assert!(record.starts_with(&elsewhere) && record.ends_with("/exact.json"), "{record}");
    let sound = run(&["verify", &two.train()]);
    assert!(sound.status.success(), "{}", stderr(&sound));
    // The record itself names the sets, so it is enough for the remedy, and of another set it is refused.
    let clean = two.train.path("clean").display().to_string();
    let removed = run(&["remove", &two.train(), "--images-in", record, "--out", &clean]);
    assert!(stdout(&removed).contains("2 images that are copies"), "{}", stderr(&removed));
    let other = run(&["remove", &clean, "--images-in", record, "--out", "x"]);
    assert!(stderr(&other).contains("it is about set"), "{}", stderr(&other));
    // Without a report there are the pixels of patches and cells.
    std::fs::remove_dir_all(two.train.path("set/report")).expect("a set of another program");
    let (text, rows) = two.leaks(&two.train(), &["--out", &two.train.path("store-2").display().to_string()]);
    assert!(text.contains("names and the pixels of patches and cells"), "{text}");
    assert_eq!(rows.keys().map(String::as_str).collect::<Vec<_>>(), ["bytes.png", "pixels.bmp"], "{text}");
}

#[test]
fn of_small_images_near_copies_are_not_told_and_damaged_fingerprints_are_refused() {
    let (train, evaluation) = (Bench::new(), Bench::new());
    train.describe("cells", "images: {include: ['*']}");
    evaluation.describe("held-out", "images: {include: ['*']}");
    let cell = |seed: u64| discs((80, 80), 60, seed);
    for seed in 0..3 {
        evaluation.save("held-out", &format!("{seed}.png"), &cell(seed));
    }
    train.save("cells", "same.png", &cell(0));
    train.save("cells", "mirrored.png", &imageops::flip_horizontal(&cell(1)));
    let sets = [&train, &evaluation].map(|bench| {
        assert!(bench.build("set", &["--size", "64"]).status.success());
        bench.path("set").display().to_string()
    });
    let said = run(&["leaks", &sets[0], &sets[1]]);
    let text = stdout(&said);
    assert!(
        text.contains("Pairs with the same bytes: 1; with the same pixels: 0; near-copies: 0;"),
        "{text}{}",
        stderr(&said)
    );
    assert!(
        text.contains("2 of 2 images of") && text.contains("are below 200 px: near-copies of single cells"),
        "{text}"
    );

    let files = train.files("set");
    let block = files.keys().find(|name| name.starts_with("fingerprints/") && name.ends_with(".parquet"));
    let block = train.path("set").join(block.expect("fingerprints"));
    let mut bytes = std::fs::read(&block).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&block, bytes).expect("damaged");
    let out = train.path("store").display().to_string();
    for arguments in [&["verify", &sets[0]][..], &["leaks", &sets[0], &sets[1], "--out", &out]] {
        let refused = run(arguments);
        let told = stderr(&refused);
        assert!(!refused.status.success() && told.contains("cannot be used as fingerprints (its digest"), "{told}");
    }
}
