//! What would stop a trial later, found before anything runs: a dry run, a sweep and a Slurm job all ask here.
//!
//! Shard sets, splits, initial weights and the worker's version are found in [`crate::prepare`]. Here the worker itself
//! reads the command lines it would be given, by its own rules, and says how large a checkpoint will be; and the store is
//! asked whether it can be written and has room for one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use run_spec::ids::digest_json;
use serde::Deserialize;
use serde_json::json;
use store::Store;

use crate::command::{self, Stage};
use crate::evidence;
use crate::records::{Plan, Trial};
use crate::sweep_file::SweepFile;

/// What `worker check` answers.
#[derive(Debug, Deserialize)]
struct Answer {
    /// Bytes of a checkpoint of this run, where the command trains.
    checkpoint_bytes: Option<u64>,
    /// The number of cells whose features stay in the store, where the command keeps any.
    #[serde(default)]
    kept_features: Option<u64>,
}

/// What one trial puts into the store, as far as it is large.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    /// Bytes of a checkpoint.
    checkpoint: u64,
    /// Bytes of the features that its probes keep.
    features: u64,
}

/// What the checks before a sweep found out.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What must be corrected first, a sentence each.
    pub(crate) problems: Vec<String>,
    /// Bytes of the largest checkpoint.
    pub(crate) checkpoint_bytes: u64,
    /// Bytes of the features that all trials together keep.
    pub(crate) features_bytes: u64,
    /// Bytes free in the store; absent for object storage.
    pub(crate) free_bytes: Option<u64>,
}

impl Findings {
    /// What the trials write that is large, and the room for it, in a sentence; `None` if they write neither checkpoints nor features.
    pub(crate) fn room(&self) -> Option<String> {
        let sizes = [
            ("a checkpoint takes up to", self.checkpoint_bytes),
            ("the features that the probes keep take", self.features_bytes),
        ];
        let mut parts: Vec<String> = sizes
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(what, bytes)| format!("{what} {}", terminal::bytes(bytes)))
            .collect();
        if parts.is_empty() {
            return None;
        }
        parts.extend(self.free_bytes.map(|free| format!("the store has {} free", terminal::bytes(free))));
        let sentence = parts.join("; ");
        Some(format!("{}{}.", sentence[..1].to_uppercase(), &sentence[1..]))
    }
}

