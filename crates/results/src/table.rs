//! The comparison: arms against a reference arm, one line per data set, split, metric, probe and arm.
//!
//! Pairs are the seeds that both arms have, since arms of a sweep share data order, initial weights and views: what differs within
//! a pair is the ablation. Estimates come from counted predictions ([`Evaluated`]); where an older version kept none of the reference, a
//! comparison has what rows give and says what is missing. Verdicts are about the primary probe and metric of each evaluation set, as one
//! family ([`crate::stats::verdict`]). Trials without scores are listed. Baselines (features other than the teacher's) stand below
//! the arms.

mod captions;
mod classes;
mod compare;
mod evaluated;
mod judge;
mod line;
mod measured;
mod published;

use std::collections::{BTreeMap, BTreeSet};

use compare::{Comparison, compare};
use run_spec::ids::Seed;

use crate::ResultsError;
use crate::measures::Primary;
use crate::row::{PROBE_OF_FEATURES, ResultRow, TEACHER, UnscoredTrial};
use crate::stats::verdict::Rules;

pub use classes::ClassLine;
pub use evaluated::Evaluated;
pub use line::{Difference, Judged, LeftOut, Line, Missing, SourcesDifference, line_name};
pub use measured::MeasuredLine;
pub use published::Published;

/// The probability with which a minimum detectable difference is found.
pub const POWER: f64 = 0.8;

/// What to compare, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct TableOptions {
    /// Title of the table.
    pub title: String,
    /// The arm that others are compared with; `None` for no differences.
    pub reference: Option<String>,
    /// Arms in the order wanted; arms not named follow in alphabetical order. They are the arms of the family, scored or not.
    pub arms: Vec<String>,
    /// Data sets in the order wanted; those not named follow in alphabetical order.
    pub datasets: Vec<String>,
    /// False for a smoke test: the table then says first that it is not evidence.
    pub evidence: bool,
    /// What verdicts are about on data sets that `primaries` does not name.
    pub primary: Primary,
    /// What verdicts are about, by data set. They are the primaries of the family, scored or not; where it is empty, the
    /// data sets with rows are.
    pub primaries: BTreeMap<String, Primary>,
    /// Region of practical equivalence and error rate.
    pub rules: Rules,
    /// Scores of papers, shown below the lines of their comparison.
    pub published: Vec<Published>,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            title: "Results".to_owned(),
            reference: None,
            arms: Vec::new(),
            datasets: Vec::new(),
            evidence: true,
            primary: Primary::default(),
            primaries: BTreeMap::new(),
            rules: Rules::default(),
            published: Vec::new(),
        }
    }
}

impl TableOptions {
    /// Evaluation sets, each a data set and a split, in the order wanted.
    fn in_order<'a>(&self, rows: &[&'a ResultRow]) -> Vec<(&'a str, &'a str)> {
        let sets: BTreeSet<_> = rows.iter().map(|row| (&*row.dataset, &*row.split)).collect();
        let mut sets: Vec<_> = sets.into_iter().collect();
        sets.sort_by_key(|(dataset, _)| self.datasets.iter().position(|named| named == dataset).unwrap_or(usize::MAX));
        sets
    }

    /// What verdicts are about on `dataset`.
    pub fn primary_of(&self, dataset: &str) -> Primary {
        self.primaries.get(dataset).copied().unwrap_or(self.primary)
    }

    /// The same arms in the same order, without a comparison.
    fn uncompared(&self) -> Self {
        Self { reference: None, ..self.clone() }
    }
}

/// The comparisons over which p values are corrected: arms times primaries, as planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Family {
    /// Arms beside the reference.
    pub arms: usize,
    /// Evaluation sets, each with one primary probe and metric.
    pub primaries: usize,
}

impl Family {
    /// The number of comparisons.
    pub fn tests(self) -> usize {
        self.arms * self.primaries
    }
}

