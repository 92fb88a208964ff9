//! The lines of one comparison: what stands behind each arm and baseline, and its paired difference to the reference.
//!
//! A comparison has one definition of a score. It is that of counted predictions (folds within sources) where the reference has them for all of
//! its seeds, else that of rows (folds alone). A line without predictions stands in a comparison of predictions only where
//! both definitions are the same number, as with a single source; else it is left out and named.

use std::collections::{BTreeMap, BTreeSet};

use run_spec::ids::Seed;

use super::line::{Difference, LeftOut, Line, Missing, SourcesDifference, line_name};
use super::{Evaluated, TableOptions};
use crate::ResultsError;
use crate::row::{HISTOGRAM, RANDOM, ResultRow, TEACHER};
use crate::stats::counts::Counts;
use crate::stats::estimate;
use crate::stats::paired::Paired;
use crate::stats::score::Metric;
use crate::stats::{self, summary};

/// Scores of one line by (seed, fold).
type Scores<'a> = BTreeMap<(Seed, &'a str), &'a ResultRow>;
/// Data set, split, metric, probe.
pub(super) type Comparison<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The predictions behind a comparison.
#[derive(Clone, Copy)]
struct Counted<'a> {
    counts: &'a Counts,
    metric: Metric,
}

impl Counted<'_> {
    fn has(&self, name: &str, seed: Seed) -> bool {
        self.counts.trial(name, seed.get()).is_some()
    }

    /// Whether all seeds of a line have predictions.
    fn has_all(&self, name: &str, cells: &Scores<'_>) -> bool {
        cells.keys().all(|&(seed, _)| self.has(name, seed))
    }
}

/// One line in the making.
struct Subject<'a> {
    features: &'a str,
    arm: &'a str,
    cells: Scores<'a>,
    /// A baseline without randomness says the same for every seed.
    knows_no_seed: bool,
    /// Where all seeds of the line have predictions.
    counted: Option<Counted<'a>>,
    /// A remark on the scores for the people who read the table.
    note: Option<String>,
}

/// The lines of one comparison, and what is left out of it.
pub(super) fn compare<'a>(
    comparison: Comparison<'a>,
    rows: &[&'a ResultRow],
    evaluated: &'a Evaluated,
    options: &TableOptions,
) -> Result<(Vec<Line>, Vec<LeftOut>), ResultsError> {
    let mut scores: BTreeMap<(&str, &str), Scores<'_>> = BTreeMap::new();
    for &row in rows {
        let cells = scores.entry((&row.features, &row.arm)).or_default();
        let held = cells.entry((row.seed, &row.fold)).or_insert(row);
        if held.value != row.value {
            return Err(ResultsError::Conflict { what: row.subject(), first: held.value, second: row.value });
        }
    }
    let counted = evaluated.counts.get(comparison.3).zip(Metric::named(comparison.2));
    let counted = counted.map(|(counts, metric)| Counted { counts, metric });
    let parts = in_order(scores, options);
    let is_reference = |features: &str, arm: &str| features == TEACHER && Some(arm) == options.reference.as_deref();
    let by_predictions = counted.filter(|counted| {
        let has_all = |parts: &(&str, &str, Scores<'_>)| counted.has_all(&line_name(parts.0, parts.1), &parts.2);
        let reference = parts.iter().find(|parts| is_reference(parts.0, parts.1));
        reference.map_or_else(|| parts.iter().any(has_all), has_all)
    });
    let lacking = counted.is_some() && by_predictions.is_none();
    let (mut subjects, mut left_out) = (Vec::new(), Vec::new());
    for parts in parts {
        let name = line_name(parts.0, parts.1);
        match Subject::new(parts, by_predictions) {
            Some(of) if lacking => subjects.push(Subject { note: Some(by_rows(options.reference.as_deref())), ..of }),
            Some(of) => subjects.push(of),
            None => left_out.push(LeftOut::of(comparison, name)),
        }
    }
    let reference = subjects.iter().find(|of| is_reference(of.features, of.arm));
    let line = |of: &Subject<'_>| {
        let difference = match reference {
            Some(reference) if !std::ptr::eq(reference, of) => of.difference(reference)?,
            _ => None,
        };
        Ok(of.line(comparison, difference, options))
    };
    let lines = subjects.iter().map(line).collect::<Result<_, ResultsError>>()?;
    Ok((lines, left_out))
}

/// The remark on a comparison for which predictions are not kept: of the reference, or of any line if there is no reference.
fn by_rows(reference: Option<&str>) -> String {
    let of = reference.map_or_else(|| "any arm".to_owned(), |reference| format!("all seeds of {reference}"));
    format!("scores are means over folds that hold all sources together, since predictions are not kept of {of}")
}

