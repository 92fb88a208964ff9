//! Fingerprints: by which copies of a set's images are found without the images.
//!
//! ```text
//! fingerprints/CONTENT/00000.parquet, …   one row for each image that gave rows, a thousand to a file
//!                      index.json         their record: the set they belong to, and the digest of each file
//! ```
//! `CONTENT` is the name of the set's folder of shards. They lie beside the manifest, which does not list them, so sets of earlier versions, which
//! have none, open as before. Of an image they hold digests, its size, and up to two grey pictures of 128 × 128 pixels with their
//! signatures: some 11 to 22 kB, and nothing of the file's metadata.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use run_spec::ids::Digest;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};

use crate::error::one_line;
use crate::layout::{fingerprints_index_key, fingerprints_key};
use crate::{Manifest, ShardError};

/// Images in a file.
pub const BLOCK_IMAGES: usize = 1024;
/// Version written and read here.
const VERSION: u32 = 1;
/// Larger files are refused.
const MAX_BLOCK_BYTES: u64 = 512 << 20;
/// How often bytes that differ are read before they are taken to be damaged where they lie.
const READINGS: u32 = 3;
/// Columns before those of the views.
const FACTS: usize = 7;

/// What is stored of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePrint {
    /// Name of its source.
    pub source: String,
    /// Its path in the source.
    pub image: String,
    /// Digest of its file.
    pub file: Digest,
    /// Page of the file, from 1.
    pub page: u32,
    /// Digest of the upright pixels.
    pub pixels: Digest,
    /// Width of the upright image, px.
    pub width: u32,
    /// Height of the upright image, px.
    pub height: u32,
    /// The central square; `None` of an image that shows nothing.
    pub centre: Option<PrintView>,
    /// The whole image; `None` where the image is a square, since `centre` shows all of it.
    pub whole: Option<PrintView>,
}

/// A picture and its signature, as the search for copies made them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrintView {
    /// Grey values; empty where pictures were not read.
    pub picture: Vec<u8>,
    /// Numbers of eight bits.
    pub signature: Vec<u8>,
}

/// How much of each image is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrintParts {
    /// Names, digests and sizes.
    Facts,
    /// Signatures too, by which likely copies are sought.
    Signatures,
    /// Pictures too.
    All,
}

/// The record of a set's fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FingerprintIndex {
    version: u32,
    /// Digest of the set.
    pub shards: Digest,
    /// The files, in the order of the images.
    pub blocks: Vec<FingerprintBlock>,
}

/// A file of fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FingerprintBlock {
    /// Images in the file.
    pub images: u64,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// Digest of its bytes.
    pub digest: Digest,
}

impl FingerprintIndex {
    /// The record of files that were written, for the set of `shards`.
    pub fn of(shards: Digest, blocks: Vec<FingerprintBlock>) -> Self {
        Self { version: VERSION, shards, blocks }
    }

