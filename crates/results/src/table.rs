//! The comparison: arms against a reference arm, one line per data set, split, metric, probe and arm.
//!
//! Pairs are the (seed, fold) that both arms have, since arms of a sweep share data order, initial weights and views:
//! what differs within a pair is the ablation. Folds of one seed share training images and one trained model, so with
//! two seeds or more the differences are first averaged over the folds of each seed, and the t interval runs over seeds;
//! with one seed it runs over folds, and the table says so. Holm's correction runs over the arms of one comparison.
//! Trials without scores are listed. Baselines (features other than the teacher's) stand below the arms.

mod compare;

use std::collections::{BTreeMap, BTreeSet};

use compare::{Comparison, compare};
use run_spec::ids::Seed;

use crate::ResultsError;
use crate::row::{ResultRow, TEACHER, UnscoredTrial};
use crate::stats::{self, Interval};

/// What the t interval of a difference counts as one observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Seeds if at least two are common to both arms, else folds.
    #[default]
    Auto,
    /// The mean over the common folds of one seed.
    Seed,
    /// One (seed, fold) pair.
    Fold,
}

impl Unit {
    /// The unit in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Auto => "seeds, or folds where there is one seed",
            Self::Seed => "seeds",
            Self::Fold => "(seed, fold) pairs",
        }
    }
}

/// What to compare, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct TableOptions {
    /// Title of the table.
    pub title: String,
    /// The arm that others are compared with; `None` for no differences.
    pub reference: Option<String>,
    /// Arms in the order wanted; arms not named follow in alphabetical order.
    pub arms: Vec<String>,
    /// Confidence level of the intervals, 0.95 for 95 %.
    pub level: f64,
    /// What counts as one observation.
    pub unit: Unit,
    /// False for a smoke test: the table then says first that it is no evidence.
    pub evidence: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            title: "Results".to_owned(),
            reference: None,
            arms: Vec::new(),
            level: 0.95,
            unit: Unit::Auto,
            evidence: true,
        }
    }
}

/// The sentence at the head of a smoke test's table.
pub const SMOKE_TEST: &str = "SMOKE TEST, NO EVIDENCE: this table shows that the programs work end to end. \
    Its runs are far too short and too few to say anything about the arms.";

/// A comparison of arms. Made by [`Table::build`], written by [`crate::render`].
///
/// # Examples
///
/// Two arms with three seeds each, compared with the arm `base`:
///
/// ```
/// # use results::{ResultRow, TEACHER};
/// # use run_spec::ids::{Digest, Seed, Step};
/// use results::ResultsError;
/// use results::table::{Table, TableOptions};
///
/// # let row = |arm: &str, seed: u64, value: f64| ResultRow {
/// #     run: format!("{arm}-{seed}"),
/// #     trial: Digest::of(arm.as_bytes()),
/// #     seed: Seed::new(seed),
/// #     arm: arm.to_owned(),
/// #     features: TEACHER.to_owned(),
/// #     step: Step::new(100),
/// #     config: Digest::of(b"config"),
/// #     shards_train: Digest::of(b"train"),
/// #     shards_eval: Digest::of(b"eval"),
/// #     init_weights: None,
/// #     code: "0.1.0".to_owned(),
/// #     code_probe: None,
/// #     dataset: "smears".to_owned(),
/// #     split: "patients".to_owned(),
/// #     split_digest: None,
/// #     fold: "0".to_owned(),
/// #     probe: "linear".to_owned(),
/// #     metric: "accuracy".to_owned(),
/// #     class: None,
/// #     value,
/// #     n: 100,
/// #     n_train: 400,
/// #     device: "CPU".to_owned(),
/// #     hours: 0.5,
/// #     kwh: None,
/// #     transductive: None,
/// #     note: String::new(),
/// # };
/// // `row` makes a `ResultRow` of an arm, a seed and an accuracy.
/// let rows = [
///     row("base", 0, 0.80),
///     row("base", 1, 0.81),
///     row("base", 2, 0.82),
///     row("larger", 0, 0.83),
///     row("larger", 1, 0.85),
///     row("larger", 2, 0.84),
/// ];
/// let options = TableOptions { reference: Some("base".to_owned()), ..TableOptions::default() };
/// let table = Table::build(&rows, &[], &options)?;
///
/// let larger = table.lines.iter().find(|line| line.arm == "larger").unwrap();
/// assert_eq!((larger.seeds, larger.n), (3, 3));
/// let difference = larger.difference.unwrap();
/// assert!((difference.mean - 0.03).abs() < 1e-9);
/// assert!(difference.interval.is_some_and(|interval| interval.lo > 0.0));
/// # Ok::<(), ResultsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Title of the table, shown above it.
    pub title: String,
    /// Name of the arm that the others are compared with; `None` where there is no comparison.
    pub reference: Option<String>,
    /// Confidence level of the intervals.
    pub level: f64,
    /// False for a smoke test.
    pub evidence: bool,
    /// The lines, sorted by data set, split, metric, probe; then arms in order, the baselines last.
    pub lines: Vec<Line>,
    /// Trials without scores, by arm and seed.
    pub unscored: Vec<UnscoredTrial>,
}

