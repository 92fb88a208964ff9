//! How cells are found: what a description of a source says under `cells.segment` and `cells.masks`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How cells are found in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentOptions {
    /// Usual diameter of a red cell, px of the image. All other lengths follow from it.
    pub diameter: f64,
    /// How deep the constriction between two touching cells must be before they are separated, as a share of the part's own depth; larger values separate less.
    #[serde(default = "least_rise")]
    pub least_rise: f64,
    /// Smallest cell, as a share of a disc of `diameter`. Smaller things are platelets and dirt.
    #[serde(default = "least_area")]
    pub least_area: f64,
}

fn least_rise() -> f64 {
    0.12
}

fn least_area() -> f64 {
    0.15
}

impl SegmentOptions {
    /// The defaults for cells of `diameter` px.
    pub fn for_diameter(diameter: f64) -> Self {
        Self { diameter, least_rise: least_rise(), least_area: least_area() }
    }

    /// Checks the ranges of all numbers.
    ///
    /// # Errors
    /// The first number outside its range.
    pub fn check(&self) -> Result<(), OptionError> {
        let Self { diameter, least_rise, least_area } = *self;
        let outside = |key, value, range| Err(OptionError::OutOfRange { key, value, range });
        match () {
            () if !(4.0..=2000.0).contains(&diameter) => outside("diameter", diameter, " px is outside 4 to 2000"),
            () if !(0.0..1.0).contains(&least_rise) => outside("least_rise", least_rise, " is outside 0 to 1"),
            () if !(0.0..1.0).contains(&least_area) => outside("least_area", least_area, " is outside 0 to 1"),
            () => Ok(()),
        }
    }
}

/// How cells are read from masks or flows that were made before.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskOptions {
    /// What the file holds.
    pub holds: MaskContent,
    /// For flows: a pixel of greater cell probability (a logit) is part of a cell.
    pub cellprob_threshold: f64,
    /// For flows: a mask whose own flows differ from those it was found by, by more than this mean square of unit vectors, is left out;
    /// 0 checks none.
    pub flow_threshold: f64,
    /// Smaller cells are left out, px.
    pub least_px: u32,
}

impl Default for MaskOptions {
    /// The defaults of Cellpose's own functions.
    fn default() -> Self {
        Self { holds: MaskContent::Masks, cellprob_threshold: 0.0, flow_threshold: 0.4, least_px: 15 }
    }
}

impl MaskOptions {
    /// Checks both thresholds.
    ///
    /// # Errors
    /// A threshold that is not finite, or a negative one of flows.
    pub fn check(&self) -> Result<(), OptionError> {
        if !self.cellprob_threshold.is_finite() {
            return Err(OptionError::NotFinite { key: "cellprob_threshold", value: self.cellprob_threshold });
        }
        if !self.flow_threshold.is_finite() || self.flow_threshold < 0.0 {
            return Err(OptionError::FlowThreshold(self.flow_threshold));
        }
        Ok(())
    }
}

/// What a file of masks holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MaskContent {
    /// The number of its cell in each pixel, 0 outside: PNG or TIFF of 8, 16 or 32 bits, `.npy`, or Cellpose's `_seg.npy`.
    #[default]
    Masks,
    /// Cellpose's flows: `.npy` of f32 `[3, height, width]`: down, right, cell probability.
    Flows,
}

/// An option with a value that cannot work. The texts begin with the option's name.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum OptionError {
    /// A number outside its range.
    #[error("{key}: {value}{range}")]
    OutOfRange {
        /// Name of the option.
        key: &'static str,
        /// The value that was given.
        value: f64,
        /// Unit and range, in words.
        range: &'static str,
    },
    /// A number that is infinite or none.
    #[error("{key}: {value} is not a finite number")]
    NotFinite {
        /// Name of the option.
        key: &'static str,
        /// The value that was given.
        value: f64,
    },
    /// A threshold of flow errors that is not finite or below 0.
    #[error("flow_threshold: {0} is not a threshold; 0 checks no flows, Cellpose's default is 0.4")]
    FlowThreshold(f64),
}
