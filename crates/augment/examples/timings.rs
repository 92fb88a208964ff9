//! How long each transform and a whole set of views take: `cargo run -p augment --example timings [SIDE]`.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::time::Instant;

use augment::{ALL_33, Image, Op, Recipe, ViewKey, views};
use run_spec::config::{Interpolation, Pipeline, TrainConfig};
use run_spec::seed::stream;

/// Milliseconds of one call, the mean of `n`.
fn time(n: u64, mut call: impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    (0..n).for_each(&mut call);
    start.elapsed().as_secs_f64() * 1e3 / n as f64
}

fn main() -> Result<(), augment::AugmentError> {
    let side: usize = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(224);
    let data = (0..side * side * 3).map(|i| (140 + i % 37 - (i / 97) % 90) as u8).collect();
    let image = Image::new(side, side, data)?;
    for name in ALL_33 {
        let op = Op::named(name)?;
        let ms = time(20, |i| {
            let params = op.draw(&image, &mut stream(i, "timings", &[]));
            op.apply(&params, image.clone());
        });
        println!("{name:<26}{ms:8.3} ms");
    }
    for (pipeline, interpolation) in
        [(Pipeline::Albumentations, Interpolation::Bilinear), (Pipeline::Dinov2, Interpolation::Bicubic)]
    {
        let mut config = TrainConfig::default();
        config.augmentation.pipeline = pipeline;
        config.crops.interpolation = interpolation;
        config.crops.global_size = side as i64 / 2;
        let recipe = Recipe::new(&config)?;
        let ms = time(100, |draw| drop(views(&image, &recipe, ViewKey { seed: 0, draw })));
        println!("{pipeline}: two views of {0} x {0}: {ms:.3} ms", side / 2);
    }
    Ok(())
}
