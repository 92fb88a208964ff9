//! `init.weights`: the released backbone a run starts from, read without running its code, and what was done to it.

use anyhow::{Context, Result};
use dino::State;
use run_folder::InitRecord;
use run_spec::ids::Digest;
use store::{Store, Waiting};

fn read(uri: &str, waiting: &Waiting) -> Result<bytes::Bytes> {
    let (folder, name) = crate::export::split_uri(uri)?;
    Store::open(folder)?.waiting(waiting.clone()).get(name).with_context(|| {
        format!("init.weights: {uri} cannot be read; name the file with --set init.weights=URI, or draw random weights with --set init.weights=null")
    })
}

/// Refuses a file that is none of the layouts of weights.
pub(crate) fn readable(uri: &str) -> Result<()> {
    dino::weights::read(&read(uri, &Waiting::default())?, uri).map(drop).context("init.weights")
}

/// Puts the backbone at `uri`, a file of a folder or of a store that is waited for, into student and teacher.
pub(crate) fn start_from(state: &mut State, uri: &str, waiting: &Waiting) -> Result<InitRecord> {
    let bytes = read(uri, waiting)?;
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

/// Says in the log what was done with the weights at `uri`.
pub(crate) fn log(init: &InitRecord, uri: &str) {
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    tracing::info!(
        weights = uri,
        layout = init.layout,
        missing = list(&init.missing),
        unexpected = list(&init.unexpected),
        reshaped = list(&init.reshaped),
        "the run starts from given weights"
    );
}
