//! The first pass over the sources: every file is looked at once, and nothing is written.
//!
//! [`survey`] returns a record of each image, used or not, in one order (by source, then by path) that depends on names only. What it
//! finds out (sizes, digests, labels) fixes every row of a set before the first pixel is encoded. Over the records: copies
//! ([`find_copies`]), the groups that they join ([`joined_groups`]), counts ([`count_by_source`]) and the tables of the report.

mod copies;
mod counts;
mod group_union;
mod groups;
mod options;
mod pass;
mod record;
mod sink;
mod slide_field;
mod slides;
mod surveyor;
mod tables;

pub use copies::{CopyPair, CopySearch, CopySide, Crosses, find_copies, rank_copies};
pub use counts::{SourceCounts, count_by_source};
pub use group_union::GroupUnion;
pub use groups::{GroupCounts, count_groups, joined_groups};
pub use options::SurveyOptions;
pub use pass::survey;
pub use record::{ImageInfo, ImageRecord, UsedImage};
pub use sink::{KeptRow, Progress, RowSink, SurveyWork};
pub use tables::{cell_table, copy_table, image_table, label_table, quality_table};
