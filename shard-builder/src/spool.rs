//! Encoded images of the first pass, kept in a file without a name until the second pass writes them.
//!
//! Which shard a row belongs to, and its group, are known only when every image has been seen. Without the spool each image would
//! be decoded again then. It is a help and no more: what does not fit, or cannot be written, is made again from its source.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use run_spec::ids::Digest;
use shards::Encoded;

/// The file, and how much of it is taken.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    limit: u64,
    taken: AtomicU64,
}

/// Where an encoded image lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spooled {
    at: u64,
    length: u32,
    pixel_digest: Digest,
}

impl Spooled {
    /// Bytes of the encoded image.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.length)
    }
}

impl Spool {
    /// A spool of at most `limit` bytes in the folder for temporary files (`TMPDIR`); it is gone when the process is.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn new(limit: u64) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, limit, taken: AtomicU64::new(0) })
    }

    /// Keeps an image; nothing where there is no room or the disk refuses.
    pub(crate) fn keep(&self, image: &Encoded) -> Option<Spooled> {
        let length = u32::try_from(image.bytes.len()).ok()?;
        let at = self.taken.fetch_add(u64::from(length), Ordering::Relaxed);
        if at + u64::from(length) > self.limit {
            return None;
        }
        self.file.write_all_at(&image.bytes, at).ok()?;
        Some(Spooled { at, length, pixel_digest: image.pixel_digest })
    }

    /// What was kept.
    ///
    /// # Errors
    /// A disk that does not give back what it took.
    pub(crate) fn take(&self, spooled: Spooled) -> io::Result<Encoded> {
        let mut bytes = vec![0; spooled.length as usize];
        self.file.read_exact_at(&mut bytes, spooled.at)?;
        Ok(Encoded { bytes, pixel_digest: spooled.pixel_digest })
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
        let kept = [spool.keep(&first).expect("room"), spool.keep(&second).expect("room")];
        assert!(spool.keep(&image(3, 1)).is_none());
        assert_eq!(spool.take(kept[1]).expect("kept"), second);
        assert_eq!(spool.take(kept[0]).expect("kept"), first);
    }
}
