//! The command lines of a trial: train once, then one probe per evaluation set. Pure; nothing is started here.

use std::path::Path;

use serde_json::Value;

use crate::records::{Plan, Trial};

/// One process of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// `train` or `probe-<eval>`.
    pub(crate) name: String,
    /// Arguments of the worker.
    pub(crate) args: Vec<String>,
    /// Key under which the stage leaves result rows, if it leaves any.
    pub(crate) rows: Option<String>,
}

/// The stages of attempt `attempt` at `trial`, in order.
///
/// * `config` the local file that holds the resolved config of arm and seed.
/// * `uri_of` turns a key of the sweep's store into a URI.
pub(crate) fn stages(
    plan: &Plan,
    trial: &Trial<'_>,
    attempt: u32,
    config: &Path,
    uri_of: impl Fn(&str) -> String,
) -> Vec<Stage> {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let run = uri_of(&trial.run_key());
    let config = config.display().to_string();
    let threads = trial.arm.config["train"]["threads"].as_u64().unwrap_or(0);
    let train = Stage {
        name: "train".to_owned(),
        args: words(&["train", &config, "--shards", &trial.arm.shards.uri, "--out", &run, "--print-metrics"]),
        rows: None,
    };
    let probes = plan.evals.iter().map(|eval| {
        let rows = format!("{}/rows-{}.jsonl", trial.attempt_key(attempt), eval.name);
        let mut args = words(&["probe", "--run", &run, "--shards", &eval.shards.uri, "--split", &eval.split]);
        args.extend(words(&["--arm", &trial.arm.name, "--dataset", &eval.name, "--out", &uri_of(&rows)]));
        if threads > 0 {
            args.extend(words(&["--threads", &threads.to_string()]));
        }
        if eval.transductive {
            args.push("--transductive".to_owned());
        }
        for (name, value) in &plan.probe_options {
            args.extend(option(name, value));
        }
        Stage { name: format!("probe-{}", eval.name), args, rows: Some(rows) }
    });
    std::iter::once(train).chain(probes).collect()
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
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::records::{Arm, EvalSet, ShardRef};
    use run_spec::ids::Digest;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn plan() -> Plan {
        let shards = |uri: &str| ShardRef { uri: uri.into(), digest: Digest::of(uri.as_bytes()) };
        let arm = |name: &str, config: Value| Arm {
            name: name.into(),
            delta: BTreeMap::new(),
            trial: Digest::of(config.to_string().as_bytes()),
            config,
            shards: shards("./patches"),
        };
        Plan {
            name: "s".into(),
            digest: Digest::of(b"s"),
            code: Code { version: "0.1.0+a".into(), binary: None },
            run: 1,
            reference: "reference".into(),
            evidence: false,
            seeds: vec![4],
            arms: vec![
                arm("reference", json!({"train": {"threads": 2}})),
                arm("b", json!({"a": 2, "train": {"threads": 2}})),
            ],
            evals: vec![EvalSet {
                name: "cells".into(),
                shards: shards("./cells"),
                split: "grouped 5".into(),
                split_digest: Digest::of(b"split"),
                transductive: true,
            }],
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
        let stages = stages(&plan, &trial, 2, Path::new("c.json"), |key| format!("S/{key}"));
        let t = trial.key();
        assert_eq!(
            shown("worker", &stages[0].args),
            format!("worker train c.json --shards ./patches --out S/{t}/run --print-metrics")
        );
        let rows = format!("{t}/probes-{}/attempt-2/rows-cells.jsonl", plan.probes.short());
        let expected = format!(
            "worker probe --run S/{t}/run --shards ./cells --split 'grouped 5' --arm reference --dataset cells --out S/{rows} \
             --threads 2 --transductive --batch-size 64 --fast"
        );
        assert_eq!(shown("worker", &stages[1].args), expected);
        assert_eq!(stages[1].rows.as_deref(), Some(rows.as_str()));
        assert_eq!(stages.len(), 2);
    }

    /// Arms of one seed are told nothing but their config, their name and where to leave things.
    #[test]
    fn arms_of_one_seed_differ_in_config_and_place_alone() {
        let plan = plan();
        let words = |i: usize| {
            let trial = plan.trials()[i];
            let all = stages(&plan, &trial, 1, Path::new("c.json"), |key| key.replace(&trial.key(), "T"));
            all.iter().map(|s| shown("worker", &s.args).replace("--arm b", "--arm reference")).collect::<Vec<_>>()
        };
        assert_eq!(words(0), words(1));
    }
}
