//! Whether the bytes of a checkpoint belong to a run: the facts in their header say so.

use dino::tensor_bytes;
use run_spec::ids::Digest;
use serde_json::Value;
use tch::Tensor;

use crate::error::{Result, TrainingError};

/// The tensors of a checkpoint of the run whose configuration has the digest `config`.
///
/// A checkpoint that was copied from another run is whole by its digest, and wrong all the same: the facts in its header
/// say so. Checkpoints of older versions have no such fact and are read unchecked.
///
/// # Errors
/// [`TrainingError::OtherRun`]; damaged bytes.
pub fn of_run(bytes: &[u8], key: &str, config: &Digest) -> Result<Vec<(String, Tensor)>> {
    if let Some(found) = config_of(bytes)
        && found != config.to_string()
    {
        let found = found.get(..12).unwrap_or(&found).to_owned();
        return Err(TrainingError::OtherRun { key: key.to_owned(), found, expected: config.short().to_owned() });
    }
    Ok(tensor_bytes::from_bytes(bytes, key)?)
}

/// The digest of the configuration in the header of a checkpoint.
fn config_of(bytes: &[u8]) -> Option<String> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let header: Value = serde_json::from_slice(bytes.get(8..length.checked_add(8)?)?).ok()?;
    let facts: Value = serde_json::from_str(header["__metadata__"][tensor_bytes::FACTS_KEY].as_str()?).ok()?;
    facts["config"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_another_run_is_refused() {
        let config = Digest::of(b"config");
        let tensors = [("a".to_owned(), Tensor::from_slice(&[1f32, 2.0]))];
        let bytes =
            tensor_bytes::to_bytes_with_facts(&tensors, &[("step", "3".to_owned()), ("config", config.to_string())])
                .unwrap();
        assert_eq!(of_run(&bytes, "k", &config).unwrap().len(), 1);
        let error = of_run(&bytes, "k", &Digest::of(b"other")).unwrap_err().to_string();
        assert!(error.contains("k is a checkpoint of another run"), "{error}");
        let old = tensor_bytes::to_bytes_with_facts(&tensors, &[("step", "3".to_owned())]).unwrap();
        assert_eq!(of_run(&old, "k", &config).unwrap().len(), 1);
    }
}
