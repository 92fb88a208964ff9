//! Result rows: scores with everything that says where they come from.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use results::ResultRow;
use run_folder::RunKey;
use run_spec::config::ResolvedConfig;
use run_spec::ids::{Attempt, Digest, Seed, Step};
use serde_json::Value;
use shards::{ShardSet, split_key};

use super::Scored;
use crate::cli::ScoringArgs;
use crate::features::Trained;

/// Where features come from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Name of the run.
    pub(crate) run: String,
    /// Digest of the trial.
    pub(crate) trial: Digest,
    /// Seed of the trial.
    pub(crate) seed: Seed,
    /// Arm of the sweep.
    pub(crate) arm: String,
    /// Training steps behind the features.
    pub(crate) step: Step,
    /// Digest of the resolved config.
    pub(crate) config: Digest,
    /// Digest of the shard set trained on; of no bytes where nothing was trained.
    pub(crate) shards_train: Digest,
    /// Digest of the initial weights, where they come from a file.
    pub(crate) init_weights: Option<Digest>,
    /// Version of the code that trained.
    pub(crate) code: String,
    /// What trained, in words.
    pub(crate) device: String,
    /// Hours of training on that device.
    pub(crate) hours: f64,
    /// Whether training saw images of the evaluation set, as far as that is known.
    pub(crate) transductive: Option<bool>,
}

impl Origin {
    /// The teacher of a run.
    pub(crate) fn of_run(trained: &Trained, arm: &str, transductive: Option<bool>) -> Result<Self> {
        let record = &trained.record;
        let init_weights = record.init.as_ref().map(|init| init.digest);
        let config = record.config.without_seed();
        Ok(Self {
            run: trained.run.store().uri().to_owned(),
            trial: config.trial_digest(init_weights.as_ref(), &record.shards, &record.code),
            seed: trained.config.seed.into(),
            arm: arm.to_owned(),
            step: trained.checkpoint.step,
            config: record.config_digest,
            shards_train: record.shards,
            init_weights,
            code: codes(trained)?,
            device: trained.run.finished()?.map_or_else(|| trained.device.description.clone(), |done| done.device),
            hours: trained.checkpoint.seconds / 3600.0,
            transductive,
        })
    }

    /// The same run's place in a sweep, for features that its training did not make: no step, and no hours charged.
    pub(crate) fn untrained(&self) -> Self {
        Self { step: 0.into(), hours: 0.0, transductive: None, ..self.clone() }
    }

    /// Features without a run.
    pub(crate) fn of_nothing(config: &ResolvedConfig, features: &str, device: String) -> Self {
        let digest = config.record().digest_of_all_keys();
        Self {
            run: features.to_owned(),
            trial: digest,
            seed: config.init_seed().into(),
            arm: String::new(),
            step: 0.into(),
            config: digest,
            shards_train: Digest::of(b""),
            init_weights: None,
            code: crate::version::CODE.to_owned(),
            device,
            hours: 0.0,
            transductive: None,
        }
    }
}

/// The code versions of all attempts that made a checkpoint, in the order of their first attempt.
fn codes(trained: &Trained) -> Result<String> {
    let store = trained.run.store();
    let mut codes = vec![trained.record.code.clone()];
    let mut seen = BTreeSet::from([trained.record.code.clone()]);
    for attempt in (1..=trained.checkpoint.attempt.get()).map(Attempt::new) {
        let key = RunKey::Attempt(attempt).to_string();
        if !store.exists(&key)? {
            continue;
        }
        let record: Value = store.read_record(&key).context("which code trained")?;
        codes.extend(record["code"].as_str().filter(|code| seen.insert((*code).to_owned())).map(str::to_owned));
    }
    Ok(codes.join(", "))
}

/// Digest of the file of a split.
pub(crate) fn split_digest(shards: &ShardSet, split: &str) -> Result<Digest> {
    Ok(Digest::of(&shards.store().get(&split_key(split))?))
}

/// The rows of all scores.
pub(crate) fn rows(args: &ScoringArgs, shards: &ShardSet, scored: &[Scored]) -> Result<Vec<ResultRow>> {
    let split_digest = split_digest(shards, &args.split)?;
    let dataset = args.dataset.clone().unwrap_or_else(|| dataset_name(shards));
    let mut rows = Vec::new();
    for (features, origin, evaluation) in scored {
        for score in evaluation.scores() {
            let origin = origin.clone();
            rows.push(ResultRow {
                run: origin.run,
                trial: origin.trial,
                seed: origin.seed,
                arm: origin.arm,
                features: (*features).to_owned(),
                step: origin.step,
                config: origin.config,
                shards_train: origin.shards_train,
                shards_eval: shards.digest(),
                init_weights: origin.init_weights,
                code: origin.code,
                code_probe: Some(crate::version::CODE.to_owned()),
                dataset: dataset.clone(),
                split: args.split.clone(),
                split_digest: Some(split_digest),
                fold: score.fold,
                probe: score.probe,
                metric: score.metric.name().to_owned(),
                class: None,
                value: score.value,
                n: score.n,
                n_train: score.n_train,
                device: origin.device,
                hours: origin.hours,
                kwh: None,
                transductive: origin.transductive,
                note: score.note,
            });
        }
    }
    Ok(rows)
}

/// The sources of a set, joined.
fn dataset_name(shards: &ShardSet) -> String {
    let names: Vec<&str> = shards.manifest().sources.iter().map(|source| source.name.as_str()).collect();
    if names.is_empty() { "cells".to_owned() } else { names.join("+") }
}
