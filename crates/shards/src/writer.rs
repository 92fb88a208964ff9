//! Rows in, one shard file out. The same rows give the same bytes.

use crate::columns::{Version, image_fields, schema, writer_properties};
use crate::layout::split_of_key;
use crate::manifest::{ShardEntry, SourceTally};
use crate::{Codec, PatchRow, ShardError};
use arrow_array::builder::{BinaryBuilder, Int32Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StructArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use run_spec::ids::{Digest, PatchKey, Product, patch_id};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// Rows handed to Parquet at a time. Fixed, since page boundaries must not depend on the caller.
const BATCH: usize = 64;

/// When a shard is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardLimits {
    /// Most rows of a shard.
    pub rows: u64,
    /// A shard takes no further row once its images hold this many bytes.
    pub bytes: u64,
}

impl Default for ShardLimits {
    /// 4096 rows or 256 MiB.
    fn default() -> Self {
        Self { rows: 4096, bytes: 256 << 20 }
    }
}

/// What the columns `role` and `split` of a shard say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSplit {
    /// The split of all its rows, as other readers call it: `train`, `test`.
    pub name: String,
    /// The role of each source: `training`, `evaluation`.
    pub roles: BTreeMap<String, String>,
}

/// Writes one shard. Holds it in memory: about twice the limit in bytes at the end.
#[derive(Debug)]
pub struct ShardWriter {
    product: Product,
    limits: ShardLimits,
    pending: Vec<PatchRow>,
    writer: ArrowWriter<Vec<u8>>,
    codec: Codec,
    split: Option<ShardSplit>,
    rows: u64,
    image_bytes: u64,
    sources: BTreeMap<String, SourceTally>,
}

/// A finished shard, not yet in any store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedShard {
    /// Its line in the manifest.
    pub entry: ShardEntry,
    /// Rows, image bytes, images and licences of each source in it.
    pub(crate) sources: BTreeMap<String, SourceTally>,
    /// The bytes of the shard's file.
    pub bytes: Bytes,
}

impl ShardWriter {
    /// Starts a shard without rows.
    pub fn new(product: Product, codec: Codec, limits: ShardLimits) -> Self {
        let pending = Vec::with_capacity(BATCH);
        let writer = arrow_writer(Version::One, product, codec);
        Self { product, limits, pending, writer, codec, split: None, rows: 0, image_bytes: 0, sources: BTreeMap::new() }
    }

    /// Starts the shard anew, without rows, as one of a split. Its key must be that of the split
    /// ([`split_shard_key`](crate::split_shard_key)).
    #[must_use]
    pub fn of_split(self, split: ShardSplit) -> Self {
        let writer = arrow_writer(Version::Two, self.product, self.codec);
        Self { writer, split: Some(split), ..Self::new(self.product, self.codec, self.limits) }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`ShardError::Input`]: an id that is not its key's, an empty window, image or name, a source without a role in a set with splits.
    pub fn push(&mut self, row: PatchRow) -> Result<(), ShardError> {
        verify_row(&row, self.product)?;
        if self.split.as_ref().is_some_and(|split| !split.roles.contains_key(&row.source)) {
            return Err(ShardError::Input { id: row.id, why: "its source has no role".to_owned() });
        }
        self.rows += 1;
        self.image_bytes += row.bytes.len() as u64;
        self.sources.entry(row.source.clone()).or_default().add(&row.image, &row.licence, row.bytes.len() as u64);
        self.pending.push(row);
        if self.pending.len() == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Number of rows that were pushed so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the next row belongs to the next shard.
    pub fn is_full(&self) -> bool {
        self.rows >= self.limits.rows || self.image_bytes >= self.limits.bytes
    }

    /// Ends the shard under `key`, usually [`shard_key`](crate::shard_key) of its number.
    ///
    /// # Errors
    /// [`ShardError::Format`] when it has no rows, or a key of another split.
    pub fn finish(mut self, key: &str) -> Result<FinishedShard, ShardError> {
        if self.rows == 0 {
            return Err(ShardError::format(key, "a shard without rows is not written"));
        }
        let (own, named) = (self.split.as_ref().map(|split| split.name.as_str()), split_of_key(key));
        if own != named {
            return Err(ShardError::format(
                key,
                format!("its rows are of the split {own:?}, and its key names {named:?}"),
            ));
        }
        self.flush()?;
        let bytes = self.writer.into_inner().map_err(|e| ShardError::format(key, e))?;
        let digest = Digest::of(&bytes);
        let entry = ShardEntry { key: key.to_owned(), rows: self.rows, bytes: bytes.len() as u64, digest };
        Ok(FinishedShard { entry, sources: self.sources, bytes: bytes.into() })
    }

    fn flush(&mut self) -> Result<(), ShardError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let result = self
            .writer
            .write(&batch(&self.pending, self.split.as_ref()))
            .map_err(|e| ShardError::format("the new shard", e));
        self.pending.clear();
        result
    }
}

