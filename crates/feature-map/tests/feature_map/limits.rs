//! Features at the limits of what a map can show.

use feature_map::umap::{Place, Settings, Umap, fit};
use feature_map::{MapError, Points};
use run_spec::seed::stream;

fn random(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut draws = stream(seed, "test", &[]);
    (0..rows * dim).map(|_| draws.normal() as f32).collect()
}

/// The map of `data`, all of whose places are finite.
fn map(dim: usize, data: &[f32]) -> Umap {
    let map = fit(Points::new(dim, data).unwrap(), &Settings::default()).unwrap();
    assert_eq!(map.places().len(), data.len() / dim);
    assert!(map.places().as_flattened().iter().all(|v| v.is_finite()));
    map
}

fn distance(a: Place, b: Place) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

fn mean_distance(a: &[Place], b: &[Place]) -> f32 {
    let all = a.iter().flat_map(|&a| b.iter().map(move |&b| distance(a, b)));
    all.sum::<f32>() / (a.len() * b.len()) as f32
}

#[test]
fn a_map_needs_a_row() {
    let none = Points::new(3, &[]).unwrap();
    assert!(matches!(fit(none, &Settings::default()), Err(MapError::TooFewRows { needed: 1, rows: 0, .. })));
    let map = map(3, &[1.0, 2.0, 3.0]);
    assert!(distance(map.places()[0], [0.0, 0.0]) < 0.01);
    assert!(map.transform(none).unwrap().is_empty());
    let near = map.transform(Points::new(3, &[1.0, 2.0, 4.0]).unwrap()).unwrap();
    assert!(near[0].iter().all(|v| v.is_finite()));
}

#[test]
fn a_few_rows_get_places_of_their_own() {
    for rows in 2..16 {
        let data = random(rows, 4, rows as u64);
        let places = map(4, &data).places().to_vec();
        for (i, &a) in places.iter().enumerate() {
            assert!(places[..i].iter().all(|&b| distance(a, b) > 1e-3), "{rows} rows: {places:?}");
        }
    }
}

#[test]
fn one_feature_and_one_group_can_be_mapped() {
    map(1, &random(100, 1, 1));
    map(8, &random(200, 8, 2));
}

#[test]
fn constant_features_spread_around_one_place() {
    let map = map(5, &[0.1; 5 * 60]);
    let places = map.places();
    assert!(places.iter().all(|&a| places.iter().all(|&b| distance(a, b) < 60.0)), "{places:?}");
    assert!(places.iter().any(|&a| distance(a, places[0]) > 0.01), "not all at one place");
}

#[test]
fn many_copies_stay_together_and_apart_from_other_rows() {
    let (one, other) = (random(1, 6, 1), random(1, 6, 2));
    let data = [one.repeat(100), other.repeat(40), random(100, 6, 3)].concat();
    let map = map(6, &data);
    let (copies, others) = (&map.places()[..100], &map.places()[100..140]);
    assert!(mean_distance(copies, copies) < mean_distance(copies, others) / 2.0);
    // A new copy lands among its like.
    let new = map.transform(Points::new(6, &one).unwrap()).unwrap();
    assert!(mean_distance(&new, copies) < mean_distance(&new, others) / 2.0);
}

#[test]
fn groups_of_features_are_groups_on_the_map_and_new_rows_join_theirs() {
    let mut data = random(300, 10, 1);
    data.iter_mut().enumerate().for_each(|(i, v)| *v += 8.0 * (i / 10 % 3) as f32);
    let map = map(10, &data[..270 * 10]);
    let new = map.transform(Points::new(10, &data[270 * 10..]).unwrap()).unwrap();
    let group = |of: usize| map.places().iter().skip(of).step_by(3).copied().collect::<Vec<_>>();
    for (i, place) in new.iter().enumerate() {
        let to = |of| mean_distance(&[*place], &group(of));
        assert!((0..3).filter(|&of| of != i % 3).all(|of| to(i % 3) < to(of) / 2.0), "row {i}");
    }
}

#[test]
fn the_unit_of_features_changes_nothing() {
    // By a power of two, so that no product rounds otherwise.
    let data = random(150, 6, 1);
    let scaled: Vec<f32> = data.iter().map(|v| v * 2f32.powi(-60)).collect();
    assert_eq!(map(6, &data).places(), map(6, &scaled).places());
}

#[test]
fn settings_out_of_range_are_refused() {
    let data = random(20, 3, 1);
    let with = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        fit(Points::new(3, &data).unwrap(), &settings)
    };
    for change in [
        (|s| s.neighbours = 1) as fn(&mut Settings),
        |s| s.min_dist = -0.1,
        |s| s.min_dist = 1.1,
        |s| s.min_dist = f64::NAN,
        |s| s.spread = 0.0,
        |s| s.spread = f64::INFINITY,
        |s| s.epochs = Some(0),
    ] {
        assert!(matches!(with(change), Err(MapError::Setting { .. })));
    }
    assert!(with(|s| s.negatives = 0).is_ok());
    assert!(with(|s| s.epochs = Some(1)).is_ok());
    let fitted = fit(Points::new(3, &data).unwrap(), &Settings::default()).unwrap();
    assert!(matches!(fitted.transform(Points::new(4, &data).unwrap()), Err(MapError::Mismatch { .. })));
}
