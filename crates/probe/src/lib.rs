//! Frozen features to scores: k nearest neighbours, logistic regression, the metrics, the protocol that joins them.
//!
//! Features come in as plain rows of `f32`; who made them (a teacher, random weights, a colour histogram) is the
//! caller's business, so nothing here knows a tensor. Every number is the same for any number of threads: work is cut
//! into blocks of fixed size and put together in block order. Semantics are scikit-learn's, against which the golden
//! file `tests/golden/probe.json` (and `newton.json`, `evaluations.json`) checks them.
//!
//! * [`Features`], [`Classes`]: rows and labels, encoded once over the whole set.
//! * [`knn`]: Euclidean neighbours, uniform vote.
//! * [`logistic`]: multinomial logistic regression; [`lbfgs`]: its optimiser.
//! * [`newton`]: the same objective solved to its optimum, with a bound of the distance; [`standardised`]: the linear probe
//!   on standardised features, its C chosen by group folds; [`optimum`]: how far a published fit is from the optimum.
//! * [`metrics`]: accuracy, balanced accuracy, F1, recall, all from one confusion matrix; [`class_scores`]: the same per
//!   class, with macro and weighted means.
//! * [`spread`]: width, effective rank, alignment and uniformity of features, by which scores can be understood.
//! * [`histogram`]: the colour histogram that every model must beat; [`shape`]: hand-made shape features.
//! * [`probes`]: the list of probes.
//! * [`mlp`]: a small non-linear probe; [`calibration`]: whether probabilities are true; [`ranking`]: whether a score ranks.
//! * [`evaluations`]: what is measured only where it is asked for.
//! * [`protocol`]: folds that never share a group, scores per fold, the bootstrap over groups.

pub mod calibration;
pub mod class_scores;
mod error;
pub mod evaluations;
mod features;
pub mod histogram;
pub mod knn;
pub mod lbfgs;
pub mod logistic;
pub mod metrics;
pub mod mlp;
pub mod newton;
pub mod optimum;
pub mod patches;
pub mod probes;
pub mod protocol;
pub mod ranking;
pub mod shape;
pub mod spread;
pub mod standardised;
pub mod unit_sphere;

pub use error::ProbeError;
pub use features::{Classes, Features};
