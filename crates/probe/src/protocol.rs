//! From features to scores: each fold is tested once by probes fitted to all other folds.
//!
//! A fold never shares a group (image, slide, patient) with another: [`Cells::new`] refuses such a split, so cells of one
//! image cannot stand on both sides. Predictions are kept for every cell; intervals resample whole groups within their
//! fold, and two sets of features on the same cells are compared on the same draws.

use std::collections::BTreeMap;
use std::sync::Arc;

use results::stats::{self, Bootstrap, Interval, Summary};

use crate::metrics::{Confusion, Metric};
pub use crate::probes::Probe;
use crate::probes::{Fit, Fold, Predicted};
use crate::{Classes, Features, ProbeError, knn};

/// Labelled cells with their groups and folds: everything about an evaluation but the features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    classes: Classes,
    folds: Classes,
    /// Groups ordered by fold, so that a stratum of the bootstrap is a range.
    group_of_row: Vec<usize>,
    groups_per_fold: Vec<usize>,
}

impl Cells {
    /// Cells by row: label, group, name of the fold that tests it.
    ///
    /// # Errors
    /// [`ProbeError::Mismatch`] for lists of unequal length, [`ProbeError::Empty`] for fewer than two folds,
    /// [`ProbeError::Leak`] for a group in two folds, [`ProbeError::OneClass`] if all cells outside a fold have one class.
    pub fn new<L, G, F>(labels: &[L], groups: &[G], folds: &[F]) -> Result<Self, ProbeError>
    where
        L: AsRef<str>,
        G: AsRef<str>,
        F: AsRef<str>,
    {
        for (what, found) in [("groups", groups.len()), ("folds", folds.len())] {
            if found != labels.len() {
                return Err(ProbeError::Mismatch { what, expected: labels.len(), found });
            }
        }
        let (classes, folds) = (Classes::encode(labels), Classes::encode(folds));
        if folds.names().len() < 2 {
            return Err(ProbeError::Empty { what: "the split (it has fewer than two folds)".to_owned() });
        }
        let mut fold_of_group: BTreeMap<&str, u32> = BTreeMap::new();
        for (group, &fold) in groups.iter().map(AsRef::as_ref).zip(folds.of_row()) {
            let first = *fold_of_group.entry(group).or_insert(fold);
            if first != fold {
                let name = |fold: u32| folds.names()[fold as usize].clone();
                return Err(ProbeError::Leak { group: group.to_owned(), first: name(first), second: name(fold) });
            }
        }
        let mut order: Vec<(u32, &str)> = fold_of_group.into_iter().map(|(group, fold)| (fold, group)).collect();
        order.sort_unstable();
        let rank: BTreeMap<&str, usize> = order.iter().enumerate().map(|(i, &(_, group))| (group, i)).collect();
        let mut groups_per_fold = vec![0; folds.names().len()];
        order.iter().for_each(|&(fold, _)| groups_per_fold[fold as usize] += 1);
        let group_of_row = groups.iter().map(|g| rank[g.as_ref()]).collect();
        let cells = Self { classes, folds, group_of_row, groups_per_fold };
        (0..cells.groups_per_fold.len()).try_for_each(|fold| cells.verify_training(fold))?;
        Ok(cells)
    }

    fn verify_training(&self, fold: usize) -> Result<(), ProbeError> {
        let mut seen = self.rows(|f| f != fold).into_iter().map(|row| self.classes.of_row()[row]);
        let first = seen.next();
        if first.is_some() && seen.any(|class| Some(class) != first) {
            return Ok(());
        }
        let class = first.map(|c| self.classes.names()[c as usize].clone()).unwrap_or_default();
        Err(ProbeError::OneClass { fold: format!("fold {:?}", self.folds.names()[fold]), class })
    }

    /// Number of cells in the set.
    pub fn len(&self) -> usize {
        self.group_of_row.len()
    }

    /// Whether the set holds no cell.
    pub fn is_empty(&self) -> bool {
        self.group_of_row.is_empty()
    }

    /// The classes of the cells.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Names of the folds, sorted.
    pub fn folds(&self) -> &[String] {
        self.folds.names()
    }

    /// Position in [`Self::folds`] of the fold that tests each cell.
    pub fn fold_of_row(&self) -> &[u32] {
        self.folds.of_row()
    }

