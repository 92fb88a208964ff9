//! What lies in the folder or archive of a dataset.

/// A file that is not read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedFile {
    /// Path inside the dataset; where it is not UTF-8, with replacement characters.
    pub path: String,
    /// The reason, for the report.
    pub reason: String,
}

/// All files of a dataset.
#[derive(Debug, Default, Clone)]
pub struct Listing {
    /// Paths inside the dataset, `/` between parts, sorted by bytes.
    pub files: Vec<String>,
    /// Files that are not read, sorted by path.
    pub refused: Vec<RefusedFile>,
}
