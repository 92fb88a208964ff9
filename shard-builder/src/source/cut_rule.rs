//! How a description has images cut: into patches, and around cells.

use anyhow::{Result, anyhow, ensure};
use segmentation::SegmentOptions;
use serde::{Deserialize, Serialize};

use super::mask_rule::MaskRule;

/// How fields of view are cut into patches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchRule {
    /// What happens to the strip at the right and the bottom that holds no whole patch.
    #[serde(default)]
    pub(crate) border: Border,
    /// What happens to an image with a side shorter than the patch.
    #[serde(default)]
    pub(crate) small: Small,
}

/// The strip that holds no whole patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Border {
    /// It is left out, and its pixels are counted in the report.
    #[default]
    Drop,
    /// As `drop`, with the grid in the middle of the image: right where one cell lies in the centre.
    Centre,
    /// A last patch is filled up by mirroring (reflect-101).
    Pad,
    /// A last patch is moved inside, overlapping its neighbour.
    Shift,
}

/// An image with a side shorter than the patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Small {
    /// The short side is centred and filled up by mirroring: cells keep their scale.
    #[default]
    Pad,
    /// Squares as large as the short side are cut and enlarged (Catmull-Rom): cells change their scale.
    Upscale,
    /// It is left out and reported.
    Skip,
}

/// How cells are cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CellRule {
    /// Side in pixels around a point label; around a box too, where `fixed` is set.
    #[serde(default = "eighty")]
    pub(crate) size: u32,
    /// Cut `size` × `size` around a box's centre whatever the box measures.
    #[serde(default)]
    pub(crate) fixed: bool,
    /// Margin around a box, as a fraction of its longer side, on each side.
    #[serde(default = "tenth")]
    pub(crate) margin: f64,
    /// What lies outside the image.
    #[serde(default)]
    pub(crate) pad: Fill,
    /// Cells are found by their looks instead of being cut around labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) segment: Option<SegmentOptions>,
    /// Cells are those of masks that lie beside the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masks: Option<MaskRule>,
}

impl CellRule {
    /// # Errors
    /// A rule that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!((1..=4096).contains(&self.size), "cells.size: {} px is outside 1 to 4096", self.size);
        ensure!((0.0..=4.0).contains(&self.margin), "cells.margin: {} is outside 0 to 4", self.margin);
        if let Some(options) = &self.segment {
            options.check().map_err(|error| anyhow!("cells.segment.{error}"))?;
        }
        self.masks.as_ref().map_or(Ok(()), MaskRule::check)?;
        ensure!(
            self.segment.is_none() || self.masks.is_none(),
            "cells: has both `segment` and `masks`; cells come from one of them"
        );
        Ok(())
    }
}

impl Default for CellRule {
    fn default() -> Self {
        Self { size: eighty(), fixed: false, margin: tenth(), pad: Fill::default(), segment: None, masks: None }
    }
}

/// What lies outside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fill {
    /// The image mirrored at its edge, the edge itself not repeated (reflect-101).
    #[default]
    Reflect,
    /// White.
    White,
    /// Black.
    Black,
}

fn eighty() -> u32 {
    80
}

fn tenth() -> f64 {
    0.1
}
