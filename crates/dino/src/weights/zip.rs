//! The container of a `.pth` file: a zip archive whose entries are stored, never compressed. Only what PyTorch writes is
//! read; entries are slices of the file, so reading costs no memory.

use super::WeightsError;

const END: &[u8] = b"PK\x05\x06";
const END64_LOCATOR: &[u8] = b"PK\x06\x07";
const END64: &[u8] = b"PK\x06\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
/// A ViT-g checkpoint with its optimiser has a few thousand entries.
const MOST_ENTRIES: u64 = 200_000;

/// An archive and where its entries lie.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    bytes: &'a [u8],
    /// Name and byte range, as the central directory lists them.
    entries: Vec<(&'a str, std::ops::Range<usize>)>,
}

/// Little-endian number of `N` bytes at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<u64, &'static str> {
    let part = at.checked_add(N).and_then(|end| bytes.get(at..end)).ok_or("it ends too early")?;
    Ok(part.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
}

fn place(number: u64) -> Result<usize, &'static str> {
    usize::try_from(number).map_err(|_| "an offset is beyond the file")
}

impl<'a> Archive<'a> {
    /// Reads the central directory. `what` names the file in messages.
    pub(crate) fn open(bytes: &'a [u8], what: &str) -> Result<Self, WeightsError> {
        Self::directory(bytes).map_err(|why| WeightsError::damaged(what, why))
    }

    fn directory(bytes: &'a [u8]) -> Result<Self, &'static str> {
        // PyTorch writes no archive comment, but 64 KiB of one are allowed.
        let from = bytes.len().saturating_sub(22 + 65_535);
        let tail = &bytes[from..];
        let end = tail.windows(4).rposition(|four| four == END).ok_or("its zip directory is missing")? + from;
        // The record is whole and the last thing in the file: a cut by a byte shows.
        if number::<2>(bytes, end + 20)? != (bytes.len() - end - 22) as u64 {
            return Err("it ends too early");
        }
        let (mut count, mut at) = (number::<2>(bytes, end + 10)?, number::<4>(bytes, end + 16)?);
        let locator = end.checked_sub(20).filter(|at| bytes[*at..].starts_with(END64_LOCATOR));
        if let Some(locator) = locator {
            let end64 = place(number::<8>(bytes, locator + 8)?)?;
            if !bytes.get(end64..).is_some_and(|rest| rest.starts_with(END64)) {
                return Err("its zip64 directory is missing");
            }
            (count, at) = (number::<8>(bytes, end64 + 32)?, number::<8>(bytes, end64 + 48)?);
        }
        if count > MOST_ENTRIES {
            return Err("it has more entries than weights have");
        }
        let mut entries = Vec::new();
        let mut at = place(at)?;
        for _ in 0..count {
            let (name, range, next) = Self::entry(bytes, at)?;
            entries.push((name, range));
            at = next;
        }
        Ok(Self { bytes, entries })
    }

    /// Name and bytes of the entry at `at` of the directory, and where the next one is.
    fn entry(bytes: &'a [u8], at: usize) -> Result<(&'a str, std::ops::Range<usize>, usize), &'static str> {
        if !bytes.get(at..).is_some_and(|rest| rest.starts_with(ENTRY)) {
            return Err("its zip directory is damaged");
        }
        let (method, flags) = (number::<2>(bytes, at + 10)?, number::<2>(bytes, at + 8)?);
        if method != 0 || flags & 1 != 0 {
            return Err("an entry is compressed or encrypted, which PyTorch never does");
        }
        let lengths = [number::<2>(bytes, at + 28)?, number::<2>(bytes, at + 30)?, number::<2>(bytes, at + 32)?];
        let [name, extra, comment] = lengths.map(|n| n as usize);
        let start = at + 46;
        let text = bytes.get(start..start + name).ok_or("it ends too early")?;
        let text = std::str::from_utf8(text).map_err(|_| "a name is not UTF-8")?;
        let extras = bytes.get(start + name..start + name + extra).ok_or("it ends too early")?;
        let (mut packed, mut size, mut offset) =
            (number::<4>(bytes, at + 20)?, number::<4>(bytes, at + 24)?, number::<4>(bytes, at + 42)?);
        // Numbers of 32 ones stand in the zip64 extra field, in this order.
        let mut wide = extra64(extras)?;
        for slot in [&mut size, &mut packed, &mut offset] {
            if *slot == 0xFFFF_FFFF {
                *slot = number::<8>(wide, 0)?;
                wide = &wide[8..];
            }
        }
        if packed != size {
            return Err("an entry is compressed, which PyTorch never does");
        }
        let local = place(offset)?;
        if !bytes.get(local..).is_some_and(|rest| rest.starts_with(LOCAL)) {
            return Err("an entry is not where its directory says");
        }
        // The local header has an extra field of its own: padding to 64 bytes.
        let skip = 30 + number::<2>(bytes, local + 26)? + number::<2>(bytes, local + 28)?;
        let from = local.checked_add(place(skip)?).ok_or("an offset is beyond the file")?;
        let to = from.checked_add(place(size)?).filter(|to| *to <= bytes.len()).ok_or("it ends too early")?;
        Ok((text, from..to, start + name + extra + comment))
    }

    /// The bytes of the only entry whose name is `ARCHIVE/name`, and `ARCHIVE`.
    pub(crate) fn find(&self, name: &str) -> Option<(&'a str, &'a [u8])> {
        let prefix = |full: &'a str| full.strip_suffix(name)?.strip_suffix('/').filter(|p| !p.contains('/'));
        self.entries.iter().find_map(|(full, range)| Some((prefix(full)?, &self.bytes[range.clone()])))
    }

    /// All bytes of entries, which is what tensors can be made of.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// The zip64 part of an entry's extra field; empty when there is none.
fn extra64(mut extras: &[u8]) -> Result<&[u8], &'static str> {
    while extras.len() >= 4 {
        let (kind, size) = (number::<2>(extras, 0)?, number::<2>(extras, 2)? as usize);
        let body = extras.get(4..4 + size).ok_or("its zip directory is damaged")?;
        if kind == 1 {
            return Ok(body);
        }
        extras = &extras[4 + size..];
    }
    Ok(&[])
}
