//! Bytes of an image file to upright 8-bit RGB pixels.
//!
//! The format is read from the content, never from the name; a format that is not read is named, with how to convert it. Grey
//! becomes RGB; transparency is laid over white; 16-bit values become `round(v / 257)` or what the bits of the camera say; EXIF
//! rotation is applied; colour profiles are noted and not applied. Of a TIFF the first page is read, and that is noted, or any page by
//! its number. A file may be anything: pixels and memory are limited before they are decoded, and a panic in a decoder becomes a
//! reason in the report.

mod foreign;
mod frames;
mod jpeg;
mod profile;
mod raster;
mod remedy;
mod tiff_file;
mod tiff_pixels;

use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use foreign::{HEAD, pointer};
pub use image::RgbImage;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use raster::Raster;
use remedy::AGAIN;
pub use tiff_file::MOST_PAGES;
use tiff_file::{Page, Tiff};
use tiff_pixels::Pixels;

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
pub struct DecodeLimits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// Largest image, in pixels.
    pub pixels: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { file_bytes: 1 << 30, pixels: 256_000_000 }
    }
}

impl DecodeLimits {
    /// Whether an image may be so large. The error is a reason for the report.
    fn allow(self, width: u32, height: u32) -> Result<(), String> {
        match u64::from(width) * u64::from(height) {
            0 => Err(format!("has no pixels; {AGAIN}")),
            pixels if pixels > self.pixels => {
                Err(format!("{width}×{height} pixels are over the limit of {}; see --max-pixels", self.pixels))
            }
            _ => Ok(()),
        }
    }

    /// The same for the decoders of the `image` crate.
    fn bounds(self) -> Limits {
        let mut bounds = Limits::default();
        // Eight bytes a pixel (16-bit RGBA) and as much again for what a decoder keeps beside its output.
        bounds.max_alloc = Some(self.pixels.saturating_mul(16));
        bounds
    }
}

/// How a file is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecodeOptions {
    /// What it may ask for.
    pub limits: DecodeLimits,
    /// The page, numbered from 1 as by [`pages`]; nothing reads the first and notes how many more there are.
    pub page: Option<u32>,
    /// How many bits of 16-bit values the camera uses; nothing takes all 16.
    pub bits: Option<u8>,
}

/// A decoded image.
#[derive(Debug)]
pub struct DecodedImage {
    /// Upright RGB pixels.
    pub rgb: RgbImage,
    /// `jpeg`, `png` …
    pub format: &'static str,
    /// What happened on the way that a reader of the report should know.
    pub notes: Vec<String>,
}

/// Whole numbers, one a pixel: masks of cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width × height` numbers, row by row from the top.
    pub values: Vec<u32>,
}

/// The name of the image format that `head`, the first [`HEAD`] bytes of a file, begins; formats that are not read are named too.
pub fn sniff(head: &[u8]) -> Option<&'static str> {
    let foreign = || foreign::told(head).filter(|foreign| foreign.picture).map(|foreign| foreign.name);
    format_of(head).map(name_of_format).or_else(foreign)
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
pub fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<DecodedImage, String> {
    decode_with(bytes, DecodeOptions { limits, page: None, bits: None })
}

/// Decodes a page of a file, numbered from 1 as by [`pages`]. The error is a reason for the report.
///
/// # Errors
/// As [`decode`]; no such page.
pub fn decode_page(bytes: &[u8], page: u32, limits: DecodeLimits) -> Result<DecodedImage, String> {
    decode_with(bytes, DecodeOptions { limits, page: Some(page), bits: None })
}

/// Decodes a file as `how` says. The error is a reason for the report.
///
/// # Errors
/// As [`decode_page`]; values of more bits than the camera is said to have.
pub fn decode_with(bytes: &[u8], how: DecodeOptions) -> Result<DecodedImage, String> {
    let format = known(bytes)?;
    let (rgb, notes) = guarded(format, || decode_as(bytes, format, how))?;
    Ok(DecodedImage { rgb, format: name_of_format(format), notes })
}

