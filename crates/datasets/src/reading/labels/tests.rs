//! Label files as the formats' own tools write them (`tests/golden/make_labels.py`), and files that hold anything.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::entry::LabelEntry;
use super::{coco, cvat, geojson, labelme, place, via, voc, yolo};
use crate::annotation::Geometry;

/// Label, left, top, right and bottom.
type NamedBox = (String, f64, f64, f64, f64);

/// An image with drawn boxes.
#[derive(Deserialize)]
struct Drawn {
    width: f64,
    height: f64,
    fields: BTreeMap<String, Vec<NamedBox>>,
}

fn golden(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/labels/");
    std::fs::read_to_string(format!("{path}{name}")).expect("a golden file")
}

/// Checks that the entries of one image are the drawn boxes, in their order.
fn assert_drawn(drawn: &[(String, f64, f64, f64, f64)], entries: &[LabelEntry], what: &str) {
    assert_eq!(entries.len(), drawn.len(), "{what}");
    for ((label, x0, y0, x1, y1), entry) in drawn.iter().zip(entries) {
        assert_eq!(entry.label.as_ref(), Ok(label), "{what}");
        let Some(Geometry::Box { x0: a, y0: b, x1: c, y1: d }) = entry.geometry else { panic!("{what}: {entry:?}") };
        let apart = [a - x0, b - y0, c - x1, d - y1].map(f64::abs);
        assert!(apart.iter().all(|apart| *apart < 1e-3), "{what}: {entry:?}");
    }
}

#[test]
fn boxes_are_read_as_globox_writes_them() {
    let drawn: Drawn = serde_json::from_str(&golden("boxes.json")).expect("JSON");
    let of_all = [
        ("coco", coco::entries(&golden("coco.json"), "coco.json")),
        ("cvat", cvat::entries(&golden("cvat.xml"), "cvat.xml")),
        ("via", via::entries(&golden("via.json"), "via.json", "label_id")),
    ];
    for (field, boxes) in &drawn.fields {
        for (what, entries) in &of_all {
            let own = entries.as_ref().expect("entries").iter().filter(|(image, _)| image == field);
            let own: Vec<LabelEntry> = own.map(|(_, entry)| entry.clone()).collect();
            assert_drawn(boxes, &own, what);
        }
        let stem = field.strip_suffix(".png").expect("a png");
        let names = yolo::names(golden("yolo/classes.txt").as_bytes(), "classes.txt").expect("names");
        let size = (drawn.width, drawn.height);
        let yolo = yolo::lines(&golden(&format!("yolo/{stem}.txt")), Some(&names), size).expect("lines");
        assert_drawn(boxes, &yolo, "yolo");
        let labelme = labelme::shapes(&golden(&format!("labelme/{stem}.json"))).expect("shapes");
        assert_drawn(boxes, &labelme, "labelme");
        assert_eq!(labelme[0].size, Ok(Some(size)));
        assert_drawn(boxes, &voc::boxes(&golden(&format!("voc/{stem}.xml"))).expect("objects"), "voc");
    }
}

#[test]
fn objects_of_qupath_are_points_and_outlines_with_holes() {
    let entries = geojson::objects(&golden("qupath.geojson")).expect("objects");
    let mut steps = segmentation::MOST_STEPS;
    let mut place = |entry: &LabelEntry| place::of(entry.geometry, entry.outline.clone(), (96.0, 72.0), &mut steps);
    assert_eq!(entries.len(), 9, "two of them are points of one object");
    for (index, entry) in entries.iter().enumerate().take(5) {
        let (_, region) = place(entry).expect("in the image");
        let cell = region.expect("an outline").cell().expect("pixels");
        assert_eq!(entry.label.as_deref(), Ok(["RBC", "WBC"][index % 2]));
        let middle = cell.contains(cell.centre.0.round() as u32, cell.centre.1.round() as u32);
        assert_eq!(middle, index < 3, "object {index} has a hole or two parts: {cell:?}");
    }
    assert!(matches!(entries[5].geometry, Some(Geometry::Point { .. })));
    assert_eq!(entries[7].geometry, Some(Geometry::Point { x: 30.25, y: 31.0 }));
    assert_eq!(entries[8].label, Err("has no classification".to_owned()));
}

const COCO: &str = r#"{"images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}, {"id": 2, "file_name": "b.png"},
    {"id": 2, "file_name": "c.png"}], "categories": [{"id": 1, "name": "rbc"}, {"id": 3, "name": "x"}, {"id": 3, "name": "y"}],
    "annotations": [
    {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
    {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"counts": [11, 3, 186], "size": [10, 20]}},
    {"id": 3, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 4]], "bbox": [1, 1, 4, 3]},
    {"id": 4, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 1},
    {"id": 5, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]},
    {"id": 6, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]},
    {"id": 7, "image_id": 1, "category_id": 1},
    {"id": 8, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3]},
    {"id": 9, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5]]},
    {"id": 10, "image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4]},
    {"id": 11, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]},
    {"id": 12, "image_id": 1, "category_id": 1, "segmentation": [[10, 5, 14, 5, 14, 8, 10, 8]], "bbox": [1, 1, 3, 3]}]}"#;

