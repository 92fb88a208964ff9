//! Which plan a command is about: the one that a sweep file gives, or the newest one recorded under a name.
//!
//! Each plan that was worked on is recorded as `sweeps/NAME/plans/<n>.json`. The highest number is the newest, whatever
//! the clocks of the machines said.

use anyhow::{Context, Result, bail};
use run_spec::layer::{nearest, suggestion};
use store::Store;

use crate::identity::Identity;
use crate::plan::{self, Counted, Facts};
use crate::records::{Invocation, Plan};
use crate::sweep_file::SweepFile;
use crate::trial_state::unix_s;

/// How many sweeps of a store a message names.
const SHOWN: usize = 5;

fn root(name: &str) -> String {
    format!("sweeps/{name}/plans")
}

/// The names of all sweeps of a store, sorted.
pub(crate) fn names(store: &Store) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for key in store.list("sweeps")? {
        let name = key.strip_prefix("sweeps/").and_then(|rest| rest.split_once('/')).map(|(name, _)| name);
        names.extend(name.filter(|name| names.last().is_none_or(|last| last != name)).map(str::to_owned));
    }
    Ok(names)
}

/// Number of the newest recorded plan of sweep `name`; `None` for a store of an older version, which numbered none.
pub(crate) fn newest_number(store: &Store, name: &str) -> Result<Option<u32>> {
    Ok(numbers(store, name)?.first().copied())
}

/// The starts of the orchestrator on `plan`, as far as their records are whole.
pub(crate) fn invocations(store: &Store, plan: &Plan) -> Result<Vec<Invocation>> {
    let mut found = Vec::new();
    for key in store.list(&format!("{}/invocations", plan.key()))? {
        found.extend(store.read_record_if_whole::<Invocation>(&key)?.ok());
    }
    Ok(found)
}

/// The numbers of the plans recorded for sweep `name`, the newest first.
fn numbers(store: &Store, name: &str) -> Result<Vec<u32>> {
    let root = root(name);
    let number = |key: String| key.strip_prefix(&root)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok();
    let mut numbers: Vec<u32> = store.list(&root)?.into_iter().filter_map(number).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

/// Records that `plan` is the one worked on now, unless it is the newest already, and who works on it.
pub(crate) fn record_start(store: &Store, plan: &Plan) -> Result<()> {
    let newest = numbers(store, &plan.name)?.first().copied();
    let recorded = match newest {
        Some(n) => store.read_record_if_whole::<Plan>(&format!("{}/{n}.json", root(&plan.name)))?.ok(),
        None => None,
    };
    if recorded.as_ref() != Some(plan) {
        create_next(store, &root(&plan.name), newest.unwrap_or(0) + 1, plan)?;
    }
    let invocations = format!("{}/invocations", plan.key());
    let count = u32::try_from(store.list(&invocations)?.len()).unwrap_or(u32::MAX - 1);
    create_next(store, &invocations, count + 1, &Invocation { holder: Identity::own(), unix_s: unix_s() })
}

/// Creates `root/N.json` under the first free number from `n` on.
fn create_next<T: serde::Serialize>(store: &Store, root: &str, mut n: u32, record: &T) -> Result<()> {
    while !store.create_record_once(&format!("{root}/{n}.json"), record)? {
        n += 1;
    }
    Ok(())
}

/// Whether anybody has worked on this very plan.
pub(crate) fn was_started(store: &Store, plan: &Plan) -> Result<bool> {
    Ok(!store.list(&format!("{}/invocations", plan.key()))?.is_empty())
}

/// The newest recorded plan of sweep `name`. A damaged one is named and the one before is taken.
pub(crate) fn newest(store: &Store, name: &str) -> Result<Plan> {
    for n in numbers(store, name)? {
        match store.read_record_if_whole(&format!("{}/{n}.json", root(name)))? {
            Ok(plan) => return Ok(plan),
            Err(what) => {
                terminal::note(format!("{what}. Giving the sweep file instead of its name needs no recorded plan."))
            }
        }
    }
    if let Some(plan) = newest_by_clock(store, name)? {
        return Ok(plan);
    }
    if store.list(&format!("sweeps/{name}"))?.is_empty() {
        bail!("{} contains no sweep `{name}`{}", store.uri(), what_else(name, &names(store)?));
    }
    bail!("{} contains no complete plan of sweep `{name}`: give the sweep file instead of its name", store.uri())
}

/// What to do about a store that has no sweep `name` and these `others`: the end of a sentence.
fn what_else(name: &str, others: &[String]) -> String {
    let remedy = "start it with `orchestrator sweep FILE`, or name its store with --store";
    if others.is_empty() {
        return format!(": {remedy}");
    }
    let near = nearest(name, others.iter().map(String::as_str)).map(suggestion);
    let shown: Vec<String> = others.iter().take(SHOWN).map(|other| format!("`{other}`")).collect();
    let rest = if others.len() > SHOWN { format!(" and {} others", others.len() - SHOWN) } else { String::new() };
    near.unwrap_or_else(|| format!("; it contains {}{rest}: name one of them, {remedy}", shown.join(", ")))
}

/// The newest plan of a store that an older version wrote: plans had no numbers there, only the times of invocations.
fn newest_by_clock(store: &Store, name: &str) -> Result<Option<Plan>> {
    let keys = store.list(&format!("sweeps/{name}"))?;
    let mut times = Vec::new();
    for key in &keys {
        let Some((folder, _)) = key.split_once("/invocations/") else { continue };
        if let Ok(record) = store.read_record_if_whole::<Invocation>(key)? {
            times.push((record.unix_s, format!("{folder}/plan.json")));
        }
    }
    times.sort();
    for (_, key) in times.into_iter().rev().filter(|(_, key)| keys.contains(key)) {
        match store.read_record_if_whole(&key)? {
            Ok(plan) => return Ok(Some(plan)),
            Err(what) => terminal::note(what.to_string()),
        }
    }
    Ok(None)
}

/// The plan that `file` gives: the newest recorded one that was made of just this file, which needs neither worker nor
/// shards; else a new one from what `facts` finds.
pub(crate) fn of_file(store: &Store, file: &SweepFile, facts: impl FnOnce() -> Result<Facts>) -> Result<Plan> {
    for n in numbers(store, &file.name)? {
        let Ok(recorded) = store.read_record_if_whole::<Plan>(&format!("{}/{n}.json", root(&file.name)))? else {
            continue;
        };
        // Facts of another file lack what this one names: then it is not its plan.
        let facts = Facts::of(&recorded);
        let is_of =
            |rule: &Counted| plan::resolve_by(*rule, file, &facts).is_ok_and(|plan| plan.digest == recorded.digest);
        if Counted::rules(file).iter().any(is_of) {
            return Ok(recorded);
        }
    }
    let facts = facts().with_context(|| {
        format!(
            "{} is not the file of any recorded plan of sweep `{}` (give the same --shards as `sweep` got), and its digests are \
             not known here",
            file.path.display(),
            file.name
        )
    })?;
    let plan = of_run(store, file, facts, Run::Read)?;
    if !was_started(store, &plan)? {
        terminal::note(format!(
            "{}: this version of the file has not been run with worker {}",
            file.path.display(),
            plan.code.version
        ));
    }
    Ok(plan)
}

/// What a plan is wanted for, where the code's results belong to one run of one sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// To look at the newest run.
    Read,
    /// To go on with the run that has not ended, or begin the next.
    Work,
    /// To try the failed trials of the newest run again.
    Retry,
}

