//! How cells are found in images without labels: `cells.segment` of a description.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// How cells are found by their looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentRule {
    /// Usual diameter of a red cell, px of the image. All other lengths follow from it.
    pub(crate) diameter: f64,
    /// Share of its own depth by which a part must rise above the neck to its neighbour to be a cell of its own.
    #[serde(default = "least_rise")]
    pub(crate) least_rise: f64,
    /// Smallest cell, as a share of a disc of `diameter`. Smaller things are platelets and dirt.
    #[serde(default = "least_area")]
    pub(crate) least_area: f64,
}

fn least_rise() -> f64 {
    0.12
}

fn least_area() -> f64 {
    0.15
}

impl SegmentRule {
    /// The defaults for cells of `diameter` px.
    pub(crate) fn of(diameter: f64) -> Self {
        Self { diameter, least_rise: least_rise(), least_area: least_area() }
    }

    /// # Errors
    /// A number that no cell has.
    pub(super) fn check(&self) -> Result<()> {
        let Self { diameter, least_rise, least_area } = self;
        ensure!((4.0..=2000.0).contains(diameter), "cells.segment.diameter: {diameter} px is outside 4 to 2000");
        ensure!((0.0..1.0).contains(least_rise), "cells.segment.least_rise: {least_rise} is outside 0 to 1");
        ensure!((0.0..1.0).contains(least_area), "cells.segment.least_area: {least_area} is outside 0 to 1");
        Ok(())
    }
}
