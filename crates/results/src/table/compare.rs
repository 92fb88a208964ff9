//! The lines of one comparison: what stands behind each arm and baseline, and its paired difference to the reference.

use std::collections::{BTreeMap, BTreeSet};

use run_spec::ids::Seed;

use super::{Difference, Line, TableOptions, Unit};
use crate::ResultsError;
use crate::row::{ResultRow, TEACHER};
use crate::stats;

/// Scores of one line by (seed, fold).
type Scores<'a> = BTreeMap<(Seed, &'a str), &'a ResultRow>;
/// Data set, split, metric, probe.
pub(super) type Comparison<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The lines of one comparison.
pub(super) fn compare(
    comparison: Comparison<'_>,
    rows: &[&ResultRow],
    options: &TableOptions,
) -> Result<Vec<Line>, ResultsError> {
    let mut scores: BTreeMap<(&str, &str), Scores<'_>> = BTreeMap::new();
    for &row in rows {
        let cells = scores.entry((&row.features, &row.arm)).or_default();
        let held = cells.entry((row.seed, &row.fold)).or_insert(row);
        if held.value != row.value {
            return Err(ResultsError::Conflict { what: row.subject(), first: held.value, second: row.value });
        }
    }
    let reference = options.reference.as_deref().and_then(|arm| scores.get(&(TEACHER, arm)).cloned());
    let mut lines = Vec::new();
    for (features, arm, cells) in in_order(scores, options) {
        let is_reference = features == TEACHER && Some(arm) == options.reference.as_deref();
        let difference = match &reference {
            Some(reference) if !is_reference => difference(&cells, reference, options),
            _ => None,
        };
        lines.push(line(comparison, features, arm, &cells, difference));
    }
    correct(&mut lines);
    Ok(lines)
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

fn line(
    (dataset, split, metric, probe): Comparison<'_>,
    features: &str,
    arm: &str,
    cells: &Scores<'_>,
    difference: Option<Difference>,
) -> Line {
    let mut scores: Vec<_> = cells.iter().map(|(&(seed, fold), r)| (seed, fold.to_owned(), r.value)).collect();
    if knows_no_seed(cells) {
        // A baseline without randomness says the same for every seed; counting it once per seed would shrink its spread.
        scores.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        scores.dedup_by(|later, first| later.1 == first.1);
    }
    let values: Vec<f64> = scores.iter().map(|s| s.2).collect();
    let summary = stats::summary(&values).expect("a line has at least one score");
    let trials: BTreeMap<Seed, &ResultRow> = cells.iter().map(|(&(seed, _), &row)| (seed, row)).collect();
    Line {
        dataset: dataset.to_owned(),
        split: split.to_owned(),
        metric: metric.to_owned(),
        probe: probe.to_owned(),
        arm: arm.to_owned(),
        features: features.to_owned(),
        n: summary.n,
        seeds: scores.iter().map(|s| s.0).collect::<BTreeSet<_>>().len(),
        mean: summary.mean,
        std: summary.std,
        difference,
        hours: trials.values().map(|r| r.hours).sum(),
        kwh: trials.values().map(|r| r.kwh).sum(),
        notes: notes(cells),
        scores,
    }
}

/// The distinct notes of the rows, and whether the training set held their images.
fn notes(cells: &Scores<'_>) -> Vec<String> {
    let mut notes = BTreeSet::new();
    for row in cells.values() {
        match row.transductive {
            Some(true) => notes.insert("transductive: the training set held images of this set".to_owned()),
            None if row.code_probe.is_some() && row.features == TEACHER => {
                notes.insert("whether the training set held images of this set is not known".to_owned())
            }
            _ => false,
        };
        if !row.note.is_empty() {
            notes.insert(row.note.clone());
        }
    }
    notes.into_iter().collect()
}

/// True for a baseline that says the same for every seed, as a colour histogram does.
fn knows_no_seed(cells: &Scores<'_>) -> bool {
    let mut by_fold: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (&(_, fold), row) in cells {
        by_fold.entry(fold).or_default().insert(row.value.to_bits());
    }
    cells.values().all(|r| r.features != TEACHER) && by_fold.values().all(|values| values.len() == 1)
}

fn difference(cells: &Scores<'_>, reference: &Scores<'_>, options: &TableOptions) -> Option<Difference> {
    let mut by_seed: BTreeMap<Seed, Vec<f64>> = BTreeMap::new();
    // A baseline that knows no seed is paired with every seed of the reference.
    let of_fold: Option<BTreeMap<&str, &ResultRow>> =
        knows_no_seed(cells).then(|| cells.iter().map(|(&(_, fold), &row)| (fold, row)).collect());
    for (&(seed, fold), other) in reference {
        let row = match &of_fold {
            Some(of_fold) => of_fold.get(fold),
            None => cells.get(&(seed, fold)),
        };
        if let Some(row) = row {
            by_seed.entry(seed).or_default().push(row.value - other.value);
        }
    }
    let pairs = by_seed.values().map(Vec::len).sum();
    let unit = match options.unit {
        Unit::Auto if by_seed.len() >= 2 => Unit::Seed,
        Unit::Auto => Unit::Fold,
        unit => unit,
    };
    let differences: Vec<f64> = match unit {
        Unit::Seed => by_seed.values().map(|d| d.iter().sum::<f64>() / d.len() as f64).collect(),
        _ => by_seed.into_values().flatten().collect(),
    };
    let mean = stats::summary(&differences)?.mean;
    let test = stats::paired_t(&differences, options.level);
    Some(Difference {
        pairs,
        units: differences.len(),
        unit,
        mean,
        interval: test.map(|t| t.interval),
        p: test.map(|t| t.p),
        p_holm: None,
    })
}

/// Fills in Holm's p over the arms; baselines are no hypotheses of the sweep and stay outside the family.
fn correct(lines: &mut [Line]) {
    let mut tested: Vec<&mut Difference> = lines
        .iter_mut()
        .filter(|l| !l.is_baseline())
        .filter_map(|l| l.difference.as_mut())
        .filter(|d| d.p.is_some())
        .collect();
    let p: Vec<f64> = tested.iter().filter_map(|d| d.p).collect();
    for (difference, adjusted) in tested.iter_mut().zip(stats::holm(&p)) {
        difference.p_holm = Some(adjusted);
    }
}
