//! Where masks of cells lie beside the images: `cells.masks` of a description.

use schemars::JsonSchema;
use segmentation::{MaskContent, MaskOptions};
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use super::template::{check_own, path_of};

/// Masks that were made before, by hand or by Cellpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskRule {
    /// Path of the file of an image; `{stem}` stands for its file name without its ending, `{name}` for its file name, `{folder}` for its
    /// folder.
    pub file: String,
    /// What the file holds.
    #[serde(default)]
    pub holds: MaskContent,
    /// For flows: a pixel of greater cell probability (a logit) is part of a cell. Cellpose's default.
    #[serde(default)]
    pub cellprob_threshold: f64,
    /// For flows: a mask whose own flows differ from those it was found by, by more than this mean square of unit vectors, is left out;
    /// 0 checks none. Cellpose's default.
    #[serde(default = "flow_threshold")]
    pub flow_threshold: f64,
    /// Smaller cells are left out, px. Cellpose's default.
    #[serde(default = "least_px")]
    pub least_px: u32,
}

fn flow_threshold() -> f64 {
    MaskOptions::default().flow_threshold
}

fn least_px() -> u32 {
    MaskOptions::default().least_px
}

impl MaskRule {
    /// The path inside the dataset of the file of masks of `image`.
    ///
    /// # Errors
    /// The reason for the report, where it leads out of the dataset.
    pub fn file_of(&self, image: &str) -> Result<String, String> {
        path_of(&self.file, image)
    }

    /// How the file of masks is read.
    pub fn options(&self) -> MaskOptions {
        let Self { holds, cellprob_threshold, flow_threshold, least_px, .. } = *self;
        MaskOptions { holds, cellprob_threshold, flow_threshold, least_px }
    }

    /// # Errors
    /// One file for all images; a threshold that is not a number, or one of flows below 0.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        check_own("cells.masks.file", &self.file)?;
        self.options().check().map_err(|error| RuleError::of_option("cells.masks", &error))
    }
}
