//! What must be known before a sweep can run: the worker's version, the digests of shard sets, splits and initial weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use run_spec::ids::Digest;
use run_spec::layer::{nearest, suggestion};
use shards::{Manifest, ShardError, split_key};
use store::{Store, StoreError};

use crate::code::{self, Code};
use crate::plan::{self, Facts};
use crate::sweep_file::{Eval, SweepFile};

/// Puts `--shards NAME=URI` over the file: `train`, or the name of an evaluation set.
pub(crate) fn place_shards(file: &mut SweepFile, places: &[String]) -> Result<()> {
    for place in places {
        let (name, uri) = place.split_once('=').with_context(|| format!("--shards {place}: NAME=URI is expected"))?;
        if name == "train" {
            uri.clone_into(&mut file.shards.train);
            continue;
        }
        match file.shards.eval.iter_mut().find(|eval| eval["name"] == name) {
            Some(eval) => eval["uri"] = serde_json::Value::String(uri.to_owned()),
            None => {
                let evals = file.evals()?;
                let known = evals.iter().map(|eval| eval.name.as_str()).chain(["train"]);
                let hint = nearest(name, known).map(suggestion).unwrap_or_default();
                bail!("--shards {place}: the sweep has no shard set `{name}`{hint}");
            }
        }
    }
    Ok(())
}

/// What is found out about a sweep before anything of it runs: the facts of its plan, and all that stands in the way.
#[derive(Debug)]
pub(crate) struct Found {
    /// The facts, where all of them could be found out.
    pub(crate) facts: Option<Facts>,
    /// Path of the worker program; absent where none was found.
    pub(crate) worker: Option<PathBuf>,
    /// What must be corrected first, a sentence each.
    pub(crate) problems: Vec<String>,
}

impl Found {
    /// Looks for worker, shard sets, splits and initial weights; everything that is missing is named at once.
    pub(crate) fn of(file: &SweepFile, worker: Option<&Path>) -> Result<Self> {
        let mut problems = Problems::default();
        let worker = problems.keep(code::find_worker(worker));
        let code = worker.as_ref().and_then(|worker| problems.keep(Code::ask(worker)));
        let mut shards = BTreeMap::new();
        for uri in plan::shard_uris(file)? {
            let digest = problems.keep(shard_set(file, &uri));
            shards.extend(digest.map(|digest| (uri, digest)));
        }
        let mut splits = BTreeMap::new();
        for (i, eval) in file.evals()?.into_iter().enumerate().filter(|(_, eval)| shards.contains_key(&eval.uri)) {
            let digest = problems.keep(split(file, i, &eval));
            splits.extend(digest.map(|digest| (eval.name, digest)));
        }
        let mut init_weights = BTreeMap::new();
        for uri in plan::weights_uris(file)? {
            let digest = problems.keep(initial_weights(file, &uri));
            init_weights.extend(digest.map(|digest| (uri, digest)));
        }
        for (i, model) in file.released()?.into_iter().enumerate() {
            let key = format!("baselines[{i}].weights");
            let remedy = format!("correct the path, or leave the baseline `{}` out", model.name);
            let digest = problems.keep(weights(&model.weights, &remedy).with_context(|| named(file, &key)));
            init_weights.extend(digest.map(|digest| (model.weights, digest)));
        }
        let Problems(problems) = problems;
        let facts = code.filter(|_| problems.is_empty());
        let facts = facts.map(|code| Facts { code, shards, splits, init_weights, run: 1 });
        Ok(Self { facts, worker, problems })
    }

    /// The facts, or all problems as one error.
    pub(crate) fn facts(self) -> Result<Facts> {
        match self.facts {
            Some(facts) => Ok(facts),
            None => bail!("{}", self.problems.join("; ")),
        }
    }
}

/// Sentences about what went wrong.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{error:#}"))).ok()
    }
}

/// A key of the sweep file with its file and line, for messages.
fn named(file: &SweepFile, key: &str) -> String {
    format!("{}: `{key}`", file.place(key))
}

/// The key under which the sweep file names the shard set at `uri`, and the option that names another, if there is one.
fn key_of_shards(file: &SweepFile, uri: &str) -> Result<(String, String)> {
    let option = |name: &str| format!(", or name another with --shards {name}=URI");
    if file.shards.train == uri {
        return Ok(("shards.train".to_owned(), option("train")));
    }
    let evals = file.evals()?;
    if let Some(i) = evals.iter().position(|eval| eval.uri == uri) {
        return Ok((format!("shards.eval[{i}].uri"), option(&evals[i].name)));
    }
    let arm = file.arm_specs()?.into_iter().find(|arm| arm.train_shards.as_deref() == Some(uri));
    let section = arm.map_or_else(|| "arms".to_owned(), |arm| arm.place);
    Ok((format!("{section}.shards.train"), String::new()))
}

fn shard_set(file: &SweepFile, uri: &str) -> Result<Digest> {
    let (key, option) = key_of_shards(file, uri)?;
    let place = || format!("{}: shard set {uri}", named(file, &key));
    match Manifest::read(&Store::open(uri).with_context(place)?) {
        Ok(manifest) => Ok(manifest.digest()),
        Err(ShardError::Store(error)) if error.is_not_found() => bail!(
            "{}: there is no shard set {uri}: make it with `shard-builder build … --out {uri}`{option}",
            named(file, &key)
        ),
        Err(error) => Err(error).with_context(place),
    }
}

/// The digest of the split of `eval`, the evaluation set with this index in the file.
fn split(file: &SweepFile, index: usize, eval: &Eval) -> Result<Digest> {
    let store = Store::open(&eval.uri)?;
    match store.get(&split_key(&eval.split)) {
        Ok(bytes) => Ok(Digest::of(&bytes)),
        Err(StoreError::NotFound { .. }) => {
            let own = file.shards.eval[index].get("split").is_some();
            let key = if own { format!("shards.eval[{index}].split") } else { "probe.split".to_owned() };
            let (uri, name) = (&eval.uri, &eval.split);
            let keys = store.list("splits")?;
            let names = keys.iter().filter_map(|key| key.strip_prefix("splits/")?.strip_suffix(".parquet"));
            let hint = nearest(name, names).map(suggestion).unwrap_or_default();
            let make = format!("shard-builder split {uri} --name {name} --kind grouped-kfold");
            bail!("{}: shard set {uri} has no split `{name}`{hint} (to make it: `{make}`)", named(file, &key))
        }
        Err(error) => Err(error.into()),
    }
}

/// The digest of the initial weights at `uri`.
fn initial_weights(file: &SweepFile, uri: &str) -> Result<Digest> {
    let place = plan::place_of_weights(file, uri)?;
    let remedy = "correct the path, or write `null` for random weights";
    weights(uri, remedy).with_context(|| format!("{place}: `init.weights`"))
}

/// The digest of the file of weights at `uri`; `remedy` says what to do if there is none.
fn weights(uri: &str, remedy: &str) -> Result<Digest> {
    let (store, name) = Store::open_file(uri)?;
    match store.get(&name) {
        Ok(bytes) => Ok(Digest::of(&bytes)),
        Err(StoreError::NotFound { .. }) => bail!("there is no file {uri}: {remedy}"),
        Err(error) => Err(error).with_context(|| format!("{uri} cannot be read")),
    }
}
