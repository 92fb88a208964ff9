//! What can be wrong with a probe's input.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A number of values that is no whole number of rows.
    #[error("{values} values are no whole number of rows of {dim} features")]
    Shape {
        /// Values given.
        values: usize,
        /// Features per row.
        dim: usize,
    },
    /// A feature that is NaN or infinite: distances to it mean nothing.
    #[error("feature {column} of row {row} is {value}, not a finite number; the model that made it has diverged")]
    NotFinite {
        /// Row, from 0.
        row: usize,
        /// Feature, from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// Two inputs that should have the same length or width.
    #[error("{what}: {found} where {expected} were expected")]
    Mismatch {
        /// What was counted.
        what: &'static str,
        /// The number expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// Nothing to work on.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: String,
    },
    /// More neighbours asked for than there are training rows.
    #[error("{k} neighbours were asked for, but there are {rows} training rows; use a smaller k or larger folds")]
    TooFewRows {
        /// Neighbours asked for.
        k: usize,
        /// Training rows.
        rows: usize,
    },
    /// A training fold with a single class.
    #[error("the training rows of {fold} hold only class {class:?}; a classifier needs two")]
    OneClass {
        /// Which fit.
        fold: String,
        /// The only class.
        class: String,
    },
    /// A group that lies in two folds: its cells would be on both sides of a test.
    #[error("group {group:?} lies in fold {first:?} and in fold {second:?}; make the split by group")]
    Leak {
        /// The group.
        group: String,
        /// One fold.
        first: String,
        /// Another fold.
        second: String,
    },
    /// Two evaluations that are not of the same cells, folds and probe.
    #[error("the two evaluations differ in {what}; a paired difference needs the same cells, labels, groups and folds")]
    NotPaired {
        /// What differs.
        what: &'static str,
    },
    /// The statistics refused their input.
    #[error("the interval cannot be computed")]
    Statistics(#[from] results::ResultsError),
}