/// The sentence at the head of a smoke test's table.
pub const SMOKE_TEST: &str = "SMOKE TEST, NO EVIDENCE: this table shows that the programs work end to end. \
    Its runs are far too short and too few to say anything about the arms.";

/// A comparison of arms. Made by [`Table::with_predictions`] or [`Table::build`], written by [`crate::render`].
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
/// #     evaluation: None,
/// #     fraction: None,
/// #     labels_per_class: None,
/// #     repeat: None,
/// #     token: None,
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
/// let difference = larger.difference.as_ref().unwrap();
/// assert!((difference.mean - 0.03).abs() < 1e-9);
/// assert!(difference.over_seeds.clone().unwrap().interval(table.level()).lo > 0.0);
/// // Groups are counted in predictions: `Table::with_predictions`.
/// assert!(difference.over_seeds_and_groups.is_err());
/// # Ok::<(), ResultsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Title of the table, shown above it.
    pub title: String,
    /// Name of the arm that the others are compared with; `None` where there is no comparison.
    pub reference: Option<String>,
    /// False for a smoke test.
    pub evidence: bool,
    /// Region of practical equivalence and error rate.
    pub rules: Rules,
    /// What verdicts are about, by data set.
    pub primaries: BTreeMap<String, Primary>,
    /// The comparisons over which p values are corrected.
    pub family: Family,
    /// The lines, by data set in the order wanted, split, metric, probe; then arms in order, the baselines last.
    pub lines: Vec<Line>,
    /// Lines that cannot be compared with the others.
    pub left_out: Vec<LeftOut>,
    /// How features spread, where rows say it: lines of the probe [`PROBE_OF_FEATURES`], in the same order.
    pub features: Vec<Line>,
    /// Scores of single classes, where predictions are kept.
    pub classes: Vec<ClassLine>,
    /// What further evaluations found, where any was asked for.
    pub measured: Vec<MeasuredLine>,
    /// Trials without scores, by arm and seed.
    pub unscored: Vec<UnscoredTrial>,
}

impl Table {
    /// Folds `rows` into a table without predictions: there are neither intervals over groups nor verdicts.
    ///
    /// # Errors
    /// As [`Self::with_predictions`].
    pub fn build(rows: &[ResultRow], unscored: &[UnscoredTrial], options: &TableOptions) -> Result<Self, ResultsError> {
        Self::with_predictions(rows, unscored, options, |_, _| Ok(Evaluated::default()))
    }

