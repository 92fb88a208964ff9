//! A checkpoint's bytes: dino's safetensors, with the facts a reader needs in the header.

use std::collections::BTreeMap;

use anyhow::Result;
use dino::tensor_bytes;
use tch::Tensor;

/// The tensors as safetensors bytes; equal tensors and facts give equal bytes.
pub(crate) fn to_bytes(tensors: &[(String, Tensor)], facts: &[(&str, String)]) -> Result<Vec<u8>> {
    let facts: BTreeMap<&str, &str> = facts.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Ok(tensor_bytes::to_bytes(tensors, Some(("reddino", &serde_json::to_string(&facts)?)))?)
}

/// Tensors of safetensors bytes, sorted by name, on the CPU. `what` names them in messages.
pub(crate) fn from_bytes(bytes: &[u8], what: &str) -> Result<Vec<(String, Tensor)>> {
    Ok(tensor_bytes::from_bytes(bytes, what)?)
}
