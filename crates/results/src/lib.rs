//! Result rows, statistics, tables, figures.
//!
//! A probe writes one [`ResultRow`] per score; rows are records that never change. [`table`] folds them into the
//! comparison a reader wants (arms against a reference arm, paired where the pairs exist, trials without scores listed), and
//! [`figure`] draws the same numbers. Nothing here trains, measures or knows a tensor; a number that is not finite is
//! refused at the door, and a table of a smoke test says so in its first line.
//!
//! * [`row`]: the record and its JSON lines.
//! * [`columns`]: the same records as Parquet.
//! * [`measures`]: names of probes and evaluations, and the primary comparison of a sweep.
//! * [`predictions`]: what each probe made of each cell, from which the rows are derived.
//! * [`stats`]: means, intervals, paired tests, Holm's correction, the group bootstrap.
//! * [`table`], [`render`]: the comparison, and its Markdown, CSV, Parquet and terminal forms.
//! * [`figure`]: pictures as self-contained SVG.

pub mod columns;
mod error;
pub mod figure;
pub mod measures;
pub mod predictions;
pub mod render;
pub mod row;
pub mod stats;
pub mod table;

pub use error::ResultsError;
pub use row::{ResultRow, TEACHER, Unscored, UnscoredTrial};
