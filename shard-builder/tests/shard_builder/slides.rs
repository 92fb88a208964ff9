//! Whole slides, through the program.

use std::collections::BTreeSet;

use image::{Rgb, RgbImage};

use crate::support::{Bench, run, stderr, stdout};

/// Slides of 480 × 352 px at 0.25 µm with levels of 1/1 and 1/4: glass on the left third, white filling from 448 px on
/// (`tests/golden/make_slides.py`).
const OME: &[u8] = include_bytes!("../../../tests/golden/slides/sub.ome.tif");
const SVS: &[u8] = include_bytes!("../../../tests/golden/slides/ycbcr.svs");
/// What tifffile reads of the first at (150, 40).
const REGION: &[u8] = include_bytes!("../../../tests/golden/slides/sub.ome.tif.L0-150-40.png");

const SLIDES: &str = "images: {include: ['**/*.tif', '**/*.svs']}\nslides: {}";

/// Builds one source of slides; returns the bench.
fn built(rules: &str, files: &[(&str, &[u8])], more: &[&str]) -> Bench {
    let bench = Bench::new();
    bench.describe("one", rules);
    files.iter().for_each(|(name, bytes)| bench.write("one", name, bytes));
    let made = bench.build("set", more);
    assert!(made.status.success(), "{}", stderr(&made));
    bench
}

fn verify(bench: &Bench) {
    let [set, sources, data] = ["set", "sources", "data"].map(|name| bench.path(name));
    let [set, sources, data] = [&set, &sources, &data].map(|path| path.to_str().expect("UTF-8"));
    let verified = run(&["verify", set, "--sources", sources, "--data", data, "--recut", "60"]);
    assert!(verified.status.success() && stdout(&verified).contains("cut again"), "{}", stderr(&verified));
}

