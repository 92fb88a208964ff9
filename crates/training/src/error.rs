//! Why training cannot begin or go on.

use std::error::Error;

use augment::AugmentError;
use dino::DinoError;
use dino::tensor_bytes::BytesError;
use run_folder::RunError;
use run_spec::ids::Step;
use run_spec::layer::ConfigError;
use shards::ShardError;
use store::StoreError;
use torch_shim::panics::TorchPanic;

use crate::ranks::RanksError;

/// An error of this crate. The error of another crate that it wraps is its source too, so that
/// [`kind_of`](crate::kind_of) finds it.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The run's folder, or the store below it.
    #[error("{0}")]
    Run(#[from] RunError),
    /// A store other than the run's failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The shard set cannot be opened or read.
    #[error("{0}")]
    Shards(#[from] ShardError),
    /// One row of the shard set.
    #[error("cannot read row {row} of the shard set")]
    Row {
        /// Number of the row in the set, from 0.
        row: u64,
        /// Why it cannot be read.
        source: ShardError,
    },
    /// A shard set without rows.
    #[error("{uri}: the shard set has no rows to train on")]
    NoRows {
        /// Address of the shard set.
        uri: String,
    },
    /// The program refused an input.
    #[error("{0}")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The file of `init.weights` cannot be read.
    #[error("`init.weights`: {uri} cannot be read")]
    NoInitWeights {
        /// Address of the file of weights.
        uri: String,
        /// Why the store cannot give it.
        source: StoreError,
    },
    /// The file of `init.weights` does not fit.
    #[error("`init.weights`")]
    InitWeights(#[source] Box<dyn Error + Send + Sync>),
    /// A checkpoint that was copied from another run.
    #[error(
        "{key} is a checkpoint of another run: its configuration is {found}, this run's is {expected}; put the right file back, or \
         delete the run and train again"
    )]
    OtherRun {
        /// Key of the checkpoint in the run's folder.
        key: String,
        /// Short digest of the configuration that it names.
        found: String,
        /// Short digest of the run's configuration.
        expected: String,
    },
    /// Tensors that are no bytes, or the reverse.
    #[error("{0}")]
    Bytes(#[from] BytesError),
    /// The configuration does not fit the shard set.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The augmentation cannot be made.
    #[error("{0}")]
    Augment(#[from] AugmentError),
    /// The step was refused.
    #[error("{0}")]
    Dino(#[from] DinoError),
    /// LibTorch threw an exception.
    #[error("{0}")]
    Torch(#[from] TorchPanic),
    /// The ranks did not join, or are lost.
    #[error("{0}")]
    Ranks(#[from] RanksError),
    /// Several steps in a row had a loss or gradient that was not finite.
    #[error(
        "{steps} steps in a row had NaN or infinity (last: {term} at step {step}); their inputs are under {captured}; \
         lower optim.{rate} or loss.koleo_weight, or raise loss.koleo_pair_eps, and start a new run"
    )]
    NotFinite {
        /// The number of such steps in a row.
        steps: u32,
        /// The first number of the last of them that was not finite.
        term: String,
        /// The last of them.
        step: Step,
        /// Address of what was captured of them.
        captured: String,
        /// The key of `optim` that sets the learning rate.
        rate: &'static str,
    },
    /// The last checkpoint could not be written.
    #[error(
        "{uri}: the last checkpoint could not be written; see that the store can be written, and start the same command again, which \
         continues from the last checkpoint that was written"
    )]
    LastCheckpoint {
        /// Address of the run.
        uri: String,
        /// Why it could not be written.
        source: RunError,
    },
    /// The last checkpoint could not be written, since a rank could not write its part of it.
    #[error(
        "{uri}: the last checkpoint could not be written, since not all ranks could write their parts; see that the store can be written, and \
         start the same command again, which continues from the last checkpoint that was written"
    )]
    LastParts {
        /// Address of the run.
        uri: String,
    },
    /// The threads of the loader could not be started.
    #[error("cannot start the threads that {purpose}")]
    Threads {
        /// What they were for.
        purpose: &'static str,
        /// Why they could not be started.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The loader ended without an error before the last step: a bug.
    #[error("the data loader ended before the last step")]
    LoaderEnded,
    /// Facts in the header of a checkpoint that are no JSON: a bug.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// The result of this crate's functions.
pub(crate) type Result<T, E = TrainingError> = std::result::Result<T, E>;