    /// Number of cells that each fold tests.
    pub fn fold_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.folds().len()];
        self.folds.of_row().iter().for_each(|&fold| sizes[fold as usize] += 1);
        sizes
    }

    /// Number of distinct groups, such as patients or images.
    pub fn groups(&self) -> usize {
        self.groups_per_fold.iter().sum()
    }

    /// The number of the group of each cell; groups of one fold have consecutive numbers.
    pub fn group_of_row(&self) -> &[usize] {
        &self.group_of_row
    }

    /// Rows whose fold is wanted, ascending.
    pub(crate) fn rows(&self, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.len()).filter(|&row| wanted(self.folds.of_row()[row] as usize)).collect()
    }
}

/// Predictions of every probe for every cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    cells: Arc<Cells>,
    predictions: Vec<Predictions>,
}

/// Predictions of one probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The probe.
    pub probe: Probe,
    /// The class of each cell, by the fit that had not seen the cell's fold.
    pub of_row: Vec<u32>,
    /// The probability of each class for each cell, `[cells, classes]` row-major, by the same fit; `None` for probes that give none.
    pub probabilities: Option<Vec<f32>>,
    /// The fit that tested each fold, in the order of [`Cells::folds`].
    pub fits: Vec<Fit>,
}

impl Predictions {
    fn empty(probe: Probe, cells: usize, classes: usize) -> Self {
        let probabilities = probe.probabilities.then(|| vec![0.0; cells * classes]);
        Self { probe, of_row: vec![0; cells], probabilities, fits: Vec::new() }
    }

    /// Takes in what a fit predicted for `rows`.
    fn take(&mut self, rows: &[usize], predicted: Predicted, classes: usize) {
        rows.iter().zip(predicted.classes).for_each(|(&row, class)| self.of_row[row] = class);
        if let (Some(all), Some(some)) = (&mut self.probabilities, &predicted.probabilities) {
            for (&row, of_row) in rows.iter().zip(some.chunks_exact(classes)) {
                all[row * classes..(row + 1) * classes].copy_from_slice(of_row);
            }
        }
        self.fits.push(predicted.fit);
    }
}

/// Tests each fold of `cells` by probes fitted to the other folds of `features` `[cells, d]`.
///
/// # Errors
/// [`ProbeError::Mismatch`] unless there is one row of features per cell, [`ProbeError::TooFewRows`] for more neighbours
/// than training rows, [`ProbeError::Empty`] for no probes.
pub fn evaluate(cells: &Arc<Cells>, features: &Features, probes: &[Probe]) -> Result<Evaluation, ProbeError> {
    if features.rows() != cells.len() {
        return Err(ProbeError::Mismatch { what: "rows of features", expected: cells.len(), found: features.rows() });
    }
    if probes.is_empty() {
        return Err(ProbeError::Empty { what: "the list of probes".to_owned() });
    }
    let classes = cells.classes().names().len();
    let empty = |&probe: &Probe| Predictions::empty(probe, cells.len(), classes);
    let mut predictions: Vec<Predictions> = probes.iter().map(empty).collect();
    for fold in 0..cells.folds().len() {
        let (train_rows, test_rows) = (cells.rows(|f| f != fold), cells.rows(|f| f == fold));
        let (train, test) = (features.select(&train_rows), features.select(&test_rows));
        let labels: Vec<u32> = train_rows.iter().map(|&row| cells.classes.of_row()[row]).collect();
        let groups: Vec<usize> = train_rows.iter().map(|&row| cells.group_of_row[row]).collect();
        // One search serves all numbers of neighbours.
        let most = probes.iter().map(|probe| probe.neighbours).max().filter(|most| *most > 0);
        let neighbours = most.map(|k| knn::neighbours(&train, &test, k)).transpose()?;
        let neighbours = neighbours.as_ref();
        let of_fold = Fold { train: &train, labels: &labels, groups: &groups, test: &test, classes, neighbours };
        for of_probe in &mut predictions {
            let predicted = (of_probe.probe.predict)(&of_probe.probe, &of_fold)?;
            of_probe.take(&test_rows, predicted, classes);
        }
    }
    Ok(Evaluation { cells: Arc::clone(cells), predictions })
}

impl Evaluation {
    /// The cells that are evaluated.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// What each probe predicted, in the order in which they were asked for.
    pub fn predictions(&self) -> &[Predictions] {
        &self.predictions
    }

    /// The predicted class of each cell; `None` for a probe that was not run.
    pub fn predicted(&self, probe: Probe) -> Option<&[u32]> {
        self.of(probe).ok().map(|p| p.of_row.as_slice())
    }

