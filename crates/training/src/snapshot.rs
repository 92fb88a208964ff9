//! A checkpoint's bytes: dino's safetensors, with the facts a reader needs in the header.

use std::collections::BTreeMap;

use dino::tensor_bytes;
use run_spec::ids::Digest;
use serde_json::Value;
use tch::Tensor;

use crate::error::{Result, TrainingError};

/// The tensors as safetensors bytes; equal tensors and facts give equal bytes.
///
/// # Errors
/// A dtype that the format lacks, or a name given twice.
pub fn to_bytes(tensors: &[(String, Tensor)], facts: &[(&str, String)]) -> Result<Vec<u8>> {
    let facts: BTreeMap<&str, &str> = facts.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Ok(tensor_bytes::to_bytes(tensors, Some(("reddino", &serde_json::to_string(&facts)?)))?)
}

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
    from_bytes(bytes, key)
}

/// The digest of the configuration in the header of a checkpoint.
fn config_of(bytes: &[u8]) -> Option<String> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let header: Value = serde_json::from_slice(bytes.get(8..length.checked_add(8)?)?).ok()?;
    let facts: Value = serde_json::from_str(header["__metadata__"]["reddino"].as_str()?).ok()?;
    facts["config"].as_str().map(str::to_owned)
}

/// Tensors of safetensors bytes, sorted by name, on the CPU. `what` names them in messages.
///
/// # Errors
/// Damaged bytes, or a dtype that tensors lack.
pub fn from_bytes(bytes: &[u8], what: &str) -> Result<Vec<(String, Tensor)>> {
    Ok(tensor_bytes::from_bytes(bytes, what)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_another_run_is_refused() {
        let config = Digest::of(b"config");
        let tensors = [("a".to_owned(), Tensor::from_slice(&[1f32, 2.0]))];
        let bytes = to_bytes(&tensors, &[("step", "3".to_owned()), ("config", config.to_string())]).unwrap();
        assert_eq!(of_run(&bytes, "k", &config).unwrap().len(), 1);
        let error = of_run(&bytes, "k", &Digest::of(b"other")).unwrap_err().to_string();
        assert!(error.contains("k is a checkpoint of another run"), "{error}");
        let old = to_bytes(&tensors, &[("step", "3".to_owned())]).unwrap();
        assert_eq!(of_run(&old, "k", &config).unwrap().len(), 1);
    }
}
