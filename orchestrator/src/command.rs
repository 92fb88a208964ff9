//! The command lines of a trial: train once, then one probe per evaluation set; of a baseline, its probe alone. Pure:
//! nothing is started here.

use std::path::Path;

use anyhow::Result;
use run_spec::ids::{Attempt, Digest};
use serde_json::Value;
use shards::leaks;

use crate::evidence;
use crate::keys::{ATLASES, RowsKey};
use crate::records::{Arm, Baseline, EvalSet, Plan, ReleasedWeights, Trial};

/// One process of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Name of the stage: `train` or `probe-<eval>`.
    pub(crate) name: String,
    /// Arguments of the worker.
    pub(crate) args: Vec<String>,
    /// Key under which the stage leaves result rows, if it leaves any.
    pub(crate) rows: Option<RowsKey>,
}

/// The stages of attempt `attempt` at `trial`, in order.
///
/// * `config` the local file that holds the resolved config of arm and seed.
/// * `uri_of` turns a key of the sweep's store into a URI.
///
/// Each stage is given the digests that the plan expects (worker, shards, split, initial weights) and refuses to begin with
/// anything else.
pub(crate) fn stages(
    plan: &Plan,
    trial: &Trial<'_>,
    attempt: Attempt,
    config: &Path,
    uri_of: impl Fn(&str) -> String,
) -> Result<Vec<Stage>> {
    let lines =
        CommandLines { plan, trial, attempt, config: config.display().to_string(), run: uri_of(&trial.key().run()) };
    let mut stages = Vec::new();
    if trial.baseline.is_none() {
        stages.push(lines.train());
    }
    for eval in plan.evals_of(trial) {
        stages.push(lines.probe(eval, &uri_of)?);
    }
    Ok(stages)
}

/// What the command lines of a trial have in common.
struct CommandLines<'a> {
    plan: &'a Plan,
    trial: &'a Trial<'a>,
    attempt: Attempt,
    config: String,
    run: String,
}

impl CommandLines<'_> {
    fn train(&self) -> Stage {
        let Arm { shards, init_weights, .. } = self.trial.arm;
        let mut args = words(&["train", &self.config, "--shards", &shards.uri, "--out", &self.run, "--print-metrics"]);
        args.extend(self.expect(&shards.digest));
        args.extend(init_weights.iter().flat_map(|digest| expect("init_weights", digest)));
        Stage { name: "train".to_owned(), args, rows: None }
    }

    fn probe(&self, eval: &EvalSet, uri_of: impl Fn(&str) -> String) -> Result<Stage> {
        let Self { plan, trial, .. } = self;
        let rows = trial.attempt_key(self.attempt).rows(&eval.name);
        let mut args = match trial.baseline {
            Some(Baseline { features, weights: Some(weights), .. }) => self.released(features, weights),
            Some(baseline) => words(&["baseline", &baseline.features, "--config", &self.config]),
            None => {
                let mut args = words(&["probe", "--run", &self.run, "--no-random", "--no-histogram"]);
                args.extend(words(&["--arm", &trial.arm.name, "--train-shards", &trial.arm.shards.uri]));
                args.extend(words(&["--leaks", &uri_of(leaks::FOLDER)]));
                args.extend(eval.transductive.then(|| "--transductive".to_owned()));
                if !plan.probe_options.contains_key("step") {
                    args.extend(words(&["--step", &evidence::step(plan, trial)?.to_string()]));
                }
                args
            }
        };
        args.extend(words(&["--shards", &eval.shards.uri, "--split", &eval.split, "--dataset", &eval.name]));
        args.extend(words(&["--predictions", &uri_of(&rows.predictions().to_string())]));
        args.extend(words(&["--out", &uri_of(&rows.to_string())]));
        args.extend(words(&["--atlas", &uri_of(ATLASES)]));
        let threads = trial.arm.config.threads();
        if threads > 0 {
            args.extend(words(&["--threads", &threads.to_string()]));
        }
        if !plan.evaluations.is_empty() {
            let names: Vec<&str> = plan.evaluations.iter().map(|evaluation| evaluation.name()).collect();
            args.extend(words(&["--evaluations", &names.join(",")]));
        }
        let meant =
            |name: &str| !BASELINES.contains(&name) && (trial.baseline.is_none() || !ABOUT_A_RUN.contains(&name));
        for (name, value) in plan.probe_options.iter().filter(|(name, _)| meant(name)) {
            args.extend(option(name, value));
        }
        args.extend(self.expect(&eval.shards.digest));
        args.extend(expect("split", &eval.split_digest));
        Ok(Stage { name: format!("probe-{}", eval.name), args, rows: Some(rows) })
    }

    /// The beginning of the probe of released weights, which are scored alone.
    fn released(&self, features: &str, weights: &ReleasedWeights) -> Vec<String> {
        let mut args = words(&["probe", "--weights", &weights.uri, "--name", features, "--config", &self.config]);
        args.extend(words(&["--no-random", "--no-histogram"]));
        args.extend(weights.layout.iter().flat_map(|layout| words(&["--layout", layout])));
        args.extend(weights.size.iter().flat_map(|size| words(&["--size", &size.to_string()])));
        args.extend(self.trial.arm.init_weights.iter().flat_map(|digest| expect("init_weights", digest)));
        args
    }

    fn expect(&self, shards: &Digest) -> Vec<String> {
        let code = &self.plan.code;
        let mut args = expect("code", &code.version);
        args.extend(code.binary.iter().flat_map(|binary| expect("binary", binary)));
        args.extend(expect("shards", shards));
        args
    }
}

