//! Further evaluations: what is measured only where it is asked for. Each is a file here and a line in `plug`.
//!
//! An evaluation adds probes to the protocol, whose predictions are then kept for every cell, or leaves numbers
//! ([`Measure`]) computed from features, labels, sources and the protocol's own predictions, or both. What it cannot
//! do on a set of cells it refuses before any feature is made ([`verify`]).

mod anomaly;
mod calibration;
mod controls;
mod label_efficiency;
mod labels_per_class;
mod leave_one_source_out;
mod robustness;

use std::sync::Arc;

use results::measures::Evaluation;
use results::predictions::Measure;
use results::row::ALL_FOLDS;

use crate::metrics::{Confusion, Metric};
use crate::probes::{Fold, Probe};
use crate::protocol::{self, Cells};
use crate::{Classes, Features, ProbeError};

/// What an evaluation is about, before there are features.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The cells.
    pub cells: &'a Arc<Cells>,
    /// The source of each cell.
    pub sources: &'a Classes,
    /// The class that anomalies differ from; `None` for the largest one.
    pub normal: Option<&'a str>,
}

/// What an evaluation measures.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The cells and their sources.
    pub setting: Setting<'a>,
    /// Features of the cells, `[cells, d]`.
    pub features: &'a Features,
    /// What the protocol's probes predicted from them.
    pub evaluation: &'a protocol::Evaluation,
    /// How anomalous the patches of each cell are ([`crate::patches`]); `None` for features without patches.
    pub patch_scores: Option<&'a [f64]>,
}

/// An evaluation as code.
#[derive(Clone, Copy)]
struct Plug {
    /// Probes that it adds to the protocol, or puts in the place of those of the same name.
    probes: &'static [Probe],
    /// Refuses cells on which it cannot be done.
    verify: fn(&Setting<'_>) -> Result<(), ProbeError>,
    /// What it finds.
    measure: fn(&Subject<'_>) -> Result<Vec<Measure>, ProbeError>,
}

/// An evaluation that does nothing.
const NOTHING: Plug = Plug { probes: &[], verify: |_| Ok(()), measure: |_| Ok(Vec::new()) };

/// The list of evaluations.
fn plug(evaluation: Evaluation) -> Plug {
    match evaluation {
        Evaluation::Optimum => Plug { probes: &[Probe::LINEAR_WITH_OPTIMUM], ..NOTHING },
        Evaluation::Knn => Plug { probes: &[Probe::KNN_COSINE], ..NOTHING },
        Evaluation::NearestMean => Plug { probes: &[Probe::NEAREST_MEAN], ..NOTHING },
        Evaluation::Mlp => Plug { probes: &[Probe::MLP], ..NOTHING },
        Evaluation::Calibration => Plug { measure: calibration::measure, ..NOTHING },
        Evaluation::LabelEfficiency => Plug { measure: label_efficiency::measure, ..NOTHING },
        Evaluation::LabelsPerClass => Plug { measure: labels_per_class::measure, ..NOTHING },
        Evaluation::LeaveOneSourceOut => {
            Plug { verify: leave_one_source_out::verify, measure: leave_one_source_out::measure, ..NOTHING }
        }
        Evaluation::Anomaly => Plug { verify: anomaly::verify, measure: anomaly::measure, ..NOTHING },
        Evaluation::Robustness => Plug { verify: robustness::verify, measure: robustness::measure, ..NOTHING },
        // It is about the network, which is not known here.
        Evaluation::Cost => NOTHING,
        Evaluation::Controls => Plug { measure: controls::measure, ..NOTHING },
    }
}

/// The probes of the protocol with those of `evaluations`: a probe in place of one of the same name, or after all others.
pub fn probes(evaluations: &[Evaluation]) -> Vec<Probe> {
    let mut probes = Probe::ALL.to_vec();
    for &probe in evaluations.iter().flat_map(|&evaluation| plug(evaluation).probes) {
        match probes.iter_mut().find(|known| **known == probe) {
            Some(known) => *known = probe,
            None => probes.push(probe),
        }
    }
    probes
}

/// Refuses evaluations that cannot be done on these cells.
///
/// # Errors
/// [`ProbeError::NotMeasurable`] with the reason; [`ProbeError::Mismatch`] unless each cell has a source.
pub fn verify(evaluations: &[Evaluation], setting: &Setting<'_>) -> Result<(), ProbeError> {
    let (expected, found) = (setting.cells.len(), setting.sources.of_row().len());
    if expected != found {
        return Err(ProbeError::Mismatch { what: "sources", expected, found });
    }
    evaluations.iter().try_for_each(|&evaluation| (plug(evaluation).verify)(setting))
}

/// What `evaluations` find, in their order.
///
/// # Errors
/// As [`verify`]; those of the fits that an evaluation makes.
pub fn measure(evaluations: &[Evaluation], subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    verify(evaluations, &subject.setting)?;
    let mut found = Vec::new();
    for &evaluation in evaluations {
        found.extend((plug(evaluation).measure)(subject)?);
    }
    Ok(found)
}

/// A number about all cells, of no class and no fold; others are made from it by naming what differs.
pub fn number(evaluation: Evaluation, (probe, metric): (&str, &str), value: f64) -> Measure {
    Measure {
        evaluation: evaluation.name().to_owned(),
        probe: probe.to_owned(),
        metric: metric.to_owned(),
        class: None,
        fraction: None,
        labels_per_class: None,
        repeat: None,
        fold: ALL_FOLDS.to_owned(),
        value,
        n: 0,
        n_train: 0,
        note: String::new(),
    }
}

/// The scores of a confusion matrix, one number a metric.
fn scores(evaluation: Evaluation, probe: &str, confusion: &Confusion) -> Vec<Measure> {
    let of = |metric: Metric| {
        let measure = number(evaluation, (probe, metric.name()), confusion.score(metric));
        Measure { n: confusion.samples(), ..measure }
    };
    Metric::ALL.map(of).into()
}

/// Rows that are fitted to, and rows that are predicted.
struct Rows<'a> {
    train: &'a [usize],
    test: &'a [usize],
}

/// Something that a classifier predicts from features: a number for each cell, as classes are.
struct Task<'a> {
    features: &'a Features,
    groups: &'a [usize],
    of_row: &'a [u32],
    /// How many different numbers there are.
    count: usize,
}

