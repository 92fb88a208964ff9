//! Multinomial logistic regression, the linear probe: scikit-learn's `LogisticRegression(solver="lbfgs")` as the
//! reference calls it (C = features · classes / 100, 1000 steps, tol 1e-4, features not scaled).
//!
//! Objective: mean cross-entropy + ‖W‖² / (2·C·n), intercepts unpenalised, start at zero, in `f64`. It is softmax for
//! two classes too, as the reference asks for (`multi_class="multinomial"`); scikit-learn since 1.8 fits one sigmoid
//! there, which is this objective with half the C.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::lbfgs::{self, Outcome};
use crate::{Features, ProbeError};

/// Rows multiplied at once; also what makes sums independent of the number of threads.
const BLOCK: usize = 1024;

/// Penalty and limits of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Inverse strength of the penalty.
    pub c: f64,
    /// Steps of the optimiser before it gives up.
    pub max_steps: usize,
    /// Largest component of the gradient at which it stops.
    pub tol: f64,
}

impl Options {
    /// The reference's protocol for `dim` features and `classes` classes among the training rows.
    pub fn published(dim: usize, classes: usize) -> Self {
        Self { c: (dim * classes) as f64 / 100.0, max_steps: 1000, tol: 1e-4 }
    }
}

/// A fitted logistic regression: classes, weights, and how the fit ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Classes that occurred in training, ascending.
    classes: Vec<u32>,
    /// Weights `[classes, features]`, which are penalised.
    weights: Array2<f64>,
    /// Intercepts `[classes]`, not penalised.
    intercepts: Array1<f64>,
    outcome: Outcome,
}

/// Fits `labels` `[n]` (one class per row) to `train` `[n, d]`.
///
/// A fit that does not converge is not an error: the reference uses it as it is, and [`Model::outcome`] records it.
///
/// # Errors
/// [`ProbeError::Mismatch`] unless there is one label per row, [`ProbeError::OneClass`] if they are all the same,
/// [`ProbeError::Empty`] for no rows.
pub fn fit(train: &Features, labels: &[u32], options: &Options) -> Result<Model, ProbeError> {
    let (classes, targets) = targets(train, labels)?;
    let rows = Rows::new(wide(train), COLUMNS_UP_TO);
    let penalty = 1.0 / (options.c * train.rows() as f64);
    let (k, d) = (classes.len(), train.dim());
    // Weights first, row by row, then the intercepts.
    let mut parameters = vec![0.0; k * (d + 1)];
    let tolerances = lbfgs::Options {
        gradient_tol: options.tol,
        objective_tol: 64.0 * f64::EPSILON,
        max_steps: options.max_steps,
        max_line_search: 50,
    };
    let outcome = lbfgs::minimise(&mut parameters, &tolerances, |p, g| objective(&rows, &targets, k, penalty, p, g));
    let intercepts = Array1::from_vec(parameters.split_off(k * d));
    let weights = Array2::from_shape_vec((k, d), parameters).expect("k · d weights");
    Ok(Model { classes, weights, intercepts, outcome })
}

/// The classes that occur among `labels`, ascending, and the position in them of each row's.
pub(crate) fn targets(train: &Features, labels: &[u32]) -> Result<(Vec<u32>, Vec<usize>), ProbeError> {
    if labels.len() != train.rows() {
        return Err(ProbeError::Mismatch { what: "labels", expected: train.rows(), found: labels.len() });
    }
    let mut classes = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    match classes[..] {
        [] => return Err(ProbeError::Empty { what: "the training set of the linear probe".to_owned() }),
        [one] => return Err(ProbeError::OneClass { fold: "the linear probe".to_owned(), class: one.to_string() }),
        _ => {}
    }
    let targets = labels.iter().map(|l| classes.partition_point(|c| c < l)).collect();
    Ok((classes, targets))
}

impl Model {
    /// A model found by another solver.
    pub(crate) fn solved(classes: Vec<u32>, weights: Array2<f64>, intercepts: Array1<f64>, outcome: Outcome) -> Self {
        Self { classes, weights, intercepts, outcome }
    }

