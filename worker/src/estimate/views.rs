//! How many cores the augmentation takes, by what one core of this machine does.

use anyhow::{Context, Result};
use augment::{Recipe, ViewKey, views};
use imaging::RgbImage;
use run_spec::config::TrainConfig;

use super::Span;
use crate::timing::busy_s;

/// Images that are made into views to see how long that takes.
const IMAGES: u64 = 8;
/// Side of a patch as sets hold it.
const SIDE: u32 = 224;

/// Cores that make the views of so many images a second.
pub(super) fn cores(config: &TrainConfig, images_per_s: Span) -> Result<Span> {
    let recipe = Recipe::new(config)?;
    let pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let image = RgbImage::from_raw(SIDE, SIDE, pixels).context("an image of that size")?;
    let began = busy_s();
    for draw in 0..IMAGES {
        views(image.clone(), &recipe, ViewKey { seed: config.seed, draw })?;
    }
    let seconds = (busy_s() - began) / IMAGES as f64;
    Ok(images_per_s.map(|images| images * seconds))
}
