//! The objective of the linear probe with its derivatives, in coordinates without a flat direction.
//!
//! Shapes: n rows, D features, P = D + 1 (a column of ones carries the intercepts), K classes, M = K − 1.
//!
//! Adding one vector to the weights of all classes leaves the softmax as it is: the penalty fixes that for the weights
//! (at the optimum they sum to zero over the classes), nothing does for the intercepts. Parameters are therefore
//! `v` `[M, P]` with weights = Qᵀ-combinations of them: W = Q·v, where the columns of Q `[K, M]` are Helmert's
//! orthonormal contrasts, all orthogonal to (1, …, 1). Nothing is lost, ‖W‖ = ‖v‖, the Hessian is positive definite, and
//! the solution is the one whose intercepts sum to zero, which is the one of minimum norm.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::dots::times_transposed;

/// Rows handled at once; also what makes sums independent of the number of threads.
const BLOCK: usize = 1024;
/// Rows of a block that fit a processor's second cache at a thousand features.
const NEAR: usize = 128;

/// A training set and its penalty.
pub(crate) struct Problem {
    pub(super) blocks: Vec<Block>,
    pub(super) rows: usize,
    /// The contrasts Q, `[K, M]`.
    pub(super) basis: Array2<f64>,
    /// Factor of ‖W‖²/2: 1 / (C·n).
    pub(crate) penalty: f64,
    /// Gram matrix of an earlier direction, see [`gram::uncertain_gram`](super::gram::uncertain_gram).
    pub(super) gram: Option<Array2<f64>>,
}

/// Some rows of the training set.
pub(super) struct Block {
    /// Features and the column of ones, `[rows, P]`.
    pub(super) x: Array2<f64>,
    targets: Vec<usize>,
}

/// What is known at some parameters.
pub(crate) struct Point {
    /// `[M, P]`; the last column holds the intercepts.
    pub(super) v: Array2<f64>,
    /// Per block `[rows, K]`.
    pub(super) logits: Vec<Array2<f64>>,
    /// Per block `[rows, K]`.
    pub(super) probabilities: Vec<Array2<f64>>,
    pub(crate) objective: f64,
    /// Gradient of the objective, `[M, P]`.
    pub(super) gradient: Array2<f64>,
}

impl Problem {
    /// `x` `[n, D]`, one of `classes` classes per row; C is 1.
    pub(super) fn new(x: ArrayView2<'_, f64>, targets: &[usize], classes: usize) -> Self {
        let block = |first: usize| {
            let last = (first + BLOCK).min(targets.len());
            let mut with_ones = Array2::ones((last - first, x.ncols() + 1));
            with_ones.slice_mut(s![.., ..x.ncols()]).assign(&x.slice(s![first..last, ..]));
            Block { x: with_ones, targets: targets[first..last].to_vec() }
        };
        let blocks = (0..targets.len()).step_by(BLOCK).map(block).collect();
        let rows = targets.len();
        Self { blocks, rows, basis: helmert(classes), penalty: (rows as f64).recip(), gram: None }
    }

