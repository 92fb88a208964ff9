//! What can go wrong with a run's folder, each with its subject and its remedy.

use run_spec::ids::{Attempt, Rank, Step};
use store::StoreError;

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The store failed, or one record is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder has no `run.json`.
    #[error(
        "{uri} is not a run: it has no run.json; check the address, or begin a run there with `worker train … --out {uri}`"
    )]
    NoRun {
        /// Address of the run.
        uri: String,
    },
    /// No `run.json` although attempts have begun.
    #[error(
        "{uri}/run.json is missing although {key} is there; restore it from a copy (`final.json` names its digest where the run is done), \
         or begin a new run in another folder"
    )]
    Lost {
        /// Address of the run.
        uri: String,
        /// A key that only a run that was begun has.
        key: String,
    },
    /// `run.json` is there and cannot be used.
    #[error("{uri}/run.json is damaged ({what}); restore it from a copy, or train again into another folder")]
    NotARun {
        /// Address of the run.
        uri: String,
        /// What is wrong with it.
        what: String,
    },
    /// The run was begun with other images.
    #[error(
        "{uri}/run.json: this run was begun on shard set {begun}, not {given}; give the same shard set, or begin a new run in another folder"
    )]
    OtherShards {
        /// Address of the run.
        uri: String,
        /// Short digest of its shard set.
        begun: String,
        /// Short digest of the shard set given now.
        given: String,
    },
    /// The file of initial weights has changed since the run was begun.
    #[error(
        "{uri}/run.json: init.weights held another file when this run was begun ({begun}, now {given}); put it back, or begin a new run in another folder"
    )]
    OtherWeights {
        /// Address of the run.
        uri: String,
        /// Short digest of the file then.
        begun: String,
        /// Short digest of the file now.
        given: String,
    },
    /// The run was begun with a configuration that gives other weights.
    #[error(
        "{uri}/run.json: this run was begun with another configuration; give the same one, or begin a new run in another folder (worker train --out):{changed}"
    )]
    OtherConfig {
        /// Address of the run.
        uri: String,
        /// The keys that differ, with both values, each on a line of its own that follows the line break it begins with.
        changed: String,
    },
    /// A later attempt has begun.
    #[error(
        "{uri}: attempt {by} has taken this run over from attempt {attempt}, which stops here and publishes nothing more"
    )]
    TakenOver {
        /// Address of the run.
        uri: String,
        /// The attempt that gets this error.
        attempt: Attempt,
        /// The later attempt that has the run now.
        by: Attempt,
    },
    /// Every number was taken.
    #[error("{uri}: no attempt number could be claimed; see below attempts/ who else works on this run")]
    NoAttempt {
        /// Address of the run.
        uri: String,
    },
    /// Nobody published a checkpoint.
    #[error("{uri}: the run has no checkpoint yet; training writes one every checkpoint.every_steps steps")]
    NoCheckpoint {
        /// Address of the run.
        uri: String,
    },
    /// Every published checkpoint is damaged.
    #[error(
        "{uri}: none of the {count} published checkpoints is whole, and training does not begin again at step 0 by itself; restore them from a copy, \
         or set them aside to begin at step 0, or begin a new run in another folder"
    )]
    NoneWhole {
        /// Address of the run.
        uri: String,
        /// How many there are.
        count: usize,
    },
    /// The run's last state cannot be read.
    #[error(
        "{uri} is damaged ({what}), and an older checkpoint is not used in its place; restore it from a copy, or make it again with \
         `worker verify {run} --repair` and `worker train`, or ask for a whole older one with --step"
    )]
    LastDamaged {
        /// Address of what is damaged.
        uri: String,
        /// What is wrong with it.
        what: String,
        /// Address of the run.
        run: String,
    },
    /// No whole checkpoint of the step asked for.
    #[error("{uri}: no whole checkpoint of step {step}; kept are those of steps {kept}")]
    NoSuchStep {
        /// Address of the run.
        uri: String,
        /// The step asked for.
        step: Step,
        /// Steps of the other checkpoints.
        kept: String,
    },
    /// Nothing was captured of the step.
    #[error("{uri}: rank {rank} captured nothing of step {step}; captured are steps: {there}")]
    NoCapture {
        /// Address of the run.
        uri: String,
        /// The step asked for.
        step: Step,
        /// The rank asked for.
        rank: Rank,
        /// Steps that were captured.
        there: String,
    },
    /// What was captured is not what was written.
    #[error("{uri} is damaged ({what}); restore it from a copy: without it the step cannot be replayed")]
    CaptureDamaged {
        /// Address of the bytes.
        uri: String,
        /// What is wrong with them.
        what: String,
    },
    /// The folder is not where it was when the attempt began.
    #[error(
        "{uri}: {key} is gone: the folder was moved or deleted while attempt {attempt} trained into it; put it back and start the same command again"
    )]
    Gone {
        /// Address of the run.
        uri: String,
        /// The key that is missing.
        key: String,
        /// The attempt that misses it.
        attempt: Attempt,
    },
    /// A checkpoint changed between two readings.
    #[error("{uri} is damaged on its way to this rank (digest differs); start the run again")]
    OnTheWay {
        /// Address of the bytes.
        uri: String,
    },
    /// A metrics file is not what was published.
    #[error("{uri} is damaged ({what}); restore it from a copy, or set it aside")]
    Metrics {
        /// Address of the file.
        uri: String,
        /// What is wrong with it.
        what: String,
    },
}

impl RunError {
    /// Whether the same call may succeed later with nothing else changed: the store is away or full, or its credentials are
    /// being renewed.
    pub fn may_pass(&self) -> bool {
        use StoreError::{Denied, Full, Unavailable};
        matches!(self, Self::Store(Unavailable { .. } | Full { .. } | Denied { .. }))
    }
}
