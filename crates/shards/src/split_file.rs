//! `splits/NAME.parquet`: columns `group` and `fold`, and how the split was made in the file's metadata.

use crate::{ShardError, Split, SplitKind};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use run_spec::ids::{Digest, canonical_json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use store::Store;

const SPLIT_METADATA: &str = "reddino.split";
/// Largest size of a split's file; larger ones are refused.
const MAX_BYTES: u64 = 256 << 20;

/// The key of the split called `name`.
pub fn split_key(name: &str) -> String {
    format!("splits/{name}.parquet")
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    version: u32,
    shards: Digest,
    made: SplitKind,
    names: Vec<String>,
}

fn schema() -> Schema {
    Schema::new(vec![Field::new("group", DataType::Utf8, false), Field::new("fold", DataType::Int32, false)])
}

impl Split {
    pub(crate) fn write(&self, store: &Store, name: &str, shards: &Digest) -> Result<(), ShardError> {
        let broken = |e: &dyn ToString| ShardError::split(name, format!("cannot be written: {}", e.to_string()));
        let description = Description { version: 1, shards: *shards, made: self.kind, names: self.names.clone() };
        let description = canonical_json(&serde_json::to_value(description).map_err(|e| broken(&e))?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(|e| broken(&e))?))
            .set_key_value_metadata(Some(vec![KeyValue::new(SPLIT_METADATA.to_owned(), description)]))
            .build();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.folds.keys())),
            Arc::new(Int32Array::from_iter_values(self.folds.values().map(|&fold| fold as i32))),
        ];
        let batch = RecordBatch::try_new(Arc::new(schema()), columns).map_err(|e| broken(&e))?;
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let mut writer =
            ArrowWriter::try_new_with_options(Vec::new(), Arc::new(schema()), options).map_err(|e| broken(&e))?;
        writer.write(&batch).map_err(|e| broken(&e))?;
        let bytes = writer.into_inner().map_err(|e| broken(&e))?;
        store.ensure(&split_key(name), bytes.into())?;
        Ok(())
    }

    /// Reads the split `name` of the set in `store` whose digest is `shards`, without the set itself.
    ///
    /// # Errors
    /// The store's; [`ShardError::Split`] for a file that is damaged or of another set.
    pub fn read(store: &Store, name: &str, shards: &Digest) -> Result<Self, ShardError> {
        let key = split_key(name);
        if store.size(&key)? > MAX_BYTES {
            return Err(ShardError::split(name, "is larger than any split; make it again"));
        }
        let bytes = store.get(&key)?;
        let split = catch_unwind(AssertUnwindSafe(|| parse(name, bytes, shards)));
        split.unwrap_or_else(|_| Err(ShardError::split(name, "makes the Parquet reader panic; make it again")))
    }
}

fn parse(name: &str, bytes: Bytes, shards: &Digest) -> Result<Split, ShardError> {
    let broken =
        |why: &dyn ToString| ShardError::split(name, format!("cannot be read ({}); make it again", why.to_string()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| broken(&e))?;
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let description = pairs
        .and_then(|pairs| pairs.iter().find(|kv| kv.key == SPLIT_METADATA))
        .and_then(|kv| kv.value.as_deref())
        .ok_or_else(|| broken(&"it lacks its description"))?;
    let description: Description = serde_json::from_str(description).map_err(|e| broken(&e))?;
    if description.version != 1 {
        return Err(broken(&format!("it has version {}, this program reads 1", description.version)));
    }
    if description.shards != *shards {
        let (other, own) = (description.shards.short(), shards.short());
        return Err(ShardError::split(name, format!("was made for shard set {other}, not for {own}; make it again")));
    }
    if reader.schema().fields() != schema().fields() {
        return Err(broken(&"its columns are not group and fold"));
    }
    let mut folds = BTreeMap::new();
    let count = description.names.len();
    for batch in reader.build().map_err(|e| broken(&e))? {
        let batch = batch.map_err(|e| broken(&e))?;
        let (groups, numbers) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int32Type>());
        for i in 0..batch.num_rows() {
            let group = groups.value(i);
            let fold = u32::try_from(numbers.value(i)).ok().filter(|&fold| (fold as usize) < count);
            let fold = fold.ok_or_else(|| broken(&format!("group {group:?} is in fold {}", numbers.value(i))))?;
            if folds.insert(group.to_owned(), fold).is_some() {
                return Err(broken(&format!("group {group:?} is in it twice")));
            }
        }
    }
    Ok(Split { kind: description.made, names: description.names, folds })
}
