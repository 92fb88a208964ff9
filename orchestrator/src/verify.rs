//! `orchestrator verify STORE`: checks every record that anything reads back, and names each damage with its remedy.
//!
//! Nothing is moved or deleted. `--repair` creates `set-aside` records: one beside each attempt with a damaged record, so
//! that the next sweep does the trial again, one in each damaged run, and one at the root of the store for everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Result, bail};
use bytes::Bytes;
use results::predictions::Predictions;
use results::{ResultsError, row};
use run_folder::Run;
use run_spec::ids::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Store, StoreError};
use terminal::counted;

use crate::cli::VerifyArgs;
use crate::evidence;
use crate::keys::{AttemptKey, TrialKey};
use crate::records::{Claim, Failed, Finished, Invocation, Plan, PredictionsRef, RowsRef, SetAside, Started, Trained};
use crate::slurm::job_batch::{JobBatch, Submitted};
use crate::trial_state::{self, State, unix_s};

/// Something that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Damage {
    key: String,
    /// What is wrong, in a sentence that names the key.
    what: String,
    /// What to do about it.
    remedy: String,
    /// What sets it aside.
    scope: SetAsideScope,
}

/// Where a damage is set aside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum SetAsideScope {
    /// The attempt under this key.
    Attempt(AttemptKey),
    /// The run under this key: the run folder has set-aside records of its own.
    Run(TrialKey),
    /// The store itself: its own set-aside records name the key.
    Root,
}

impl SetAsideScope {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Attempt(_) => {
                "restore it from a copy, or let --repair set the attempt aside: the next sweep does the trial again"
            }
            Self::Run(_) => {
                "restore it from a copy, or let --repair set it aside: training continues from the newest whole checkpoint"
            }
            Self::Root => {
                "restore it from a copy, or let --repair set it aside: the next `sweep FILE` writes what it needs anew"
            }
        }
    }
}

/// `set-aside/<n>.json` at the root of a store: keys that are known to be damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KnownDamage {
    keys: Vec<String>,
    unix_s: u64,
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Default)]
struct Report {
    records: usize,
    rows: usize,
    predictions: usize,
    runs: usize,
    damaged: Vec<Damage>,
    set_aside: Vec<Damage>,
}

/// Checks a store and prints what is damaged. Exit status 1 where anything is that was not set aside.
pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let store = Store::open(&args.store)?;
    let keys = store.list("")?;
    if !keys.iter().any(|key| key.starts_with("sweeps/") || key.starts_with("trials/")) {
        bail!("{} contains nothing of a sweep: give the address of the store that `sweep` wrote to", store.uri());
    }
    let mut report = look(&store, &keys)?;
    for damage in &report.damaged {
        terminal::line(format!("damaged: {}; {}", damage.what, damage.remedy));
    }
    for damage in &report.set_aside {
        terminal::line(format!("set aside: {}", damage.what));
    }
    if args.repair && !report.damaged.is_empty() {
        repair(&store, &report.damaged)?;
        terminal::line(format!(
            "{} set aside; the next `orchestrator sweep` does the work again",
            report.damaged.len()
        ));
        report.set_aside.append(&mut report.damaged);
    }
    terminal::line(format!("{}: {}", store.uri(), report.summary()));
    Ok(if report.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    /// What was checked, and how much of it is damaged: `OK: 12 records, 4 files of rows, 1 run; none damaged`. What is not there is left out.
    fn summary(&self) -> String {
        let checked = [
            (self.records, counted(self.records, "record")),
            (self.rows, format!("{} of rows", counted(self.rows, "file"))),
            (self.predictions, format!("{} of predictions", counted(self.predictions, "file"))),
            (self.runs, counted(self.runs, "run")),
        ];
        let checked: Vec<String> =
            checked.into_iter().filter(|(count, _)| *count > 0).map(|(_, words)| words).collect();
        let (ok, damaged) = match self.damaged.len() {
            0 => ("OK: ", "none damaged".to_owned()),
            some => ("", format!("{some} damaged")),
        };
        let aside = match self.set_aside.len() {
            0 => String::new(),
            some => format!(", {some} set aside"),
        };
        format!("{ok}{}; {damaged}{aside}", checked.join(", "))
    }
}

/// The attempt that a key lies in.
fn attempt_of(key: &str) -> Option<AttemptKey> {
    AttemptKey::split(key).map(|(attempt, _)| attempt)
}

