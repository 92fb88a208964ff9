//! Whether the data of a JPEG is all there, which its decoder does not tell: it fills what is missing with grey or with noise.
//!
//! The segments are followed from marker to marker, and the data of each scan is walked through block by block, as a decoder does,
//! without making pixels. What is found:
//! * data that ends before the last block, codes that no table holds, restart markers out of order, passes that are missing: the
//!   image is damaged;
//! * more than [`SPARE`] bytes that belong to no block: the same, since damage may also make the rest seem too long;
//! * fewer such bytes, a missing end marker, anything after the end: harmless, and noted.
//!
//! Damage that changes neither the number of blocks nor their bits cannot be detected without the original.

mod bits;
mod scan;

use bits::{Bits, Codes};
use scan::{COEFFICIENTS, Component, Header, Scan, Tables};

use crate::error::Problem;

/// Bytes of data that may belong to no block: some programs write a few before a marker.
const SPARE: usize = 16;
/// Passes of a file, at most; encoders make some ten.
const MOST_PASSES: usize = 200;

/// The frame of a JPEG: what its header says, read before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Width and height, px.
    pub(crate) size: (u32, u32),
    /// Components of a pixel.
    pub(crate) channels: usize,
}

/// A JPEG whose data is all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Whether an end marker follows.
    pub(crate) ends: bool,
    /// Bytes before the end that belong to nothing.
    spare: usize,
    /// Bytes after the end, and whether they begin another image.
    after: (usize, bool),
}

/// Why data is not all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// It ends, or a marker stands where data belongs.
    Ended,
    /// A code that no table holds, or a block of more coefficients than there are.
    Code,
    /// A restart marker of another number.
    Interval,
    /// Zeros where data was.
    Zeros,
    /// A table is missing.
    Tables,
}

/// What a frame says, and what is known of it so far.
#[derive(Debug)]
struct Frame {
    /// Whether the image is sent in several passes, each of which refines it (progressive JPEG).
    progressive: bool,
    /// Bits of a sample.
    precision: u8,
    /// Units of an interleaved scan: across, down.
    units: (usize, usize),
    components: Vec<Component>,
}

impl Whole {
    /// What a reader of the report should know.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.ends {
            notes.push("its end marker is missing, its pixels are whole".to_owned());
        }
        if self.spare > 0 {
            notes.push(format!("{} bytes belong to no part of its picture, so it may be damaged", self.spare));
        }
        match self.after {
            (0, _) => {}
            (_, true) => notes.push("another image follows its end and is not read".to_owned()),
            (_, false) => notes.push("bytes follow its end and are not read".to_owned()),
        }
        notes
    }
}

impl Lost {
    fn problem(self, unit: usize, units: usize) -> Problem {
        let at = format!("at part {} of {units}", unit + 1);
        Problem::Damaged(match self {
            Self::Ended => format!("its data ends before its image does, {at}"),
            Self::Code => format!("its data is damaged, {at}"),
            Self::Zeros => format!("zeros are in place of data, {at}"),
            Self::Interval => format!("a stretch of its data is lost, {at}"),
            Self::Tables => "it lacks a table of codes".to_owned(),
        })
    }
}

/// The next marker at or behind `at`: where it stands, and its number.
fn marker(bytes: &[u8], mut at: usize) -> Option<(usize, u8)> {
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        match *bytes.get(at + 1)? {
            0xff => at += 1,
            0x00 => at += 2,
            marker => return Some((at, marker)),
        }
    }
}

/// Content of the segment whose marker stands at `at`, as far as the file goes: what stands in it, and where the next one begins.
fn segment(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let length: [u8; 2] = bytes.get(at + 2..at + 4)?.try_into().ok()?;
    let end = at + 2 + usize::from(u16::from_be_bytes(length)).max(2);
    Some((bytes.get(at + 4..end)?, end))
}

/// Whether a marker begins a frame.
fn begins_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// What the first frame says of its size; nothing where none begins before the data.
pub(crate) fn size(bytes: &[u8]) -> Option<Size> {
    let mut at = 2;
    loop {
        let (place, kind) = marker(bytes, at)?;
        match kind {
            0x01 | 0xd0..=0xd8 => at = place + 2,
            0xd9 | 0xda => return None,
            _ => {
                let (content, end) = segment(bytes, place)?;
                if let (true, [_, h1, h0, w1, w0, channels, ..]) = (begins_frame(kind), content) {
                    let size = (u16::from_be_bytes([*w1, *w0]).into(), u16::from_be_bytes([*h1, *h0]).into());
                    return Some(Size { size, channels: (*channels).into() });
                }
                at = end;
            }
        }
    }
}

