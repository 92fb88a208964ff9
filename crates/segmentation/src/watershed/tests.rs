use image::Rgb;
use imaging::RgbImage;

use super::plane::{otsu, squared_distance};
use super::*;

/// Red discs (x, y, radius) with pale centres on a field whose light falls off to one side.
fn smear(width: u32, height: u32, discs: &[(f32, f32, f32)]) -> RgbImage {
    lit(width, height, discs, 0.15)
}

/// As [`smear`], with `fall_off` of the light gone at the right edge.
fn lit(width: u32, height: u32, discs: &[(f32, f32, f32)], fall_off: f32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let light = 1.0 - fall_off * x as f32 / width as f32;
        let nearest =
            discs.iter().map(|(cx, cy, radius)| (x as f32 - cx).hypot(y as f32 - cy) / radius).fold(f32::MAX, f32::min);
        let green = match nearest {
            near if near < 0.35 => 222.0,
            near if near < 1.0 => 150.0,
            _ => 230.0,
        };
        Rgb([(220.0 * light) as u8, (green * light) as u8, (210.0 * light) as u8])
    })
}

#[test]
fn cells_in_uneven_light_are_found_whole_with_their_pale_centres() {
    let discs =
        [(50.0, 50.0, 24.0), (150.0, 60.0, 20.0), (250.0, 55.0, 26.0), (60.0, 150.0, 22.0), (240.0, 150.0, 24.0)];
    let cells = segment(&smear(300, 200, &discs), &SegmentOptions::for_diameter(48.0));
    assert_eq!(cells.len(), discs.len(), "{:?}", cells.iter().map(|cell| cell.centre).collect::<Vec<_>>());
    for (x, y, radius) in discs {
        let cell = cells.iter().find(|cell| cell.contains(x as u32, y as u32)).expect("the centre is inside");
        let area = std::f64::consts::PI * f64::from(radius * radius);
        assert!((f64::from(cell.area) / area - 1.0).abs() < 0.12, "{} px for {area}", cell.area);
        assert!((cell.centre.0 - f64::from(x)).hypot(cell.centre.1 - f64::from(y)) < 1.0, "{:?}", cell.centre);
        assert!(cell.circularity > 0.85 && !cell.at_edge, "{}", cell.circularity);
    }
}

#[test]
fn touching_cells_are_parted_and_a_long_one_is_not() {
    let two =
        segment(&smear(200, 120, &[(70.0, 60.0, 24.0), (112.0, 60.0, 24.0)]), &SegmentOptions::for_diameter(48.0));
    assert_eq!(two.len(), 2);
    assert!(two[0].contains(60, 60) && two[1].contains(122, 60) || two[1].contains(60, 60) && two[0].contains(122, 60));
    let chain: Vec<(f32, f32, f32)> = (0..30).map(|step| (70.0 + 1.5 * step as f32, 60.0, 20.0)).collect();
    let image = RgbImage::from_fn(200, 120, |x, y| {
        let inside = chain.iter().any(|(cx, cy, radius)| (x as f32 - cx).hypot(y as f32 - cy) < *radius);
        Rgb([200, if inside { 120 } else { 230 }, 200])
    });
    assert_eq!(segment(&image, &SegmentOptions::for_diameter(48.0)).len(), 1, "an elliptocyte is one cell");
}

#[test]
fn the_black_around_a_round_field_is_no_cell_and_hides_none() {
    let discs: Vec<(f32, f32, f32)> =
        (0..16).map(|at| (110.0 + 60.0 * (at % 4) as f32, 110.0 + 60.0 * (at / 4) as f32, 20.0)).collect();
    let mut random = run_spec::seed::stream(5, "eyepiece", &[]);
    let field = lit(400, 400, &discs, 0.0);
    // The light falls off over some ten pixels, and the black is not quite black.
    let round = RgbImage::from_fn(400, 400, |x, y| {
        let apart = (x as f32 - 200.0).hypot(y as f32 - 200.0);
        let light = ((195.0 - apart) / 10.0).clamp(0.03, 1.0);
        field.get_pixel(x, y).0.map(|value| (f32::from(value) * light) as u8 + random.below(5) as u8).into()
    });
    let cells = segment(&round, &SegmentOptions::for_diameter(40.0));
    assert_eq!(cells.len(), discs.len(), "{:?}", cells.iter().map(|cell| cell.centre).collect::<Vec<_>>());
    for (x, y, _) in &discs {
        assert!(cells.iter().any(|cell| cell.contains(*x as u32, *y as u32)), "({x}, {y})");
    }
    // A band along one edge is no cell either, and a dark cell at the edge is one.
    let band = RgbImage::from_fn(400, 400, |x, y| if x < 60 { Rgb([4, 2, 6]) } else { *field.get_pixel(x, y) });
    assert_eq!(segment(&band, &SegmentOptions::for_diameter(40.0)).len(), discs.len());
    let mut nucleus = field.clone();
    for (x, y) in (0..30).flat_map(|x| (180..220).map(move |y| (x, y))) {
        nucleus.put_pixel(x, y, Rgb([70, 30, 120]));
    }
    assert_eq!(segment(&nucleus, &SegmentOptions::for_diameter(40.0)).len(), discs.len() + 1);
}

