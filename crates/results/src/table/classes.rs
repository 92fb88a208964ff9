//! Scores of single classes, over all cells of an evaluation set.

use super::Evaluated;
use super::line::Line;
use crate::stats::score::ClassCounts;
use crate::stats::{Summary, summary};

/// One class under one probe, as one arm or baseline predicts it. All cells of the set count together, each predicted once by a fit
/// that had not seen its group; mean and standard deviation run over seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassLine {
    /// Data set evaluated on.
    pub dataset: String,
    /// Split of the data set.
    pub split: String,
    /// Name of the probe, as in the rows.
    pub probe: String,
    /// Arm, or empty for a baseline that all arms share.
    pub arm: String,
    /// [`TEACHER`](crate::TEACHER) for an arm, else the name of the baseline.
    pub features: String,
    /// Name of the line, as [`Line::name`].
    pub name: String,
    /// Whether verdicts are about a metric of this probe.
    pub is_primary: bool,
    /// Name of the class.
    pub class: String,
    /// Cells of the class.
    pub support: u64,
    /// Share of the cells predicted to be of the class that are.
    pub precision: Summary,
    /// Share of the cells of the class that are found.
    pub recall: Summary,
    /// Harmonic mean of both.
    pub f1: Summary,
}

/// The classes of one evaluation set: by probe, class, and arm in the order of `lines`, which are those of the set.
pub(super) fn classes(evaluated: &Evaluated, lines: &[Line]) -> Vec<ClassLine> {
    let mut found = Vec::new();
    for (probe, counts) in &evaluated.counts {
        let mut arms: Vec<&Line> = Vec::new();
        for line in lines.iter().filter(|line| line.probe == *probe) {
            if !arms.iter().any(|other| other.name() == line.name()) {
                arms.push(line);
            }
        }
        // Of each arm and seed, the counts of all classes.
        let totals = |line: &Line| -> Vec<Vec<ClassCounts>> {
            let trials = line.by_seed.iter().filter_map(|(seed, _)| counts.trial(&line.name(), seed.get()));
            trials.map(|trial| counts.totals(trial)).collect()
        };
        let of_arms: Vec<(&Line, Vec<Vec<ClassCounts>>)> = arms.into_iter().map(|line| (line, totals(line))).collect();
        let is_primary = lines.iter().any(|line| line.is_primary && line.probe == *probe);
        for (number, class) in evaluated.classes.iter().enumerate() {
            let of_arm = |(line, totals): &(&Line, Vec<Vec<ClassCounts>>)| {
                let of_class: Vec<ClassCounts> = totals.iter().map(|classes| classes[number]).collect();
                class_line(line, class, &of_class).map(|line| ClassLine { is_primary, ..line })
            };
            found.extend(of_arms.iter().filter_map(of_arm));
        }
    }
    found
}

/// `None` for an arm without predictions.
fn class_line(line: &Line, class: &str, by_seed: &[ClassCounts]) -> Option<ClassLine> {
    let over_seeds =
        |score: fn(ClassCounts) -> f64| summary(&by_seed.iter().map(|&counts| score(counts)).collect::<Vec<_>>());
    Some(ClassLine {
        dataset: line.dataset.clone(),
        split: line.split.clone(),
        probe: line.probe.clone(),
        arm: line.arm.clone(),
        features: line.features.clone(),
        name: line.name(),
        is_primary: false,
        class: class.to_owned(),
        support: by_seed.first()?.support,
        precision: over_seeds(ClassCounts::precision)?,
        recall: over_seeds(ClassCounts::recall)?,
        f1: over_seeds(ClassCounts::f1)?,
    })
}
