//! Rows of features and the classes of their labels.

use std::collections::BTreeSet;

use crate::ProbeError;

/// `rows` × `dim` features, row-major, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    dim: usize,
    data: Vec<f32>,
}

impl Features {
    /// Rows of `dim` features, one after the other.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] if `data` is not a whole number of rows, [`ProbeError::NotFinite`] for the first feature that is
    /// NaN or infinite.
    pub fn new(dim: usize, data: Vec<f32>) -> Result<Self, ProbeError> {
        if dim == 0 || !data.len().is_multiple_of(dim) {
            return Err(ProbeError::Shape { values: data.len(), dim });
        }
        if let Some(i) = data.iter().position(|v| !v.is_finite()) {
            return Err(ProbeError::NotFinite { row: i / dim, column: i % dim, value: data[i] });
        }
        Ok(Self { dim, data })
    }

    /// Number of features in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of rows, one for each cell.
    pub fn rows(&self) -> usize {
        self.data.len() / self.dim
    }

    /// The features `[dim]` of row `i`, from 0.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.dim..(i + 1) * self.dim]
    }

    /// All values `[rows, dim]`, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The rows of the given indices, in their order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn select(&self, rows: &[usize]) -> Self {
        let data = rows.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { dim: self.dim, data }
    }
}

/// The classes of a set and the class of each row.
///
/// Classes are encoded once over the whole set, in sorted order: the reference encodes each CSV by itself, so that a
/// fold without a class shifts the numbers of all classes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    names: Vec<String>,
    of_row: Vec<u32>,
}

impl Classes {
    /// Encodes `labels`, one per row.
    pub fn encode<S: AsRef<str>>(labels: &[S]) -> Self {
        let names: BTreeSet<&str> = labels.iter().map(AsRef::as_ref).collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let code = |label: &S| names.partition_point(|name| name.as_str() < label.as_ref()) as u32;
        let of_row = labels.iter().map(code).collect();
        Self { names, of_row }
    }

    /// Names of the classes, sorted; the position is the code.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The class of each row.
    pub fn of_row(&self) -> &[u32] {
        &self.of_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sorted_and_every_row_finds_its_own() {
        let classes = Classes::encode(&["target", "burr", "target", "disc"]);
        assert_eq!(classes.names(), ["burr", "disc", "target"]);
        assert_eq!(classes.of_row(), [2, 0, 2, 1]);
    }

    #[test]
    fn a_feature_that_is_not_finite_is_named() {
        let error = Features::new(2, vec![0.0, 1.0, 2.0, f32::NAN]).unwrap_err();
        assert!(matches!(error, ProbeError::NotFinite { row: 1, column: 1, .. }), "{error}");
        assert!(Features::new(2, vec![0.0; 3]).is_err());
        assert!(Features::new(0, vec![]).is_err());
    }
}
