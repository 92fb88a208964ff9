//! From a sweep file to a plan: every arm's config resolved, every digest computed. Starts nothing, writes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use results::measures::{Evaluation, Primary};
use results::stats::verdict::Rules;
use results::table::Published;
use run_spec::config::{ArmConfig, Delta, ResolvedConfig};
use run_spec::ids::{Digest, digest_json};
use run_spec::yaml::Yaml;
use serde_json::{Value, json};

use crate::code::Code;
use crate::records::{Arm, Baseline, EvalSet, Plan, ShardRef};
use crate::sweep_file::SweepFile;

mod baselines;

/// What the outside world says: digests of shard sets and initial weights, and the code that will run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// URI → digest of the shard set there.
    pub(crate) shards: BTreeMap<String, Digest>,
    /// Name of an evaluation set → digest of the file of its split.
    pub(crate) splits: BTreeMap<String, Digest>,
    /// URI of `init.weights` → digest of the file there.
    pub(crate) init_weights: BTreeMap<String, Digest>,
    /// The code version that the trials run with.
    pub(crate) code: Code,
    /// Run number, where the code's results are not reusable.
    pub(crate) run: u32,
}

impl Facts {
    fn shard_ref(&self, uri: &str) -> Result<ShardRef> {
        let digest = *self.shards.get(uri).with_context(|| format!("shard set {uri} was not opened"))?;
        Ok(ShardRef { uri: uri.to_owned(), digest })
    }
}

impl Facts {
    /// The facts that a recorded plan was made of: with them, the same file gives the same plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let sets = plan.arms.iter().map(|arm| &arm.shards).chain(plan.evals.iter().map(|eval| &eval.shards));
        let weights = |arm: &Arm| Some((arm.config.init_weights()?.to_owned(), arm.init_weights?));
        let released = |baseline: &Baseline| Some((baseline.weights.as_ref()?.uri.clone(), baseline.arm.init_weights?));
        Self {
            shards: sets.map(|set| (set.uri.clone(), set.digest)).collect(),
            splits: plan.evals.iter().map(|eval| (eval.name.clone(), eval.split_digest)).collect(),
            init_weights: plan
                .arms
                .iter()
                .filter_map(weights)
                .chain(plan.baselines.iter().filter_map(released))
                .collect(),
            code: plan.code.clone(),
            run: plan.run,
        }
    }
}

/// The URIs of all initial weights that arms start from, each once.
pub(crate) fn weights_uris(file: &SweepFile) -> Result<Vec<String>> {
    let base = read_base(file)?;
    let common = file.common()?;
    let mut uris = Vec::new();
    for spec in file.arm_specs()? {
        let config = arm_config(&base, &file.deltas(&common, &spec)).with_context(|| format!("arm `{}`", spec.name))?;
        uris.extend(config.init_weights().map(str::to_owned));
    }
    uris.sort();
    uris.dedup();
    Ok(uris)
}

/// Where `init.weights` got the value `uri`: a line of the sweep file, or the file of the base config.
pub(crate) fn place_of_weights(file: &SweepFile, uri: &str) -> Result<String> {
    let common = file.common()?;
    for spec in file.arm_specs()? {
        let deltas = file.deltas(&common, &spec);
        if let Some(delta) = deltas.iter().rev().find(|delta| delta.key == "init.weights" && delta.value == uri) {
            return Ok(delta.what.clone());
        }
    }
    Ok(file.path.parent().unwrap_or(Path::new("")).join(&file.base).display().to_string())
}

/// The URIs of all shard sets a sweep needs, each once.
pub(crate) fn shard_uris(file: &SweepFile) -> Result<Vec<String>> {
    let mut uris = Vec::new();
    uris.extend((!file.shards.train.is_empty()).then(|| file.shards.train.clone()));
    uris.extend(file.evals()?.into_iter().map(|eval| eval.uri));
    uris.extend(file.arm_specs()?.into_iter().filter_map(|arm| arm.train_shards));
    uris.sort();
    uris.dedup();
    Ok(uris)
}

