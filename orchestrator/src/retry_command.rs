//! `orchestrator retry`: failed, damaged and cut-off trials again, and no others.
//!
//! The plan in the store says everything that running on this machine needs. What a trial asks of Slurm stands in the sweep
//! file alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use store::Store;

use crate::check;
use crate::cli::{BackendName, RetryArgs, SweepArgs};
use crate::code;
use crate::evidence;
use crate::identity::{Identity, Life};
use crate::leakage::Leakage;
use crate::process::Launcher;
use crate::records::{Plan, Trial};
use crate::sweep::Options;
use crate::sweep_command::{self, work_of};
use crate::sweep_file::SweepFile;
use crate::target;
use crate::trial_state::State;

/// Tries the trials again.
pub(crate) fn run(args: &RetryArgs) -> Result<ExitCode> {
    let names: Vec<&str> = args.trials.iter().map(String::as_str).collect();
    let (store, plan) = target::sweep_with(&args.choice, &names)?;
    let trials = names.iter().map(|name| target::trial(&plan, name)).collect::<Result<Vec<_>>>()?;
    for trial in &trials {
        refuse_without_need(args, evidence::state(&store, &plan, trial)?.state, trial)?;
    }
    match args.backend {
        BackendName::Local => here(args, &store, &plan, trials),
        BackendName::Slurm => on_slurm(args, &trials),
    }
}

/// Refuses a trial that needs no other attempt, or whose attempt may still run.
fn refuse_without_need(args: &RetryArgs, state: State, trial: &Trial<'_>) -> Result<()> {
    let label = trial.label();
    match state {
        State::Finished { attempt, .. } => {
            bail!("{label} is finished (attempt {attempt}): there is nothing to try again")
        }
        State::Claimed { claim, .. } if claim.batch.is_some() && args.backend == BackendName::Local => {
            bail!(
                "{label} is claimed by a Slurm job: retry it with --backend slurm --sweep FILE, or stop the job with `cancel`"
            )
        }
        State::Claimed { claim, life: Life::Alive, .. } if claim.batch.is_none() => {
            bail!("{label} runs as process {} on this machine: `cancel` stops it", claim.holder.pid)
        }
        State::Claimed { claim, life: Life::Unknown, .. } if claim.batch.is_none() && !args.running.take_over => {
            let Identity { pid, host, .. } = claim.holder;
            bail!("{label} is claimed by process {pid} on {host}: if you know that it is dead, add --take-over")
        }
        _ => Ok(()),
    }
}

fn here(args: &RetryArgs, store: &Store, plan: &Plan, trials: Vec<Trial<'_>>) -> Result<ExitCode> {
    let worker = code::find_worker(args.choice.place.worker.as_deref())?;
    let trials = plan.with_baselines(trials);
    let file = sweep_file(args).map(SweepFile::read).transpose()?;
    let mut findings = check::check(store, plan, &trials, &worker, file.as_ref());
    // What a sweep may do in spite of shared images stands in its file; without one, what is known is said.
    let leakage = file.map_or(Leakage::Warn, |file| file.leakage());
    findings.problems.extend(sweep_command::leaks(leakage, store, plan, &trials));
    ensure!(findings.problems.is_empty(), "{}", findings.problems.join("; "));
    let program = std::env::current_exe().context("find the path of this program")?;
    let grace = Duration::from_secs_f64(args.running.grace_s);
    let launcher = Launcher::supervised(&program, worker, grace);
    let mut backend = sweep_command::here((store, plan), launcher, work_of(args.running.work.as_deref(), store, plan));
    let options = Options { retry_failed: true, max_failures: None, take_over: args.running.take_over, grace };
    sweep_command::execute((store, plan), &options, &mut backend, trials)
}

/// The sweep file that was named, if one was.
fn sweep_file(args: &RetryArgs) -> Option<&Path> {
    args.choice.sweep.as_deref().map(Path::new).filter(|path| path.is_file())
}

fn on_slurm(args: &RetryArgs, trials: &[Trial<'_>]) -> Result<ExitCode> {
    let file: PathBuf =
        sweep_file(args).context("the Slurm settings of a trial are in the sweep file: name it with --sweep")?.into();
    if let Some(baseline) = trials.iter().find(|trial| trial.baseline.is_some()) {
        bail!("{} is a baseline, which runs with the trials that it belongs to: retry one of those", baseline.label());
    }
    sweep_command::run(&SweepArgs {
        file,
        backend: BackendName::Slurm,
        store: args.choice.place.store.clone(),
        dry_run: false,
        estimate: None,
        slots: None,
        retry_failed: true,
        max_failures: None,
        only: trials.iter().map(|trial| globset::escape(&trial.label())).collect(),
        shards: args.choice.place.shards.clone(),
        worker: args.choice.place.worker.clone(),
        running: args.running.clone(),
    })
}
