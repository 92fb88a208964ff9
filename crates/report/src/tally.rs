//! Confusions, sources, coverage and mistakes, counted from the predictions of one probe on one evaluation set.

mod map;
mod mistakes;

use std::collections::{BTreeMap, BTreeSet};

use results::predictions::SeenCell;
use results::stats::score::{ClassCounts, Metric};

use crate::data::{COVERAGE, Chart, ChartKind, Confusion, ConfusionOfArm, Kind, PerSource, Series, SourceScores};
use crate::methods::Size;
use mistakes::OfCell;

/// Shares of the cells at which errors are read from the surest ones.
const COVERAGES: usize = 20;

/// Counts of all trials. Trials are added one after the other and cells in one order, so that no more than one trial's
/// predictions are held.
#[derive(Debug, Clone)]
pub struct Tally {
    classes: Vec<String>,
    metric: Metric,
    places: Vec<Place>,
    /// What the first trial of the reference predicted.
    predicted: Vec<u32>,
    arms: Vec<OfArm>,
}

/// Where a cell comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    source: String,
    group: String,
    fold: String,
    truth: usize,
}

/// What is known of one arm or baseline.
#[derive(Debug, Clone)]
struct OfArm {
    name: String,
    kind: Kind,
    trials: usize,
    /// `[truth][predicted]` row-major, summed over trials.
    confusion: Vec<u64>,
    /// Sum over trials of the score of each source.
    sources: BTreeMap<String, f64>,
    /// Sum over trials of the error among the surest cells.
    risk: Option<Vec<f64>>,
    cells: Vec<OfCell>,
}

/// One trial while its cells are seen.
#[derive(Debug)]
struct Trial {
    /// Matrices by source and fold.
    matrices: BTreeMap<(String, String), Vec<u64>>,
    /// Probability of the predicted class, and whether it is right.
    sure: Vec<(f32, bool)>,
    number: usize,
}

impl Tally {
    /// A tally for predictions among `classes`, scored by `metric`.
    pub fn new(classes: Vec<String>, metric: Metric) -> Self {
        Self { classes, metric, places: Vec::new(), predicted: Vec::new(), arms: Vec::new() }
    }

