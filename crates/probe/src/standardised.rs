//! The linear probe whose answer does not depend on the features' units: `linear_standardised`.
//!
//! Features are standardised by mean and standard deviation of the rows fitted to (scikit-learn's `StandardScaler`), the
//! strength of the penalty is chosen on those rows alone, and the fit is the optimum ([`newton`]). A fixed
//! C on raw features rewards whatever widens them; here a factor on a feature changes nothing.
//!
//! **Choice of C.** The training rows are cut into [`INNER_FOLDS`] folds that share no group (fewer if there are fewer
//! groups), by scikit-learn's `GroupKFold` rule: groups from the largest to the smallest, those of equal size by number,
//! each to the fold with the fewest rows so far, the first of equals. Each inner fold is predicted by fits to the
//! others, standardised by those others, at the values of C in [`GRID`] from the smallest on, until [`PATIENCE`] in a row
//! have given fewer right predictions over all inner folds than the best one (weaker penalties are the dearest fits); the C
//! with the most right predictions wins, the smaller one of equals. The inner fits stop where their objective is proven
//! within 1 % of the optimum (0.02 % at most where it was measured); the fit that counts converges ([`newton::Options::converged`]).
//! Nothing is drawn at random.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::newton::{self, Certificate, Fitted};
use crate::{Features, ProbeError, logistic};

/// The name in result rows.
pub const NAME: &str = "linear_standardised";

/// The values of C that may be tried: ten, evenly spaced in their logarithm.
pub const GRID: [f64; 10] = [1e-5, 4.64e-5, 2.15e-4, 1e-3, 4.64e-3, 2.15e-2, 0.1, 0.464, 2.15, 10.0];

/// Folds of the training rows by which C is chosen.
pub const INNER_FOLDS: usize = 3;

/// Values of C in a row, each worse than the best so far, after which no larger one is tried.
pub const PATIENCE: usize = 2;

/// C where the training rows allow no choice: all of one group, or an inner training set with a single class.
pub const C_WITHOUT_CHOICE: f64 = 0.1;

/// Strength of the penalty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strength {
    /// This C, whatever the rows say.
    Fixed(f64),
    /// The C of [`GRID`] that does best on group folds of the training rows.
    Chosen,
}

/// A fit, with how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardised {
    /// The fitted model, in the features' own units: it predicts from features as they are.
    pub model: logistic::Model,
    /// How close the fit is to the optimum.
    pub certificate: Certificate,
    /// C of the fit.
    pub c: f64,
    /// Per C of [`GRID`] that was tried, the share of inner predictions that were right; empty where nothing was chosen.
    pub inner_accuracy: Vec<f64>,
}

impl Standardised {
    /// What is worth knowing about the choice of C, or empty.
    pub fn note(&self) -> String {
        let end = self.c == GRID[0] || self.c == GRID[GRID.len() - 1];
        if end && !self.inner_accuracy.is_empty() {
            return format!("the best C, {}, is at the end of the range that was tried", self.c);
        }
        String::new()
    }
}

/// Fits `labels` (one class per row) to `train`; `groups` names each row's group and serves the choice of C only.
///
/// # Errors
/// As [`newton::fit`], and [`ProbeError::Mismatch`] unless there is one group per row.
pub fn fit(train: &Features, labels: &[u32], groups: &[usize], strength: Strength) -> Result<Standardised, ProbeError> {
    if groups.len() != train.rows() {
        return Err(ProbeError::Mismatch { what: "groups", expected: train.rows(), found: groups.len() });
    }
    let (classes, targets) = logistic::targets(train, labels)?;
    let (c, inner_accuracy) = match strength {
        Strength::Fixed(c) => (c, Vec::new()),
        Strength::Chosen => choose(train, labels, groups)?,
    };
    let scaling = Scaling::of(train);
    let mut problem = newton::prepare(scaling.apply(train).view(), &targets, classes.len());
    let fitted = newton::solve(&mut problem, &newton::Options::converged(c), None)?;
    let certificate = fitted.certificate;
    Ok(Standardised { model: scaling.undo(fitted).model(classes), certificate, c, inner_accuracy })
}