/// Options of a probe that mean nothing to a baseline, which has no run.
pub(crate) const ABOUT_A_RUN: [&str; 3] = ["keep_features", "step", "transductive"];
/// Options that say which baselines a sweep goes without or has too: the plan has taken them into account.
pub(crate) const BASELINES: [&str; 3] = ["no_random", "no_histogram", "shape"];
/// Options of `worker probe` that a sweep gives itself.
pub(crate) const OWN: [&str; 20] = [
    "arm",
    "atlas",
    "config",
    "dataset",
    "evaluations",
    "expect",
    "features",
    "help",
    "layout",
    "leaks",
    "name",
    "out",
    "predictions",
    "run",
    "shards",
    "size",
    "split",
    "threads",
    "train_shards",
    "weights",
];

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn expect(key: &str, value: &impl std::fmt::Display) -> Vec<String> {
    vec!["--expect".to_owned(), format!("{key}={value}")]
}

/// `name: value` as `--name value`; `true` is the bare flag, `false` nothing.
fn option(name: &str, value: &Value) -> Vec<String> {
    let flag = format!("--{}", name.replace('_', "-"));
    match value {
        Value::Bool(true) => vec![flag],
        Value::Bool(false) | Value::Null => Vec::new(),
        Value::String(text) => vec![flag, text.clone()],
        Value::Array(items) => items.iter().flat_map(|item| option(name, item)).collect(),
        other => vec![flag, other.to_string()],
    }
}

