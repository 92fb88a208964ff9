//! Cholesky factors of symmetric positive definite matrices, in blocks.
//!
//! Right-looking: factor a block of columns, then subtract its outer product from what lies right of it by matrix
//! products (Golub, Van Loan, "Matrix Computations", §4.2.9). Blocks have a fixed size and each entry is written by one
//! task, so the factor is the same for any number of threads.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};
use rayon::prelude::*;

/// Columns factored at once.
const BLOCK: usize = 96;

/// The lower factor L of A = L·Lᵀ.
#[derive(Debug, Clone)]
pub(super) struct Cholesky {
    /// `[n, n]`; what stands above the diagonal means nothing.
    lower: Array2<f64>,
}

impl Cholesky {
    /// Factors `a` `[n, n]`, of which only the lower triangle is read; `None` unless it is positive definite in `f64`.
    pub(super) fn of(mut a: Array2<f64>) -> Option<Self> {
        let n = a.nrows();
        for first in (0..n).step_by(BLOCK) {
            let last = (first + BLOCK).min(n);
            factor_diagonal(&mut a, first, last)?;
            if last < n {
                solve_panel(&mut a, first, last);
                subtract_panel(&mut a, first, last);
            }
        }
        Some(Self { lower: a })
    }

    /// Factors `a`, made a little heavier on its diagonal where rounding has cost it its definiteness; `None` if nothing
    /// helps, which means that it holds a value that is not finite.
    pub(super) fn of_nearly(a: &Array2<f64>) -> Option<Self> {
        if let Some(factor) = Self::of(a.clone()) {
            return Some(factor);
        }
        let largest = a.diag().iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        (-14..=0).step_by(2).find_map(|power| {
            let mut heavier = a.clone();
            heavier.diag_mut().mapv_inplace(|v| v + largest * 10f64.powi(power));
            Self::of(heavier)
        })
    }

    /// Overwrites `b` `[n]` with the solution x of A·x = b.
    pub(super) fn solve(&self, b: &mut Array1<f64>) {
        for i in 0..b.len() {
            let row = self.lower.row(i);
            b[i] = (b[i] - row.slice(s![..i]).dot(&b.slice(s![..i]))) / row[i];
        }
        for i in (0..b.len()).rev() {
            let row = self.lower.row(i);
            let x = b[i] / row[i];
            b[i] = x;
            b.slice_mut(s![..i]).scaled_add(-x, &row.slice(s![..i]));
        }
    }
}

/// Factors the square block on the diagonal.
fn factor_diagonal(a: &mut Array2<f64>, first: usize, last: usize) -> Option<()> {
    for i in first..last {
        for j in first..=i {
            let sum = a[[i, j]] - a.slice(s![i, first..j]).dot(&a.slice(s![j, first..j]));
            if j < i {
                a[[i, j]] = sum / a[[j, j]];
            } else if sum > 0.0 && sum.is_finite() {
                a[[i, i]] = sum.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(())
}

/// Solves X·Lᵀ = A for the rows below a factored block.
fn solve_panel(a: &mut Array2<f64>, first: usize, last: usize) {
    let n = a.ncols();
    let block = a.slice(s![first..last, first..last]).to_owned();
    let below = &mut a.as_slice_mut().expect("standard layout")[last * n..];
    below.par_chunks_mut(n * BLOCK).for_each(|rows| {
        for row in rows.chunks_mut(n) {
            solve_row(&mut row[first..last], block.view());
        }
    });
}

fn solve_row(row: &mut [f64], block: ArrayView2<'_, f64>) {
    for j in 0..row.len() {
        let (done, rest) = row.split_at_mut(j);
        rest[0] = (rest[0] - ArrayView1::from(&*done).dot(&block.slice(s![j, ..j]))) / block[[j, j]];
    }
}

/// Subtracts the outer product of a panel from the lower triangle below and right of it.
fn subtract_panel(a: &mut Array2<f64>, first: usize, last: usize) {
    let n = a.ncols();
    let panel = a.slice(s![last.., first..last]).to_owned(); // [n - last, block]
    let below = &mut a.as_slice_mut().expect("standard layout")[last * n..];
    below.par_chunks_mut(n * BLOCK).enumerate().for_each(|(tile, rows)| {
        let height = rows.len() / n;
        let mut rows = ndarray::ArrayViewMut2::from_shape((height, n), rows).expect("whole rows");
        let top = tile * BLOCK;
        // Up to the end of the tile on the diagonal: the little above it that is written too is never read.
        let mut target = rows.slice_mut(s![.., last..last + top + height]);
        let left = panel.slice(s![top..top + height, ..]);
        general_mat_mul(-1.0, &left, &panel.slice(s![..top + height, ..]).t(), 1.0, &mut target);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    fn definite(n: usize) -> Array2<f64> {
        let mut draws = stream(1, "test", &[n as u64]);
        let root = Array2::from_shape_simple_fn((n, n), || draws.normal());
        root.dot(&root.t()) + Array2::<f64>::eye(n)
    }

    #[test]
    fn solutions_solve() {
        for n in [1, 5, BLOCK, BLOCK + 1, 2 * BLOCK + 37] {
            let a = definite(n);
            let x = Array1::from_iter((0..n).map(|i| i as f64 / 7.0 - 3.0));
            let mut found = a.dot(&x);
            Cholesky::of(a).unwrap().solve(&mut found);
            let off = (&found - &x).mapv(f64::abs).into_iter().fold(0.0, f64::max);
            assert!(off < 1e-8, "{n}: off by {off}");
        }
    }

    #[test]
    fn what_is_not_definite_is_refused_and_what_nearly_is_gets_a_little_help() {
        let mut a = definite(BLOCK + 3);
        a[[BLOCK + 1, BLOCK + 1]] = -1.0;
        assert!(Cholesky::of(a).is_none());
        let flat = Array2::from_elem((4, 4), 1.0); // rank 1
        assert!(Cholesky::of(flat.clone()).is_none());
        assert!(Cholesky::of_nearly(&flat).is_some());
        assert!(Cholesky::of_nearly(&Array2::from_elem((4, 4), f64::NAN)).is_none());
    }
}
