//! Pictures of many images for people: strips of thumbnails with captions, and grids of tiles with labels.

use image::{Rgb, RgbImage, imageops};

use crate::text::{self, LETTER_WIDTH, LINE_HEIGHT};

/// Side of a thumbnail, px.
const TILE: u32 = 128;
/// Space between and around thumbnails, px.
const GAP: u32 = 8;
/// Height of a line of text, px.
const LINE: u32 = 18;

/// A heading and the thumbnails below it.
#[derive(Debug)]
pub struct Strip {
    /// Heading, cut to the width of the sheet.
    pub title: String,
    /// Images of any size, and the caption below each; each of its lines is cut to the width of a thumbnail.
    pub tiles: Vec<(RgbImage, String)>,
}

/// Draws the strips below each other, `columns` thumbnails wide; images are shrunk or enlarged to thumbnails, their shape kept.
pub fn strips(strips: &[Strip], columns: u32) -> RgbImage {
    let width = GAP + columns * (TILE + GAP);
    let strip_height = |strip: &Strip| {
        let rows = (strip.tiles.len() as u32).div_ceil(columns);
        LINE + rows * row_height(strip) + GAP
    };
    let height = GAP + strips.iter().map(strip_height).sum::<u32>();
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([250; 3]));
    let mut top = GAP;
    for strip in strips {
        text::write(&mut sheet, GAP, top, &text::cut_to(&strip.title, width - 2 * GAP));
        for (index, (tile, caption)) in strip.tiles.iter().enumerate() {
            let index = index as u32;
            let x = GAP + index % columns * (TILE + GAP);
            let y = top + LINE + index / columns * row_height(strip);
            let small = fitted(tile);
            let (dx, dy) = ((TILE - small.width()) / 2, (TILE - small.height()) / 2);
            imageops::replace(&mut sheet, &small, i64::from(x + dx), i64::from(y + dy));
            for (number, line) in (0..).zip(caption.lines()) {
                text::write(&mut sheet, x, y + TILE + number * LINE, &text::cut_to(line, TILE));
            }
        }
        top += strip_height(strip);
    }
    sheet
}

/// Height of a row of thumbnails with their captions and the gap below, px.
fn row_height(strip: &Strip) -> u32 {
    let lines = strip.tiles.iter().map(|(_, caption)| caption.lines().count()).max();
    TILE + LINE * lines.unwrap_or(1).max(1) as u32 + GAP
}

/// The image at most [`TILE`] wide and high, its shape kept.
fn fitted(image: &RgbImage) -> RgbImage {
    let longer = image.width().max(image.height()).max(1);
    let side = |length: u32| (length * TILE).div_ceil(longer).clamp(1, TILE);
    imageops::resize(image, side(image.width()), side(image.height()), imageops::FilterType::Triangle)
}

/// Draws tiles of one size in rows of `columns`, each below its label, on white.
///
/// Columns are as wide as the longest label, where that is wider than a tile.
pub fn labelled_grid(tiles: &[(String, RgbImage)], columns: u32) -> RgbImage {
    const GAP: u32 = 4;
    let (tile_width, tile_height) = tiles.first().map_or((0, 0), |(_, tile)| tile.dimensions());
    let longest = tiles.iter().map(|(label, _)| label.chars().count() as u32).max().unwrap_or(0);
    let (across, down) = (tile_width.max(longest * LETTER_WIDTH) + GAP, tile_height + GAP + LINE_HEIGHT);
    let rows = (tiles.len() as u32).div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(columns * across + GAP, rows * down + GAP, Rgb([255; 3]));
    for (index, (label, tile)) in (0..).zip(tiles) {
        let (x, y) = (GAP + index % columns * across, GAP + index / columns * down);
        text::write(&mut sheet, x, y, label);
        imageops::replace(&mut sheet, tile, i64::from(x), i64::from(y + LINE_HEIGHT));
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_holds_every_tile_and_its_caption() {
        let tile = RgbImage::from_pixel(300, 150, Rgb([200, 0, 0]));
        let strip = Strip { title: "a source".into(), tiles: vec![(tile, "burr cell, and much more text".into()); 5] };
        let sheet = strips(&[strip], 4);
        assert_eq!(sheet.dimensions(), (8 + 4 * 136, 8 + 18 + 2 * (128 + 18 + 8) + 8));
        let red = |x, y| sheet.get_pixel(x, y)[1] < 10 && sheet.get_pixel(x, y)[0] > 190;
        assert!(red(8 + 64, 26 + 64) && red(8 + 3 * 136 + 64, 26 + 64) && red(8 + 64, 26 + 154 + 64));
        assert!(!red(8 + 136 + 64, 26 + 154 + 64), "there are five tiles only");
        let dark = (8..136)
            .flat_map(|x| (26 + 128..26 + 144).map(move |y| (x, y)))
            .filter(|&(x, y)| sheet.get_pixel(x, y)[0] < 100);
        assert!(dark.count() > 100, "the caption is readable");
    }

    #[test]
    fn a_caption_of_two_lines_makes_room_for_both() {
        let tile = RgbImage::from_pixel(10, 10, Rgb([200, 0, 0]));
        let strip =
            Strip { title: String::new(), tiles: vec![(tile.clone(), "rbc\nA: wbc".into()), (tile, String::new())] };
        let sheet = strips(&[strip], 2);
        assert_eq!(sheet.height(), 8 + 18 + (128 + 2 * 18 + 8) + 8);
        let second_line = (8..136).flat_map(|x| (26 + 146..26 + 162).map(move |y| (x, y)));
        assert!(second_line.filter(|&(x, y)| sheet.get_pixel(x, y)[0] < 100).count() > 50);
    }

    #[test]
    fn a_grid_is_as_wide_as_its_longest_label_and_holds_tiles_below_labels() {
        let tile = RgbImage::from_pixel(20, 10, Rgb([200, 0, 0]));
        let tiles = vec![("a long label".to_owned(), tile.clone()), (String::new(), tile.clone()), ("b".into(), tile)];
        let sheet = labelled_grid(&tiles, 2);
        let across = 12 * LETTER_WIDTH + 4;
        assert_eq!(sheet.dimensions(), (2 * across + 4, 2 * (10 + 4 + LINE_HEIGHT) + 4));
        for (x, y) in [(4, 4 + LINE_HEIGHT), (4 + across, 4 + LINE_HEIGHT), (4, 18 + 2 * LINE_HEIGHT)] {
            assert_eq!((sheet.get_pixel(x, y).0, sheet.get_pixel(x + 19, y + 9).0), ([200, 0, 0], [200, 0, 0]));
        }
        assert_eq!(labelled_grid(&[], 3).dimensions(), (16, 4));
    }
}