    /// The most probable class `[n]` of each row of `features` `[n, d]`.
    ///
    /// # Errors
    /// [`ProbeError::Mismatch`] for features of another width.
    pub fn predict(&self, features: &Features) -> Result<Vec<u32>, ProbeError> {
        let logits = self.logits(features)?;
        Ok(logits.rows().into_iter().map(|row| self.classes[first_largest(row)]).collect())
    }

    /// The most probable class of each row, and the probability of each of `classes` classes, `[rows, classes]` row-major: 0
    /// for one that training had not seen.
    ///
    /// # Errors
    /// As [`Model::predict`], and [`ProbeError::Mismatch`] if training saw a class that is not below `classes`.
    pub fn predict_with_probabilities(
        &self,
        features: &Features,
        classes: usize,
    ) -> Result<(Vec<u32>, Vec<f32>), ProbeError> {
        let logits = self.logits(features)?;
        let predicted = logits.rows().into_iter().map(|row| self.classes[first_largest(row)]).collect();
        Ok((predicted, self.spread_over(logits, classes)?))
    }

    /// Probability of each class, `[rows, classes]`, row-major; columns as in [`Model::classes`].
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn probabilities(&self, features: &Features) -> Result<Vec<f64>, ProbeError> {
        Ok(probabilities(self.logits(features)?).into_raw_vec_and_offset().0)
    }

    /// Probability of each of `classes` classes, `[rows, classes]`, row-major: 0 for one that training had not seen.
    ///
    /// # Errors
    /// As [`Model::predict`], and [`ProbeError::Mismatch`] if training saw a class that is not below `classes`.
    pub fn probabilities_of_all(&self, features: &Features, classes: usize) -> Result<Vec<f32>, ProbeError> {
        self.spread_over(self.logits(features)?, classes)
    }

    /// Probabilities of all `classes` classes from the logits of those that training saw.
    fn spread_over(&self, logits: Array2<f64>, classes: usize) -> Result<Vec<f32>, ProbeError> {
        over_all_classes(&probabilities(logits), &self.classes, classes)
    }

    /// Classes that occurred in training, ascending.
    pub fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// Weights `[classes, features]`, row-major.
    pub fn weights(&self) -> impl Iterator<Item = f64> + '_ {
        self.weights.iter().copied()
    }

    /// The intercepts `[classes]`, in the order of the classes.
    pub fn intercepts(&self) -> impl Iterator<Item = f64> + '_ {
        self.intercepts.iter().copied()
    }

    /// How the fit ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn logits(&self, features: &Features) -> Result<Array2<f64>, ProbeError> {
        let expected = self.weights.ncols();
        if features.dim() != expected {
            return Err(ProbeError::Mismatch { what: "features per row", expected, found: features.dim() });
        }
        Ok(wide(features).dot(&self.weights.t()) + &self.intercepts)
    }
}

/// Probabilities `[rows, classes]` of all `classes` classes, row-major, from those of the classes `seen` `[rows, seen]`: 0 for the others.
pub(crate) fn over_all_classes(of_seen: &Array2<f64>, seen: &[u32], classes: usize) -> Result<Vec<f32>, ProbeError> {
    let last = seen.last().map_or(0, |&c| c as usize + 1);
    if last > classes {
        return Err(ProbeError::Mismatch { what: "classes", expected: last, found: classes });
    }
    let mut all = vec![0.0; of_seen.nrows() * classes];
    for (row, of_seen) in all.chunks_exact_mut(classes).zip(of_seen.rows()) {
        seen.iter().zip(of_seen).for_each(|(&class, &p)| row[class as usize] = p as f32);
    }
    Ok(all)
}

/// The softmax of each row of logits.
pub(crate) fn probabilities(mut logits: Array2<f64>) -> Array2<f64> {
    for mut row in logits.rows_mut() {
        let log_sum = log_sum_exp(row.view());
        row.mapv_inplace(|z| (z - log_sum).exp());
    }
    logits
}

/// The rows in double precision, `[n, d]`.
pub(crate) fn wide(features: &Features) -> Array2<f64> {
    let shape = (features.rows(), features.dim());
    ArrayView2::from_shape(shape, features.data()).expect("whole rows").mapv(f64::from)
}