#[test]
fn what_a_coco_file_leaves_open_is_a_reason_and_never_a_guess() {
    let entries = coco::entries(COCO, "t.json").expect("COCO");
    assert_eq!(entries[0].1.size, Ok(Some((20.0, 10.0))));
    let mut steps = segmentation::MOST_STEPS;
    let place =
        |entry: &LabelEntry, steps: &mut u64| place::of(entry.geometry, entry.outline.clone(), (20.0, 10.0), steps);
    let (runs, _) = place(&entries[1].1, &mut steps).expect("run lengths");
    assert_eq!(runs, Geometry::Box { x0: 1.0, y0: 1.0, x1: 2.0, y1: 4.0 });
    assert!(place(&entries[2].1, &mut steps).is_ok_and(|(_, region)| region.is_some_and(|region| region.area() > 4)));
    for (index, words) in [
        (3, "crowd"),
        (4, "not in `categories`"),
        (5, "two categories"),
        (6, "neither"),
        (7, "3 numbers"),
        (8, "odd number"),
        (9, "have the id 2"),
        (10, "not in `images`"),
    ] {
        let reason = entries[index].1.label.clone().expect_err("a reason");
        assert!(reason.contains(words), "{reason}");
    }
    assert!(place(&entries[11].1, &mut steps).expect_err("apart").contains("different places"));
    assert!(coco::entries("{}", "t.json").expect_err("no COCO").contains("images"));
}

#[test]
fn shapes_of_cvat_labelme_and_via_keep_their_reasons() {
    let cvat = r#"<annotations><image name="a.png" width="20" height="10">
        <box label="a" xtl="2" ytl="2" xbr="8" ybr="4" rotation="90"></box><points label="b" points="1,2;3,4"/>
        <mask label="c" rle="1, 2, 3" left="4" top="5" width="3" height="2"/><ellipse label="d" cx="5" cy="5" rx="2" ry="1"/>
        <polyline label="e" points="1,2;3,4"/><tag label="f"/><mask label="g" rle="9" left="4" top="5" width="3" height="2"/>
        <mask label="h" rle="1" left="0" top="0" width="99999" height="99999"/></image></annotations>"#;
    let entries = cvat::entries(cvat, "t.xml").expect("CVAT");
    let mut steps = segmentation::MOST_STEPS;
    let mut of = |index: usize| {
        let entry: &LabelEntry = &entries[index].1;
        entry.label.clone().and_then(|_| place::of(entry.geometry, entry.outline.clone(), (20.0, 10.0), &mut steps))
    };
    assert_eq!(of(0).expect("turned").0, Geometry::Box { x0: 4.0, y0: 0.0, x1: 6.0, y1: 6.0 });
    assert_eq!(of(2).expect("a point").0, Geometry::Point { x: 3.0, y: 4.0 });
    assert_eq!(of(3).expect("a mask").0, Geometry::Box { x0: 5.0, y0: 5.0, x1: 7.0, y1: 6.0 });
    assert_eq!(of(4).expect("an ellipse").0, Geometry::Box { x0: 3.0, y0: 4.0, x1: 7.0, y1: 6.0 });
    for (index, words) in [(5, "polyline"), (6, "tag"), (7, "more pixels"), (8, "larger")] {
        assert!(of(index).expect_err("a reason").contains(words));
    }
    let shapes = r#"{"shapes": [{"label": "a", "points": [[5, 5], [8, 9]], "shape_type": "circle"},
        {"label": "b", "points": [[5, 5]], "shape_type": "rectangle"}, {"label": "c", "points": [], "shape_type": "line"}]}"#;
    let shapes = labelme::shapes(shapes).expect("LabelMe");
    assert_eq!(shapes[0].geometry, Some(Geometry::Box { x0: 0.0, y0: 0.0, x1: 10.0, y1: 10.0 }));
    assert!(shapes[1].label.is_err() && shapes[2].label.is_err());
    let table = "filename,file_size,region_shape_attributes,region_attributes\n\
        a.png,9,\"{\"\"name\"\":\"\"circle\"\",\"\"cx\"\":5,\"\"cy\"\":6,\"\"r\"\":2}\",\"{\"\"type\"\":{\"\"rbc\"\":true,\"\"wbc\"\":false}}\"\n\
        b.png,9,{},{}\na.png,9,\"{\"\"name\"\":\"\"rect\"\"}\",\"{\"\"type\"\":{\"\"rbc\"\":true,\"\"wbc\"\":true}}\"\n";
    let rows = via::entries(table, "t.csv", "type").expect("VIA");
    assert_eq!((rows.len(), rows[0].1.label.as_deref()), (2, Ok("rbc")));
    assert!(rows[1].1.label.as_ref().expect_err("two").contains("2 options"));
    assert!(via::entries(r#"{"project": {}, "metadata": {}}"#, "t.json", "x").expect_err("3").contains("VIA 3"));
}

#[test]
fn files_that_hold_anything_are_reasons_and_not_panics() {
    let deep = |open: &str| open.repeat(100_000);
    let texts = [
        "",
        "{",
        "[]",
        "null",
        "\u{0}",
        r#"{"images": 3}"#,
        r#"{"shapes": [[]]}"#,
        r#"{"features": [7]}"#,
        "<a><b>",
        "<image>",
    ];
    let texts = texts.map(str::to_owned).into_iter().chain([deep("["), deep("{\"a\":"), deep("<image>"), deep("<a>")]);
    for text in texts {
        let shown: String = text.chars().take(20).collect();
        assert!(coco::entries(&text, "t").is_err(), "{shown}");
        assert!(cvat::entries(&text, "t").is_err(), "{shown}");
        assert!(labelme::shapes(&text).is_err(), "{shown}");
        assert!(via::entries(&text, "t", "a").is_err(), "{shown}");
        assert!(geojson::objects(&text).is_err() || text == "[]", "{shown}");
        drop(yolo::lines(&text, None, (9.0, 9.0)));
    }
}
