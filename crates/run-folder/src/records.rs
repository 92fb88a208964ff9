//! The records of a run, as JSON. Fields that older versions did not write are optional.

use std::collections::BTreeMap;

use run_spec::config::RecordedConfig;
use run_spec::ids::{Attempt, Digest, Rank, Step, World};
use serde::{Deserialize, Serialize};

use crate::{CaptureKey, CheckpointKey, StopKey};

/// What a run is. Starting it again with anything else is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The resolved configuration of the run.
    pub config: RecordedConfig,
    /// [Digest](RecordedConfig::digest) of that configuration.
    pub config_digest: Digest,
    /// Digest of the shard set.
    pub shards: Digest,
    /// Rows of the shard set.
    pub rows: u64,
    /// Code version that began the run.
    pub code: String,
    /// The weights it started from; none when they were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitRecord>,
}

impl RunRecord {
    /// The record of a run with this configuration on this shard set of `rows` rows, begun by the program `code`.
    pub fn new(config: impl Into<RecordedConfig>, shards: Digest, rows: u64, code: &str) -> Self {
        let config = config.into();
        Self { config_digest: config.digest(), config, shards, rows, code: code.to_owned(), init: None }
    }
}

/// What a run started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitRecord {
    /// Digest of the file: the same URI may hold another one later.
    pub digest: Digest,
    /// Whose names its tensors had: `dinov2`, `teacher`, `timm`, `huggingface`.
    pub layout: String,
    /// What the model has and the file has not, with what stands in.
    pub missing: Vec<String>,
    /// What the file has besides the backbone, counted by module.
    pub unexpected: Vec<String>,
    /// What was brought to another shape.
    pub reshaped: Vec<String>,
}

/// What is published after a checkpoint's bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// Steps done; the next step is this one.
    pub step: Step,
    /// Attempt that wrote it.
    pub attempt: Attempt,
    /// Key of the bytes; where they are in parts, the one that they would have together.
    pub key: String,
    /// Length of those bytes; a file of another length is damaged.
    pub bytes: u64,
    /// Digest of those bytes; a file with another one is damaged.
    pub digest: Digest,
    /// The parts of those bytes in order, where several ranks wrote them; none where `key` holds them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<CheckpointPart>,
    /// Failed steps directly before it, so that a restart does not forget them.
    pub failed_in_a_row: u32,
    /// Steps left out so far because a loss or gradient was not finite.
    #[serde(default)]
    pub failed_steps: u64,
    /// Seconds of training up to here, over all attempts.
    pub seconds: f64,
    /// What training has used up to here, over all attempts and ranks. Older versions did not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<EnergyRecord>,
    /// How long the run has held its machines up to here, over all attempts. Older versions did not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldRecord>,
    /// Score of the teacher by the online probe, where it was made after this very step; higher is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The metrics files of the steps up to here, by key, with the digests of their bytes. Older versions named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<BTreeMap<String, Digest>>,
}

impl CheckpointRecord {
    /// A record before its bytes are known: without any, of no seconds and no failed steps, and nothing that is optional.
    pub fn without_bytes(attempt: Attempt, step: Step) -> Self {
        Self {
            step,
            attempt,
            key: String::new(),
            bytes: 0,
            digest: Digest::of(b""),
            parts: Vec::new(),
            failed_in_a_row: 0,
            failed_steps: 0,
            seconds: 0.0,
            energy: None,
            held: None,
            score: None,
            metrics: None,
        }
    }

    /// Which checkpoint it publishes.
    pub fn checkpoint_key(&self) -> CheckpointKey {
        CheckpointKey { attempt: self.attempt, step: self.step }
    }

    /// Key of the record itself.
    pub fn record_key(&self) -> String {
        self.checkpoint_key().record()
    }

    /// The files that hold the bytes, in order: key, length and digest of each.
    pub fn files(&self) -> Vec<(String, u64, Digest)> {
        if self.parts.is_empty() {
            return vec![(self.key.clone(), self.bytes, self.digest)];
        }
        let checkpoint = self.checkpoint_key();
        self.parts.iter().map(|part| (checkpoint.part(part.rank), part.bytes, part.digest)).collect()
    }
}

/// What training has used, and what that has emitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnergyRecord {
    /// Energy in kilowatt hours, measured and estimated together.
    pub kwh: f64,
    /// How much of it is an estimate, since no counter could be read.
    pub estimated_kwh: f64,
    /// Emissions, in kilograms of CO2 equivalent.
    pub kg_co2e: f64,
    /// Those of a kilowatt hour by which they were computed.
    pub kg_per_kwh: f64,
    /// Where that number is from.
    pub grid: String,
}

/// How long a run has held its machines, and how much of that went into steps that count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldRecord {
    /// Seconds of the steps that count: those that no restart threw away, without the waits for checkpoints.
    pub steps_s: f64,
    /// Seconds from the start of each attempt to its end.
    pub held_s: f64,
    /// The former by the latter.
    pub goodput: f64,
    /// Attempts of which nobody noted the end: what they did after their last checkpoint is not in `held_s`.
    #[serde(default)]
    pub unknown_ends: u32,
    /// When this was written, in seconds since 1970.
    pub unix_s: u64,
    /// Whether the attempt ended with it.
    #[serde(default)]
    pub ends_attempt: bool,
}

/// What one rank wrote of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPart {
    /// The rank that wrote it.
    pub rank: Rank,
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
}

/// The record of a run that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalRecord {
    /// The record of the last checkpoint.
    pub checkpoint: CheckpointRecord,
    /// Where it ran, in words.
    pub device: String,
    /// Steps that were skipped because a loss or gradient was not finite.
    pub failed_steps: u64,
    /// Digests of `run.json` and of the last checkpoint's record, by key. Older versions named none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Digest>,
}

/// The record of an attempt that stopped for good before the last step: `stops/00000102-a0001.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRecord {
    /// Steps done or left out by then.
    pub step: Step,
    /// The attempt that stopped.
    pub attempt: Attempt,
    /// The reason for the stop, in words.
    pub reason: String,
    /// The metrics files of the steps up to here, by key, with the digests of their bytes.
    pub metrics: BTreeMap<String, Digest>,
}

impl StopRecord {
    /// Which stop it is.
    pub(crate) fn stop_key(&self) -> StopKey {
        StopKey { step: self.step, attempt: self.attempt }
    }
}

/// What is published after the bytes of a step that was not finite: `failed/00000102-a0001-r0000.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRecord {
    /// The step that was not finite.
    pub step: Step,
    /// The attempt that captured it.
    pub attempt: Attempt,
    /// The rank whose batch it is.
    pub rank: Rank,
    /// Ranks of the run.
    pub world: World,
    /// The loss or gradient that was not finite.
    pub term: String,
    /// Key of the bytes.
    pub key: String,
    /// Length of those bytes; a file of another length is damaged.
    pub bytes: u64,
    /// Digest of those bytes; a file with another one is damaged.
    pub digest: Digest,
}

impl CaptureRecord {
    /// Which rank's part of which failed step it is.
    pub(crate) fn capture_key(&self) -> CaptureKey {
        CaptureKey { step: self.step, attempt: self.attempt, rank: self.rank }
    }
}