/// Reads a picture whose values are numbers and no colours: grey of 8, 16 or 32 bits, or the numbers of a TIFF's palette. The error is
/// a reason for the report.
///
/// # Errors
/// Content that is no such picture, is damaged or is over the limits; numbers below 0, fractions, colours, lossy formats.
pub fn numbers(bytes: &[u8], limits: DecodeLimits) -> Result<Numbers, String> {
    let format = known(bytes)?;
    guarded(format, || match format {
        ImageFormat::Tiff => {
            let (tiff, page) = page_of(bytes, None)?;
            let pixels = Pixels::open(tiff.edited(page).0, limits)?;
            Ok(Numbers { width: pixels.width, height: pixels.height, values: pixels.numbers()? })
        }
        ImageFormat::Jpeg => Err("a JPEG changes numbers; save masks as PNG or TIFF".to_owned()),
        _ => {
            let image = DynamicImage::from_decoder(decoder(bytes, format, limits)?)
                .map_err(|error| remedy::of_image(&error))?;
            let (width, height) = (image.width(), image.height());
            let values = match image {
                DynamicImage::ImageLuma8(grey) => grey.iter().map(|&value| value.into()).collect(),
                DynamicImage::ImageLuma16(grey) => grey.iter().map(|&value| value.into()).collect(),
                other => {
                    return Err(format!(
                        "is {:?} and no grey picture of numbers; save masks as grey PNG or TIFF",
                        other.color()
                    ));
                }
            };
            Ok(Numbers { width, height, values })
        }
    })
}

/// What is said of a value that is the number of no cell.
pub fn no_number(value: &dyn std::fmt::Display) -> String {
    format!("holds {value}, which is the number of no cell: those are whole, from 0 (no cell) to {}", u32::MAX)
}

/// The format of a file that is read.
fn known(bytes: &[u8]) -> Result<ImageFormat, String> {
    let Some(format) = format_of(bytes) else {
        return Err(match foreign::told(bytes) {
            _ if bytes.is_empty() => "empty file".to_owned(),
            Some(foreign) => format!("is {}; {}", foreign.name, foreign.remedy),
            None => "content is no image format that is read (JPEG, PNG, BMP, TIFF, WebP)".to_owned(),
        });
    };
    match format {
        _ if format.reading_enabled() => Ok(format),
        ImageFormat::Gif => Err("gif images are not read; save the frame that is wanted as PNG".to_owned()),
        _ => Err(format!("{} images are not read; convert to PNG", name_of_format(format))),
    }
}

/// What a decoder makes of a file, be it a panic.
fn guarded<T>(format: ImageFormat, decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(false);
    let name = name_of_format(format);
    match decoded {
        Ok(decoded) => decoded.map_err(|reason| format!("unreadable {name}: {reason}")),
        Err(_) => Err(format!("unreadable {name}: the decoder gave up; {AGAIN}")),
    }
}

fn decode_as(bytes: &[u8], format: ImageFormat, how: DecodeOptions) -> Result<(RgbImage, Vec<String>), String> {
    let mut notes = Vec::new();
    let (rgb, orientation) = match format {
        ImageFormat::Tiff => of_tiff(bytes, how, &mut notes)?,
        _ if how.page.is_some_and(|page| page != 1) => {
            return Err(format!("it has no page {}, only one picture", how.page.unwrap_or_default()));
        }
        ImageFormat::Jpeg => of_jpeg(bytes, how, &mut notes)?,
        _ => of_others(bytes, format, how, &mut notes)?,
    };
    if orientation == Orientation::NoTransforms {
        return Ok((rgb, notes));
    }
    notes.push("turned upright as its EXIF says".to_owned());
    let mut image = DynamicImage::ImageRgb8(rgb);
    image.apply_orientation(orientation);
    Ok((image.into_rgb8(), notes))
}

