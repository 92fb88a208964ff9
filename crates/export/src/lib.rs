//! A trained model as others load it: files for timm, transformers and ONNX, the whole training state, and a model card; and
//! the features of a shard set as Parquet. Everything is made in memory: where it goes is the caller's business.

mod card;
mod error;
mod features;
mod huggingface;
mod onnx;
mod proto;
mod state;
mod timm;

use dino::Encoder;
use run_folder::{CheckpointRecord, RunRecord};
use run_spec::config::TrainConfig;

pub use card::{Card, model_card};
pub use error::ExportError;
pub use features::{FeatureTable, features_as_parquet};
pub use huggingface::huggingface;
pub use onnx::onnx;
pub use state::whole_state;
pub use timm::timm;

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The files that `timm.create_model("local-dir:…")` reads.
    Timm,
    /// For `AutoModel` and `AutoImageProcessor` of transformers.
    Huggingface,
    /// One file for ONNX runtimes.
    Onnx,
    /// Every tensor of training.
    State,
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Timm => "timm",
            Self::Huggingface => "huggingface",
            Self::Onnx => "onnx",
            Self::State => "state",
        })
    }
}

/// The checkpoint of a run that is exported.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    /// What the run is.
    pub record: &'a RunRecord,
    /// The configuration that the run was trained with.
    pub config: &'a TrainConfig,
    /// The record of the exported checkpoint.
    pub checkpoint: &'a CheckpointRecord,
    /// The teacher's backbone in that checkpoint.
    pub teacher: &'a Encoder,
}

impl Model<'_> {
    /// What the header of an exported file says about where its weights come from.
    fn facts(&self, what: &str) -> [(&'static str, String); 5] {
        [
            ("what", what.to_owned()),
            ("run", self.record.config_digest.to_string()),
            ("step", self.checkpoint.step.to_string()),
            ("code", self.record.code.clone()),
            ("channel_order", "rgb".to_owned()),
        ]
    }
}

/// A file of an export: its name and its bytes.
pub type NamedFile = (&'static str, Vec<u8>);

/// The result of this crate's functions.
type Result<T, E = ExportError> = std::result::Result<T, E>;
