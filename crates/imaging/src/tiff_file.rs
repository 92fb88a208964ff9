//! Facts about a TIFF that its decoder keeps to itself: its pages, a page's palette, its colour profile.
//!
//! The decoder reaches a page only through all pages before it, refuses palette images at every door, and mistakes the place of samples
//! beside a channel that no one names (ADR 0015). All are got around by an edited view of the file ([`Edited`]): its header names another page, the tag of a palette image says grey,
//! and it is coloured afterwards, or the unnamed channel is called alpha, and left out afterwards. Offsets come from the file and are
//! not trusted.

use std::collections::HashSet;
use std::io::{self, BufRead, Read, Seek, SeekFrom};

use crate::profile;

/// TIFF tag: bit 0 for a smaller copy of another page, bit 2 for a mask of one.
const KIND_OF_PAGE: u16 = 254;
/// TIFF tag: number of bits of a sample.
const BITS_PER_SAMPLE: u16 = 258;
/// TIFF tag: what a sample means.
const PHOTOMETRIC: u16 = 262;
/// TIFF tag: samples of a pixel.
const SAMPLES_PER_PIXEL: u16 = 277;
/// TIFF tag: 3 × 2^bits values of 16 bits, all reds first.
const COLOUR_MAP: u16 = 320;
/// TIFF tag: what samples beside the colours are.
const EXTRA_SAMPLES: u16 = 338;
/// TIFF tag: how the picture is turned, as EXIF counts.
const ORIENTATION: u16 = 274;
/// TIFF tag: an ICC profile.
const PROFILE: u16 = 34_675;
/// Pages of a file after which no more are looked for.
pub const MOST_PAGES: usize = 10_000;
/// Tags of a page beyond which it is none; as many as a classic TIFF can name.
const MOST_TAGS: u64 = 65_535;

/// The colours of a palette image of up to 8 bits.
pub(super) type Palette = Box<[[u8; 3]; 256]>;

/// A classic TIFF or a BigTIFF.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

/// A page of a TIFF: where its directory begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page(usize);

/// A tag of a page.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u16,
    count: u64,
    /// Where its value stands, or the offset of one that takes more room.
    value: usize,
}

impl<'a> Tiff<'a> {
    /// Nothing for a file that is no TIFF.
    pub(super) fn open(bytes: &'a [u8]) -> Option<Self> {
        let (little, big) = match bytes {
            [b'I', b'I', 42, 0, ..] => (true, false),
            [b'M', b'M', 0, 42, ..] => (false, false),
            [b'I', b'I', 43, 0, ..] => (true, true),
            [b'M', b'M', 0, 43, ..] => (false, true),
            _ => return None,
        };
        Some(Self { bytes, little, big })
    }

    /// Its pages in the order of the file, at most [`MOST_PAGES`].
    pub(super) fn pages(&self) -> Vec<Page> {
        let mut pages = Vec::new();
        let mut seen = HashSet::new();
        let mut next = self.offset(self.header());
        while let Some(at) = next.filter(|&at| at != 0 && seen.insert(at)) {
            let Some((count, first)) = self.count(at) else { break };
            pages.push(Page(at));
            if pages.len() == MOST_PAGES {
                break;
            }
            next = count
                .checked_mul(self.entry_bytes())
                .and_then(|all| first.checked_add(all))
                .and_then(|at| self.offset(at));
        }
        pages
    }

    /// Whether a page calls itself a smaller copy or a mask of another one.
    pub(super) fn is_aid(&self, page: Page) -> bool {
        // Tags are in order, and this is the least of those in use.
        let kind =
            self.entries(page.0).take_while(|entry| entry.tag <= KIND_OF_PAGE).find(|entry| entry.tag == KIND_OF_PAGE);
        kind.and_then(|entry| self.u32(entry.value)).is_some_and(|kind| kind & 0b101 != 0)
    }

    /// What the colour profile of a page calls itself: nothing inside where it says nothing.
    pub(super) fn profile(&self, page: Page) -> Option<Option<String>> {
        let entry = self.entries(page.0).find(|entry| entry.tag == PROFILE)?;
        let start = self.offset(entry.value)?;
        let bytes = self.bytes.get(start..start.checked_add(usize::try_from(entry.count).ok()?)?)?;
        Some(profile::name(bytes))
    }

