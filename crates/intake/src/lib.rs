//! Bytes of an image file to upright 8-bit RGB pixels.
//!
//! The format is read from the content, never from the name. Grey becomes RGB; transparency is laid over white; 16-bit
//! values become `round(v / 257)`; EXIF rotation is applied; colour profiles are noted and not applied. Of a TIFF the first page is
//! read, and that is noted, or any page by its number. A file may be anything: pixels and memory are limited before they are decoded, and a panic in
//! a decoder becomes a reason in the report.

mod profile;
mod tiff;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
pub use tiff::MOST_PAGES;
use tiff::{Edited, Tiff};

thread_local! {
    /// Whether this thread is inside a decoder.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics of decoders, which are caught and reported, from being printed. Other panics are printed as ever.
pub fn quiet_decoders() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !DECODING.get() {
            before(panic);
        }
    }));
}

/// What a file may ask for.
#[derive(Debug, Clone, Copy)]
pub struct IntakeLimits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// Largest image, in pixels.
    pub pixels: u64,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self { file_bytes: 1 << 30, pixels: 256_000_000 }
    }
}

/// A decoded image.
#[derive(Debug)]
pub struct Intake {
    /// Upright RGB pixels.
    pub rgb: RgbImage,
    /// `jpeg`, `png` …
    pub format: &'static str,
    /// What happened on the way that a reader of the report should know.
    pub notes: Vec<String>,
}

/// The name of the image format that `head`, the first bytes of a file, begins.
pub fn sniff(head: &[u8]) -> Option<&'static str> {
    format_of(head).map(name_of_format)
}

/// The format that these first bytes begin. The library does not know a BigTIFF by its first bytes, though it reads it.
fn format_of(head: &[u8]) -> Option<ImageFormat> {
    image::guess_format(head).ok().or_else(|| Tiff::open(head).map(|_| ImageFormat::Tiff))
}

/// The pages of a file and whether each is an image of its own; those of a TIFF that call themselves smaller copies or masks of another
/// page are not. All other formats have one page, and so has a file that is no image. At most [`MOST_PAGES`] are told.
pub fn pages(bytes: &[u8]) -> Vec<bool> {
    let own = Tiff::open(bytes).map(|tiff| tiff.pages().into_iter().map(|page| !tiff.is_aid(page)).collect());
    let mut own: Vec<bool> = own.unwrap_or_default();
    match own.first_mut() {
        Some(first) => *first = true,
        None => own.push(true),
    }
    own
}

/// Decodes a file, of a TIFF its first page. The error is a reason for the report.
///
/// # Errors
/// Content that is no image, is damaged or is over the limits.
pub fn decode(bytes: &[u8], limits: IntakeLimits) -> Result<Intake, String> {
    let mut intake = decode_page(bytes, 1, limits)?;
    if let Some(more @ 2..) = Tiff::open(bytes).map(|tiff| tiff.pages().len()) {
        intake.notes.insert(0, format!("only the first of {more} pages is read"));
    }
    Ok(intake)
}

/// Decodes a page of a file, numbered from 1 as by [`pages`]. The error is a reason for the report.
///
/// # Errors
/// As [`decode`]; no such page.
pub fn decode_page(bytes: &[u8], page: u32, limits: IntakeLimits) -> Result<Intake, String> {
    let format = format_of(bytes).ok_or_else(|| match bytes.len() {
        0 => "empty file".to_owned(),
        _ => "content is no image format that is read (JPEG, PNG, BMP, TIFF, WebP)".to_owned(),
    })?;
    let name = name_of_format(format);
    if !format.reading_enabled() {
        return Err(format!("{name} images are not read; convert to PNG"));
    }
    DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_as(bytes, format, page, limits)));
    DECODING.set(false);
    match decoded {
        Ok(Ok((rgb, notes))) => Ok(Intake { rgb, format: name, notes }),
        Ok(Err(reason)) => Err(format!("unreadable {name}: {reason}")),
        Err(_) => Err(format!("unreadable {name}: the decoder gave up")),
    }
}