    /// Confusion matrix of all cells together.
    ///
    /// # Errors
    /// [`ProbeError::Empty`] for a probe that was not run.
    pub fn confusion(&self, probe: Probe) -> Result<Confusion, ProbeError> {
        Ok(Confusion::new(self.cells.classes.names().len(), self.cells.classes.of_row(), &self.of(probe)?.of_row))
    }

    /// Mean and standard deviation (ddof 1) of a metric over the folds.
    ///
    /// # Errors
    /// [`ProbeError::Empty`] for a probe that was not run.
    pub fn summary(&self, probe: Probe, metric: Metric) -> Result<Summary, ProbeError> {
        let values: Vec<f64> = self.per_fold(self.of(probe)?).iter().map(|c| c.score(metric)).collect();
        stats::summary(&values).ok_or_else(|| ProbeError::Empty { what: "the split".to_owned() })
    }

    /// Percentile bootstrap interval of the mean over folds, groups resampled within their fold. It covers other images,
    /// not another training run.
    ///
    /// # Errors
    /// [`ProbeError::Empty`] for a probe that was not run, [`ProbeError::Statistics`] for options out of range.
    pub fn interval(&self, probe: Probe, metric: Metric, options: &Bootstrap) -> Result<Interval, ProbeError> {
        let tally = Tally::new(&self.cells, self.of(probe)?);
        Ok(options.interval(&self.cells.groups_per_fold, |drawn| tally.mean_over_folds(metric, drawn))?)
    }

    /// Difference of the means over folds (this minus `other`) and its interval, both drawn on the same groups.
    ///
    /// # Errors
    /// [`ProbeError::NotPaired`] unless both are evaluations of the same cells and folds; else as [`Self::interval`].
    pub fn paired_difference(
        &self,
        other: &Self,
        probe: Probe,
        metric: Metric,
        options: &Bootstrap,
    ) -> Result<(f64, Interval), ProbeError> {
        if self.cells != other.cells {
            return Err(ProbeError::NotPaired { what: "cells, labels, groups or folds" });
        }
        let here = Tally::new(&self.cells, self.of(probe)?);
        let there = Tally::new(&other.cells, other.of(probe)?);
        let difference = |drawn: &[u32]| here.mean_over_folds(metric, drawn) - there.mean_over_folds(metric, drawn);
        let once = vec![1; self.cells.groups()];
        Ok((difference(&once), options.interval(&self.cells.groups_per_fold, difference)?))
    }

    fn of(&self, probe: Probe) -> Result<&Predictions, ProbeError> {
        let found = self.predictions.iter().find(|p| p.probe == probe);
        found.ok_or_else(|| ProbeError::Empty { what: format!("the evaluation for probe {}", probe.name) })
    }

    fn per_fold(&self, predictions: &Predictions) -> Vec<Confusion> {
        let mut folds = vec![Confusion::empty(self.cells.classes.names().len()); self.cells.folds().len()];
        for (row, &predicted) in predictions.of_row.iter().enumerate() {
            folds[self.cells.folds.of_row()[row] as usize].add(self.cells.classes.of_row()[row], predicted, 1);
        }
        folds
    }
}

/// How often each (truth, prediction) occurs in each group: all that a resample needs.
struct Tally<'a> {
    cells: &'a Cells,
    /// Counts of (truth, prediction) for each group, in the order of the groups.
    pairs: Vec<BTreeMap<(u32, u32), u64>>,
}

impl<'a> Tally<'a> {
    fn new(cells: &'a Cells, predictions: &Predictions) -> Self {
        let mut pairs = vec![BTreeMap::new(); cells.groups()];
        for (row, &predicted) in predictions.of_row.iter().enumerate() {
            *pairs[cells.group_of_row[row]].entry((cells.classes.of_row()[row], predicted)).or_insert(0) += 1;
        }
        Self { cells, pairs }
    }

