//! A stretch of an open file, read as a file of its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A stretch of an open file, and a place in it from which it is read: many threads read one open file, each with a clone of its own.
#[derive(Debug, Clone)]
pub struct FilePart {
    file: Arc<File>,
    /// First byte of the stretch in the file.
    start: u64,
    /// Bytes of the stretch.
    size: u64,
    /// Place in the stretch.
    at: u64,
}

impl FilePart {
    /// The part that is a whole file, read from its first byte.
    pub(super) fn whole(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), start: 0, size, at: 0 })
    }

    /// The `size` bytes from `start` on, as far as there are so many.
    pub(super) fn part(&self, start: u64, size: u64) -> Self {
        let start = start.min(self.size);
        Self { file: Arc::clone(&self.file), start: self.start + start, size: size.min(self.size - start), at: 0 }
    }

    /// Bytes of the stretch.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Read for FilePart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut buffer[..most], self.start + self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for FilePart {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_part_ends_where_it_ends_and_has_a_place_of_its_own() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        let whole = FilePart::whole(file).expect("a file");
        let (mut part, mut past) = (whole.part(3, 4), whole.part(8, 99));
        let mut text = String::new();
        part.seek(SeekFrom::End(-3)).expect("inside");
        part.clone().read_to_string(&mut text).expect("read");
        past.read_to_string(&mut text).expect("read");
        part.read_to_string(&mut text).expect("read");
        assert_eq!(text, "45689456");
        assert_eq!((past.size(), whole.part(11, 1).size()), (2, 0));
        part.seek(SeekFrom::Start(u64::MAX)).expect("a place behind the end");
        assert_eq!(part.read(&mut [0; 4]).expect("nothing"), 0);
    }
}
