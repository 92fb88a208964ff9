//! Opening a shard: its footer, page index and small columns, in two ranged reads whatever the size of its images.

use crate::columns::{ROLE, SHARD_METADATA, Version, schema, shard_metadata};
use crate::layout::split_of_key;
use crate::page::Windows;
use crate::{Codec, ShardEntry, ShardError};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMask, ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use run_spec::ids::{Digest, Product};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Reads a byte range of one shard.
pub(crate) type Fetch<'a> = &'a dyn Fn(Range<u64>) -> Result<Bytes, ShardError>;

/// Most bytes that the small columns of one row may take once decompressed, on average.
const MAX_ROW_TEXT: u64 = 16 << 10;
/// Footers beyond this are refused.
const MAX_TAIL: u64 = 256 << 20;

/// Texts of a shard or set, each once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Names {
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = u32::try_from(self.texts.len()).expect("a set has fewer than four billion names");
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }
}

/// Stands for a row without a label.
pub(crate) const NO_LABEL: u32 = u32::MAX;

/// A row without its image: 112 bytes. Names are numbers into [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedRow {
    pub(crate) id: Digest,
    pub(crate) pixel_digest: Digest,
    pub(crate) source: u32,
    pub(crate) image: u32,
    pub(crate) group: u32,
    pub(crate) label: u32,
    pub(crate) licence: u32,
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) w: u32,
    pub(crate) h: u32,
    /// Bytes of its page of `image.bytes`, header included.
    pub(crate) page_bytes: u32,
    /// Where that page begins in its file.
    pub(crate) page_at: u64,
}

/// A shard ready for ranged reads.
#[derive(Debug)]
pub(crate) struct LoadedShard {
    pub(crate) rows: Vec<PackedRow>,
    pub(crate) names: Names,
    pub(crate) column: ColumnChunkMetaData,
    /// The role of each source, where the set has splits.
    pub(crate) roles: BTreeMap<String, String>,
}

/// Loads the shard of `entry`, called `uri` in messages.
///
/// # Errors
/// What `fetch` returns; [`ShardError::Format`], [`Schema`](ShardError::Schema), [`Count`](ShardError::Count) and
/// [`Row`](ShardError::Row) for files that are not what the manifest promises.
pub(crate) fn load_shard(
    uri: &str,
    entry: &ShardEntry,
    (product, codec): (Product, Codec),
    fetch: Fetch<'_>,
) -> Result<LoadedShard, ShardError> {
    // Parquet's decoders return errors for damaged files as far as is known; a panic would take the whole program.
    let loaded = catch_unwind(AssertUnwindSafe(|| {
        let (metadata, tail) = footer(uri, entry, fetch)?;
        verify_layout(uri, entry, &metadata)?;
        verify_metadata(uri, &metadata, &shard_metadata(Version::of_key(&entry.key), product, codec))?;
        let head = small_columns(uri, entry, &metadata, fetch)?;
        let windows = Windows { size: entry.bytes, parts: vec![head, tail] };
        rows(uri, entry, metadata, windows)
    }));
    loaded.unwrap_or_else(|_| Err(ShardError::format(uri, "its contents make the Parquet reader panic")))
}

/// The footer with the page index of `image.bytes`, and the end of the file that holds them.
fn footer(uri: &str, entry: &ShardEntry, fetch: Fetch<'_>) -> Result<(ParquetMetaData, (u64, Bytes)), ShardError> {
    let size = entry.bytes;
    if size < 12 {
        return Err(ShardError::format(uri, format!("it has {size} bytes")));
    }
    // Enough for the page index at its usual size; if not, the reader says how much it needs.
    let mut want = size.min((64 << 10) + entry.rows.saturating_mul(40));
    for _ in 0..4 {
        let start = size - want;
        let tail = fetch(start..size)?;
        let mut reader = ParquetMetaDataReader::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required)
            .with_offset_index_mask(ColumnChunkMask::columns([Version::of_key(&entry.key).small_columns()]));
        match reader.try_parse_sized(&tail, size) {
            Ok(()) => {
                let metadata = reader.finish().map_err(|e| ShardError::format(uri, e))?;
                return Ok((metadata, (start, tail)));
            }
            Err(ParquetError::NeedMoreData(more)) if more as u64 > want && more as u64 <= size.min(MAX_TAIL) => {
                want = more as u64;
            }
            Err(error) => return Err(ShardError::format(uri, error)),
        }
    }
    Err(ShardError::format(uri, "its footer has no end"))
}

