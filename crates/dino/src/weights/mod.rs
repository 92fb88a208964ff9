//! Weights of others: files of PyTorch and safetensors, and the names that DINOv2, timm, Hugging Face, DinoBloom and
//! RedDino give to the same backbone. No code of a file is ever run.

mod layout;
mod pth;
mod shape;
mod state_dict;
mod zip;

pub use layout::{Adopted, Layout, adopt};
pub use shape::{Untold, shape_of};

use crate::tensor_bytes;
use tch::Tensor;

/// Why a file of weights was refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Bytes that are not what they should be.
    #[error("{what} is not a readable file of weights: {why}; fetch it again, or save it as safetensors")]
    Damaged {
        /// The file, in words.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A pickle that names something else than tensors.
    #[error(
        "{what} asks for {name}, which is refused because no tensor needs it: files of weights are read without running \
         their code; save the state dict alone, or save it as safetensors"
    )]
    Foreign {
        /// The file, in words.
        what: String,
        /// The module and the name in it, with a dot between.
        name: String,
    },
    /// A file in PyTorch's format before 1.6.
    #[error("{what} has PyTorch's format of before version 1.6; load it there and save it again, best as safetensors")]
    Legacy {
        /// The file, in words.
        what: String,
    },
    /// The file begins as safetensors do, but cannot be read.
    #[error(transparent)]
    Safetensors(#[from] tensor_bytes::BytesError),
}

impl WeightsError {
    fn damaged(what: &str, why: impl Into<String>) -> Self {
        Self::Damaged { what: what.to_owned(), why: why.into() }
    }
}

/// All tensors of a safetensors or `.pth` file, which are distinguished by content, with the shapes stored there; on the CPU, sorted
/// by name, dictionaries within dictionaries flattened with dots. `what` names the file in messages.
///
/// # Errors
/// [`WeightsError`]: damaged, of another format, or with anything but tensors.
pub fn read(bytes: &[u8], what: &str) -> Result<Vec<(String, Tensor)>, WeightsError> {
    // PyTorch's older format begins with a pickled number, as does any bare pickle.
    match bytes {
        [b'P', b'K', 3, 4, ..] => pth::read(bytes, what),
        [0x80, 2..=5, ..] => Err(WeightsError::Legacy { what: what.to_owned() }),
        _ => Ok(tensor_bytes::from_bytes(bytes, what)?),
    }
}
