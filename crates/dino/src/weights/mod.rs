//! Weights of others: files of PyTorch and safetensors, and the names that DINOv2, timm, Hugging Face, DinoBloom and
//! RedDino give to the same backbone. No code of a file is ever run.

mod layout;
mod pth;
mod shape;
mod state_dict;
mod zip;

pub use layout::{Adopted, Layout};
pub use shape::{Untold, shape_of};

use crate::{DinoError, backbone::BackboneShape, tensor_bytes};
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
    /// Something else.
    #[error("{what} is neither a safetensors nor a .pth file; give the file of the weights itself")]
    Unknown {
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
        // The length of a safetensors header, then the header, which is JSON.
        [_, _, _, _, _, _, 0, 0, b'{', ..] => Ok(tensor_bytes::from_bytes(bytes, what)?),
        _ => Err(WeightsError::Unknown { what: what.to_owned() }),
    }
}

/// Brings the tensors of a file to the names and the grid of `shape`. `what` names the file in messages.
///
/// Position embeddings of another grid are resized once, bicubic without offset (recipe §1.3). A mask token that is missing
/// (timm has none) is zero, as at the start of DINOv2's own training.
///
/// # Errors
/// A backbone of another size; [`DinoError::Tensors`] with every difference, by our names; a file with several backbones and no teacher among them.
pub fn adopt(shape: &BackboneShape, tensors: Vec<(String, Tensor)>, what: &str) -> Result<Adopted, DinoError> {
    shape::check_size(&tensors, shape, what)?;
    layout::adopt(shape, tensors, what)
}
