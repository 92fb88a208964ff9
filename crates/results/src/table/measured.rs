//! What further evaluations found, by arm: means over seeds of the means over folds and draws.

use std::collections::{BTreeMap, BTreeSet};

use run_spec::ids::Seed;

use super::TableOptions;
use super::line::line_name;
use crate::measures::Evaluation;
use crate::row::{OPTIMUM_CHANGES, OPTIMUM_DISTANCE, ResultRow, TEACHER};
use crate::stats::{Summary, summary};

/// One number of a further evaluation, as one arm or baseline has it. Descriptive: no verdict is about it.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredLine {
    /// Data set evaluated on.
    pub dataset: String,
    /// Split of the data set.
    pub split: String,
    /// The evaluation.
    pub evaluation: Evaluation,
    /// What was fitted, searched or drawn, as in the rows.
    pub probe: String,
    /// The class that it is of; `None` for all together.
    pub class: Option<String>,
    /// The share of the training cells or of the answered cells that it is at.
    pub fraction: Option<f64>,
    /// The number of labelled training cells of each class that it is at.
    pub labels_per_class: Option<u64>,
    /// The source that was left out; `None` where folds are averaged.
    pub source: Option<String>,
    /// Name of the metric, as in the rows.
    pub metric: String,
    /// Arm, or empty for a baseline that all arms share.
    pub arm: String,
    /// [`TEACHER`] for an arm, else the name of the baseline.
    pub features: String,
    /// Mean and standard deviation (ddof 1) over seeds.
    pub value: Summary,
    /// Cells that were fitted to, mean over folds, draws and seeds.
    pub n_train: f64,
    /// Distinct notes of the rows.
    pub notes: Vec<String>,
}

impl MeasuredLine {
    /// Name of the line, as [`Line::name`](super::Line::name).
    pub fn name(&self) -> String {
        line_name(&self.features, &self.arm)
    }

    /// What the number is of, beside probe and metric: a class, a share, a number of labels or a source; empty for all cells.
    pub fn place(&self) -> String {
        let share = self.fraction.map(|share| format!("{} %", (1e4 * share).round() / 100.0));
        let labels = self.labels_per_class.map(|labels| format!("{labels} per class"));
        [self.class.clone(), share, labels, self.source.clone()].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// What a line is of: its place in the table, but for the arm.
type Key = (String, String, Evaluation, usize);

/// Values by features and arm, in the order in which they were met.
type OfArms<'a> = Vec<((&'a str, &'a str), Values<'a>)>;

/// Rows of one arm by seed.
#[derive(Default)]
struct Values<'a> {
    by_seed: BTreeMap<Seed, Vec<&'a ResultRow>>,
}

/// The lines of all evaluations of `rows`, which are of one checkpoint a trial: by data set, split and evaluation; then in the order
/// in which a probe left them; then arms in the order wanted and baselines.
pub(super) fn measured(rows: &[&ResultRow], options: &TableOptions) -> Vec<MeasuredLine> {
    let mut order: Vec<Place<'_>> = Vec::new();
    let mut found: BTreeMap<Key, OfArms<'_>> = BTreeMap::new();
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    for &row in rows {
        let Some(place) = Place::of(row) else { continue };
        let at = *positions.entry(place.words()).or_insert_with(|| {
            order.push(place);
            order.len() - 1
        });
        let key = (row.dataset.clone(), row.split.clone(), place.evaluation, at);
        let lines = found.entry(key).or_default();
        let name = (row.features.as_str(), row.arm.as_str());
        let line = lines.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            lines.push((name, Values::default()));
            lines.len() - 1
        });
        lines[line].1.by_seed.entry(row.seed).or_default().push(row);
    }
    let mut all = Vec::new();
    for ((dataset, split, _, at), lines) in found {
        let of = |((features, arm), values): ((&str, &str), Values<'_>)| {
            values.line(&order[at], (&dataset, &split), (features, arm))
        };
        let mut lines: Vec<MeasuredLine> = merged(lines.into_iter().filter_map(of).collect());
        lines.sort_by_key(|line| rank(line, options));
        all.extend(lines);
    }
    all
}