/// One arm (or baseline) under one probe and metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Data set evaluated on.
    pub dataset: String,
    /// Split of the data set.
    pub split: String,
    /// Name of the metric, as in the rows.
    pub metric: String,
    /// Name of the probe, as in the rows.
    pub probe: String,
    /// Arm, or empty for a baseline that all arms share.
    pub arm: String,
    /// [`TEACHER`] for an arm, else the name of the baseline.
    pub features: String,
    /// Scores summarised: seeds × folds.
    pub n: usize,
    /// Number of different seeds among the scores.
    pub seeds: usize,
    /// Mean of the scores, in the metric's unit.
    pub mean: f64,
    /// Standard deviation of the scores, ddof 1; `None` for one score.
    pub std: Option<f64>,
    /// Difference to the reference arm; `None` for the reference itself and where no pair is common.
    pub difference: Option<Difference>,
    /// Device hours of the trials behind the line.
    pub hours: f64,
    /// Energy of those trials in kWh; `None` unless all were measured.
    pub kwh: Option<f64>,
    /// Distinct notes of the rows.
    pub notes: Vec<String>,
    /// The scores themselves as (seed, fold, value), for figures.
    pub scores: Vec<(Seed, String, f64)>,
}

impl Line {
    /// Name of the line: the arm, or the baseline with its arm where arms have different ones.
    pub fn name(&self) -> String {
        match (self.features.as_str(), self.arm.as_str()) {
            (TEACHER, arm) => arm.to_owned(),
            (baseline, "") => format!("baseline: {baseline}"),
            (baseline, arm) => format!("baseline: {baseline} ({arm})"),
        }
    }

    /// True for features other than a trained teacher's.
    pub fn is_baseline(&self) -> bool {
        self.features != TEACHER
    }
}

/// A paired difference: this line minus the reference arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// (seed, fold) pairs that both have.
    pub pairs: usize,
    /// Observations of the t interval.
    pub units: usize,
    /// What an observation is: [`Unit::Seed`] or [`Unit::Fold`].
    pub unit: Unit,
    /// Mean difference over the observations.
    pub mean: f64,
    /// t interval; `None` for a single observation.
    pub interval: Option<Interval>,
    /// Two-sided p of the paired t test.
    pub p: Option<f64>,
    /// The same after Holm's correction over the arms of this comparison; `None` for baselines.
    pub p_holm: Option<f64>,
}

impl Table {
    /// Folds `rows` into a table. Of several checkpoints of one trial the last one counts; the same row twice (an
    /// attempt that was repeated) counts once.
    ///
    /// # Errors
    /// [`ResultsError::Empty`] if there are neither rows nor trials without scores, [`ResultsError::NoReference`] for a reference arm
    /// without rows, [`ResultsError::Conflict`] where two rows of one arm, seed, fold, probe and metric disagree,
    /// [`ResultsError::Option`] for a level outside (0, 1).
    pub fn build(rows: &[ResultRow], unscored: &[UnscoredTrial], options: &TableOptions) -> Result<Self, ResultsError> {
        stats::verify_level(options.level)?;
        for row in rows {
            row.verify()?;
        }
        if rows.is_empty() && unscored.is_empty() {
            return Err(ResultsError::Empty { what: options.title.clone() });
        }
        if let Some(reference) = &options.reference {
            verify_reference(reference, rows, unscored)?;
        }
        let mut lines = Vec::new();
        for (comparison, rows) in by_comparison(&last_steps(rows)) {
            lines.extend(compare(comparison, &rows, options)?);
        }
        let mut unscored = unscored.to_vec();
        unscored.sort_by(|a, b| (&a.arm, a.seed).cmp(&(&b.arm, b.seed)));
        Ok(Self {
            title: options.title.clone(),
            reference: options.reference.clone(),
            level: options.level,
            evidence: options.evidence,
            lines,
            unscored,
        })
    }

