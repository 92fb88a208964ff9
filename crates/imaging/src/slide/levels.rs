//! Which pages of a slide are the levels of its pyramid, and whether their pixels are of a kind that is read.

use std::io::{Read, Seek};

use tiff::tags::Tag;

use super::directory::{MOST_TILE_PX, MOST_TILES, Page, reader_at};
use super::ndpi::{self, Parts};
use crate::error::Problem;
use crate::raster::Colour;
use crate::{DecodeLimits, foreign};

/// How far the sides of a level may be from those of the first, as a share and in pixels: programs round differently.
const SAME_SHAPE: (f64, f64) = (0.01, 2.0);

/// Longest side of a level, px: sums of places and sides stay within 32 bits.
const MOST_SIDE: u32 = 1 << 30;

/// A level of the pyramid.
#[derive(Debug)]
pub(super) struct Level {
    /// Where the directory of its page begins.
    pub(super) at: u64,
    /// Width and height, px.
    pub(super) size: (u32, u32),
    /// Size of a tile, px.
    pub(super) part: (u32, u32),
    /// What its tiles are, if they are images with a size of their own.
    pub(super) inside: Option<Inside>,
    /// What the colour channels mean.
    pub(super) colour: Colour,
    /// Samples of a pixel in a tile.
    pub(super) channels: usize,
    /// Where each tile begins, and its bytes; all inside the file.
    pub(super) tiles: Vec<(u64, u64)>,
    /// The tables that its JPEGs share.
    pub(super) tables: Option<Vec<u8>>,
    /// What makes each tile a JPEG, where it is a stretch of a larger one.
    pub(super) head: Option<Vec<u8>>,
}

/// An image inside a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Jpeg,
    WebP,
}

/// TIFF's number of JPEG.
const JPEG: u16 = 7;
/// TIFF's number of WebP.
const WEBP: u16 = 50_001;

/// The levels of a slide from the finest on, and notes on the other pages.
///
/// The first page is the finest level. The others are those of its sub-pages, and of the pages that follow, that are tiled as it is and have
/// its shape, each smaller than the one before. All other pages (a label, a macro picture, channels, focal planes) are left out.
pub(super) fn of<R: Read + Seek + Clone>(
    file: &R,
    (length, limits): (u64, DecodeLimits),
    base: Page,
    mut others: Vec<Page>,
) -> Result<(Vec<Level>, Vec<String>), Problem> {
    if base.is_ndpi && length > u32::MAX.into() {
        return Err(Problem::unsupported(
            "is an NDPI file of over 4 GiB, whose offsets do not fit a TIFF",
            ndpi::REMEDY,
        ));
    }
    let level = |page: &Page| Level::open(file, page, (length, limits));
    let mut levels = vec![level(&base)?];
    let beside = others.iter().filter(|page| page.size == base.size).count();
    others.retain(|page| is_level_of(page, &base));
    others.sort_by_key(|page| std::cmp::Reverse(page.size));
    others.dedup_by_key(|page| page.size.0);
    levels.extend(others.iter().filter_map(|page| level(page).ok()));
    let mut notes = Vec::new();
    if beside > 0 {
        notes.push(format!("{beside} more pages of its size (channels or focal planes) are not read"));
    }
    Ok((levels, notes))
}

/// Whether a page may be a coarser level of the first.
fn is_level_of(page: &Page, base: &Page) -> bool {
    let alike = page.is_tiled == base.is_tiled && (base.is_tiled || base.is_ndpi) && page.channels == base.channels;
    alike && page.size.0 < base.size.0 && has_shape_of(page, base)
}

fn has_shape_of(page: &Page, base: &Page) -> bool {
    let by = f64::from(base.size.0) / f64::from(page.size.0.max(1));
    let height = f64::from(base.size.1) / by;
    let (share, px) = SAME_SHAPE;
    (f64::from(page.size.1) - height).abs() <= (share * height).max(px)
}

impl Level {
    fn open<R: Read + Seek + Clone>(
        file: &R,
        page: &Page,
        (length, limits): (u64, DecodeLimits),
    ) -> Result<Self, Problem> {
        let colour = colour(page)?;
        if page.is_ndpi && !page.is_tiled && page.compression == JPEG && page.part == page.size {
            return Self::of_one_jpeg(file, page, (length, limits), colour);
        }
        Self::of_tiles(file, page, (length, limits), colour)
    }

