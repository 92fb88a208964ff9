//! Named tensors as safetensors bytes and back. The same tensors always give the same bytes.

use safetensors::{Dtype, SafeTensors, tensor::View};
use std::{borrow::Cow, collections::BTreeMap};
use tch::{Device, Kind, Tensor};

/// Why bytes are not tensors, or tensors not bytes.
#[derive(Debug, thiserror::Error)]
pub enum BytesError {
    /// Not a safetensors file, or a damaged one.
    #[error("{what} is not a readable safetensors file ({source}); fetch or make it again")]
    Format {
        /// The file, in words.
        what: String,
        /// What the parser of safetensors said.
        source: safetensors::SafeTensorError,
    },
    /// An element type without a counterpart.
    #[error("tensor {name} of {what} has dtype {dtype}, which is not supported; store it as f32")]
    Dtype {
        /// Name of the tensor in the file.
        name: String,
        /// The file, in words.
        what: String,
        /// Its dtype, in words.
        dtype: String,
    },
}

const KINDS: [(Dtype, Kind); 9] = [
    (Dtype::F32, Kind::Float),
    (Dtype::F64, Kind::Double),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F16, Kind::Half),
    (Dtype::I64, Kind::Int64),
    (Dtype::I32, Kind::Int),
    (Dtype::I16, Kind::Int16),
    (Dtype::U8, Kind::Uint8),
    (Dtype::BOOL, Kind::Bool),
];

/// The key of a file's metadata under which [`to_bytes_with_facts`] writes.
pub const FACTS_KEY: &str = "reddino";

struct Piece {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl View for Piece {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// Writes `tensors` of any shape, from any device. `note` is one key and value of the header's metadata (one, because
/// the order of several is not fixed).
///
/// # Errors
/// A dtype that the format lacks, or a name given twice.
pub fn to_bytes(tensors: &[(String, Tensor)], note: Option<(&str, &str)>) -> Result<Vec<u8>, BytesError> {
    let piece = |(name, t): &(String, Tensor)| {
        let dtype = KINDS.iter().find(|(_, kind)| *kind == t.kind());
        let (dtype, _) = dtype.ok_or_else(|| BytesError::Dtype {
            name: name.clone(),
            what: "the output".to_owned(),
            dtype: format!("{:?}", t.kind()),
        })?;
        let t = t.detach().to_device(Device::Cpu).contiguous();
        let mut data = vec![0; t.numel() * t.kind().elt_size_in_bytes()];
        if !data.is_empty() {
            t.copy_data_u8(&mut data, t.numel());
        }
        let shape = t.size().iter().map(|&n| n as usize).collect();
        Ok((name.clone(), Piece { dtype: *dtype, shape, data }))
    };
    let pieces = tensors.iter().map(piece).collect::<Result<Vec<_>, _>>()?;
    let note = note.map(|(key, value)| [(key.to_owned(), value.to_owned())].into());
    safetensors::serialize(pieces, note).map_err(|source| BytesError::Format { what: "the output".to_owned(), source })
}

/// Writes `tensors` of any shape with `facts` about them, as JSON under the key `reddino` of the header's metadata.
/// Equal tensors and facts give equal bytes.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_bytes_with_facts(tensors: &[(String, Tensor)], facts: &[(&str, String)]) -> Result<Vec<u8>, BytesError> {
    // Sorted by key.
    let facts: BTreeMap<&str, &str> = facts.iter().map(|(key, value)| (*key, value.as_str())).collect();
    to_bytes(tensors, Some((FACTS_KEY, &serde_json::json!(facts).to_string())))
}

/// Reads all tensors, of the shapes that the header says, on the CPU, sorted by name. `what` names the file in messages.
///
/// # Errors
/// Damaged bytes, or a dtype that tensors lack.
pub fn from_bytes(bytes: &[u8], what: &str) -> Result<Vec<(String, Tensor)>, BytesError> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|source| BytesError::Format { what: what.to_owned(), source })?;
    let mut out = Vec::with_capacity(file.len());
    for (name, view) in file.iter() {
        let kind = KINDS.iter().find(|(dtype, _)| *dtype == view.dtype());
        let (_, kind) = kind.ok_or_else(|| BytesError::Dtype {
            name: name.to_owned(),
            what: what.to_owned(),
            dtype: format!("{:?}", view.dtype()),
        })?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        // from_data_size copies, so an unaligned view is fine.
        let tensor = match view.data().is_empty() {
            true => Tensor::zeros(&shape, (*kind, Device::Cpu)),
            false => Tensor::from_data_size(view.data(), &shape, *kind),
        };
        out.push((name.to_owned(), tensor));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_survive_the_round_trip_and_bytes_are_the_same_each_time() {
        let tensors = vec![
            ("b".to_owned(), Tensor::from_slice(&[1.5_f32, -2.0]).view([2, 1])),
            ("a".to_owned(), Tensor::from_slice(&[7_i64])),
            ("empty".to_owned(), Tensor::zeros([0, 3], (Kind::Double, Device::Cpu))),
            ("mask".to_owned(), Tensor::from_slice(&[true, false])),
            ("scalar".to_owned(), Tensor::from(2.5_f64)),
        ];
        let bytes = to_bytes(&tensors, Some(("note", "{}"))).unwrap();
        assert_eq!(bytes, to_bytes(&tensors, Some(("note", "{}"))).unwrap());
        let back = from_bytes(&bytes, "a test").unwrap();
        assert_eq!(back.len(), tensors.len());
        for (name, t) in &tensors {
            let (_, b) = back.iter().find(|(n, _)| n == name).unwrap();
            assert_eq!((b.size(), b.kind()), (t.size(), t.kind()), "{name}");
            assert!(b.equal(t), "{name}");
        }
        assert!(from_bytes(&bytes[..bytes.len() - 1], "a test").is_err());
    }
}
