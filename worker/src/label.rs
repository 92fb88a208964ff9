//! Labels on a picture.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Pixels from one letter to the next.
pub(crate) const PITCH: usize = get_raster_width(FontWeight::Regular, RasterHeight::Size16);
/// Rows of pixels that a label takes.
pub(crate) const HEIGHT: usize = RasterHeight::Size16.val();

/// Calls `dot` with column, row and ink (0 to 255) of each inked pixel of `text`; letters that the font lacks stay blank.
pub(crate) fn write(text: &str, mut dot: impl FnMut(usize, usize, u8)) {
    for (i, letter) in text.chars().enumerate() {
        let Some(glyph) = get_raster(letter, FontWeight::Regular, RasterHeight::Size16) else { continue };
        for (y, row) in glyph.rows().enumerate() {
            for (x, ink) in row.iter().enumerate().filter(|(_, ink)| **ink > 0) {
                dot(i * PITCH + x, y, *ink);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_stays_in_its_place() {
        let mut columns = Vec::new();
        write("I\u{4e00}l", |x, y, _| {
            assert!(y < HEIGHT);
            columns.push(x / PITCH);
        });
        columns.dedup();
        columns.sort_unstable();
        columns.dedup();
        assert_eq!(columns, [0, 2], "the font lacks the second letter");
    }
}
