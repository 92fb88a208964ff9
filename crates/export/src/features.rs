//! Features of a shard set as Parquet: provenance columns, `feature`, a fixed-size list of f32, and where they are wanted the
//! coordinates `x` and `y` of a map.

use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use shards::RowMeta;

use crate::Result;

/// Features of the rows of a shard set.
#[derive(Debug, Clone, Copy)]
pub struct FeatureTable<'a> {
    /// What each row of the shard set is.
    pub rows: &'a [RowMeta],
    /// `[n, dim]` features of the same rows, row-major.
    pub values: &'a [f32],
    /// Number of values of a feature.
    pub dim: usize,
    /// Where each row lies on a map, `[x, y]`; without it the file has no columns of that name.
    pub places: Option<&'a [[f32; 2]]>,
}

/// The bytes of a Parquet file.
///
/// # Errors
/// Columns that do not fit each other.
pub fn features_as_parquet(table: &FeatureTable<'_>) -> Result<Vec<u8>> {
    let FeatureTable { rows, values, dim, places } = *table;
    let text =
        |of: &dyn Fn(&RowMeta) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let label = Arc::new(StringArray::from_iter(rows.iter().map(|row| row.label.as_deref()))) as ArrayRef;
    let features = values.chunks_exact(dim).map(|row| Some(row.iter().copied().map(Some).collect::<Vec<_>>()));
    let feature = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(features, dim as i32);
    let mut columns = vec![
        ("id", text(&|row| row.id.to_string())),
        ("pixel_digest", text(&|row| row.pixel_digest.to_string())),
        ("source", text(&|row| row.source.to_string())),
        ("image", text(&|row| row.image.to_string())),
        ("group", text(&|row| row.group.to_string())),
        ("label", label),
        ("feature", Arc::new(feature) as ArrayRef),
    ];
    for (axis, name) in ["x", "y"].into_iter().enumerate() {
        let of = |places: &[[f32; 2]]| Float32Array::from_iter_values(places.iter().map(|place| place[axis]));
        columns.extend(places.map(|places| (name, Arc::new(of(places)) as ArrayRef)));
    }
    let batch = RecordBatch::try_from_iter(columns)?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}
