//! The report of a sweep as one page that opens from disk and can be mailed.
//!
//! [`Report`] is everything that a page shows, as plain data: it goes into the page as JSON, and lies beside it as a file of its own,
//! from which the page can be made again. [`page()`] puts data, style and scripts together; nothing in it is fetched, and its
//! content security policy forbids fetching. A section without data does not appear.
//!
//! * [`data`]: the data.
//! * [`evaluations`]: what a [`results::table::Table`] says, as data, with a sentence for each verdict.
//! * [`Tally`]: confusions, sources, coverage and mistakes, from predictions.
//! * [`curves`]: label efficiency and risk–coverage, from further evaluations.
//! * [`training`]: curves from the metrics of runs.
//! * [`methods`]: the paragraph of methods.

mod cost;
pub mod data;
mod measured;
mod methods;
mod page;
mod sentence;
mod table;
mod tally;
mod training;

pub use cost::costs;
pub use data::Report;
pub use measured::curves;
pub use methods::{Design, EvaluationDesign, Size, methods};
pub use page::{from_json, page, to_json};
pub use table::evaluations;
pub use tally::Tally;
pub use training::{Trace, training};
