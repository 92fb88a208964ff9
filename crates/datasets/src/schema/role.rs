//! The role of a dataset: whether it is one of the published training sets, and what it is used for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether the dataset is known to be among the published 18 training sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Membership {
    /// The publication says so.
    Stated,
    /// Its authors or its subject make it probable.
    Likely,
    /// A public dataset of which it is not known.
    Candidate,
    /// Images of your own, which the publication cannot have used.
    Own,
    /// Drawn by a program: no dataset of real smears.
    Synthetic,
}

/// What a dataset is for. The report on copies says which images are on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Models are trained on it.
    #[default]
    Training,
    /// Models are evaluated on it.
    Evaluation,
}

impl Role {
    /// Whether it is the default, which a description need not say.
    pub(crate) fn is_training(&self) -> bool {
        *self == Self::Training
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Evaluation => "evaluation",
        }
    }
}
