//! Writes an exposure in a source's file format.

use image::codecs::bmp::BmpEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::tiff::TiffEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::io::Cursor;

use crate::catalogue::FileFormat;
use crate::error::SynthError;
use crate::optics::Exposure;

/// The bytes of file number `index` of a source.
///
/// # Errors
/// None is expected: encoding to memory fails only if the image crate refuses a format it was built with.
pub(crate) fn encode(exposure: &Exposure, format: FileFormat, index: u64) -> Result<Vec<u8>, SynthError> {
    let (width, height) = (exposure.width, exposure.height);
    let rgb = || exposure.rgb.iter().map(|v| quantise(*v, 255.0) as u8).collect::<Vec<u8>>();
    let grey = || exposure.rgb.chunks_exact(3).map(|p| quantise(p[1], 255.0) as u8).collect::<Vec<u8>>();
    let mut out = Cursor::new(Vec::new());
    let written = match format {
        FileFormat::JpegSomePng(_) if index % 3 == 2 => {
            png(&mut out).write_image(&rgb(), width, height, ExtendedColorType::Rgb8)
        }
        FileFormat::Jpeg(quality) | FileFormat::JpegSomePng(quality) => {
            JpegEncoder::new_with_quality(&mut out, quality).write_image(&rgb(), width, height, ExtendedColorType::Rgb8)
        }
        FileFormat::JpegGrey(quality) => {
            JpegEncoder::new_with_quality(&mut out, quality).write_image(&grey(), width, height, ExtendedColorType::L8)
        }
        FileFormat::Png => png(&mut out).write_image(&rgb(), width, height, ExtendedColorType::Rgb8),
        FileFormat::PngAlpha => {
            let rgba: Vec<u8> = rgb().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
            png(&mut out).write_image(&rgba, width, height, ExtendedColorType::Rgba8)
        }
        FileFormat::PngGrey => png(&mut out).write_image(&grey(), width, height, ExtendedColorType::L8),
        FileFormat::Bmp => BmpEncoder::new(&mut out).write_image(&rgb(), width, height, ExtendedColorType::Rgb8),
        FileFormat::Tiff => TiffEncoder::new(&mut out).write_image(&rgb(), width, height, ExtendedColorType::Rgb8),
        FileFormat::Tiff16 => {
            let deep = exposure.rgb.iter().flat_map(|v| (quantise(*v, 65535.0) as u16).to_ne_bytes());
            TiffEncoder::new(&mut out).write_image(&deep.collect::<Vec<u8>>(), width, height, ExtendedColorType::Rgb16)
        }
    };
    written.map_err(|source| SynthError::Encode { what: format!("a synthetic image as {format:?}"), source })?;
    Ok(out.into_inner())
}

/// A one-channel PNG, 255 inside cells.
///
/// # Errors
/// None is expected: encoding to memory fails only if the image crate refuses a format it was built with.
pub(crate) fn encode_mask(mask: &[u8], width: u32, height: u32) -> Result<Vec<u8>, SynthError> {
    let mut out = Cursor::new(Vec::new());
    png(&mut out)
        .write_image(mask, width, height, ExtendedColorType::L8)
        .map_err(|source| SynthError::Encode { what: "a mask as PNG".to_owned(), source })?;
    Ok(out.into_inner())
}

fn png(out: &mut Cursor<Vec<u8>>) -> PngEncoder<&mut Cursor<Vec<u8>>> {
    PngEncoder::new_with_quality(out, CompressionType::Fast, FilterType::Adaptive)
}

fn quantise(value: f32, top: f32) -> u32 {
    (value.clamp(0.0, 1.0) * top + 0.5) as u32
}
