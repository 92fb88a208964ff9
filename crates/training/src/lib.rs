//! Trains a model on a shard set: reads a plan's images, makes batches, takes steps, keeps checkpoints and metrics.
//!
//! A program gives a [`TrainingJob`], the [`Ranks`] that it has joined and an [`Observer`] that shows progress to people. Nothing here
//! reads the environment, the command line or the terminal, so that a test trains in its own process. One process is one
//! rank with one thread that owns every tensor.

mod consumption;
mod diagnosis;
mod error;
mod failure;
mod held;
mod host_copies;
mod init_weights;
mod job;
mod keeper;
mod koleo_exclusion;
mod loader;
pub mod metrics;
mod observer;
mod online_probe;
mod pace;
mod pixels;
pub mod process_memory;
mod publisher;
mod ranks;
pub mod snapshot;
mod stop;
mod train;
mod trainer;

pub use diagnosis::Diagnosis;
pub use error::TrainingError;
pub use failure::{TrainingFailure, kind_of};
pub use init_weights::verify_init_weights;
pub use job::{CacheFolder, Ending, Input, NodePlace, OpenDevice, TrainingJob, Verify};
pub use loader::{Source, time_loading};
pub use observer::Observer;
pub use online_probe::{OnlineProbe, ProbeScores};
pub use pixels::wrong_pixels;
pub use ranks::{ForcedEnd, NoteInRun, RankSettings, Ranks, RanksError};
pub use stop::StopWish;
pub use train::train;