/// What Adobe's marker says of the components of a JPEG: 0 for RGB (or CMYK), 1 for YCbCr; nothing in a JPEG without the marker.
pub(crate) fn transform(bytes: &[u8]) -> Option<u8> {
    let mut at = 2;
    loop {
        let (place, kind) = marker(bytes, at)?;
        let (content, end) = segment(bytes, place)?;
        match kind {
            0xee if content.starts_with(b"Adobe") => return content.get(11).copied(),
            0xd8..=0xda => return None,
            _ => at = end,
        }
    }
}

/// What stands before the data of a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Where its height stands, two bytes before its width.
    pub(crate) size_at: usize,
    /// Size of a coding unit, px.
    pub(crate) unit: (u32, u32),
    /// Components of a pixel.
    pub(crate) channels: usize,
    /// Units between two restart markers, 0 for none.
    pub(crate) restart: u32,
    /// Where its data begins.
    pub(crate) data_at: usize,
}

/// What stands before the data of a JPEG of one pass with all its components; nothing for any other.
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    let (mut at, mut restart, mut frame) = (2, 0, None);
    loop {
        let (place, kind) = marker(bytes, at)?;
        let (content, end) = segment(bytes, place)?;
        match kind {
            0xc0 | 0xc1 => {
                let [_, _, _, _, _, channels, components @ ..] = content else { return None };
                let components = components.as_chunks::<3>().0.get(..usize::from(*channels))?;
                let most = |shift: u8| components.iter().map(|[_, of, _]| of >> shift & 15).max();
                let unit = (8 * u32::from(most(4)?), 8 * u32::from(most(0)?));
                frame = Some((place + 5, unit, components.len()));
            }
            0xdd => restart = content.first_chunk().map(|of| u16::from_be_bytes(*of))?.into(),
            0xda => {
                let (size_at, unit, channels) = frame?;
                let is_whole = content.first().is_some_and(|together| usize::from(*together) == channels);
                let sound = is_whole && unit.0 > 0 && unit.1 > 0;
                return sound.then_some(Head { size_at, unit, channels, restart, data_at: end });
            }
            0xd8..=0xd9 => return None,
            _ if begins_frame(kind) => return None,
            _ => {}
        }
        at = end;
    }
}

/// Walks through all data of a JPEG; `tables` is a JPEG of tables alone, as a TIFF keeps for its tiles. The caller has checked that
/// its [`size`] is one that may be read.
///
/// # Errors
/// What is missing, with what to do; a reason for the report.
pub(crate) fn whole(bytes: &[u8], tables: Option<&[u8]>) -> Result<Whole, Problem> {
    let mut walk = Walk { bytes, ..Walk::default() };
    if let Some(tables) = tables {
        let mut walk_tables = Walk { bytes: tables, ..Walk::default() };
        walk_tables.segments()?;
        (walk.tables, walk.steps, walk.restart) = (walk_tables.tables, walk_tables.steps, walk_tables.restart);
    }
    let end = walk.segments()?;
    walk.complete()?;
    let after = end.and_then(|end| bytes.get(end..)).unwrap_or_default();
    // Cameras fill up the space between the pictures of one file.
    let another = after.iter().position(|byte| *byte != 0).is_some_and(|at| after[at..].starts_with(&[0xff, 0xd8]));
    Ok(Whole { ends: end.is_some(), spare: walk.spare, after: (after.len(), another) })
}

/// A walk through a file.
#[derive(Debug, Default)]
struct Walk<'a> {
    bytes: &'a [u8],
    tables: Tables,
    /// The step of the means in each table of steps.
    steps: [u16; 4],
    /// Units between two restart markers, 0 for none.
    restart: usize,
    frame: Option<Frame>,
    passes: usize,
    /// Bytes that belong to nothing.
    spare: usize,
}