    /// M and P, the shape of the parameters.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.basis.ncols(), self.blocks.first().map_or(1, |b| b.x.ncols()))
    }

    /// Mean norm of the rows, the ones counted: no gradient of the loss is longer than √2 times this.
    pub(super) fn mean_norm(&self) -> f64 {
        let norms = self.blocks.iter().flat_map(|b| b.x.rows()).map(|row| row.dot(&row).sqrt());
        norms.sum::<f64>() / self.rows as f64
    }

    /// Objective, gradient and probabilities at `v` `[M, P]`.
    pub(crate) fn at(&self, v: Array2<f64>) -> Point {
        let logits = self.through(&v);
        let parts: Vec<(f64, Array2<f64>, Array2<f64>)> =
            self.blocks.par_iter().zip(&logits).map(|(block, z)| block.losses(z, &self.basis)).collect();
        let mut gradient = Array2::zeros(v.dim());
        let (mut loss, mut probabilities) = (0.0, Vec::with_capacity(parts.len()));
        // In block order, so that the sum is the same whichever thread finished first.
        for (part, p, share) in parts {
            loss += part;
            gradient += &share;
            probabilities.push(p);
        }
        gradient /= self.rows as f64;
        gradient.slice_mut(weights()).scaled_add(self.penalty, &v.slice(weights()));
        let objective = loss / self.rows as f64 + 0.5 * self.penalty * squares(v.slice(weights()));
        Point { v, logits, probabilities, objective, gradient }
    }

    /// What the parameters `v` `[M, P]` give each row: per block `[rows, K]`.
    pub(super) fn through(&self, v: &Array2<f64>) -> Vec<Array2<f64>> {
        let of_block = |block: &Block| {
            let mut logits = Array2::zeros((block.x.nrows(), self.basis.nrows()));
            general_mat_mul(1.0, &times_transposed(block.x.view(), v), &self.basis.t(), 0.0, &mut logits);
            logits
        };
        self.blocks.par_iter().map(of_block).collect()
    }

    /// Hessian times `direction` `[M, P]` at a point.
    pub(super) fn curvature(&self, point: &Point, direction: &Array2<f64>) -> Array2<f64> {
        let shares: Vec<Array2<f64>> = self
            .blocks
            .par_iter()
            .zip(&point.probabilities)
            .map(|(block, p)| block.curvature(p, direction, &self.basis))
            .collect();
        let mut sum = Array2::zeros(direction.dim());
        shares.iter().for_each(|share| sum += share);
        sum /= self.rows as f64;
        sum.slice_mut(weights()).scaled_add(self.penalty, &direction.slice(weights()));
        sum
    }

    /// Objective and slope at `step` along a line, from the logits alone.
    pub(super) fn along(&self, line: &Line<'_>, step: f64) -> (f64, f64) {
        let parts: Vec<(f64, f64)> = (0..self.blocks.len())
            .into_par_iter()
            .map(|i| self.blocks[i].along(&line.from.logits[i], &line.change[i], step))
            .collect();
        let (loss, slope) = parts.iter().fold((0.0, 0.0), |(l, s), part| (l + part.0, s + part.1));
        let [a, b, c] = line.squares;
        let n = self.rows as f64;
        let value = loss / n + 0.5 * self.penalty * (a + step * (2.0 * b + step * c));
        (value, slope / n + self.penalty * (b + step * c))
    }

    /// A line from a point.
    pub(super) fn line<'a>(&self, from: &'a Point, direction: &Array2<f64>) -> Line<'a> {
        let (v, d) = (from.v.slice(weights()), direction.slice(weights()));
        Line { from, change: self.through(direction), squares: [squares(v), (&v * &d).sum(), squares(d)] }
    }
}

/// The columns that are penalised: all but the intercepts.
pub(super) fn weights() -> ndarray::SliceInfo<[ndarray::SliceInfoElem; 2], ndarray::Ix2, ndarray::Ix2> {
    s![.., ..-1]
}

/// Sum of squares, in row order.
pub(super) fn squares(values: ArrayView2<'_, f64>) -> f64 {
    values.iter().map(|v| v * v).sum()
}

/// A line through the parameters, as seen by the rows.
pub(super) struct Line<'a> {
    from: &'a Point,
    /// Per block `[rows, K]`: what one step adds to the logits.
    change: Vec<Array2<f64>>,
    /// ‖W‖², W·d, ‖d‖² of the penalised parameters.
    squares: [f64; 3],
}

impl Block {
    /// Sum of the losses, probabilities `[rows, K]` and what the rows add to the gradient `[M, P]`.
    fn losses(&self, logits: &Array2<f64>, basis: &Array2<f64>) -> (f64, Array2<f64>, Array2<f64>) {
        let mut p = logits.clone();
        let mut loss = 0.0;
        for (mut row, &target) in p.rows_mut().into_iter().zip(&self.targets) {
            loss += softmax(row.as_slice_mut().expect("standard layout"), target);
        }
        let mut residual = p.clone();
        for (mut row, &target) in residual.rows_mut().into_iter().zip(&self.targets) {
            row[target] = 0.0;
            // Not p − 1, which has no digits left once the row is almost certain.
            row[target] = -row.sum();
        }
        let share = self.back(&residual, basis);
        (loss, p, share)
    }