    /// Folds `rows` and counted predictions into a table. Of several checkpoints of one trial the last one counts; the same row
    /// twice (an attempt that was repeated) counts once. `evaluated` is asked once for each data set and split, so
    /// that no more than one set's predictions are held at a time.
    ///
    /// # Errors
    /// [`ResultsError::Empty`] if there are neither rows nor trials without scores, [`ResultsError::NoReference`] for a reference arm
    /// without rows, [`ResultsError::Conflict`] where two rows of one arm, seed, fold, probe and metric disagree,
    /// [`ResultsError::Option`] for an error rate outside (0, 0.5); those of `evaluated`.
    pub fn with_predictions<E: From<ResultsError>>(
        rows: &[ResultRow],
        unscored: &[UnscoredTrial],
        options: &TableOptions,
        mut evaluated: impl FnMut(&str, &str) -> Result<Evaluated, E>,
    ) -> Result<Self, E> {
        verify(rows, unscored, options)?;
        let (mut lines, mut classes, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        let last = last_steps(rows);
        let scores: Vec<&ResultRow> = last.iter().copied().filter(|row| row.is_score()).collect();
        for (dataset, split) in options.in_order(&scores) {
            let of_set: Vec<&ResultRow> =
                scores.iter().copied().filter(|row| (&*row.dataset, &*row.split) == (dataset, split)).collect();
            let mut counted = evaluated(dataset, split)?;
            counted.share_baselines(&of_set);
            let mut of_set_lines = Vec::new();
            for (comparison, rows) in by_comparison(&of_set) {
                let (lines, without) = compare(comparison, &rows, &counted, options)?;
                of_set_lines.extend(lines);
                left_out.extend(without);
                of_set_lines.extend(published::lines(comparison, options));
            }
            classes.extend(classes::classes(&counted, &of_set_lines));
            lines.extend(of_set_lines);
        }
        let primaries = primaries(options, &lines);
        let family = Family { arms: compared_arms(options, &lines), primaries: primaries.len() };
        judge::judge_primaries(&mut lines, family, &options.rules);
        let mut unscored = unscored.to_vec();
        unscored.sort_by(|a, b| (&a.arm, a.seed).cmp(&(&b.arm, b.seed)));
        Ok(Self {
            title: options.title.clone(),
            reference: options.reference.clone(),
            evidence: options.evidence,
            rules: options.rules,
            primaries,
            family,
            lines,
            left_out,
            features: features(&last, options)?,
            classes,
            measured: measured::measured(&last, options),
            unscored,
        })
    }

    /// Confidence level of the intervals.
    pub fn level(&self) -> f64 {
        1.0 - self.rules.alpha
    }

    /// The lines of one data set, split, metric and probe, in the table's order.
    pub fn comparison(&self, dataset: &str, split: &str, metric: &str, probe: &str) -> Vec<&Line> {
        let wanted = (dataset, split, metric, probe);
        self.lines.iter().filter(|l| (&*l.dataset, &*l.split, &*l.metric, &*l.probe) == wanted).collect()
    }
}

/// `3 arms`, `1 arm`, `no arms`.
fn counted(n: usize, what: &str) -> String {
    match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn verify(rows: &[ResultRow], unscored: &[UnscoredTrial], options: &TableOptions) -> Result<(), ResultsError> {
    let alpha = options.rules.alpha;
    if !(alpha > 0.0 && alpha < 0.5) {
        return Err(ResultsError::Option {
            option: "alpha",
            value: alpha.to_string(),
            range: "between 0 and 0.5, such as 0.05",
        });
    }
    rows.iter().try_for_each(ResultRow::verify)?;
    if rows.is_empty() && unscored.is_empty() {
        return Err(ResultsError::Empty { what: options.title.clone() });
    }
    options.reference.as_ref().map_or(Ok(()), |reference| verify_reference(reference, rows, unscored))
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

/// The primaries that were planned, or those of the data sets with lines.
fn primaries(options: &TableOptions, lines: &[Line]) -> BTreeMap<String, Primary> {
    if !options.primaries.is_empty() {
        return options.primaries.clone();
    }
    lines.iter().map(|line| (line.dataset.clone(), options.primary_of(&line.dataset))).collect()
}

/// Arms beside the reference: those that were planned, or those with lines.
fn compared_arms(options: &TableOptions, lines: &[Line]) -> usize {
    let scored = lines.iter().filter(|line| !line.is_baseline()).map(|line| line.arm.as_str());
    let arms: BTreeSet<&str> = options.arms.iter().map(String::as_str).chain(scored).collect();
    let Some(reference) = options.reference.as_deref() else { return 0 };
    arms.into_iter().filter(|arm| *arm != reference).count()
}

/// The lines that say how features spread.
fn features(rows: &[&ResultRow], options: &TableOptions) -> Result<Vec<Line>, ResultsError> {
    let about: Vec<&ResultRow> = rows.iter().copied().filter(|row| row.probe == PROBE_OF_FEATURES).collect();
    let (mut lines, options, none) = (Vec::new(), options.uncompared(), Evaluated::default());
    for (comparison, rows) in by_comparison(&about) {
        lines.extend(compare(comparison, &rows, &none, &options)?.0);
    }
    Ok(lines)
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
    rows.iter().filter(|r| last[&trial(r)] == r.step).collect()
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