/// A command line as a person would type it, for logs and the dry run.
pub(crate) fn shown(program: &str, args: &[String]) -> String {
    let quote = |word: &str| {
        let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=+,@".contains(c));
        if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    std::iter::once(program).chain(args.iter().map(String::as_str)).map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::code::Code;
    use crate::records::ShardRef;
    use results::measures::{Evaluation, Primary};
    use serde_json::json;
    use std::collections::BTreeMap;

    /// A small plan of two arms and one seed.
    pub(crate) fn plan() -> Plan {
        let shards = |uri: &str| ShardRef { uri: uri.into(), digest: Digest::of(uri.as_bytes()) };
        let arm = |name: &str, config: Value| Arm {
            name: name.into(),
            delta: run_spec::config::Deltas::default(),
            trial: Digest::of(config.to_string().as_bytes()),
            config: config.into(),
            shards: shards("./patches"),
            init_weights: None,
        };
        Plan {
            name: "s".into(),
            digest: Digest::of(b"s"),
            code: Code { version: "0.1.0+a".into(), binary: None },
            run: 1,
            reference: "reference".into(),
            evidence: false,
            seeds: vec![4.into()],
            arms: vec![
                arm("reference", json!({"train": {"threads": 2}})),
                arm("b", json!({"loss": {"n_local": 0}, "train": {"threads": 2}})),
            ],
            baselines: Vec::new(),
            evals: vec![EvalSet {
                name: "cells".into(),
                shards: shards("./cells"),
                split: "grouped 5".into(),
                split_digest: Digest::of(b"split"),
                transductive: true,
                primary: Primary::default(),
                published: Vec::new(),
            }],
            evaluations: Vec::new(),
            equivalence: 0.01,
            probe_options: BTreeMap::from([("batch_size".into(), json!(64)), ("fast".into(), json!(true))]),
            probes: Digest::of(b"p"),
            slots: 1,
            time_limit_s: None,
        }
    }

    #[test]
    fn a_trial_trains_and_is_probed() {
        let plan = plan();
        let trial = plan.trials()[0];
        let stages = stages(&plan, &trial, 2.into(), Path::new("c.json"), |key| format!("S/{key}")).unwrap();
        let t = trial.key();
        let (patches, cells, split) = (Digest::of(b"./patches"), Digest::of(b"./cells"), Digest::of(b"split"));
        assert_eq!(
            shown("worker", &stages[0].args),
            format!(
                "worker train c.json --shards ./patches --out S/{t}/run --print-metrics --expect code=0.1.0+a --expect shards={patches}"
            )
        );
        let attempt = format!("{t}/probes-{}/attempt-2", plan.probes.short());
        let rows = format!("{attempt}/rows-cells.jsonl");
        let expected = format!(
            "worker probe --run S/{t}/run --no-random --no-histogram --arm reference --train-shards ./patches --leaks S/leaks --transductive --step 32000 \
             --shards ./cells --split 'grouped 5' --dataset cells --predictions S/{attempt}/predictions-cells.parquet --out S/{rows} \
             --atlas S/atlases --threads 2 --batch-size 64 --fast \
             --expect code=0.1.0+a --expect shards={cells} --expect split={split}"
        );
        assert_eq!(shown("worker", &stages[1].args), expected);
        assert_eq!(stages[1].rows.as_ref().map(RowsKey::to_string), Some(rows));
        assert_eq!(stages.len(), 2);
    }

    #[test]
    fn a_baseline_is_probed_without_a_run_and_a_dirty_worker_is_known_by_its_binary() {
        let mut plan = plan();
        plan.probe_options.insert("step".into(), json!(50));
        plan.code.binary = Some(Digest::of(b"elf"));
        let baseline = Baseline {
            arm: Arm { name: "random@cells".into(), ..plan.arms[0].clone() },
            seed: 4.into(),
            features: "random".into(),
            weights: None,
            eval: "cells".into(),
            probes: Digest::of(b"q"),
            trials: Vec::new(),
        };
        let trial = Trial::from(&baseline);
        let stages = stages(&plan, &trial, 1.into(), Path::new("c.json"), |key| format!("S/{key}")).unwrap();
        let words = shown("worker", &stages[0].args);
        assert!(
            words.starts_with("worker baseline random --config c.json --shards ./cells --split 'grouped 5'"),
            "{words}"
        );
        assert!(
            !words.contains("--step") && words.contains(&format!("--expect binary={}", Digest::of(b"elf"))),
            "{words}"
        );
        assert_eq!(stages.len(), 1);
    }

    #[test]
    fn further_evaluations_are_asked_for_by_name() {
        let mut plan = plan();
        plan.evaluations = vec![Evaluation::Optimum];
        let stages = stages(&plan, &plan.trials()[0], 1.into(), Path::new("c.json"), str::to_owned).unwrap();
        assert!(shown("worker", &stages[1].args).contains(" --evaluations optimum "), "{:?}", stages[1].args);
    }

    /// Command lines of the arms of one seed differ in nothing but config, name and addresses of results.
    #[test]
    fn arms_of_one_seed_differ_in_config_and_place_alone() {
        let plan = plan();
        let words = |i: usize| {
            let trial = plan.trials()[i];
            let all =
                stages(&plan, &trial, 1.into(), Path::new("c.json"), |key| key.replace(&trial.key().to_string(), "T"))
                    .unwrap();
            all.iter().map(|s| shown("worker", &s.args).replace("--arm b", "--arm reference")).collect::<Vec<_>>()
        };
        assert_eq!(words(0), words(1));
    }
}
