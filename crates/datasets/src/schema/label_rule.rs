//! Where labels come from: `label` of a description.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use super::table_key::ImageKey;
use super::{pattern, template};

/// Where the labels of images, or of cells in them, are written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LabelRule {
    /// The dataset has no labels.
    #[default]
    None,
    /// A folder's name labels the whole image; `up` = 1 is the folder that holds it.
    Folder {
        /// How many folders above the image: 1 is the one that holds it.
        #[serde(default = "one")]
        up: u32,
    },
    /// The first capture of a pattern on the path labels the whole image.
    Pattern {
        /// A regular expression with one capture group.
        pattern: String,
    },
    /// A side file of `x y class` lines, in pixels.
    Points {
        /// Its path; `{stem}` stands for the image's file name without its ending, `{name}` for its file name, `{folder}` for its folder.
        file: String,
    },
    /// A Pascal VOC file of boxes, in pixels.
    Voc {
        /// Its path, with `{stem}`, `{name}` or `{folder}`.
        file: String,
    },
    /// A table with one box a row.
    CsvBoxes {
        /// Path of the table, or with `{folder}` of one in each folder.
        file: String,
        /// Names of the columns that are read.
        columns: BoxColumns,
        /// Unit of the coordinates.
        units: Units,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
    },
    /// A table with one image a row.
    CsvClass {
        /// Path of the table, or with `{folder}` of one in each folder.
        file: String,
        /// Column that names the image.
        image: String,
        /// Column with the class.
        class: String,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
    },
}

/// Columns of a table of boxes; `width` and `height` are those of the image on which the box was drawn, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is named for the column it names")]
pub struct BoxColumns {
    pub image: String,
    pub xmin: String,
    pub ymin: String,
    pub xmax: String,
    pub ymax: String,
    pub label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<String>,
}

/// Unit of the coordinates of a table of boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Units {
    /// Pixels of the upright image.
    Pixels,
    /// Fractions of its width and height, 0 to 1.
    Fractions,
}

impl LabelRule {
    /// # Errors
    /// A pattern or a path that cannot work, half a size.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        match self {
            Self::Points { file } | Self::Voc { file } => template::check_own("label.file", file),
            Self::CsvBoxes { file, columns, .. } => {
                if columns.width.is_some() != columns.height.is_some() {
                    let why = "the size of an image needs both `width` and `height`";
                    return Err(RuleError::new("label.columns", why));
                }
                template::check("label.file", file)
            }
            Self::CsvClass { file, .. } => template::check("label.file", file),
            Self::Pattern { pattern } => pattern::check("label.pattern", pattern),
            Self::None | Self::Folder { .. } => Ok(()),
        }
    }
}

fn one() -> u32 {
    1
}
