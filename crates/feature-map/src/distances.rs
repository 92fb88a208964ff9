//! Euclidean distances of many rows to many rows: cheap ones with a bound of their error, and exact ones.
//!
//! Matrix products give ‖x‖² + ‖t‖² − 2x·t, which is off by rounding and exactly 0 for near-copies that differ. So these
//! only sort out what is certain; a decision within the margin takes the distance that is summed feature by feature.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, s};

use crate::Points;

/// Rows looked up at once by a thread.
pub(crate) const QUERY_BLOCK: usize = 256;
/// Rows of the searched set multiplied at once.
const TRAIN_BLOCK: usize = 512;

/// A set of rows to which distances are asked.
#[derive(Debug)]
pub(crate) struct Distances<'a> {
    train: Points<'a>,
    /// ‖t‖² of each row.
    squares: Vec<f64>,
    largest: f64,
}

impl<'a> Distances<'a> {
    pub(crate) fn new(train: Points<'a>) -> Self {
        let squares: Vec<f64> = (0..train.rows()).map(|i| square(train.row(i))).collect();
        let largest = squares.iter().copied().fold(0.0, f64::max);
        Self { train, squares, largest }
    }

    pub(crate) fn rows(&self) -> usize {
        self.train.rows()
    }

    /// How far a cheap squared distance to `x` may be off: |x·t − fl(x·t)| ≤ dim·ε·‖x‖‖t‖, and as much again for the squares
    /// and the sum.
    pub(crate) fn margin(&self, x: &[f32]) -> f64 {
        let reach = square(x).sqrt() + self.largest.sqrt();
        4.0 * (self.train.dim() + 4) as f64 * f64::EPSILON * reach * reach
    }

    /// The squared distance of `x` to row `i`, summed feature by feature in order.
    pub(crate) fn exact(&self, x: &[f32], i: usize) -> f64 {
        x.iter().zip(self.train.row(i)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    }

    /// Calls `visit(query, first, distances)` for each row of `queries` in `block` and each block of the searched rows, in
    /// order: cheap squared distances of row `block.start + query` to the rows from `first`.
    pub(crate) fn cheap(&self, queries: Points<'_>, block: Range<usize>, mut visit: impl FnMut(usize, usize, &[f64])) {
        let x = queries.wide(block.clone());
        let x_squares: Vec<f64> = block.clone().map(|i| square(queries.row(i))).collect();
        let mut products = Array2::zeros((block.len(), TRAIN_BLOCK));
        for first in (0..self.rows()).step_by(TRAIN_BLOCK) {
            let last = (first + TRAIN_BLOCK).min(self.rows());
            let mut products = products.slice_mut(s![.., ..last - first]);
            general_mat_mul(1.0, &x, &self.train.wide(first..last).t(), 0.0, &mut products);
            for (query, mut products) in products.rows_mut().into_iter().enumerate() {
                let row = products.as_slice_mut().expect("rows are contiguous");
                for (value, square) in row.iter_mut().zip(&self.squares[first..last]) {
                    *value = x_squares[query] + square - 2.0 * *value;
                }
                visit(query, first, row);
            }
        }
    }
}

fn square(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}

/// Blocks of at most [`QUERY_BLOCK`] of `rows` rows, in order: the unit of work of a thread.
pub(crate) fn blocks(rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(QUERY_BLOCK).map(|first| first..(first + QUERY_BLOCK).min(rows)).collect()
}