/// Arms in the order wanted (the reference first unless placed), then baselines; a baseline on which all arms agree
/// becomes one line without an arm.
fn in_order<'a>(
    scores: BTreeMap<(&'a str, &'a str), Scores<'a>>,
    options: &TableOptions,
) -> Vec<(&'a str, &'a str, Scores<'a>)> {
    let mut baselines: BTreeMap<&str, Vec<(&str, Scores<'_>)>> = BTreeMap::new();
    let mut arms = Vec::new();
    for ((features, arm), cells) in scores {
        if features == TEACHER {
            arms.push((features, arm, cells));
        } else {
            baselines.entry(features).or_default().push((arm, cells));
        }
    }
    let rank = |arm: &str| {
        let placed = options.arms.iter().position(|a| a == arm);
        (placed.unwrap_or(usize::MAX), options.reference.as_deref() != Some(arm))
    };
    arms.sort_by_key(|&(_, arm, _)| (rank(arm), arm));
    for (features, of_arms) in baselines {
        match merged(&of_arms) {
            Some(cells) => arms.push((features, "", cells)),
            None => arms.extend(of_arms.into_iter().map(|(arm, cells)| (features, arm, cells))),
        }
    }
    arms
}

/// The scores of all arms together, if no two arms disagree.
fn merged<'a>(of_arms: &[(&str, Scores<'a>)]) -> Option<Scores<'a>> {
    let mut all = Scores::new();
    for (_, cells) in of_arms {
        for (&key, &row) in cells {
            if all.entry(key).or_insert(row).value != row.value {
                return None;
            }
        }
    }
    Some(all)
}

