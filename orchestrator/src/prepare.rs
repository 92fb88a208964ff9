//! What must be known before a sweep can run: the worker's version, the shard sets' digests, the number of the run.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use run_spec::ids::Digest;
use run_spec::layer::nearest;
use shards::{Manifest, split_key};
use store::Store;

use crate::code::{self, Code};
use crate::identity::Identity;
use crate::ledger::{self, unix_s};
use crate::plan::{self, Facts};
use crate::records::{Invocation, Plan};
use crate::sweep_file::SweepFile;

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

/// Reads the manifest of every shard set, and every split.
fn pixels(file: &SweepFile) -> Result<(BTreeMap<String, Digest>, BTreeMap<String, Digest>)> {
    let mut sets = BTreeMap::new();
    for uri in plan::shard_uris(file)? {
        let place = || format!("shard set {uri} of sweep {}", file.path.display());
        let manifest = Manifest::read(&Store::open(&uri).with_context(place)?).with_context(place)?;
        sets.insert(uri, manifest.digest());
    }
    let mut splits = BTreeMap::new();
    for eval in file.evals()? {
        let bytes = Store::open(&eval.uri)?.get(&split_key(&eval.split));
        let bytes = bytes.with_context(|| {
            format!(
                "split {} of {}: make it with `shard-builder split {} --name {}`",
                eval.split, eval.name, eval.uri, eval.split
            )
        })?;
        splits.insert(eval.name, Digest::of(&bytes));
    }
    Ok((sets, splits))
}

/// Version of the worker, digests of shards and splits: all that a plan needs from outside.
pub(crate) fn facts(file: &SweepFile, worker: Option<&Path>) -> Result<Facts> {
    let worker = code::find_worker(worker)?;
    let (shards, splits) = pixels(file)?;
    Ok(Facts { code: Code::ask(&worker)?, shards, splits, run: 1 })
}

/// The plan, with the number of its run: results of a dirty or unknown version are continued while the run that made them
/// has not ended, and never used by another.
pub(crate) fn plan_of_run(store: &Store, file: &SweepFile, mut facts: Facts, retry_failed: bool) -> Result<Plan> {
    let mut plan = plan::resolve(file, &facts)?;
    while !facts.code.reusable() && store.exists(&ended_key(&plan))? {
        facts.run += 1;
        let next = plan::resolve(file, &facts)?;
        if retry_failed && !store.exists(&plan_key(&next))? {
            break;
        }
        plan = next;
    }
    Ok(plan)
}

fn plan_key(plan: &Plan) -> String {
    format!("{}/plan.json", plan.key())
}

fn ended_key(plan: &Plan) -> String {
    format!("{}/ended.json", plan.key())
}

/// Records plan and invocation.
pub(crate) fn record_start(store: &Store, plan: &Plan) -> Result<()> {
    ledger::create(store, &plan_key(plan), plan)?;
    let record = Invocation { holder: Identity::own(), unix_s: unix_s() };
    let root = format!("{}/invocations", plan.key());
    let mut n = store.list(&root)?.len() + 1;
    while !ledger::create(store, &format!("{root}/{n}.json"), &record)? {
        n += 1;
    }
    Ok(())
}

/// Records that every trial of the plan has finished or failed.
pub(crate) fn record_end(store: &Store, plan: &Plan) -> Result<()> {
    let record = Invocation { holder: Identity::own(), unix_s: unix_s() };
    ledger::create(store, &ended_key(plan), &record).map(drop)
}

/// The plan of sweep `name` that was worked on last.
pub(crate) fn newest_plan(store: &Store, name: &str) -> Result<Plan> {
    let root = format!("sweeps/{name}");
    let mut newest: Option<(u64, String)> = None;
    for key in store.list(&root)? {
        let Some((folder, _)) = key.split_once("/invocations/") else { continue };
        let record: Invocation = ledger::read(store, &key)?;
        if newest.as_ref().is_none_or(|(at, _)| record.unix_s >= *at) {
            newest = Some((record.unix_s, format!("{folder}/plan.json")));
        }
    }
    match newest {
        Some((_, key)) => ledger::read(store, &key),
        None => bail!(
            "{} holds no sweep `{name}`: start it with `orchestrator sweep FILE`, or name its store with --store",
            store.uri()
        ),
    }
}