impl<'a> Task<'a> {
    /// The classes of the cells, from the features as they are.
    fn classes(subject: &Subject<'a>) -> Self {
        let cells = subject.setting.cells;
        let classes = cells.classes();
        let (of_row, count) = (classes.of_row(), classes.names().len());
        Self { features: subject.features, groups: cells.group_of_row(), of_row, count }
    }

    /// What `linear_standardised`, fitted to the training rows, makes of the test rows, and what is to be known of the fit.
    fn linear(&self, rows: &Rows<'_>) -> Result<(Confusion, String), ProbeError> {
        let labels: Vec<u32> = rows.train.iter().map(|&row| self.of_row[row]).collect();
        self.linear_with(rows, &labels)
    }

    /// The same with other labels of the training rows.
    fn linear_with(&self, rows: &Rows<'_>, labels: &[u32]) -> Result<(Confusion, String), ProbeError> {
        let (train, test) = (self.features.select(rows.train), self.features.select(rows.test));
        let groups: Vec<usize> = rows.train.iter().map(|&row| self.groups[row]).collect();
        let fold = Fold { train: &train, labels, groups: &groups, test: &test, classes: self.count, neighbours: None };
        let probe = Probe::LINEAR_STANDARDISED;
        let predicted = (probe.predict)(&probe, &fold)?;
        let truth: Vec<u32> = rows.test.iter().map(|&row| self.of_row[row]).collect();
        Ok((Confusion::new(self.count, &truth, &predicted.classes), predicted.fit.note))
    }
}

/// Training rows and test rows of each fold, with the name of the fold.
fn folds<'a>(cells: &'a Cells) -> impl Iterator<Item = (&'a str, Vec<usize>, Vec<usize>)> {
    let of_fold =
        |(fold, name): (usize, &'a String)| (name.as_str(), cells.rows(|f| f != fold), cells.rows(|f| f == fold));
    cells.folds().iter().enumerate().map(of_fold)
}

#[cfg(test)]
mod tests;