pub(crate) fn first_largest(row: ArrayView1<'_, f64>) -> usize {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter().position(|&v| v == largest).unwrap_or(0)
}

fn log_sum_exp(row: ArrayView1<'_, f64>) -> f64 {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + row.iter().map(|z| (z - largest).exp()).sum::<f64>().ln()
}

/// Bytes of rows up to which they are held twice.
const COLUMNS_UP_TO: usize = 1 << 30;

/// The training rows `[n, d]`, in blocks.
struct Rows {
    x: Array2<f64>,
    /// The same, block by block and column by column: a matrix product that runs over the columns of each row first copies
    /// the rows into this order, which takes longer than the product. The products are the same to the bit. Empty for
    /// rows that are too many to hold twice.
    columns: Vec<Array2<f64>>,
}

impl Rows {
    /// Rows that are held twice if they have at most `limit` bytes.
    fn new(x: Array2<f64>, limit: usize) -> Self {
        let by_column = |block: ArrayView2<'_, f64>| block.t().as_standard_layout().into_owned().reversed_axes();
        let columns = match size_of::<f64>() * x.len() <= limit {
            true => x.axis_chunks_iter(Axis(0), BLOCK).map(by_column).collect(),
            false => Vec::new(),
        };
        Self { x, columns }
    }

    /// The logits `[rows, k]` of the block that begins at row `first`, without intercepts.
    fn logits(&self, first: usize, x: ArrayView2<'_, f64>, w: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut logits = Array2::zeros((x.nrows(), w.nrows()));
        match self.columns.get(first / BLOCK) {
            Some(columns) => general_mat_mul(1.0, columns, &w.t(), 0.0, &mut logits),
            None => general_mat_mul(1.0, &x, &w.t(), 0.0, &mut logits),
        }
        logits
    }
}

/// Value and gradient of the penalised mean cross-entropy at `parameters`.
fn objective(rows: &Rows, targets: &[usize], k: usize, penalty: f64, parameters: &[f64], gradient: &mut [f64]) -> f64 {
    let (n, d) = rows.x.dim();
    let (weights, intercepts) = parameters.split_at(k * d);
    let w = ArrayView2::from_shape((k, d), weights).expect("k · d weights");
    let b = ArrayView1::from(intercepts);
    let blocks: Vec<PartialSums> = (0..n)
        .step_by(BLOCK)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|first| {
            let last = (first + BLOCK).min(n);
            let x = rows.x.slice(s![first..last, ..]);
            partial_sums(x, rows.logits(first, x, w) + b, &targets[first..last])
        })
        .collect();
    gradient.fill(0.0);
    let mut loss = 0.0;
    // In block order, so that the sum is the same whichever thread finished first.
    for block in &blocks {
        loss += block.loss;
        let parts = block.weights.iter().chain(&block.intercepts);
        gradient.iter_mut().zip(parts).for_each(|(g, part)| *g += part);
    }
    let scale = 1.0 / n as f64;
    gradient.iter_mut().for_each(|g| *g *= scale);
    gradient.iter_mut().zip(weights).for_each(|(g, w)| *g += penalty * w);
    loss * scale + 0.5 * penalty * weights.iter().map(|w| w * w).sum::<f64>()
}

/// What one block of rows adds to the sums.
struct PartialSums {
    loss: f64,
    /// Gradient of the weights `[k, d]`, summed over the rows.
    weights: Array2<f64>,
    /// Gradient of the intercepts `[k]`, summed over the rows.
    intercepts: Array1<f64>,
}

