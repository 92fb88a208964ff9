//! Datasets of blood smears that are described in YAML: what a description says, and what it finds in the files of a dataset.
//!
//! Modules depend on each other in one direction:
//!
//! * [`schema`]: what a description may say. No file is read.
//! * [`reading`]: the files of a dataset, found and read without leaving its folder or archive; labels and groups.
//! * [`cutting`]: which squares of an image become rows, and their pixels. Knows the schema and labels, not where they were read.
//! * [`quality`]: rows that show nothing or are hard to see.
//! * [`survey`]: one pass over all sources, with a record of every image; copies, groups and the tables of the report.
//! * [`sampling`]: which rows of a survey are drawn for a balanced set.
//! * [`describing`]: a first description of a folder that has none.
//!
//! Nothing here writes a set. A bad image, label or link is not an error but a row of the report, with its reason.

mod annotation;
pub mod cutting;
pub mod describing;
mod error;
pub mod quality;
pub mod reading;
pub mod sampling;
pub mod schema;
pub mod survey;
#[cfg(test)]
mod tests;

pub use annotation::{Annotation, Geometry, ImageLabels, LabelIssue};
pub use error::{ArchiveError, DatasetError, TableError};
