//! The linear probe at its optimum: the objective of [`crate::logistic`], solved by Newton's method.
//!
//! Mean cross-entropy + ‖W‖² / (2·C·n), intercepts unpenalised, in `f64`. A first-order method stops somewhere near the
//! optimum, and how near depends on the features; here the distance is bounded, and a fit that does not get there is an
//! error, never a number. The intercepts' common constant, which the softmax does not see, is taken out of the
//! coordinates: the solution is the one whose intercepts sum to zero.
//!
//! **Converged** means two things together. The gradient (Euclidean norm over weights and intercepts) is at most
//! [`Options::gradient_tol`] of what it is at zero. And the objective lies within [`Options::objective_tol`] of the
//! optimum, relative to itself: with λ = 1/(C·n), the objective f is convex and f − λ‖W‖²/2 is convex too, so for every
//! (W*, b*)
//!
//! f\* ≥ f + ⟨∇_W f, W* − W⟩ + ⟨∇_b f, b* − b⟩ + λ‖W* − W‖²/2 ≥ f − ‖∇_W f‖²/(2λ) − ‖∇_b f‖·‖b* − b‖,
//!
//! and the intercepts are polished (small Newton steps of their own) until the last term, in which the optimum's
//! intercepts are taken to lie within 1 + ‖b‖ of those found, is within the tolerance too. This bound holds at every
//! point. Half the squared Newton decrement, ∇fᵀH⁻¹∇f/2, is the distance in a quadratic and only there; with
//! the intercepts at their best it is never larger than the bound (H ≥ λ on the weights), so what passes here passes
//! that test as well.
//!
//! Steps are damped by a line search that needs no matrix product, with the approximate Wolfe condition of Hager and
//! Zhang (2005) where rounding hides the fall of the objective; so classes that can be separated, whose weights
//! grow with C, converge too. Everything is the same for any number of threads.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::lbfgs::{Outcome, Stop};
use crate::{Features, ProbeError, logistic};
pub(crate) use problem::Problem;
use problem::{Point, squares, weights};

mod cholesky;
mod direction;
mod dots;
mod gram;
mod problem;
#[cfg(test)]
mod tests;

/// How a Newton step is solved for. Both lead to the same optimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// A Cholesky factor of the Hessian of (classes − 1) · (features + 1) parameters.
    Cholesky,
    /// Conjugate gradients with Hessian-vector products, preconditioned by a Kronecker product.
    ConjugateGradients,
}

impl Solver {
    /// Features × classes up to which a Hessian is formed, of 128 MB at most.
    pub const CHOLESKY_UP_TO: usize = 4000;

    fn may_factor(dim: usize, classes: usize) -> bool {
        dim * classes <= Self::CHOLESKY_UP_TO
    }
}

/// When a fit counts as converged, and how it gets there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Inverse strength of the penalty.
    pub c: f64,
    /// Norm of the gradient to reach, as a share of its norm at zero.
    pub gradient_tol: f64,
    /// Bound of (objective − optimum) / objective to reach.
    pub objective_tol: f64,
    /// Newton steps before the fit fails.
    pub max_steps: usize,
    /// How to solve for a step. `None`: by conjugate gradients, which are as fast or faster at every size measured (more
    /// than ten times at 12,000 rows × 384 features × 9 classes), and by Cholesky where those fail and
    /// [`Solver::CHOLESKY_UP_TO`] allows it.
    pub solver: Option<Solver>,
}

impl Options {
    /// What counts as converged: gradient within 1e-6 of its start, objective within 1e-8 of the optimum.
    pub fn converged(c: f64) -> Self {
        Self { c, gradient_tol: 1e-6, objective_tol: 1e-8, max_steps: 200, solver: None }
    }
}

/// A fit that reached what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The model at the optimum, ready to predict.
    pub model: logistic::Model,
    /// How close it is.
    pub certificate: Certificate,
}

/// How close a fit is to the optimum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certificate {
    /// Value of the penalised mean cross-entropy that was reached, in nats.
    pub objective: f64,
    /// Upper bound of (objective − optimum) / objective.
    pub gap: f64,
    /// Norm of the gradient, as a share of its norm at zero.
    pub gradient: f64,
    /// Number of Newton steps taken.
    pub steps: usize,
    /// How they were solved for.
    pub solver: Solver,
}