    /// The file as the decoder is to see it, so that it reads `page`.
    pub(super) fn edited(&self, page: Page) -> (Edited<'a>, View) {
        let mut edits = Vec::new();
        if self.offset(self.header()) != Some(page.0) {
            edits.push((self.header(), self.offset_bytes(page.0 as u64)));
        }
        let palette = self.palette(page.0).map(|(at, colours)| {
            edits.push((at, self.u16_bytes(1)));
            colours
        });
        let extra = self.entries(page.0).find(|entry| entry.tag == EXTRA_SAMPLES && entry.count == 1);
        let colours =
            self.entries(page.0).find(|entry| entry.tag == PHOTOMETRIC).and_then(|entry| self.u16(entry.value));
        let unknown = extra.filter(|entry| self.u16(entry.value) == Some(0) && colours == Some(2));
        if let Some(entry) = unknown {
            edits.push((entry.value, self.u16_bytes(2)));
        }
        edits.sort();
        edits.dedup_by_key(|(at, _)| *at);
        (Edited { bytes: self.bytes, edits, at: 0 }, View { palette, unknown_extra: unknown.is_some() })
    }

    /// How a page is turned: 1 to 8 as EXIF counts.
    pub(super) fn orientation(&self, page: Page) -> Option<u8> {
        let entry = self.entries(page.0).find(|entry| entry.tag == ORIENTATION)?;
        self.u16(entry.value).and_then(|turned| u8::try_from(turned).ok())
    }

    /// Where the value of a tag of a page stands.
    #[cfg(test)]
    pub(super) fn place_of_tag(&self, page: Page, tag: u16) -> Option<usize> {
        self.entries(page.0).find(|entry| entry.tag == tag).map(|entry| entry.value)
    }

    /// Where the header names the first page.
    fn header(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    fn entry_bytes(&self) -> usize {
        if self.big { 20 } else { 12 }
    }

    /// How many tags the page at `at` has, and where the first stands.
    fn count(&self, at: usize) -> Option<(usize, usize)> {
        if self.big {
            Some((self.u64(at).filter(|&count| count <= MOST_TAGS)? as usize, at.checked_add(8)?))
        } else {
            Some((usize::from(self.u16(at)?), at.checked_add(2)?))
        }
    }

    /// The tags of the page at `at`, as far as the file goes.
    fn entries(&self, at: usize) -> impl Iterator<Item = Entry> {
        let (count, first) = self.count(at).unwrap_or((0, 0));
        let size = self.entry_bytes();
        let places = (0..count).map_while(move |index| index.checked_mul(size)?.checked_add(first));
        places.map_while(|at| {
            let count = at.checked_add(4)?;
            let count = if self.big { self.u64(count)? } else { u64::from(self.u32(count)?) };
            let value = at.checked_add(if self.big { 12 } else { 8 })?;
            Some(Entry { tag: self.u16(at)?, count, value })
        })
    }

    /// The colours of a palette image of up to 8 bits, and where its tag says that it is one.
    fn palette(&self, at: usize) -> Option<(usize, Palette)> {
        let (mut bits, mut samples, mut photometric, mut map) = (1, 1, None, None);
        for Entry { tag, count, value } in self.entries(at) {
            match tag {
                BITS_PER_SAMPLE => bits = self.u16(value)?,
                SAMPLES_PER_PIXEL => samples = self.u16(value)?,
                PHOTOMETRIC => photometric = Some((value, self.u16(value)?)),
                COLOUR_MAP => map = Some((count, self.offset(value)?)),
                _ => {}
            }
        }
        let (said, 3) = photometric? else { return None };
        if !(1..=8).contains(&bits) || samples != 1 {
            return None;
        }
        let (colours, (count, map)) = (1_usize << bits, map?);
        if count != 3 * colours as u64 {
            return None;
        }
        let value = |channel: usize, index: usize| self.u16(map.checked_add(2 * (colours * channel + index))?);
        let values: Option<Vec<u16>> = (0..3 * colours).map(|at| value(at / colours, at % colours)).collect();
        let values = values?;
        // Some programs write the eight bits of a colour alone, others all sixteen.
        let shift = if values.iter().all(|value| *value < 256) { 0 } else { 8 };
        let mut palette = Box::new([[0; 3]; 256]);
        for (at, value) in values.iter().enumerate() {
            palette[at % colours][at / colours] = (value >> shift) as u8;
        }
        Some((said, palette))
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()?;
        if !self.little {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// A place in the file.
    fn offset(&self, at: usize) -> Option<usize> {
        if self.big { usize::try_from(self.u64(at)?).ok() } else { Some(self.u32(at)? as usize) }
    }

    fn u16_bytes(&self, number: u16) -> Vec<u8> {
        if self.little { number.to_le_bytes() } else { number.to_be_bytes() }.to_vec()
    }

    fn offset_bytes(&self, offset: u64) -> Vec<u8> {
        let mut bytes = offset.to_le_bytes()[..if self.big { 8 } else { 4 }].to_vec();
        if !self.little {
            bytes.reverse();
        }
        bytes
    }
}

/// How what the decoder gives is to be read.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The colours by number, where the page has a palette.
    pub(super) palette: Option<Palette>,
    /// Whether what is called alpha is a channel that no one names.
    pub(super) unknown_extra: bool,
}

/// A file some bytes of which read otherwise.
#[derive(Debug)]
pub(super) struct Edited<'a> {
    bytes: &'a [u8],
    /// Where, and what stands there instead; in order, none over another.
    edits: Vec<(usize, Vec<u8>)>,
    at: usize,
}

impl<'a> Edited<'a> {
    /// The file without its edits.
    pub(super) fn whole(&self) -> &'a [u8] {
        self.bytes
    }
}

