//! A table as Markdown and terminal text for people, as CSV and Parquet for programs.
//!
//! People get percentages with one decimal, block by block: of each evaluation set the primary comparison with its verdicts, then
//! what is descriptive. Programs get fractions with all their digits, one record per line. Captions and trials without scores
//! are part of every form that a person reads.

mod block;
mod blocks;
mod latex;
mod measured;
mod people;
mod programs;
mod scale;
#[cfg(test)]
mod tests;

pub use latex::latex;
pub(crate) use people::shortened;
pub use people::{markdown, terminal};
pub use programs::{classes_csv, csv, measured_csv, parquet};
pub use scale::{is_percent, metric_words};