#[test]
fn an_empty_field_noise_and_dirt_are_no_cells() {
    let rule = SegmentOptions::for_diameter(48.0);
    assert!(segment(&RgbImage::from_pixel(100, 80, Rgb([230; 3])), &rule).is_empty());
    let mut random = run_spec::seed::stream(3, "empty-field", &[]);
    let noise = RgbImage::from_fn(200, 160, |_, _| Rgb([(225 + random.below(7)) as u8; 3]));
    assert!(segment(&noise, &rule).is_empty());
    // In even light: an almost empty field in uneven light is divided by its light (docs/source-details.md).
    assert!(segment(&lit(200, 160, &[(100.0, 80.0, 6.0)], 0.0), &rule).is_empty(), "a platelet is not a red cell");
    assert!(segment(&RgbImage::new(1, 1), &rule).is_empty());
    assert!(segment(&RgbImage::new(0, 0), &rule).is_empty());
}

#[test]
fn a_cell_at_the_edge_says_so_and_its_mask_reads_back() {
    let cells =
        segment(&smear(160, 120, &[(0.0, 60.0, 24.0), (100.0, 60.0, 24.0)]), &SegmentOptions::for_diameter(48.0));
    assert_eq!(cells.len(), 2);
    let (edge, whole) = if cells[0].at_edge { (&cells[0], &cells[1]) } else { (&cells[1], &cells[0]) };
    assert!(edge.at_edge && edge.x == 0 && !whole.at_edge);
    let mut mask = Vec::new();
    for (index, run) in whole.runs().split(' ').enumerate() {
        mask.extend(std::iter::repeat_n(index % 2 == 1, run.parse::<usize>().expect("a run")));
    }
    assert_eq!(mask, whole.mask);
    assert_eq!(mask.iter().filter(|inside| **inside).count(), whole.area as usize);
}

/// Values of SciPy and scikit-image; tests/golden/make_segment.py.
#[test]
fn distances_thresholds_and_perimeters_are_those_of_scipy_and_scikit_image() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/segment.json")).expect("golden file");
    for case in golden["masks"].as_array().expect("masks") {
        let rows: Vec<&str> =
            case["rows"].as_array().expect("rows").iter().map(|row| row.as_str().expect("text")).collect();
        let (width, height) = (rows[0].len(), rows.len());
        let mask: Vec<bool> = rows.iter().flat_map(|row| row.chars()).map(|c| c == '#').collect();
        let seen = squared_distance(&mask, width, height);
        let expected =
            case["squared_distance"].as_array().expect("distances").iter().map(|v| v.as_f64().expect("number") as f32);
        assert!(seen.iter().copied().eq(expected), "{}", case["name"]);
        let perimeter = crate::cell::perimeter(&mask, width, height);
        let expected = case["perimeter"].as_f64().expect("number");
        assert!((perimeter - expected).abs() < 1e-9, "{}: {perimeter} is not {expected}", case["name"]);
    }
    for case in golden["thresholds"].as_array().expect("thresholds") {
        let values: Vec<f32> =
            case["values"].as_array().expect("values").iter().map(|v| v.as_f64().expect("number") as f32).collect();
        let (threshold, ..) = otsu(&values).expect("values differ");
        let expected = case["otsu"].as_f64().expect("number") as f32;
        assert!((threshold - expected).abs() < 1e-4, "{threshold} is not {expected}");
    }
}