    /// The mean over folds of `metric`, each group counted as often as drawn.
    fn mean_over_folds(&self, metric: Metric, drawn: &[u32]) -> f64 {
        let (mut sum, mut first) = (0.0, 0);
        for &groups in &self.cells.groups_per_fold {
            let mut confusion = Confusion::empty(self.cells.classes.names().len());
            let range = first..first + groups;
            for (pairs, &times) in self.pairs[range.clone()].iter().zip(&drawn[range]) {
                for (&(truth, predicted), &count) in pairs {
                    confusion.add(truth, predicted, count * u64::from(times));
                }
            }
            sum += confusion.score(metric);
            first += groups;
        }
        sum / self.cells.groups_per_fold.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    /// 12 groups of 10 cells in 3 folds; class `i % 3`; features whose class signal has strength `signal`.
    fn setting(signal: f64) -> (Arc<Cells>, Features) {
        let labels: Vec<String> = (0..120).map(|i| format!("class {}", i % 3)).collect();
        let groups: Vec<String> = (0..120).map(|i| format!("image {}", i / 10)).collect();
        let folds: Vec<String> = (0..120).map(|i| format!("fold {}", (i / 10) % 3)).collect();
        let mut draws = stream(4, "test", &[]);
        let data = (0..120).flat_map(|i| (0..4).map(move |j| if i % 3 == j { signal } else { 0.0 }));
        let data = data.map(|v| (v + draws.normal()) as f32).collect();
        (Arc::new(Cells::new(&labels, &groups, &folds).unwrap()), Features::new(4, data).unwrap())
    }

    const PROBES: [Probe; 3] = Probe::PUBLISHED;
    const QUICK: Bootstrap = Bootstrap { resamples: 300, level: 0.95, seed: 1 };

    #[test]
    fn a_group_in_two_folds_is_refused() {
        let error = Cells::new(&["a", "b", "a"], &["g", "h", "g"], &["0", "0", "1"]).unwrap_err();
        assert_eq!(error.to_string(), "group \"g\" lies in fold \"0\" and in fold \"1\"; make the split by group");
        assert!(matches!(Cells::new(&["a", "b"], &["g", "h"], &["0", "0"]), Err(ProbeError::Empty { .. })));
        let one_class = Cells::new(&["a", "b", "b"], &["g", "h", "i"], &["0", "1", "1"]).unwrap_err();
        assert!(one_class.to_string().contains("fold \"0\" hold only class \"b\""), "{one_class}");
    }

    #[test]
    fn every_cell_is_predicted_by_a_fit_that_did_not_see_its_fold() {
        // Features that name the cell's own fold would let a leaking fit score 1; here the folds' labels disagree.
        let labels = ["a", "b", "b", "a", "a", "b"];
        let folds = ["0", "0", "1", "1", "2", "2"];
        let groups = ["g0", "g1", "g2", "g3", "g4", "g5"];
        let cells = Arc::new(Cells::new(&labels, &groups, &folds).unwrap());
        let features = Features::new(1, vec![0.0, 10.0, 0.1, 10.1, 0.2, 10.2]).unwrap();
        let evaluation = evaluate(&cells, &features, &[Probe::ONE_NEAREST]).unwrap();
        assert_eq!(evaluation.predicted(Probe::ONE_NEAREST).unwrap(), [1, 0, 0, 1, 1, 0]);
    }

    #[test]
    fn scores_are_those_of_each_fold_and_their_mean_is_the_summary() {
        let (cells, features) = setting(2.0);
        let evaluation = evaluate(&cells, &features, &PROBES).unwrap();
        assert_eq!((cells.fold_sizes(), evaluation.predictions().len()), (vec![40; 3], 3));
        let of_linear = &evaluation.predictions()[0];
        assert!(of_linear.fits.iter().all(|fit| fit.note.is_empty() && fit.c == Some(0.12) && fit.optimum.is_none()));
        let linear: Vec<f64> = evaluation.per_fold(of_linear).iter().map(|c| c.score(Metric::WeightedF1)).collect();
        let summary = evaluation.summary(Probe::LINEAR, Metric::WeightedF1).unwrap();
        assert_eq!((summary.n, summary.mean), (3, linear.iter().sum::<f64>() / 3.0));
        assert!(summary.mean > 0.6, "{summary:?}");
        assert!(evaluation.summary(Probe { name: "5nn", ..Probe::ONE_NEAREST }, Metric::Accuracy).is_err());
        let interval = evaluation.interval(Probe::LINEAR, Metric::WeightedF1, &QUICK).unwrap();
        assert!(interval.lo < summary.mean && summary.mean < interval.hi, "{interval:?}");
        assert_eq!(interval, evaluation.interval(Probe::LINEAR, Metric::WeightedF1, &QUICK).unwrap());
    }

    #[test]
    fn the_standardised_probe_is_offered_like_any_other() {
        let (cells, features) = setting(2.0);
        let evaluation = evaluate(&cells, &features, &[Probe::LINEAR_STANDARDISED]).unwrap();
        assert_eq!(evaluation.predictions()[0].probe.name, "linear_standardised");
        // What a factor on a feature changes for a fixed C it must not change here.
        let wide = features.data().iter().enumerate().map(|(i, v)| if i % 4 == 0 { 64.0 * v } else { *v }).collect();
        let wide = evaluate(&cells, &Features::new(4, wide).unwrap(), &[Probe::LINEAR_STANDARDISED]).unwrap();
        assert_eq!(evaluation, wide);
    }

    #[test]
    fn linear_probes_give_probabilities_and_the_largest_is_of_the_predicted_class() {
        let (cells, features) = setting(2.0);
        let evaluation = evaluate(&cells, &features, &Probe::ALL).unwrap();
        for of in evaluation.predictions() {
            assert_eq!(of.probe.probabilities, of.probe.neighbours == 0);
            let Some(probabilities) = &of.probabilities else { continue };
            for (row, &class) in probabilities.chunks_exact(3).zip(&of.of_row) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
                assert!(row.iter().all(|&p| p <= row[class as usize]), "{row:?} {class}");
            }
        }
    }

