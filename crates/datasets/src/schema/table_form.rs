//! How a table is written: `table` of a rule that reads one.

use encoding_rs::Encoding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;

/// How a table is written, where that is not found out by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableForm {
    /// What separates cells: one character. Without it commas, semicolons or tabs, whichever gives all columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// Whether the first line names the columns. Where it does not, columns are named by their numbers: `1` is the first.
    #[serde(default = "yes")]
    pub header: bool,
    /// What stands before the decimals of a number. Without it a point; a comma where the separator is another one and the numbers have
    /// commas and no points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// Encoding by its name on the web, such as `windows-1252`. Without it UTF-8 or UTF-16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// What stands before the decimals of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decimal {
    /// Numbers have a decimal point: `1.5`.
    Point,
    /// Numbers have a decimal comma: `1,5`.
    Comma,
}

fn yes() -> bool {
    true
}

impl Default for TableForm {
    fn default() -> Self {
        Self { separator: None, header: true, decimal: None, encoding: None }
    }
}

impl TableForm {
    /// Whether it says nothing, so that a description is written without it.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The separator, if it is stated.
    pub(crate) fn separator(&self) -> Option<u8> {
        self.separator.and_then(|separator| u8::try_from(separator).ok())
    }

    /// The encoding, if it is stated.
    pub(crate) fn encoding(&self) -> Option<&'static Encoding> {
        Encoding::for_label(self.encoding.as_ref()?.as_bytes())
    }

    /// Checks the form, the value of `key`.
    ///
    /// # Errors
    /// A separator that cannot be one; an encoding that is not known.
    pub(crate) fn check(&self, key: &str) -> Result<(), RuleError> {
        if self.separator.is_some_and(|separator| !separator.is_ascii() || "\"\r\n".contains(separator)) {
            let why = "cannot separate cells; write a character such as `;` or `\\t`";
            return Err(RuleError::new(format!("{key}.separator"), why));
        }
        if self.separator == Some(',') && self.decimal == Some(Decimal::Comma) {
            let why = "`comma` separates the cells of the table; it cannot be the decimal comma too";
            return Err(RuleError::new(format!("{key}.decimal"), why));
        }
        match (&self.encoding, self.encoding()) {
            (Some(name), None) => {
                let why = format!("`{name}` is not an encoding; write one such as `windows-1252`, `utf-8` or `gbk`");
                Err(RuleError::new(format!("{key}.encoding"), why))
            }
            _ => Ok(()),
        }
    }
}