impl FinishedShard {
    /// Puts the shard into `store`, or proves that the same file is there already (a resumed build).
    ///
    /// # Errors
    /// [`StoreError::Differs`](store::StoreError::Differs) when another file has its key, and the store's others.
    pub fn publish(&self, store: &Store) -> Result<(), ShardError> {
        store.ensure(&self.entry.key, self.bytes.clone())?;
        Ok(())
    }
}

fn arrow_writer(version: Version, product: Product, codec: Codec) -> ArrowWriter<Vec<u8>> {
    let properties = writer_properties(version, product, codec);
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(Vec::new(), Arc::new(schema(version)), options)
        .expect("our schemas are Parquet schemas, and memory takes bytes")
}

fn verify_row(row: &PatchRow, product: Product) -> Result<(), ShardError> {
    let bad = |why: &str| Err(ShardError::Input { id: row.id, why: why.to_owned() });
    let key = PatchKey {
        source: &row.source,
        image: &row.image,
        x: i64::from(row.x),
        y: i64::from(row.y),
        w: row.w,
        h: row.h,
        product,
    };
    if row.id != patch_id(&key) {
        return bad("its id is not that of its source, image, window and product");
    }
    if row.w == 0 || row.h == 0 || i32::try_from(row.w).is_err() || i32::try_from(row.h).is_err() {
        return bad("its window is empty or too large");
    }
    if row.bytes.is_empty() || i32::try_from(row.bytes.len()).is_err() {
        return bad("its image is empty or larger than 2 GiB");
    }
    if [&row.source, &row.image, &row.group, &row.licence, &row.path].iter().any(|text| text.is_empty()) {
        return bad("its source, image, group, licence or path is empty");
    }
    Ok(())
}

fn batch(rows: &[PatchRow], split: Option<&ShardSplit>) -> RecordBatch {
    let text = |value: &dyn Fn(&PatchRow) -> String| -> ArrayRef {
        let mut builder = StringBuilder::new();
        rows.iter().for_each(|row| builder.append_value(value(row)));
        Arc::new(builder.finish())
    };
    let number = |value: &dyn Fn(&PatchRow) -> i32| -> ArrayRef {
        let mut builder = Int32Builder::new();
        rows.iter().for_each(|row| builder.append_value(value(row)));
        Arc::new(builder.finish())
    };
    let mut labels = StringBuilder::new();
    let mut bytes = BinaryBuilder::new();
    for row in rows {
        labels.append_option(row.label.as_deref());
        bytes.append_value(&row.bytes);
    }
    let image: Vec<ArrayRef> = vec![Arc::new(bytes.finish()), text(&|row| row.path.clone())];
    let mut columns: Vec<ArrayRef> = vec![
        text(&|row| row.id.to_string()),
        text(&|row| row.pixel_digest.to_string()),
        text(&|row| row.source.clone()),
        text(&|row| row.image.clone()),
        text(&|row| row.group.clone()),
        number(&|row| row.x),
        number(&|row| row.y),
        number(&|row| row.w as i32),
        number(&|row| row.h as i32),
        Arc::new(labels.finish()),
        text(&|row| row.licence.clone()),
    ];
    if let Some(ShardSplit { name, roles }) = split {
        columns.push(text(&|row| roles[&row.source].clone()));
        columns.push(text(&|_| name.clone()));
    }
    columns.push(Arc::new(StructArray::new(image_fields(), image, None)));
    let version = if split.is_some() { Version::Two } else { Version::One };
    RecordBatch::try_new(Arc::new(schema(version)), columns).expect("the columns follow the schema")
}
