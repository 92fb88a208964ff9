//! What a program gives to train on, and how it ends.

use std::error::Error;
use std::path::PathBuf;

use run_spec::config::ResolvedConfig;
use run_spec::ids::Digest;
use store::{Store, Waiting};

use crate::{OnlineProbe, StopWish};

/// The device that a program opened.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The device that tensors are put on.
    pub device: tch::Device,
    /// Its name for people and for result rows.
    pub description: String,
}

/// A local folder that keeps whole shards.
#[derive(Debug, Clone)]
pub struct CacheFolder {
    /// The path of the folder.
    pub folder: PathBuf,
    /// The most that it may hold.
    pub bytes: u64,
}

/// What this rank's energy is counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlace {
    /// Whether it is the first rank of its node, which counts the node's processors.
    pub first_of_node: bool,
    /// The GPU that it uses, as the driver knows it.
    pub gpu: Option<energy::Gpu>,
}

/// Refuses an input by its digest.
pub type Verify<'a> = dyn Fn(Input<'_>, &Digest) -> Result<(), Box<dyn Error + Send + Sync>> + 'a;

/// What a program gives to train on.
pub struct TrainingJob<'a> {
    /// The configuration of the run, with all defaults filled in.
    pub config: &'a ResolvedConfig,
    /// Folder (or URI) of the run.
    pub run: Store,
    /// The store of the shard set to train on.
    pub shards: Store,
    /// How long the store of `init.weights` is waited for.
    pub waiting: Waiting,
    /// Where whole shards are kept on this node.
    pub cache: Option<CacheFolder>,
    /// The device that the program opened, where tensors live.
    pub device: OpenDevice,
    /// Whether images travel to the device as levels, a byte each, and become floats there: for a GPU, behind a bus. The floats are the
    /// same to the last bit.
    pub as_levels: bool,
    /// Where this rank is, for the count of energy.
    pub place: NodePlace,
    /// The code version that the run's records name.
    pub code: &'a str,
    /// Stop after this step with a checkpoint, as a time limit would.
    pub stop_at: Option<u64>,
    /// The wish to stop.
    pub stop: StopWish,
    /// What scores the teacher every `log.probe_every_steps` steps; only the first rank needs one.
    pub probe: Option<&'a dyn OnlineProbe>,
    /// Refuses an input that is not what the program was told to expect.
    pub verify: &'a Verify<'a>,
}

impl std::fmt::Debug for TrainingJob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrainingJob").field("run", &self.run).field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// What a run is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The shard set that is trained on.
    Shards,
    /// The file of initial weights at this address.
    InitWeights(&'a str),
}

/// How training ended when nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done.
    Done,
    /// It was asked to stop; the same job goes on from the last checkpoint.
    Stopped,
}
