//! Features of a shard set as Parquet: provenance columns and `feature`, a fixed-size list of f32.

use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, FixedSizeListArray, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use shards::RowMeta;

use crate::Result;

/// The bytes of a Parquet file.
///
/// * `rows` what each row of the shard set is.
/// * `values` `[n, dim]` features of the same rows, row-major.
///
/// # Errors
/// Columns that do not fit each other.
pub fn features_as_parquet(rows: &[RowMeta], values: &[f32], dim: usize) -> Result<Vec<u8>> {
    let text =
        |of: &dyn Fn(&RowMeta) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let label = Arc::new(StringArray::from_iter(rows.iter().map(|row| row.label.as_deref()))) as ArrayRef;
    let features = values.chunks_exact(dim).map(|row| Some(row.iter().copied().map(Some).collect::<Vec<_>>()));
    let feature = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(features, dim as i32);
    let batch = RecordBatch::try_from_iter([
        ("id", text(&|row| row.id.to_string())),
        ("pixel_digest", text(&|row| row.pixel_digest.to_string())),
        ("source", text(&|row| row.source.to_string())),
        ("image", text(&|row| row.image.to_string())),
        ("group", text(&|row| row.group.to_string())),
        ("label", label),
        ("feature", Arc::new(feature) as ArrayRef),
    ])?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}
