use super::*;

/// Goldens made by Cellpose 3.1.1.2 (`tests/golden/make_cellpose.py`).
fn golden(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/cellpose/");
    std::fs::read(format!("{path}{name}")).expect("a golden file")
}

const MOST: u64 = 1 << 20;

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

#[test]
fn followed_flows_give_cellpose_s_masks() {
    let mut cells = 0;
    for name in ["discs", "crowd", "shapes", "noise"] {
        let ((height, width), flows) = array::flows(&golden(&format!("{name}_flows.npy")), MOST).expect("flows");
        let pixels = height * width;
        let parts = Flows {
            height,
            width,
            down: &flows[..pixels],
            right: &flows[pixels..2 * pixels],
            cellprob: &flows[2 * pixels..],
        };
        let found = finished(dynamics::follow(&parts, 0.0), 15);
        let theirs = array::labels(&golden(&format!("{name}_masks.npy")), MOST).expect("masks");
        let (there, precision) = average_precision(&theirs, &found);
        cells += there;
        assert!(precision >= 0.99, "{name}: average precision {precision} over {there} cells");
        let same = theirs.numbers.iter().zip(&found.numbers).filter(|(a, b)| (**a > 0) == (**b > 0)).count();
        assert!(
            same as f64 >= 0.999 * pixels as f64,
            "{name}: {same} of {pixels} pixels are cells in both or in neither"
        );
    }
    assert!(cells > 100, "{cells} cells in all");
}

#[test]
fn every_file_of_the_same_masks_gives_the_same() {
    let plain = array::labels(&golden("discs_masks.npy"), MOST).expect("npy");
    for name in ["discs_seg.npy", "discs_cp_masks.png", "discs_cp_masks.tif"] {
        assert_eq!(array::labels(&golden(name), MOST).expect(name), plain, "{name}");
    }
}

#[test]
fn files_that_are_no_masks_are_refused_in_words() {
    let seg = golden("discs_seg.npy");
    for cut in [0, 5, 60, 100, 140, seg.len() / 2, seg.len() - 1] {
        assert!(array::labels(&seg[..cut], MOST).is_err(), "cut to {cut}");
    }
    // Any byte changed: an error or masks, never more.
    for at in (0..seg.len().min(4000)).step_by(3) {
        let mut changed = seg.clone();
        changed[at] ^= 0x55;
        let _ = array::labels(&changed, MOST);
    }
    let flows = golden("discs_flows.npy");
    assert!(array::labels(&flows, MOST).expect_err("flows").contains("[3, "));
    assert!(array::flows(&golden("discs_masks.npy"), MOST).expect_err("masks").contains("down, right"));
    assert!(array::labels(&golden("discs_masks.npy"), 100).expect_err("limit").contains("limit of 100"));
}
