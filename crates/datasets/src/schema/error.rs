//! A rule of a description that cannot work.

use run_spec::layer::ConfigError;
use segmentation::OptionError;

/// A value of a description that cannot work, with what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct RuleError {
    /// Dotted path of the key: `cells.size`.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl RuleError {
    /// The value under `key` cannot work.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }

    /// An option of how cells are found cannot work; `section` is the key below which the options are written. The error's text begins
    /// with the name of the option.
    pub(crate) fn of_option(section: &str, error: &OptionError) -> Self {
        let text = error.to_string();
        match text.split_once(": ") {
            Some((option, message)) => Self::new(format!("{section}.{option}"), message),
            None => Self::new(section, text),
        }
    }

    /// The same for a file whose lines are known.
    pub(crate) fn into_config(self) -> ConfigError {
        ConfigError::BadValue { what: String::new(), key: self.key, message: self.message }
    }
}