impl BufRead for Edited<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let mut end = self.bytes.len();
        for (start, instead) in &self.edits {
            if let Some(inside) = self.at.checked_sub(*start).filter(|&inside| inside < instead.len()) {
                return Ok(&instead[inside..]);
            }
            if *start > self.at {
                end = end.min(*start);
            }
        }
        Ok(self.bytes.get(self.at..end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Edited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl Seek for Edited<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => usize::try_from(to).ok(),
            SeekFrom::End(by) => isize::try_from(by).ok().and_then(|by| self.bytes.len().checked_add_signed(by)),
            SeekFrom::Current(by) => isize::try_from(by).ok().and_then(|by| self.at.checked_add_signed(by)),
        };
        self.at = to.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_file_reads_as_if_it_had_been_written_so() {
        let bytes: Vec<u8> = (0..40).collect();
        let edits = vec![(4, vec![100, 101, 102, 103]), (8, vec![104]), (30, vec![105, 106])];
        let mut expected = bytes.clone();
        edits.iter().for_each(|(at, instead)| expected[*at..at + instead.len()].copy_from_slice(instead));
        for start in 0..=41 {
            let mut edited = Edited { bytes: &bytes, edits: edits.clone(), at: 0 };
            assert_eq!(edited.seek(SeekFrom::Start(start)).unwrap(), start);
            let mut read = Vec::new();
            edited.read_to_end(&mut read).unwrap();
            assert_eq!(read, expected[(start as usize).min(40)..], "from {start}");
            assert!(edited.seek(SeekFrom::Current(-1000)).is_err());
        }
    }

    #[test]
    fn pages_that_lead_in_a_circle_are_counted_once() {
        let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
        bytes.extend([0, 0, 8, 0, 0, 0]);
        assert_eq!(Tiff::open(&bytes).unwrap().pages().len(), 1);
    }

    #[test]
    fn offsets_at_the_end_of_all_numbers_lead_nowhere() {
        for offset in [u64::MAX, u64::MAX - 7, u64::MAX - 20, 1 << 63] {
            let mut bytes = b"II\x2b\0\x08\0\0\0".to_vec();
            bytes.extend(offset.to_le_bytes());
            let tiff = Tiff::open(&bytes).unwrap();
            assert!(tiff.pages().is_empty());
            let page = Page(usize::try_from(offset).unwrap());
            assert!(!tiff.is_aid(page) && tiff.profile(page).is_none() && tiff.palette(page.0).is_none());
        }
    }
}
