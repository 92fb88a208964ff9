//! Where features come from: the run or configuration behind them.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use dino::Token;
use results::predictions::Origin;
use run_folder::RunKey;
use run_spec::config::ResolvedConfig;
use run_spec::ids::{Attempt, Digest, digest_json};
use serde_json::{Value, json};

use crate::baselines::Baseline;
use crate::features::Trained;

/// The teacher of a run.
pub(super) fn of_run(trained: &Trained, arm: &str, transductive: Option<bool>) -> Result<Origin> {
    let record = &trained.record;
    let init_weights = record.init.as_ref().map(|init| init.digest);
    let config = record.config.without_seed();
    Ok(Origin {
        run: trained.run.store().uri().to_owned(),
        trial: config.trial_digest(init_weights.as_ref(), &record.shards, &record.code),
        seed: trained.config.seed.into(),
        arm: arm.to_owned(),
        step: trained.checkpoint.step,
        checkpoint: Some(trained.checkpoint.digest),
        config: record.config_digest,
        shards_train: record.shards,
        init_weights,
        code: codes(trained)?,
        device: trained.run.finished()?.map_or_else(|| trained.device.description.clone(), |done| done.device),
        hours: trained.checkpoint.seconds / 3600.0,
        // A row cannot say that its energy is an estimate, so it has none then: `final.json` has both.
        kwh: trained.checkpoint.energy.as_ref().filter(|energy| energy.estimated_kwh == 0.0).map(|energy| energy.kwh),
        transductive,
        token: None,
    })
}

/// The same run's place in a sweep, for features that its training did not make: no step, and no hours charged.
pub(super) fn untrained(of_run: &Origin, baseline: &dyn Baseline) -> Origin {
    let token = of_run.token.clone().filter(|_| baseline.needs_model());
    Origin { step: 0.into(), checkpoint: None, hours: 0.0, kwh: None, transductive: None, token, ..of_run.clone() }
}

/// The same of another output of the model than the CLS token, which has always been meant where none is named.
pub(super) fn with_token(origin: Origin, token: Token) -> Origin {
    Origin { token: (token != Token::Cls).then(|| token.name().to_owned()), ..origin }
}

/// Features without a run.
pub(super) fn of_nothing(config: &ResolvedConfig, features: &str, device: String) -> Origin {
    let digest = config.record().digest_of_all_keys();
    Origin {
        run: features.to_owned(),
        trial: digest,
        seed: config.init_seed().into(),
        arm: String::new(),
        step: 0.into(),
        checkpoint: None,
        config: digest,
        shards_train: Digest::of(b""),
        init_weights: None,
        code: crate::version::CODE.to_owned(),
        device,
        hours: 0.0,
        kwh: None,
        transductive: None,
        token: None,
    }
}

/// The file at `uri`, whose digest says what was scored; `origin` is that of its configuration.
pub(super) fn of_weights(origin: &Origin, uri: &str, digest: &Digest, transductive: Option<bool>) -> Origin {
    let trial = digest_json(&json!({"weights": digest, "config": origin.config}));
    Origin { run: uri.to_owned(), trial, init_weights: Some(*digest), transductive, seed: 0.into(), ..origin.clone() }
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
