//! Where masks of cells lie beside the images: `cells.masks` of a description.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::beside::{check_own, path_of};

/// Masks that were made before, by hand or by Cellpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskRule {
    /// Path of the file of an image; `{stem}` stands for its file name without its ending, `{name}` for its file name, `{folder}` for its
    /// folder.
    pub(crate) file: String,
    /// What the file holds.
    #[serde(default)]
    pub(crate) holds: Holds,
    /// For flows: a pixel of greater cell probability (a logit) is part of a cell. Cellpose's default.
    #[serde(default)]
    pub(crate) cellprob_threshold: f64,
    /// For flows: a mask whose own flows differ from those it was found by, by more than this mean square of unit vectors, is left out;
    /// 0 checks none. Cellpose's default.
    #[serde(default = "flow_threshold")]
    pub(crate) flow_threshold: f64,
    /// Smaller cells are left out, px. Cellpose's default.
    #[serde(default = "least_px")]
    pub(crate) least_px: u32,
}

/// What a file of masks holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Holds {
    /// The number of its cell in each pixel, 0 outside: PNG or TIFF of 8, 16 or 32 bits, `.npy`, or Cellpose's `_seg.npy`.
    #[default]
    Masks,
    /// Cellpose's flows: `.npy` of f32 `[3, height, width]`: down, right, cell probability.
    Flows,
}

fn flow_threshold() -> f64 {
    0.4
}

fn least_px() -> u32 {
    15
}

impl MaskRule {
    /// The path of the file of `image`.
    ///
    /// # Errors
    /// The reason for the report, where it leads out of the dataset.
    pub(crate) fn file_of(&self, image: &str) -> Result<String, String> {
        path_of(&self.file, image)
    }

    /// # Errors
    /// One file for all images; a threshold that is no number, or one of flows below 0.
    pub(super) fn check(&self) -> Result<()> {
        check_own("cells.masks.file", &self.file)?;
        ensure!(
            self.cellprob_threshold.is_finite(),
            "cells.masks.cellprob_threshold: {} is no number",
            self.cellprob_threshold
        );
        ensure!(
            self.flow_threshold.is_finite() && self.flow_threshold >= 0.0,
            "cells.masks.flow_threshold: {} is no threshold; 0 checks no flows, Cellpose's default is 0.4",
            self.flow_threshold
        );
        Ok(())
    }
}
