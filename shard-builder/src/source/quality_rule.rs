//! What becomes of rows that show nothing, or show it badly: `quality` of a description.

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What becomes of a row with a flaw. It is counted and listed in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Action {
    /// It is a row like any other, as in the published training.
    Keep,
    /// It is a row, and `report/quality-*.csv` holds its id for whoever wants to leave it out.
    Flag,
    /// It is no row.
    Drop,
}

impl Action {
    /// As it is written in descriptions.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Flag => "flag",
            Self::Drop => "drop",
        }
    }
}

/// When a row has a flaw, and what becomes of it then. An action that is not given is the command line's, or `keep`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QualityRule {
    /// Nothing but field.
    pub(crate) blank: Blank,
    /// Too little detail.
    pub(crate) out_of_focus: OutOfFocus,
    /// Too much at the end of the camera's range.
    pub(crate) saturated: Saturated,
}

/// A row is blank if too few of its pixels stand out from the field. (Colour tells less: pale cells have as little as some fields.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Blank {
    /// What becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<Action>,
    /// Levels by which the green of a pixel that stands out is away from the row's median.
    pub(crate) contrast: u8,
    /// Least share of such pixels, 0 to 1.
    pub(crate) least: f64,
}

/// A row is out of focus if its green channel has too little curvature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OutOfFocus {
    /// What becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<Action>,
    /// Least variance of the Laplacian (4 neighbours) of the green channel in levels.
    pub(crate) least: f64,
}

/// A row is saturated if too many of its pixels have a channel at 255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Saturated {
    /// What becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<Action>,
    /// Greatest share of such pixels, 0 to 1.
    pub(crate) most: f64,
}

impl Default for Blank {
    fn default() -> Self {
        Self { action: None, contrast: 12, least: 0.01 }
    }
}

impl Default for OutOfFocus {
    fn default() -> Self {
        Self { action: None, least: 4.0 }
    }
}

impl Default for Saturated {
    fn default() -> Self {
        Self { action: None, most: 0.5 }
    }
}

impl QualityRule {
    /// Whether a description need not name it.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// A share outside 0 to 1, a negative variance.
    pub(super) fn check(&self) -> Result<()> {
        let shares = [("blank.least", self.blank.least), ("saturated.most", self.saturated.most)];
        for (key, share) in shares {
            ensure!((0.0..=1.0).contains(&share), "quality.{key}: {share} is outside 0 to 1");
        }
        let least = self.out_of_focus.least;
        ensure!((0.0..=1e6).contains(&least), "quality.out_of_focus.least: {least} is outside 0 to 1000000");
        Ok(())
    }
}