/// The plan, with the number of its run: results of a dirty or unknown version are continued while the run that made them
/// has not ended, and never used by another.
pub(crate) fn of_run(store: &Store, file: &SweepFile, mut facts: Facts, run: Run) -> Result<Plan> {
    let rule = rule(store, file, &facts)?;
    let mut plan = plan::resolve_by(rule, file, &facts)?;
    while !facts.code.reusable() && store.exists(&ended_key(&plan))? {
        facts.run += 1;
        let next = plan::resolve_by(rule, file, &facts)?;
        if run != Run::Work && !was_started(store, &next)? {
            break;
        }
        plan = next;
    }
    Ok(plan)
}

/// The rule by which a plan is made: the newest, unless only a plan by an older one has been worked on, whose results are used.
fn rule(store: &Store, file: &SweepFile, facts: &Facts) -> Result<Counted> {
    let rules = Counted::rules(file);
    for &rule in rules.iter().filter(|_| rules.len() > 1) {
        if was_started(store, &plan::resolve_by(rule, file, facts)?)? {
            return Ok(rule);
        }
    }
    Ok(rules[0])
}

fn ended_key(plan: &Plan) -> String {
    format!("{}/ended.json", plan.key())
}

/// Records that every trial of the plan has finished or failed.
pub(crate) fn record_end(store: &Store, plan: &Plan) -> Result<()> {
    let record = Invocation { holder: Identity::own(), unix_s: unix_s() };
    store.create_record_once(&ended_key(plan), &record)?;
    Ok(())
}

/// Refuses a name that no record can have, before the store is asked for it.
pub(crate) fn check_name(target: &str) -> Result<()> {
    if target.contains('/') || target.ends_with(".yaml") || target.ends_with(".yml") {
        bail!("{target}: no such file; give the path of a sweep file, or the name of a sweep");
    }
    Ok(())
}
