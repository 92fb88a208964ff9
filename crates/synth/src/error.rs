//! What can go wrong while a synthetic set is written.

use std::io;
use std::path::PathBuf;

/// Why a synthetic set or its sheet could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The folder holds a synthetic set of another seed or size.
    #[error("{} holds another set already; choose another folder or delete it", folder.display())]
    OtherSet {
        /// The folder that was to be written.
        folder: PathBuf,
    },
    /// The folder holds files that are not of a synthetic set.
    #[error("{} is not empty; choose another folder", folder.display())]
    NotEmpty {
        /// The folder that was to be written.
        folder: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `write`, `list`, `create the folder`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// An image could not be encoded in memory: the image crate was built without the format.
    #[error("encode {what}")]
    Encode {
        /// The image, for people.
        what: String,
        /// What the image crate says.
        source: image::ImageError,
    },
}
