//! Rules whose labels lie in pictures, in many files or under names that a pattern takes out of a path, on folders of files.

use std::fs;
use std::path::Path;

use super::*;
use crate::reading::Others;
use crate::schema::LEAST_YAML;

/// The labels of `image`, 61×47 px, in a folder of files, as `class,label box` texts; and the reasons of what is not used.
fn looked_up(folder: &Path, rule: &str, image: &str) -> (Vec<String>, Vec<String>) {
    let yaml = format!("{}{rule}\n", LEAST_YAML.replace("'*.png'", "'images/*.png'"));
    let source = Source::parse(&yaml, "a.yaml").unwrap_or_else(|error| panic!("{error}"));
    let root = Root::open(folder, 0, &source).expect("a folder");
    let listing = root.list().expect("files");
    let described = source.images.among(&listing.files).expect("images");
    let others = Others::of(&source, &root, &listing, &described, &[]).expect("others");
    let images = DatasetImages { described: &described, neighbours: &[], others: &others };
    let book = LabelBook::open(&source, &root, images).unwrap_or_else(|error| panic!("{error}"));
    let (labels, issues) = book.look_up(image, 61, 47);
    let reasons = issues.into_iter().map(|issue| format!("{}: {}", issue.at, issue.reason));
    match labels {
        ImageLabels::Missing(reason) => (Vec::new(), reasons.chain([reason]).collect()),
        ImageLabels::Whole(label) => (vec![label], reasons.collect()),
        ImageLabels::Annotations(all) => {
            let shown = |one: &Annotation| match &one.region {
                Some(region) => format!("{} {:?}", one.label, region.bounds().unwrap_or_default()),
                None => format!("{} {:?}", one.label, one.geometry),
            };
            (all.iter().map(shown).collect(), reasons.collect())
        }
    }
}

fn golden(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/masks/");
    fs::read(format!("{path}{name}")).expect("a golden file")
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, bytes) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    folder
}

#[test]
fn a_picture_of_classes_labels_its_parts_by_their_numbers() {
    let mask = golden("classes-palette-8.png");
    let dir = folder(&[("images/a.png", b"x"), ("images/b.png", b"x"), ("masks/a.png", &mask), ("masks/b.png", b"x")]);
    let rule = "label: { from: class-mask, file: 'masks/{stem}.png' }\nlabels: { 1: rbc, 2: wbc, 3: null }";
    let (labels, reasons) = looked_up(dir.path(), rule, "images/a.png");
    assert!(labels.contains(&"wbc [47, 1, 14, 13]".to_owned()) && labels.len() == 8, "{labels:?}");
    assert!(reasons.iter().any(|reason| reason.contains("masks/a.png: 6 parts of fewer than 15 px")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("part 1: label `3` is dropped")), "{reasons:?}");
    let (none, reasons) = looked_up(dir.path(), rule, "images/b.png");
    assert!(none.is_empty() && reasons[0].contains("label file masks/b.png"), "{reasons:?}");
}

#[test]
fn each_cell_may_have_a_file_of_its_own() {
    let cell = golden("one-bit.png");
    let files: [(&str, &[u8]); 8] = [
        ("images/a.png", b"x"),
        ("images/a_1.png", b"x"),
        ("images/[b].png", b"x"),
        ("masks/a/rbc_1.png", &cell),
        ("masks/a/wbc_2.PNG", &cell),
        ("masks/a/odd.png", b"x"),
        ("masks/a_1/rbc_1.png", &cell),
        ("masks/[b]/rbc_1.png", &cell),
    ];
    let dir = folder(&files);
    let rule = "label: { from: cell-files, files: 'masks/{stem}/*.png', pattern: '/([a-z]+)_\\d+' }";
    let (labels, reasons) = looked_up(dir.path(), rule, "images/a.png");
    assert!(labels.len() == 2 && labels[0].starts_with("rbc [") && labels[1].starts_with("wbc ["), "{labels:?}");
    assert!(reasons.len() == 1 && reasons[0].contains("masks/a/odd.png: the label pattern"), "{reasons:?}");
    assert_eq!(looked_up(dir.path(), rule, "images/[b].png").0.len(), 1, "brackets of a name stand for themselves");
    // `masks/a*` are files of two images.
    let wide = "label: { from: cell-files, files: 'masks/{stem}*/*.png', name: cell }";
    let (labels, reasons) = looked_up(dir.path(), wide, "images/a.png");
    assert_eq!(labels.len(), 2, "{labels:?} {reasons:?}");
    assert!(
        reasons.iter().any(|reason| reason == "masks/a_1/rbc_1.png: could belong to any of 2 images"),
        "{reasons:?}"
    );
    let (none, reasons) = looked_up(
        dir.path(),
        "label: { from: cell-files, files: '{folder}/../masks/a/*.png', name: cell }",
        "images/a.png",
    );
    assert!(none.is_empty() && reasons[0].contains("could belong to any of 3 images"), "{reasons:?}");
}