fn verify_layout(uri: &str, entry: &ShardEntry, metadata: &ParquetMetaData) -> Result<(), ShardError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found =
        ArrowReaderMetadata::try_new(Arc::new(metadata.clone()), options).map_err(|e| ShardError::format(uri, e))?;
    let expected = schema(Version::of_key(&entry.key));
    let (found, expected) = (found.schema().fields(), expected.fields());
    let difference = expected.iter().zip(found.iter()).find(|(e, f)| e != f);
    if let Some((expected, found)) = difference {
        let why = format!(
            "column {:?} of type {} is where {:?} of type {} belongs",
            found.name(),
            found.data_type(),
            expected.name(),
            expected.data_type()
        );
        return Err(ShardError::Schema { shard: uri.to_owned(), why: crate::error::one_line(&why) });
    }
    if found.len() != expected.len() {
        let why = format!("{} columns instead of {}", found.len(), expected.len());
        return Err(ShardError::Schema { shard: uri.to_owned(), why });
    }
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    if rows != entry.rows {
        let what = "rows";
        return Err(ShardError::Count { subject: uri.to_owned(), what, expected: entry.rows, found: rows });
    }
    match metadata.row_groups() {
        [group] if u64::try_from(group.num_rows()).ok() == Some(rows) => Ok(()),
        groups => Err(ShardError::format(uri, format!("its {} row groups are not one with all rows", groups.len()))),
    }
}

fn verify_metadata(uri: &str, metadata: &ParquetMetaData, known: &str) -> Result<(), ShardError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let found =
        pairs.and_then(|pairs| pairs.iter().find(|kv| kv.key == SHARD_METADATA)).and_then(|kv| kv.value.clone());
    match found {
        Some(found) if found == known => Ok(()),
        Some(found) => Err(ShardError::Version {
            uri: uri.to_owned(),
            found: crate::error::one_line(&found),
            known: known.to_owned(),
        }),
        None => Err(ShardError::format(uri, format!("it lacks the key {SHARD_METADATA}"))),
    }
}

/// The byte range of the small columns, which lie together at the start of the file.
fn small_columns(
    uri: &str,
    entry: &ShardEntry,
    metadata: &ParquetMetaData,
    fetch: Fetch<'_>,
) -> Result<(u64, Bytes), ShardError> {
    let columns = &metadata.row_group(0).columns()[..Version::of_key(&entry.key).small_columns()];
    let mut end = None;
    let mut text = 0u64;
    for column in columns {
        // Not `byte_range`, which asserts that the numbers are positive.
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        let (Ok(start), Ok(length)) = (u64::try_from(start), u64::try_from(column.compressed_size())) else {
            return Err(ShardError::format(uri, "a column begins or ends before the file"));
        };
        if end.is_some_and(|end| end != start) {
            return Err(ShardError::format(uri, "its small columns do not lie together"));
        }
        end = start.checked_add(length).filter(|&end| end <= entry.bytes);
        if end.is_none() {
            return Err(ShardError::format(uri, "a column reaches beyond the file"));
        }
        text = text.saturating_add(u64::try_from(column.uncompressed_size()).unwrap_or(u64::MAX));
    }
    if text > (entry.rows.saturating_mul(MAX_ROW_TEXT)).saturating_add(1 << 20) {
        return Err(ShardError::format(uri, format!("its small columns claim {text} bytes")));
    }
    let start = columns[0].dictionary_page_offset().unwrap_or_else(|| columns[0].data_page_offset()) as u64;
    let end = end.unwrap_or(start);
    Ok((start, fetch(start..end)?))
}

