//! A shard that an earlier, interrupted build finished: read back, so that its rows need not be made again.

use crate::load::load_shard;
use crate::manifest::SourceTally;
use crate::page::image_of_page;
use crate::set::unpacked;
use crate::{Codec, FinishedShard, RowMeta, ShardEntry, ShardError};
use bytes::Bytes;
use run_spec::ids::{Digest, Product};
use std::collections::BTreeMap;
use store::Store;

/// The rows of a shard that was read back, each with its encoded image.
pub type FoundRows = Vec<(RowMeta, Bytes)>;

impl FinishedShard {
    /// Reads the finished shard `key` back, if it is there, with its rows' columns and encoded images.
    ///
    /// Images are not decoded. The caller compares the rows with those it would have written; a key that names the
    /// planned content makes that a formality.
    ///
    /// # Errors
    /// The store's; [`ShardError::Format`], [`ShardError::Schema`] and [`ShardError::Row`] for a file that is no shard of
    /// `rows` rows.
    pub fn find(
        store: &Store,
        key: &str,
        rows: u64,
        (product, codec): (Product, Codec),
    ) -> Result<Option<(Self, FoundRows)>, ShardError> {
        if !store.exists(key)? {
            return Ok(None);
        }
        let uri = store.uri_of(key);
        let bytes = store.get(key)?;
        let entry = ShardEntry { key: key.to_owned(), rows, bytes: bytes.len() as u64, digest: Digest::of(&bytes) };
        let fetch = |range: std::ops::Range<u64>| Ok(bytes.slice(range.start as usize..range.end as usize));
        let shard = load_shard(&uri, &entry, (product, codec), &fetch)?;
        let mut sources: BTreeMap<String, SourceTally> = BTreeMap::new();
        let mut rows = Vec::with_capacity(shard.rows.len());
        for (row, packed) in (0u64..).zip(&shard.rows) {
            let meta = unpacked(packed, &shard.names.texts);
            let page = bytes.slice(packed.page_at as usize..packed.page_at as usize + packed.page_bytes as usize);
            let image =
                image_of_page(&shard.column, packed.page_at, page).map_err(|e| ShardError::row(&uri, row, e))?;
            let tally = sources.entry((*meta.source).to_owned()).or_default();
            tally.add(&meta.image, &meta.licence, image.len() as u64);
            rows.push((meta, image));
        }
        Ok(Some((Self { entry, sources, bytes }, rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PatchRow, RgbImage, ShardLimits, ShardWriter};
    use run_spec::ids::{PatchKey, patch_id};

    #[test]
    fn a_finished_shard_is_found_as_it_was_written() {
        let store = Store::open("memory://found").unwrap();
        let kind = (Product::Cells, Codec::Png);
        let mut writer = ShardWriter::new(kind.0, kind.1, ShardLimits::default());
        for x in 0..70 {
            let rgb = RgbImage::from_raw(4, 4, vec![x as u8; 48]).unwrap();
            let encoded = kind.1.encode(&rgb).unwrap();
            let image = format!("{}.png", x / 9);
            let key = PatchKey { source: "s", image: &image, x: i64::from(x), y: 0, w: 4, h: 4, product: kind.0 };
            writer
                .push(PatchRow {
                    id: patch_id(&key),
                    pixel_digest: encoded.pixel_digest,
                    source: "s".into(),
                    image: image.clone(),
                    group: "s/g".into(),
                    x,
                    y: 0,
                    w: 4,
                    h: 4,
                    label: None,
                    licence: "MIT".into(),
                    bytes: encoded.bytes,
                    path: "p.png".into(),
                })
                .unwrap();
        }
        let written = writer.finish("shards/00000-abc.parquet").unwrap();
        assert_eq!(FinishedShard::find(&store, &written.entry.key, 70, kind).unwrap(), None);
        written.publish(&store).unwrap();
        let (found, rows) = FinishedShard::find(&store, &written.entry.key, 70, kind).unwrap().unwrap();
        assert_eq!(found, written);
        assert_eq!((rows.len(), rows[69].0.x), (70, 69));
        assert_eq!(crate::digest_of(&kind.1.decode(&rows[69].1).unwrap()), rows[69].0.pixel_digest);
        assert!(FinishedShard::find(&store, &written.entry.key, 71, kind).is_err());
    }
}