/// A page of a TIFF, and how it is turned.
fn of_tiff(bytes: &[u8], how: DecodeOptions, notes: &mut Vec<String>) -> Result<(RgbImage, Orientation), String> {
    let (tiff, page) = page_of(bytes, how.page)?;
    if how.page.is_none() {
        let more = tiff.pages().len();
        if more > 1 {
            notes.push(format!("only the first of {more} pages is read"));
        }
        if tiff.is_aid(page) {
            notes.push("it calls itself a smaller copy or a mask of another page".to_owned());
        }
    }
    notes.extend(tiff.profile(page).map(not_applied));
    let (file, view) = tiff.edited(page);
    let raster = Pixels::open(file, how.limits)?.raster(&view, notes)?;
    let rgb = match view.palette {
        Some(colours) => raster.coloured(&colours)?,
        None => raster.into_rgb(how.bits, notes)?,
    };
    let orientation = tiff.orientation(page).and_then(Orientation::from_exif);
    Ok((rgb, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// A JPEG whose data is all there.
fn of_jpeg(bytes: &[u8], how: DecodeOptions, notes: &mut Vec<String>) -> Result<(RgbImage, Orientation), String> {
    if let Some(jpeg::Size { size: (width, height), .. }) = jpeg::size(bytes) {
        how.limits.allow(width, height)?;
    }
    let whole = jpeg::whole(bytes, None)?;
    notes.extend(whole.notes());
    if whole.ends {
        return of_others(bytes, ImageFormat::Jpeg, how, notes);
    }
    of_others(&[bytes, &[0xff, 0xd9]].concat(), ImageFormat::Jpeg, how, notes)
}

/// A page by its number, or the first.
fn page_of(bytes: &[u8], page: Option<u32>) -> Result<(Tiff<'_>, Page), String> {
    let tiff = Tiff::open(bytes).ok_or_else(|| format!("it has no directory of pages; {AGAIN}"))?;
    let number = page.unwrap_or(1);
    let index = number.checked_sub(1).ok_or("pages are numbered from 1")? as usize;
    let pages = tiff.pages();
    let page = *pages.get(index).ok_or_else(|| match pages.len() {
        0 => format!("it has no page; {AGAIN}"),
        count => format!("it has no page {number}, only {count}"),
    })?;
    Ok((tiff, page))
}

/// An image of any other format, and how it is turned.
fn of_others(
    bytes: &[u8],
    format: ImageFormat,
    how: DecodeOptions,
    notes: &mut Vec<String>,
) -> Result<(RgbImage, Orientation), String> {
    let mut decoder = decoder(bytes, format, how.limits)?;
    notes.extend(frames::note(bytes));
    // A profile that cannot be read is no reason to refuse the image.
    notes.extend(decoder.icc_profile().ok().flatten().map(|profile| not_applied(profile::name(&profile))));
    let orientation = decoder.orientation().map_err(|error| remedy::of_image(&error))?;
    let image = DynamicImage::from_decoder(decoder).map_err(|error| remedy::of_image(&error))?;
    Ok((Raster::of(image)?.into_rgb(how.bits, notes)?, orientation))
}

/// A decoder of the `image` crate for a file that is within the limits.
fn decoder<'a>(bytes: &'a [u8], format: ImageFormat, limits: DecodeLimits) -> Result<impl ImageDecoder + 'a, String> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.bounds());
    let decoder = reader.into_decoder().map_err(|error| remedy::of_image(&error))?;
    let (width, height) = decoder.dimensions();
    limits.allow(width, height)?;
    Ok(decoder)
}

/// The note on a colour profile with this name.
fn not_applied(name: Option<String>) -> String {
    format!("its colour profile ({}) is not applied", name.as_deref().unwrap_or("without a name"))
}

fn name_of_format(format: ImageFormat) -> &'static str {
    format.extensions_str().first().map_or("unknown", |end| if *end == "jpg" { "jpeg" } else { end })
}

#[cfg(test)]
mod tests;