/// Which options of the probe are in the digest of how trials are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Those that scores depend on: trials that are finished stay so where features are to be kept from now on.
    Scores,
    /// All of them, as versions before this rule had it.
    All,
}

impl Counted {
    /// The rules by which a plan of `file` may have been made, the newest first.
    pub(crate) fn rules(file: &SweepFile) -> &'static [Self] {
        if file.probe.options.contains_key(KEEP_FEATURES) { &[Self::Scores, Self::All] } else { &[Self::Scores] }
    }
}

/// The option of the probe that says which features stay in the store; no score depends on it.
const KEEP_FEATURES: &str = "keep_features";

/// Resolves `file` to a plan.
pub(crate) fn resolve(file: &SweepFile, facts: &Facts) -> Result<Plan> {
    resolve_by(Counted::Scores, file, facts)
}

/// Resolves `file` to a plan whose digests count those options.
pub(crate) fn resolve_by(counted: Counted, file: &SweepFile, facts: &Facts) -> Result<Plan> {
    resolve_over(file, &read_base(file)?, facts, counted)
}

/// The base config, before anything is laid over it.
fn read_base(file: &SweepFile) -> Result<Yaml> {
    read_config(file, &file.base, "base")
}

/// The train config at `path`, relative to the sweep file, which names it under `key`.
fn read_config(file: &SweepFile, path: &str, key: &str) -> Result<Yaml> {
    let path = file.path.parent().unwrap_or(Path::new("")).join(path);
    let bytes = terminal::read_file("train config", &path).with_context(|| format!("{}: `{key}`", file.place(key)))?;
    Ok(Yaml::read(&bytes, &path.display().to_string())?)
}

/// [`resolve`] with the base config at hand.
fn resolve_over(file: &SweepFile, base: &Yaml, facts: &Facts, counted: Counted) -> Result<Plan> {
    let label = facts.code.label(&file.name, facts.run);
    let (arms, evals) = (arms(file, base, facts, &label)?, evals(file, facts)?);
    let mut evaluations = file.evaluations.clone();
    evaluations.sort_by_key(|evaluation| evaluation.name());
    let mut options = file.probe.options.clone();
    options.retain(|name, _| counted == Counted::All || name != KEEP_FEATURES);
    let probes = probes_digest(&evals, &options, &evaluations);
    let digest = sweep_digest(file, &arms, &evals, probes);
    let mut plan = Plan {
        name: file.name.clone(),
        digest,
        code: facts.code.clone(),
        run: facts.run,
        reference: file.reference.clone(),
        evidence: file.evidence,
        seeds: file.seeds.clone(),
        arms,
        baselines: Vec::new(),
        evals,
        probe_options: file.probe.options.clone(),
        evaluations,
        equivalence: file.equivalence,
        probes,
        slots: file.slots,
        time_limit_s: file.time_limit_s,
    };
    plan.baselines = baselines::baselines(&plan, &baselines::Sources { file, facts, label: &label })?;
    Ok(plan)
}

/// The arms, each resolved over the base config.
fn arms(file: &SweepFile, base: &Yaml, facts: &Facts, label: &str) -> Result<Vec<Arm>> {
    let common = file.common()?;
    let mut arms = Vec::new();
    for spec in file.arm_specs()? {
        let config = arm_config(base, &file.deltas(&common, &spec)).with_context(|| format!("arm `{}`", spec.name))?;
        let shards = facts.shard_ref(spec.train_shards.as_deref().unwrap_or(&file.shards.train))?;
        let init_weights = match config.init_weights() {
            None => None,
            Some(uri) => {
                Some(*facts.init_weights.get(uri).with_context(|| format!("init.weights {uri} was not read"))?)
            }
        };
        let trial = config.trial_digest(init_weights.as_ref(), &shards.digest, label);
        arms.push(Arm { name: spec.name, delta: spec.delta, config, shards, init_weights, trial });
    }
    refuse_twins(&arms).with_context(|| file.path.display().to_string())?;
    Ok(arms)
}

