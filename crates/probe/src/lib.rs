//! Frozen features to scores: k nearest neighbours, logistic regression, the metrics, the protocol that joins them.
//!
//! Features come in as plain rows of `f32`; who made them (a teacher, random weights, a colour histogram) is the
//! caller's business, so nothing here knows a tensor. Every number is the same for any number of threads: work is cut
//! into blocks of fixed size and put together in block order. Semantics are scikit-learn's, against which the golden
//! file `tests/golden/probe.json` checks them.
//!
//! * [`Features`], [`Classes`]: rows and labels, encoded once over the whole set.
//! * [`knn`]: Euclidean neighbours, uniform vote.
//! * [`logistic`]: multinomial logistic regression; [`lbfgs`]: its optimiser.
//! * [`metrics`]: accuracy, balanced accuracy, F1, recall, all from one confusion matrix.
//! * [`histogram`]: the colour histogram that every model must beat.
//! * [`probes`]: the list of probes.
//! * [`protocol`]: folds that never share a group, scores per fold, the bootstrap over groups.

mod error;
mod features;
pub mod histogram;
pub mod knn;
pub mod lbfgs;
pub mod logistic;
pub mod metrics;
pub mod probes;
pub mod protocol;

pub use error::ProbeError;
pub use features::{Classes, Features};
