//! What can be wrong with the features or settings of a map.

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MapError {
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
    /// Two inputs that should have the same number of rows or features.
    #[error("{what}: {found} where {expected} were expected")]
    Mismatch {
        /// What was counted in two places.
        what: &'static str,
        /// The number that fits the other input.
        expected: usize,
        /// The number that was found.
        found: usize,
    },
    /// Fewer rows than the work needs.
    #[error("{what} needs at least {needed} rows, and there are {rows}")]
    TooFewRows {
        /// The work that was asked for.
        what: &'static str,
        /// The smallest number of rows that it accepts.
        needed: usize,
        /// The number of rows that were given.
        rows: usize,
    },
    /// A setting out of its range.
    #[error("{what} is {value}; use {range}")]
    Setting {
        /// The setting, in words.
        what: &'static str,
        /// The value that was given.
        value: f64,
        /// The values that it accepts, in words.
        range: &'static str,
    },
}