    /// Images in all files.
    pub fn images(&self) -> u64 {
        self.blocks.iter().map(|block| block.images).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.bytes).sum()
    }

    /// Publishes the record, or finds the same one there. `content` names the set's folder of shards.
    ///
    /// # Errors
    /// The store's.
    pub fn publish(&self, store: &Store, content: &str) -> Result<(), ShardError> {
        let key = fingerprints_index_key(content);
        let bytes = store::record::seal(self).map_err(|error| unusable(&store.uri_of(&key), error))?;
        put(store, &key, bytes.into())
    }

    /// The record of the set of `manifest`; `None` where it has no fingerprints.
    ///
    /// # Errors
    /// The store's; [`ShardError::Fingerprints`] for a record of another set or version.
    pub fn read(store: &Store, manifest: &Manifest) -> Result<Option<Self>, ShardError> {
        let Some(content) = manifest.content_name() else { return Ok(None) };
        let key = fingerprints_index_key(content);
        if !store.exists(&key)? {
            return Ok(None);
        }
        let index: Self = store.read_record(&key)?;
        let uri = store.uri_of(&key);
        if index.version != VERSION {
            return Err(unusable(&uri, format!("it has version {}, this program reads {VERSION}", index.version)));
        }
        if index.shards != manifest.digest() {
            return Err(unusable(&uri, format!("it belongs to set {}", index.shards.short())));
        }
        Ok(Some(index))
    }

    /// The images of file `number` of the set of `manifest`, checked against the record.
    ///
    /// # Errors
    /// The store's; [`ShardError::Fingerprints`] for a file that is not what the record says.
    pub fn block(
        &self,
        (store, manifest): (&Store, &Manifest),
        number: usize,
        parts: PrintParts,
    ) -> Result<Vec<ImagePrint>, ShardError> {
        let key = fingerprints_key(manifest.content_name().unwrap_or_default(), number);
        let uri = store.uri_of(&key);
        let entry = self.blocks.get(number).ok_or_else(|| unusable(&uri, "the record does not name it"))?;
        let size = store.size(&key)?;
        if size != entry.bytes || size > MAX_BLOCK_BYTES {
            return Err(unusable(&uri, format!("it has {size} bytes, its record says {}", entry.bytes)));
        }
        let bytes = store.get(&key)?;
        if Digest::of(&bytes) != entry.digest {
            return Err(unusable(&uri, "its digest is not that of its record"));
        }
        let images = catch_unwind(AssertUnwindSafe(|| decode(&bytes, parts)))
            .unwrap_or_else(|_| Err("its contents make the Parquet reader panic".to_owned()))
            .map_err(|why| unusable(&uri, why))?;
        match images.len() as u64 == entry.images {
            true => Ok(images),
            false => Err(unusable(&uri, format!("it has {} images, its record says {}", images.len(), entry.images))),
        }
    }
}

/// Writes file `number` of a set whose folder of shards is called `content`, or finds the same one there. The same images
/// give the same bytes.
///
/// # Errors
/// The store's; [`ShardError::Fingerprints`] from the encoder.
pub fn write_block(
    store: &Store,
    content: &str,
    number: usize,
    images: &[ImagePrint],
) -> Result<FingerprintBlock, ShardError> {
    let key = fingerprints_key(content, number);
    let bytes = encode(images).map_err(|why| unusable(&store.uri_of(&key), why))?;
    let block = FingerprintBlock { images: images.len() as u64, bytes: bytes.len() as u64, digest: Digest::of(&bytes) };
    put(store, &key, bytes.into())?;
    Ok(block)
}

/// Puts a file under a key that names all that its bytes depend on. Others that lie there are damaged, or came damaged over the network:
/// they are read again, and then replaced.
fn put(store: &Store, key: &str, bytes: Bytes) -> Result<(), ShardError> {
    for _ in 0..READINGS {
        match store.ensure(key, bytes.clone()) {
            Err(StoreError::Differs { .. }) => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
    store.delete(key)?;
    store.ensure(key, bytes)?;
    Ok(())
}

fn unusable(uri: &str, why: impl ToString) -> ShardError {
    ShardError::Fingerprints { uri: uri.to_owned(), why: one_line(&why.to_string()) }
}

fn schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int32, false);
    let view = |name: &str| Field::new(name, DataType::Binary, true);
    Schema::new(vec![
        text("source"),
        text("image_path"),
        text("file_blake3"),
        number("page"),
        text("pixel_digest"),
        number("width"),
        number("height"),
        view("centre_signature"),
        view("whole_signature"),
        view("centre_picture"),
        view("whole_picture"),
    ])
}

fn encode(images: &[ImagePrint]) -> Result<Vec<u8>, String> {
    let failed = |error: &dyn ToString| error.to_string();
    let text = |of: &dyn Fn(&ImagePrint) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(images.iter().map(of)))
    };
    let number = |of: &dyn Fn(&ImagePrint) -> u32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(images.iter().map(|image| i32::try_from(of(image)).unwrap_or(i32::MAX))))
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|image| image.source.clone()),
        text(&|image| image.image.clone()),
        text(&|image| image.file.to_string()),
        number(&|image| image.page),
        text(&|image| image.pixels.to_string()),
        number(&|image| image.width),
        number(&|image| image.height),
        binary(images, |image| Some(&image.centre.as_ref()?.signature)),
        binary(images, |image| Some(&image.whole.as_ref()?.signature)),
        binary(images, |image| Some(&image.centre.as_ref()?.picture)),
        binary(images, |image| Some(&image.whole.as_ref()?.picture)),
    ];
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(usize::MAX))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(|e| failed(&e))?))
        .set_dictionary_enabled(false)
        .build();
    let batch = RecordBatch::try_new(Arc::new(schema()), columns).map_err(|e| failed(&e))?;
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(Vec::new(), Arc::new(schema()), options).map_err(|e| failed(&e))?;
    writer.write(&batch).map_err(|e| failed(&e))?;
    writer.into_inner().map_err(|e| failed(&e))
}

