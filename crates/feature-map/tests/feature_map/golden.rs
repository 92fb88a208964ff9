//! Agreement with scikit-learn, umap-learn and zadu, whose values `tests/golden/make_map.py` wrote down.

use feature_map::pca::Pca;
use feature_map::{Points, quality, umap};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    digits: String,
    pca: Vec<PcaCase>,
    quality: Vec<QualityCase>,
    maps: Vec<MapCase>,
}

#[derive(Deserialize)]
struct PcaCase {
    features: Draw,
    mean: Vec<f64>,
    components: Vec<f64>,
    explained_variance: Vec<f64>,
    explained_variance_ratio: Vec<f64>,
    places: Vec<f64>,
}

#[derive(Deserialize)]
struct QualityCase {
    features: Draw,
    neighbours: usize,
    /// scikit-learn's.
    trustworthiness: f64,
    /// zadu's trustworthiness and continuity.
    zadu: [f64; 2],
}

#[derive(Deserialize)]
struct MapCase {
    name: String,
    /// None: the digits.
    features: Option<Draw>,
    trustworthiness: f64,
    continuity: f64,
}

#[derive(Deserialize)]
struct Draw {
    rows: usize,
    dim: usize,
    groups: u64,
    signal: i64,
    fade: usize,
    seed: u64,
}

impl Draw {
    /// `features` of make_map.py.
    fn features(&self) -> Vec<f32> {
        let (d, k) = (self.dim as u64, self.groups);
        let value = |i: u64, j: u64| {
            let group = ((bits(self.seed, 0, i) & 0xFFFF) * k) >> 16;
            let centre = (bell(self.seed, 1, group * d + j) * self.signal).div_euclid(16);
            let unit = 0.5f32.powi(18 + (j as usize * self.fade / self.dim) as i32);
            let (coarse, fine) = (bell(self.seed, 2, i * d + j), bell(self.seed, 3, i * d + j));
            ((coarse + centre) * 1024 + fine) as f32 * unit
        };
        (0..self.rows as u64).flat_map(|i| (0..d).map(move |j| value(i, j))).collect()
    }
}

fn bits(seed: u64, domain: u64, index: u64) -> u64 {
    let mut z = (seed * 1000 + domain).wrapping_mul(0xD1342543DE82EF95);
    z = z.wrapping_add((index + 1).wrapping_mul(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D049BB133111EB);
    z ^ (z >> 31)
}

fn bell(seed: u64, domain: u64, index: u64) -> i64 {
    let z = bits(seed, domain, index);
    (0..4).map(|b| (z >> (8 * b) & 255) as i64).sum::<i64>() - 510
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/map.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The largest difference, in units of the largest expected value.
fn off(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().map(|v| v.abs()).fold(0.0, f64::max);
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

#[test]
fn pca_is_scikit_learns_with_its_signs() {
    for case in golden().pca {
        let features = case.features.features();
        let dim = case.features.dim;
        let pca = Pca::fit(Points::new(dim, &features).unwrap(), case.explained_variance.len()).unwrap();
        let places = pca.transform(Points::new(dim, &features[..5 * dim]).unwrap()).unwrap();
        for (what, found, expected) in [
            ("mean", pca.mean(), &case.mean),
            ("components", pca.components(), &case.components),
            ("variance", pca.explained_variance(), &case.explained_variance),
            ("ratio", &pca.explained_variance_ratio(), &case.explained_variance_ratio),
            ("places", &places, &case.places),
        ] {
            assert!(off(found, expected) < 1e-7, "{what} of {dim} features: {}", off(found, expected));
        }
    }
}

#[test]
fn quality_is_scikit_learns_and_zadus() {
    for case in golden().quality {
        let features = case.features.features();
        let points = Points::new(case.features.dim, &features).unwrap();
        let places: Vec<umap::Place> = (0..points.rows()).map(|i| [points.row(i)[0], points.row(i)[1]]).collect();
        let settings = quality::Settings { neighbours: case.neighbours, ..quality::Settings::default() };
        let found = quality::measure(points, &places, &settings).unwrap();
        for (found, expected) in [
            (found.trustworthiness, case.trustworthiness),
            (found.trustworthiness, case.zadu[0]),
            (found.continuity, case.zadu[1]),
        ] {
            // A single rank counts for more than this.
            assert!((found - expected).abs() < 1e-9, "{found}, {expected}");
        }
    }
}

#[test]
fn maps_can_be_trusted_as_far_as_umap_learns() {
    let golden = golden();
    let digits: Vec<f32> = golden.digits.chars().map(|c| c.to_digit(17).unwrap() as f32).collect();
    for case in golden.maps {
        let (dim, features) = case.features.map_or((64, digits.clone()), |draw| (draw.dim, draw.features()));
        let points = Points::new(dim, &features).unwrap();
        let map = umap::fit(points, &umap::Settings { seed: 1, ..umap::Settings::default() }).unwrap();
        let found = quality::measure(points, map.places(), &quality::Settings::default()).unwrap();
        let off = (found.trustworthiness - case.trustworthiness, found.continuity - case.continuity);
        assert!(off.0.abs() < 0.01 && off.1.abs() < 0.01, "{}: {found:?}, off by {off:?}", case.name);
    }
}
