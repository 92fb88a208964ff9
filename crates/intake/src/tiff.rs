//! Facts about a TIFF that its decoder keeps to itself: how many pages it has, its palette, and its colour profile.
//!
//! The decoder refuses palette images. An 8-bit one is read as grey instead, by a copy whose photometric tag says so, and
//! coloured afterwards. Offsets come from the file and are not trusted.

use crate::profile;

/// TIFF tag: number of bits of a sample.
const BITS_PER_SAMPLE: u16 = 258;
/// TIFF tag: what a sample means.
const PHOTOMETRIC: u16 = 262;
/// TIFF tag: samples of a pixel.
const SAMPLES_PER_PIXEL: u16 = 277;
/// TIFF tag: 3 × 256 values of 16 bits, all reds first.
const COLOUR_MAP: u16 = 320;
/// TIFF tag: an ICC profile.
const PROFILE: u16 = 34_675;
/// Pages after which counting stops.
const MOST_PAGES: usize = 10_000;

/// The colours of an 8-bit palette image, and a copy of its file that calls itself grey.
pub(super) type Palette = (Box<[[u8; 3]; 256]>, Vec<u8>);

/// What is known of a TIFF.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Number of pages, at most [`MOST_PAGES`].
    pub(super) pages: usize,
    /// For an 8-bit palette image.
    pub(super) palette: Option<Palette>,
    /// What the colour profile of the first page calls itself: nothing where it says nothing.
    pub(super) profile: Option<Option<String>>,
}

/// Reads the facts; of a file that is no classic TIFF there are none.
pub(super) fn facts(bytes: &[u8]) -> Facts {
    let file = match bytes {
        [b'I', b'I', 42, 0, ..] => Tiff { bytes, little: true },
        [b'M', b'M', 0, 42, ..] => Tiff { bytes, little: false },
        _ => return Facts::default(),
    };
    let mut facts = Facts::default();
    let mut next = file.u32(4);
    while let Some(offset) = next.filter(|&offset| offset != 0) {
        let Some(count) = file.u16(offset as usize) else { break };
        if facts.pages == 0 {
            facts.palette = file.palette(offset as usize, usize::from(count));
            facts.profile = file.profile(offset as usize, usize::from(count)).map(profile::name);
        }
        facts.pages += 1;
        if facts.pages == MOST_PAGES {
            break;
        }
        next = file.u32(offset as usize + 2 + 12 * usize::from(count));
    }
    facts
}

struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl<'a> Tiff<'a> {
    fn u16(&self, at: usize) -> Option<u16> {
        let two = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let four = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    }

    fn profile(&self, directory: usize, count: usize) -> Option<&'a [u8]> {
        let mut entries = (0..count).map(|index| directory + 2 + 12 * index);
        let entry = entries.find(|&entry| self.u16(entry) == Some(PROFILE))?;
        let (length, start) = (self.u32(entry + 4)? as usize, self.u32(entry + 8)? as usize);
        self.bytes.get(start..start.checked_add(length)?)
    }

    fn palette(&self, directory: usize, count: usize) -> Option<Palette> {
        let (mut bits, mut samples, mut photometric, mut map) = (1, 1, None, None);
        for entry in (0..count).map(|index| directory + 2 + 12 * index) {
            match self.u16(entry)? {
                BITS_PER_SAMPLE => bits = self.u16(entry + 8)?,
                SAMPLES_PER_PIXEL => samples = self.u16(entry + 8)?,
                PHOTOMETRIC => photometric = Some((entry + 8, self.u16(entry + 8)?)),
                COLOUR_MAP if self.u32(entry + 4)? == 768 => map = Some(self.u32(entry + 8)? as usize),
                _ => {}
            }
        }
        let (at, 3) = photometric? else { return None };
        if (bits, samples) != (8, 1) {
            return None;
        }
        let map = map?;
        let mut colours = Box::new([[0; 3]; 256]);
        for (index, colour) in colours.iter_mut().enumerate() {
            for (channel, value) in colour.iter_mut().enumerate() {
                *value = self.u16(map + 2 * (256 * channel + index))?.to_be_bytes()[0];
            }
        }
        let mut grey = self.bytes.to_vec();
        let black_is_zero = if self.little { 1_u16.to_le_bytes() } else { 1_u16.to_be_bytes() };
        grey[at..at + 2].copy_from_slice(&black_is_zero);
        Some((colours, grey))
    }
}
