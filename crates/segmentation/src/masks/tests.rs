use super::*;

/// Goldens made by Cellpose 3.1.1.2 (`tests/golden/make_cellpose.py`).
fn golden(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/cellpose/");
    std::fs::read(format!("{path}{name}")).expect("a golden file")
}

const MOST: DecodeLimits = DecodeLimits { file_bytes: 1 << 30, pixels: 1 << 20, setting: None };

/// Average precision at an intersection over union of 0.5 (Caicedo et al., 2019): matches over matches, misses and inventions.
fn average_precision(truth: &Labels, found: &Labels) -> (usize, f64) {
    let mut pairs = std::collections::HashMap::<(u32, u32), usize>::new();
    let mut sizes = [std::collections::HashMap::<u32, usize>::new(), std::collections::HashMap::new()];
    for (&a, &b) in truth.numbers.iter().zip(&found.numbers) {
        *sizes[0].entry(a).or_default() += 1;
        *sizes[1].entry(b).or_default() += 1;
        *pairs.entry((a, b)).or_default() += 1;
    }
    let over_half = |(&(a, b), &shared): (&(u32, u32), &usize)| {
        a > 0 && b > 0 && 2 * shared >= sizes[0][&a] + sizes[1][&b] - shared
    };
    let matched = pairs.iter().filter(|pair| over_half(*pair)).count();
    let cells = |sizes: &std::collections::HashMap<u32, usize>| sizes.keys().filter(|number| **number > 0).count();
    let (there, found) = (cells(&sizes[0]), cells(&sizes[1]));
    (there, matched as f64 / (there + found - matched) as f64)
}

fn options(flow_threshold: f64) -> MaskOptions {
    MaskOptions { holds: MaskContent::Flows, flow_threshold, ..MaskOptions::default() }
}

#[test]
fn followed_flows_give_cellpose_s_masks() {
    let mut cells = 0;
    for (name, threshold, masks) in [
        ("discs", 0.0, "masks"),
        ("crowd", 0.0, "masks"),
        ("shapes", 0.0, "masks"),
        ("noise", 0.0, "masks"),
        ("turned", 0.0, "masks"),
        ("turned", 0.4, "checked"),
    ] {
        let flows = npy::FlowArray::read(&golden(&format!("{name}_flows.npy")), MOST).expect("flows");
        let found = follow(&flows.flows(), &options(threshold)).expect("masks");
        let theirs = npy::labels(&golden(&format!("{name}_{masks}.npy")), MOST).expect("masks");
        let (there, precision) = average_precision(&theirs, &found);
        cells += there;
        assert!(precision >= 0.99, "{name}: average precision {precision} over {there} cells");
        let pixels = theirs.numbers.len();
        let same = theirs.numbers.iter().zip(&found.numbers).filter(|(a, b)| (**a > 0) == (**b > 0)).count();
        assert!(
            same as f64 >= 0.999 * pixels as f64,
            "{name}: {same} of {pixels} pixels are cells in both or in neither"
        );
    }
    assert!(cells > 100, "{cells} cells in all");
}

#[test]
fn flow_errors_are_cellpose_s() {
    let (mut checked, mut failed) = (0, 0);
    for name in ["discs", "crowd", "shapes", "noise", "turned"] {
        let flows = npy::FlowArray::read(&golden(&format!("{name}_flows.npy")), MOST).expect("flows");
        let masks = npy::labels(&golden(&format!("{name}_masks.npy")), MOST).expect("masks");
        let bytes = golden(&format!("{name}_errors.npy"));
        let theirs: Vec<f64> = npyz::NpyFile::new(&bytes[..]).expect("npy").into_vec().expect("f64");
        let ours = flow_error::errors(&masks, &flows.flows()).expect("errors");
        assert!(ours.keys().copied().eq(1..=theirs.len() as u32), "{name}: numbers of masks");
        for ((number, ours), theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-6, "{name}, mask {number}: {ours} and {theirs}");
            checked += 1;
            failed += u32::from(*theirs > 0.4);
        }
    }
    assert!(checked > 100 && (5..checked / 2).contains(&failed), "{failed} of {checked} fail at 0.4");
}

#[test]
fn every_file_of_the_same_masks_gives_the_same() {
    let plain = npy::labels(&golden("discs_masks.npy"), MOST).expect("npy");
    for name in ["discs_seg.npy", "discs_cp_masks.png", "discs_cp_masks.tif"] {
        assert_eq!(npy::labels(&golden(name), MOST).expect(name), plain, "{name}");
    }
}

#[test]
fn a_number_that_no_cell_has_is_said_in_words() {
    let file = |kind: &str, bytes: &[u8]| {
        let mut header = format!("{{'descr': '<{kind}', 'fortran_order': False, 'shape': (1, 1), }}");
        header.push_str(&" ".repeat(117 - header.len()));
        header.push('\n');
        [b"\x93NUMPY\x01\0\x76\0".as_slice(), header.as_bytes(), bytes].concat()
    };
    for (kind, bytes, value) in [
        ("i2", [0xff; 2].as_slice(), "-1"),
        ("i8", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "-2"),
        ("u8", &[0, 0, 0, 0, 1, 0, 0, 0], "4294967296"),
    ] {
        let reason = npy::labels(&file(kind, bytes), MOST).expect_err(kind).to_string();
        assert!(reason.contains(&format!("holds {value}, which is not a cell number")), "{kind}: {reason}");
    }
    assert_eq!(npy::labels(&file("u4", &[0xff; 4]), MOST).expect("a number").numbers, [u32::MAX]);
    assert_eq!(npy::labels(&file("i4", &[5, 0, 0, 0]), MOST).expect("a number").numbers, [5]);
}

