//! A picture of a shard set: some labelled rows of each source, to be looked at by a person.

use image::{Rgb, RgbImage, imageops};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Side of a thumbnail, px.
const TILE: u32 = 128;
/// Space between and around thumbnails, px.
const GAP: u32 = 8;
/// Height of a line of text, px.
const LINE: u32 = 18;

/// A source's line of thumbnails.
#[derive(Debug)]
pub(crate) struct Strip {
    /// Heading: name, rows, licence.
    pub(crate) title: String,
    /// Thumbnails and what is written below them.
    pub(crate) tiles: Vec<(RgbImage, String)>,
}

/// Draws the strips below each other, `columns` thumbnails wide.
pub(crate) fn draw(strips: &[Strip], columns: u32) -> RgbImage {
    let width = GAP + columns * (TILE + GAP);
    let strip_height = |strip: &Strip| {
        let rows = (strip.tiles.len() as u32).div_ceil(columns);
        LINE + rows * (TILE + LINE + GAP) + GAP
    };
    let height = GAP + strips.iter().map(strip_height).sum::<u32>();
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([250; 3]));
    let mut top = GAP;
    for strip in strips {
        write(&mut sheet, GAP, top, &strip.title, width - 2 * GAP);
        for (index, (tile, caption)) in strip.tiles.iter().enumerate() {
            let index = index as u32;
            let x = GAP + index % columns * (TILE + GAP);
            let y = top + LINE + index / columns * (TILE + LINE + GAP);
            let small = fitted(tile);
            let (dx, dy) = ((TILE - small.width()) / 2, (TILE - small.height()) / 2);
            imageops::replace(&mut sheet, &small, i64::from(x + dx), i64::from(y + dy));
            write(&mut sheet, x, y + TILE, caption, TILE);
        }
        top += strip_height(strip);
    }
    sheet
}

/// The image at most [`TILE`] wide and high, its shape kept.
fn fitted(image: &RgbImage) -> RgbImage {
    let longer = image.width().max(image.height()).max(1);
    let side = |length: u32| (length * TILE).div_ceil(longer).clamp(1, TILE);
    imageops::resize(image, side(image.width()), side(image.height()), imageops::FilterType::Triangle)
}

/// Writes a line of text, dark on what lies below, cut at `width` px. Letters that the font lacks become `?`.
fn write(sheet: &mut RgbImage, left: u32, top: u32, text: &str, width: u32) {
    let step = get_raster_width(FontWeight::Regular, RasterHeight::Size16) as u32;
    let room = (width / step) as usize;
    let mut letters: Vec<char> = text.chars().take(room + 1).collect();
    if letters.len() > room {
        letters.truncate(room.saturating_sub(2));
        letters.extend(['.', '.']);
    }
    for (index, letter) in letters.into_iter().enumerate() {
        let raster = |letter| get_raster(letter, FontWeight::Regular, RasterHeight::Size16);
        let Some(glyph) = raster(letter).or_else(|| raster('?')) else { continue };
        for (dy, row) in glyph.rows().enumerate() {
            for (dx, &ink) in row.iter().enumerate() {
                let (x, y) = (left + index as u32 * step + dx as u32, top + dy as u32);
                if ink > 0 && x < sheet.width() && y < sheet.height() {
                    let pixel = sheet.get_pixel_mut(x, y);
                    pixel.0 = pixel.0.map(|paper| (u16::from(paper) * u16::from(255 - ink) / 255) as u8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_holds_every_tile_and_its_caption() {
        let tile = RgbImage::from_pixel(300, 150, Rgb([200, 0, 0]));
        let strip = Strip { title: "a source".into(), tiles: vec![(tile, "burr cell, and much more text".into()); 5] };
        let sheet = draw(&[strip], 4);
        assert_eq!(sheet.dimensions(), (8 + 4 * 136, 8 + 18 + 2 * (128 + 18 + 8) + 8));
        let red = |x, y| sheet.get_pixel(x, y)[1] < 10 && sheet.get_pixel(x, y)[0] > 190;
        assert!(red(8 + 64, 26 + 64) && red(8 + 3 * 136 + 64, 26 + 64) && red(8 + 64, 26 + 154 + 64));
        assert!(!red(8 + 136 + 64, 26 + 154 + 64), "there are five tiles only");
        let dark = (8..136)
            .flat_map(|x| (26 + 128..26 + 144).map(move |y| (x, y)))
            .filter(|&(x, y)| sheet.get_pixel(x, y)[0] < 100);
        assert!(dark.count() > 100, "the caption is readable");
    }
}