fn look(store: &Store, keys: &[String]) -> Result<Report> {
    let aside: BTreeSet<AttemptKey> =
        keys.iter().filter(|key| key.ends_with("/set-aside.json")).filter_map(|key| attempt_of(key)).collect();
    let known = known_damage(store, keys)?;
    let ended: BTreeSet<AttemptKey> = keys
        .iter()
        .filter(|key| ["/result.json", "/failed.json"].iter().any(|name| key.ends_with(name)))
        .filter_map(|key| attempt_of(key))
        .collect();
    let mut report = Report::default();
    let mut runs = BTreeSet::new();
    for key in keys {
        if let Some(run) = TrialKey::of_run(key) {
            runs.insert(run);
            continue;
        }
        let Some(wrong) = check(store, key, &mut report)? else { continue };
        let attempt = attempt_of(key);
        // Who began an attempt decides nothing any more once it has ended.
        let decides = !key.ends_with("/claim.json") && !key.contains("/started-");
        let scope = match &attempt {
            Some(attempt) if decides || !ended.contains(attempt) => SetAsideScope::Attempt(attempt.clone()),
            _ => SetAsideScope::Root,
        };
        let is_aside = attempt.as_ref().is_some_and(|attempt| aside.contains(attempt)) || known.contains(key);
        for (key, what) in wrong {
            let damage = Damage { key, what, remedy: scope.remedy().to_owned(), scope: scope.clone() };
            if is_aside { report.set_aside.push(damage) } else { report.damaged.push(damage) }
        }
    }
    for key in keys.iter().filter(|key| is_plan(key)) {
        if let Ok(plan) = store.read_record_if_whole::<Plan>(key)? {
            look_at_trials(store, &plan, &known, &mut report)?;
        }
    }
    for run in runs {
        report.runs += 1;
        look_at_run(store, &run, &mut report)?;
    }
    Ok(report)
}

fn is_plan(key: &str) -> bool {
    key.starts_with("sweeps/") && (key.contains("/plans/") || key.ends_with("/plan.json"))
}

/// Checks the trials of a plan: what `status` calls damaged is found here too, and the configs beside the runs.
fn look_at_trials(store: &Store, plan: &Plan, known: &BTreeSet<String>, report: &mut Report) -> Result<()> {
    for trial in plan.with_baselines(plan.trials()) {
        if let State::Damaged { attempt, what } = evidence::state(store, plan, &trial)?.state {
            let scope = SetAsideScope::Attempt(trial.attempt_key(attempt));
            let remedy = scope.remedy().to_owned();
            if !report.damaged.iter().any(|damage| damage.scope == scope) {
                let key = trial.attempt_key(attempt).result();
                report.damaged.push(Damage { key, what: without_remedy(&what), remedy, scope });
            }
        }
        let key = trial.key().config();
        let named = known.contains(&key) || report.damaged.iter().any(|damage| damage.key == key);
        let is_config =
            |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok().as_ref() == Some(trial.config().value());
        if !named && store.exists(&key)? && !is_config(&store.get(&key)?) {
            let what = format!("{} is not the config of its trial", store.uri_of(&key));
            let remedy = "nothing reads it back: delete it, and the next attempt writes it anew".to_owned();
            report.damaged.push(Damage { key, what, remedy, scope: SetAsideScope::Root });
        }
    }
    Ok(())
}

/// A sentence about damage without its own remedy: a better one follows.
fn without_remedy(what: &str) -> String {
    let cut = what.find("; restore it from a copy").or_else(|| what.find("; set it aside with"));
    cut.map_or(what, |at| &what[..at]).to_owned()
}

fn known_damage(store: &Store, keys: &[String]) -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for key in keys.iter().filter(|key| key.starts_with("set-aside/")) {
        if let Ok(KnownDamage { keys, .. }) = store.read_record_if_whole(key)? {
            known.extend(keys);
        }
    }
    Ok(known)
}

/// Checks one record; `None` for what is whole and for what is not a record.
fn check(store: &Store, key: &str, report: &mut Report) -> Result<Option<Vec<(String, String)>>> {
    let Some(name) = key.rsplit('/').next().filter(|name| name.ends_with(".json")) else { return Ok(None) };
    let in_sweep = key.starts_with("sweeps/");
    let wrong = match name {
        _ if !in_sweep && !key.starts_with("trials/") => return Ok(None),
        _ if key.contains("/tables/") => return Ok(None),
        "result.json" => match store.read_record_if_whole::<Finished>(key)? {
            Ok(record) => {
                report.records += 1;
                return measured(store, key, &record, report).map(|wrong| (!wrong.is_empty()).then_some(wrong));
            }
            Err(what) => Some(what.to_string()),
        },
        "claim.json" => whole::<Claim>(store, key)?,
        "failed.json" => whole::<Failed>(store, key)?,
        "trained.json" => whole::<Trained>(store, key)?,
        "set-aside.json" => whole::<SetAside>(store, key)?,
        "plan.json" => whole::<Plan>(store, key)?,
        "wave.json" => whole::<JobBatch>(store, key)?,
        "train.json" | "probe.json" if in_sweep => whole::<Submitted>(store, key)?,
        "ended.json" => whole::<Invocation>(store, key)?,
        _ if in_sweep && key.contains("/plans/") => whole::<Plan>(store, key)?,
        _ if in_sweep && (key.contains("/invocations/") || name.starts_with("holder-")) => {
            whole::<Invocation>(store, key)?
        }
        _ if name.starts_with("started-") => whole::<Started>(store, key)?,
        _ => whole::<Value>(store, key)?,
    };
    report.records += 1;
    Ok(wrong.map(|what| vec![(key.to_owned(), without_remedy(&what))]))
}

