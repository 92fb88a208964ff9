//! What the libraries say of a file they cannot decode, with what the user can do about it.

use image::ImageError;
use tiff::TiffError;

/// What helps against damage.
pub(crate) const AGAIN: &str = "copy, download or export the file again";
/// What helps against a kind of file that is not read.
const SAVE: &str = "save it as an 8-bit RGB PNG or TIFF";
/// What helps against a file that wants more memory than it may have.
const LARGE: &str = "needs more memory than --max-pixels allows; raise that, or save it smaller";
/// Characters of a library's words, at most: a reason stands in a cell of a table.
const MOST_WORDS: usize = 160;

/// The reason for the report that the `image` crate gives.
pub(crate) fn of_image(error: &ImageError) -> String {
    match error {
        ImageError::Limits(_) => LARGE.to_owned(),
        ImageError::Unsupported(_) | ImageError::Parameter(_) => with(error, SAVE),
        ImageError::Decoding(_) | ImageError::Encoding(_) | ImageError::IoError(_) => with(error, AGAIN),
    }
}

/// The reason for the report that the `tiff` crate gives.
pub(crate) fn of_tiff(error: &TiffError) -> String {
    match error {
        TiffError::LimitsExceeded | TiffError::IntSizeError => LARGE.to_owned(),
        TiffError::UnsupportedError(_) | TiffError::UsageError(_) => with(error, SAVE),
        TiffError::FormatError(_) | TiffError::IoError(_) => with(error, AGAIN),
    }
}

fn with(error: &dyn std::fmt::Display, remedy: &str) -> String {
    let words: String = error.to_string().lines().next().unwrap_or_default().chars().take(MOST_WORDS).collect();
    format!("{words}; {remedy}")
}
