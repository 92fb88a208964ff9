//! Labels and masks that would attach to the wrong image, and files that no one can use: refused or reported, through the program.

use crate::support::{Bench, picture, stderr};
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

/// Four dark cells of 40 px on a light field.
const CELLS: [(u32, u32); 4] = [(40, 40), (250, 60), (80, 150), (280, 160)];

fn smear() -> RgbImage {
    RgbImage::from_fn(320, 200, |x, y| {
        let in_cell = CELLS.iter().any(|(u, v)| x.abs_diff(*u).pow(2) + y.abs_diff(*v).pow(2) < 400);
        Rgb(if in_cell { [150, 60, 80] } else { [230, 220, 225 + (x % 3) as u8] })
    })
}

/// A VOC file of the cells as they are drawn on an image of `size` that is `shrink` times smaller.
fn voc(size: (u32, u32), shrink: u32) -> String {
    let object = |(x, y): &(u32, u32)| {
        let [x0, y0, x1, y1] = [x - 20, y - 20, x + 20, y + 20].map(|at| at / shrink);
        format!(
            "<object><name>rbc</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        )
    };
    let objects: String = CELLS.iter().map(object).collect();
    format!("<annotation><size><width>{}</width><height>{}</height></size>{objects}</annotation>", size.0, size.1)
}

/// The smear as a JPEG that EXIF turns by a quarter.
fn turned() -> Vec<u8> {
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
    encoder.write_image(smear().as_raw(), 320, 200, ExtendedColorType::Rgb8).expect("JPEG");
    let exif = b"\xff\xe1\0\x22Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    [&jpeg[..2], exif, &jpeg[2..]].concat()
}

#[test]
fn boxes_of_another_size_or_of_an_image_before_it_was_turned_are_reported_and_cut_nothing() {
    let bench = Bench::new();
    bench.describe("voc", "images: {include: ['*.png', '*.jpg']}\nlabel: {from: voc, file: '{stem}.xml'}");
    for (name, file) in [("plain", voc((320, 200), 1)), ("half", voc((160, 100), 2)), ("silent", voc((0, 0), 1))] {
        bench.save("voc", &format!("{name}.png"), &smear());
        bench.write("voc", &format!("{name}.xml"), file.as_bytes());
    }
    bench.write("voc", "turned.jpg", &turned());
    bench.write("voc", "turned.xml", voc((320, 200), 1).as_bytes());
    assert!(bench.build("set", &["--product", "cells", "--near-copies", "ignore"]).status.success());

    let set = bench.open("set");
    let of = |image: &str| set.metas().filter(|row| &*row.image == image).count();
    assert_eq!(["plain.png", "silent.png", "half.png", "turned.jpg"].map(of), [4, 4, 0, 0]);
    for (row, meta) in set.metas().enumerate() {
        let rgb = set.rgb(row as u64).expect("pixels");
        let middle = rgb.get_pixel(rgb.width() / 2, rgb.height() / 2);
        assert!(middle[1] < 100, "{} at ({}, {}) has no cell in its middle", meta.image, meta.x, meta.y);
    }
    let reasons = |image: &str| -> Vec<String> {
        bench.labels("set").iter().filter(|row| row["image"] == image).map(|row| row["reason"].clone()).collect()
    };
    for (image, words) in
        [("half.png", "image of 160×100 px; the upright image is of 320×200"), ("turned.jpg", "before EXIF turns it")]
    {
        let reasons = reasons(image);
        assert!(reasons.len() == 4 && reasons.iter().all(|reason| reason.contains(words)), "{image}: {reasons:?}");
    }
}

const BOXES: &str = "label: {from: csv-boxes, file: boxes.csv, units: pixels, columns: {image: image, xmin: x0, ymin: y0, xmax: x1, ymax: y1, \
label: label}}";

#[test]
fn a_name_of_two_images_labels_neither_and_rows_without_an_image_are_reported() {
    let bench = Bench::new();
    bench.describe("folders", &format!("images: {{include: ['*/*.png']}}\n{BOXES}"));
    for (image, seed) in [("train/1.png", 1), ("test/1.png", 2), ("test/2.png", 3)] {
        bench.save("folders", image, &picture(90, 80, seed));
    }
    let table = "image,x0,y0,x1,y1,label\n1.png,20,20,60,60,rbc\nghost.png,20,20,60,60,rbc\n2.png,20,20,60,60,rbc\n2.png,1,1\n,1,1,30,30,rbc\n";
    bench.write("folders", "boxes.csv", table.as_bytes());
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    assert!(bench.open("set").metas().map(|row| row.image.to_string()).eq(["test/2.png"]));
    let row = |image: &str, line: u32, words: &str| {
        let at = format!("boxes.csv line {line}");
        let rows = bench.labels("set");
        let there = rows.iter().any(|row| row["image"] == image && row["at"] == at && row["reason"].contains(words));
        assert!(there, "{image}, {at}, {words}: {rows:?}");
    };
    row("train/1.png", 2, "`1.png` could be any of 2 images (test/1.png, train/1.png)");
    row("test/1.png", 2, "`key: path`");
    row("ghost.png", 3, "there is no image `ghost.png`");
    row("test/2.png", 5, "has 3 cells under a header of 6");
    row("", 6, "names no image");

    // By their paths they are told apart; the table may be UTF-16.
    bench.describe(
        "folders",
        &format!("images: {{include: ['*/*.png']}}\n{}", BOXES.replace("units", "key: path, units")),
    );
    let table: String = table.replace("1.png", "test/1.png").replace("2.png", "test/2.png");
    let wide: Vec<u8> = [0xfeff].into_iter().chain(table.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    bench.write("folders", "boxes.csv", &wide);
    assert!(bench.build("paths", &["--product", "cells"]).status.success());
    assert!(bench.open("paths").metas().map(|row| row.image.to_string()).eq(["test/1.png", "test/2.png"]));
}

#[test]
fn nothing_but_ambiguous_labels_says_why_in_the_error() {
    let bench = Bench::new();
    bench.describe("folders", &format!("images: {{include: ['*/*.png']}}\n{BOXES}"));
    for (image, seed) in [("train/1.png", 1), ("test/1.png", 2)] {
        bench.save("folders", image, &picture(90, 80, seed));
    }
    bench.write("folders", "boxes.csv", b"image,x0,y0,x1,y1,label\n1.png,20,20,60,60,rbc\nghost.png,20,20,60,60,rbc\n");
    let run = bench.build("set", &["--product", "cells"]);
    let error = stderr(&run);
    assert!(!run.status.success() && error.contains("could be any of 2 images"), "{error}");
    assert!(error.contains("boxes.csv line 3: there is no image `ghost.png`"), "{error}");
}

#[test]
fn rows_that_contradict_each_other_label_nothing() {
    let bench = Bench::new();
    let rules = "images: {include: ['*.png']}\nlabel: {from: csv-class, file: classes.csv, image: image, class: class, key: stem}";
    bench.describe("classes", rules);
    for (image, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        bench.save("classes", &format!("{image}.png"), &picture(60, 60, seed));
    }
    bench.write("classes", "classes.csv", b"image,class\na,wbc\na,rbc\nb,rbc\nb,rbc\nc,rbc\n");
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    assert!(bench.open("set").metas().map(|row| row.image.to_string()).eq(["b.png", "c.png"]));
    let rows: Vec<String> =
        bench.labels("set").iter().map(|row| format!("{}: {}", row["image"], row["reason"])).collect();
    let contradict = "a.png: classes.csv line 2 and classes.csv line 3 contradict each other";
    assert_eq!(rows, [contradict, contradict, "b.png: repeats classes.csv line 4"]);
}

#[test]
fn label_files_lie_in_the_folder_of_their_image_and_one_of_two_images_is_neither_s() {
    let bench = Bench::new();
    let describe = |file: &str| {
        bench.describe("robo", &format!("images: {{include: ['*/*.png']}}\nlabel: {{from: voc, file: '{file}'}}"));
    };
    describe("{folder}/{stem}.xml");
    for (image, seed) in [("train/x.rf.1", 1), ("valid/x.rf.1", 2)] {
        bench.save("robo", &format!("{image}.png"), &picture(320, 200, seed));
        let xml: String = format!("<?xml version=\"1.0\" encoding=\"utf-16\"?>{}", voc((320, 200), 1));
        let wide: Vec<u8> = [0xfeff].into_iter().chain(xml.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        bench.write("robo", &format!("{image}.xml"), if seed == 1 { xml.as_bytes() } else { &wide });
    }
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    assert_eq!(bench.open("set").len(), 8);

    describe("labels/{stem}.xml");
    bench.write("robo", "labels/x.rf.1.xml", voc((320, 200), 1).as_bytes());
    bench.save("robo", "valid/y.png", &picture(320, 200, 9));
    bench.write("robo", "labels/y.xml", voc((320, 200), 1).as_bytes());
    assert!(bench.build("shared", &["--product", "cells"]).status.success());
    assert_eq!(bench.open("shared").len(), 4, "y.png alone");
    let rows = bench.labels("shared");
    assert!(rows.len() == 2 && rows.iter().all(|row| row["reason"].contains("any of 2 images")), "{rows:?}");
}

#[test]
fn masks_of_two_images_are_neither_s() {
    let bench = Bench::new();
    bench.describe("masks", "images: {include: ['*/*.png']}\ncells: {masks: {file: 'masks/{stem}.npy'}}");
    for image in ["a/1.png", "b/1.png", "b/2.png"] {
        bench.save("masks", image, &picture(40, 30, image.len() as u32));
    }
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': (30, 40), }}{:>54}\n", "");
    let mut file = [b"\x93NUMPY\x01\0".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    file.extend((0..1200).map(|at| u8::from(at % 40 > 9 && at % 40 < 30 && at > 400 && at < 1000)));
    for name in ["masks/1.npy", "masks/2.npy"] {
        bench.write("masks", name, &file);
    }
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    assert!(bench.open("set").metas().map(|row| row.image.to_string()).eq(["b/2.png"]));
    assert_eq!(bench.images("set").iter().filter(|row| row["reason"].contains("any of 2 images")).count(), 2);
}

#[test]
fn an_image_that_cannot_be_used_is_a_row_of_the_report_and_not_the_end_of_a_build() {
    let bench = Bench::new();
    bench.describe("mixed", "images: {include: ['**/*.png', '**/*.heic']}\nlabel: {from: folder}");
    bench.save("mixed", "A/cell.png", &picture(60, 50, 1));
    bench.save("mixed", "A/overview.png", &picture(8200, 3, 2));
    bench.write("mixed", "A/pointer.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n");
    bench.write("mixed", "A/photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    let rows: Vec<(String, String)> =
        bench.images("set").iter().map(|row| (row["image"].clone(), row["reason"].clone())).collect();
    for (image, words) in
        [("A/cell.png", ""), ("A/overview.png", "8192"), ("A/pointer.png", "git lfs pull"), ("A/photo.heic", "HEIC")]
    {
        let reason = &rows.iter().find(|row| row.0 == image).expect("a row").1;
        assert!(reason.contains(words) && reason.is_empty() == words.is_empty(), "{image}: {reason}");
    }
    assert_eq!(bench.open("set").len(), 1);
}

#[test]
fn the_bits_of_a_camera_are_read_from_the_description_and_notes_are_counted() {
    let bench = Bench::new();
    let twelve = include_bytes!("../../../crates/imaging/tests/golden/kinds/twelve.tif");
    let extra = include_bytes!("../../../crates/imaging/tests/golden/kinds/extra.tif");
    for (name, bits) in [("dark", ""), ("said", ", bits: 12")] {
        bench.describe(name, &format!("images: {{include: ['*.tif']{bits}}}"));
        bench.write(name, "twelve.tif", twelve);
        bench.write(name, "extra.tif", extra);
    }
    let made = bench.build("set", &["--size", "16", "--near-copies", "ignore"]);
    assert!(made.status.success());
    let text = crate::support::stdout(&made);
    assert!(text.contains("dark: 1 × unreadable tiff: only 12 of 16 bits are used"), "{text}");
    assert!(text.contains("said: 1 × a channel beside its colours is left out"), "{text}");
    let set = bench.open("set");
    let of = |source: &str| set.metas().filter(|row| &*row.source == source).count();
    assert_eq!((of("dark"), of("said")), (2, 4));
}

#[test]
fn a_file_of_two_images_is_neither_s_by_whatever_path_it_is_reached() {
    let bench = Bench::new();
    for (image, seed) in [("train/1.png", 1), ("valid/1.png", 2), ("valid/2.png", 3)] {
        bench.save("paths", image, &picture(320, 200, seed));
    }
    for file in ["labels/1.xml", "labels/2.xml"] {
        bench.write("paths", file, voc((320, 200), 1).as_bytes());
    }
    for (number, template) in
        ["{folder}/../labels/{stem}.xml", "{folder}/./..//labels/{stem}.xml", "linked/{folder}-{stem}.xml"]
            .iter()
            .enumerate()
    {
        bench.describe("paths", &format!("images: {{include: ['*/*.png']}}\nlabel: {{from: voc, file: '{template}'}}"));
        #[cfg(unix)]
        for name in ["train-1", "valid-1", "valid-2"] {
            let link = bench.path(&format!("data/paths/linked/{name}.xml"));
            std::fs::create_dir_all(link.parent().expect("parent")).expect("folder");
            drop(std::os::unix::fs::symlink(format!("../labels/{}.xml", &name[6..]), link));
        }
        let out = format!("set{number}");
        assert!(bench.build(&out, &["--product", "cells"]).status.success(), "{template}");
        assert!(bench.open(&out).metas().all(|row| &*row.image == "valid/2.png"), "{template}");
        let rows = bench.labels(&out);
        assert!(
            rows.len() == 2 && rows.iter().all(|row| row["reason"].contains("any of 2 images")),
            "{template}: {rows:?}"
        );
    }

    // A table that two folders share, and a path that leaves the dataset for one image alone.
    let table = BOXES.replace("boxes.csv", "'{folder}/../boxes.csv'");
    bench.describe("paths", &format!("images: {{include: ['**/*.png']}}\n{table}"));
    bench.save("paths", "top.png", &picture(90, 80, 4));
    bench.write("paths", "boxes.csv", b"image,x0,y0,x1,y1,label\n1.png,20,20,60,60,rbc\n2.png,20,20,60,60,rbc\n");
    assert!(bench.build("tables", &["--product", "cells"]).status.success());
    assert!(bench.open("tables").metas().map(|row| row.image.to_string()).eq(["valid/2.png"]));
    let images = bench.images("tables");
    let top = images.iter().find(|row| row["image"] == "top.png").expect("a row");
    assert!(top["reason"].contains("leads out of the dataset"), "{top:?}");
}

#[test]
fn masks_reached_by_another_path_or_the_image_itself_are_refused() {
    let bench = Bench::new();
    for image in ["a/1.png", "b/1.png"] {
        bench.save("masks", image, &picture(40, 30, image.len() as u32));
    }
    for (template, words) in [
        ("{folder}/../masks/{stem}.npy", "could belong to any of 2 images"),
        ("{folder}/{name}", "is the image itself"),
    ] {
        bench.describe("masks", &format!("images: {{include: ['*/*.png']}}\ncells: {{masks: {{file: '{template}'}}}}"));
        let run = bench.build("set", &["--product", "cells"]);
        let error = stderr(&run);
        assert!(!run.status.success() && error.contains(words), "{template}: {error}");
    }
}

#[test]
fn tables_that_swallow_rows_stop_and_labels_that_are_none_are_reported() {
    let bench = Bench::new();
    let rules = "images: {include: ['*.png']}\nlabel: {from: csv-class, file: classes.csv, image: image, class: class}";
    bench.describe("classes", rules);
    for seed in 1..4 {
        bench.save("classes", &format!("{seed}.png"), &picture(60, 60, seed));
    }
    for (table, words) in [
        ("image,class\n1.png,\"rbc\n2.png,wbc\n3.png,rbc\n", "classes.csv: line 2"),
        ("<!DOCTYPE html><html><title>Sign in</title></html>", "is a web page"),
        ("image class\n1.png rbc\n", "commas or semicolons or tabs"),
    ] {
        bench.write("classes", "classes.csv", table.as_bytes());
        let run = bench.build("set", &["--product", "cells"]);
        assert!(!run.status.success() && stderr(&run).contains(words), "{table}: {}", stderr(&run));
    }
    bench.write("classes", "classes.csv", b"image;class\n1.png;rbc\n2.png;\"r\nbc\"\n3.png;wbc\n");
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    assert!(bench.open("set").metas().map(|row| row.image.to_string()).eq(["1.png", "3.png"]));
    let rows = bench.labels("set");
    assert!(rows.len() == 1 && rows[0]["at"] == "classes.csv line 3", "{rows:?}");
    assert!(rows[0]["reason"].contains("line break"), "{rows:?}");
}

#[test]
fn a_size_that_is_none_and_a_box_of_endless_numbers_are_rows_of_the_report() {
    let bench = Bench::new();
    bench.describe("voc", "images: {include: ['*.png']}\nlabel: {from: voc, file: '{stem}.xml'}");
    let good = voc((320, 200), 1);
    let two = "<size><width>9</width><height>9</height></size></annotation>";
    for (name, file) in [
        ("good", good.clone()),
        ("minus", good.replace("320", "-320")),
        ("words", good.replace("320", "abc")),
        ("two", good.replace("</annotation>", two)),
        ("endless", good.replace("<xmin>20<", &format!("<xmin>{}<", "9".repeat(309)))),
        ("page", "<!doctype html><html></html>".to_owned()),
    ] {
        bench.save("voc", &format!("{name}.png"), &smear());
        bench.write("voc", &format!("{name}.xml"), file.as_bytes());
    }
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    let set = bench.open("set");
    let of = |image: &str| set.metas().filter(|row| *row.image == format!("{image}.png")).count();
    assert_eq!(["good", "minus", "words", "two", "endless", "page"].map(of), [4, 0, 0, 0, 3, 0]);
    let unused = |image: &str| bench.labels("set").iter().filter(|row| row["image"] == format!("{image}.png")).count();
    assert_eq!(["good", "minus", "words", "two", "endless", "page"].map(unused), [0, 4, 4, 4, 1, 0]);
    let images = bench.images("set");
    assert!(
        images.iter().any(|row| row["image"] == "page.png" && row["reason"].contains("is a web page")),
        "{images:?}"
    );
}

#[test]
fn two_descriptions_of_one_folder_do_not_share_a_label_file() {
    let bench = Bench::new();
    for (image, seed) in [("train/1.png", 1), ("test/1.png", 2), ("test/2.png", 3)] {
        bench.save("train", image, &picture(320, 200, seed));
    }
    for file in ["labels/1.xml", "labels/2.xml"] {
        bench.write("train", file, voc((320, 200), 1).as_bytes());
    }
    for source in ["train", "test"] {
        let rules =
            format!("images: {{include: ['{source}/*.png']}}\nlabel: {{from: voc, file: 'labels/{{stem}}.xml'}}");
        bench.describe(source, &rules);
    }
    let root = format!("test={}", bench.path("data/train").display());
    assert!(bench.build("set", &["--product", "cells", "--root", &root]).status.success());
    assert!(bench.open("set").metas().all(|row| &*row.image == "test/2.png"));
    let rows = bench.labels("set");
    assert!(rows.len() == 2 && rows.iter().all(|row| row["reason"].contains("any of 2 images")), "{rows:?}");
}

#[cfg(unix)]
#[test]
fn a_label_with_a_line_break_is_no_label_wherever_it_stands() {
    let bench = Bench::new();
    bench.describe("folders", "images: {include: ['**/*.png']}\nlabel: {from: folder}");
    for (image, seed) in [("rbc/1.png", 1), ("two\nlines/2.png", 2)] {
        bench.save("folders", image, &picture(64, 64, seed));
    }
    assert!(bench.build("set", &["--size", "32"]).status.success());
    let set = bench.open("set");
    let labels: std::collections::BTreeSet<Option<String>> =
        set.metas().map(|row| row.label.map(|label| label.to_string())).collect();
    assert!(labels.into_iter().eq([None, Some("rbc".to_owned())]));
    let rows = bench.labels("set");
    assert!(rows.len() == 1 && rows[0]["at"] == "its path" && rows[0]["reason"].contains("`two\\nlines`"), "{rows:?}");

    bench.describe("folders", "images: {include: ['**/*.png']}\nlabel: {from: folder}\nlabels: {rbc: \"a\\nb\"}");
    let refused = bench.build("other", &["--size", "32"]);
    assert!(!refused.status.success() && stderr(&refused).contains("line break"), "{}", stderr(&refused));
}

/// Images of `train` and `valid`, of which a description with `rules` includes those of `train` alone.
fn trained(rules: &str) -> Bench {
    let bench = Bench::new();
    for (image, seed) in [("train/1.png", 1), ("train/2.png", 2), ("valid/1.png", 3), ("valid/3.png", 4)] {
        bench.save("parts", image, &picture(320, 200, seed));
    }
    bench.describe("parts", rules);
    bench
}

#[test]
fn labels_of_images_that_are_not_included_attach_to_no_other_of_the_same_name() {
    let table = "image,x0,y0,x1,y1,label\n1.png,20,20,60,60,rbc\n1.png,90,90,130,130,rbc\n2.png,20,20,60,60,rbc\n3.png,20,20,60,60,rbc\n";
    let exclude = "exclude: [{glob: 'valid/*', why: held back}]";
    let voc_rule = "label: {from: voc, file: 'labels/{stem}.xml'}";
    for (images, label, unused) in [
        ("include: ['train/**']".to_owned(), BOXES.to_owned(), 2),
        (format!("include: ['**/*.png'], {exclude}"), BOXES.to_owned(), 2),
        (format!("include: ['**/*.png'], {exclude}"), BOXES.replace("units", "key: number, units"), 2),
        ("include: ['train/**']".to_owned(), voc_rule.to_owned(), 1),
    ] {
        let bench = trained(&format!("images: {{{images}}}\n{label}"));
        let by_number = label.contains("number");
        bench.write(
            "parts",
            "boxes.csv",
            if by_number { table.replace(".png", "") } else { table.to_owned() }.as_bytes(),
        );
        for file in ["labels/1.xml", "labels/2.xml", "labels/3.xml"] {
            bench.write("parts", file, voc((320, 200), 1).as_bytes());
        }
        assert!(bench.build("set", &["--product", "cells"]).status.success(), "{images}, {label}");
        assert!(bench.open("set").metas().all(|row| &*row.image == "train/2.png"), "{images}, {label}");
        let rows = bench.labels("set");
        let of_both = |row: &&std::collections::BTreeMap<String, String>| {
            row["image"] == "train/1.png"
                && row["reason"].contains("2 images (train/1.png, valid/1.png; 1 not included")
        };
        assert_eq!(rows.iter().filter(of_both).count(), unused, "{images}, {label}: {rows:?}");
        let strays = rows.iter().filter(|row| row["reason"].contains("that the description includes")).count();
        assert_eq!(strays, usize::from(label.contains("csv")), "{rows:?}");
    }
}

#[test]
fn groups_and_masks_of_images_that_are_not_included_attach_to_no_other_of_the_same_name() {
    let group = "group: {by: csv, file: slides.csv, image: name, group: patient, key: name}";
    let bench = trained(&format!("images: {{include: ['train/**']}}\n{group}"));
    bench.write("parts", "slides.csv", b"name,patient\n1.png,a\n2.png,b\n");
    assert!(bench.build("set", &["--size", "64"]).status.success());
    assert!(bench.open("set").metas().all(|row| &*row.image == "train/2.png"));
    assert!(
        bench.images("set").iter().any(|row| row["image"] == "train/1.png" && row["reason"].contains("valid/1.png"))
    );

    // Masks are images too, and no claimants of themselves.
    let bench = trained("images: {include: ['train/**']}\ncells: {masks: {file: 'masks/{name}'}}");
    let mask = image::GrayImage::from_fn(320, 200, |x, y| {
        image::Luma([u8::from(x.abs_diff(100) < 20 && y.abs_diff(90) < 20)])
    });
    for name in ["1.png", "2.png"] {
        let path = bench.path(&format!("data/parts/masks/{name}"));
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        mask.save(path).expect("a mask");
    }
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    assert!(bench.open("set").metas().map(|row| row.image.to_string()).eq(["train/2.png"]));
    assert!(
        bench.images("set").iter().any(|row| row["image"] == "train/1.png" && row["reason"].contains("valid/1.png"))
    );
}

#[test]
fn files_that_labels_are_surely_not_of_take_none_away() {
    let labelled = |images: &str, label: &str| {
        let bench = trained(&format!("images: {{{images}}}\n{label}"));
        let table = b"image,x0,y0,x1,y1,label\n1.png,20,20,60,60,rbc\n2.png,20,20,60,60,rbc\n";
        for file in ["boxes.csv", "train/boxes.csv"] {
            bench.write("parts", file, table);
        }
        bench.write("parts", "train/labels/1.xml", voc((320, 200), 1).as_bytes());
        bench.write("parts", "valid/labels/1.xml", voc((320, 200), 2).as_bytes());
        bench.write("parts", "train/1.jpg", b"\xff\xd8\xff\xe0 the same picture, smaller");
        assert!(bench.build("set", &["--product", "cells"]).status.success(), "{images}, {label}");
        bench.open("set").metas().filter(|row| &*row.image == "train/1.png").count()
    };
    // The description says whose they are not.
    let exclude = "exclude: [{glob: 'valid/*', why: has a table of its own, unlabelled: true}]";
    assert_eq!(labelled(&format!("include: ['**/*.png'], {exclude}"), BOXES), 1);
    // What lies in the folder of the description's images is not of others.
    assert_eq!(labelled("include: ['train/*.png']", &BOXES.replace("boxes.csv", "train/boxes.csv")), 1);
    assert_eq!(labelled("include: ['train/*.png']", "label: {from: voc, file: 'train/labels/{stem}.xml'}"), 4);
}

#[cfg(unix)]
#[test]
fn a_file_of_git_annex_that_two_linked_folders_share_is_neither_s_and_equal_files_are_two() {
    use std::os::unix::fs::symlink;
    let bench = Bench::new();
    bench.describe("annex", "images: {include: ['*/*.png']}\nlabel: {from: voc, file: '{folder}/labels/{stem}.xml'}");
    for (image, seed) in [("x/a.png", 1), ("y/a.png", 2), ("x/b.png", 3), ("z/b.png", 4), ("z/c.png", 5)] {
        bench.save("annex", image, &picture(320, 200, seed));
    }
    bench.write("annex", ".git/annex/objects/1/2/K/K", voc((320, 200), 1).as_bytes());
    let link = |target: &str, name: &str| {
        let path = bench.path(&format!("data/annex/{name}"));
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        symlink(target, path).expect("link");
    };
    for folder in ["x", "y"] {
        link("../labels", &format!("{folder}/labels"));
    }
    let key = "../.git/annex/objects/1/2/K/K";
    link(key, "labels/a.xml");
    link(key, "labels/b.xml");
    link(&format!("../{key}"), "z/labels/b.xml");
    // A link of the dataset's own to a file of git-annex.
    link("b.xml", "z/labels/c.xml");
    assert!(bench.build("set", &["--product", "cells"]).status.success());
    let set = bench.open("set");
    let of = |image: &str| set.metas().filter(|row| &*row.image == image).count();
    assert_eq!(["x/a.png", "y/a.png", "x/b.png", "z/b.png", "z/c.png"].map(of), [0, 0, 4, 0, 0]);
    let rows = bench.labels("set");
    assert!(rows.len() == 4 && rows.iter().all(|row| row["reason"].contains("any of 2 images")), "{rows:?}");
}
