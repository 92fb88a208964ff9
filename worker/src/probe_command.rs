//! `worker probe`: a run's teacher features on a labelled cell set, always beside random weights of the same model and a
//! colour histogram, so that a reader sees what training added.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use dino::Encoder;
use probe::metrics::Metric;
use probe::protocol::{Cells, Evaluation, Probe, evaluate};
use probe::{Features, histogram};
use rayon::prelude::*;
use results::ResultRow;
use results::stats::Bootstrap;
use run_spec::ids::{Digest, trial_digest};
use serde_json::Value;
use shards::ShardSet;
use store::Store;

use crate::cli::ProbeArgs;
use crate::export::split_uri;
use crate::features::{self, Trained};
use crate::output;

/// Scores a run and prints a table; with `--out` the rows go there too.
pub(crate) fn probe(args: &ProbeArgs) -> Result<()> {
    let out = args.out.as_deref().map(split_uri).transpose()?;
    let trained = features::open(&args.model)?;
    let shards = ShardSet::open(&Store::open(&args.shards)?)?;
    let cells = Arc::new(labelled_cells(&shards, &args.split)?);
    tracing::info!(cells = cells.len(), classes = cells.classes().names().len(), groups = cells.groups(), "probing");

    let side = trained.config.crops.global_size;
    let mut evaluations = Vec::new();
    let mut add = |name: &'static str, values: Vec<f32>, dim: usize| -> Result<()> {
        let began = std::time::Instant::now();
        let evaluation = evaluate(&cells, &Features::new(dim, values)?, &Probe::PUBLISHED)?;
        tracing::info!(features = name, seconds = began.elapsed().as_secs_f64(), "probed");
        evaluations.push((name, evaluation));
        Ok(())
    };
    let (values, dim) = features::extract(&trained.teacher, side, &shards, args.batch, "teacher features")?;
    add(results::TEACHER, values, dim)?;
    if !args.no_random {
        let random = Encoder::random(&trained.config, trained.config.init_seed(), trained.place.device)?;
        let (values, dim) = features::extract(&random, side, &shards, args.batch, "random-weights features")?;
        add("random", values, dim)?;
    }
    if !args.no_histogram {
        add("histogram", histograms(&shards)?, histogram::DIM)?;
    }

    let rows = rows(args, &trained, &shards, &evaluations)?;
    if let Some((folder, name)) = out {
        let text = results::row::to_json_lines(&rows)?;
        Store::open(folder)?.create(name, text.into()).with_context(|| format!("write {name}"))?;
    }
    print(args, &trained, &evaluations)
}

