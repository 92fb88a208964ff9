//! The pages of a slide: what their tags say, checked against the length of the file.

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};

use tiff::Directory;
use tiff::decoder::ifd::Value;
use tiff::decoder::{Decoder, IfdDecoder, Limits};
use tiff::tags::{IfdPointer, Tag};

use super::cover::{Covered, Form};
use super::scale::{Said, um_per_px};
use super::unread;
use crate::error::Problem;
use crate::profile;

/// The decoder of a page.
pub(super) type TagReader<R> = Decoder<Covered<R>>;

/// Pages that are looked at, at most.
const MOST_PAGES: usize = 1_000;
/// Tiles of a page, at most: 16 bytes of memory each.
pub(super) const MOST_TILES: u64 = 1 << 22;
/// Bytes of the values of a tag, at most: those of the offsets of so many tiles.
const MOST_VALUE: usize = 8 << 22;
/// Pixels of a tile, at most, whatever is allowed for images: each thread holds some.
pub(super) const MOST_TILE_PX: u64 = 1 << 24;
/// Tag by which Hamamatsu marks its files.
const NDPI: u16 = 65_420;

/// What is known of a page.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Where its directory begins.
    pub(super) at: u64,
    /// Width and height, px.
    pub(super) size: (u32, u32),
    /// Size of a tile, px; of a page in strips, that of a strip.
    pub(super) part: (u32, u32),
    /// Whether it is stored in tiles.
    pub(super) is_tiled: bool,
    /// TIFF's number of the compression.
    pub(super) compression: u16,
    /// TIFF's number of what samples mean.
    pub(super) photometric: u16,
    /// Samples of a pixel.
    pub(super) channels: u16,
    /// Bits of each sample, where they are equal.
    pub(super) bits: Option<u16>,
    /// Whether each channel has tiles of its own.
    pub(super) is_planar: bool,
    /// How many offsets and lengths of parts it lists.
    pub(super) listed: (u64, u64),
    /// Where its sub-pages begin.
    pub(super) below: Vec<u64>,
    /// Micrometres to a pixel, where it says so.
    pub(super) um_per_px: Option<f64>,
    /// The name of its colour profile, if it has one.
    pub(super) profile: Option<Option<String>>,
    /// Whether it is of a file of Hamamatsu.
    pub(super) is_ndpi: bool,
}

/// The pages of a file.
#[derive(Debug)]
pub(super) struct Pages {
    /// The first page of the file; it is taken for the finest level.
    pub(super) base: Page,
    /// Its sub-pages, then those that follow it; pages that cannot be understood are left out.
    pub(super) others: Vec<Page>,
}

/// A decoder that stands at the page whose directory is at `page`, with room for the tags of a slide.
pub(super) fn reader_at<R: Read + Seek + Clone>(file: &R, page: u64, length: u64) -> Result<TagReader<R>, Problem> {
    let mut reader = entrance(file, page, length)?;
    reader.next_image()?;
    Ok(reader)
}

/// The same before that page is read.
fn entrance<R: Read + Seek + Clone>(file: &R, page: u64, length: u64) -> Result<TagReader<R>, Problem> {
    let (form, _) = form_of(file)?;
    let mut reader = Decoder::new(Covered::new(file.clone(), form, page))?;
    reader.inner().uncover();
    let mut limits = Limits::default();
    limits.decoding_buffer_size = 4 * MOST_TILE_PX as usize;
    limits.intermediate_buffer_size = limits.decoding_buffer_size;
    limits.ifd_value_size = MOST_VALUE.min(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(reader.with_limits(limits))
}

fn form_of<R: Read + Seek + Clone>(file: &R) -> Result<(Form, u64), Problem> {
    let (mut file, mut head) = (file.clone(), [0; 16]);
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut head)).map_err(|error| unread(&error))?;
    Form::of(&head).ok_or_else(|| Problem::damaged("it has no directory of pages"))
}

/// All pages of a file.
pub(super) fn pages<R: Read + Seek + Clone>(file: &R, length: u64) -> Result<Pages, Problem> {
    let (_, first) = form_of(file)?;
    let mut reader = entrance(file, first, length)?;
    let mut seen = HashSet::from([first]);
    let directory = reader.read_directory(IfdPointer(first))?;
    let base = page(&mut reader, &directory, first)?;
    let mut next = directory.next();
    let mut others = Vec::new();
    let mut below = base.below.iter().copied();
    while seen.len() < MOST_PAGES {
        let (at, in_chain) = match below.next() {
            Some(at) => (at, false),
            None => match next {
                Some(at) => (at.0, true),
                None => break,
            },
        };
        let directory = if seen.insert(at) { reader.read_directory(IfdPointer(at)).ok() } else { None };
        if in_chain {
            next = directory.as_ref().and_then(Directory::next);
        }
        others.extend(directory.and_then(|directory| page(&mut reader, &directory, at).ok()));
    }
    Ok(Pages { base, others })
}

