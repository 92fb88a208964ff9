//! What can be wrong with a file of masks.

use imaging::{DecodeError, NotACellNumber};
use thiserror::Error;

use crate::region::RegionError;

/// Why a file of masks gives no cells. The texts are reasons for a report; they do not name the file.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum MaskError {
    /// The file is neither `.npy` nor an image of whole numbers.
    #[error(transparent)]
    Image(#[from] DecodeError),
    /// The header of a `.npy` file is damaged.
    #[error("{0}")]
    Header(String),
    /// The pickle of a `_seg.npy` file is damaged, or holds no array `masks`.
    #[error("{0}")]
    Pickle(String),
    /// The elements of an array cannot be numbers of cells.
    #[error("elements of type {0} are not masks; whole numbers are expected")]
    ElementType(String),
    /// An array has other than two sides.
    #[error("its shape is {0:?}; masks are [height, width]")]
    Shape(Vec<u64>),
    /// An array without pixels, or with more than the caller allows.
    #[error("{width}×{height} pixels are none, or more than the limit of {limit}")]
    Pixels {
        /// Number of columns of the array.
        width: u64,
        /// Number of rows of the array.
        height: u64,
        /// Most pixels that the caller allows.
        limit: u64,
    },
    /// The data is shorter or longer than the header says.
    #[error("{found} bytes of masks where {expected} should be")]
    Length {
        /// Bytes in the file.
        found: usize,
        /// Bytes by shape and element type.
        expected: usize,
    },
    /// A value that cannot be the number of a cell.
    #[error(transparent)]
    NotACellNumber(#[from] NotACellNumber),
    /// The array is not one of flows.
    #[error("{0}; flows are an array of f32 [3, height, width], rows first: down, right, cell probability")]
    NotFlows(String),
    /// A mask is so large that the check of its flows would take minutes.
    #[error(
        "one of its masks is {columns}×{rows} pixels, too many to check its flows; set cells.masks.flow_threshold: 0"
    )]
    TooLargeToCheck {
        /// Columns of its bounding box, with a frame of one pixel.
        columns: usize,
        /// Rows of its bounding box, with the same frame.
        rows: usize,
    },
    /// A picture of classes with more parts than an image has cells.
    #[error("has {parts} parts, more than {most}: this is not a picture of classes")]
    TooManyParts {
        /// Parts that were found.
        parts: usize,
        /// Most that are read.
        most: usize,
    },
    /// A file of one cell holds several numbers.
    #[error("holds {0} and {1}; a file of one cell has one number besides 0")]
    SeveralNumbers(u32, u32),
    /// The pixels of a cell give no region.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The masks are of another image.
    #[error("is of {}×{} pixels, the image of {}×{}", masks.0, masks.1, image.0, image.1)]
    OtherSize {
        /// Width and height of the masks.
        masks: (usize, usize),
        /// Width and height of the image.
        image: (u32, u32),
    },
}
