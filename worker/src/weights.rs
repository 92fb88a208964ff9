//! `init.weights`: the released backbone a run starts from, read without running its code, and what was done to it.

use anyhow::{Context, Result};
use dino::State;
use run_spec::ids::Digest;
use serde::{Deserialize, Serialize};
use store::Store;

/// What a run started from, for `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InitRecord {
    /// Digest of the file: the same URI may hold another one later.
    pub(crate) digest: Digest,
    /// Whose names its tensors had: `dinov2`, `teacher`, `timm`, `huggingface`.
    pub(crate) layout: String,
    /// What the model has and the file has not, with what stands in.
    pub(crate) missing: Vec<String>,
    /// What the file has besides the backbone, counted by module.
    pub(crate) unexpected: Vec<String>,
    /// What was brought to another shape.
    pub(crate) reshaped: Vec<String>,
}

/// Puts the backbone at `uri`, a file of a folder or of a store, into student and teacher.
pub(crate) fn start_from(state: &mut State, uri: &str) -> Result<InitRecord> {
    let (folder, name) = crate::export::split_uri(uri)?;
    let bytes = Store::open(folder)?.get(name).with_context(|| {
        format!("init.weights: {uri} cannot be read; name the file with --set init.weights=URI, or draw random weights with --set init.weights=null")
    })?;
    let tensors = dino::weights::read(&bytes, uri).context("init.weights")?;
    let adopted = state.adopt_backbone(tensors, uri).context("init.weights")?;
    Ok(InitRecord {
        digest: Digest::of(&bytes),
        layout: adopted.layout.to_string(),
        missing: adopted.missing,
        unexpected: adopted.unexpected,
        reshaped: adopted.reshaped,
    })
}

impl InitRecord {
    /// Says in the log what was done.
    pub(crate) fn log(&self, uri: &str) {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        tracing::info!(
            weights = uri,
            layout = self.layout,
            missing = list(&self.missing),
            unexpected = list(&self.unexpected),
            reshaped = list(&self.reshaped),
            "the run starts from given weights"
        );
    }
}
