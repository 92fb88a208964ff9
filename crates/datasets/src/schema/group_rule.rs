//! Which images belong together in a split: `group` of a description.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use super::pattern;
use super::table_form::TableForm;
use super::table_key::ImageKey;

/// By what images belong to one group, which a split does not divide.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum GroupRule {
    /// Each image stands alone.
    #[default]
    Image,
    /// Images of one folder; `up` = 1 is the folder that holds the image, 2 the one above.
    Folder {
        /// How many folders above the image: 1 is the one that holds it.
        #[serde(default = "one")]
        up: u32,
    },
    /// The first capture of a pattern on the path.
    Pattern {
        /// A regular expression with one capture group.
        pattern: String,
    },
    /// One group for the whole dataset.
    Constant {
        /// Name of the group.
        value: String,
    },
    /// A column of a table.
    Csv {
        /// Path of the table inside the dataset.
        file: String,
        /// Column that names the image.
        image: String,
        /// Column that names the group.
        group: String,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
        /// How the table is written.
        #[serde(default, skip_serializing_if = "TableForm::is_default")]
        table: TableForm,
        /// Paths of further tables with the same columns.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<String>,
    },
}

impl GroupRule {
    /// # Errors
    /// A pattern that cannot work.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        match self {
            Self::Pattern { pattern } => pattern::check("group.pattern", pattern),
            Self::Csv { table, key, .. } => {
                table.check("group.table")?;
                key.check("group.key")
            }
            _ => Ok(()),
        }
    }
}

fn one() -> u32 {
    1
}