/// What is wrong with a record, if anything.
fn whole<T: serde::de::DeserializeOwned>(store: &Store, key: &str) -> Result<Option<String>> {
    Ok(store.read_record_if_whole::<T>(key)?.err().map(|what| what.to_string()))
}

/// What is wrong with the rows and predictions that a result names.
fn measured(store: &Store, key: &str, record: &Finished, report: &mut Report) -> Result<Vec<(String, String)>> {
    let mut wrong = Vec::new();
    let files = record.rows.iter().map(|file| &file.key).chain(record.predictions.iter().map(|file| &file.key));
    if let Some(attempt) = attempt_of(key)
        && let Some(foreign) = files.into_iter().find(|file| attempt_of(file).as_ref() != Some(&attempt))
    {
        wrong.push((
            key.to_owned(),
            format!("{} is the result of another attempt: it names {foreign}", store.uri_of(key)),
        ));
    }
    for RowsRef { key, digest } in &record.rows {
        report.rows += 1;
        let readable =
            |bytes: Bytes, place: &str| row::from_json_lines(&String::from_utf8_lossy(&bytes), place).map(drop);
        wrong.extend(named(store, (key, *digest), readable)?.map(|what| (key.clone(), what)));
    }
    for PredictionsRef { key, digest } in &record.predictions {
        report.predictions += 1;
        let readable = |bytes: Bytes, place: &str| Predictions::open(bytes, place)?.rows().map(drop);
        wrong.extend(named(store, (key, Some(*digest)), readable)?.map(|what| (key.clone(), what)));
    }
    Ok(wrong)
}

/// What is wrong with a file that a result names by key and digest.
fn named(
    store: &Store,
    (key, digest): (&str, Option<Digest>),
    readable: impl Fn(Bytes, &str) -> Result<(), ResultsError>,
) -> Result<Option<String>> {
    let place = store.uri_of(key);
    match store.get(key) {
        Ok(bytes) if digest.is_some_and(|digest| digest != Digest::of(&bytes)) => {
            Ok(Some(format!("{place} does not match the digest in the attempt's result.json")))
        }
        Ok(bytes) => Ok(readable(bytes, &place).err().map(|error| error.to_string())),
        Err(StoreError::NotFound { .. }) => Ok(Some(format!("{place} is missing"))),
        Err(error) if trial_state::is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Checks the run folder of a trial.
fn look_at_run(store: &Store, trial: &TrialKey, report: &mut Report) -> Result<()> {
    let key = trial.run();
    let found = run_folder::verify(&Run::of(store.child(&key)))?;
    let scope = SetAsideScope::Run(*trial);
    let at = |inner: &str, what: &str| format!("{}: {what}", store.uri_of(&format!("{key}/{inner}")));
    for damage in &found.damages {
        let what = at(&damage.key, &damage.what);
        let remedy = damage.remedy.clone();
        report.damaged.push(Damage { key: format!("{key}/{}", damage.key), what, remedy, scope: scope.clone() });
    }
    for (inner, what) in &found.set_aside {
        let remedy = String::new();
        report.set_aside.push(Damage {
            key: format!("{key}/{inner}"),
            what: at(inner, what),
            remedy,
            scope: scope.clone(),
        });
    }
    Ok(())
}

/// Sets everything damaged aside.
fn repair(store: &Store, damaged: &[Damage]) -> Result<()> {
    let mut places: BTreeMap<&SetAsideScope, Vec<&Damage>> = BTreeMap::new();
    for damage in damaged {
        places.entry(&damage.scope).or_default().push(damage);
    }
    for (place, damages) in places {
        match place {
            SetAsideScope::Attempt(key) => {
                trial_state::set_aside(store, key, damages.iter().map(|damage| damage.what.clone()).collect())?;
            }
            SetAsideScope::Run(trial) => {
                let run = Run::of(store.child(&trial.run()));
                run.repair(&run_folder::verify(&run)?, crate::cli::VERSION)?;
            }
            SetAsideScope::Root => {
                let keys = damages.iter().map(|damage| damage.key.clone()).collect();
                let record = KnownDamage { keys, unix_s: unix_s() };
                let mut n = store.list("set-aside")?.len() + 1;
                while !store.create_record_once(&format!("set-aside/{n}.json"), &record)? {
                    n += 1;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_begins_with_ok_and_leaves_out_what_is_not_there() {
        let mut report = Report { records: 12, rows: 4, runs: 1, ..Report::default() };
        assert_eq!(report.summary(), "OK: 12 records, 4 files of rows, 1 run; none damaged");
        let damage =
            Damage { key: String::new(), what: String::new(), remedy: String::new(), scope: SetAsideScope::Root };
        report.set_aside.push(damage.clone());
        report.damaged.push(damage);
        assert_eq!(report.summary(), "12 records, 4 files of rows, 1 run; 1 damaged, 1 set aside");
    }
}
