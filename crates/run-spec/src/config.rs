//! The training configuration: one struct a section, the same names in YAML, code, log and paper.
//!
//! [`TrainConfig::default`] is also the schema: [`ResolvedConfig::from_yaml`] refuses a key that it does not have. The
//! sections `model`, `head`, `loss`, `optim` and `teacher` are those of `docs/step-files.md`. Where the published code of
//! RedDino and its paper differ, there is a switch here, named in its documentation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod check;
mod deltas;
mod ranges;
mod read;
mod recorded;
mod resolved;
mod schema;
mod sections;
mod words;

pub use crate::layer::ConfigError;
pub use deltas::{Delta, Deltas};
pub use recorded::{ArmConfig, RecordedConfig};
pub use resolved::ResolvedConfig;
pub use sections::{
    Augmentation, Checkpoint, Crops, Data, Head, Init, Log, Loss, Masks, Model, Optim, Store, Teacher, Train,
};
pub use words::{
    Centering, ChannelOrder, Collective, Device, DinoNormaliser, Ffn, Interpolation, KoleoExclude, Pipeline, Precision,
    Sampling, Wire,
};

/// Everything that decides what a training run computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Seed of data order, views and masks, and of the initial weights unless `init.seed` is set.
    pub seed: u64,
    /// Where tensors live: on the GPU or in host memory.
    pub device: Device,
    /// How the ranks communicate.
    pub collective: Collective,
    /// Order of the channels that transforms and normalisation see. `bgr` is what the published code feeds in training.
    pub channel_order: ChannelOrder,
    /// Size and shape of the backbone.
    pub model: Model,
    /// Size of the projection heads that turn features into logits.
    pub head: Head,
    /// Loss terms with their weights and temperatures.
    pub loss: Loss,
    /// Optimiser and its schedules.
    pub optim: Optim,
    /// Momentum and temperature of the teacher.
    pub teacher: Teacher,
    /// Block masks of the student's global crops.
    pub masks: Masks,
    /// How often each source is drawn.
    pub data: Data,
    /// Size and shape of the crops of an image.
    pub crops: Crops,
    /// Random changes to the crops of an image.
    pub augmentation: Augmentation,
    /// Batch, loss groups, precision and length of a run.
    pub train: Train,
    /// Checkpoints of the training state: how often, and how many are kept.
    pub checkpoint: Checkpoint,
    /// What is measured of training, how often, and where it goes.
    pub log: Log,
    /// How calls to stores are repeated.
    pub store: Store,
    /// Initial weights: random, from a seed, or read from a file.
    pub init: Init,
}
