//! From a sweep file to a plan: every arm's config resolved, every digest computed. Starts nothing, writes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use run_spec::config::TrainConfig;
use run_spec::ids::{Digest, digest_json, trial_digest};
use serde_json::{Value, json};

use crate::code::Code;
use crate::records::{Arm, EvalSet, Plan, ShardRef};
use crate::sweep_file::{ArmSpec, SweepFile};

/// What the outside world says: digests of shard sets, and the code that will run.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// URI → digest of the shard set there.
    pub(crate) shards: BTreeMap<String, Digest>,
    /// Name of an evaluation set → digest of the file of its split.
    pub(crate) splits: BTreeMap<String, Digest>,
    /// The code.
    pub(crate) code: Code,
    /// Run number, where the code's results are not reusable.
    pub(crate) run: u32,
}

/// The URIs of all shard sets a sweep needs, each once.
pub(crate) fn shard_uris(file: &SweepFile) -> Result<Vec<String>> {
    let mut uris = vec![file.shards.train.clone()];
    uris.extend(file.evals()?.into_iter().map(|eval| eval.uri));
    uris.extend(file.arm_specs()?.into_iter().filter_map(|arm| arm.train_shards));
    uris.sort();
    uris.dedup();
    Ok(uris)
}

/// Resolves `file` to a plan.
pub(crate) fn resolve(file: &SweepFile, facts: &Facts) -> Result<Plan> {
    let what = file.path.display().to_string();
    let base_path = file.path.parent().unwrap_or(Path::new("")).join(&file.base);
    let base = std::fs::read_to_string(&base_path)
        .with_context(|| format!("{what}: `base`: read train config {}", base_path.display()))?;
    resolve_over(file, &base, &base_path.display().to_string(), facts).with_context(|| what)
}

/// [`resolve`] with the text of the base config at hand.
fn resolve_over(file: &SweepFile, base: &str, base_name: &str, facts: &Facts) -> Result<Plan> {
    let shard_ref = |uri: &str| {
        let digest = facts.shards.get(uri).copied();
        digest
            .map(|digest| ShardRef { uri: uri.to_owned(), digest })
            .with_context(|| format!("shard set {uri} was not opened"))
    };
    let common = file.common()?;
    let label = facts.code.label(&file.name, facts.run);
    let mut arms = Vec::new();
    for spec in file.arm_specs()? {
        let config = config_without_seed(file, &common, &spec, base, base_name)
            .with_context(|| format!("arm `{}`", spec.name))?;
        let shards = shard_ref(spec.train_shards.as_deref().unwrap_or(&file.shards.train))?;
        let trial = trial_digest(&config, &shards.digest, &label);
        arms.push(Arm { name: spec.name, delta: spec.delta, config, shards, trial });
    }
    refuse_twins(&arms)?;
    let mut evals = Vec::new();
    for eval in file.evals()? {
        let split_digest = facts.splits.get(&eval.name).copied();
        evals.push(EvalSet {
            shards: shard_ref(&eval.uri)?,
            split_digest: split_digest
                .with_context(|| format!("split {} of {} was not read", eval.split, eval.name))?,
            name: eval.name,
            split: eval.split,
            transductive: eval.transductive,
        });
    }
    let probes = probes_digest(&evals, &file.probe.options);
    let trials: BTreeMap<&str, Digest> = arms.iter().map(|arm| (arm.name.as_str(), arm.trial)).collect();
    let digest = digest_json(&json!({
        "name": file.name, "reference": file.reference, "evidence": file.evidence, "seeds": file.seeds, "trials": trials, "probes": probes,
    }));
    Ok(Plan {
        name: file.name.clone(),
        digest,
        code: facts.code.clone(),
        run: facts.run,
        reference: file.reference.clone(),
        evidence: file.evidence,
        seeds: file.seeds.clone(),
        arms,
        evals,
        probe_options: file.probe.options.clone(),
        probes,
        slots: file.slots,
        time_limit_s: file.time_limit_s,
    })
}

/// Base < `set` < arm < `threads`. Seed and everything drawn from it are the sweep's, not the arm's.
fn config_without_seed(
    file: &SweepFile,
    common: &BTreeMap<String, Value>,
    arm: &ArmSpec,
    base: &str,
    base_name: &str,
) -> Result<Value> {
    let mut sets: Vec<String> = common.iter().chain(&arm.delta).map(|(key, value)| format!("{key}={value}")).collect();
    if let Some(threads) = file.threads {
        sets.push(format!("train.threads={threads}"));
    }
    let (_, mut config) = TrainConfig::from_yaml(base, base_name, &sets)?;
    if let Some(map) = config.as_object_mut() {
        map.remove("seed");
    }
    Ok(config)
}

/// Two names for one experiment would show a difference of exactly nothing, as if it had been measured.
fn refuse_twins(arms: &[Arm]) -> Result<()> {
    let mut seen: BTreeMap<Digest, &str> = BTreeMap::new();
    for arm in arms {
        if let Some(twin) = seen.insert(arm.trial, &arm.name) {
            bail!(
                "arms `{twin}` and `{}` resolve to the same config and shards: change one, or leave it out",
                arm.name
            );
        }
    }
    Ok(())
}

fn probes_digest(evals: &[EvalSet], options: &BTreeMap<String, Value>) -> Digest {
    let set = |eval: &EvalSet| {
        let EvalSet { name, shards, split, split_digest, transductive } = eval;
        json!({
            "name": name, "shards": shards.digest, "split": split, "split_digest": split_digest, "transductive": transductive,
        })
    };
    digest_json(&json!({"evals": evals.iter().map(set).collect::<Vec<_>>(), "options": options}))
}

