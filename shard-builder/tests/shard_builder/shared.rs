//! The eight real sources of this repository. Needs the real data; says loudly when it is not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::{open, program, report, shared_data, stderr};

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace").join("configs/sources")
}

/// Source → (images used, rows).
fn counts(dir: &Path) -> BTreeMap<String, (u64, u64)> {
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for row in report(dir, "report/images-") {
        let count = counts.entry(row["source"].clone()).or_default();
        count.0 += u64::from(row["status"] == "used");
        count.1 += row["rows"].parse::<u64>().expect("rows");
    }
    counts
}

fn build(data: &Path, config: &Path, product: &str, out: &Path) {
    let run = program()
        .arg("build")
        .arg(config)
        .arg("--data")
        .arg(data)
        .args(["--product", product, "--near-copies", "ignore", "--out"])
        .arg(out)
        .output()
        .expect("shard-builder starts");
    assert!(run.status.success(), "{}", stderr(&run));
    let verify = program().arg("verify").arg(out).output().expect("shard-builder starts");
    assert!(verify.status.success(), "{}", stderr(&verify));
}

#[test]
fn all_eight_sources_become_patches_and_masks_do_not() {
    let Some(data) = shared_data() else { return };
    let dir = tempfile::tempdir().expect("folder");
    let out = dir.path().join("patches");
    build(&data, &configs(), "patches", &out);
    // Images and patches of 224 × 224 counted with Pillow: max(1, w div 224) · max(1, h div 224), masks left out.
    let expected = [
        ("aimas-lund-microfluidic", (60, 180)),
        ("bbbc041-subset", (11, 411)),
        ("bccd", (200, 800)),
        ("chula-rbc-12", (400, 1600)),
        ("chula-rbc-diseases", (16, 272)),
        ("draaslan-blood-cell", (60, 60)),
        ("pbc-acevedo", (160, 160)),
        ("zxaoyou-wbc", (181, 181)),
    ];
    assert_eq!(counts(&out), expected.map(|(name, count)| (name.to_owned(), count)).into());
    let set = open(&out);
    let small =
        (0..set.len()).find(|&row| &*set.meta(row).expect("row").source == "zxaoyou-wbc").expect("a small image");
    let enlarged = set.rgb(small).expect("pixels");
    assert_eq!((enlarged.width(), enlarged.height(), set.meta(small).expect("row").w < 224), (224, 224, true));
    let masks = report(&out, "report/images-").into_iter().filter(|row| row["reason"].contains("mask")).count();
    assert_eq!(masks, 181);
    assert_eq!(set.len(), 3664);
    let mut groups: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
    for row in 0..set.len() {
        let meta = set.meta(row).expect("row");
        if &*meta.source != "zxaoyou-wbc" {
            assert_eq!((meta.w, meta.h), (224, 224));
        }
        assert!(!(&*meta.source == "zxaoyou-wbc" && meta.image.ends_with(".png")));
        groups.entry(meta.group.to_string()).or_default().insert(format!("{}/{}", meta.source, meta.image));
    }
    let of = |source: &str| groups.keys().filter(|group| group.starts_with(&format!("{source}/"))).count();
    assert_eq!(of("aimas-lund-microfluidic"), 1, "all frames are of one video");
    assert_eq!(of("chula-rbc-12"), 389, "11 pairs of byte-identical images");
    assert_eq!(of("chula-rbc-diseases"), 15, "one image is the original of an image of chula-rbc-12");
    assert_eq!(of("zxaoyou-wbc"), 180, "two images are known to be nearly identical");
}

#[test]
fn every_chula_point_is_a_cell_or_in_the_report() {
    let Some(data) = shared_data() else { return };
    let dir = tempfile::tempdir().expect("folder");
    let out = dir.path().join("cells");
    build(&data, &configs().join("chula-rbc-12.yaml"), "cells", &out);
    let set = open(&out);
    let unused = report(&out, "report/labels-").len() as u64;
    assert_eq!(set.len() + unused, 12_555);
    assert!(unused < 20, "{unused} labels are not used");
    let labels: std::collections::BTreeSet<String> = (0..set.len())
        .map(|row| {
            let meta = set.meta(row).expect("row");
            assert_eq!((meta.w, meta.h), (80, 80));
            meta.label.expect("every cell has a label").to_string()
        })
        .collect();
    assert_eq!(labels.len(), 13, "{labels:?}");
    let unlabelled = report(&out, "report/images-").into_iter().filter(|row| row["status"] == "unused").count();
    assert_eq!(unlabelled, 66 + 1, "images without a label file, and one with an empty one");
}

#[test]
fn boxes_classes_and_folders_become_cells() {
    let Some(data) = shared_data() else { return };
    let dir = tempfile::tempdir().expect("folder");
    for (source, labels) in [
        ("bccd", vec!["platelet", "rbc", "wbc"]),
        ("draaslan-blood-cell", vec!["rbc", "wbc"]),
        ("zxaoyou-wbc", vec!["eosinophil", "lymphocyte", "monocyte", "neutrophil"]),
    ] {
        let out = dir.path().join(source);
        build(&data, &configs().join(format!("{source}.yaml")), "cells", &out);
        let set = open(&out);
        let found: std::collections::BTreeSet<String> =
            (0..set.len()).map(|row| set.meta(row).expect("row").label.expect("label").to_string()).collect();
        assert!(found.into_iter().eq(labels), "{source}");
        if source == "bccd" {
            let reasons = report(&out, "report/labels-");
            assert!(reasons.iter().any(|row| row["reason"].contains("no width")), "{reasons:?}");
        }
    }
}
