//! What can go wrong with results, each with its subject and its remedy.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// A number that is NaN or infinite: it would silently poison a mean.
    #[error("{subject} is {value}, not a finite number; the probe that wrote it must be run again")]
    NotFinite {
        /// Which number of which row.
        subject: String,
        /// The number that is not finite.
        value: f64,
    },
    /// A line that is not the record it should be.
    #[error("line {line} of {what} is not a result record: remove the line or run the trial again")]
    Json {
        /// File or key the line is from.
        what: String,
        /// Line number, from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Parquet bytes that cannot be written or read.
    #[error("{what} cannot be written or read as parquet")]
    Parquet {
        /// The file or the key in the store.
        what: String,
        /// What the Parquet library says.
        source: parquet::errors::ParquetError,
    },
    /// Columns that do not form an arrow batch.
    #[error("the columns of {what} do not form a table")]
    Arrow {
        /// The file or the key in the store.
        what: String,
        /// What the arrow library says.
        source: arrow_schema::ArrowError,
    },
    /// A Parquet file of another layout.
    #[error("{what} has no column {column:?} of type {expected}: it is not a result table of this version")]
    Column {
        /// The file or the key in the store.
        what: String,
        /// Name of the column.
        column: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// A cell that does not hold what its column promises.
    #[error("row {row} of {what}: column {column:?} holds {found:?}")]
    Cell {
        /// The file or the key in the store.
        what: String,
        /// Row number, from 0.
        row: usize,
        /// Name of the column.
        column: &'static str,
        /// The value that was found there.
        found: String,
    },
    /// A file of predictions that is not what it should be, or predictions that do not fit together.
    #[error("{what} does not hold predictions as this program writes and reads them: {why}")]
    Predictions {
        /// The file or the key in the store.
        what: String,
        /// What is wrong, in words.
        why: String,
    },
    /// A CSV table that cannot be written.
    #[error("the table cannot be written as csv")]
    Csv(#[from] csv::Error),
    /// Two rows give different values for the same thing.
    #[error(
        "{what} has two values, {first} and {second}: the rows come from different experiments under one arm name; \
         give one of them another name or leave it out"
    )]
    Conflict {
        /// Arm, seed, fold, probe and metric.
        what: String,
        /// The value met first.
        first: f64,
        /// The value met later.
        second: f64,
    },
    /// There are no rows to compare.
    #[error("there are no result rows for {what}; run the probes first")]
    Empty {
        /// What was asked for.
        what: String,
    },
    /// A file of predictions of other classes.
    #[error("{what} has {found} classes instead of {expected}: {classes}")]
    OtherClasses {
        /// The file or the key in the store.
        what: String,
        /// The number of its classes.
        found: usize,
        /// The number of classes of the evaluation set.
        expected: usize,
        /// Names of its classes, comma-separated.
        classes: String,
    },
    /// A class outside the classes of the evaluation.
    #[error("there is no class {class}, only {classes} classes")]
    UnknownClass {
        /// Number of the class, or number of counts where one for each class is needed.
        class: u32,
        /// The number of classes of the evaluation.
        classes: usize,
    },
    /// Nothing to resample: the interval would have no width, as if the score were certain.
    #[error("stratum {stratum} of the bootstrap has one group, so nothing says how groups differ")]
    OneGroup {
        /// Number of the stratum (a fold, say), from 0.
        stratum: usize,
    },
    /// A group that two folds of one source test: its cells were then fitted to and predicted.
    #[error("group {group} is in the folds {first} and {second}; make the split by groups")]
    GroupInTwoFolds {
        /// The group with its source.
        group: String,
        /// The fold met first.
        first: String,
        /// The fold met later.
        second: String,
    },
    /// Two trials that predicted different cells, so that they cannot be paired.
    #[error(
        "{trial} and {first} have predicted different cells, first in group {group}; probe both on one shard set and split"
    )]
    OtherCells {
        /// The trial met later.
        trial: String,
        /// The trial met first, with which all others are compared.
        first: String,
        /// The group where they differ.
        group: String,
    },
    /// A file of a paper's scores that cannot be used.
    #[error("{what}: the published scores cannot be read: {why}")]
    Published {
        /// The file, in words.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A reference arm that has no rows.
    #[error("the reference arm {reference:?} has no result rows; arms with rows: {arms}")]
    NoReference {
        /// The arm asked for.
        reference: String,
        /// Arms that have rows, comma-separated.
        arms: String,
    },
    /// An option out of its range.
    #[error("{option} is {value}; it must be {range}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The value that was given.
        value: String,
        /// The values that are allowed, in words.
        range: &'static str,
    },
    /// The store cannot be read or written.
    #[error("the result store cannot be used")]
    Store(#[from] store::StoreError),
}
