//! What a page says of what was run.

use serde::{Deserialize, Serialize};

/// What was run. A fact is a name and a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Facts of the whole sweep.
    pub facts: Vec<(String, String)>,
    /// The arms.
    pub arms: Vec<RunOfArm>,
    /// Trials without scores.
    pub unscored: Vec<Unscored>,
    /// Facts of evaluation sets and the like.
    pub cards: Vec<Card>,
}

/// One arm as it was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOfArm {
    /// The arm as the sweep file names it.
    pub name: String,
    /// What sets it apart from the reference.
    pub changes: String,
    /// Short digest of the trial.
    pub trial: String,
    /// Short digest of the training set.
    pub shards: String,
    /// Device hours of its scored trials.
    pub hours: Option<f64>,
    /// Energy of its scored trials, kilowatt hours, where something measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kwh: Option<f64>,
}

/// A trial without scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unscored {
    /// Its arm.
    pub arm: String,
    /// Its seed, as text: JavaScript's numbers do not hold all of them.
    pub seed: String,
    /// Its state in words.
    pub state: String,
    /// Why.
    pub reason: String,
    /// Short digest of the trial.
    pub trial: String,
}

/// Facts under a heading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The heading.
    pub title: String,
    /// The facts.
    pub facts: Vec<(String, String)>,
    /// Facts of several things, such as the sources of a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<CardTable>,
}

/// A table of texts and whole numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardTable {
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<CardCell>>,
}

/// A cell of a [`CardTable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CardCell {
    /// A number.
    Count(u64),
    /// A text.
    Text(String),
}