impl Walk<'_> {
    /// Walks up to the end marker; returns where it ends, or nothing where the file ends without one.
    fn segments(&mut self) -> Result<Option<usize>, Problem> {
        let mut at = 2;
        while let Some((place, kind)) = marker(self.bytes, at) {
            // Any number of filling bytes may stand before a marker.
            self.spare += self.bytes[at..place].iter().filter(|byte| **byte != 0xff).count();
            match kind {
                0xd9 => return Ok(Some(place + 2)),
                0xd8 => return Err(Problem::damaged("another image begins before it ends")),
                0x01 => at = place + 2,
                0xd0..=0xd7 => (self.spare, at) = (self.spare + 2, place + 2),
                _ => {
                    let Some((content, end)) = segment(self.bytes, place) else {
                        return Err(Problem::damaged("the file ends before its image does"));
                    };
                    at = self.part(kind, content, end)?;
                }
            }
            if self.spare > SPARE {
                let reason = "holds data that belongs to no part of its picture, so it is damaged or two files in one";
                return Err(Problem::damaged(reason));
            }
        }
        Ok(None)
    }

    /// Takes in a segment; returns where to go on.
    fn part(&mut self, kind: u8, content: &[u8], end: usize) -> Result<usize, Problem> {
        let hurt = || Problem::damaged("a header of it is damaged");
        match kind {
            0xc4 => self.codes(content).ok_or_else(hurt)?,
            0xdb => self.steps(content).ok_or_else(hurt)?,
            0xc0..=0xc2 if self.frame.is_some() => return Err(Problem::damaged("holds two frames")),
            0xc0..=0xc2 => self.frame = Some(Frame::read(kind, content).ok_or_else(hurt)?),
            _ if begins_frame(kind) => {
                let what = "is a JPEG that is coded in a rare way (arithmetic, lossless or in steps)";
                return Err(Problem::unsupported(what, "save it as PNG"));
            }
            0xdd => self.restart = content.first_chunk().map(|of| u16::from_be_bytes(*of)).ok_or_else(hurt)?.into(),
            0xda => return self.scan(content, end),
            _ => {}
        }
        Ok(end)
    }

    /// Reads a segment of Huffman tables (DHT).
    fn codes(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = content.split_first() {
            let (counts, symbols) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|count| usize::from(*count)).sum();
            let table = self.tables.get_mut(usize::from(kind >> 4))?.get_mut(usize::from(kind & 15))?;
            *table = Some(Codes::new(counts, symbols)?);
            content = symbols.get(count..)?;
        }
        Some(())
    }

    /// Reads a segment of quantisation tables (DQT). The first step of each divides the mean of a block.
    fn steps(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = content.split_first() {
            let (wide, at) = (kind >> 4 != 0, usize::from(kind & 15));
            let table = rest.get(..if wide { 2 * COEFFICIENTS } else { COEFFICIENTS })?;
            let zero = if wide { table.as_chunks::<2>().0.contains(&[0, 0]) } else { table.contains(&0) };
            let first = if wide { u16::from_be_bytes([table[0], table[1]]) } else { table[0].into() };
            *self.steps.get_mut(at)? = first;
            content = rest.get(table.len()..).filter(|_| !zero)?;
        }
        Some(())
    }

    fn scan(&mut self, content: &[u8], start: usize) -> Result<usize, Problem> {
        let hurt = || Problem::damaged("the header of a pass is damaged");
        let frame = self.frame.as_mut().ok_or_else(hurt)?;
        let header = Header::read(content, frame).ok_or_else(hurt)?;
        if !frame.progressive && frame.is_beyond_the_decoder(header.components.len()) {
            let what = "keeps its colours in an order and size that is not read right here";
            return Err(Problem::unsupported(what, "save it as PNG"));
        }
        self.passes += 1;
        if self.passes > MOST_PASSES {
            return Err(Problem::unsupported(format!("has over {MOST_PASSES} passes"), "save it as PNG"));
        }
        let bits = Bits::new(self.bytes, start);
        let progressive = frame.progressive;
        for &(at, ..) in &header.components {
            let component = &mut frame.components[at];
            let step = i32::from(*self.steps.get(component.table).ok_or_else(hurt)?).max(1) << header.low.min(13);
            // Eight times the mean, in steps; and a little more, for programs that change a file without decoding it.
            component.most = ((1024_i32 << (frame.precision.clamp(8, 12) - 8)) + 32) / step + 2;
        }
        let mut scan = Scan { header: &header, tables: &self.tables, bits, progressive, idle: 0 };
        let rest = scan.walk(frame, self.restart).map_err(|(lost, unit, units)| lost.problem(unit, units))?;
        self.spare += rest.spare;
        for &(at, ..) in &header.components {
            frame.components[at].missing[header.band.0..=header.band.1].fill(Some(header.low));
        }
        Ok(rest.next)
    }

    /// Whether every bit of every coefficient was sent.
    fn complete(&self) -> Result<(), Problem> {
        let Some(frame) = &self.frame else { return Err(Problem::damaged("it ends before its image begins")) };
        let complete = |of: &Component| of.missing.iter().all(|missing| *missing == Some(0));
        if frame.components.iter().all(complete) {
            return Ok(());
        }
        Err(Problem::damaged("it ends before the last pass of its image"))
    }
}

