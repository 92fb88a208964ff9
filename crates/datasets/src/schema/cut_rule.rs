//! How a description has images cut: into patches, and around cells.

use schemars::JsonSchema;
use segmentation::SegmentOptions;
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use super::mask_rule::MaskRule;

/// How fields of view are cut into patches: `patches` of a description.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRule {
    /// What happens to the strip at the right and the bottom that holds no whole patch.
    #[serde(default)]
    pub border: Border,
    /// What happens to an image with a side shorter than the patch.
    #[serde(default)]
    pub small: Small,
}

/// What happens to the strip at the border that holds no whole patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Border {
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

/// What happens to an image with a side shorter than the patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Small {
    /// The short side is centred and filled up by mirroring: cells keep their scale.
    #[default]
    Pad,
    /// Squares as large as the short side are cut and enlarged (Catmull-Rom): cells change their scale.
    Upscale,
    /// It is left out and reported.
    Skip,
}

/// How single cells are found and cut: `cells` of a description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellRule {
    /// Side in pixels around a point label; around a box too, where `fixed` is set.
    #[serde(default = "eighty")]
    pub size: u32,
    /// Cut `size` × `size` around a box's centre whatever the box measures.
    #[serde(default)]
    pub fixed: bool,
    /// Margin around a box, as a fraction of its longer side, on each side.
    #[serde(default = "tenth")]
    pub margin: f64,
    /// How the part of a square that lies outside the image is filled.
    #[serde(default)]
    pub pad: Fill,
    /// Cells are found in the pixels instead of being cut around labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentOptions>,
    /// Cells are those of masks that lie beside the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<MaskRule>,
    /// Cells are the outlines that the labels draw.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drawn: bool,
}

impl CellRule {
    /// # Errors
    /// A rule that cannot work.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        if !(1..=4096).contains(&self.size) {
            return Err(RuleError::new("cells.size", format!("{} px is outside 1 to 4096", self.size)));
        }
        if !(0.0..=4.0).contains(&self.margin) {
            return Err(RuleError::new("cells.margin", format!("{} is outside 0 to 4", self.margin)));
        }
        if let Some(options) = &self.segment {
            options.check().map_err(|error| RuleError::of_option("cells.segment", &error))?;
        }
        self.masks.as_ref().map_or(Ok(()), MaskRule::check)?;
        let ways = [(self.segment.is_some(), "segment"), (self.masks.is_some(), "masks"), (self.drawn, "drawn")];
        let said: Vec<&str> = ways.into_iter().filter(|(is_said, _)| *is_said).map(|(_, name)| name).collect();
        if let [one, other, ..] = said.as_slice() {
            let why = format!("has both `{one}` and `{other}`; cells come from one of them");
            return Err(RuleError::new("cells", why));
        }
        Ok(())
    }

    /// Whether cells are found with their outlines, rather than cut around labels.
    pub fn has_outlines(&self) -> bool {
        self.segment.is_some() || self.masks.is_some() || self.drawn
    }
}

impl Default for CellRule {
    fn default() -> Self {
        Self {
            size: eighty(),
            fixed: false,
            margin: tenth(),
            pad: Fill::default(),
            segment: None,
            masks: None,
            drawn: false,
        }
    }
}

/// How the part of a square that lies outside its image is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// The image mirrored at its edge, the edge itself not repeated (reflect-101).
    #[default]
    Reflect,
    /// White: all channels are 255.
    White,
    /// Black: all channels are 0.
    Black,
}

fn eighty() -> u32 {
    80
}

fn tenth() -> f64 {
    0.1
}
