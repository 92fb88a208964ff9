//! The container of a `.pth` file: a zip archive whose entries are stored, never compressed. Entries are slices of the
//! file, so reading costs no memory.

use super::WeightsError;
use std::{io::Cursor, ops::Range};
use zip::{
    CompressionMethod, ZipArchive,
    read::{ArchiveOffset, Config},
};

/// A ViT-g checkpoint with its optimiser has a few thousand entries.
const MOST_ENTRIES: usize = 200_000;

/// An archive and where its entries lie.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    bytes: &'a [u8],
    /// Name and byte range, as the central directory lists them.
    entries: Vec<(String, Range<usize>)>,
}

impl<'a> Archive<'a> {
    /// Reads the central directory. `what` names the file in messages.
    pub(crate) fn open(bytes: &'a [u8], what: &str) -> Result<Self, WeightsError> {
        let damaged = |why| WeightsError::damaged(what, why);
        // From the file's first byte: what the crate detects by itself can be bytes of a tensor.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, Cursor::new(bytes))
            .map_err(|_| damaged("it is not a zip archive, or ends too early"))?;
        if zip.len() > MOST_ENTRIES {
            return Err(damaged("it has more entries than weights have"));
        }
        let mut entries = Vec::with_capacity(zip.len());
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).map_err(|_| damaged("an entry is not where its directory says"))?;
            if entry.compression() != CompressionMethod::Stored
                || entry.encrypted()
                || entry.size() != entry.compressed_size()
            {
                return Err(damaged("an entry is compressed or encrypted, which PyTorch never does"));
            }
            let range = || {
                let from = usize::try_from(entry.data_start()?).ok()?;
                let to = from.checked_add(usize::try_from(entry.size()).ok()?)?;
                (to <= bytes.len()).then_some(from..to)
            };
            let range = range().ok_or_else(|| damaged("it ends too early"))?;
            let name = entry.name().map_err(|_| damaged("a name is not UTF-8"))?.into_owned();
            entries.push((name, range));
        }
        Ok(Self { bytes, entries })
    }

    /// The bytes of the first entry whose name is `ARCHIVE/name`, and `ARCHIVE`.
    pub(crate) fn find(&self, name: &str) -> Option<(&str, &'a [u8])> {
        self.entries.iter().find_map(|(full, range)| {
            let folder = full.strip_suffix(name)?.strip_suffix('/').filter(|p| !p.contains('/'))?;
            Some((folder, &self.bytes[range.clone()]))
        })
    }

    /// All bytes of entries, which is what tensors can be made of.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}
