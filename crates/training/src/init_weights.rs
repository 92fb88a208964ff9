//! `init.weights`: the released backbone a run starts from, read without running its code, and what was done to it.

use dino::State;
use run_folder::InitRecord;
use run_spec::ids::Digest;
use store::{Store, Waiting};

use crate::error::{Result, TrainingError};

fn read(uri: &str, waiting: &Waiting) -> Result<bytes::Bytes> {
    let (folder, key) = Store::open_file(uri)?;
    folder
        .waiting(waiting.clone())
        .get(&key)
        .map_err(|source| TrainingError::NoInitWeights { uri: uri.to_owned(), source })
}

/// Refuses a file at `uri` that has none of the known layouts of weights.
///
/// # Errors
/// The store's; a file of another layout.
pub fn verify_init_weights(uri: &str) -> Result<()> {
    let bytes = read(uri, &Waiting::default())?;
    dino::weights::read(&bytes, uri).map(drop).map_err(of_init_weights)
}

fn of_init_weights(error: impl std::error::Error + Send + Sync + 'static) -> TrainingError {
    TrainingError::InitWeights(Box::new(error))
}

/// Puts the backbone at `uri`, a file of a folder or of a store that is waited for, into student and teacher.
pub(crate) fn start_from(state: &mut State, uri: &str, waiting: &Waiting) -> Result<InitRecord> {
    let bytes = read(uri, waiting)?;
    let tensors = dino::weights::read(&bytes, uri).map_err(of_init_weights)?;
    let adopted = state.adopt_backbone(tensors, uri).map_err(of_init_weights)?;
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
        "training starts from weights {uri} (layout {}); tensors missing there: {}; not used: {}; resized: {}",
        init.layout,
        list(&init.missing),
        list(&init.unexpected),
        list(&init.reshaped)
    );
}
