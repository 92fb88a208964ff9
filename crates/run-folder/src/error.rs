//! What can go wrong with a run's folder, each with its subject and its remedy.

use store::StoreError;

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The store failed, or one record is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No `run.json`.
    #[error("{uri}: there is no run here; check the address, or begin a run with `worker train --out`")]
    NoRun {
        /// Address of the run.
        uri: String,
    },
    /// The run was begun with other images.
    #[error(
        "{uri}/run.json: this run was begun on shard set {begun}, not {given}; give the same --shards or another --out"
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
        "{uri}/run.json: init.weights held another file when this run was begun ({begun}, now {given}); put it back or give another --out"
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
        "{uri}/run.json: this run was begun with another configuration ({changed}); give the same one or another --out"
    )]
    OtherConfig {
        /// Address of the run.
        uri: String,
        /// The keys that differ, with both values.
        changed: String,
    },
    /// A later attempt has begun.
    #[error(
        "{uri}: attempt {by} has taken this run over from attempt {attempt}, which ends here and publishes nothing more"
    )]
    TakenOver {
        /// Address of the run.
        uri: String,
        /// The attempt that is told so.
        attempt: u32,
        /// The later one.
        by: u32,
    },
    /// Every number was taken.
    #[error("{uri}: no attempt number could be claimed; see below attempts/ who else works on this run")]
    NoAttempt {
        /// Address of the run.
        uri: String,
    },
    /// A checkpoint changed between two readings.
    #[error("{uri} is damaged on its way to this rank (digest differs); start the run again")]
    OnTheWay {
        /// Address of the bytes.
        uri: String,
    },
    /// A line of a metrics file is no JSON.
    #[error("{uri} is damaged (line {line}: {reason}); restore it from a copy")]
    Metrics {
        /// Address of the file.
        uri: String,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
}
