//! LabelFormat on sheets.

use image::RgbImage;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Width of a letter in pixels; all are equally wide.
pub(crate) const LETTER_WIDTH: u32 = get_raster_width(FontWeight::Regular, RasterHeight::Size16) as u32;
/// Height of a line in pixels.
pub(crate) const LINE_HEIGHT: u32 = RasterHeight::Size16.val() as u32;

/// Writes `text` from (`left`, `top`), dark on what lies below. What lies outside the image, or in no font, is left out.
pub(crate) fn write(image: &mut RgbImage, text: &str, left: u32, top: u32) {
    for (k, letter) in (0u32..).zip(text.chars()) {
        let Some(glyph) = get_raster(letter, FontWeight::Regular, RasterHeight::Size16) else { continue };
        for (y, row) in (top..).zip(glyph.rows()) {
            for (x, ink) in (left + k * LETTER_WIDTH..).zip(row.iter()) {
                if x < image.width() && y < image.height() {
                    let pixel = image.get_pixel_mut(x, y);
                    pixel.0 = pixel.0.map(|paper| (u16::from(paper) * u16::from(255 - ink) / 255) as u8);
                }
            }
        }
    }
}