/// What the rows `x` `[rows, d]` with these logits `[rows, k]` add.
fn partial_sums(x: ArrayView2<'_, f64>, logits: Array2<f64>, targets: &[usize]) -> PartialSums {
    let mut residual = logits; // then probability minus truth
    let mut loss = 0.0;
    for (mut row, &target) in residual.rows_mut().into_iter().zip(targets) {
        let log_sum = log_sum_exp(row.view());
        loss += log_sum - row[target];
        row.mapv_inplace(|z| (z - log_sum).exp());
        row[target] -= 1.0;
    }
    let mut weights = Array2::zeros((residual.ncols(), x.ncols()));
    general_mat_mul(1.0, &residual.t(), &x, 0.0, &mut weights);
    PartialSums { loss, weights, intercepts: residual.sum_axis(Axis(0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    /// Three overlapping clouds in five dimensions; class codes 2, 5 and 7.
    fn clouds(rows: usize) -> (Features, Vec<u32>) {
        let mut draws = stream(1, "test", &[]);
        let labels: Vec<u32> = (0..rows).map(|i| [2, 5, 7][i % 3]).collect();
        let value = |label: u32, j: usize, noise: f64| (if label as usize % 4 == j { 1.5 } else { 0.0 } + noise) as f32;
        let data = labels.iter().flat_map(|&l| (0..5).map(move |j| (l, j))).map(|(l, j)| value(l, j, draws.normal()));
        (Features::new(5, data.collect()).unwrap(), labels)
    }

    #[test]
    fn the_gradient_is_that_of_the_objective() {
        let (features, labels) = clouds(40);
        let rows = Rows::new(wide(&features), usize::MAX);
        let targets: Vec<usize> = labels.iter().map(|l| [2, 5, 7].iter().position(|c| c == l).unwrap()).collect();
        let mut draws = stream(2, "test", &[]);
        let at: Vec<f64> = (0..18).map(|_| draws.normal()).collect();
        let (mut gradient, mut ignored) = (vec![0.0; 18], vec![0.0; 18]);
        objective(&rows, &targets, 3, 0.3, &at, &mut gradient);
        for i in 0..18 {
            let mut value = |step: f64| {
                let mut moved = at.clone();
                moved[i] += step;
                objective(&rows, &targets, 3, 0.3, &moved, &mut ignored)
            };
            let slope = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((slope - gradient[i]).abs() < 1e-8, "{i}: {slope} beside {}", gradient[i]);
        }
    }

    #[test]
    fn rows_held_twice_give_the_same_bits() {
        let mut draws = stream(3, "test", &[]);
        for (n, d, k) in [(1, 1, 2), (1024, 96, 9), (2500, 300, 5), (1030, 513, 12)] {
            let x = Array2::from_shape_simple_fn((n, d), || draws.normal());
            let targets: Vec<usize> = (0..n).map(|i| i % k).collect();
            let at: Vec<f64> = (0..k * (d + 1)).map(|_| draws.normal()).collect();
            let of = |limit| {
                let mut gradient = vec![0.0; at.len()];
                let value = objective(&Rows::new(x.clone(), limit), &targets, k, 0.3, &at, &mut gradient);
                (value, gradient)
            };
            assert_eq!(of(usize::MAX), of(0), "{n} × {d}");
            // As it was before: one product of rows as they lie.
            let (w, b) = at.split_at(k * d);
            let w = ArrayView2::from_shape((k, d), w).unwrap();
            let rows = Rows::new(x.clone(), usize::MAX);
            let first = x.slice(s![..n.min(BLOCK), ..]);
            assert_eq!(rows.logits(0, first, w) + ArrayView1::from(b), first.dot(&w.t()) + ArrayView1::from(b));
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (features, labels) = clouds(5000);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&features, &labels, &Options::published(5, 3)).unwrap())
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn only_classes_seen_in_training_are_predicted() {
        let (features, labels) = clouds(300);
        let model = fit(&features, &labels, &Options::published(5, 3)).unwrap();
        assert!(model.outcome().stop.converged());
        assert_eq!(model.classes(), [2, 5, 7]);
        let predicted = model.predict(&features).unwrap();
        let right = predicted.iter().zip(&labels).filter(|(p, l)| p == l).count();
        assert!(right > 200, "{right} of 300");
        assert!(matches!(fit(&features, &[1; 300], &Options::published(5, 1)), Err(ProbeError::OneClass { .. })));
    }

    #[test]
    fn a_fit_cut_short_says_so() {
        let (features, labels) = clouds(300);
        let model = fit(&features, &labels, &Options { max_steps: 2, ..Options::published(5, 3) }).unwrap();
        assert!(!model.outcome().stop.converged());
    }
}