#[test]
fn files_that_are_no_masks_are_refused_in_words() {
    let seg = golden("discs_seg.npy");
    for cut in [0, 5, 60, 100, 140, seg.len() / 2, seg.len() - 1] {
        assert!(npy::labels(&seg[..cut], MOST).is_err(), "cut to {cut}");
    }
    // Any byte changed: an error or masks, never more.
    for at in (0..seg.len().min(4000)).step_by(3) {
        let mut changed = seg.clone();
        changed[at] ^= 0x55;
        let _ = npy::labels(&changed, MOST);
    }
    let flows = golden("discs_flows.npy");
    assert!(npy::labels(&flows, MOST).expect_err("flows").to_string().contains("[3, "));
    assert!(
        npy::FlowArray::read(&golden("discs_masks.npy"), MOST).expect_err("masks").to_string().contains("down, right")
    );
    assert!(
        npy::labels(&golden("discs_masks.npy"), DecodeLimits { pixels: 100, ..MOST })
            .expect_err("limit")
            .to_string()
            .contains("limit of 100")
    );
}

#[test]
fn a_header_that_is_long_or_damaged_is_refused_in_one_short_line() {
    for depth in [1000, 9000] {
        let text = format!("{{'descr': {}{}", "(".repeat(depth), ")".repeat(depth));
        let bytes = [b"\x93NUMPY\x01\0".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat();
        let reason = npy::labels(&bytes, MOST).expect_err("a header").to_string();
        assert!(reason.len() < 120 && !reason.contains('\n'), "{reason}");
    }
    // A header that claims to have four gigabytes.
    let claimed = [b"\x93NUMPY\x02\0".as_slice(), &[0xff; 4], b"{'descr': '<u2'}"].concat();
    assert!(matches!(npy::labels(&claimed, MOST), Err(MaskError::Header(_))));
}

#[test]
fn masks_of_the_other_byte_order_are_read() {
    let mut header = "{'descr': '>u2', 'fortran_order': False, 'shape': (1, 2), }".to_owned();
    header.push_str(&" ".repeat(117 - header.len()));
    header.push('\n');
    let bytes = [b"\x93NUMPY\x01\0\x76\0".as_slice(), header.as_bytes(), &[0, 7, 1, 0]].concat();
    assert_eq!(npy::labels(&bytes, MOST).expect("numbers").numbers, [7, 256]);
}

/// Parts of each class as scikit-image finds them (`tests/golden/make_masks.py`).
#[derive(serde::Deserialize)]
struct GoldenParts {
    parts: Vec<GoldenPart>,
    small: usize,
}

#[derive(serde::Deserialize)]
struct GoldenPart {
    class: u32,
    r#box: [u32; 4],
    area: u64,
}

fn mask_file(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/masks/");
    std::fs::read(format!("{path}{name}")).expect("a golden file")
}

#[test]
fn parts_of_classes_are_those_of_scikit_image_in_any_file_of_numbers() {
    let golden: GoldenParts = serde_json::from_slice(&mask_file("parts.json")).expect("JSON");
    for name in [
        "classes-palette-8.png",
        "classes-palette-4.png",
        "classes-palette-2.png",
        "classes-grey-8.png",
        "classes-grey-16.png",
        "classes-32.tif",
        "classes-palette.tif",
    ] {
        let found = parts_of_classes(&mask_file(name), (61, 47), (&[0], 15), DecodeLimits::default()).expect(name);
        assert_eq!(found.small, golden.small, "{name}");
        assert_eq!(found.parts.len(), golden.parts.len(), "{name}");
        for ((class, region), part) in found.parts.iter().zip(&golden.parts) {
            assert_eq!((*class, region.bounds(), region.area()), (part.class, Some(part.r#box), part.area), "{name}");
        }
    }
    let more = parts_of_classes(&mask_file("classes-32.tif"), (61, 47), (&[0, 3], 0), DecodeLimits::default());
    assert!(more.expect("parts").parts.iter().all(|(class, _)| [1, 2].contains(class)));
}

#[test]
fn a_file_of_one_cell_has_one_number() {
    let mut steps = crate::MOST_STEPS;
    let mut cell = |name: &str, size| cell_of_file(&mask_file(name), size, &mut steps, DecodeLimits::default());
    let golden: GoldenParts = serde_json::from_slice(&mask_file("parts.json")).expect("JSON");
    let ones: u64 = golden.parts.iter().filter(|part| part.class == 1).map(|part| part.area).sum();
    assert!(cell("one-bit.png", (61, 47)).expect("a cell").area() >= ones);
    assert!(cell("one-bit.png", (47, 61)).expect_err("another size").to_string().contains("61×47"));
    assert!(matches!(cell("classes-grey-8.png", (61, 47)), Err(MaskError::SeveralNumbers(..))));
    for length in [0, 20, 60, 150, 400] {
        let bytes = &mask_file("classes-palette-8.png")[..length];
        assert!(cell_of_file(bytes, (61, 47), &mut steps, DecodeLimits::default()).is_err(), "{length}");
    }
    let few = DecodeLimits { pixels: 100, ..DecodeLimits::default() };
    assert!(cell_of_file(&mask_file("one-bit.png"), (61, 47), &mut steps, few).is_err());
}
