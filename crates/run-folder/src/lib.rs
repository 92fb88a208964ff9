//! The folder of a training run in a store: what was asked for, who worked on it, its checkpoints and metrics.
//!
//! Every key is written once. No tensor is read here, so programs without LibTorch read runs too.
//!
//! ```text
//! run.json                                  resolved config, shard set, seed: what the run is
//! attempts/0001.json                        one per start, with the code version
//! restarts/0001.json                        one per requeue that `worker requeue` granted, with the step it began from
//! metrics/00000000-a0001.jsonl              lines of the steps from 0 on, published with the checkpoint after them
//! checkpoints/00000050-a0001.safetensors    the whole training state before step 50
//! checkpoints/00000050-a0001-r0003.part     or a part of it, where each rank writes one
//! checkpoints/00000050-a0001.json           its record, published last: no record, no checkpoint
//! final.json                                the run is done; final-a0002.json where an earlier one was damaged
//! stops/00000102-a0001.json                 an attempt stopped for good: why, and the metrics up to there
//! failed/00000102-a0001-r0000.safetensors   a step that was not finite, for replay, and its record (.json)
//! set-aside/1.json                          damaged keys that no longer count
//! meetings/0123456789abcdef.json            where rank 0 of a start was to be found, for ranks that know no address
//! features/0123456789ab.f32                 features that a probe has kept, a cache, and their record (.json)
//! ```
//!
//! A record holds its own digest. A checkpoint's record names the digest of its bytes and of the metrics files up to it;
//! the final record names the digests of `run.json` and of the last checkpoint's record.

mod attempts;
mod checkpoints;
mod error;
pub mod failure;
mod found;
mod held;
mod identity;
mod kept_features;
mod keys;
mod meetings;
mod metrics;
mod metrics_line;
mod parts;
mod records;
mod run;
mod set_aside;
mod verify;

pub use attempts::host;
pub use checkpoints::{Loaded, Retention};
pub use error::RunError;
pub use held::Lost;
pub use kept_features::{FeaturesOf, KeptFeatures};
pub use keys::{CaptureKey, CheckpointKey, FeaturesKey, MetricsKey, NotARunKey, RunKey, StopKey};
pub use metrics_line::{MetricsLine, RankTimes, StepMetrics, StepOutcome};
pub use parts::{Parts, PieceValue};
pub use records::{
    CaptureRecord, CheckpointPart, CheckpointRecord, EnergyRecord, FinalRecord, HeldRecord, InitRecord, RunRecord,
    StopRecord,
};
pub use run::Run;
pub use verify::{Damage, Verification, verify};