/// The evaluation sets, each with the digests of its shards and of its split.
fn evals(file: &SweepFile, facts: &Facts) -> Result<Vec<EvalSet>> {
    let mut evals = Vec::new();
    for eval in file.evals()? {
        let split_digest = facts.splits.get(&eval.name).copied();
        evals.push(EvalSet {
            shards: facts.shard_ref(&eval.uri)?,
            split_digest: split_digest
                .with_context(|| format!("split {} of {} was not read", eval.split, eval.name))?,
            transductive: eval.transductive,
            primary: eval.primary,
            published: published(file, &eval.name, eval.published.as_deref())?,
            name: eval.name,
            split: eval.split,
        });
    }
    Ok(evals)
}

/// The scores that papers print on the evaluation set `eval`, from a file whose path is relative to the sweep file.
fn published(file: &SweepFile, eval: &str, path: Option<&str>) -> Result<Vec<Published>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let path = file.path.parent().unwrap_or(Path::new("")).join(path);
    let text = terminal::read_text("file of scores", &path)
        .with_context(|| format!("{}: `published` of {eval}", file.path.display()))?;
    Ok(Published::from_csv(&text, &path.display().to_string(), eval)?)
}

/// What is asked for beyond the default stands in a digest; the default does not, so that older probes are found.
fn with_evaluations(mut measured: Value, evaluations: &[Evaluation]) -> Value {
    if !evaluations.is_empty() {
        measured["evaluations"] = evaluations.iter().map(|evaluation| evaluation.resume_key()).collect();
    }
    measured
}

/// The digest of what is compared, and by which rules; rules that are the default are left out, so that older plans are found.
fn sweep_digest(file: &SweepFile, arms: &[Arm], evals: &[EvalSet], probes: Digest) -> Digest {
    let trials: BTreeMap<&str, Digest> = arms.iter().map(|arm| (arm.name.as_str(), arm.trial)).collect();
    let mut compared = json!({
        "name": file.name, "reference": file.reference, "evidence": file.evidence, "seeds": file.seeds, "trials": trials, "probes": probes,
    });
    if evals.iter().any(|eval| eval.primary != Primary::default()) {
        compared["primary"] = evals.iter().map(|eval| (eval.name.clone(), json!(eval.primary))).collect();
    }
    if file.equivalence != Rules::default().margin {
        compared["equivalence"] = json!(file.equivalence);
    }
    digest_json(&compared)
}