/// The config of one seed: what the worker reads and what lies beside the run.
pub(crate) fn config_of_seed(arm: &Arm, seed: u64) -> Value {
    let mut config = arm.config.clone();
    if let Some(map) = config.as_object_mut() {
        map.insert("seed".to_owned(), json!(seed));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEEP: &str = "
name: small
base: tiny.yaml
shards: {train: ./patches, eval: [{name: cells, uri: ./cells, split: grouped}]}
arms:
  reference:
  koleo-on: {loss.koleo_weight: 0.1}
seeds: [0, 1]
";
    const BASE: &str = "model: {dim: 96, depth: 2, heads: 3}\n";

    fn facts(version: &str) -> Facts {
        let shards = ["./patches", "./cells", "./moved"].map(|uri| (uri.to_owned(), Digest::of(b"pixels")));
        let splits = BTreeMap::from([("cells".to_owned(), Digest::of(b"split"))]);
        Facts { shards: BTreeMap::from(shards), splits, code: Code { version: version.into(), binary: None }, run: 1 }
    }

    fn plan(sweep: &str, version: &str) -> Result<Plan> {
        resolve_over(&SweepFile::parse(sweep, "s.yaml").unwrap(), BASE, "tiny.yaml", &facts(version))
    }

    #[test]
    fn arms_differ_by_their_delta_alone_and_no_config_holds_a_seed() {
        let plan = plan(SWEEP, "0.1.0+a").unwrap();
        let (mut koleo, reference) = (plan.arms[1].config.clone(), &plan.arms[0].config);
        assert_eq!(koleo["loss"]["koleo_weight"], json!(0.1));
        koleo["loss"]["koleo_weight"] = reference["loss"]["koleo_weight"].clone();
        assert_eq!(&koleo, reference);
        assert!(reference.get("seed").is_none());
        assert_eq!(config_of_seed(&plan.arms[0], 7)["seed"], json!(7));
    }

    #[test]
    fn a_digest_counts_config_pixels_and_code_but_not_places_names_or_limits() {
        let base = plan(SWEEP, "0.1.0+a").unwrap();
        let same = SWEEP
            .replace("train: ./patches", "train: ./moved")
            .replace("koleo-on", "renamed")
            .replace("seeds:", "slots: 3\ntime_limit_s: 9\nseeds:");
        let other = plan(&same, "0.1.0+a").unwrap();
        let trials = |plan: &Plan| plan.arms.iter().map(|arm| arm.trial).collect::<Vec<_>>();
        assert_eq!(trials(&base), trials(&other));
        assert_ne!(trials(&base), trials(&plan(SWEEP, "0.1.0+b").unwrap()));
        assert_ne!(
            trials(&base),
            trials(&plan(&format!("{SWEEP}set: {{optim.base_lr: 0.001}}\n"), "0.1.0+a").unwrap())
        );
    }

    #[test]
    fn another_split_measures_the_same_trial_anew() {
        let base = plan(SWEEP, "0.1.0+a").unwrap();
        let other = plan(&SWEEP.replace("split: grouped", "split: loso"), "0.1.0+a").unwrap();
        let (a, b) = (base.trials()[0], other.trials()[0]);
        assert_eq!(a.run_key(), b.run_key());
        assert_ne!(a.attempts_key(), b.attempts_key());
    }

    #[test]
    fn trials_go_seed_by_seed() {
        let plan = plan(SWEEP, "0.1.0+a").unwrap();
        let labels: Vec<String> = plan.trials().iter().map(|trial| trial.label()).collect();
        assert_eq!(labels, ["reference/seed-0", "koleo-on/seed-0", "reference/seed-1", "koleo-on/seed-1"]);
    }

    #[test]
    fn an_arm_that_changes_nothing_is_refused() {
        let error = plan(&SWEEP.replace("0.1}", "0.0}"), "0.1.0+a").unwrap_err().to_string();
        assert!(error.contains("`reference` and `koleo-on` resolve to the same"), "{error}");
    }

    #[test]
    fn a_misspelt_delta_names_the_arm_and_the_nearest_key() {
        let error = plan(&SWEEP.replace("koleo_weight", "koleo_wieght"), "0.1.0+a").unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("arm `koleo-on`") && error.contains("did you mean `loss.koleo_weight`?"), "{error}");
    }

    /// The digest of a small plan, frozen: if this changes, every finished trial in every store is orphaned.
    #[test]
    fn the_digest_of_a_trial_is_stable() {
        let config =
            json!({"model": {"dim": 96}, "loss": {"koleo_weight": 0.1}, "optim": {"lr": null, "min_lr": 1e-6}});
        let digest = trial_digest(&config, &Digest::of(b"pixels"), "0.1.0+1a2b3c4");
        assert_eq!(digest.to_string(), GOLDEN_TRIAL);
        let evals = [EvalSet {
            name: "cells".into(),
            shards: ShardRef { uri: "x".into(), digest: Digest::of(b"cells") },
            split: "grouped".into(),
            split_digest: Digest::of(b"split"),
            transductive: false,
        }];
        assert_eq!(probes_digest(&evals, &BTreeMap::new()).to_string(), GOLDEN_PROBES);
    }

    /// By `orchestrator/tests/golden/make_trial_digest.py` (Python's blake3 over canonical JSON written by hand).
    const GOLDEN_TRIAL: &str = "4da01dbb20985e23058f40b76c7246fe0a15bf456ef1a146c0bd900f127775d0";
    const GOLDEN_PROBES: &str = "71e96f5e8ace663290651f30b75afe3537135768552c37c5ff5009523cba7302";
}
