//! The columns of a shard, their encodings, and what the file says about itself.
//!
//! Version 2 has two columns more, `role` and `split`: all rows of a shard are of one split, which its key names.

use crate::Codec;
use crate::layout::split_of_key;
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use run_spec::ids::Product;
use serde_json::json;

/// Key of the file's own description.
pub(crate) const SHARD_METADATA: &str = "reddino.shard";
/// Position of `role` among the columns of version 2; `split` follows it.
pub(crate) const ROLE: usize = 11;

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Sets without splits that other readers know.
    One,
    /// Sets with the columns `role` and `split`.
    Two,
}

impl Version {
    /// The version of the shard under `key`: the keys of version 2 name a split.
    pub(crate) fn of_key(key: &str) -> Self {
        if split_of_key(key).is_some() { Self::Two } else { Self::One }
    }

    /// Its number in files.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// How many leaf columns come before `image.bytes`, all of them small; which is its own position too.
    pub(crate) fn small_columns(self) -> usize {
        match self {
            Self::One => ROLE,
            Self::Two => ROLE + 2,
        }
    }
}

/// The Arrow schema. The image struct is nullable, as Hugging Face's `Image` feature is, so that it needs no cast there;
/// readers refuse nulls in it.
pub(crate) fn schema(version: Version) -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int32, false);
    let mut fields = vec![
        text("id"),
        text("pixel_digest"),
        text("source"),
        text("image_path"),
        text("group"),
        number("x"),
        number("y"),
        number("w"),
        number("h"),
        Field::new("label", DataType::Utf8, true),
        text("licence"),
    ];
    if version == Version::Two {
        fields.extend([text("role"), text("split")]);
    }
    fields.push(Field::new("image", DataType::Struct(image_fields()), true));
    Schema::new(fields)
}

pub(crate) fn image_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

/// The features of Hugging Face `datasets`: with this key the image column decodes to a picture there.
fn huggingface_metadata(version: Version) -> String {
    let value = |kind: &str| json!({ "dtype": kind, "_type": "Value" });
    let features: serde_json::Map<String, serde_json::Value> = schema(version)
        .fields()
        .iter()
        .map(|field| {
            let feature = match field.data_type() {
                DataType::Utf8 => value("string"),
                DataType::Int32 => value("int32"),
                _ => json!({ "_type": "Image" }),
            };
            (field.name().clone(), feature)
        })
        .collect();
    json!({ "info": { "features": features } }).to_string()
}

/// What a shard says about itself: format version, product and codec.
pub(crate) fn shard_metadata(version: Version, product: Product, codec: Codec) -> String {
    run_spec::ids::canonical_json(&json!({
        "format": crate::manifest::FORMAT,
        "version": version.number(),
        "product": product,
        "codec": codec,
    }))
}

/// How each column is written. One page per image: the writer looks at page limits after each batch of values, so
/// batches of one value let a row limit of one act on `image.bytes` alone, while the small columns keep ordinary pages.
pub(crate) fn writer_properties(version: Version, product: Product, codec: Codec) -> WriterProperties {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a zstd level"));
    let bytes = ColumnPath::new(vec!["image".into(), "bytes".into()]);
    let path = ColumnPath::new(vec!["image".into(), "path".into()]);
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(usize::MAX))
        .set_write_batch_size(1)
        .set_compression(zstd)
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_data_page_row_count_limit(bytes.clone(), 1)
        .set_column_compression(bytes.clone(), Compression::UNCOMPRESSED)
        .set_column_encoding(bytes.clone(), Encoding::PLAIN)
        .set_column_dictionary_enabled(bytes.clone(), false)
        .set_column_statistics_enabled(bytes, EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![
            KeyValue::new(SHARD_METADATA.to_owned(), shard_metadata(version, product, codec)),
            KeyValue::new("huggingface".to_owned(), huggingface_metadata(version)),
        ]));
    // Every value of these differs: a dictionary would only add to them.
    for unique in [ColumnPath::from("id"), ColumnPath::from("pixel_digest"), path] {
        properties = properties
            .set_column_dictionary_enabled(unique.clone(), false)
            .set_column_statistics_enabled(unique, EnabledStatistics::None);
    }
    properties.build()
}