#[test]
fn run_lengths_need_their_order_and_name_their_cells() {
    let table = b"id;EncodedPixels;type\na;1 3 48 3;rbc\na;2864 9;rbc\na;0 2;rbc\na;;rbc\nb;1 1;rbc\n";
    let dir = folder(&[("images/a.png", b"x"), ("runs.csv", table)]);
    let columns = "columns: { image: id, runs: EncodedPixels, label: type }";
    let rule = format!("label: {{ from: csv-runs, file: runs.csv, {columns}, order: columns, key: stem }}");
    let (labels, reasons) = looked_up(dir.path(), &rule, "images/a.png");
    assert_eq!(labels, ["rbc [0, 0, 2, 3]"]);
    for (reason, words) in reasons.iter().zip(["end at pixel 2872 of an image of 2867", "first: 0", "no cell"]) {
        assert!(reason.contains(words), "{reason}");
    }
    let across = rule.replace("order: columns", "order: rows");
    assert_eq!(looked_up(dir.path(), &across, "images/a.png").0, ["rbc [0, 0, 50, 1]"]);
    let unsaid = format!("{LEAST_YAML}{}\n", rule.replace("order: columns, ", ""));
    let error = Source::parse(&unsaid, "a.yaml").expect_err("both orders give a mask").to_string();
    assert!(error.contains("order"), "{error}");
    let unnamed = format!("{LEAST_YAML}{}\n", rule.replace(", label: type", ""));
    assert!(Source::parse(&unnamed, "a.yaml").expect_err("no label").to_string().contains("`name` for one label"));
}

#[test]
fn tables_name_images_by_patterns_and_may_have_decimal_commas() {
    let table = "bild;x;y;art\nProbe 7 / Feld 3;10,5;20,25;rbc\nProbe 8 / Feld 3;1;1;rbc\n";
    let dir = folder(&[("images/S7-3.png", b"x"), ("images/S9-3.png", b"x"), ("t.csv", table.as_bytes())]);
    let rule = |key: &str| {
        format!(
            "label: {{ from: csv-boxes, file: t.csv, columns: {{ image: bild, centre_x: x, centre_y: y, label: art }}, units: pixels, \
             key: {key} }}"
        )
    };
    let key = r"{ pattern: { path: 'S(?<image>\d+)-3', cell: '^Probe (?<image>\d+) / Feld 3$' } }";
    let (labels, _) = looked_up(dir.path(), &rule(key), "images/S7-3.png");
    assert_eq!(labels, ["rbc Point { x: 10.5, y: 20.25 }"]);
    let (none, reasons) = looked_up(dir.path(), &rule(key), "images/S9-3.png");
    assert!(none.is_empty() && reasons[0].contains("no row"), "{reasons:?}");
    let wrong = format!("{LEAST_YAML}{}\n", rule("{ pattern: { path: 'S\\d+' } }"));
    let error = Source::parse(&wrong, "a.yaml").expect_err("no group").to_string();
    assert!(error.contains("label.key.pattern.path") && error.contains("(?<image>…)"), "{error}");
}
