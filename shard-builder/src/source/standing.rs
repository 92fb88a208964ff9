//! What a dataset is to us: on whose list it stands, and what it is for.

use serde::{Deserialize, Serialize};

/// Whether the dataset is known to be among the published 18 training sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Membership {
    /// The publication says so.
    Stated,
    /// Its authors or its subject make it probable.
    Likely,
    /// A well-known public set.
    Candidate,
    /// Drawn by a program; no dataset of anyone.
    Synthetic,
}

/// What a dataset is for. The report on copies says which images are on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Models learn on it.
    #[default]
    Training,
    /// Models are judged on it.
    Evaluation,
}

impl Role {
    /// Whether it is the default, which a description need not say.
    pub(super) fn is_training(&self) -> bool {
        *self == Self::Training
    }

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Evaluation => "evaluation",
        }
    }
}
