//! Bytes of an image file to upright 8-bit RGB pixels.
//!
//! The format is read from the content, never from the name; a format that is not read is named, with how to convert it. Grey
//! becomes RGB; transparency is laid over white; 16-bit values become `round(v / 257)` or what the bits of the camera say; EXIF
//! rotation is applied; colour profiles are noted and not applied. Of a TIFF the first page is read, and that is noted, or any page by
//! its number; of a whole slide a region ([`slide`]). A file may be anything: pixels and memory are limited before they are decoded, and a panic in a decoder becomes a
//! reason in the report.

pub mod contact_sheet;
mod error;
mod foreign;
mod frames;
mod jpeg;
mod panics;
pub mod picture_table;
mod png_numbers;
mod profile;
mod raster;
pub mod slide;
pub mod text;
mod tiff_file;
mod tiff_pixels;

use std::io::Cursor;

pub use error::{DecodeError, NotACellNumber, Problem};
pub use foreign::{HEAD, pointer};
pub use image::RgbImage;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
pub use panics::quiet_decoders;
use raster::Raster;
pub use tiff_file::MOST_PAGES;
use tiff_file::{Page, Tiff};
use tiff_pixels::Pixels;

/// What a file may ask for.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// Largest image, in pixels.
    pub pixels: u64,
    /// What raises these limits, in the caller's words, such as the name of a flag; errors name it.
    pub setting: Option<&'static str>,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { file_bytes: 1 << 30, pixels: 256_000_000, setting: None }
    }
}

