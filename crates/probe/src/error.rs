//! What can be wrong with a probe's input.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A number of values that is not a whole number of rows.
    #[error("{values} values are not a whole number of rows of {dim} features")]
    Shape {
        /// Number of values that were given.
        values: usize,
        /// Features that a row should have.
        dim: usize,
    },
    /// A feature that is NaN or infinite: distances to it mean nothing.
    #[error("feature {column} of row {row} is {value}, not a finite number; the model that made it has diverged")]
    NotFinite {
        /// Index of the row, from 0.
        row: usize,
        /// Index of the feature, from 0.
        column: usize,
        /// The value that is not finite.
        value: f32,
    },
    /// Two inputs that should have the same length or width.
    #[error("{what}: {found} where {expected} were expected")]
    Mismatch {
        /// What was counted in two places.
        what: &'static str,
        /// The number that fits the other inputs.
        expected: usize,
        /// The number that was found.
        found: usize,
    },
    /// Nothing to work on.
    #[error("{what} is empty")]
    Empty {
        /// The input that has no rows.
        what: String,
    },
    /// More neighbours asked for than there are training rows.
    #[error("{k} neighbours were asked for, but there are {rows} training rows; use a smaller k or larger folds")]
    TooFewRows {
        /// Neighbours k that were asked for.
        k: usize,
        /// Rows of the training set.
        rows: usize,
    },
    /// A training fold with a single class.
    #[error("the training rows of {fold} hold only class {class:?}; a classifier needs two")]
    OneClass {
        /// The fold whose fit it was.
        fold: String,
        /// The class that all its rows have.
        class: String,
    },
    /// A group that lies in two folds: its cells would be on both sides of a test.
    #[error("group {group:?} lies in fold {first:?} and in fold {second:?}; make the split by group")]
    Leak {
        /// The group that stands in two folds.
        group: String,
        /// The fold where it was found first.
        first: String,
        /// The other fold where it was found.
        second: String,
    },
    /// An evaluation that these cells do not allow.
    #[error("the evaluation {evaluation} cannot be done on these cells: {why}")]
    NotMeasurable {
        /// Name of the evaluation.
        evaluation: &'static str,
        /// What is missing, and what to do.
        why: String,
    },
    /// A setting out of its range.
    #[error("{what} is {value}, which is out of range")]
    Setting {
        /// The setting, in words.
        what: &'static str,
        /// The value that was given.
        value: f64,
    },
    /// A linear probe that did not reach its optimum.
    #[error(
        "the linear probe did not converge: after {steps} Newton steps the gradient is {gradient:.1e} of its start and the \
         objective within {gap:.1e} of the optimum; use a smaller C or standardised features"
    )]
    NotConverged {
        /// Number of Newton steps taken.
        steps: usize,
        /// Norm of the gradient, as a share of its start.
        gradient: f64,
        /// Bound of the distance to the optimum, as a share of the objective.
        gap: f64,
    },
    /// Two evaluations that are not of the same cells, folds and probe.
    #[error("the two evaluations differ in {what}; a paired difference needs the same cells, labels, groups and folds")]
    NotPaired {
        /// The property in which the sets differ.
        what: &'static str,
    },
    /// The statistics refused their input.
    #[error("the interval cannot be computed")]
    Statistics(#[from] results::ResultsError),
}
