//! Submitting a batch exactly once, by whoever does it and however often it is begun.
//!
//! The order is: record of the batch, a claim for each trial, look-up by name, `sbatch`, its number noted. A program killed
//! between any two of these leaves a batch that the next one finishes; a `sbatch` that fails after Slurm took the job
//! ("Socket timed out") is found by its name and adopted.

use anyhow::{Context, Result};
use store::Store;

use crate::identity::{Identity, Life};
use crate::records::{Claim, Invocation};
use crate::slurm::client::{Client, Trouble};
use crate::slurm::job_batch::{Job, JobBatch, comment};
use crate::slurm::script::{self, Script};
use crate::trial_state::{self, State};

/// What an attempt to submit led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submission {
    /// Both arrays are Slurm's.
    Done,
    /// Slurm does not answer or is full: try again later.
    Later(String),
    /// Slurm refuses the job, with these words.
    Refused(String),
    /// Another living orchestrator does it.
    Theirs,
}

/// Whether this program may submit `batch`: it is the first, or all that tried before are dead. `take_over`: those on other
/// machines, of whom nobody here can tell, count as dead.
pub(crate) fn hold(store: &Store, batch: &JobBatch, take_over: bool) -> Result<bool> {
    let own = Identity::own();
    for n in 1.. {
        let key = format!("{}/holder-{n}.json", batch.key());
        if store.exists(&key)? {
            let holder: Invocation = store.read_record(&key)?;
            match holder.holder.life() {
                _ if holder.holder == own => return Ok(true),
                Life::Alive => return Ok(false),
                Life::Unknown if !take_over => return Ok(false),
                Life::Dead | Life::Unknown => continue,
            }
        }
        if store.create_record_once(&key, &Invocation { holder: own.clone(), unix_s: trial_state::unix_s() })? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Submits what of `batch` is not yet submitted.
pub(crate) fn submit(store: &Store, client: &Client, batch: &JobBatch, take_over: bool) -> Result<Submission> {
    let (train, probe) = (batch.submitted(store, Job::Train)?, batch.submitted(store, Job::Probe)?);
    if train.is_some() && probe.is_some() {
        return Ok(Submission::Done);
    }
    if !hold(store, batch, take_over)? {
        return Ok(Submission::Theirs);
    }
    let indexes = open(store, batch)?;
    if indexes.is_empty() {
        return Ok(Submission::Done);
    }
    let train = match train {
        Some(array) => array,
        None => match one(store, client, batch, Job::Train, &indexes, None)? {
            Ok(array) => array,
            Err(submission) => return Ok(submission),
        },
    };
    let mut probe = one(store, client, batch, Job::Probe, &indexes, Some(train))?;
    if matches!(&probe, Err(Submission::Refused(description)) if description.contains("ependency")) {
        // Slurm forgets jobs, and refuses a dependency on one that it has forgotten. What was trained is probed at once.
        let indexes = trained(store, batch, &indexes)?;
        if indexes.is_empty() {
            return Ok(Submission::Done);
        }
        probe = one(store, client, batch, Job::Probe, &indexes, None)?;
    }
    match probe {
        Ok(_) => Ok(Submission::Done),
        Err(submission) => {
            if matches!(submission, Submission::Refused(_))
                && let Err(trouble) = client.cancel(&[train], false)
            {
                tracing::warn!(%trouble, "training that will not be probed was not cancelled");
            }
            Ok(submission)
        }
    }
}

/// Submits one array, or finds it.
fn one(
    store: &Store,
    client: &Client,
    batch: &JobBatch,
    job: Job,
    indexes: &[u32],
    after: Option<u64>,
) -> Result<Result<u64, Submission>> {
    let name = batch.job_name(job);
    let note = |array| batch.note_submitted(store, job, array).map(|()| Ok(array));
    match client.look_up(&name) {
        Ok(Some(array)) => return note(array),
        Ok(None) => {}
        Err(trouble) => return Ok(Err(Submission::Later(trouble.to_string()))),
    }
    let scripts = batch.setting.work.join("slurm");
    std::fs::create_dir_all(&scripts).with_context(|| format!("cannot make folder {}", scripts.display()))?;
    let path = scripts.join(format!("{name}.sh"));
    std::fs::write(&path, text(batch, job, indexes, after.map(|array| array.to_string()).as_deref()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    match client.submit(&path) {
        Ok(array) => note(array),
        Err(Trouble::Refused(description)) => Ok(Err(Submission::Refused(description))),
        // It may have been taken. If not, the next look finds nothing by this name and submits again.
        Err(Trouble::Silent(description)) => match client.look_up(&name) {
            Ok(Some(array)) => {
                tracing::warn!("{description}; Slurm has it all the same, as job {array}");
                note(array)
            }
            Ok(None) | Err(_) => Ok(Err(Submission::Later(description))),
        },
    }
}

/// The script of one array.
pub(crate) fn text(batch: &JobBatch, job: Job, indexes: &[u32], after: Option<&str>) -> String {
    let program = batch.setting.program.display().to_string();
    let args = ["task", "--store", &batch.setting.store, "--batch", &batch.key(), "--job", job.word()];
    let command: Vec<String> = std::iter::once(program.as_str()).chain(args).map(str::to_owned).collect();
    script::text(&Script {
        job,
        name: &batch.job_name(job),
        comment: &comment(&batch.plan.digest, &batch.id, job),
        array: &script::array(indexes, batch.setting.max_parallel),
        shape: batch.shape(job),
        logs: &batch.setting.work.join("slurm"),
        folder: &batch.setting.folder,
        after,
        command: &command,
    })
}

/// Claims the batch's attempts. Returns the indexes that another has claimed.
pub(crate) fn claim(store: &Store, batch: &JobBatch) -> Result<Vec<u32>> {
    let key = batch.key();
    let mut theirs = Vec::new();
    for index in 0..batch.members.len() as u32 {
        let (trial, attempt) = batch.trial(index)?;
        if trial_state::claim(store, &trial, attempt, &batch.plan.name, Some(&key))? {
            continue;
        }
        let claim: Claim = store.read_record(&trial.attempt_key(attempt).claim())?;
        if claim.batch.as_deref() != Some(key.as_str()) {
            theirs.push(index);
        }
    }
    Ok(theirs)
}

/// Indexes whose newest attempt is this batch's and has not ended.
fn open(store: &Store, batch: &JobBatch) -> Result<Vec<u32>> {
    let key = batch.key();
    let mut found = Vec::new();
    for index in 0..batch.members.len() as u32 {
        let (trial, number) = batch.trial(index)?;
        if let State::Claimed { attempt, claim, .. } = trial_state::state(store, &trial)?
            && attempt == number
            && claim.batch.as_deref() == Some(key.as_str())
        {
            found.push(index);
        }
    }
    Ok(found)
}

/// Of `indexes`, the ones that have trained.
fn trained(store: &Store, batch: &JobBatch, indexes: &[u32]) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for index in indexes {
        let (trial, attempt) = batch.trial(*index)?;
        if store.exists(&trial.attempt_key(attempt).trained())? {
            found.push(*index);
        }
    }
    Ok(found)
}