impl<'a> Subject<'a> {
    /// A line of a comparison by rows, or by predictions where `counted` is given; `None` for a line that cannot be scored by its definition.
    fn new((features, arm, mut cells): (&'a str, &'a str, Scores<'a>), counted: Option<Counted<'a>>) -> Option<Self> {
        let (name, mut note) = (line_name(features, arm), None);
        let mut of_all = counted.filter(|counted| counted.has_all(&name, &cells));
        if let Some(counted) = counted.filter(|counted| of_all.is_none() && !counted.counts.rows_have_the_same_scores())
        {
            let without: BTreeSet<Seed> =
                cells.keys().map(|&(seed, _)| seed).filter(|&seed| !counted.has(&name, seed)).collect();
            cells.retain(|(seed, _), _| !without.contains(seed));
            let seeds = without.iter().map(Seed::to_string).collect::<Vec<_>>().join(", ");
            note =
                Some(format!("seed {seeds} does not count here: an older version probed it and kept no predictions"));
            of_all = Some(counted);
        }
        let knows_no_seed = knows_no_seed(features, &cells);
        (!cells.is_empty()).then_some(Self { features, arm, cells, knows_no_seed, counted: of_all, note })
    }

    fn name(&self) -> String {
        line_name(self.features, self.arm)
    }

    fn line(&self, comparison: Comparison<'_>, difference: Option<Difference>, options: &TableOptions) -> Line {
        let (dataset, split, metric, probe) = comparison;
        let primary = options.primary_of(dataset);
        let mut by_seed = self.by_seed();
        let mut n = self.cells.len();
        if self.knows_no_seed {
            // Counting it once per seed would shrink its spread.
            by_seed.truncate(1);
            n = self.cells.keys().map(|(_, fold)| fold).collect::<BTreeSet<_>>().len();
        }
        let values: Vec<f64> = by_seed.iter().map(|(_, score)| *score).collect();
        let over_seeds = summary(&values).expect("a line has at least one score");
        let trials: BTreeMap<Seed, &ResultRow> = self.cells.iter().map(|(&(seed, _), &row)| (seed, row)).collect();
        Line {
            dataset: dataset.to_owned(),
            split: split.to_owned(),
            metric: metric.to_owned(),
            probe: probe.to_owned(),
            arm: self.arm.to_owned(),
            features: self.features.to_owned(),
            is_primary: probe == primary.probe.name() && metric == primary.metric.name(),
            n,
            seeds: by_seed.len(),
            mean: over_seeds.mean,
            over_seeds: over_seeds.std,
            over_folds: self.over_folds(),
            difference,
            hours: trials.values().map(|row| row.hours).sum(),
            kwh: trials.values().map(|row| row.kwh).sum(),
            notes: self.note.iter().cloned().chain(notes(&self.cells)).collect(),
            by_seed,
        }
    }

    /// The score of each seed: by predictions, or the mean over the folds of the rows.
    fn by_seed(&self) -> Vec<(Seed, f64)> {
        let mut of_rows: BTreeMap<Seed, Vec<f64>> = BTreeMap::new();
        for (&(seed, _), row) in &self.cells {
            of_rows.entry(seed).or_default().push(row.value);
        }
        let name = self.name();
        let score = |seed: Seed, values: &[f64]| match self.counted {
            Some(Counted { counts, metric }) => counts.score(&name, seed.get(), metric),
            None => summary(values).map(|summary| summary.mean),
        };
        of_rows.into_iter().filter_map(|(seed, values)| Some((seed, score(seed, &values)?))).collect()
    }

    fn over_folds(&self) -> Option<f64> {
        if let Some(Counted { counts, metric }) = self.counted {
            return counts.arm_score(&self.name(), metric)?.over_folds;
        }
        let mut of_folds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (&(_, fold), row) in &self.cells {
            of_folds.entry(fold).or_default().push(row.value);
        }
        let means: Vec<f64> = of_folds.values().filter_map(|values| Some(summary(values)?.mean)).collect();
        summary(&means)?.std
    }

    /// This line minus the reference; `None` where no seed is common.
    fn difference(&self, reference: &Self) -> Result<Option<Difference>, ResultsError> {
        let (ours, theirs) = (self.name(), reference.name());
        match (self.counted, reference.counted) {
            (Some(Counted { counts, metric }), Some(_)) if share_a_seed(counts, &ours, &theirs) => {
                Ok(Some(of_predictions(&Paired::new(counts, &ours, &theirs, metric)?)))
            }
            _ => Ok(self.of_rows(reference)),
        }
    }

    fn of_rows(&self, reference: &Self) -> Option<Difference> {
        let mut by_seed: BTreeMap<Seed, Vec<f64>> = BTreeMap::new();
        // A baseline that knows no seed is paired with every seed of the reference.
        let of_fold: Option<BTreeMap<&str, &ResultRow>> =
            self.knows_no_seed.then(|| self.cells.iter().map(|(&(_, fold), &row)| (fold, row)).collect());
        for (&(seed, fold), other) in &reference.cells {
            let row = match &of_fold {
                Some(of_fold) => of_fold.get(fold),
                None => self.cells.get(&(seed, fold)),
            };
            if let Some(row) = row {
                by_seed.entry(seed).or_default().push(row.value - other.value);
            }
        }
        let differences: Vec<f64> = by_seed.values().filter_map(|d| Some(summary(d)?.mean)).collect();
        Some(Difference {
            seeds: differences.len(),
            mean: stats::summary(&differences)?.mean,
            over_seeds_and_groups: Err(Missing::NoPredictions),
            over_seeds: estimate::over_seeds(&differences).map_err(Missing::from),
            over_sources: None,
            spread: None,
            judgement: None,
        })
    }
}

fn share_a_seed(counts: &Counts, ours: &str, theirs: &str) -> bool {
    counts.seeds(ours).into_iter().any(|seed| counts.trial(theirs, seed).is_some())
}

fn of_predictions(paired: &Paired) -> Difference {
    let sources = paired.by_source().len();
    let over_sources = paired.over_sources().ok();
    Difference {
        seeds: paired.seeds.len(),
        mean: paired.mean(),
        over_seeds_and_groups: paired.over_seeds_and_groups().map_err(Missing::from),
        over_seeds: paired.over_seeds().map_err(Missing::from),
        over_sources: over_sources.map(|estimate| SourcesDifference { sources, estimate }),
        spread: paired.spread().ok(),
        judgement: None,
    }
}

/// The distinct notes of the rows, and whether the training set held their images.
fn notes(cells: &Scores<'_>) -> Vec<String> {
    let mut notes = BTreeSet::new();
    for row in cells.values() {
        match row.transductive {
            Some(true) => notes.insert("transductive: the training set contained images of this set".to_owned()),
            None if row.code_probe.is_some() && row.features == TEACHER => {
                notes.insert("whether the training set contained images of this set is not known".to_owned())
            }
            _ => false,
        };
        if !row.note.is_empty() {
            notes.insert(row.note.clone());
        }
    }
    notes.into_iter().collect()
}

/// True for features that no seed changes: a colour histogram, and baselines whose several seeds all have the same scores. Random weights
/// are drawn from the seed, so a single one stands for itself alone.
fn knows_no_seed(features: &str, cells: &Scores<'_>) -> bool {
    let mut by_fold: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (&(_, fold), row) in cells {
        by_fold.entry(fold).or_default().insert(row.value.to_bits());
    }
    let seeds: BTreeSet<Seed> = cells.keys().map(|&(seed, _)| seed).collect();
    let same = by_fold.values().all(|values| values.len() == 1);
    same && (features == HISTOGRAM || (features != RANDOM && features != TEACHER && seeds.len() > 1))
}