fn decode_as(
    bytes: &[u8],
    format: ImageFormat,
    page: u32,
    limits: IntakeLimits,
) -> Result<(RgbImage, Vec<String>), String> {
    if format == ImageFormat::Jpeg && !jpeg_ends(bytes) {
        return Err("the file ends before its image does".to_owned());
    }
    let mut notes = Vec::new();
    let mut palette = None;
    let mut file = Edited::none(bytes);
    let index = page.checked_sub(1).ok_or("pages are numbered from 1")? as usize;
    let tiff = Tiff::open(bytes).filter(|_| format == ImageFormat::Tiff);
    match tiff.and_then(|tiff| Some((tiff, *tiff.pages().get(index)?))) {
        Some((tiff, page)) => {
            notes.extend(tiff.profile(page).map(not_applied));
            (file, palette) = tiff.edited(page);
        }
        None if index > 0 => return Err(format!("it has no page {page}")),
        None => {}
    }
    let mut reader = ImageReader::with_format(file, format);
    let mut bounds = Limits::default();
    // Eight bytes a pixel (16-bit RGBA) and as much again for what a decoder keeps beside its output.
    bounds.max_alloc = Some(limits.pixels.saturating_mul(16));
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().map_err(|error| short(&error))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err("has no pixels".to_owned());
    }
    if pixels > limits.pixels {
        return Err(format!("{width}×{height} pixels are over the limit of {}; see --max-pixels", limits.pixels));
    }
    // A profile that cannot be read is no reason to refuse the image. That of a TIFF was found above.
    if format != ImageFormat::Tiff {
        notes.extend(decoder.icc_profile().ok().flatten().map(|profile| not_applied(profile::name(&profile))));
    }
    let orientation = decoder.orientation().map_err(|error| short(&error))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| short(&error))?;
    image.apply_orientation(orientation);
    if orientation != image::metadata::Orientation::NoTransforms {
        notes.push("turned upright as its EXIF says".to_owned());
    }
    let rgb = match palette {
        Some(colours) => coloured(&image, &colours),
        None => flatten(image, &mut notes),
    };
    Ok((rgb, notes))
}

/// The note on a colour profile with this name.
fn not_applied(name: Option<String>) -> String {
    format!("its colour profile ({}) is not applied", name.as_deref().unwrap_or("without a name"))
}

/// Whether an end of image (FF D9) follows the last start of scan (FF DA). The decoder fills up what a cut file lacks with
/// grey; neither marker occurs inside a scan, where FF is followed by 00 or a restart.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|two| two == marker);
    last([0xff, 0xd9]) > last([0xff, 0xda])
}

/// RGB of any image; transparency over white.
fn flatten(image: DynamicImage, notes: &mut Vec<String>) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    if rgba.pixels().all(|pixel| pixel[3] == 255) {
        return DynamicImage::ImageRgba8(rgba).into_rgb8();
    }
    notes.push("transparency laid over white".to_owned());
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [red, green, blue, alpha] = from.0;
        let over_white = |value: u8| {
            let sum = u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            u8::try_from((sum + 127) / 255).unwrap_or(255)
        };
        *to = image::Rgb([over_white(red), over_white(green), over_white(blue)]);
    }
    rgb
}

fn coloured(indices: &DynamicImage, colours: &[[u8; 3]; 256]) -> RgbImage {
    let grey = indices.to_luma8();
    RgbImage::from_fn(grey.width(), grey.height(), |x, y| image::Rgb(colours[usize::from(grey.get_pixel(x, y)[0])]))
}

fn name_of_format(format: ImageFormat) -> &'static str {
    format.extensions_str().first().map_or("unknown", |end| if *end == "jpg" { "jpeg" } else { end })
}

/// The first line of an error, not longer than a cell of a table bears.
fn short(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().chars().take(160).collect()
}

#[cfg(test)]
mod tests;
