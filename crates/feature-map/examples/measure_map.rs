//! Maps a file of features, and measures a map: what `make measure-map` runs beside umap-learn.
//!
//! ```text
//! measure_map fit FEATURES DIM SEED PLACES [NEW]   places of the rows of FEATURES, then those of NEW on the same map
//! measure_map quality FEATURES DIM PLACES          trustworthiness and continuity, 15 neighbours, at most 5,000 rows asked
//! ```
//!
//! Files hold rows of little-endian f32 values: DIM of them in FEATURES and NEW, two in PLACES. What was found is printed as a
//! line of JSON.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use feature_map::{Points, quality, umap};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let report = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["fit", features, dim, seed, places, new @ ..] => fit(features, dim.parse()?, seed.parse()?, places, new)?,
        ["quality", features, dim, places] => measure(features, dim.parse()?, places)?,
        _ => return Err("give `fit FEATURES DIM SEED PLACES [NEW]` or `quality FEATURES DIM PLACES`".into()),
    };
    Ok(writeln!(std::io::stdout(), "{report}")?)
}

fn fit(features: &str, dim: usize, seed: u64, places: &str, new: &[&str]) -> Result<Value, Box<dyn Error>> {
    let features = values(features)?;
    let start = Instant::now();
    let map = umap::fit(Points::new(dim, &features)?, &umap::Settings { seed, ..umap::Settings::default() })?;
    let fit_s = start.elapsed().as_secs_f64();
    let mut all = map.places().to_vec();
    let start = Instant::now();
    for new in new {
        all.extend(map.transform(Points::new(dim, &values(new)?)?)?);
    }
    let transform_s = start.elapsed().as_secs_f64();
    std::fs::write(places, all.as_flattened().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(json!({"fit_s": fit_s, "transform_s": transform_s}))
}

fn measure(features: &str, dim: usize, places: &str) -> Result<Value, Box<dyn Error>> {
    let (features, places) = (values(features)?, values(places)?);
    let settings = quality::Settings { at_most: 5_000, ..quality::Settings::default() };
    let found = quality::measure(Points::new(dim, &features)?, places.as_chunks::<2>().0, &settings)?;
    Ok(json!({"trustworthiness": found.trustworthiness, "continuity": found.continuity}))
}

/// The values of a file.
fn values(path: &str) -> Result<Vec<f32>, std::io::Error> {
    Ok(std::fs::read(path)?.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
