//! When a row shows nothing or is hard to see, and what happens to it: `quality` of a description.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;

/// What happens to a row with a flaw. It is counted and listed in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlawAction {
    /// It is a row like any other, as in the published training.
    Keep,
    /// It is a row, and `report/quality-*.csv` holds its id for whoever wants to leave it out.
    Flag,
    /// It is not written.
    Drop,
}

impl FlawAction {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Flag, Self::Drop];

    /// Its name in descriptions, reports and commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Flag => "flag",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for FlawAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FlawAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|action| action.name() == text);
        found.ok_or_else(|| format!("`{text}` is not one of keep, flag, drop"))
    }
}

/// When a row has a flaw, and what happens to it then. An action that is not given is that of the build, or `keep`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QualityRule {
    /// When a row shows nothing but field.
    pub blank: Blank,
    /// When a row has too little detail.
    pub out_of_focus: OutOfFocus,
    /// When too much of a row is at the end of the camera's range.
    pub saturated: Saturated,
}

/// A row is blank if too few of its pixels stand out from the field. (Colour tells less: pale cells have as little as some fields.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Blank {
    /// What happens to such a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<FlawAction>,
    /// Levels by which the green of a pixel that stands out is away from the row's median.
    pub contrast: u8,
    /// Least share of such pixels, 0 to 1.
    pub least: f64,
}

/// A row is out of focus if its green channel has too little curvature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutOfFocus {
    /// What happens to such a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<FlawAction>,
    /// Least variance of the Laplacian (4 neighbours) of the green channel in levels.
    pub least: f64,
}

/// A row is saturated if too many of its pixels have a channel at 255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Saturated {
    /// What happens to such a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<FlawAction>,
    /// Greatest share of such pixels, 0 to 1.
    pub most: f64,
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
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// A share outside 0 to 1, a negative variance.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        let shares = [("quality.blank.least", self.blank.least), ("quality.saturated.most", self.saturated.most)];
        for (key, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(RuleError::new(key, format!("{share} is outside 0 to 1")));
            }
        }
        let least = self.out_of_focus.least;
        if !(0.0..=1e6).contains(&least) {
            return Err(RuleError::new("quality.out_of_focus.least", format!("{least} is outside 0 to 1000000")));
        }
        Ok(())
    }
}