/// Fits `labels` (one class per row) to `train`.
///
/// # Errors
/// [`ProbeError::Mismatch`], [`ProbeError::OneClass`] and [`ProbeError::Empty`] as [`logistic::fit`],
/// [`ProbeError::Setting`] for a C that is not positive, [`ProbeError::NotConverged`] where the steps run out or the
/// values leave the range of `f64`.
pub fn fit(train: &Features, labels: &[u32], options: &Options) -> Result<Solution, ProbeError> {
    let (classes, targets) = logistic::targets(train, labels)?;
    let mut problem = prepare(logistic::wide(train).view(), &targets, classes.len());
    let fitted = solve(&mut problem, options, None)?;
    Ok(Solution { model: fitted.model(classes), certificate: fitted.certificate })
}

/// A fit by its numbers.
#[derive(Debug, Clone)]
pub(crate) struct Fitted {
    /// Weights `[K, D]` of each class.
    pub(crate) weights: Array2<f64>,
    /// Intercepts `[K]` of each class.
    pub(crate) intercepts: Array1<f64>,
    pub(crate) certificate: Certificate,
    /// Where another fit can start.
    pub(crate) v: Array2<f64>,
}

impl Fitted {
    /// The model of the classes with these codes.
    pub(crate) fn model(&self, classes: Vec<u32>) -> logistic::Model {
        let Certificate { objective, steps, .. } = self.certificate;
        let outcome = Outcome { objective, steps, evaluations: steps + 1, stop: Stop::Gradient };
        logistic::Model::solved(classes, self.weights.clone(), self.intercepts.clone(), outcome)
    }
}

/// A training set made ready: rows `[n, D]` in double precision, one target below `classes` per row.
pub(crate) fn prepare(x: ArrayView2<'_, f64>, targets: &[usize], classes: usize) -> Problem {
    Problem::new(x, targets, classes)
}

/// As [`fit`], for a training set made ready, from another fit if there is one.
pub(crate) fn solve(
    problem: &mut Problem,
    options: &Options,
    start: Option<&Array2<f64>>,
) -> Result<Fitted, ProbeError> {
    let positive = options.c.is_finite() && options.c > 0.0;
    problem.penalty = (options.c * problem.rows as f64).recip();
    if !positive || !problem.penalty.is_normal() {
        return Err(ProbeError::Setting { what: "C of the linear probe", value: options.c });
    }
    let (classes, dim) = (problem.basis.nrows(), problem.shape().1 - 1);
    let found = minimise(problem, options, options.solver.unwrap_or(Solver::ConjugateGradients), start);
    let (v, certificate) = match found {
        Err(ProbeError::NotConverged { .. }) if options.solver.is_none() && Solver::may_factor(dim, classes) => {
            minimise(problem, options, Solver::Cholesky, start)?
        }
        found => found?,
    };
    let parameters = problem.basis.dot(&v); // [K, P]
    Ok(Fitted {
        weights: parameters.slice(weights()).to_owned(),
        intercepts: parameters.column(dim).to_owned(),
        certificate,
        v,
    })
}

/// Weights `[K, D]` and intercepts `[K]` in the solver's coordinates, and the penalty of what those cannot hold: what
/// is common to all classes changes no probability, but makes ‖W‖ larger.
pub(crate) fn coordinates(problem: &Problem, w: &Array2<f64>, b: &Array1<f64>) -> (Array2<f64>, f64) {
    let mut v = Array2::zeros(problem.shape());
    v.slice_mut(weights()).assign(&problem.basis.t().dot(w));
    v.column_mut(w.ncols()).assign(&problem.basis.t().dot(b));
    let common = w.sum_axis(Axis(0)).mapv(|sum| sum * sum).sum() / w.nrows() as f64;
    (v, 0.5 * problem.penalty * common)
}