fn rows(uri: &str, entry: &ShardEntry, metadata: ParquetMetaData, windows: Windows) -> Result<LoadedShard, ShardError> {
    let column = metadata.row_group(0).column(Version::of_key(&entry.key).small_columns()).clone();
    let pages = pages(uri, entry, &metadata)?;
    let broken = |e: &dyn ToString| ShardError::format(uri, e.to_string());
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    // Without the page index: it covers only the image column.
    let metadata = metadata.into_builder().set_page_index(None).build();
    let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(|e| broken(&e))?;
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), 0..Version::of_key(&entry.key).small_columns());
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(windows, metadata)
        .with_projection(mask)
        .with_batch_size(1024)
        .build()
        .map_err(|e| broken(&e))?;
    let mut names = Names::default();
    let mut rows = Vec::with_capacity(pages.len());
    let mut roles = BTreeMap::new();
    for batch in reader {
        let batch = batch.map_err(|e| broken(&e))?;
        if let Some(split) = split_of_key(&entry.key) {
            add_roles(&batch, split, &mut roles).map_err(|why| ShardError::format(uri, why))?;
        }
        unpack(uri, &batch, &mut names, &pages, &mut rows)?;
    }
    if rows.len() != pages.len() {
        let (expected, found) = (entry.rows, rows.len() as u64);
        return Err(ShardError::Count { subject: uri.to_owned(), what: "rows", expected, found });
    }
    Ok(LoadedShard { rows, names, column, roles })
}

/// Where each row's image page lies.
fn pages(uri: &str, entry: &ShardEntry, metadata: &ParquetMetaData) -> Result<Vec<(u64, u32)>, ShardError> {
    let index = metadata.page_index_for_row_group(0);
    let Some(locations) = index.page_locations(Version::of_key(&entry.key).small_columns()) else {
        return Err(ShardError::format(uri, "it has no page index"));
    };
    if locations.len() as u64 != entry.rows {
        return Err(ShardError::format(uri, format!("{} image pages for {} rows", locations.len(), entry.rows)));
    }
    let mut pages = Vec::with_capacity(locations.len());
    for (row, location) in (0u64..).zip(locations) {
        let page = (u64::try_from(location.offset), u32::try_from(location.compressed_page_size));
        match page {
            (Ok(at), Ok(bytes))
                if location.first_row_index == row as i64
                    && bytes > 0
                    && at.checked_add(u64::from(bytes)).is_some_and(|end| end <= entry.bytes) =>
            {
                pages.push((at, bytes));
            }
            _ => return Err(ShardError::row(uri, row, "its image page lies outside the file or out of order")),
        }
    }
    Ok(pages)
}

/// Adds the role of each source of a batch, whose rows must all be of `split`.
fn add_roles(batch: &RecordBatch, split: &str, roles: &mut BTreeMap<String, String>) -> Result<(), String> {
    let text = |column: usize| batch.column(column).as_string::<i32>();
    let (sources, own, splits) = (text(2), text(ROLE), text(ROLE + 1));
    for row in 0..batch.num_rows() {
        if splits.value(row) != split {
            return Err(format!("a row is of the split {:?}, and its key names {split:?}", splits.value(row)));
        }
        let role = roles.entry(sources.value(row).to_owned()).or_insert_with(|| own.value(row).to_owned());
        if role != own.value(row) {
            return Err(format!("source {:?} has two roles", sources.value(row)));
        }
    }
    Ok(())
}

fn unpack(
    uri: &str,
    batch: &RecordBatch,
    names: &mut Names,
    pages: &[(u64, u32)],
    rows: &mut Vec<PackedRow>,
) -> Result<(), ShardError> {
    let text = |column: usize| batch.column(column).as_string::<i32>();
    let number = |column: usize| batch.column(column).as_primitive::<Int32Type>();
    let labels = text(9);
    for i in 0..batch.num_rows() {
        let row = rows.len() as u64;
        let digest = |column: usize| text(column).value(i).parse::<Digest>().map_err(|e| ShardError::row(uri, row, e));
        let side = |column: usize| match u32::try_from(number(column).value(i)) {
            Ok(side) if side > 0 => Ok(side),
            _ => Err(ShardError::row(uri, row, "its window is empty")),
        };
        let &(page_at, page_bytes) =
            pages.get(rows.len()).ok_or_else(|| ShardError::row(uri, row, "it has no image page"))?;
        rows.push(PackedRow {
            id: digest(0)?,
            pixel_digest: digest(1)?,
            source: names.number(text(2).value(i)),
            image: names.number(text(3).value(i)),
            group: names.number(text(4).value(i)),
            x: number(5).value(i),
            y: number(6).value(i),
            w: side(7)?,
            h: side(8)?,
            label: if labels.is_null(i) { NO_LABEL } else { names.number(labels.value(i)) },
            licence: names.number(text(10).value(i)),
            page_bytes,
            page_at,
        });
    }
    Ok(())
}
