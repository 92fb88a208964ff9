//! From evaluations to the file of predictions, and from that file to the result rows.

use std::sync::Arc;

use anyhow::{Context, Result};
use probe::probes::Fit;
use probe::protocol::Evaluation;
use results::predictions::{
    self, Cell, FeaturesRecord, OptimumDistance, Predicted, Predictions, ProbeColumn, ProbeFits, Task, Writer,
};
use shards::ShardSet;

use super::{Scored, Scoring};
use crate::cli::ScoringArgs;

/// The predictions of all evaluations, as a file.
pub(super) fn file(args: &ScoringArgs, scoring: &Scoring, scored: &[Scored]) -> Result<Predictions> {
    let first = &scored.first().context("nothing was scored")?.evaluation;
    let mut writer = Writer::new(Vec::new(), task(args, scoring, first))?;
    for of_features in scored {
        let cells = cells(&scoring.shards, &of_features.evaluation);
        let predicted: Vec<Predicted<'_>> = of_features.evaluation.predictions().iter().map(predicted).collect();
        writer.write(record(of_features), cells, &predicted)?;
    }
    Ok(Predictions::open(writer.finish()?, "the file of predictions")?)
}

fn task(args: &ScoringArgs, scoring: &Scoring, evaluation: &Evaluation) -> Task {
    let probes = evaluation
        .predictions()
        .iter()
        .map(|of| ProbeColumn { name: of.probe.name.to_owned(), probabilities: of.probabilities.is_some() });
    Task {
        dataset: args.dataset.clone().unwrap_or_else(|| dataset_name(&scoring.shards)),
        split: args.split.clone(),
        split_digest: scoring.split_digest,
        shards_eval: scoring.shards.digest(),
        classes: evaluation.cells().classes().names().to_vec(),
        folds: evaluation.cells().folds().to_vec(),
        probes: probes.collect(),
        code_probe: crate::version::CODE.to_owned(),
    }
}

/// The sources of a set, joined.
fn dataset_name(shards: &ShardSet) -> String {
    let names: Vec<&str> = shards.manifest().sources.iter().map(|source| source.name.as_str()).collect();
    if names.is_empty() { "cells".to_owned() } else { names.join("+") }
}

/// The rows of the set, with classes and folds by number.
fn cells<'a>(shards: &'a ShardSet, evaluation: &'a Evaluation) -> impl Iterator<Item = Cell> + 'a {
    let cells = evaluation.cells();
    let numbers = cells.fold_of_row().iter().zip(cells.classes().of_row());
    shards.metas().zip(numbers).map(|(meta, (&fold, &truth))| Cell {
        id: meta.id,
        pixel_digest: meta.pixel_digest,
        source: Arc::clone(&meta.source),
        group: Arc::clone(&meta.group),
        fold,
        truth,
    })
}

fn predicted(of: &probe::protocol::Predictions) -> Predicted<'_> {
    Predicted { classes: &of.of_row, probabilities: of.probabilities.as_deref() }
}

fn record(Scored { features, origin, evaluation, spread, measures }: &Scored) -> FeaturesRecord {
    let cells = evaluation.cells();
    let n_train: Vec<u64> = cells.fold_sizes().iter().map(|&tested| (cells.len() - tested) as u64).collect();
    let fits = evaluation.predictions().iter().map(|of| {
        let folds = cells.folds().iter().zip(&n_train).zip(&of.fits);
        let folds = folds.map(|((fold, &n_train), fit)| recorded(fit, fold, n_train));
        ProbeFits { probe: of.probe.name.to_owned(), folds: folds.collect() }
    });
    FeaturesRecord {
        features: features.clone(),
        origin: origin.clone(),
        spread: Some(predictions::Spread {
            median_std: spread.median_std,
            effective_rank: spread.effective_rank,
            alignment: spread.alignment,
            uniformity: spread.uniformity,
        }),
        fits: fits.collect(),
        measures: measures.clone(),
    }
}

fn recorded(fit: &Fit, fold: &str, n_train: u64) -> predictions::Fit {
    let optimum = fit
        .optimum
        .map(|distance| OptimumDistance { objective: distance.objective, predictions: distance.predictions });
    predictions::Fit { fold: fold.to_owned(), n_train, note: fit.note.clone(), c: fit.c, optimum }
}

/// Where the predictions go that belong to the rows at `rows`: `predictions-NAME.parquet` beside `rows-NAME.jsonl`.
pub(super) fn beside(rows: &str) -> String {
    let at = rows.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, file) = rows.split_at(at);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    match stem.strip_prefix("rows") {
        Some(rest) => format!("{folder}predictions{rest}.parquet"),
        None => format!("{folder}predictions-{stem}.parquet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_named_after_their_rows() {
        assert_eq!(beside("s3://b/t/rows-cells.jsonl"), "s3://b/t/predictions-cells.parquet");
        assert_eq!(beside("rows.jsonl"), "predictions.parquet");
        assert_eq!(beside("./a.b/scores.jsonl"), "./a.b/predictions-scores.parquet");
        assert_eq!(beside("./a.b/scores"), "./a.b/predictions-scores.parquet");
    }
}