    /// (r·Q)ᵀ·x for r `[rows, K]`: `[M, P]`.
    fn back(&self, r: &Array2<f64>, basis: &Array2<f64>) -> Array2<f64> {
        let contrasts = r.dot(basis);
        let mut sum = Array2::zeros((basis.ncols(), self.x.ncols()));
        general_mat_mul(1.0, &contrasts.t(), &self.x, 0.0, &mut sum);
        sum
    }

    /// What the rows add to Hessian times `direction`, given their probabilities.
    fn curvature(&self, p: &Array2<f64>, direction: &Array2<f64>, basis: &Array2<f64>) -> Array2<f64> {
        let mut sum = Array2::zeros(direction.dim());
        // So few rows at once that the second product finds them in the cache.
        for (x, p) in self.x.axis_chunks_iter(Axis(0), NEAR).zip(p.axis_chunks_iter(Axis(0), NEAR)) {
            let mut u = Array2::zeros(p.dim()); // [rows, K]
            general_mat_mul(1.0, &times_transposed(x, direction), &basis.t(), 0.0, &mut u);
            for (mut u, p) in u.rows_mut().into_iter().zip(p.rows()) {
                let mean = u.dot(&p);
                u.zip_mut_with(&p, |u, &p| *u = p * (*u - mean));
            }
            general_mat_mul(1.0, &u.dot(basis).t(), &x, 1.0, &mut sum);
        }
        sum
    }

    fn along(&self, logits: &Array2<f64>, change: &Array2<f64>, step: f64) -> (f64, f64) {
        let (mut loss, mut slope) = (0.0, 0.0);
        let mut row = vec![0.0; logits.ncols()];
        for ((z, d), &target) in logits.rows().into_iter().zip(change.rows()).zip(&self.targets) {
            row.iter_mut().zip(z).zip(d).for_each(|((r, z), d)| *r = z + step * d);
            loss += softmax(&mut row, target);
            // Σ p·(d − d of the truth): the term of the truth is zero and cancels nothing.
            slope += row.iter().zip(d).map(|(p, d_k)| p * (d_k - d[target])).sum::<f64>();
        }
        (loss, slope)
    }
}

/// Turns logits into probabilities; returns −ln of that of `target`, exact to the last digits however small it is.
fn softmax(row: &mut [f64], target: usize) -> f64 {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let top = row.iter().position(|&z| z == largest).unwrap_or(0);
    let behind = largest - row[target];
    row.iter_mut().for_each(|z| *z = (*z - largest).exp());
    let others: f64 = row.iter().enumerate().filter(|&(k, _)| k != top).map(|(_, e)| e).sum();
    row.iter_mut().for_each(|e| *e /= 1.0 + others);
    behind + others.ln_1p()
}

/// Helmert's orthonormal contrasts `[K, K − 1]`: column j compares class j + 1 with the mean of those before it.
fn helmert(classes: usize) -> Array2<f64> {
    let mut q = Array2::zeros((classes, classes.saturating_sub(1)));
    for j in 0..classes.saturating_sub(1) {
        let before = (j + 1) as f64;
        let scale = (before * (before + 1.0)).sqrt().recip();
        q.slice_mut(s![..=j, j]).fill(-scale);
        q[[j + 1, j]] = before * scale;
    }
    q
}

/// Mean over rows of the curvature of the loss in the logits, Qᵀ·(diag p − p·pᵀ)·Q: `[M, M]`.
pub(super) fn mean_curvature(problem: &Problem, point: &Point) -> Array2<f64> {
    let classes = problem.basis.nrows();
    let mut sum = Array2::<f64>::zeros((classes, classes));
    for p in &point.probabilities {
        general_mat_mul(-1.0, &p.t(), p, 1.0, &mut sum);
        let total: Array1<f64> = p.sum_axis(Axis(0));
        sum.diag_mut().zip_mut_with(&total, |s, t| *s += t);
    }
    problem.basis.t().dot(&sum).dot(&problem.basis) / problem.rows as f64
}

/// How uncertain a row is: 1 − Σp², the trace of its curvature.
pub(super) fn uncertainty(p: ArrayView1<'_, f64>) -> f64 {
    p.iter().map(|p| p * (1.0 - p)).sum()
}
