//! Newton directions: the solution of H·d = −g, by a Cholesky factor of H or by conjugate gradients that never form it.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;

use super::cholesky::Cholesky;
use super::gram;
use super::problem::{Point, Problem, mean_curvature};

/// Steps of conjugate gradients after which the next direction weighs the rows anew.
const STALE_AFTER: usize = 10;

/// Steps of conjugate gradients before what is found must do: a direction of descent at any length.
const MAX_CG_STEPS: usize = 400;

/// The direction by a factor of the whole Hessian; `None` where it holds a value that is not finite.
pub(super) fn by_cholesky(problem: &Problem, point: &Point) -> Option<Array2<f64>> {
    let factor = Cholesky::of_nearly(&gram::hessian(problem, point))?;
    let mut direction = Array1::from_iter(point.gradient.iter().map(|g| -g));
    factor.solve(&mut direction);
    direction.into_shape_with_order(point.gradient.dim()).ok()
}

/// The direction by preconditioned conjugate gradients, until the residual (in the preconditioner's norm) is `share` of
/// its start.
pub(super) fn by_conjugate_gradients(problem: &mut Problem, point: &Point, share: f64) -> Option<Array2<f64>> {
    // The dear part of the preconditioner serves as long as it does.
    let gram = problem.gram.take().or_else(|| gram::uncertain_gram(problem, point))?;
    let (direction, steps) = descend(problem, point, &Preconditioner::at(problem, point, &gram)?, share);
    problem.gram = (steps <= STALE_AFTER).then_some(gram);
    Some(direction)
}

/// The direction and the steps it took.
fn descend(problem: &Problem, point: &Point, preconditioner: &Preconditioner, share: f64) -> (Array2<f64>, usize) {
    let mut direction = Array2::zeros(point.gradient.dim());
    let mut residual = -&point.gradient;
    let mut preconditioned = preconditioner.solve(&residual);
    let mut search = preconditioned.clone();
    let start = inner(&residual, &preconditioned);
    let mut norm = start;
    for steps in 0..MAX_CG_STEPS {
        let product = problem.curvature(point, &search);
        let bend = inner(&search, &product);
        if bend.is_nan() || bend <= 0.0 {
            return (direction, steps); // rounding: there is nothing left to gain
        }
        let step = norm / bend;
        direction.scaled_add(step, &search);
        residual.scaled_add(-step, &product);
        preconditioned = preconditioner.solve(&residual);
        let next = inner(&residual, &preconditioned);
        if next.is_nan() || next <= share * share * start {
            return (direction, steps + 1);
        }
        search *= next / norm;
        search += &preconditioned;
        norm = next;
    }
    (direction, MAX_CG_STEPS)
}

fn inner(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// An approximation of the Hessian that is cheap to solve with: S ⊗ G + penalty, where S `[M, M]` is the mean curvature
/// of the loss in the logits and G `[P, P]` the Gram matrix of the rows, each weighted by how uncertain it is or lately was (the
/// Kronecker form of Martens and Grosse, arXiv:1503.05671, §3). In the eigenbasis of S it falls into M blocks.
struct Preconditioner {
    /// Eigenvectors of S in columns, `[M, M]`.
    rotation: Array2<f64>,
    /// Of sₐ·G + penalty, per eigenvalue sₐ.
    factors: Vec<Cholesky>,
}

impl Preconditioner {
    fn at(problem: &Problem, point: &Point, gram: &Array2<f64>) -> Option<Self> {
        let (m, p) = problem.shape();
        let curvature = mean_curvature(problem, point);
        if curvature.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let eigen = SymmetricEigen::new(DMatrix::from_fn(m, m, |i, j| curvature[[i, j]]));
        // Among rows of zeros (classes that no row doubts any more) the solver may lose an eigenvalue.
        if eigen.eigenvalues.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let largest = eigen.eigenvalues.max();
        let factor = |a: usize| {
            let mut block = gram * eigen.eigenvalues[a].max(largest * f64::EPSILON);
            block.diag_mut().iter_mut().take(p - 1).for_each(|v| *v += problem.penalty);
            Cholesky::of_nearly(&block)
        };
        let factors = (0..m).map(factor).collect::<Option<Vec<_>>>()?;
        Some(Self { rotation: Array2::from_shape_fn((m, m), |(i, j)| eigen.eigenvectors[(i, j)]), factors })
    }

    fn solve(&self, right: &Array2<f64>) -> Array2<f64> {
        let mut rotated = self.rotation.t().dot(right);
        let rows: Vec<Array1<f64>> = self
            .factors
            .par_iter()
            .enumerate()
            .map(|(a, factor)| {
                let mut row = rotated.row(a).to_owned();
                factor.solve(&mut row);
                row
            })
            .collect();
        rotated.axis_iter_mut(Axis(0)).zip(rows).for_each(|(mut old, new)| old.assign(&new));
        self.rotation.dot(&rotated)
    }
}