/// Minimises from `start` (or zero) to a point that passes both tests.
fn minimise(
    problem: &mut Problem,
    options: &Options,
    solver: Solver,
    start: Option<&Array2<f64>>,
) -> Result<(Array2<f64>, Certificate), ProbeError> {
    let mut point = problem.at(Array2::zeros(problem.shape()));
    // Where no feature tells the classes apart, the gradient at zero is rounding already.
    let first = squares(point.gradient.view()).sqrt().max(1e-8 * problem.mean_norm());
    if let Some(v) = start {
        point = problem.at(v.clone());
    }
    let (mut steps, mut before) = (0, f64::INFINITY);
    loop {
        let gap = gap(problem, &point);
        let gradient = squares(point.gradient.view()).sqrt() / first;
        let failed = |point: &Point| ProbeError::NotConverged { steps, gradient, gap: gap.total() / point.objective };
        let allowed = options.objective_tol * point.objective;
        if gradient <= options.gradient_tol && gap.total() <= allowed {
            let gap = gap.total() / point.objective;
            return Ok((point.v, Certificate { objective: point.objective, gap, gradient, steps, solver }));
        }
        if gap.weights <= allowed
            && gap.intercepts > allowed
            && let Some(polished) = polish_intercepts(problem, &point)
        {
            point = polished;
            continue;
        }
        if steps == options.max_steps {
            return Err(failed(&point));
        }
        // Solve the more exactly the faster the gradient falls (Eisenstat, Walker 1996, choice 2).
        let share = (0.9 * (gradient / before).powf(1.618)).clamp(1e-2, 0.1);
        before = gradient;
        let step = newton_step(problem, &point, solver, share).ok_or_else(|| failed(&point))?;
        point = problem.at(&point.v + &step);
        steps += 1;
    }
}

/// The damped Newton step from a point, `share` being the residual that conjugate gradients may leave; `None` where rounding leaves no step that lowers the objective.
fn newton_step(problem: &mut Problem, point: &Point, solver: Solver, share: f64) -> Option<Array2<f64>> {
    let direction = match solver {
        Solver::Cholesky => direction::by_cholesky(problem, point)?,
        Solver::ConjugateGradients => direction::by_conjugate_gradients(problem, point, share)?,
    };
    let step = line_search(problem, point, &direction)?;
    Some(direction * step)
}

/// Bound of the distance of the objective to its optimum, in its two parts; see the module's head.
struct Gap {
    weights: f64,
    intercepts: f64,
}

impl Gap {
    fn total(&self) -> f64 {
        self.weights + self.intercepts
    }
}

fn gap(problem: &Problem, point: &Point) -> Gap {
    let intercepts = |a: &Array2<f64>| a.slice(s![.., -1]).mapv(|v| v * v).sum().sqrt();
    Gap {
        weights: squares(point.gradient.slice(weights())) / (2.0 * problem.penalty),
        intercepts: intercepts(&point.gradient) * (1.0 + intercepts(&point.v)),
    }
}

/// The point with better intercepts under the same weights; `None` if there are none.
fn polish_intercepts(problem: &Problem, point: &Point) -> Option<Point> {
    let factor = cholesky::Cholesky::of(problem::mean_curvature(problem, point))?;
    let mut step: Array1<f64> = point.gradient.slice(s![.., -1]).mapv(|g| -g);
    factor.solve(&mut step);
    let mut v = point.v.clone();
    v.slice_mut(s![.., -1]).scaled_add(1.0, &step);
    let polished = problem.at(v);
    let better = gap(problem, &polished).intercepts < 0.5 * gap(problem, point).intercepts;
    (better && polished.objective.is_finite()).then_some(polished)
}

/// Share of the first slope that must be gone, and of the fall it promises that must be real (Hager, Zhang 2005).
const SLOPE_SHARE: f64 = 0.8;
const FALL_SHARE: f64 = 1e-4;

/// How far to go along a direction of descent; `None` if it is none, or rounding hides the way.
fn line_search(problem: &Problem, point: &Point, direction: &Array2<f64>) -> Option<f64> {
    let line = problem.line(point, direction);
    let (start, first) = problem.along(&line, 0.0);
    if first.is_nan() || first >= 0.0 {
        return None;
    }
    let (mut lo, mut hi, mut step) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..60 {
        let (value, slope) = problem.along(&line, step);
        let falls = value <= start + FALL_SHARE * step * first;
        let as_good = value <= start + 4.0 * f64::EPSILON * start.abs() && slope <= SLOPE_SHARE * first.abs();
        if !(falls || as_good) || slope.is_nan() {
            hi = step;
            step = 0.5 * (lo + hi);
        } else if slope < -SLOPE_SHARE * first.abs() && hi.is_infinite() {
            // Hardly bent yet, as far out where classes are separated: the objective is convex, so further is better.
            lo = step;
            step *= 2.0;
        } else {
            return Some(step);
        }
    }
    (lo > 0.0).then_some(lo)
}