    /// Adds a trial of the arm or baseline `name`. `cells` shows its cells, in the order of the evaluation set.
    ///
    /// # Errors
    /// Those of `cells`.
    pub fn add<E>(
        &mut self,
        (name, kind): (&str, Kind),
        cells: impl FnOnce(&mut dyn FnMut(SeenCell<'_>)) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = self.arm(name, kind);
        let mut trial = Trial { matrices: BTreeMap::new(), sure: Vec::new(), number: 0 };
        cells(&mut |seen| self.see(at, &mut trial, seen))?;
        self.finish(at, trial);
        Ok(())
    }

    fn arm(&mut self, name: &str, kind: Kind) -> usize {
        let found = self.arms.iter().position(|arm| arm.name == name);
        found.unwrap_or_else(|| {
            let (name, confusion) = (name.to_owned(), vec![0; self.classes.len().pow(2)]);
            let (sources, cells) = (BTreeMap::new(), Vec::new());
            self.arms.push(OfArm { name, kind, trials: 0, confusion, sources, risk: None, cells });
            self.arms.len() - 1
        })
    }

    fn see(&mut self, at: usize, trial: &mut Trial, seen: SeenCell<'_>) {
        let (classes, number) = (self.classes.len(), trial.number);
        trial.number += 1;
        let place = (seen.source.to_owned(), seen.fold.to_owned());
        let matrix = trial.matrices.entry(place).or_insert_with(|| vec![0; classes * classes]);
        matrix[seen.truth * classes + seen.predicted] += 1;
        trial.sure.extend(seen.probability.map(|probability| (probability, seen.truth == seen.predicted)));
        if number >= self.places.len() {
            let [source, group, fold] = [seen.source, seen.group, seen.fold].map(str::to_owned);
            self.places.push(Place { source, group, fold, truth: seen.truth });
        }
        if self.arms[at].kind == Kind::Reference && self.arms[at].trials == 0 {
            self.predicted.push(seen.predicted as u32);
        }
        // Pictures of baselines' mistakes say nothing about training.
        if self.arms[at].kind != Kind::Baseline {
            mistakes::note(&mut self.arms[at].cells, number, &seen);
        }
    }

    fn finish(&mut self, at: usize, mut trial: Trial) {
        let (classes, metric, arm) = (self.classes.len(), self.metric, &mut self.arms[at]);
        arm.trials += 1;
        let mut of_source: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for ((source, _), matrix) in trial.matrices {
            arm.confusion.iter_mut().zip(&matrix).for_each(|(sum, count)| *sum += count);
            of_source.entry(source).or_default().push(metric.of(class_counts(&matrix, classes).into_iter()));
        }
        for (source, folds) in of_source {
            *arm.sources.entry(source).or_default() += folds.iter().sum::<f64>() / folds.len() as f64;
        }
        if trial.sure.len() == trial.number && trial.number > 0 {
            let sums = arm.risk.get_or_insert_with(|| vec![0.0; COVERAGES]);
            sums.iter_mut().zip(risks(&mut trial.sure)).for_each(|(sum, risk)| *sum += risk);
        }
    }

    /// What each arm took for what; `None` without predictions.
    pub fn confusion(&self) -> Option<Confusion> {
        let arms = self.arms.iter().map(|arm| ConfusionOfArm {
            name: arm.name.clone(),
            kind: arm.kind,
            counts: arm.confusion.chunks(self.classes.len()).map(<[u64]>::to_vec).collect(),
        });
        (!self.arms.is_empty()).then(|| Confusion { classes: self.classes.clone(), arms: arms.collect() })
    }

    /// Names of the sources of the cells, sorted.
    pub fn sources(&self) -> BTreeSet<&str> {
        self.places.iter().map(|place| place.source.as_str()).collect()
    }

    /// How large the evaluation set is.
    pub fn size(&self) -> Size {
        let groups: BTreeSet<(&str, &str)> = self.places.iter().map(|place| (&*place.source, &*place.group)).collect();
        Size {
            classes: self.classes.len(),
            cells: self.places.len(),
            sources: self.sources().len(),
            groups: groups.len(),
        }
    }

    /// The score of each source; `None` where there are fewer than two.
    pub fn per_source(&self) -> Option<PerSource> {
        let mut cells: BTreeMap<&str, u64> = BTreeMap::new();
        self.places.iter().for_each(|place| *cells.entry(&place.source).or_default() += 1);
        let score = |arm: &OfArm, source: &str| arm.sources.get(source).copied().unwrap_or(0.0) / arm.trials as f64;
        let arms = self.arms.iter().map(|arm| SourceScores {
            name: arm.name.clone(),
            kind: arm.kind,
            scores: cells.keys().map(|source| score(arm, source)).collect(),
        });
        (cells.len() > 1).then(|| PerSource {
            sources: cells.keys().map(|&source| source.to_owned()).collect(),
            cells: cells.values().copied().collect(),
            arms: arms.collect(),
        })
    }

    /// Errors among the surest cells, as a chart of the evaluation set `set`; `None` where the probe gives no probabilities.
    pub fn coverage(&self, set: &str) -> Option<Chart> {
        let series: Vec<Series> = self
            .arms
            .iter()
            .filter_map(|arm| Some((arm, arm.risk.as_ref()?)))
            .map(|(arm, risk)| Series {
                name: arm.name.clone(),
                detail: None,
                x: (1..=COVERAGES).map(coverage).collect(),
                y: risk.iter().map(|sum| Some(rounded(sum / arm.trials as f64))).collect(),
                lo: None,
                hi: None,
            })
            .collect();
        (!series.is_empty()).then(|| Chart {
            group: COVERAGE.to_owned(),
            title: set.to_owned(),
            how: "the primary probe keeps only the cells of which it is most certain; the vertical axis is the share of wrong predictions among \
            them, mean over seeds. If the curve falls towards the left, the answers with the highest confidence are more often correct."
                .to_owned(),
            kind: ChartKind::Line,
            x: "share of the cells kept".to_owned(),
            y: "share wrong".to_owned(),
            log_x: false,
            series,
        })
    }
}

/// Counts of each class from a matrix `[truth][predicted]`.
fn class_counts(matrix: &[u64], classes: usize) -> Vec<ClassCounts> {
    let of_class = |class: usize| ClassCounts {
        support: matrix[class * classes..(class + 1) * classes].iter().sum(),
        predicted: (0..classes).map(|truth| matrix[truth * classes + class]).sum(),
        correct: matrix[class * classes + class],
    };
    (0..classes).map(of_class).collect()
}

fn coverage(step: usize) -> f64 {
    step as f64 / COVERAGES as f64
}

/// Share of wrong predictions among the surest twentieth, tenth, … of the cells.
fn risks(sure: &mut [(f32, bool)]) -> Vec<f64> {
    sure.sort_by(|a, b| b.0.total_cmp(&a.0));
    let kept = |step: usize| ((coverage(step) * sure.len() as f64).ceil() as usize).max(1);
    let wrong = |kept: usize| sure[..kept].iter().filter(|(_, is_right)| !is_right).count();
    (1..=COVERAGES).map(kept).map(|kept| wrong(kept) as f64 / kept as f64).collect()
}

/// Five digits are more than a picture shows.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(4 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Adds a trial of `arm` whose cells are (source, fold, truth, predicted, probability).
    fn add(tally: &mut Tally, arm: (&str, Kind), cells: &[(&str, &str, usize, usize, f32)]) {
        let shown: Result<(), Infallible> = tally.add(arm, |see| {
            for &(source, fold, truth, predicted, probability) in cells {
                see(SeenCell { source, fold, group: "slide 1", truth, predicted, probability: Some(probability) });
            }
            Ok(())
        });
        assert_eq!(shown, Ok(()));
    }

    fn two_arms() -> Tally {
        let mut tally = Tally::new(vec!["a".into(), "b".into()], Metric::Accuracy);
        let base = [("x", "0", 0, 0, 0.9), ("x", "1", 1, 0, 0.8), ("x", "1", 1, 1, 0.6), ("y", "0", 1, 1, 0.7)];
        add(&mut tally, ("base", Kind::Reference), &base);
        add(&mut tally, ("base", Kind::Reference), &base);
        add(
            &mut tally,
            ("other", Kind::Arm),
            &base.map(|(source, fold, truth, _, sure)| (source, fold, truth, 1, sure)),
        );
        tally
    }

    #[test]
    fn confusions_add_up_over_seeds() {
        let confusion = two_arms().confusion().unwrap();
        assert_eq!(confusion.arms[0].counts, [[2, 0], [2, 4]]);
        assert_eq!(confusion.arms[1].counts, [[0, 1], [0, 3]]);
        assert_eq!(Tally::new(vec!["a".into()], Metric::Accuracy).confusion(), None);
    }

    #[test]
    fn a_source_scores_the_mean_of_its_folds() {
        let sources = two_arms().per_source().unwrap();
        assert_eq!(
            (sources.sources.as_slice(), sources.cells.as_slice()),
            (["x".to_owned(), "y".to_owned()].as_slice(), [3, 1].as_slice())
        );
        // Fold 0 is right, of fold 1 one half is.
        assert_eq!(sources.arms[0].scores, [0.75, 1.0]);
        assert_eq!(sources.arms[1].scores, [0.5, 1.0]);
    }

    #[test]
    fn the_surest_cells_are_kept_longest() {
        let chart = two_arms().coverage("cells").unwrap();
        let base: Vec<f64> = chart.series[0].y.iter().flatten().copied().collect();
        // The surest cell is right, the second wrong, the others right.
        assert_eq!((base[4], base[9], base[19]), (0.0, 0.5, 0.25));
        assert_eq!(chart.series[1].y[0], Some(1.0));
    }

    #[test]
    fn numbers_keep_five_digits() {
        assert_eq!([123_456.7, -0.000_123_456_7, 0.0, 2.0].map(rounded), [123_460.0, -0.000_123_46, 0.0, 2.0]);
    }
}