    /// The lines of one data set, split, metric and probe, in the table's order.
    pub fn comparison(&self, dataset: &str, split: &str, metric: &str, probe: &str) -> Vec<&Line> {
        let wanted = (dataset, split, metric, probe);
        self.lines.iter().filter(|l| (&*l.dataset, &*l.split, &*l.metric, &*l.probe) == wanted).collect()
    }

    /// The sentences a reader needs to read the numbers right, the smoke-test warning first.
    pub fn captions(&self) -> Vec<String> {
        let mut captions = Vec::new();
        if !self.evidence {
            captions.push(SMOKE_TEST.to_owned());
        }
        captions.push("n: scores (seeds × folds); mean ± standard deviation (ddof 1) over them.".to_owned());
        if let Some(reference) = &self.reference {
            let units: BTreeSet<_> = self.lines.iter().filter_map(|l| l.difference).map(|d| d.unit.words()).collect();
            let units = units.into_iter().collect::<Vec<_>>().join(" or ");
            captions.push(format!(
                "Difference: to arm `{reference}`, paired over common (seed, fold), with the {:.0} % t interval over \
                 {}; p: paired t test, Holm-corrected over the arms of one comparison.",
                100.0 * self.level,
                if units.is_empty() { Unit::Auto.words().to_owned() } else { units },
            ));
            if self.lines.iter().filter_map(|l| l.difference).any(|d| d.unit == Unit::Seed && d.units == 2) {
                captions.push(
                    "Two seeds leave one degree of freedom: such an interval is mostly far too wide and now and then far too narrow."
                        .to_owned(),
                );
            }
            if self.lines.iter().filter_map(|l| l.difference).any(|d| d.unit == Unit::Fold) {
                captions.push(
                    "Folds share training images and one trained model: an interval over folds does not cover another seed."
                        .to_owned(),
                );
            }
        }
        captions
    }
}

fn verify_reference(reference: &str, rows: &[ResultRow], unscored: &[UnscoredTrial]) -> Result<(), ResultsError> {
    let arms: BTreeSet<&str> = rows.iter().filter(|r| r.features == TEACHER).map(|r| r.arm.as_str()).collect();
    // A reference whose trials all failed leaves a table without differences, with the failure listed.
    if arms.contains(reference) || unscored.iter().any(|trial| trial.arm == reference) {
        return Ok(());
    }
    let arms = arms.into_iter().collect::<Vec<_>>().join(", ");
    Err(ResultsError::NoReference { reference: reference.to_owned(), arms })
}

/// The rows of the last checkpoint of each trial.
fn last_steps(rows: &[ResultRow]) -> Vec<&ResultRow> {
    fn trial(r: &ResultRow) -> (&str, &str, Seed, &str, &str) {
        (&r.arm, &r.features, r.seed, &r.dataset, &r.split)
    }
    let mut last = BTreeMap::new();
    for row in rows {
        let step = last.entry(trial(row)).or_insert(row.step);
        *step = (*step).max(row.step);
    }
    rows.iter().filter(|r| r.is_score() && last[&trial(r)] == r.step).collect()
}

fn by_comparison<'a>(rows: &[&'a ResultRow]) -> BTreeMap<Comparison<'a>, Vec<&'a ResultRow>> {
    let mut comparisons: BTreeMap<Comparison<'a>, Vec<&'a ResultRow>> = BTreeMap::new();
    for row in rows {
        let key = (row.dataset.as_str(), row.split.as_str(), row.metric.as_str(), row.probe.as_str());
        comparisons.entry(key).or_default().push(row);
    }
    comparisons
}

#[cfg(test)]
mod tests;
