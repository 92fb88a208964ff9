//! What a table for people is made of.

/// Some lines of one evaluation set as text cells.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    /// What the block is about.
    pub(super) heading: String,
    /// Heads of the columns.
    pub(super) header: Vec<String>,
    /// Number of columns of text, which stand first; numbers follow.
    pub(super) texts: usize,
    /// The cells, as many in each row as in the header.
    pub(super) rows: Vec<Vec<String>>,
    /// Sentences below.
    pub(super) notes: Vec<String>,
}