fn binary<'a>(images: &'a [ImagePrint], of: impl Fn(&'a ImagePrint) -> Option<&'a Vec<u8>>) -> ArrayRef {
    let mut builder = BinaryBuilder::new();
    images.iter().for_each(|image| builder.append_option(of(image)));
    Arc::new(builder.finish())
}

fn decode(bytes: &Bytes, parts: PrintParts) -> Result<Vec<ImagePrint>, String> {
    let failed = |error: &dyn ToString| error.to_string();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(|e| failed(&e))?;
    if reader.schema().fields() != schema().fields() {
        return Err("its columns are not those of fingerprints".to_owned());
    }
    let columns = match parts {
        PrintParts::Facts => FACTS,
        PrintParts::Signatures => FACTS + 2,
        PrintParts::All => FACTS + 4,
    };
    let mask = ProjectionMask::leaves(reader.parquet_schema(), 0..columns);
    let mut images = Vec::new();
    for batch in reader.with_projection(mask).build().map_err(|e| failed(&e))? {
        decode_batch(&batch.map_err(|e| failed(&e))?, &mut images)?;
    }
    Ok(images)
}

fn decode_batch(batch: &RecordBatch, images: &mut Vec<ImagePrint>) -> Result<(), String> {
    let text = |column: usize| batch.column(column).as_string::<i32>();
    let number = |column: usize| batch.column(column).as_primitive::<Int32Type>();
    let views: BTreeMap<usize, &BinaryArray> =
        (FACTS..batch.num_columns()).map(|column| (column, batch.column(column).as_binary::<i32>())).collect();
    let bytes = |column: usize, row: usize| {
        let values = views.get(&column)?;
        values.is_valid(row).then(|| values.value(row).to_vec())
    };
    let view = |row: usize, of: usize| {
        let signature = bytes(FACTS + of, row)?;
        Some(PrintView { picture: bytes(FACTS + 2 + of, row).unwrap_or_default(), signature })
    };
    for row in 0..batch.num_rows() {
        let digest = |column: usize| text(column).value(row).parse::<Digest>().map_err(|error| error.to_string());
        let size = |column: usize| u32::try_from(number(column).value(row)).map_err(|error| error.to_string());
        images.push(ImagePrint {
            source: text(0).value(row).to_owned(),
            image: text(1).value(row).to_owned(),
            file: digest(2)?,
            page: size(3)?,
            pixels: digest(4)?,
            width: size(5)?,
            height: size(6)?,
            centre: view(row, 0),
            whole: view(row, 1),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(number: u8) -> ImagePrint {
        let view = |fill: u8| PrintView { picture: vec![fill; 9], signature: vec![fill; 3] };
        ImagePrint {
            source: "a".into(),
            image: format!("{number}.png"),
            file: Digest::of(&[number]),
            page: 1,
            pixels: Digest::of(&[number, 1]),
            width: 640,
            height: 480,
            centre: (number > 0).then(|| view(number)),
            whole: (number > 1).then(|| view(number + 100)),
        }
    }

    #[test]
    fn images_read_back_as_far_as_they_are_asked_for() {
        let images = [print(0), print(1), print(2)];
        let bytes: Bytes = encode(&images).unwrap().into();
        assert_eq!(decode(&bytes, PrintParts::All).unwrap(), images);
        let signatures = decode(&bytes, PrintParts::Signatures).unwrap();
        let view = signatures[2].whole.clone().unwrap();
        assert_eq!((view.picture.len(), view.signature), (0, vec![102; 3]));
        assert_eq!(decode(&bytes, PrintParts::Facts).unwrap()[2].centre, None);
        assert_eq!(encode(&images).unwrap(), bytes, "the same images give the same bytes");
        assert!(decode(&bytes.slice(..bytes.len() / 2), PrintParts::All).is_err());
    }
}
