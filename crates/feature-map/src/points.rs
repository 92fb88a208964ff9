//! Rows of features, checked once.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use crate::MapError;

/// A view of `rows` × `dim` features, row-major, all finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Points<'a> {
    dim: usize,
    data: &'a [f32],
}

impl<'a> Points<'a> {
    /// Takes rows of `dim` features that stand one after the other; there may be none.
    ///
    /// # Errors
    /// [`MapError::Shape`] if `data` is not a whole number of rows, [`MapError::NotFinite`] for the first feature that is NaN
    /// or infinite.
    pub fn new(dim: usize, data: &'a [f32]) -> Result<Self, MapError> {
        if dim == 0 || !data.len().is_multiple_of(dim) {
            return Err(MapError::Shape { values: data.len(), dim });
        }
        if let Some(i) = data.iter().position(|v| !v.is_finite()) {
            return Err(MapError::NotFinite { row: i / dim, column: i % dim, value: data[i] });
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
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.dim..(i + 1) * self.dim]
    }

    /// All values `[rows, dim]`, row-major.
    pub(crate) fn data(&self) -> &'a [f32] {
        self.data
    }

    /// The given rows in double precision, `[rows, dim]`.
    pub(crate) fn wide(&self, rows: Range<usize>) -> Array2<f64> {
        let values = &self.data[rows.start * self.dim..rows.end * self.dim];
        ArrayView2::from_shape((rows.len(), self.dim), values).expect("whole rows").mapv(f64::from)
    }

    /// Fails unless rows have `dim` features.
    pub(crate) fn expect_dim(&self, dim: usize) -> Result<(), MapError> {
        if self.dim == dim {
            return Ok(());
        }
        Err(MapError::Mismatch { what: "features per row", expected: dim, found: self.dim })
    }

    /// Fails unless there are `needed` rows for `what`.
    pub(crate) fn expect_rows(&self, what: &'static str, needed: usize) -> Result<(), MapError> {
        if self.rows() >= needed {
            return Ok(());
        }
        Err(MapError::TooFewRows { what, needed, rows: self.rows() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_is_not_finite_is_named() {
        let error = Points::new(2, &[0.0, 1.0, 2.0, f32::NAN]).unwrap_err();
        assert!(matches!(error, MapError::NotFinite { row: 1, column: 1, .. }), "{error}");
        assert!(Points::new(2, &[0.0, f32::INFINITY]).is_err());
    }

    #[test]
    fn rows_are_whole_and_may_be_none() {
        assert_eq!(Points::new(2, &[0.0; 3]).unwrap_err(), MapError::Shape { values: 3, dim: 2 });
        assert_eq!(Points::new(0, &[]).unwrap_err(), MapError::Shape { values: 0, dim: 0 });
        assert_eq!(Points::new(3, &[]).unwrap().rows(), 0);
    }
}