/// Base < `set` < arm < `threads`. Seed and everything drawn from it are the sweep's, not the arm's.
fn arm_config(base: &Yaml, deltas: &[Delta]) -> Result<ArmConfig> {
    Ok(ResolvedConfig::from_layers(base.clone(), deltas)?.record().without_seed())
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

fn probes_digest(evals: &[EvalSet], options: &BTreeMap<String, Value>, evaluations: &[Evaluation]) -> Digest {
    let set = |eval: &EvalSet| {
        let EvalSet { name, shards, split, split_digest, transductive, primary: _, published: _ } = eval;
        // The word of the file stays in the digest, so that probes of older versions are found.
        json!({
            "name": name, "shards": shards.digest, "split": split, "split_digest": split_digest, "transductive": transductive,
        })
    };
    let measured = json!({"evals": evals.iter().map(set).collect::<Vec<_>>(), "options": options});
    digest_json(&with_evaluations(measured, evaluations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Trial;

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
        let init_weights = BTreeMap::from([("./w.pth".to_owned(), Digest::of(b"weights"))]);
        let code = Code { version: version.into(), binary: None };
        Facts { shards: BTreeMap::from(shards), splits, init_weights, code, run: 1 }
    }

    fn base() -> Yaml {
        Yaml::parse(BASE, "tiny.yaml").unwrap()
    }

    fn plan(sweep: &str, version: &str) -> Result<Plan> {
        resolve_over(&SweepFile::parse(sweep, "s.yaml").unwrap(), &base(), &facts(version), Counted::Scores)
    }

    #[test]
    fn arms_differ_by_their_delta_alone_and_no_config_holds_a_seed() {
        let plan = plan(SWEEP, "0.1.0+a").unwrap();
        let (mut koleo, reference) = (plan.arms[1].config.value().clone(), plan.arms[0].config.value());
        assert_eq!(koleo["loss"]["koleo_weight"], json!(0.1));
        koleo["loss"]["koleo_weight"] = reference["loss"]["koleo_weight"].clone();
        assert_eq!(&koleo, reference);
        assert!(reference.get("seed").is_none());
        assert_eq!(plan.arms[0].config.with_seed(7.into()).value()["seed"], json!(7));
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
    fn initial_weights_count_by_content_and_not_by_place() {
        let with = |uri: &str, bytes: &[u8]| {
            let sweep = format!("{SWEEP}set: {{init.weights: {uri}}}\n");
            let mut facts = facts("0.1.0+a");
            facts.init_weights = BTreeMap::from([(uri.to_owned(), Digest::of(bytes))]);
            let plan =
                resolve_over(&SweepFile::parse(&sweep, "s.yaml").unwrap(), &base(), &facts, Counted::Scores).unwrap();
            assert_eq!(plan.arms[0].config.value()["init"]["weights"], json!(uri), "the worker gets their address");
            plan.arms[0].trial
        };
        assert_eq!(with("./w.pth", b"weights"), with("./moved.pth", b"weights"));
        assert_ne!(with("./w.pth", b"weights"), with("./w.pth", b"others"));
    }

    #[test]
    fn a_recorded_plan_is_what_its_file_gives_again() {
        let weights = format!("{SWEEP}set: {{init.weights: ./w.pth}}\n");
        for sweep in [SWEEP, &weights] {
            let first = plan(sweep, "0.1.0+a").unwrap();
            let file = SweepFile::parse(sweep, "s.yaml").unwrap();
            assert_eq!(resolve_over(&file, &base(), &Facts::of(&first), Counted::Scores).unwrap(), first);
        }
    }

    /// Random weights are those of a model and a seed; a histogram knows neither.
    #[test]
    fn baselines_are_planned_once_and_shared() {
        let names = |plan: &Plan| {
            let name = |b: &Baseline| format!("{}/{}:{}", b.arm.name, b.seed, b.trials.len());
            plan.baselines.iter().map(name).collect::<Vec<_>>()
        };
        let one = plan(SWEEP, "0.1.0+a").unwrap();
        assert_eq!(names(&one), ["histogram@cells/0:4", "random@cells/0:2", "random@cells/1:2"]);
        let trials = one.trials();
        assert_eq!(
            one.baselines_of(&trials[0]).map(|t| t.label()).collect::<Vec<_>>(),
            ["histogram@cells/seed-0", "random@cells/seed-0"]
        );
        let units = one.with_baselines(vec![trials[3]]);
        assert_eq!(
            units.iter().map(Trial::label).collect::<Vec<_>>(),
            ["histogram@cells/seed-0", "random@cells/seed-1", "koleo-on/seed-1"]
        );

        let models = plan(&SWEEP.replace("koleo_weight: 0.1", "koleo_weight: 0.1, model.depth: 3"), "0.1.0+a").unwrap();
        assert_eq!(models.baselines.len(), 5, "{:?}", names(&models));
        let seeded = Yaml::parse(&format!("{BASE}init: {{seed: 7}}\n"), "tiny.yaml").unwrap();
        let fixed =
            resolve_over(&SweepFile::parse(SWEEP, "s.yaml").unwrap(), &seeded, &facts("0.1.0+a"), Counted::Scores)
                .unwrap();
        assert_eq!(names(&fixed), ["histogram@cells/0:4", "random@cells/7:4"]);
        let other = plan(&SWEEP.replace("koleo-on", "renamed"), "0.1.0+a").unwrap();
        assert_eq!(other.baselines[0].arm.trial, one.baselines[0].arm.trial, "another sweep shares them");
        assert_ne!(other.baselines[0].arm.trial, one.baselines[1].arm.trial);
    }

    #[test]
    fn another_split_measures_the_same_trial_anew() {
        let base = plan(SWEEP, "0.1.0+a").unwrap();
        let other = plan(&SWEEP.replace("split: grouped", "split: loso"), "0.1.0+a").unwrap();
        let (a, b) = (base.trials()[0], other.trials()[0]);
        assert_eq!(a.key().run(), b.key().run());
        assert_ne!(a.attempts_key(), b.attempts_key());
    }

    /// What changes how a trial is measured measures it anew; what changes the table alone is in no trial's digest, and the
    /// tables of other rules lie apart.
    #[test]
    fn evaluations_count_for_trials_and_the_rules_of_the_table_for_the_sweep_alone() {
        let base = plan(SWEEP, "0.1.0+a").unwrap();
        let same = plan(&format!("{SWEEP}equivalence: 0.01\nprimary: {{metric: weighted_f1}}\n"), "0.1.0+a").unwrap();
        assert_eq!(same, base, "the default as if it were not written");
        for rules in ["equivalence: 0.02", "primary: {metric: accuracy}"] {
            let other = plan(&format!("{SWEEP}{rules}\n"), "0.1.0+a").unwrap();
            assert_eq!((other.probes, &other.baselines), (base.probes, &base.baselines));
            assert_ne!(other.digest, base.digest, "{rules}");
        }
        let more = plan(&format!("{SWEEP}evaluations: [optimum]\n"), "0.1.0+a").unwrap();
        assert_eq!(more.trials()[0].key().run(), base.trials()[0].key().run());
        assert!(more.probes != base.probes && more.baselines[0].probes != base.baselines[0].probes);
    }

    #[test]
    fn keeping_features_measures_nothing_anew_and_plans_of_the_older_rule_are_known() {
        let base = plan(SWEEP, "0.1.0+a").unwrap();
        let kept = format!("{SWEEP}probe: {{options: {{keep_features: last, batch: 64}}}}\n");
        let without = plan(&kept.replace("keep_features: last, ", ""), "0.1.0+a").unwrap();
        let with = plan(&kept, "0.1.0+a").unwrap();
        assert!(with.probes == without.probes && with.digest == without.digest && with.probes != base.probes);
        assert_eq!(with.probe_options.len(), 2, "the worker gets the options");
        let file = SweepFile::parse(&kept, "s.yaml").unwrap();
        let by = |counted| resolve_over(&file, &self::base(), &facts("0.1.0+a"), counted).unwrap();
        let digests: Vec<Digest> = Counted::rules(&file).iter().map(|rule| by(*rule).probes).collect();
        assert!(digests[0] == with.probes && digests[1] != with.probes && digests.len() == 2);
        assert_eq!(by(Counted::All).baselines, with.baselines);
        assert_eq!(Counted::rules(&SweepFile::parse(SWEEP, "s.yaml").unwrap()).len(), 1);
    }

    #[test]
    fn trials_go_seed_by_seed() {
        let plan = plan(SWEEP, "0.1.0+a").unwrap();
        let labels: Vec<String> = plan.trials().iter().map(|trial| trial.label()).collect();
        assert_eq!(labels, ["reference/seed-0", "koleo-on/seed-0", "reference/seed-1", "koleo-on/seed-1"]);
    }

    #[test]
    fn an_arm_that_changes_nothing_is_refused() {
        let error = format!("{:#}", plan(&SWEEP.replace("0.1}", "0.0}"), "0.1.0+a").unwrap_err());
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
        let digest = run_spec::ids::trial_digest(&config, &Digest::of(b"pixels"), "0.1.0+1a2b3c4");
        assert_eq!(digest.to_string(), GOLDEN_TRIAL);
        let evals = [EvalSet {
            name: "cells".into(),
            shards: ShardRef { uri: "x".into(), digest: Digest::of(b"cells") },
            split: "grouped".into(),
            split_digest: Digest::of(b"split"),
            transductive: false,
            primary: Primary::default(),
            published: Vec::new(),
        }];
        assert_eq!(probes_digest(&evals, &BTreeMap::new(), &[]).to_string(), GOLDEN_PROBES);
    }

    /// By `orchestrator/tests/golden/make_trial_digest.py` (Python's blake3 over canonical JSON written by hand).
    const GOLDEN_TRIAL: &str = "4da01dbb20985e23058f40b76c7246fe0a15bf456ef1a146c0bd900f127775d0";
    const GOLDEN_PROBES: &str = "71e96f5e8ace663290651f30b75afe3537135768552c37c5ff5009523cba7302";
}
