//! The columns of a v1 shard, their encodings, and what the file says about itself.

use crate::Codec;
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use run_spec::ids::Product;
use serde_json::json;

/// Key of the file's own description.
pub(crate) const SHARD_METADATA: &str = "reddino.shard";
/// The leaf columns before `image.bytes`, all small.
pub(crate) const SMALL_COLUMNS: usize = 11;
/// Index of `image.bytes` among the leaf columns.
pub(crate) const IMAGE_BYTES: usize = 11;

/// The Arrow schema. The image struct is nullable, as Hugging Face's `Image` feature is, so that it needs no cast there;
/// readers refuse nulls in it.
pub(crate) fn schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int32, false);
    Schema::new(vec![
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
        Field::new("image", DataType::Struct(image_fields()), true),
    ])
}

pub(crate) fn image_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

/// The features of Hugging Face `datasets`: with this key the image column decodes to a picture there.
fn huggingface_metadata() -> String {
    let value = |kind: &str| json!({ "dtype": kind, "_type": "Value" });
    let features: serde_json::Map<String, serde_json::Value> = schema()
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
pub(crate) fn shard_metadata(product: Product, codec: Codec) -> String {
    run_spec::ids::canonical_json(&json!({
        "format": crate::manifest::FORMAT,
        "version": crate::manifest::VERSION,
        "product": product,
        "codec": codec,
    }))
}

/// How each column is written. One page per image: the writer looks at page limits after each batch of values, so
/// batches of one value let a row limit of one act on `image.bytes` alone, while the small columns keep ordinary pages.
pub(crate) fn writer_properties(product: Product, codec: Codec) -> WriterProperties {
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
            KeyValue::new(SHARD_METADATA.to_owned(), shard_metadata(product, codec)),
            KeyValue::new("huggingface".to_owned(), huggingface_metadata()),
        ]));
    // Every value of these differs: a dictionary would only add to them.
    for unique in [ColumnPath::from("id"), ColumnPath::from("pixel_digest"), path] {
        properties = properties
            .set_column_dictionary_enabled(unique.clone(), false)
            .set_column_statistics_enabled(unique, EnabledStatistics::None);
    }
    properties.build()
}
