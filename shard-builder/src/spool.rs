//! Encoded images of the first pass, kept in a file without a name until the second pass writes them.
//!
//! Which shard a row belongs to, and its group, are known only when every image has been seen. Without the spool each image would
//! be decoded again then. It only saves time: what does not fit, or cannot be written, is made again from its source.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use datasets::survey::KeptRow;
use run_spec::ids::Digest;
use shards::Encoded;

/// The file, and what it holds.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    /// Most bytes that the file may hold.
    limit: u64,
    /// Bytes of the file that are taken.
    taken: AtomicU64,
    /// The images that were kept, by the number of their handle.
    images: Mutex<Vec<SpooledImage>>,
}

/// Where an encoded image lies in the file.
#[derive(Debug, Clone, Copy)]
struct SpooledImage {
    at: u64,
    length: u32,
    pixel_digest: Digest,
}

impl Spool {
    /// A spool of at most `limit` bytes in the folder for temporary files (`TMPDIR`); it is gone when the
    /// process is.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn new(limit: u64) -> io::Result<Self> {
        let (taken, images) = (AtomicU64::new(0), Mutex::default());
        Ok(Self { file: tempfile::tempfile()?, limit, taken, images })
    }

    /// Bytes of all images that were kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.images().iter().map(|image| u64::from(image.length)).sum()
    }

    /// The image that was kept.
    ///
    /// # Errors
    /// A disk that does not give back what it took.
    pub(crate) fn take(&self, row: KeptRow) -> io::Result<Encoded> {
        let image = self.images().get(row.0 as usize).copied();
        let image = image.ok_or_else(|| io::Error::other("the spool has no such row"))?;
        let mut bytes = vec![0; image.length as usize];
        self.file.read_exact_at(&mut bytes, image.at)?;
        Ok(Encoded { bytes, pixel_digest: image.pixel_digest })
    }

    /// Keeps an image; nothing where there is no room, or the disk refuses.
    pub(crate) fn add(&self, image: &Encoded) -> Option<KeptRow> {
        let length = u32::try_from(image.bytes.len()).ok()?;
        let at = self.taken.fetch_add(u64::from(length), Ordering::Relaxed);
        if at + u64::from(length) > self.limit {
            return None;
        }
        self.file.write_all_at(&image.bytes, at).ok()?;
        let mut images = self.images();
        images.push(SpooledImage { at, length, pixel_digest: image.pixel_digest });
        Some(KeptRow(images.len() as u64 - 1))
    }

    fn images(&self) -> MutexGuard<'_, Vec<SpooledImage>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_given_back_and_the_rest_refused() {
        let spool = Spool::new(10).expect("a temporary file");
        let image = |byte: u8, length: usize| Encoded { bytes: vec![byte; length], pixel_digest: Digest::of(&[byte]) };
        let (first, second) = (image(1, 4), image(2, 6));
        let kept = [spool.add(&first).expect("room"), spool.add(&second).expect("room")];
        assert!(spool.add(&image(3, 1)).is_none());
        assert_eq!(spool.take(kept[1]).expect("kept"), second);
        assert_eq!(spool.take(kept[0]).expect("kept"), first);
        assert_eq!(spool.bytes(), 10);
    }
}