    /// A level of Hamamatsu.
    fn of_one_jpeg<R: Read + Seek + Clone>(
        file: &R,
        page: &Page,
        (length, limits): (u64, DecodeLimits),
        colour: Colour,
    ) -> Result<Self, Problem> {
        let mut reader = reader_at(file, page.at, length)?;
        let mut first =
            |tag| reader.find_tag_unsigned_vec::<u64>(tag).map(|all| all.and_then(|all| all.first().copied()));
        let (at, bytes) = (first(Tag::StripOffsets)?.unwrap_or(0), first(Tag::StripByteCounts)?.unwrap_or(0));
        if at.checked_add(bytes).is_none_or(|end| end > length) {
            return Err(Problem::damaged("the file ends before its levels do"));
        }
        let Some(parts) = ndpi::parts(&mut file.clone(), page, (at, bytes))? else {
            return Self::of_tiles(file, page, (length, limits), colour);
        };
        let Parts { part, tiles, head } = parts;
        let (at, size, channels) = (page.at, page.size, page.channels.into());
        Ok(Self { at, size, part, inside: Some(Inside::Jpeg), colour, channels, tiles, tables: None, head: Some(head) })
    }

    fn of_tiles<R: Read + Seek + Clone>(
        file: &R,
        page: &Page,
        (length, limits): (u64, DecodeLimits),
        colour: Colour,
    ) -> Result<Self, Problem> {
        let count = tiles(page, limits)?;
        let mut reader = reader_at(file, page.at, length)?;
        let [offsets, lengths] = match page.is_tiled {
            true => [Tag::TileOffsets, Tag::TileByteCounts],
            false => [Tag::StripOffsets, Tag::StripByteCounts],
        };
        let mut all = |tag| reader.find_tag_unsigned_vec::<u64>(tag).map_err(Problem::from);
        let (offsets, lengths) = (all(offsets)?.unwrap_or_default(), all(lengths)?.unwrap_or_default());
        let tiles: Vec<(u64, u64)> = offsets.into_iter().zip(lengths).collect();
        let inside = |&(at, bytes): &(u64, u64)| bytes == 0 || at.checked_add(bytes).is_some_and(|end| end <= length);
        if tiles.len() as u64 != count || !tiles.iter().all(inside) {
            return Err(Problem::damaged("the file ends before its tiles do"));
        }
        let tables = reader.find_tag(Tag::JPEGTables)?.map(tiff::decoder::ifd::Value::into_u8_vec).transpose()?;
        Ok(Self {
            at: page.at,
            size: page.size,
            part: page.part,
            inside: match page.compression {
                JPEG => Some(Inside::Jpeg),
                WEBP => Some(Inside::WebP),
                _ => None,
            },
            colour,
            channels: page.channels.into(),
            tiles,
            tables,
            head: None,
        })
    }
}

/// What the samples of a page mean, if they are of a kind that is read.
fn colour(page: &Page) -> Result<Colour, Problem> {
    if page.size.0.max(page.size.1) > MOST_SIDE || page.size.0.min(page.size.1) == 0 {
        return Err(Problem::damaged("has sides that no slide has"));
    }
    if let Some(name) = foreign::compression(page.compression) {
        return Err(foreign::compressed(&name));
    }
    if page.bits != Some(8) || page.is_planar {
        return Err(Problem::unsupported("holds other samples than 8-bit ones side by side", "save it as 8-bit RGB"));
    }
    match (page.photometric, page.channels) {
        (1, 1) => Ok(Colour::Grey),
        (2, 3) => Ok(Colour::Rgb),
        (6, 3) => Ok(Colour::YCbCr),
        (_, channels) => Err(Problem::unsupported(
            format!("has {channels} channels that are not those of a picture"),
            "save it as 8-bit RGB",
        )),
    }
}

/// How many tiles a page has, if each is of a size that may be read, and as many are listed.
fn tiles(page: &Page, limits: DecodeLimits) -> Result<u64, Problem> {
    let (width, height) = page.part;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Problem::damaged("has no pixels"));
    }
    if pixels > MOST_TILE_PX.min(limits.pixels) {
        return Err(Problem::TooLargeTiles { width, height });
    }
    let count = u64::from(page.size.0.div_ceil(width)) * u64::from(page.size.1.div_ceil(height));
    if count > MOST_TILES {
        return Err(Problem::unsupported(format!("has {count} tiles"), "save it in larger ones, such as 256×256 px"));
    }
    if page.listed != (count, count) {
        let (listed, _) = page.listed;
        return Err(Problem::Damaged(format!("lists {listed} tiles where its size makes {count}")));
    }
    Ok(count)
}
