//! The predictions of an evaluation as one Parquet file: the record from which result rows and statistics are computed.
//!
//! One line per cell and set of features says what each probe made of the cell; the key-value metadata `reddino` of the file
//! holds what they have in common, as JSON ([`Metadata`]). [`Predictions::rows`] derives the result rows, and whoever writes rows
//! derives them by it, so a row can be computed again at any time. Columns that a table needs stand apart from the large ones:
//! [`Predictions::add_counts`] decodes four of them and the column of one probe.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `features` | dictionary | what was probed: `teacher`, `random`, `histogram` |
//! | `source`, `group`, `fold` | dictionary | source of the cell; its image or patient; the fold that tests it |
//! | `truth` | dictionary | its class |
//! | the name of a probe | dictionary | the class that the probe predicts |
//! | `id`, `pixel_digest` | text | row id in the shard set; digest of the pixels; both as the shard set holds them |
//! | `PROBE_probability` | list of `f32` | probability of each class of the metadata, in that order; linear probes only |
//!
//! Lines stand in the order of the features in the metadata, and of the cells in the shard set.

mod cells;
mod columns;
mod metadata;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod write;

pub use cells::SeenCell;
pub use columns::BLOCK;
pub use metadata::{
    FeaturesRecord, Fit, Measure, Metadata, OptimumDistance, Origin, ProbeColumn, ProbeFits, Spread, Task, VERSION,
};
pub use read::{Predictions, metadata_at_end};
pub use write::{Cell, Predicted, Writer};