/// Lets the worker check the command lines of `trials`, one of each kind, and looks for room in the store. Mistakes are placed in `file`, where the sweep
/// file is at hand.
pub(crate) fn check(
    store: &Store,
    plan: &Plan,
    trials: &[Trial<'_>],
    worker: &Path,
    file: Option<&SweepFile>,
) -> Findings {
    let mut findings = Findings::default();
    let mut kinds = BTreeMap::new();
    for trial in trials {
        let config = trial.arm.config.value();
        let of_baseline = trial.baseline.map(|baseline| (&baseline.eval, &baseline.features));
        let decide = ["model", "head", "loss", "crops", "data", "init", "optim", "checkpoint"].map(|key| &config[key]);
        let kind = json!([of_baseline, trial.arm.shards.digest, decide]);
        let of_kind = kinds.entry(digest_json(&kind)).or_insert_with(|| of_trial((plan, file), trial, worker));
        match of_kind {
            Ok(sizes) => {
                findings.checkpoint_bytes = findings.checkpoint_bytes.max(sizes.checkpoint);
                findings.features_bytes += sizes.features;
            }
            Err(error) => findings.problems.push(format!("{error:#}")),
        }
    }
    let mut said = BTreeSet::new();
    findings.problems.retain(|problem| said.insert(problem.clone()));
    match free_bytes(store) {
        Ok(free) => findings.free_bytes = free,
        Err(error) => findings.problems.push(format!("{error:#}")),
    }
    let needed = findings.checkpoint_bytes + findings.features_bytes;
    if let Some(free) = findings.free_bytes
        && free < needed
    {
        let what = if findings.features_bytes > 0 { "a checkpoint and the kept features" } else { "a checkpoint" };
        findings.problems.push(format!(
            "{} has too little space for {what} ({} free, {} needed): free space, or choose another with --store",
            store.uri(),
            terminal::bytes(free),
            terminal::bytes(needed)
        ));
    }
    findings
}

/// Whether the step that is to be scored will be a checkpoint.
fn check_step(plan: &Plan, trial: &Trial<'_>) -> Result<()> {
    let Some(asked) = plan.probe_options.get("step") else { return Ok(()) };
    let config = trial.arm.config.resolve(&trial.label())?;
    let (step, last, every) = (evidence::step(plan, trial)?.get(), config.total_steps(), config.checkpoint.every_steps);
    let kept = step.div_ceil(every.max(1)) + config.checkpoint.keep > last.div_ceil(every.max(1));
    ensure!(
        step == last || (step > 0 && step < last && step.is_multiple_of(every.max(1)) && kept),
        "`probe.options.step`: {asked} will not be a checkpoint: kept are the last {} of each {every}th step and step {last}; \
         ask for one of these, or raise `checkpoint.keep`",
        config.checkpoint.keep
    );
    Ok(())
}

/// Lets the worker check all stages of one trial, and says how large what it leaves is.
fn of_trial((plan, file): (&Plan, Option<&SweepFile>), trial: &Trial<'_>, worker: &Path) -> Result<Sizes> {
    let config = tempfile::NamedTempFile::with_suffix(".json").context("cannot make a temporary file for a config")?;
    std::fs::write(config.path(), trial.config().value().to_string()).context("cannot write a temporary config")?;
    if trial.baseline.is_none() {
        let place = || format!("{}: arm `{}`", place(plan, file, "probe.options.step"), trial.arm.name);
        check_step(plan, trial).with_context(place)?;
    }
    let mut sizes = Sizes::default();
    for stage in command::stages(plan, trial, 1.into(), config.path(), str::to_owned)? {
        let answer = ask(worker, &stage).map_err(|error| {
            // The config is a temporary file of this program's: its path says nothing to anybody.
            let said = format!("{error:#}").replace(&format!("{} line 1: ", config.path().display()), "");
            let whose = whose((plan, file), trial, &stage, &said);
            anyhow::Error::msg(said).context(whose)
        })?;
        sizes.checkpoint = sizes.checkpoint.max(answer.checkpoint_bytes.unwrap_or(0));
        if let Some(cells) = answer.kept_features {
            let dim = trial.arm.config.resolve(&trial.label())?.model.dim.unsigned_abs();
            sizes.features += cells * dim * size_of::<f32>() as u64;
        }
    }
    Ok(sizes)
}

/// Where a refused command line comes from, in the words of the sweep file.
fn whose((plan, file): (&Plan, Option<&SweepFile>), trial: &Trial<'_>, stage: &Stage, said: &str) -> String {
    match &stage.rows {
        None => format!("sweep {}: arm `{}`", plan.name, trial.arm.name),
        Some(_) => {
            let key = named_option(plan, said);
            format!("{}: {} with `{key}`", place(plan, file, &key), stage.name)
        }
    }
}

/// File and line of a key of the sweep file; the name of the sweep where the file is not at hand.
fn place(plan: &Plan, file: Option<&SweepFile>, key: &str) -> String {
    file.map_or_else(|| format!("sweep {}", plan.name), |file| file.place(key))
}

/// The key of the probe option that the worker names in what it has `said`; that of all options where it names none.
fn named_option(plan: &Plan, said: &str) -> String {
    let names = plan.probe_options.keys().filter(|name| said.contains(&format!("--{}", name.replace('_', "-"))));
    names.max_by_key(|name| name.len()).map_or("probe.options".to_owned(), |name| format!("probe.options.{name}"))
}

fn ask(worker: &Path, stage: &Stage) -> Result<Answer> {
    let output = Command::new(worker).args(["check", "--"]).args(&stage.args).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("run {} check", worker.display()))?;
    if output.status.success() {
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} check did not answer {{\"checkpoint_bytes\": …}}", worker.display()))?;
        return Ok(answer);
    }
    let text = crate::log::plain(&String::from_utf8_lossy(&output.stderr));
    let said: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = |line: &&&str| line.starts_with("error: ") || line.starts_with("tip: ") || line.contains("ERROR ");
    let mut words: Vec<&str> = said.iter().filter(told).map(|line| line.trim_start_matches("error: ")).collect();
    if words.is_empty() {
        words.extend(said.last());
    }
    let command = stage.args.first().map_or("", String::as_str);
    let said = words.iter().map(|line| line.split_once("ERROR ").map_or(*line, |(_, said)| said)).collect::<Vec<_>>();
    anyhow::bail!("`worker {command}` refuses it: {}; `worker {command} --help` lists its options", said.join("; "))
}

/// Bytes free where the store lies; `None` for object storage, which has no such number. A folder that cannot be written
/// is an error. Nothing is written: that a bucket can be written shows at the first record.
fn free_bytes(store: &Store) -> Result<Option<u64>> {
    if store.uri().contains("://") {
        store.list("plans").with_context(|| format!("list {}", store.uri()))?;
        return Ok(None);
    }
    let path = std::path::absolute(store.uri()).with_context(|| format!("find {}", store.uri()))?;
    let exists = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(exists, rustix::fs::Access::WRITE_OK).with_context(|| {
        format!("{} cannot be written: check its permissions, or choose another store with --store", exists.display())
    })?;
    let room =
        rustix::fs::statvfs(exists).with_context(|| format!("ask for the free space at {}", exists.display()))?;
    Ok(Some(room.f_bavail.saturating_mul(room.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_about_room_names_only_what_is_written() {
        let room = |checkpoint_bytes, features_bytes| {
            Findings { checkpoint_bytes, features_bytes, free_bytes: Some(5_000_000), ..Findings::default() }.room()
        };
        assert_eq!(room(0, 0), None, "a sweep of baselines writes neither");
        assert_eq!(room(1000, 0).unwrap(), "A checkpoint takes up to 1.0 kB; the store has 5.0 MB free.");
        let both = "A checkpoint takes up to 1.0 kB; the features that the probes keep take 2.0 kB; the store has 5.0 MB free.";
        assert_eq!(room(1000, 2000).unwrap(), both);
        let features = "The features that the probes keep take 2.0 kB; the store has 5.0 MB free.";
        assert_eq!(room(0, 2000).unwrap(), features);
    }
}
