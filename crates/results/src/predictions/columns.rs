//! Names, types and encodings of the columns.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{ProbeColumn, Task};

pub(super) const FEATURES: &str = "features";
pub(super) const SOURCE: &str = "source";
pub(super) const GROUP: &str = "group";
pub(super) const FOLD: &str = "fold";
pub(super) const TRUTH: &str = "truth";
pub(super) const ID: &str = "id";
pub(super) const PIXEL_DIGEST: &str = "pixel_digest";

/// Lines of a row group: what a writer or a reader holds in memory at once.
pub const BLOCK: usize = 16_384;

/// The key of the metadata.
pub(super) const METADATA_KEY: &str = "reddino";

/// The schema of the file: what tables read first, then digests and probabilities.
pub(super) fn schema(task: &Task) -> Arc<Schema> {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let named = [FEATURES, SOURCE, GROUP, FOLD, TRUTH].into_iter();
    let named = named.chain(task.probes.iter().map(|probe| probe.name.as_str()));
    let mut fields: Vec<Field> = named.map(|name| Field::new(name, dictionary.clone(), false)).collect();
    fields.extend([ID, PIXEL_DIGEST].map(|name| Field::new(name, DataType::Utf8, false)));
    let list = DataType::FixedSizeList(item(), task.classes.len() as i32);
    let probabilities = with_probabilities(task);
    fields.extend(probabilities.map(|probe| Field::new(probe.probability_column(), list.clone(), false)));
    Arc::new(Schema::new(fields))
}

/// The field of a single probability.
pub(super) fn item() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Float32, false))
}

/// The probes that left probabilities.
pub(super) fn with_probabilities(task: &Task) -> impl Iterator<Item = &ProbeColumn> {
    task.probes.iter().filter(|probe| probe.probabilities)
}

/// How the columns are encoded: digests have nothing in common, and of probabilities the bytes of equal weight are alike.
pub(super) fn properties(task: &Task) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(BLOCK));
    for digest in [ID, PIXEL_DIGEST] {
        let path = ColumnPath::new(vec![digest.to_owned()]);
        properties = properties.set_column_dictionary_enabled(path, false);
    }
    for probe in with_probabilities(task) {
        let path = ["list", "element"].map(str::to_owned);
        let path = ColumnPath::new([probe.probability_column()].into_iter().chain(path).collect());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
    }
    properties.build()
}
