//! A way into the middle of a TIFF: the decoder reads a small page first, whose next page is the one that is wanted.
//!
//! The `tiff` crate opens a file at its first page, with limits for small files, and follows the chain of pages from there. Pages of a
//! slide may hang beside that chain (as sub-pages of the first), and have more tiles than those limits allow.

use std::io::{self, Read, Seek, SeekFrom};

/// A file that shows a page of one pixel at its start, until it is uncovered.
#[derive(Debug)]
pub(super) struct Covered<R> {
    file: R,
    /// What stands at its start; empty once it is uncovered.
    cover: Vec<u8>,
    at: u64,
}

/// How a TIFF counts, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    little: bool,
    big: bool,
}

impl Form {
    /// The form of a file by its first 16 bytes, and where its first page begins; nothing for what is not a TIFF.
    pub(super) fn of(head: &[u8; 16]) -> Option<(Self, u64)> {
        let little = head[0] == b'I';
        let number = |bytes: &[u8]| {
            let digits = bytes.iter().rev();
            let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            if little { digits.fold(0, add) } else { bytes.iter().fold(0, add) }
        };
        match (&head[..2], number(&head[2..4])) {
            (b"II" | b"MM", 42) => Some((Self { little, big: false }, number(&head[4..8]))),
            (b"II" | b"MM", 43) => Some((Self { little, big: true }, number(&head[8..16]))),
            _ => None,
        }
    }

    /// A header and a page of one pixel, whose next page is at `next`.
    fn cover(self, next: u64) -> Vec<u8> {
        const SHORT: u64 = 3;
        const LONG: u64 = 4;
        // Width, height, bits, compression, black is zero, offset, samples, rows of a strip, bytes of a strip.
        let tags = [
            (256, SHORT, 1),
            (257, SHORT, 1),
            (258, SHORT, 8),
            (259, SHORT, 1),
            (262, SHORT, 1),
            (273, LONG, 0),
            (277, SHORT, 1),
            (278, SHORT, 1),
            (279, SHORT, 1),
        ];
        let mut bytes = if self.little { b"II".to_vec() } else { b"MM".to_vec() };
        let wide = if self.big { 8 } else { 4 };
        let count = tags.len() as u64;
        let usual = if self.big { 16 } else { 8 };
        // The wanted page may begin where the covering one would: two pages at one place are a circle to the decoder.
        let shift = if next == usual { wide } else { 0 };
        let first = usual + shift as u64;
        let mut numbers = match self.big {
            true => vec![(43, 2), (8, 2), (0, 2), (first, 8), (0, shift), (count, 8)],
            false => vec![(42, 2), (first, 4), (0, shift), (count, 2)],
        };
        for (tag, kind, value) in tags {
            let size = if kind == SHORT { 2 } else { 4 };
            numbers.extend([(tag, 2), (kind, 2), (1, wide), (value, size), (0, wide - size)]);
        }
        numbers.push((next, wide));
        numbers.into_iter().for_each(|(number, size)| self.put(&mut bytes, number, size));
        bytes
    }

    /// Appends the last `size` bytes of a number in the order of the file.
    fn put(self, to: &mut Vec<u8>, number: u64, size: usize) {
        let bytes = number.to_be_bytes();
        let bytes = &bytes[8 - size..];
        if self.little { to.extend(bytes.iter().rev()) } else { to.extend(bytes) }
    }
}

impl<R: Seek> Covered<R> {
    /// `file`, covered so that its second page is the one at `page`.
    pub(super) fn new(file: R, form: Form, page: u64) -> Self {
        Self { file, cover: form.cover(page), at: 0 }
    }

    /// Shows the file as it is.
    pub(super) fn uncover(&mut self) {
        self.cover.clear();
    }
}

impl<R: Read + Seek> Read for Covered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let covered = usize::try_from(self.at).ok().and_then(|at| self.cover.get(at..)).unwrap_or_default();
        if covered.is_empty() {
            if !self.cover.is_empty() {
                self.file.seek(SeekFrom::Start(self.at))?;
            }
            let read = self.file.read(buffer)?;
            self.at += read as u64;
            return Ok(read);
        }
        let count = covered.len().min(buffer.len());
        buffer[..count].copy_from_slice(&covered[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl<R: Seek> Seek for Covered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Current(by) => {
                SeekFrom::Start(self.at.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?)
            }
            other => other,
        };
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tiff::decoder::Decoder;

    use super::*;

    /// A file of one page of 3 × 1 px, whose directory begins at `at`.
    fn file(form: Form, at: usize) -> Vec<u8> {
        let page = form.cover(0);
        let header = if form.big { 16 } else { 8 };
        let mut bytes = page[..header].to_vec();
        bytes.resize(at, 0);
        bytes.extend(&page[header..]);
        // The first number of the first tag is the width.
        let width = at + if form.big { 8 + 12 } else { 2 + 8 };
        bytes[if form.little { width } else { width + 1 }] = 3;
        bytes
    }

    #[test]
    fn any_page_is_the_second_of_a_covered_file() {
        for (little, big) in [(true, false), (false, false), (true, true), (false, true)] {
            let form = Form { little, big };
            for at in [if big { 16 } else { 8 }, 24, 400] {
                let bytes = file(form, at);
                let head: [u8; 16] = bytes[..16].try_into().expect("a header");
                assert_eq!(Form::of(&head).map(|(form, _)| form), Some(form));
                let mut reader = Decoder::new(Covered::new(Cursor::new(bytes), form, at as u64)).expect("the cover");
                assert_eq!(reader.dimensions().expect("a page"), (1, 1));
                reader.inner().uncover();
                reader.next_image().expect("the page itself");
                assert_eq!(reader.dimensions().expect("a page"), (3, 1), "{form:?} at {at}");
            }
        }
    }
}
