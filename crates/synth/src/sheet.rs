//! A labelled sheet: a row for each shape, a column for each source of the evaluation set.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb};
use imaging::RgbImage;
use imaging::text::{self, LETTER_WIDTH, LINE_HEIGHT};
use rayon::prelude::*;

use crate::error::SynthError;
use crate::form::Class;
use crate::optics;
use crate::plan::{DrawnSource, Scale};
use crate::scene::Scene;

/// Cells shown of each class and source.
const CELLS: usize = 4;
/// Side of a shown cell in pixels.
const TILE: u32 = 84;
const GAP: u32 = 4;
const LEFT: u32 = 14 * LETTER_WIDTH;
const TOP: u32 = 64;
/// Fields looked at for a source before a class is left incomplete.
const FIELDS: usize = 12;

/// Draws the sheet, as PNG.
///
/// # Errors
/// None is expected: encoding to memory fails only if the image crate refuses a format it was built with.
pub(crate) fn draw(seed: u64, scale: Scale) -> Result<Vec<u8>, SynthError> {
    let sets: Vec<DrawnSource> = DrawnSource::all(scale).into_iter().filter(|set| set.evaluation.is_some()).collect();
    let columns: Vec<Vec<Vec<RgbImage>>> = sets.par_iter().map(|set| examples(set, seed, scale)).collect();
    let column_width = CELLS as u32 * (TILE + GAP) + 3 * GAP;
    let width = LEFT + sets.len() as u32 * column_width;
    let height = TOP + Class::ALL.len() as u32 * (TILE + GAP);
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([255, 255, 255]));
    text::write(&mut sheet, GAP * 2, GAP * 2, &format!("synthetic red cells, seed {seed}"));
    for (row, class) in (0u32..).zip(Class::ALL) {
        text::write(&mut sheet, GAP * 2, TOP + row * (TILE + GAP) + (TILE - LINE_HEIGHT) / 2, class.name());
    }
    for (column, (set, rows)) in (0u32..).zip(sets.iter().zip(columns)) {
        let left = LEFT + column * column_width;
        text::write(&mut sheet, left, TOP - LINE_HEIGHT - GAP, set.style.name);
        for (row, tiles) in (0u32..).zip(rows) {
            for (k, tile) in (0u32..).zip(tiles) {
                let (x, y) = (left + k * (TILE + GAP), TOP + row * (TILE + GAP));
                imageops::replace(&mut sheet, &tile, i64::from(x), i64::from(y));
            }
        }
    }
    let mut out = Cursor::new(Vec::new());
    let written = sheet.write_to(&mut out, ImageFormat::Png);
    written.map_err(|source| SynthError::Encode { what: "the labelled sheet as PNG".to_owned(), source })?;
    Ok(out.into_inner())
}

/// The first cells of each class whose crop lies inside its field.
fn examples(set: &DrawnSource, seed: u64, scale: Scale) -> Vec<Vec<RgbImage>> {
    let side = set.evaluation.map_or(TILE, |(_, side)| side);
    let mut tiles = vec![Vec::new(); Class::ALL.len()];
    for field in set.fields(scale, None).iter().take(FIELDS) {
        if tiles.iter().all(|of_class| of_class.len() >= CELLS) {
            break;
        }
        let key = field.key(seed);
        let scene = Scene::draw(field, seed);
        let exposure = optics::expose(&scene, set.style, key);
        for label in scene.labels() {
            let of_class = &mut tiles[label.class as usize];
            let (left, top) = (label.x.checked_sub(side / 2), label.y.checked_sub(side / 2));
            if let (Some(left), Some(top)) = (left, top)
                && left + side <= field.width
                && top + side <= field.height
                && of_class.len() < CELLS
            {
                let crop = RgbImage::from_fn(side, side, |x, y| {
                    let at = ((top + y) * field.width + left + x) as usize * 3;
                    Rgb([0, 1, 2].map(|channel| (exposure.rgb[at + channel] * 255.0 + 0.5) as u8))
                });
                of_class.push(imageops::resize(&crop, TILE, TILE, FilterType::CatmullRom));
            }
        }
    }
    tiles
}
