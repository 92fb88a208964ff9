//! Why a file gives no pixels. Every text is a reason for a report: it says what is wrong and what the reader can do about it.

use image::ImageError;
use thiserror::Error;
use tiff::TiffError;

/// What helps against damage.
const AGAIN: &str = "copy, download or export the file again";
/// What helps against a kind of file that is not read.
const SAVE: &str = "save it as an 8-bit RGB PNG or TIFF";
/// Characters of a library's words, at most: a reason stands in a cell of a table.
const MOST_WORDS: usize = 160;

/// Why a file gives no pixels.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The file has no bytes.
    #[error("empty file")]
    Empty,
    /// The content is that of another kind of file.
    #[error("is {name}; {remedy}")]
    Foreign {
        /// What it is, with its article: `a DICOM file`.
        name: &'static str,
        /// How to get an image from it.
        remedy: &'static str,
    },
    /// The content has none of the known formats.
    #[error("content is not an image format that can be read (JPEG, PNG, BMP, TIFF, WebP)")]
    UnknownFormat,
    /// The content is an image of a format that is not read.
    #[error("{format} images cannot be read; {remedy}")]
    FormatNotRead {
        /// Name of the format, as messages show it.
        format: &'static str,
        /// How to convert it.
        remedy: &'static str,
    },
    /// The format is read, this file cannot be.
    #[error("unreadable {format}: {problem}{}", see(.problem, *.limit_setting))]
    Unreadable {
        /// Name of the format, as messages show it.
        format: &'static str,
        /// What is wrong with the file.
        problem: Problem,
        /// What raises the limits, in the caller's words ([`DecodeLimits::setting`](crate::DecodeLimits::setting)).
        limit_setting: Option<&'static str>,
    },
}

/// What is wrong with a file whose format is read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// Data is missing or damaged: another copy of the file may be whole.
    #[error("{0}; {AGAIN}")]
    Damaged(String),
    /// A variant of the format that is not read: the file must be converted.
    #[error("{what}; {remedy}")]
    Unsupported {
        /// The variant of the format, in words.
        what: String,
        /// How to convert it.
        remedy: &'static str,
    },
    /// The image has more pixels than the caller allows.
    #[error("{width}×{height} pixels are over the limit of {limit}")]
    TooManyPixels {
        /// Width of the image in pixels.
        width: u32,
        /// Height of the image in pixels.
        height: u32,
        /// Most pixels that the caller allows.
        limit: u64,
    },
    /// The same of a page of a TIFF, which may be a whole slide.
    #[error("{width}×{height} pixels are over the limit of {limit}; describe whole slides with `slides: {{}}`")]
    TooLargeAPage {
        /// Width of the page in pixels.
        width: u32,
        /// Height of the page in pixels.
        height: u32,
        /// Most pixels that the caller allows.
        limit: u64,
    },
    /// The tiles of a TIFF have more pixels than the caller allows.
    #[error("its tiles of {width}×{height} px are over the limit of pixels; save it in smaller ones")]
    TooLargeTiles {
        /// Width of a tile in pixels.
        width: u32,
        /// Height of a tile in pixels.
        height: u32,
    },
    /// Decoding takes more memory than the limit of pixels grants.
    #[error("needs more memory than the limit of pixels allows; save it smaller")]
    TooMuchMemory,
    /// The file does not have a page of this number.
    #[error("{0}")]
    NoPage(String),
    /// The bits of the values do not fit what the description of the source says, or would make a black image.
    #[error("{0}")]
    BitDepth(String),
    /// An image of colours or fractions, where whole numbers were expected.
    #[error("{0}")]
    NotNumbers(String),
    /// A value that cannot be the number of a cell.
    #[error(transparent)]
    NotACellNumber(#[from] NotACellNumber),
    /// A part of a TIFF is a damaged JPEG.
    #[error("part {part} of it is a damaged JPEG: {problem}")]
    Part {
        /// Which part, from 0.
        part: usize,
        /// What is wrong with it.
        problem: Box<Self>,
    },
}

/// A value that cannot be the number of a cell: a negative number, a fraction, or one above `u32::MAX`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("holds {0}, which is not a cell number: cell numbers are whole, from 0 (no cell) to {max}", max = u32::MAX)]
pub struct NotACellNumber(pub String);

impl Problem {
    /// Whether the file would be read under higher limits.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooManyPixels { .. } | Self::TooLargeAPage { .. } | Self::TooLargeTiles { .. } | Self::TooMuchMemory
        )
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    pub(crate) fn unsupported(what: impl Into<String>, remedy: &'static str) -> Self {
        Self::Unsupported { what: what.into(), remedy }
    }
}

/// What raises the limit that a file is over.
fn see(problem: &Problem, setting: Option<&'static str>) -> String {
    setting.filter(|_| problem.is_limit()).map_or_else(String::new, |setting| format!("; see {setting}"))
}

impl From<ImageError> for Problem {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => Self::TooMuchMemory,
            ImageError::Unsupported(_) | ImageError::Parameter(_) => Self::unsupported(words(&error), SAVE),
            ImageError::Decoding(_) | ImageError::Encoding(_) | ImageError::IoError(_) => Self::Damaged(words(&error)),
        }
    }
}

impl From<TiffError> for Problem {
    fn from(error: TiffError) -> Self {
        match error {
            TiffError::LimitsExceeded | TiffError::IntSizeError => Self::TooMuchMemory,
            TiffError::UnsupportedError(_) | TiffError::UsageError(_) => Self::unsupported(words(&error), SAVE),
            TiffError::FormatError(_) | TiffError::IoError(_) => Self::Damaged(words(&error)),
        }
    }
}

/// The first line of what a library says, cut to a cell of a table.
fn words(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().chars().take(MOST_WORDS).collect()
}
