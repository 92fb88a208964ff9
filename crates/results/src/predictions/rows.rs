//! From counts of predictions to result rows.

use super::{FeaturesRecord, Fit, Measure, Metadata, OptimumDistance, Spread, Task};
use crate::row::{ALL_FOLDS, OPTIMUM_CHANGES, OPTIMUM_DISTANCE, PROBE_OF_FEATURES};
use crate::stats::score::{ClassCounts, Metric};
use crate::{ResultRow, ResultsError};

/// Counts of one set of features: by probe, fold and class.
pub(super) type Tally = Vec<Vec<Vec<ClassCounts>>>;

/// The rows of all features: of each probe and fold its scores, the scores of each class and how far the fit is from its
/// optimum; then what is known of the features themselves, and what further evaluations found.
pub(super) fn rows(metadata: &Metadata, tallies: &[Tally]) -> Vec<ResultRow> {
    let mut rows = Vec::new();
    for (record, tally) in metadata.features.iter().zip(tallies) {
        for (fits, of_probe) in record.fits.iter().zip(tally) {
            for (fit, counts) in fits.folds.iter().zip(of_probe) {
                let row = of_fit(&metadata.task, record, &fits.probe, fit, counts);
                rows.extend(scores(&row, counts));
                rows.extend(scores_of_classes(&row, &metadata.task.classes, counts));
                rows.extend(fit.optimum.iter().flat_map(|&distance| distances(&row, distance)));
            }
        }
        if let Some(spread) = record.spread {
            let cells = tally.first().map_or(0, |folds| folds.iter().flatten().map(|class| class.support).sum());
            let fit = Fit { fold: ALL_FOLDS.to_owned(), n_train: 0, note: String::new(), c: None, optimum: None };
            let row = ResultRow { n: cells, ..of_fit(&metadata.task, record, PROBE_OF_FEATURES, &fit, &[]) };
            rows.extend(of_features(&row, spread));
        }
        rows.extend(record.measures.iter().map(|measure| of_measure(&metadata.task, record, measure)));
    }
    rows
}

/// A row of one probe and fold, without metric and value.
pub(super) fn of_fit(
    task: &Task,
    FeaturesRecord { features, origin, .. }: &FeaturesRecord,
    probe: &str,
    fit: &Fit,
    counts: &[ClassCounts],
) -> ResultRow {
    ResultRow {
        run: origin.run.clone(),
        trial: origin.trial,
        seed: origin.seed,
        arm: origin.arm.clone(),
        features: features.clone(),
        step: origin.step,
        config: origin.config,
        shards_train: origin.shards_train,
        shards_eval: task.shards_eval,
        init_weights: origin.init_weights,
        code: origin.code.clone(),
        code_probe: Some(task.code_probe.clone()),
        dataset: task.dataset.clone(),
        split: task.split.clone(),
        split_digest: Some(task.split_digest),
        fold: fit.fold.clone(),
        probe: probe.to_owned(),
        metric: String::new(),
        class: None,
        evaluation: None,
        fraction: None,
        labels_per_class: None,
        repeat: None,
        token: origin.token.clone(),
        value: 0.0,
        n: counts.iter().map(|class| class.support).sum(),
        n_train: fit.n_train,
        device: origin.device.clone(),
        hours: origin.hours,
        kwh: origin.kwh,
        transductive: origin.transductive,
        note: fit.note.clone(),
    }
}

/// The row of one number of a further evaluation.
fn of_measure(task: &Task, record: &FeaturesRecord, measure: &Measure) -> ResultRow {
    let Measure { fold, note, n_train, .. } = measure.clone();
    let fit = Fit { fold, n_train, note, c: None, optimum: None };
    ResultRow {
        evaluation: Some(measure.evaluation.clone()),
        metric: measure.metric.clone(),
        class: measure.class.clone(),
        fraction: measure.fraction,
        labels_per_class: measure.labels_per_class,
        repeat: measure.repeat,
        value: measure.value,
        n: measure.n,
        ..of_fit(task, record, &measure.probe, &fit, &[])
    }
}

fn with(row: &ResultRow, metric: &str, value: f64) -> ResultRow {
    ResultRow { metric: metric.to_owned(), value, ..row.clone() }
}

fn scores<'a>(row: &'a ResultRow, counts: &'a [ClassCounts]) -> impl Iterator<Item = ResultRow> + 'a {
    Metric::ALL.into_iter().map(|metric| with(row, metric.name(), metric.of(counts.iter().copied())))
}

fn scores_of_classes<'a>(
    row: &'a ResultRow,
    classes: &'a [String],
    counts: &'a [ClassCounts],
) -> impl Iterator<Item = ResultRow> + 'a {
    classes.iter().zip(counts).flat_map(move |(class, counts)| {
        let metrics = [
            ("precision", counts.precision()),
            ("recall", counts.recall()),
            ("f1", counts.f1()),
            ("support", counts.support as f64),
        ];
        metrics.map(|(metric, value)| ResultRow { class: Some(class.clone()), ..with(row, metric, value) })
    })
}

fn distances(row: &ResultRow, distance: OptimumDistance) -> [ResultRow; 2] {
    [with(row, OPTIMUM_DISTANCE, distance.objective), with(row, OPTIMUM_CHANGES, distance.predictions)]
}

fn of_features(row: &ResultRow, spread: Spread) -> impl Iterator<Item = ResultRow> + '_ {
    let values = [
        ("median_std", Some(spread.median_std)),
        ("effective_rank", Some(spread.effective_rank)),
        ("alignment", spread.alignment),
        ("uniformity", spread.uniformity),
    ];
    values.into_iter().filter_map(|(metric, value)| value.map(|value| with(row, metric, value)))
}

/// Refuses metadata with a number that is not finite, which JSON would write as null.
pub(super) fn verify(metadata: &Metadata) -> Result<(), ResultsError> {
    for record in &metadata.features {
        let fits = || record.fits.iter().flat_map(|of| &of.folds);
        let chosen = fits().filter_map(|fit| fit.c).map(|value| ("C", value));
        let distances = fits().filter_map(|fit| fit.optimum);
        let distances = distances.flat_map(|d| [(OPTIMUM_DISTANCE, d.objective), (OPTIMUM_CHANGES, d.predictions)]);
        let spread = record.spread.iter().flat_map(|s| {
            let known = [("median_std", s.median_std), ("effective_rank", s.effective_rank)];
            let optional = [("alignment", s.alignment), ("uniformity", s.uniformity)];
            known.into_iter().chain(optional.into_iter().filter_map(|(name, value)| Some((name, value?))))
        });
        let origin = [("hours", record.origin.hours), ("kwh", record.origin.kwh.unwrap_or(0.0))];
        let measured = record.measures.iter().flat_map(|measure| {
            [(measure.metric.as_str(), measure.value), ("fraction", measure.fraction.unwrap_or(1.0))]
        });
        for (name, value) in chosen.chain(distances).chain(spread).chain(origin).chain(measured) {
            if !value.is_finite() {
                let subject = format!("{name} of {}", record.features);
                return Err(ResultsError::NotFinite { subject, value });
            }
        }
    }
    Ok(())
}
