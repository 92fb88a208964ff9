//! The records a sweep leaves in the store, and the keys they lie under.
//!
//! Every record is written once, under a key of its own, and never changed; a later attempt has a later number. So a
//! plain directory is store enough, and a stale orchestrator can overwrite nothing.
//!
//! ```text
//! sweeps/NAME/<sweep digest>/plan.json                    what is compared
//!                            invocations/<n>.json         who worked on it
//!                            ended.json                   every trial finished or failed
//!                            tables/<n>/{report.md, …}    what came out
//!                            waves/<w>/wave.json, …       job arrays on Slurm: see [`crate::slurm::wave`]
//! trials/<trial digest>/seed-<s>/config.json              the resolved config
//!                                run/…                    the worker's own: checkpoints, metrics
//!                                <probes>/attempt-<n>/    claim.json, started-<stage>.json, trained.json (Slurm),
//!                                                         rows-<eval>.jsonl, log.txt, and at its end result.json or failed.json
//! ```
//! `<probes>` is the digest of how the trained model is measured: another split measures the same run anew, and does not train it again.

use std::collections::BTreeMap;

use run_spec::ids::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::code::Code;
use crate::identity::Identity;

/// A shard set: where it was, and what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardRef {
    /// Where it was read; no part of any digest.
    pub(crate) uri: String,
    /// Digest of its manifest.
    pub(crate) digest: Digest,
}

/// One arm, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arm {
    /// Its name.
    pub(crate) name: String,
    /// What the sweep file changes in this arm alone.
    pub(crate) delta: BTreeMap<String, Value>,
    /// The resolved train config, without its seed.
    pub(crate) config: Value,
    /// What it trains on.
    pub(crate) shards: ShardRef,
    /// Digest of config, shards and code.
    pub(crate) trial: Digest,
}

/// A labelled shard set that every trained model is probed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EvalSet {
    /// Short name.
    pub(crate) name: String,
    /// Its pixels.
    pub(crate) shards: ShardRef,
    /// Name of the split.
    pub(crate) split: String,
    /// Digest of the split's file: a manifest does not cover it.
    pub(crate) split_digest: Digest,
    /// The arms train on images of this set too.
    pub(crate) transductive: bool,
}

/// `plan.json`: everything that is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Name of the sweep.
    pub(crate) name: String,
    /// Digest of the sweep: of its trials, seeds and probes.
    pub(crate) digest: Digest,
    /// The code that runs the trials.
    pub(crate) code: Code,
    /// Number of this run; counts only where the code's results are not reusable.
    pub(crate) run: u32,
    /// The arm that others are compared with.
    pub(crate) reference: String,
    /// False: a smoke test and no evidence.
    pub(crate) evidence: bool,
    /// Seeds that all arms share.
    pub(crate) seeds: Vec<u64>,
    /// The reference first.
    pub(crate) arms: Vec<Arm>,
    /// Evaluation sets.
    pub(crate) evals: Vec<EvalSet>,
    /// Further options of the probe.
    pub(crate) probe_options: BTreeMap<String, Value>,
    /// Digest of evaluation sets, splits and probe options.
    pub(crate) probes: Digest,
    /// Trials at once.
    pub(crate) slots: usize,
    /// Seconds that one attempt may take.
    pub(crate) time_limit_s: Option<u64>,
}

/// One cell of the matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trial<'a> {
    /// The arm.
    pub(crate) arm: &'a Arm,
    /// The seed.
    pub(crate) seed: u64,
    /// Digest of how it is measured.
    pub(crate) probes: Digest,
}

impl Trial<'_> {
    /// `trials/<digest>/seed-<s>`: shared by every sweep that holds this trial.
    pub(crate) fn key(&self) -> String {
        format!("trials/{}/seed-{}", self.arm.trial, self.seed)
    }

    /// Where the worker keeps checkpoints and metrics: attempts share it, and the worker resumes from what lies there.
    pub(crate) fn run_key(&self) -> String {
        format!("{}/run", self.key())
    }

    /// Where the attempts lie.
    pub(crate) fn attempts_key(&self) -> String {
        format!("{}/probes-{}", self.key(), self.probes.short())
    }

    /// Where the records of attempt `n` lie.
    pub(crate) fn attempt_key(&self, n: u32) -> String {
        format!("{}/attempt-{n}", self.attempts_key())
    }

    /// `arm/seed-3`, for people and globs.
    pub(crate) fn label(&self) -> String {
        format!("{}/seed-{}", self.arm.name, self.seed)
    }
}

impl Plan {
    /// The trials, seed by seed, so that pairs with the reference are complete early.
    pub(crate) fn trials(&self) -> Vec<Trial<'_>> {
        let cell = |seed| self.arms.iter().map(move |arm| Trial { arm, seed, probes: self.probes });
        self.seeds.iter().flat_map(|seed| cell(*seed)).collect()
    }

    /// `sweeps/NAME/<digest>`.
    pub(crate) fn key(&self) -> String {
        format!("sweeps/{}/{}", self.name, self.digest)
    }
}

/// `invocations/<n>.json`: one start of the orchestrator on this plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invocation {
    /// The orchestrator.
    pub(crate) holder: Identity,
    /// When it began, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// `claim.json`: who works on this attempt. Whoever creates it has the attempt; nobody can create it twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// The orchestrator.
    pub(crate) holder: Identity,
    /// The sweep it works for.
    pub(crate) sweep: String,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
    /// Key of the wave that runs it on Slurm; absent where the holder itself runs it. With a wave it is Slurm that knows
    /// whether the attempt lives, not the holder, which may go and come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wave: Option<String>,
}

/// `started-<stage>.json`: the process group of one stage, so that a restarted orchestrator can end what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    /// Leader of the process group.
    pub(crate) leader: Identity,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
}

/// What one stage took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageReport {
    /// `train` or `probe-<eval>`.
    pub(crate) name: String,
    /// Wall seconds.
    pub(crate) seconds: f64,
    /// Exit code; null when a signal ended it.
    pub(crate) exit_code: Option<i32>,
}

/// `trained.json`: a Slurm task has trained; the probe of the same attempt, another job, may begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trained {
    /// What ran.
    pub(crate) stages: Vec<StageReport>,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// `result.json`: the trial is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// What ran.
    pub(crate) stages: Vec<StageReport>,
    /// Keys of the rows that the probes wrote.
    pub(crate) rows: Vec<String>,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// Why an attempt ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The worker ended with an error.
    Exit,
    /// It ran past `time_limit_s`.
    TimeLimit,
    /// It could not be started.
    Start,
    /// It ended well, but its rows are missing or unreadable.
    Rows,
    /// The orchestrator was asked to stop.
    Interrupted,
    /// The orchestrator died, or the job vanished with its node.
    Lost,
    /// Slurm refused the job.
    Refused,
}

impl Cause {
    /// Whether the trial itself is to blame. One that was merely cut off is tried again unasked.
    pub(crate) fn blames_the_trial(self) -> bool {
        !matches!(self, Self::Interrupted | Self::Lost | Self::Refused)
    }
}

/// `failed.json`: the attempt ended without a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// Why.
    pub(crate) cause: Cause,
    /// The stage that failed.
    pub(crate) stage: String,
    /// One line for the table.
    pub(crate) message: String,
    /// What ran.
    pub(crate) stages: Vec<StageReport>,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
}
