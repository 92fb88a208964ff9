//! What a person asks of a sweep on Slurm besides running it: where its jobs are, and that they end.

use std::collections::BTreeMap;

use anyhow::Result;
use store::Store;

use crate::attempt::failure;
use crate::records::{Cause, Plan};
use crate::slurm::client::Client;
use crate::slurm::job_batch::{self, Job, JobBatch};
use crate::slurm::job_phase::{self, Phase};
use crate::slurm::parse::{JobState, Task, Tasks};
use crate::trial_state::{self, State};

/// Where the jobs of a plan's batches are, in words, by [`crate::records::Trial::label`]; empty where nothing was submitted.
pub(crate) fn places(store: &Store, plan: &Plan) -> Result<BTreeMap<String, String>> {
    let batches = job_batch::all(store, plan)?;
    let mut places = BTreeMap::new();
    if batches.is_empty() {
        return Ok(places);
    }
    let tasks = Client::find().and_then(|client| client.queue().map_err(|trouble| anyhow::anyhow!("{trouble}")));
    for batch in &batches {
        for index in 0..batch.members.len() as u32 {
            let (trial, attempt) = batch.trial(index)?;
            if let State::Claimed { attempt: newest, claim, .. } = trial_state::state(store, &trial)?
                && newest == attempt
                && claim.batch.as_deref() == Some(&batch.key())
            {
                places.insert(trial.label(), place(store, batch, index, tasks.as_ref())?);
            }
        }
    }
    Ok(places)
}

fn place(store: &Store, batch: &JobBatch, index: u32, tasks: Result<&Tasks, &anyhow::Error>) -> Result<String> {
    let task = |job| Ok::<_, anyhow::Error>(batch.submitted(store, job)?.map(|array| Task { array, index }));
    let (train, probe) = (task(Job::Train)?, task(Job::Probe)?);
    let name = |task: Option<Task>| task.map_or_else(|| "not submitted".to_owned(), |task| format!("Slurm job {task}"));
    let tasks = match tasks {
        Ok(tasks) => tasks,
        Err(error) => return Ok(format!("{}; {error}", name(train))),
    };
    let seen = |task: Option<Task>| task.and_then(|task| tasks.get(&task));
    Ok(match job_phase::phase(seen(train), seen(probe)) {
        Phase::Under { job, description, .. } => format!("{description}, {}", name(job.of(train, probe))),
        Phase::Over(Some((_, description))) => format!("{description}, {}: ended", name(train)),
        Phase::Over(None) => format!("{}: unknown to Slurm", name(train)),
    })
}

/// Whether Slurm is to be asked for jobs of a plan: some were submitted, and one may hold a trial, or Slurm is here to be asked.
pub(crate) fn may_have_jobs(store: &Store, plan: &Plan) -> Result<bool> {
    if job_batch::all(store, plan)?.is_empty() {
        return Ok(false);
    }
    for trial in plan.with_baselines(plan.trials()) {
        if matches!(trial_state::state(store, &trial)?, State::Claimed { claim, .. } if claim.batch.is_some()) {
            return Ok(true);
        }
    }
    Ok(Client::find().is_ok())
}

/// Cancels all jobs of a plan and records the trials that they were to run as cut off. Returns the arrays that were
/// cancelled and the number of trials.
pub(crate) fn cancel(store: &Store, plan: &Plan) -> Result<(Vec<u64>, usize)> {
    let batches = job_batch::all(store, plan)?;
    let client = Client::find()?;
    let mut arrays = Vec::new();
    let mut cut = 0;
    let silent = |trouble| anyhow::anyhow!("{trouble}: nothing is recorded as cancelled; run this again");
    let queue = client.queue().map_err(silent)?;
    for batch in &batches {
        for job in [Job::Train, Job::Probe] {
            let array = match batch.submitted(store, job)? {
                Some(array) => Some(array),
                // Submitted by one that was killed before it could note the number.
                None => client.look_up(&batch.job_name(job)).map_err(silent)?,
            };
            let lives = |array: &u64| {
                queue.iter().any(|(task, seen)| task.array == *array && !matches!(seen.state, JobState::Ended(_)))
            };
            arrays.extend(array.filter(lives));
        }
    }
    client.cancel(&arrays, false).map_err(silent)?;
    for batch in &batches {
        for index in 0..batch.members.len() as u32 {
            let (trial, number) = batch.trial(index)?;
            if let State::Claimed { attempt, claim, .. } = trial_state::state(store, &trial)?
                && attempt == number
                && claim.batch.as_deref() == Some(&batch.key())
            {
                let message = "cancelled by `orchestrator cancel`".to_owned();
                let record = failure(Cause::Interrupted, "", message, Vec::new());
                trial_state::record_failure(store, &trial, attempt, &record)?;
                cut += 1;
            }
        }
    }
    Ok((arrays, cut))
}