/// Every row of the set with its label, group and fold.
fn labelled_cells(shards: &ShardSet, split: &str) -> Result<Cells> {
    let folds = shards.split(split)?;
    let (mut labels, mut groups, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let mut unlabelled = 0u64;
    for meta in shards.metas() {
        let Some(label) = meta.label else {
            unlabelled += 1;
            continue;
        };
        let fold =
            folds.fold_of(&meta.group).with_context(|| format!("split {split}: group {} has no fold", meta.group))?;
        names.push(folds.fold_name(fold).map_or_else(|| fold.to_string(), str::to_owned));
        labels.push(label);
        groups.push(meta.group);
    }
    if unlabelled > 0 {
        bail!(
            "{}: {unlabelled} of {} rows have no label; probe a set built with --product cells from labelled sources",
            shards.store().uri(),
            shards.len()
        );
    }
    Ok(Cells::new(&labels, &groups, &names)?)
}

fn histograms(shards: &ShardSet) -> Result<Vec<f32>> {
    let rows = (0..shards.len())
        .into_par_iter()
        .map(|row| Ok(histogram::colour_histogram(&shards.rgb(row)?.data)))
        .collect::<Result<Vec<_>>>()?;
    Ok(rows.concat())
}

fn rows(
    args: &ProbeArgs,
    trained: &Trained,
    shards: &ShardSet,
    evaluations: &[(&str, Evaluation)],
) -> Result<Vec<ResultRow>> {
    let mut without_seed = trained.record.config.clone();
    if let Some(map) = without_seed.as_object_mut() {
        map.remove("seed");
    }
    let trial: Digest = trial_digest(&without_seed, &trained.record.shards, &trained.record.code);
    let device = trained.run.finished()?.map_or_else(|| trained.place.words.clone(), |done| done.device);
    let mark = if args.transductive { "transductive" } else { "" };
    let mut rows = Vec::new();
    for (features, evaluation) in evaluations {
        for score in evaluation.scores() {
            let note = [mark, &score.note].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
            rows.push(ResultRow {
                run: trained.run.store().uri().to_owned(),
                trial,
                seed: trained.config.seed,
                arm: args.arm.clone(),
                features: (*features).to_owned(),
                step: if *features == results::TEACHER { trained.checkpoint.step } else { 0 },
                config: trained.record.config_digest,
                shards_train: trained.record.shards,
                shards_eval: shards.digest(),
                code: trained.record.code.clone(),
                dataset: args.dataset.clone().unwrap_or_else(|| dataset_name(shards)),
                split: args.split.clone(),
                fold: score.fold,
                probe: score.probe,
                metric: score.metric.name().to_owned(),
                value: score.value,
                n: score.n,
                n_train: score.n_train,
                device: device.clone(),
                hours: trained.checkpoint.seconds / 3600.0,
                kwh: None,
                note,
            });
        }
    }
    Ok(rows)
}

/// The sources of a set, joined.
fn dataset_name(shards: &ShardSet) -> String {
    let manifest = serde_json::to_value(shards.manifest()).unwrap_or(Value::Null);
    match &manifest["sources"] {
        Value::Object(map) => map.keys().cloned().collect::<Vec<_>>().join("+"),
        Value::Array(list) => list.iter().filter_map(|entry| entry["name"].as_str()).collect::<Vec<_>>().join("+"),
        _ => "cells".to_owned(),
    }
}

fn print(args: &ProbeArgs, trained: &Trained, evaluations: &[(&str, Evaluation)]) -> Result<()> {
    let Some((_, first)) = evaluations.first() else { return Ok(()) };
    let cells = first.cells();
    output::line(format!(
        "{} cells, {} classes, {} groups, split {} ({} folds), step {}{}",
        cells.len(),
        cells.classes().names().len(),
        cells.groups(),
        args.split,
        cells.folds().len(),
        trained.checkpoint.step,
        if args.transductive { ", transductive: pretraining saw these images" } else { "" }
    ));
    output::line(format!(
        "{:<10} {:<7} {:>15} {:>15} {:>15}  weighted F1, 95 % over groups",
        "features", "probe", "accuracy", "balanced acc.", "weighted F1"
    ));
    let bootstrap = Bootstrap { resamples: args.bootstrap, level: 0.95, seed: 0 };
    for (features, evaluation) in evaluations {
        for probe in Probe::PUBLISHED {
            let cell = |metric| -> Result<String> {
                let summary = evaluation.summary(probe, metric)?;
                Ok(format!("{:.3} ± {:.3}", summary.mean, summary.std.unwrap_or(0.0)))
            };
            let interval = if args.bootstrap == 0 {
                String::new()
            } else {
                let interval = evaluation.interval(probe, Metric::WeightedF1, &bootstrap)?;
                let against = match *features == results::TEACHER {
                    true => differences(evaluation, evaluations, probe, &bootstrap)?,
                    false => String::new(),
                };
                format!("[{:.3}, {:.3}]{against}", interval.lo, interval.hi)
            };
            output::line(format!(
                "{features:<10} {:<7} {:>15} {:>15} {:>15}  {interval}",
                probe.name(),
                cell(Metric::Accuracy)?,
                cell(Metric::BalancedAccuracy)?,
                cell(Metric::WeightedF1)?
            ));
        }
    }
    Ok(())
}

/// What training added over each baseline, on the same draws of groups.
fn differences(
    teacher: &Evaluation,
    all: &[(&str, Evaluation)],
    probe: Probe,
    bootstrap: &Bootstrap,
) -> Result<String> {
    let mut text = String::new();
    for (name, other) in all.iter().filter(|(name, _)| *name != results::TEACHER) {
        let (difference, interval) = teacher.paired_difference(other, probe, Metric::WeightedF1, bootstrap)?;
        text.push_str(&format!("; {difference:+.3} [{:+.3}, {:+.3}] to {name}", interval.lo, interval.hi));
    }
    Ok(text)
}
