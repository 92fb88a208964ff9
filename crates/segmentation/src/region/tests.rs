//! Regions against pycocotools (`tests/golden/make_labels.py`).

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    width: u32,
    height: u32,
    cases: Vec<Case>,
    unions: Vec<Union>,
}

#[derive(Deserialize)]
struct Case {
    polygon: Vec<f64>,
    text: String,
    raw: String,
    counts: Vec<u64>,
    area: u64,
    bbox: [u32; 4],
}

#[derive(Deserialize)]
struct Union {
    counts: Vec<u64>,
    bbox: [u32; 4],
}

#[test]
fn polygons_and_run_lengths_are_those_of_pycocotools_to_the_pixel() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/labels/regions.json");
    let golden: Golden = serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
    let size = (golden.width, golden.height);
    let mut steps = MOST_STEPS;
    let mut regions = Vec::new();
    for case in &golden.cases {
        let region = Region::of_polygon(case.polygon.as_chunks::<2>().0, size, &mut steps).expect("a region");
        assert_eq!(region.counts(), case.counts, "{:?}", case.polygon);
        assert_eq!((region.area(), region.bounds().unwrap_or_default()), (case.area, case.bbox));
        for text in [&case.text, &case.raw] {
            let counts = counts_of_text(text).expect("run lengths");
            assert_eq!(Region::of_counts(&counts, size).as_ref(), Ok(&region), "{text}");
        }
        let cell = region.cell();
        assert_eq!(cell.map_or(0, |cell| u64::from(cell.area)), case.area);
        regions.push(region);
    }
    for (pair, union) in regions.chunks(2).zip(&golden.unions) {
        let both = pair[0].clone().with(&pair[1]);
        assert_eq!((both.counts(), both.bounds().unwrap_or_default()), (union.counts.clone(), union.bbox));
    }
    assert!(regions.len() >= 200 && regions.iter().filter(|region| region.area() == 0).count() > 3);
}

fn part(place: [u32; 4], rows: &str) -> Region {
    let inside: Vec<bool> = rows.bytes().filter(|byte| *byte != b'/').map(|byte| byte == b'#').collect();
    Region::of_part(place, &inside, (5, 4)).expect("in the image")
}

#[test]
fn regions_are_joined_and_holes_taken_out() {
    let ring = part([1, 0, 3, 3], "###/###/###").without(&part([2, 1, 1, 1], "#"));
    assert_eq!((ring.area(), ring.bounds()), (8, Some([1, 0, 3, 3])));
    let full = ring.clone().with(&part([2, 1, 1, 1], "#"));
    assert_eq!(full, part([1, 0, 3, 3], "###/###/###"));
    assert_eq!(ring.clone().without(&full).bounds(), None);
    assert_eq!(Region::of_counts(&ring.counts(), (5, 4)).expect("counts"), ring);
}

#[test]
fn a_run_over_the_end_of_a_column_reaches_from_top_to_bottom() {
    let region = Region::of_counts(&[3, 2, 15], (5, 4)).expect("counts");
    assert_eq!(region.bounds(), Some([0, 0, 2, 4]));
    let cell = region.cell().expect("a cell");
    assert_eq!((cell.x, cell.y, cell.w, cell.h, cell.area, cell.at_edge), (0, 0, 2, 4, 2, true));
    assert!(cell.contains(0, 3) && cell.contains(1, 0) && !cell.contains(1, 3));
}

#[test]
fn what_does_not_fit_the_image_is_a_reason() {
    assert_eq!(Region::of_counts(&[1, 1], (5, 4)), Err(RegionError::OtherLength { found: 2, expected: 20 }));
    assert!(Region::of_counts(&[u64::MAX, u64::MAX], (5, 4)).is_err());
    assert!(matches!(Region::of_part([3, 0, 3, 1], &[true; 3], (5, 4)), Err(RegionError::Outside { .. })));
    assert!(Region::of_part([u32::MAX, 0, 3, 1], &[true; 3], (5, 4)).is_err());
}

/// Cells with their runs in both orders, and COCO's counts (`tests/golden/make_masks.py`).
#[derive(Deserialize)]
struct Runs {
    width: u32,
    height: u32,
    cells: Vec<CellRuns>,
}

#[derive(Deserialize)]
struct CellRuns {
    columns: String,
    rows: String,
    counts: Vec<u64>,
    area: u64,
}

#[test]
fn runs_of_both_orders_are_the_cell_that_pycocotools_sees() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/masks/runs.json");
    let golden: Runs = serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
    let size = (golden.width, golden.height);
    let mut steps = MOST_STEPS;
    let pairs = |text: &str| -> Vec<(u64, u64)> {
        let numbers: Vec<u64> = text.split(' ').map(|word| word.parse().expect("a number")).collect();
        numbers.as_chunks::<2>().0.iter().map(|[start, length]| (start - 1, *length)).collect()
    };
    for cell in &golden.cells {
        for (text, order) in [(&cell.columns, RunOrder::Columns), (&cell.rows, RunOrder::Rows)] {
            let region = Region::of_runs(&pairs(text), order, size, &mut steps).expect("a region");
            assert_eq!((region.area(), &region.counts()), (cell.area, &cell.counts), "{order:?}");
        }
    }
}

#[test]
fn runs_that_no_program_writes_are_reasons() {
    let of = |runs: &[(u64, u64)], order| Region::of_runs(runs, order, (10, 4), &mut 1000).map(|region| region.area());
    for order in [RunOrder::Columns, RunOrder::Rows] {
        assert_eq!(of(&[(0, 3), (3, 37)], order), Ok(40));
        assert_eq!(of(&[(5, 36)], order), Err(RegionError::PastTheEnd { end: 41, pixels: 40 }));
        assert!(matches!(of(&[(5, u64::MAX)], order), Err(RegionError::PastTheEnd { .. })));
        assert_eq!(of(&[(5, 3), (7, 1)], order), Err(RegionError::Disorder));
        assert_eq!(of(&[], order), Ok(0));
    }
    assert_eq!(Region::of_runs(&[(0, 40)], RunOrder::Rows, (10, 4), &mut 39), Err(RegionError::TooLong));
    assert!(matches!(Region::of_rows(&[(4, 0, 1)], (10, 4), &mut 99), Err(RegionError::Outside { .. })));
    assert!(matches!(Region::of_rows(&[(0, 5, 11)], (10, 4), &mut 99), Err(RegionError::Outside { .. })));
}