/// Arms as the table orders them, then baselines by name.
fn rank(line: &MeasuredLine, options: &TableOptions) -> (bool, usize, bool, String) {
    let placed = options.arms.iter().position(|arm| *arm == line.arm);
    let other = options.reference.as_ref() != Some(&line.arm);
    (line.features != TEACHER, placed.unwrap_or(usize::MAX), other, line.name())
}

/// Baselines on which all arms agree become one line without an arm.
fn merged(lines: Vec<MeasuredLine>) -> Vec<MeasuredLine> {
    let (mut arms, baselines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.features == TEACHER);
    let names: BTreeSet<String> = baselines.iter().map(|line| line.features.clone()).collect();
    for name in names {
        let of: Vec<&MeasuredLine> = baselines.iter().filter(|line| line.features == name).collect();
        if of.iter().all(|line| line.value == of[0].value) {
            arms.push(MeasuredLine { arm: String::new(), ..of[0].clone() });
        } else {
            arms.extend(of.into_iter().cloned());
        }
    }
    arms
}

/// What a row is of, within its data set.
#[derive(Clone, Copy)]
struct Place<'a> {
    evaluation: Evaluation,
    row: &'a ResultRow,
}

impl<'a> Place<'a> {
    /// `None` for rows of the protocol, and of evaluations that this version does not know.
    fn of(row: &'a ResultRow) -> Option<Self> {
        let is_distance = [OPTIMUM_DISTANCE, OPTIMUM_CHANGES].contains(&row.metric.as_str());
        let evaluation = match &row.evaluation {
            Some(name) => Evaluation::named(name)?,
            // Rows of the probe's own folds, which say how far its fit is from the optimum.
            None if is_distance => Evaluation::Optimum,
            None => return None,
        };
        Some(Self { evaluation, row })
    }

    fn source(&self) -> Option<&'a str> {
        let is_source = self.evaluation == Evaluation::LeaveOneSourceOut && self.row.fold != crate::row::ALL_FOLDS;
        is_source.then_some(self.row.fold.as_str())
    }

    fn words(&self) -> String {
        let ResultRow { dataset, split, probe, metric, class, fraction, labels_per_class, .. } = self.row;
        format!(
            "{:?}",
            (dataset, split, self.evaluation, probe, metric, class, fraction, labels_per_class, self.source())
        )
    }
}

impl Values<'_> {
    /// `None` without values.
    fn line(
        self,
        place: &Place<'_>,
        (dataset, split): (&str, &str),
        (features, arm): (&str, &str),
    ) -> Option<MeasuredLine> {
        let mean = |rows: &[&ResultRow], of: fn(&ResultRow) -> f64| {
            rows.iter().map(|row| of(row)).sum::<f64>() / rows.len() as f64
        };
        let all: Vec<&ResultRow> = self.by_seed.values().flatten().copied().collect();
        let by_seed: Vec<f64> = self.by_seed.values().map(|rows| mean(rows, |row| row.value)).collect();
        // A baseline that says the same for every seed knows none: counting it once per seed would shrink its spread.
        let once = features != TEACHER && by_seed.iter().all(|value| *value == by_seed[0]);
        let notes: BTreeSet<&String> = all.iter().map(|row| &row.note).filter(|note| !note.is_empty()).collect();
        Some(MeasuredLine {
            dataset: dataset.to_owned(),
            split: split.to_owned(),
            evaluation: place.evaluation,
            probe: place.row.probe.clone(),
            class: place.row.class.clone(),
            fraction: place.row.fraction,
            labels_per_class: place.row.labels_per_class,
            source: place.source().map(str::to_owned),
            metric: place.row.metric.clone(),
            arm: arm.to_owned(),
            features: features.to_owned(),
            value: summary(if once { &by_seed[..1] } else { &by_seed })?,
            n_train: mean(&all, |row| row.n_train as f64),
            notes: notes.into_iter().cloned().collect(),
        })
    }
}
