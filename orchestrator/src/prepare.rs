//! What must be known before a sweep can run: the worker's version, the digests of shard sets, splits and initial weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use run_spec::ids::Digest;
use run_spec::layer::nearest;
use shards::{Manifest, split_key};
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
                let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
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
        for eval in file.evals()?.into_iter().filter(|eval| shards.contains_key(&eval.uri)) {
            let digest = problems.keep(split(&eval));
            splits.extend(digest.map(|digest| (eval.name, digest)));
        }
        let mut init_weights = BTreeMap::new();
        for uri in plan::weights_uris(file)? {
            let remedy = "name a file that exists, or draw random weights with `init.weights: null`";
            let digest = problems.keep(weights("init.weights", &uri, remedy));
            init_weights.extend(digest.map(|digest| (uri, digest)));
        }
        for model in file.released()? {
            let remedy = format!("name a file that exists, or leave `{}` out", model.name);
            let digest = problems.keep(weights("baselines", &model.weights, &remedy));
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

fn shard_set(file: &SweepFile, uri: &str) -> Result<Digest> {
    let place = || format!("shard set {uri} of sweep {}", file.path.display());
    let manifest = Manifest::read(&Store::open(uri).with_context(place)?).with_context(place)?;
    Ok(manifest.digest())
}

fn split(eval: &Eval) -> Result<Digest> {
    let store = Store::open(&eval.uri)?;
    match store.get(&split_key(&eval.split)) {
        Ok(bytes) => Ok(Digest::of(&bytes)),
        Err(StoreError::NotFound { .. }) => {
            let keys = store.list("splits")?;
            let names = keys.iter().filter_map(|key| key.strip_prefix("splits/")?.strip_suffix(".parquet"));
            let hint = nearest(&eval.split, names).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
            bail!(
                "shard set {} has no split `{}`{hint}: make it with `shard-builder split {} --name {}`",
                eval.uri,
                eval.split,
                eval.uri,
                eval.split
            )
        }
        Err(error) => Err(error.into()),
    }
}

/// The digest of the file of weights at `uri`, which the sweep names under `key`.
fn weights(key: &str, uri: &str, remedy: &str) -> Result<Digest> {
    let (folder, name) = match uri.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => (".", uri),
    };
    let bytes = Store::open(folder)?.get(name).with_context(|| format!("`{key}`: {uri} cannot be read: {remedy}"))?;
    Ok(Digest::of(&bytes))
}
