//! Levels that are one JPEG each, as Hamamatsu's NDPI keeps them: far too large for a decoder, and larger than a JPEG may say it is.
//!
//! Restart markers divide the data of such a JPEG into intervals that do not depend on each other. If an interval covers a stretch of one
//! row of coding units, it becomes a small JPEG of its own with a header that gives its size; these parts are read like tiles. If colours
//! are stored at half the resolution, they are enlarged without the neighbouring part, so values at the borders of parts may differ by a
//! few levels from those of a program that decodes the whole level.

use std::io::{Read, Seek, SeekFrom};

use super::directory::{MOST_TILES, Page};
use super::unread;
use crate::error::Problem;
use crate::jpeg;

/// Bytes at the start of a JPEG in which its data begins; those of Hamamatsu need less than a thousand.
const HEADER: u64 = 1 << 16;
/// Bytes that are looked at in one go for markers.
const PIECE: usize = 1 << 20;

/// The parts of a level that is one JPEG.
#[derive(Debug)]
pub(super) struct Parts {
    /// Size of each, px.
    pub(super) part: (u32, u32),
    /// Where each begins in the file, and its bytes without the marker that follows.
    pub(super) tiles: Vec<(u64, u64)>,
    /// What stands before the data of each to make it a JPEG.
    pub(super) head: Vec<u8>,
}

/// The parts of the JPEG of a page, which begins at `at` and has `bytes` bytes; `None` if it has no restart markers.
///
/// # Errors
/// Markers that do not divide its rows evenly; another number of them than its size needs.
pub(super) fn parts<R: Read + Seek>(
    file: &mut R,
    page: &Page,
    (at, bytes): (u64, u64),
) -> Result<Option<Parts>, Problem> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(at))
        .and_then(|_| file.by_ref().take(HEADER.min(bytes)).read_to_end(&mut head))
        .map_err(|error| unread(&error))?;
    let said = jpeg::head(&head).filter(|said| said.channels == usize::from(page.channels));
    let said = said.ok_or_else(|| Problem::damaged("a level of it is not a JPEG of one pass and of its colours"))?;
    if said.restart == 0 {
        return Ok(None);
    }
    let units = page.size.0.div_ceil(said.unit.0);
    if !units.is_multiple_of(said.restart) {
        let every = said.restart;
        let what = format!("has a restart marker after every {every} of the {units} coding units in a row of a level");
        return Err(Problem::unsupported(what, REMEDY));
    }
    let part = (said.restart * said.unit.0, said.unit.1);
    let count = u64::from(units / said.restart) * u64::from(page.size.1.div_ceil(part.1));
    let side = |px: u32| u16::try_from(px).map_err(|_| Problem::TooLargeTiles { width: part.0, height: part.1 });
    let (width, height) = (side(part.0)?, side(part.1)?);
    if count > MOST_TILES {
        return Err(Problem::unsupported(format!("a level of it has {count} parts"), REMEDY));
    }
    head.truncate(said.data_at);
    head[said.size_at..said.size_at + 2].copy_from_slice(&height.to_be_bytes());
    head[said.size_at + 2..said.size_at + 4].copy_from_slice(&width.to_be_bytes());
    let data = said.data_at as u64;
    let tiles = intervals(file, (at + data, bytes.saturating_sub(data)), count)?;
    Ok(Some(Parts { part, tiles, head }))
}

/// What helps where a level cannot be read in parts.
pub(super) const REMEDY: &str =
    "convert it to a tiled pyramid: `vips tiffsave in.ndpi out.tif --tile --pyramid --bigtiff --compression jpeg`";

/// Where each of `count` intervals of data lies. Coded data has no marker in it, so what looks like one is one.
fn intervals<R: Read + Seek>(file: &mut R, (at, bytes): (u64, u64), count: u64) -> Result<Vec<(u64, u64)>, Problem> {
    file.seek(SeekFrom::Start(at)).map_err(|error| unread(&error))?;
    let mut found = Vec::with_capacity(count as usize);
    let (mut start, mut place, mut after_ff) = (at, at, false);
    let mut piece = vec![0; PIECE];
    let mut left = file.by_ref().take(bytes);
    loop {
        let read = left.read(&mut piece).map_err(|error| unread(&error))?;
        if read == 0 {
            return Err(Problem::damaged("the data of a level ends before its last marker"));
        }
        for byte in &piece[..read] {
            if after_ff && matches!(byte, 0xd0..=0xd9) {
                let number = *byte - 0xd0;
                let is_next = usize::from(number) == found.len() % 8;
                found.push((start, place - 1 - start));
                let is_last = *byte == 0xd9;
                if is_last && found.len() as u64 == count {
                    return Ok(found);
                }
                if is_last || !is_next || found.len() as u64 == count {
                    let (there, count) = (found.len(), count);
                    return Err(Problem::Damaged(format!(
                        "a level of it has other than {count} parts: {there} are in order"
                    )));
                }
                start = place + 1;
            }
            after_ff = *byte == 0xff;
            place += 1;
        }
    }
}