impl Frame {
    /// Whether the decoder (zune-jpeg 0.5) gives wrong pixels without an error: colours of different sizes that come in passes of
    /// their own (`together` of them in one), or a first one that is smaller than another.
    fn is_beyond_the_decoder(&self, together: usize) -> bool {
        let first = self.components[0].sampling;
        let differ = self.components.iter().any(|component| component.sampling != first);
        let smaller =
            self.components.iter().any(|component| component.sampling.0 > first.0 || component.sampling.1 > first.1);
        smaller || differ && together < self.components.len()
    }

    fn read(kind: u8, content: &[u8]) -> Option<Self> {
        let [precision, h1, h0, w1, w0, count, rest @ ..] = content else { return None };
        let side = |high, low| usize::from(u16::from_be_bytes([high, low]));
        let (width, height) = (side(*w1, *w0), side(*h1, *h0));
        let said: Vec<(u8, usize, usize, usize)> = rest
            .as_chunks::<3>()
            .0
            .iter()
            .take(usize::from(*count))
            .map(|[id, sampling, table]| {
                (*id, usize::from(sampling >> 4), usize::from(sampling & 15), usize::from(*table))
            })
            .collect();
        let sound = said.iter().all(|(_, h, v, _)| (1..=4).contains(h) && (1..=4).contains(v));
        if !sound || said.len() != usize::from(*count) || !(1..=4).contains(count) || width == 0 || height == 0 {
            return None;
        }
        let most = |of: fn(&(u8, usize, usize, usize)) -> usize| said.iter().map(of).max().unwrap_or(1);
        let (most_h, most_v) = (most(|(_, h, ..)| *h), most(|(_, _, v, _)| *v));
        let units = (width.div_ceil(8 * most_h), height.div_ceil(8 * most_v));
        let progressive = kind == 0xc2;
        let component = |(id, h, v, table): (u8, usize, usize, usize)| Component {
            id,
            sampling: (h, v),
            blocks: ((width * h).div_ceil(most_h).div_ceil(8), (height * v).div_ceil(most_v).div_ceil(8)),
            stride: units.0 * h,
            table,
            mean: 0,
            most: 0,
            missing: [None; COEFFICIENTS],
            set: if progressive { vec![0; units.0 * h * units.1 * v] } else { Vec::new() },
        };
        Some(Self { progressive, precision: *precision, units, components: said.into_iter().map(component).collect() })
    }
}

impl Header {
    fn read(content: &[u8], frame: &Frame) -> Option<Self> {
        let (count, rest) = content.split_first()?;
        let (said, rest) = rest.split_at_checked(2 * usize::from(*count))?;
        let mut components: Vec<(usize, usize, usize)> = Vec::new();
        for [id, tables] in said.as_chunks::<2>().0 {
            let at = frame.components.iter().position(|component| component.id == *id)?;
            if components.iter().any(|(other, ..)| *other == at) {
                return None;
            }
            components.push((at, usize::from(tables >> 4), usize::from(tables & 15)));
        }
        let [first, last, bits, ..] = *rest else { return None };
        if components.is_empty() {
            return None;
        }
        if !frame.progressive {
            return Some(Self { components, band: (0, COEFFICIENTS - 1), low: 0, refines: false });
        }
        let band = (usize::from(first), usize::from(last));
        let of_dc = band == (0, 0);
        let of_ac = components.len() == 1 && (1..=band.1).contains(&band.0) && band.1 < COEFFICIENTS;
        (of_dc || of_ac).then_some(Self { components, band, low: bits & 15, refines: bits >> 4 != 0 })
    }
}

#[cfg(test)]
mod tests;