/// The best C of the grid, and the share of right inner predictions at each that was tried.
fn choose(train: &Features, labels: &[u32], groups: &[usize]) -> Result<(f64, Vec<f64>), ProbeError> {
    let fold_of_row = group_folds(groups, INNER_FOLDS);
    let folds = fold_of_row.iter().max().map_or(0, |&last| last + 1);
    let mut paths = Vec::new();
    for fold in 0..folds {
        let (held, kept): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&row| fold_of_row[row] == fold);
        let first = kept.first().map(|&row| labels[row]);
        // One class or no rows: nothing to fit.
        if kept.iter().any(|&row| Some(labels[row]) != first) {
            paths.push(Path::new(train, labels, &kept, &held)?);
        }
    }
    let tested: usize = paths.iter().map(|path| path.held_labels.len()).sum();
    if tested == 0 {
        return Ok((C_WITHOUT_CHOICE, Vec::new()));
    }
    let (best, right) = search(|c| paths.iter_mut().map(|path| path.right_at(c)).sum())?;
    Ok((GRID[best], right.iter().map(|&n| n as f64 / tested as f64).collect()))
}

/// Position in [`GRID`] of the first C with the most right predictions, and their number at each C that was tried.
fn search(mut right_at: impl FnMut(f64) -> Result<usize, ProbeError>) -> Result<(usize, Vec<usize>), ProbeError> {
    let (mut right, mut best) = (Vec::new(), 0);
    for c in GRID {
        right.push(right_at(c)?);
        if right[right.len() - 1] > right[best] {
            best = right.len() - 1;
        }
        if right.len() > best + PATIENCE && right[best + 1..].iter().rev().take(PATIENCE).all(|&n| n < right[best]) {
            break;
        }
    }
    Ok((best, right))
}

/// The fits of one inner fold, each of which starts from the one before.
struct Path {
    problem: newton::Problem,
    /// Classes that the fits tell apart, ascending.
    classes: Vec<u32>,
    /// Standardised rows that are predicted, `[n, D]`.
    held: Array2<f64>,
    held_labels: Vec<u32>,
    last: Option<Fitted>,
}

impl Path {
    /// Fits to the rows `kept`, which predict the rows `held`.
    fn new(train: &Features, labels: &[u32], kept: &[usize], held: &[usize]) -> Result<Self, ProbeError> {
        let of = |rows: &[usize]| (train.select(rows), rows.iter().map(|&row| labels[row]).collect::<Vec<u32>>());
        let ((kept, kept_labels), (held, held_labels)) = (of(kept), of(held));
        let (classes, targets) = logistic::targets(&kept, &kept_labels)?;
        let scaling = Scaling::of(&kept);
        let problem = newton::prepare(scaling.apply(&kept).view(), &targets, classes.len());
        Ok(Self { problem, classes, held: scaling.apply(&held), held_labels, last: None })
    }

    /// Right predictions at `c`.
    fn right_at(&mut self, c: f64) -> Result<usize, ProbeError> {
        let options = newton::Options { gradient_tol: 1e-2, objective_tol: 1e-2, ..newton::Options::converged(c) };
        let fitted = newton::solve(&mut self.problem, &options, self.last.as_ref().map(|f| &f.v))?;
        let logits = self.held.dot(&fitted.weights.t()) + &fitted.intercepts;
        let predicted = logits.rows().into_iter().map(|row| self.classes[logistic::first_largest(row)]);
        let right = predicted.zip(&self.held_labels).filter(|(p, l)| p == *l).count();
        self.last = Some(fitted);
        Ok(right)
    }
}