/// What the tags of a page say.
fn page<R: Read + Seek>(reader: &mut TagReader<R>, directory: &Directory, at: u64) -> Result<Page, Problem> {
    let mut tags = reader.read_directory_tags(directory);
    let mut number = |tag: Tag| tags.find_tag_unsigned::<u32>(tag).map_err(Problem::from);
    let lacks = |what: &str| Problem::Damaged(format!("a page of it does not say its {what}"));
    let width = number(Tag::ImageWidth)?.ok_or_else(|| lacks("width"))?;
    let height = number(Tag::ImageLength)?.ok_or_else(|| lacks("height"))?;
    let tile = (number(Tag::TileWidth)?, number(Tag::TileLength)?);
    let rows = number(Tag::RowsPerStrip)?.unwrap_or(height);
    let (part, is_tiled) = match tile {
        (Some(across), Some(down)) => ((across, down), true),
        _ => ((width, rows.min(height)), false),
    };
    let mut small = |tag, default| {
        let number = number(tag)?.unwrap_or(default);
        u16::try_from(number).map_err(|_| Problem::damaged("a tag of it holds a number that is too large"))
    };
    let [offsets, lengths] = match is_tiled {
        true => [Tag::TileOffsets, Tag::TileByteCounts],
        false => [Tag::StripOffsets, Tag::StripByteCounts],
    };
    let listed = |tag| directory.get(tag).map_or(0, tiff::decoder::ifd::Entry::count);
    Ok(Page {
        at,
        size: (width, height),
        part,
        is_tiled,
        compression: small(Tag::Compression, 1)?,
        photometric: small(Tag::PhotometricInterpretation, 1)?,
        channels: small(Tag::SamplesPerPixel, 1)?,
        is_planar: small(Tag::PlanarConfiguration, 1)? == 2,
        bits: bits(&mut tags)?,
        listed: (listed(offsets), listed(lengths)),
        below: below(&mut tags),
        um_per_px: scale(&mut tags),
        profile: profile_name(&mut tags),
        is_ndpi: directory.contains(Tag::Unknown(NDPI)),
    })
}

fn bits(tags: &mut IfdDecoder<'_>) -> Result<Option<u16>, Problem> {
    let bits = tags.find_tag_unsigned_vec::<u16>(Tag::BitsPerSample)?.unwrap_or_else(|| vec![1]);
    let first = bits.first().copied();
    Ok(first.filter(|first| bits.iter().all(|other| other == first)))
}

fn below(tags: &mut IfdDecoder<'_>) -> Vec<u64> {
    let pointers = tags.find_tag(Tag::SubIfd).ok().flatten();
    let pointers = pointers.and_then(|value| match value.clone().into_ifd_vec() {
        Ok(pointers) => Some(pointers.into_iter().map(|pointer| pointer.0).collect()),
        Err(_) => value.into_u64_vec().ok(),
    });
    let mut pointers: Vec<u64> = pointers.unwrap_or_default();
    pointers.truncate(MOST_PAGES);
    pointers
}

fn scale(tags: &mut IfdDecoder<'_>) -> Option<f64> {
    let mut value = |tag| tags.find_tag(tag).ok().flatten();
    let description = value(Tag::ImageDescription).and_then(|value| value.into_string().ok()).unwrap_or_default();
    let resolution = [Tag::XResolution, Tag::YResolution].map(|tag| match value(tag)? {
        Value::Rational(number, of) => Some(f64::from(number) / f64::from(of)),
        Value::Float(number) => Some(number.into()),
        Value::Double(number) => Some(number),
        _ => None,
    });
    let unit = value(Tag::ResolutionUnit).and_then(|unit| unit.into_u16().ok()).unwrap_or(2);
    um_per_px(&Said { description: &description, resolution, unit })
}

fn profile_name(tags: &mut IfdDecoder<'_>) -> Option<Option<String>> {
    let bytes = tags.find_tag(Tag::IccProfile).ok().flatten()?.into_u8_vec().ok()?;
    Some(profile::name(&bytes))
}
