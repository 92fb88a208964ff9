//! YAML as a person writes it: text to a value, with the line of every key, and mistakes named in our own words.
//!
//! The parser ([`serde_saphyr`]) reads the value; its errors become sentences in `words`, and [`Places`] finds the line of
//! a key for whoever checks the value later.

use serde_json::Value;

use crate::layer::ConfigError;

mod kind;
mod places;
mod words;

#[cfg(test)]
mod mistakes;

pub use kind::FileKind;
pub use places::Places;

/// Values that aliases (`*name`) may repeat in one file; far more than any file of ours needs.
const MOST_REPEATED: usize = 10_000;
/// Most sections within sections that a file may have.
const DEEPEST: usize = 64;

/// A YAML file that has been read.
#[derive(Debug, Clone)]
pub struct Yaml {
    /// What it holds; `null` where it is empty.
    pub value: Value,
    /// Where its keys stand.
    pub places: Places,
}

impl Yaml {
    /// Parses `text`; `what` names the file in messages. Duplicate keys are refused; `yes`, `no`, `on` stay words.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] with file, line, key and remedy.
    pub fn parse(text: &str, what: &str) -> Result<Self, ConfigError> {
        let value = match text.find('\0') {
            Some(at) => Err(words::binary(text, at)),
            None => serde_saphyr::from_str_with_options(text, options()).map_err(|error| words::mistake(&error, text)),
        };
        match value {
            Ok(value) => Ok(Self { value, places: Places::of(text, what) }),
            Err(mistake) => Err(mistake.named(text, what)),
        }
    }

    /// Reads the bytes of a file: UTF-8 with or without a byte-order mark, then [`Yaml::parse`].
    ///
    /// # Errors
    /// [`ConfigError::Syntax`], for text in another encoding too.
    pub fn read(bytes: &[u8], what: &str) -> Result<Self, ConfigError> {
        Self::parse(decode(bytes, what)?, what)
    }
}

/// The text of a file that a person wrote.
///
/// # Errors
/// [`ConfigError::Syntax`] for text that is not UTF-8, with the line where it ceases to be.
pub fn decode<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, ConfigError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(ConfigError::Syntax {
            what: what.to_owned(),
            message: "the text is UTF-16: save the file as UTF-8".to_owned(),
        });
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        ConfigError::Syntax {
            what: format!("{what} line {line}"),
            message: format!("the byte 0x{byte:02x} is not UTF-8: save the file as UTF-8"),
        }
    })
}

fn options() -> serde_saphyr::Options {
    let budget = serde_saphyr::budget! { max_depth: DEEPEST };
    let mut options = serde_saphyr::options! {
        strict_booleans: true,
        // A tag that nobody reads would be a wish that nobody grants.
        reject_unsupported_tags: true,
        with_snippet: false,
        // Any number of comment lines may stand anywhere.
        emit_comments: false,
        budget: budget,
    };
    options.alias_limits.max_total_replayed_events = MOST_REPEATED;
    options
}
