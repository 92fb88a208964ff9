//! Whole slides: pyramids of tiled TIFF pages, of which a region is read at a time.
//!
//! A slide is never decoded as a whole, and its file is never read as a whole: [`Slide::read`] decodes the tiles under a region and no
//! others. Read are TIFF and BigTIFF with tiles that are JPEG (with tables of their own or of the page, RGB or YCbCr), deflate, LZW or
//! not compressed, of 8 bits, grey or in colour: SVS of Aperio, OME-TIFF, and what QuPath and libvips write; and NDPI of Hamamatsu up to
//! 4 GiB, whose levels are single JPEGs with restart markers (`ndpi`). Counts, sizes and
//! offsets come from the file: they are compared with its length and with [`DecodeLimits`], which here are those of a tile and of a
//! region, before anything is allocated for them.

mod cover;
mod directory;
mod levels;
mod ndpi;
mod scale;
mod tile;

use std::io::{Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use image::{ImageFormat, RgbImage};

use self::directory::{Pages, TagReader};
use self::levels::Level;
use crate::error::{DecodeError, Problem};
use crate::tiff_file::Tiff;
use crate::{DecodeLimits, HEAD, guarded, known, not_applied};

/// Longest side of [`Slide::overview`], px.
pub const OVERVIEW_PX: u32 = 2048;

/// A rectangle of a level, in pixels of that level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A slide whose file is open. Threads share it; each reads with a reader of its own.
#[derive(Debug)]
pub struct Slide<R: Read + Seek> {
    file: R,
    /// Bytes of the file.
    length: u64,
    limits: DecodeLimits,
    /// From the finest to the coarsest; never empty.
    levels: Vec<Level>,
    um_per_px: Option<f64>,
    notes: Vec<String>,
    /// Readers that no thread uses, each with the number of its level.
    idle: Mutex<Vec<(usize, TagReader<R>)>>,
}

impl<R: Read + Seek + Clone> Slide<R> {
    /// Opens a slide. `file` is cloned for each thread that reads: clones must not share their position.
    ///
    /// # Errors
    /// A file that is not a TIFF; a first page that is not read in parts, or whose pixels are not of a kind that is read.
    pub fn open(mut file: R, limits: DecodeLimits) -> Result<Self, DecodeError> {
        let mut head = Vec::new();
        let started = file.seek(SeekFrom::End(0)).and_then(|length| {
            file.rewind()?;
            file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
            Ok(length)
        });
        let length = guarded(ImageFormat::Tiff, limits, || started.map_err(|error| unread(&error)))?;
        if Tiff::open(&head).is_none() {
            known(&head)?;
            return guarded(ImageFormat::Tiff, limits, || {
                Err(Problem::unsupported(
                    "is not a TIFF, as slides are",
                    "describe such images in a source of their own",
                ))
            });
        }
        guarded(ImageFormat::Tiff, limits, || {
            let Pages { base, others } = directory::pages(&file, length)?;
            let (um_per_px, profile) = (base.um_per_px, base.profile.clone());
            let (levels, mut notes) = levels::of(&file, (length, limits), base, others)?;
            notes.extend(profile.map(not_applied));
            Ok(Self { file, length, limits, levels, um_per_px, notes, idle: Mutex::default() })
        })
    }

    /// Width and height of each level in pixels, from the finest to the coarsest.
    pub fn levels(&self) -> Vec<(u32, u32)> {
        self.levels.iter().map(|level| level.size).collect()
    }

    /// Micrometres to a pixel of the finest level, where the file says so: by the MPP of Aperio, the XML of OME, or the resolution of
    /// TIFF where it is that of a microscope.
    pub fn um_per_px(&self) -> Option<f64> {
        self.um_per_px
    }

    /// How many pixels of the finest level a pixel of `level` covers, in each direction.
    pub fn downsampling(&self, level: usize) -> f64 {
        let width = |level: usize| self.levels.get(level).map_or(1.0, |level| f64::from(level.size.0));
        width(0) / width(level)
    }

    /// What a reader of the report should know of how it is read.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The pixels of a region of a level. What the file has no tile for is white.
    ///
    /// # Errors
    /// A region that does not lie in the level, or is over the limit of pixels; damage in a tile under it.
    pub fn read(&self, level: usize, area: Area) -> Result<RgbImage, DecodeError> {
        guarded(ImageFormat::Tiff, self.limits, || {
            let of = self.levels.get(level).ok_or_else(|| Problem::NoPage(format!("it has no level {level}")))?;
            let inside = |start: u32, side: u32, whole: u32| start.checked_add(side).is_some_and(|end| end <= whole);
            if !inside(area.x, area.width, of.size.0) || !inside(area.y, area.height, of.size.1) {
                let (width, height) = of.size;
                return Err(Problem::NoPage(format!("the region is outside level {level} of {width}×{height} px")));
            }
            self.limits.allow(area.width, area.height)?;
            let mut reader = self.reader(level)?;
            let rgb = of.region(&mut reader, area)?;
            self.idle().push((level, reader));
            Ok(rgb)
        })
    }

    /// The whole slide in few pixels: the finest level within [`OVERVIEW_PX`], or the coarsest one, averaged over squares of whole pixels
    /// until it is.
    ///
    /// # Errors
    /// Damage in any tile of that level.
    pub fn overview(&self) -> Result<RgbImage, DecodeError> {
        let longer = |(width, height): (u32, u32)| width.max(height);
        let levels = self.levels();
        let small = levels.iter().position(|&size| longer(size) <= OVERVIEW_PX);
        let level = small.unwrap_or(levels.len() - 1);
        let (width, height) = levels[level];
        if small.is_some() {
            return self.read(level, Area { x: 0, y: 0, width, height });
        }
        let by = longer((width, height)).div_ceil(OVERVIEW_PX);
        let mut small = RgbImage::new(width / by, height / by);
        // Bands as high as tiles, so that hardly a tile is decoded twice.
        let rows = (self.levels[level].part.1 / by).clamp(1, OVERVIEW_PX);
        for top in (0..small.height()).step_by(rows as usize) {
            let rows = rows.min(small.height() - top);
            for left in (0..small.width()).step_by(OVERVIEW_PX as usize / 8) {
                let columns = (OVERVIEW_PX / 8).min(small.width() - left);
                let area = Area { x: left * by, y: top * by, width: columns * by, height: rows * by };
                average(&self.read(level, area)?, by, &mut small, (left, top));
            }
        }
        Ok(small)
    }

    /// A reader that stands at a level.
    fn reader(&self, level: usize) -> Result<TagReader<R>, Problem> {
        let mut idle = self.idle();
        if let Some(at) = idle.iter().position(|(of, _)| *of == level) {
            return Ok(idle.swap_remove(at).1);
        }
        drop(idle);
        directory::reader_at(&self.file, self.levels[level].at, self.length)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(usize, TagReader<R>)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Averages squares of `by` pixels of `from` into pixels of `to`, from `(left, top)` on.
fn average(from: &RgbImage, by: u32, to: &mut RgbImage, (left, top): (u32, u32)) {
    let pixels = by * by;
    for row in 0..from.height() / by {
        for column in 0..from.width() / by {
            let mut sums = [0_u32; 3];
            for y in row * by..(row + 1) * by {
                for x in column * by..(column + 1) * by {
                    let pixel = from.get_pixel(x, y).0;
                    sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u32::from(value));
                }
            }
            to.put_pixel(left + column, top + row, image::Rgb(sums.map(|sum| ((sum + pixels / 2) / pixels) as u8)));
        }
    }
}

fn unread(error: &std::io::Error) -> Problem {
    Problem::Damaged(format!("cannot be read ({error})"))
}

#[cfg(test)]
mod tests;
