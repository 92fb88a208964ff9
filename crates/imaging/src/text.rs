//! Lines of text on pictures: one font of one size, whose letters are equally wide.

use image::RgbImage;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, RasterizedChar, get_raster, get_raster_width};

/// Pixels from one letter to the next.
pub const LETTER_WIDTH: u32 = get_raster_width(FontWeight::Regular, RasterHeight::Size16) as u32;
/// Rows of pixels that a line takes.
pub const LINE_HEIGHT: u32 = RasterHeight::Size16.val() as u32;

/// Writes `text` on one line from (`left`, `top`), dark on what is there. A letter that the font lacks becomes `?`; what lies outside the
/// image is left out.
pub fn write(image: &mut RgbImage, left: u32, top: u32, text: &str) {
    for (place, letter) in (0_u32..).zip(text.chars()) {
        let Some(glyph) = glyph(letter) else { continue };
        for (y, row) in (top..image.height()).zip(glyph.rows()) {
            for (x, &ink) in (left + place * LETTER_WIDTH..image.width()).zip(row.iter()) {
                let pixel = image.get_pixel_mut(x, y);
                pixel.0 = pixel.0.map(|paper| (u16::from(paper) * u16::from(255 - ink) / 255) as u8);
            }
        }
    }
}

/// The text, or as much of it as fits into `width` px with `..` behind it.
pub fn cut_to(text: &str, width: u32) -> String {
    let room = (width / LETTER_WIDTH) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(2)).chain(['.', '.']).collect()
}

/// The text in lines of at most `width` px, broken between words; a word that is wider than a line is cut.
pub fn lines(text: &str, width: u32) -> Vec<String> {
    let room = (width / LETTER_WIDTH) as usize;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut_to(word, width);
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

fn glyph(letter: char) -> Option<RasterizedChar> {
    let raster = |letter| get_raster(letter, FontWeight::Regular, RasterHeight::Size16);
    raster(letter).or_else(|| raster('?'))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn written(text: &str, side: u32) -> RgbImage {
        let mut image = RgbImage::from_pixel(side, side, Rgb([200, 100, 255]));
        write(&mut image, 2, 3, text);
        image
    }

    #[test]
    fn each_letter_stays_in_its_place_and_darkens_what_is_below() {
        let image = written("I l", 60);
        let inked = image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 != [200, 100, 255]);
        let mut places: Vec<u32> = inked
            .map(|(x, y, pixel)| {
                assert!((3..3 + LINE_HEIGHT).contains(&y) && pixel[0] <= 200 && pixel[1] <= 100);
                (x - 2) / LETTER_WIDTH
            })
            .collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places, [0, 2], "the second letter is a space");
    }

    #[test]
    fn letters_that_the_font_lacks_are_marked_and_what_lies_outside_is_left_out() {
        assert_eq!(written("\u{4e00}", 40), written("?", 40));
        assert_eq!(written("far too long a line", 4).dimensions(), (4, 4));
        assert_eq!(cut_to("burr cell", 9 * LETTER_WIDTH), "burr cell");
        assert_eq!(cut_to("burr cells", 9 * LETTER_WIDTH), "burr ce..");
        assert_eq!(cut_to("burr", 0), "..");
    }

    #[test]
    fn lines_break_between_words() {
        let of = |letters| lines(" burr cells  are spiculated ", letters * LETTER_WIDTH);
        assert_eq!(of(14), ["burr cells are", "spiculated"]);
        assert_eq!(of(10), ["burr cells", "are", "spiculated"]);
        assert_eq!(of(6), ["burr", "cells", "are", "spic.."]);
        assert!(lines("", 80).is_empty());
    }
}
