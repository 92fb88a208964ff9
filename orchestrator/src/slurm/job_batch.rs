//! The records of a batch: trials of one shape that are submitted together, as one array that trains and one that probes.
//!
//! ```text
//! sweeps/NAME/<digest>/waves/<w>/wave.json        what is submitted; written first
//!                                holder-<n>.json  who submits it; whoever finds that one dead is the next
//!                                train.json       number of the array; written last
//!                                probe.json       the same
//! ```
//! Task N of both arrays works on trial N. A batch without `train.json` may have been submitted all the same: its jobs are
//! looked up by name before anything is submitted (again).

use std::path::PathBuf;

use anyhow::{Context, Result};
use run_spec::ids::{Attempt, Digest, Seed, digest_json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Store;

use crate::identity::Identity;
use crate::records::{Plan, Trial};
use crate::slurm::section::{Shape, Shapes};
use crate::trial_state::unix_s;

/// Which of a trial's two jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Job {
    /// The job that trains the model.
    Train,
    /// The job that runs all probes of the trained model.
    Probe,
}

impl Job {
    /// As it stands in names and keys.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Probe => "probe",
        }
    }

    /// Of two things, that of this job.
    pub(crate) fn of<T>(self, train: T, probe: T) -> T {
        match self {
            Self::Train => train,
            Self::Probe => probe,
        }
    }
}

/// One trial of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Name of the arm of the trial.
    pub(crate) arm: String,
    /// Seed of the trial.
    pub(crate) seed: Seed,
    /// Number of the attempt.
    pub(crate) attempt: Attempt,
}

/// How and where the tasks of all batches of an invocation run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskSetting {
    /// Tasks of one array that may run at once.
    pub(crate) max_parallel: Option<u32>,
    /// Seconds that a job may take by the sweep file.
    pub(crate) time_limit_s: Option<u64>,
    /// URI of the store, good from every node.
    pub(crate) store: String,
    /// Path of this program, good from every node.
    pub(crate) program: PathBuf,
    /// Path of the worker, good from every node.
    pub(crate) worker: PathBuf,
    /// Folder for logs and configs, on a file system that all nodes share.
    pub(crate) work: PathBuf,
    /// Folder in which the tasks run.
    pub(crate) folder: PathBuf,
}

/// `wave.json`: the trials that are submitted together, as one job array for training and one for probing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobBatch {
    /// Short and unique in the store; part of the jobs' names.
    pub(crate) id: String,
    /// The plan, with the arms of this batch alone: a task needs to read nothing else.
    pub(crate) plan: Plan,
    /// The trials, by index.
    pub(crate) members: Vec<Member>,
    /// What the jobs ask for.
    pub(crate) shapes: Shapes,
    /// How and where its tasks run.
    #[serde(flatten)]
    pub(crate) setting: TaskSetting,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// `train.json`, `probe.json`: an array that Slurm has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Submitted {
    /// Number that Slurm gave the array.
    pub(crate) array: u64,
    /// When it was noted, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// A name for a batch that no other has: it covers who makes it and when.
pub(crate) fn new_id(plan: &Plan, members: &[Member], store: &str) -> String {
    let who = Identity::own();
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_nanos());
    let words =
        json!({"sweep": plan.digest, "members": members, "store": store, "who": who, "when": nanos.to_string()});
    digest_json(&words).short()
}

impl JobBatch {
    /// Key of its folder in the store: `sweeps/NAME/<digest>/waves/<id>`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", batches_key(&self.plan), self.id)
    }

    /// Name of the job array, by which it is found again: at most 64 letters, digits, dashes, dots and underscores.
    pub(crate) fn job_name(&self, job: Job) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let sweep: String = self.plan.name.chars().map(plain).take(40).collect();
        format!("{sweep}-{}-{}", self.id, job.word())
    }

    /// What it asks for.
    pub(crate) fn shape(&self, job: Job) -> &Shape {
        match job {
            Job::Train => &self.shapes.train,
            Job::Probe => &self.shapes.probe,
        }
    }

    /// Trial `index`, and the number of its attempt.
    pub(crate) fn trial(&self, index: u32) -> Result<(Trial<'_>, Attempt)> {
        let place = || format!("batch {} has no trial {index}", self.id);
        let member = self.members.get(index as usize).with_context(place)?;
        Ok((self.plan.trial(&member.arm, member.seed).with_context(place)?, member.attempt))
    }

    /// The index of an attempt.
    pub(crate) fn index_of(&self, trial: &Trial<'_>, attempt: Attempt) -> Option<u32> {
        let same = |m: &Member| m.arm == trial.arm.name && m.seed == trial.seed && m.attempt == attempt;
        // Another sweep may call the same trial otherwise.
        let twin = |m: &Member| {
            let known = self.plan.trial(&m.arm, m.seed);
            known.is_some_and(|known| known.key() == trial.key()) && m.attempt == attempt
        };
        let found = self.members.iter().position(same).or_else(|| self.members.iter().position(twin));
        found.and_then(|index| u32::try_from(index).ok())
    }

    /// The number of its array, where it is noted.
    pub(crate) fn submitted(&self, store: &Store, job: Job) -> Result<Option<u64>> {
        let key = self.submitted_key(job);
        if !store.exists(&key)? {
            return Ok(None);
        }
        Ok(Some(store.read_record::<Submitted>(&key)?.array))
    }

    /// Notes the number of its array.
    pub(crate) fn note_submitted(&self, store: &Store, job: Job, array: u64) -> Result<()> {
        store.create_record_once(&self.submitted_key(job), &Submitted { array, unix_s: unix_s() })?;
        Ok(())
    }

    fn submitted_key(&self, job: Job) -> String {
        format!("{}/{}.json", self.key(), job.word())
    }
}

/// Where the batches of a plan lie.
fn batches_key(plan: &Plan) -> String {
    format!("{}/waves", plan.key())
}

/// Key of the record of a batch.
pub(crate) fn record_key(batch: &str) -> String {
    format!("{batch}/wave.json")
}

/// All batches of a plan.
pub(crate) fn all(store: &Store, plan: &Plan) -> Result<Vec<JobBatch>> {
    let keys = store.list(&batches_key(plan))?;
    let mut batches = Vec::new();
    for key in keys.iter().filter(|key| key.ends_with("/wave.json")) {
        match store.read_record_if_whole(key)? {
            Ok(batch) => batches.push(batch),
            Err(what) => terminal::note(format!("{what}. Its jobs are not shown or cancelled.")),
        }
    }
    Ok(batches)
}

/// A plan with the arms of `members` alone.
pub(crate) fn plan_of(plan: &Plan, members: &[Member]) -> Plan {
    let mut plan = plan.clone();
    plan.arms.retain(|arm| members.iter().any(|member| member.arm == arm.name));
    plan.baselines.retain(|b| members.iter().any(|member| member.arm == b.arm.name && member.seed == b.seed));
    plan
}

/// For people: which sweep, batch and job it is.
pub(crate) fn comment(sweep: &Digest, id: &str, job: Job) -> String {
    format!("sweep={},wave={id},job={}", sweep.short(), job.word())
}