    #[test]
    fn measuring_the_optimum_changes_nothing_but_the_distance() {
        let (cells, features) = setting(2.0);
        let plain = evaluate(&cells, &features, &[Probe::LINEAR]).unwrap();
        let measured = evaluate(&cells, &features, &[Probe::LINEAR_WITH_OPTIMUM]).unwrap();
        let (plain, measured) = (&plain.predictions()[0], &measured.predictions()[0]);
        assert_eq!((&plain.of_row, &plain.probabilities), (&measured.of_row, &measured.probabilities));
        for (plain, measured) in plain.fits.iter().zip(&measured.fits) {
            let distance = measured.optimum.unwrap();
            assert!(distance.objective < 1e-3 && distance.predictions < 0.1, "{distance:?}");
            assert_eq!(&Fit { optimum: None, ..measured.clone() }, plain);
        }
    }

    #[test]
    fn paired_differences_use_the_same_groups() {
        let (cells, features) = setting(2.0);
        let good = evaluate(&cells, &features, &PROBES).unwrap();
        let (value, interval) = good.paired_difference(&good, Probe::LINEAR, Metric::Accuracy, &QUICK).unwrap();
        assert_eq!((value, interval.lo, interval.hi), (0.0, 0.0, 0.0));
        let bad = evaluate(&cells, &setting(0.0).1, &PROBES).unwrap();
        let (value, interval) = good.paired_difference(&bad, Probe::LINEAR, Metric::Accuracy, &QUICK).unwrap();
        assert!(value > 0.2 && interval.lo > 0.0, "{value} {interval:?}");
        let mean = |e: &Evaluation| e.summary(Probe::LINEAR, Metric::Accuracy).unwrap().mean;
        assert!((value - (mean(&good) - mean(&bad))).abs() < 1e-12);
    }

    #[test]
    fn evaluations_of_other_cells_are_not_compared() {
        let (cells, features) = setting(1.0);
        let labels: Vec<String> = (0..120).map(|i| format!("class {}", i % 2)).collect();
        let groups: Vec<usize> = (0..120).map(|i| i / 10).collect();
        let groups: Vec<String> = groups.iter().map(usize::to_string).collect();
        let folds: Vec<String> = (0..120).map(|i| format!("{}", (i / 10) % 3)).collect();
        let others = Arc::new(Cells::new(&labels, &groups, &folds).unwrap());
        let here = evaluate(&cells, &features, &PROBES[1..2]).unwrap();
        let there = evaluate(&others, &features, &PROBES[1..2]).unwrap();
        let error = here.paired_difference(&there, PROBES[1], Metric::Accuracy, &QUICK).unwrap_err();
        assert!(matches!(error, ProbeError::NotPaired { .. }));
    }

    #[test]
    fn a_fold_with_too_few_training_rows_is_named() {
        let cells = Arc::new(Cells::new(&["a", "b", "a", "b"], &["0", "1", "2", "3"], &["x", "x", "y", "y"]).unwrap());
        let features = Features::new(1, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        let error = evaluate(&cells, &features, &PROBES).unwrap_err().to_string();
        assert_eq!(
            error,
            "20 neighbours were asked for, but there are 2 training rows; use a smaller k or larger folds"
        );
    }
}
