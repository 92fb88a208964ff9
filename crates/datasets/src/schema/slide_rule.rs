//! How whole slides are read: `slides` of a description.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;

/// How whole slides are read: the images of the source are pyramids of tiled TIFF (SVS, OME-TIFF, …), and are read in fields, each of
/// which is an image of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlideRule {
    /// Micrometres per pixel of the level that is read: the coarsest level with at most this many (5 % more is accepted). Without it, and
    /// without a scale for the whole set, the finest level is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level_um_per_px: Option<f64>,
    /// Which squares show smear and not glass.
    #[serde(default)]
    pub smear: SmearRule,
}

/// Which squares of a slide show smear: those in which enough pixels are darker than glass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmearRule {
    /// Colour of glass (red, green, blue). Without it, that of each slide is found: of each channel the 90th percentile over the overview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glass: Option<[u8; 3]>,
    /// Levels by which a pixel of smear is darker than glass, in the channel that differs most.
    pub contrast: u8,
    /// Least share of such pixels in a square, 0 to 1; at 0 every square is used.
    pub least: f64,
}

impl Default for SmearRule {
    fn default() -> Self {
        Self { glass: None, contrast: 12, least: 0.05 }
    }
}

impl SlideRule {
    /// # Errors
    /// A scale that no microscope has, a share outside 0 to 1.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        if let Some(um) = self.level_um_per_px.filter(|um| !(0.001..=100.0).contains(um)) {
            return Err(RuleError::new("slides.level_um_per_px", format!("{um} µm is outside 0.001 to 100")));
        }
        if !(0.0..=1.0).contains(&self.smear.least) {
            return Err(RuleError::new("slides.smear.least", format!("{} is outside 0 to 1", self.smear.least)));
        }
        Ok(())
    }
}