impl DecodeLimits {
    /// Whether an image may be so large.
    fn allow(self, width: u32, height: u32) -> Result<(), Problem> {
        match u64::from(width) * u64::from(height) {
            0 => Err(Problem::damaged("has no pixels")),
            pixels if pixels > self.pixels => Err(Problem::TooManyPixels { width, height, limit: self.pixels }),
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

/// A decoded image, with what a reader should know of how it was decoded.
#[derive(Debug)]
pub struct DecodedImage {
    /// The pixels as 8-bit RGB, turned upright where the file says so.
    pub rgb: RgbImage,
    /// Short name of the file's format: `jpeg`, `png` …
    pub format: &'static str,
    /// What happened on the way that a reader of the report should know.
    pub notes: Vec<String>,
}

/// Whole numbers, one a pixel: masks of cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// Width of the grid in pixels.
    pub width: u32,
    /// Height of the grid in pixels.
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
/// page are not. Files of other formats, and files that are not images, count as one page. At most [`MOST_PAGES`] are returned.
pub fn pages(bytes: &[u8]) -> Vec<bool> {
    let own = Tiff::open(bytes).map(|tiff| tiff.pages().into_iter().map(|page| !tiff.is_aid(page)).collect());
    let mut own: Vec<bool> = own.unwrap_or_default();
    match own.first_mut() {
        Some(first) => *first = true,
        None => own.push(true),
    }
    own
}

/// Decodes a file, of a TIFF its first page.
///
/// # Errors
/// Content that is no image, is damaged or is over the limits.
pub fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<DecodedImage, DecodeError> {
    decode_with(bytes, DecodeOptions { limits, page: None, bits: None })
}

/// Decodes a page of a file, numbered from 1 as by [`pages`].
///
/// # Errors
/// As [`decode`]; no such page.
pub fn decode_page(bytes: &[u8], page: u32, limits: DecodeLimits) -> Result<DecodedImage, DecodeError> {
    decode_with(bytes, DecodeOptions { limits, page: Some(page), bits: None })
}

/// Decodes a file as `how` says.
///
/// # Errors
/// As [`decode_page`]; values of more bits than the camera is said to have.
pub fn decode_with(bytes: &[u8], how: DecodeOptions) -> Result<DecodedImage, DecodeError> {
    let format = known(bytes)?;
    let (rgb, notes) = guarded(format, how.limits, || decode_as(bytes, format, how))?;
    Ok(DecodedImage { rgb, format: name_of_format(format), notes })
}

/// Reads a picture whose values are numbers and no colours: grey of up to 32 bits, or the numbers of a palette of a PNG or a
/// TIFF.
///
/// # Errors
/// Content of another kind, damaged or over the limits; numbers below 0, fractions, colours, lossy formats.
pub fn numbers(bytes: &[u8], limits: DecodeLimits) -> Result<Numbers, DecodeError> {
    let format = known(bytes)?;
    guarded(format, limits, || match format {
        ImageFormat::Tiff => {
            let (tiff, page) = page_of(bytes, None)?;
            let pixels = Pixels::open(tiff.edited(page).0, limits)?;
            Ok(Numbers { width: pixels.width, height: pixels.height, values: pixels.numbers()? })
        }
        ImageFormat::Png => png_numbers::numbers(bytes, limits),
        ImageFormat::Jpeg => Err(Problem::NotNumbers("a JPEG changes numbers; save masks as PNG or TIFF".to_owned())),
        _ => {
            let image = DynamicImage::from_decoder(decoder(bytes, format, limits)?)?;
            let (width, height) = (image.width(), image.height());
            let values = match image {
                DynamicImage::ImageLuma8(grey) => grey.iter().map(|&value| value.into()).collect(),
                DynamicImage::ImageLuma16(grey) => grey.iter().map(|&value| value.into()).collect(),
                other => {
                    let colour = other.color();
                    return Err(Problem::NotNumbers(format!(
                        "is {colour:?} and not a grey picture of numbers; save masks as grey PNG or TIFF"
                    )));
                }
            };
            Ok(Numbers { width, height, values })
        }
    })
}

/// The format of a file that is read.
fn known(bytes: &[u8]) -> Result<ImageFormat, DecodeError> {
    let Some(format) = format_of(bytes) else {
        return Err(match foreign::told(bytes) {
            _ if bytes.is_empty() => DecodeError::Empty,
            Some(foreign) => DecodeError::Foreign { name: foreign.name, remedy: foreign.remedy },
            None => DecodeError::UnknownFormat,
        });
    };
    let remedy = match format {
        _ if format.reading_enabled() => return Ok(format),
        ImageFormat::Gif => "save the frame that is wanted as PNG",
        _ => "convert to PNG",
    };
    Err(DecodeError::FormatNotRead { format: name_of_format(format), remedy })
}

/// What a decoder makes of a file, be it a panic.
fn guarded<T>(
    format: ImageFormat,
    limits: DecodeLimits,
    decode: impl FnOnce() -> Result<T, Problem>,
) -> Result<T, DecodeError> {
    let decoded = panics::catch(decode).unwrap_or_else(|| Err(Problem::damaged("the decoder gave up")));
    let unreadable =
        |problem| DecodeError::Unreadable { format: name_of_format(format), problem, limit_setting: limits.setting };
    decoded.map_err(unreadable)
}

fn decode_as(bytes: &[u8], format: ImageFormat, how: DecodeOptions) -> Result<(RgbImage, Vec<String>), Problem> {
    let mut notes = Vec::new();
    let (rgb, orientation) = match format {
        ImageFormat::Tiff => of_tiff(bytes, how, &mut notes)?,
        _ if how.page.is_some_and(|page| page != 1) => {
            let number = how.page.unwrap_or_default();
            return Err(Problem::NoPage(format!("it has no page {number}, only one picture")));
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
fn of_tiff(bytes: &[u8], how: DecodeOptions, notes: &mut Vec<String>) -> Result<(RgbImage, Orientation), Problem> {
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
fn of_jpeg(bytes: &[u8], how: DecodeOptions, notes: &mut Vec<String>) -> Result<(RgbImage, Orientation), Problem> {
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
fn page_of(bytes: &[u8], page: Option<u32>) -> Result<(Tiff<'_>, Page), Problem> {
    let tiff = Tiff::open(bytes).ok_or_else(|| Problem::damaged("it has no directory of pages"))?;
    let number = page.unwrap_or(1);
    let from_1 = || Problem::NoPage("pages are numbered from 1".to_owned());
    let index = number.checked_sub(1).ok_or_else(from_1)? as usize;
    let pages = tiff.pages();
    let page = *pages.get(index).ok_or_else(|| match pages.len() {
        0 => Problem::damaged("it has no page"),
        count => Problem::NoPage(format!("it has no page {number}, only {count}")),
    })?;
    Ok((tiff, page))
}

/// An image of any other format, and how it is turned.
fn of_others(
    bytes: &[u8],
    format: ImageFormat,
    how: DecodeOptions,
    notes: &mut Vec<String>,
) -> Result<(RgbImage, Orientation), Problem> {
    let mut decoder = decoder(bytes, format, how.limits)?;
    notes.extend(frames::note(bytes));
    // A profile that cannot be read is no reason to refuse the image.
    notes.extend(decoder.icc_profile().ok().flatten().map(|profile| not_applied(profile::name(&profile))));
    let orientation = decoder.orientation()?;
    let image = DynamicImage::from_decoder(decoder)?;
    Ok((Raster::of(image)?.into_rgb(how.bits, notes)?, orientation))
}

/// A decoder of the `image` crate for a file that is within the limits.
fn decoder<'a>(bytes: &'a [u8], format: ImageFormat, limits: DecodeLimits) -> Result<impl ImageDecoder + 'a, Problem> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.bounds());
    let decoder = reader.into_decoder()?;
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