/// The fold of each row, by scikit-learn's `GroupKFold`: at most `folds`, and no group in two of them.
pub fn group_folds(groups: &[usize], folds: usize) -> Vec<usize> {
    let mut rows_of_group = std::collections::BTreeMap::new();
    groups.iter().for_each(|&group| *rows_of_group.entry(group).or_insert(0usize) += 1);
    let folds = folds.min(rows_of_group.len()).max(1);
    let mut order: Vec<(usize, usize)> = rows_of_group.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut load = vec![0usize; folds];
    let mut fold_of_group = std::collections::BTreeMap::new();
    for (group, rows) in order {
        let lightest = load.iter().min().copied().unwrap_or(0);
        let fold = load.iter().position(|&l| l == lightest).unwrap_or(0);
        load[fold] += rows;
        fold_of_group.insert(group, fold);
    }
    groups.iter().map(|group| fold_of_group[group]).collect()
}

/// Mean and standard deviation of each feature that varies; the others say nothing, and get no weight.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scaling {
    /// Number of features, the constant ones counted.
    dim: usize,
    /// The features that vary, ascending.
    varying: Vec<usize>,
    mean: Array1<f64>,
    /// 1 / standard deviation (ddof 0).
    factor: Array1<f64>,
}

impl Scaling {
    pub(crate) fn of(features: &Features) -> Self {
        let (n, dim) = (features.rows() as f64, features.dim());
        let rows = || features.data().chunks_exact(dim);
        let mut mean = Array1::<f64>::zeros(dim);
        rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v)));
        mean /= n;
        let mut variance = Array1::<f64>::zeros(dim);
        for row in rows() {
            for ((sum, mean), &v) in variance.iter_mut().zip(&mean).zip(row) {
                *sum += (f64::from(v) - mean).powi(2);
            }
        }
        variance /= n;
        // scikit-learn's bound of what rounding leaves of a constant feature's variance.
        let constant = |mean: f64, v: f64| v <= n * f64::EPSILON * v + (n * mean * f64::EPSILON).powi(2);
        let varying: Vec<usize> = (0..dim).filter(|&j| !constant(mean[j], variance[j])).collect();
        let factor = varying.iter().map(|&j| variance[j].sqrt().recip()).collect();
        Self { dim, mean: varying.iter().map(|&j| mean[j]).collect(), factor, varying }
    }

    /// Standardised rows `[n, varying features]`.
    pub(crate) fn apply(&self, features: &Features) -> Array2<f64> {
        let data = ArrayView2::from_shape((features.rows(), self.dim), features.data()).expect("whole rows");
        let varying = data.select(Axis(1), &self.varying).mapv(f64::from);
        (varying - &self.mean) * &self.factor
    }

    /// The same fit in the features' own units.
    fn undo(&self, mut fitted: Fitted) -> Fitted {
        fitted.weights *= &self.factor;
        fitted.intercepts -= &(&fitted.weights * &self.mean).sum_axis(Axis(1));
        let mut weights = Array2::zeros((fitted.weights.nrows(), self.dim));
        for (column, &feature) in fitted.weights.columns().into_iter().zip(&self.varying) {
            weights.column_mut(feature).assign(&column);
        }
        Fitted { weights, ..fitted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    /// 12 groups of 20 rows, 3 classes, 6 features of which the last is constant; `units` scale the others.
    fn setting(units: [f32; 5]) -> (Features, Vec<u32>, Vec<usize>) {
        let mut draws = stream(3, "test", &[]);
        let labels: Vec<u32> = (0..240).map(|i| i % 3).collect();
        let mut row = |i: usize| {
            let value = |j: usize, noise: f64| (if i % 3 == j { 1.2 } else { 0.0 } + noise) as f32 * units[j];
            let mut row: Vec<f32> = (0..5).map(|j| value(j, draws.normal())).collect();
            row.push(7.3);
            row
        };
        let data = (0..240).flat_map(&mut row).collect();
        (Features::new(6, data).unwrap(), labels, (0..240).map(|i| i / 20).collect())
    }

    #[test]
    fn units_change_no_prediction_and_a_constant_feature_has_no_weight() {
        let fitted = |units| {
            let (features, labels, groups) = setting(units);
            let fit = fit(&features, &labels, &groups, Strength::Chosen).unwrap();
            assert!((0..3).all(|class| fit.model.weights().nth(class * 6 + 5) == Some(0.0)));
            (fit.c, fit.model.predict(&features).unwrap())
        };
        assert_eq!(fitted([1.0; 5]), fitted([1.0, 1024.0, 1.0 / 4096.0, 2.0, 0.5]));
    }

    #[test]
    fn inner_folds_share_no_group_and_are_even() {
        let groups = [5, 5, 5, 5, 2, 2, 2, 9, 9, 1, 1, 7];
        let folds = group_folds(&groups, 3);
        assert_eq!(folds, [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 1]);
        assert_eq!(group_folds(&[4, 4, 8], 3), [0, 0, 1]);
        assert_eq!(group_folds(&[4, 4], 3), [0, 0]);
    }

    #[test]
    fn noise_is_shrunk_harder_than_signal() {
        let (features, labels, groups) = setting([1.0; 5]);
        let chosen = fit(&features, &labels, &groups, Strength::Chosen).unwrap();
        let best = chosen.inner_accuracy.iter().copied().fold(0.0, f64::max);
        let first = chosen.inner_accuracy.iter().position(|&a| a == best).unwrap();
        assert_eq!(chosen.c, GRID[first]);
        assert!(best > 0.55, "{chosen:?}");
        let fixed = fit(&features, &labels, &groups, Strength::Fixed(chosen.c)).unwrap();
        assert_eq!(fixed.model, chosen.model);
    }

    #[test]
    fn the_search_ends_after_two_values_in_a_row_below_the_best() {
        let along = |right: [usize; 10]| {
            let mut tried = right.into_iter();
            search(|_| Ok(tried.next().unwrap())).unwrap()
        };
        let (best, tried) = along([3, 3, 5, 7, 6, 7, 6, 6, 9, 9]);
        assert_eq!((best, tried.len()), (3, 8), "one below, one equal and two below");
        assert_eq!(along([3, 3, 3, 4, 4, 3, 4, 3, 4, 3]).1.len(), 10);
        assert_eq!(along([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).0, 9);
    }

    #[test]
    fn features_without_any_variance_leave_the_most_frequent_class() {
        let (features, mut labels) = (Features::new(3, [0.5, -2.0, 7.0].repeat(240)).unwrap(), vec![1; 240]);
        labels.iter_mut().step_by(3).for_each(|label| *label = 0);
        let groups: Vec<usize> = (0..240).map(|i| i / 20).collect();
        let fit = fit(&features, &labels, &groups, Strength::Chosen).unwrap();
        assert_eq!((fit.c, fit.model.weights().sum::<f64>()), (GRID[0], 0.0));
        assert!(fit.model.predict(&features).unwrap().iter().all(|&class| class == 1));
    }

    #[test]
    fn rows_of_one_group_leave_nothing_to_choose() {
        let (features, labels, _) = setting([1.0; 5]);
        let fit = fit(&features, &labels, &[0; 240], Strength::Chosen).unwrap();
        assert_eq!((fit.c, fit.inner_accuracy.len()), (C_WITHOUT_CHOICE, 0));
    }

    #[test]
    fn probabilities_have_a_column_for_every_class() {
        let (features, mut labels, groups) = setting([1.0; 5]);
        labels.iter_mut().filter(|l| **l == 1).for_each(|l| *l = 3);
        let model = fit(&features, &labels, &groups, Strength::Fixed(0.1)).unwrap().model;
        let all = model.probabilities_of_all(&features, 5).unwrap();
        for (row, predicted) in all.chunks_exact(5).zip(model.predict(&features).unwrap()) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5 && row[1] == 0.0 && row[4] == 0.0);
            assert!(row.iter().all(|&p| p <= row[predicted as usize]));
        }
        assert!(matches!(model.probabilities_of_all(&features, 3), Err(ProbeError::Mismatch { .. })));
    }
}
