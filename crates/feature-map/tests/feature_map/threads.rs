//! The same features and seed give the same map to the bit, whatever runs beside.

use feature_map::umap::{Place, Settings, Umap, fit};
use feature_map::{Points, pca::Pca, quality};
use run_spec::seed::stream;

const DIM: usize = 70;

fn random(rows: usize, seed: u64) -> Vec<f32> {
    let mut draws = stream(seed, "test", &[]);
    (0..rows * DIM).map(|i| draws.normal() as f32 + (i / DIM % 3) as f32).collect()
}

fn on<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn bits(places: &[Place]) -> Vec<u32> {
    places.as_flattened().iter().map(|v| v.to_bits()).collect()
}

fn map(rows: usize, seed: u64) -> Umap {
    let features = random(rows, 1);
    fit(Points::new(DIM, &features).unwrap(), &Settings { seed, epochs: Some(60), ..Settings::default() }).unwrap()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (features, new) = (random(900, 1), random(300, 2));
    let points = Points::new(DIM, &features).unwrap();
    let make = || {
        let map = map(900, 7);
        let new = map.transform(Points::new(DIM, &new).unwrap()).unwrap();
        let quality = quality::measure(points, map.places(), &quality::Settings::default()).unwrap();
        let pca: Vec<u64> = Pca::fit(points, 3).unwrap().components().iter().map(|v| v.to_bits()).collect();
        (bits(map.places()), bits(&new), quality, pca)
    };
    let one = on(1, make);
    assert!(one == on(2, make), "two threads");
    assert!(one == on(3, make), "three threads");
}

#[test]
fn another_seed_gives_another_map() {
    assert_ne!(bits(map(200, 7).places()), bits(map(200, 8).places()));
}

#[test]
fn the_place_of_a_new_row_does_not_depend_on_the_others() {
    let (map, new) = (map(400, 7), random(300, 2));
    let place = |rows: &[f32]| map.transform(Points::new(DIM, rows).unwrap()).unwrap();
    let together = place(&new);
    for i in [0, 1, 255, 256, 299] {
        assert_eq!(bits(&place(&new[i * DIM..(i + 1) * DIM])), bits(&together[i..=i]), "alone");
    }
    let turned: Vec<f32> = new.chunks_exact(DIM).rev().flatten().copied().collect();
    let turned: Vec<Place> = place(&turned).into_iter().rev().collect();
    assert_eq!(bits(&turned), bits(&together), "in another order");
    assert_eq!(bits(&place(&new.repeat(2))[300..]), bits(&together), "twice");
}