#[test]
fn squares_with_smear_are_rows_that_name_their_place() {
    let bench = built(SLIDES, &[("a/sub.ome.tif", OME), ("ycbcr.svs", SVS)], &["--size", "32"]);
    verify(&bench);
    let set = bench.open("set");
    let region = image::load_from_memory(REGION).expect("a region").into_rgb8();
    let images: BTreeSet<String> = set.metas().map(|row| row.image.to_string()).collect();
    let named = ["a/sub.ome@L0-0-0-480x352.tif", "ycbcr@L0-0-0-480x352.svs"].map(str::to_owned);
    assert_eq!(images, BTreeSet::from(named));
    let mut compared = 0;
    for (number, row) in set.metas().enumerate() {
        assert!((160..448).contains(&row.x), "no glass and no filling: {row:?}");
        if row.image.contains("ome") && (160..=238).contains(&row.x) && (40..=98).contains(&row.y) {
            let rgb = set.rgb(number as u64).expect("pixels");
            let same = rgb
                .enumerate_pixels()
                .all(|(x, y, pixel)| pixel == region.get_pixel(row.x as u32 - 150 + x, row.y as u32 - 40 + y));
            assert!(same, "{row:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * 2);
    let groups: BTreeSet<String> = set.metas().map(|row| row.group.to_string()).collect();
    assert_eq!(groups.len(), 2, "a slide is a group: {groups:?}");
    let notes = &bench.images("set")[0]["notes"];
    assert!(notes.contains("level 0 of 2, 0.2500 µm/px, glass 236 234 238"), "{notes}");
}

#[test]
fn a_level_is_chosen_by_its_scale() {
    let at = |um: &str| SLIDES.replace("{}", &format!("{{level_um_per_px: {um}}}"));
    let bench = built(&at("1.0"), &[("sub.ome.tif", OME)], &["--size", "8"]);
    verify(&bench);
    assert!(bench.images("set").iter().all(|row| row["image"] == "sub.ome@L1-0-0-120x88.tif"));
    // A scale of the whole set chooses the level and resamples the rest: 10 px at 0.8 µm are 8 at 1 µm.
    let bench = built(SLIDES, &[("sub.ome.tif", OME)], &["--size", "8", "--um-per-px", "1.25"]);
    verify(&bench);
    let set = bench.open("set");
    assert!(set.metas().all(|row| row.w == 10 && row.image.contains("@L1-")));
    assert_eq!(set.rgb(0).expect("pixels").dimensions(), (8, 8));
    for (rules, reason) in [
        (at("0.2"), "coarser than `slides.level_um_per_px` of 0.2"),
        (format!("{}\num_per_px: 2.0", at("1.0")), "its finest level has 2 µm/px"),
    ] {
        let bench = Bench::new();
        bench.describe("one", &rules);
        bench.write("one", "sub.ome.tif", OME);
        let made = bench.build("set", &["--size", "8"]);
        assert!(!made.status.success() && stderr(&made).contains(reason), "{}", stderr(&made));
    }
}

/// A smear of 4,500 × 300 px, in strips: three fields across.
fn wide() -> RgbImage {
    RgbImage::from_fn(4500, 300, |x, y| Rgb([(90 + x % 61 + y % 7) as u8, (60 + y % 83) as u8, (x / 41) as u8]))
}

const ALL: &str = "images: {include: ['*.tif']}\nslides: {smear: {least: 0}}";

#[test]
fn rows_of_all_fields_are_those_of_the_whole_slide() {
    let bench = Bench::new();
    bench.describe("one", ALL);
    bench.save("one", "wide.tif", &wide());
    assert!(bench.build("set", &["--size", "100", "--jobs", "2"]).status.success());
    assert!(bench.build("again", &["--size", "100", "--jobs", "1", "--spool-gib", "0"]).status.success());
    assert!(bench.files("set") == bench.files("again"));
    verify(&bench);
    let set = bench.open("set");
    assert_eq!(set.len(), 45 * 3);
    let mut places = BTreeSet::new();
    for (number, row) in set.metas().enumerate() {
        let left: u32 = row.image.split('-').nth(1).and_then(|x| x.parse().ok()).expect("a place");
        let (x, y) = (left + row.x as u32, row.y as u32);
        places.insert((x, y));
        let expected = image::imageops::crop_imm(&wide(), x, y, 100, 100).to_image();
        assert!(set.rgb(number as u64).expect("pixels") == expected, "{row:?}");
    }
    assert_eq!(places.len(), 45 * 3);
}

#[test]
fn labels_of_a_slide_give_whole_cells_at_the_edges_of_fields() {
    let bench = Bench::new();
    bench.describe("one", &format!("{ALL}\nlabel: {{from: points, file: '{{stem}}.txt'}}\ncells: {{size: 40}}"));
    bench.save("one", "wide.tif", &wide());
    bench.write("one", "wide.txt", b"2047 150 a\n2048 80 b\n4096 90 c\n30 40 d\n4501 9 e\n");
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    verify(&bench);
    let issues = bench.labels("set");
    assert!(issues.len() == 1 && issues[0]["reason"].contains("e lies outside the slide"), "{issues:?}");
    let set = bench.open("set");
    let mut seen = Vec::new();
    for (number, row) in set.metas().enumerate() {
        let left: i32 = row.image.split('-').nth(1).and_then(|x| x.parse().ok()).expect("a place");
        let (x, y) = ((left + row.x) as u32, row.y as u32);
        let expected = image::imageops::crop_imm(&wide(), x, y, 40, 40).to_image();
        assert!(set.rgb(number as u64).expect("pixels") == expected, "{row:?}");
        seen.push((row.label.as_deref().unwrap_or_default().to_owned(), x + 20, y + 20));
    }
    seen.sort();
    let expected = [("a", 2047, 150), ("b", 2048, 80), ("c", 4096, 90), ("d", 30, 40)];
    assert_eq!(seen, expected.map(|(label, x, y)| (label.to_owned(), x, y)));
}

#[test]
fn what_cannot_be_read_as_a_slide_is_a_row_of_the_report() {
    let rules = "images: {include: ['**/*']}\nslides: {level_um_per_px: 0.5}";
    let small = wide();
    let bench = Bench::new();
    bench.describe("one", rules);
    bench.write("one", "good.tif", OME);
    bench.write("one", "cut.tif", &OME[..OME.len() / 2]);
    bench.write("one", "good@L0-0-0-480x352.tif", OME);
    bench.save("one", "unscaled.tif", &small);
    bench.save("one", "picture.png", &small);
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let reason = |image: &str| {
        let rows = bench.images("set");
        rows.iter().find(|row| row["image"] == image).map(|row| row["reason"].clone()).unwrap_or_default()
    };
    assert!(reason("cut.tif").contains("ends before"), "{}", reason("cut.tif"));
    assert!(reason("unscaled.tif").contains("write `um_per_px`"), "{}", reason("unscaled.tif"));
    assert!(reason("picture.png").contains("is not a TIFF"), "{}", reason("picture.png"));
    assert!(reason("good@L0-0-0-480x352.tif").contains("rename it"));
}

/// A folder of slides becomes a set with two commands, and nothing corrected by hand.
#[test]
fn a_folder_of_slides_is_described_and_built() {
    let bench = Bench::new();
    for (name, bytes) in [("patient-1/a.svs", SVS), ("patient-1/b.ome.tif", OME), ("patient-2/c.svs", SVS)] {
        bench.write("scans", name, bytes);
    }
    bench.save("scans", "label.png", &RgbImage::new(40, 30));
    let [folder, yaml, sheet] = ["data/scans", "scans.yaml", "scans.png"].map(|name| bench.path(name));
    let [folder, yaml, sheet] = [&folder, &yaml, &sheet].map(|path| path.to_str().expect("UTF-8"));
    let described = run(&["describe", folder, "--out", yaml, "--sheet", sheet]);
    assert!(described.status.success(), "{}", stderr(&described));
    let text = std::fs::read_to_string(yaml).expect("a description");
    for said in [
        "3 whole slides with 2 levels, the largest 480 × 352 px",
        "the finest level has 0.2500 µm per pixel",
        "slides: {}",
        "level_um_per_px: 1.000",
        "**/*.png: these are not whole slides",
        "group: { by: folder, up: 1 }",
    ] {
        assert!(text.contains(said), "{said:?} is missing in\n{text}");
    }
    let picture = image::open(sheet).expect("a sheet").into_rgb8();
    assert!(picture.pixels().any(|pixel| pixel.0 != [255; 3]) && picture.width() > 300);
    let set = bench.path("set");
    let root = format!("scans={folder}");
    let built = run(&[
        "build",
        yaml,
        "--root",
        &root,
        "--out",
        set.to_str().expect("UTF-8"),
        "--product",
        "patches",
        "--size",
        "32",
    ]);
    assert!(built.status.success(), "{}\n{text}", stderr(&built));
    let images: BTreeSet<String> = bench.open("set").metas().map(|row| row.image.to_string()).collect();
    assert_eq!(images.len(), 3, "{images:?}");
}

/// A scan among pictures of a camera is left out, and the description says so.
#[test]
fn a_slide_among_other_images_is_left_to_a_source_of_its_own() {
    let bench = Bench::new();
    bench.write("mixed", "scan.svs", SVS);
    for name in ["one.png", "two.png"] {
        bench.save("mixed", name, &wide());
    }
    let folder = bench.path("data/mixed");
    let described = run(&["describe", folder.to_str().expect("UTF-8")]);
    let text = stdout(&described);
    assert!(described.status.success() && !text.contains("slides: {}"), "{text}{}", stderr(&described));
    assert!(text.contains("**/*.svs: these are whole slides; describe them in a source of their own"), "{text}");
}
