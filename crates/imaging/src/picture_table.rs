//! Tables of pictures for people: a title, sentences on how to read it, and rows of pictures below captioned columns.

use image::{Rgb, RgbImage, imageops};

use crate::text::{self, LINE_HEIGHT};

/// Space between and around pictures, px.
const GAP: u32 = 8;
/// Height of a line of text, px.
const LINE: u32 = LINE_HEIGHT + 2;
/// The narrowest table, px: sentences stay readable.
const LEAST: u32 = 720;

/// A picture in a table, drawn as it is, and the lines of text below it.
#[derive(Debug, Clone)]
pub struct Tile {
    /// The picture, of any size.
    pub picture: RgbImage,
    /// Lines below it, each cut to the width of a column.
    pub caption: Vec<String>,
}

/// A row of pictures.
#[derive(Debug, Clone)]
pub struct Row {
    /// A line above the pictures; nothing is drawn where it is empty.
    pub heading: String,
    /// The pictures from left to right.
    pub tiles: Vec<Tile>,
}

/// A table of pictures; [`PictureTable::draw`] makes it an image.
#[derive(Debug, Clone)]
pub struct PictureTable {
    /// The first line.
    pub title: String,
    /// Sentences below it, broken into lines.
    pub notes: Vec<String>,
    /// A line above each column.
    pub columns: Vec<String>,
    /// The rows from top to bottom.
    pub rows: Vec<Row>,
}

impl PictureTable {
    /// The table on white. Columns are as wide as the widest picture.
    pub fn draw(&self) -> RgbImage {
        let tiles = || self.rows.iter().flat_map(|row| &row.tiles);
        let across = GAP + tiles().map(|tile| tile.picture.width()).max().unwrap_or(0);
        let columns = self.rows.iter().map(|row| row.tiles.len()).chain([self.columns.len()]).max().unwrap_or(0);
        let width = (GAP + columns as u32 * across).max(LEAST);
        let notes: Vec<String> = self.notes.iter().flat_map(|note| text::lines(note, width - 2 * GAP)).collect();
        let head = GAP + LINE * (notes.len() as u32 + 1) + GAP + if self.columns.is_empty() { 0 } else { LINE };
        let height = head + self.rows.iter().map(Row::height).sum::<u32>() + GAP;
        let mut sheet = RgbImage::from_pixel(width, height, Rgb([255; 3]));
        for (line, words) in (0..).zip([text::cut_to(&self.title, width - 2 * GAP)].iter().chain(&notes)) {
            text::write(&mut sheet, GAP, GAP + line * LINE, words);
        }
        for (column, name) in (0..).zip(&self.columns) {
            text::write(&mut sheet, GAP + column * across, head - LINE, &text::cut_to(name, across - GAP));
        }
        let mut top = head;
        for row in &self.rows {
            row.draw(&mut sheet, top, across);
            top += row.height();
        }
        sheet
    }
}

impl Row {
    /// Height of the line above the pictures, px.
    fn head(&self) -> u32 {
        if self.heading.is_empty() { 0 } else { LINE }
    }

    /// Height of the tallest picture, px.
    fn tallest(&self) -> u32 {
        self.tiles.iter().map(|tile| tile.picture.height()).max().unwrap_or(0)
    }

    fn height(&self) -> u32 {
        let lines = self.tiles.iter().map(|tile| tile.caption.len()).max().unwrap_or(0);
        self.head() + self.tallest() + lines as u32 * LINE + GAP
    }

    fn draw(&self, sheet: &mut RgbImage, top: u32, across: u32) {
        let heading = text::cut_to(&self.heading, sheet.width() - 2 * GAP);
        text::write(sheet, GAP, top, &heading);
        let (top, below) = (top + self.head(), top + self.head() + self.tallest());
        for (column, tile) in (0..).zip(&self.tiles) {
            let left = GAP + column * across;
            imageops::replace(sheet, &tile.picture, i64::from(left), i64::from(top));
            for (line, words) in (0..).zip(&tile.caption) {
                text::write(sheet, left, below + line * LINE, &text::cut_to(words, across - GAP));
            }
        }
    }
}

/// Each pixel as a square of `times` by `times` pixels, without smoothing.
pub fn enlarged(image: &RgbImage, times: u32) -> RgbImage {
    RgbImage::from_fn(image.width() * times, image.height() * times, |x, y| *image.get_pixel(x / times, y / times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_squares_of_one_colour() {
        let image = RgbImage::from_fn(3, 2, |x, y| Rgb([(x * 80) as u8, (y * 200) as u8, 7]));
        let large = enlarged(&image, 5);
        assert_eq!(large.dimensions(), (15, 10));
        assert!(large.enumerate_pixels().all(|(x, y, pixel)| pixel == image.get_pixel(x / 5, y / 5)));
    }

    #[test]
    fn pictures_stand_in_columns_and_text_has_its_own_lines() {
        let tile = |side, colour| Tile {
            picture: RgbImage::from_pixel(side, side, Rgb(colour)),
            caption: vec!["one".to_owned(), "and a second line that is cut".to_owned()],
        };
        let row = |heading: &str| Row {
            heading: heading.to_owned(),
            tiles: vec![tile(100, [250, 0, 0]), tile(40, [0, 0, 250])],
        };
        let table = PictureTable {
            title: "a title".to_owned(),
            notes: vec!["a sentence ".repeat(20)],
            columns: vec!["left".to_owned(), "right".to_owned()],
            rows: vec![row("first"), row("")],
        };
        let sheet = table.draw();
        // 219 letters are three lines of 88.
        let head = 8 + 4 * 18 + 8 + 18;
        assert_eq!(sheet.dimensions(), (720, head + 2 * (100 + 2 * 18 + 8) + 18 + 8));
        let first = head + 18;
        for top in [first, first + 144] {
            assert_eq!(sheet.get_pixel(8, top).0, [250, 0, 0]);
            assert_eq!(sheet.get_pixel(107, top + 99).0, [250, 0, 0]);
            assert_eq!(sheet.get_pixel(116, top).0, [0, 0, 250]);
            assert_eq!(sheet.get_pixel(116, top + 40).0, [255; 3]);
            let ink = |from: u32| (from..from + 16).any(|y| (8..100).any(|x| sheet.get_pixel(x, y)[0] < 100));
            assert!(ink(top + 100) && ink(top + 118), "both lines of the caption");
        }
        assert_eq!(table.draw(), sheet);
    }
}
