//! Scores of the teacher while it trains. Training decides when; the program that trains brings what scores.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;

use dino::Encoder;

/// Scores of a teacher.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProbeScores {
    /// The score by each probe, by its name.
    pub by_probe: BTreeMap<String, f64>,
    /// The one by which the best checkpoint is chosen; higher is better.
    pub decisive: Option<f64>,
}

/// Scores a teacher on a small labelled set. Only the first rank calls it, on the thread that trains; the others wait.
pub trait OnlineProbe: Debug {
    /// The scores of `teacher` as it is now.
    ///
    /// # Errors
    /// Whatever keeps it from scoring: training says so and goes on without these scores.
    fn scores(&self, teacher: &Encoder) -> Result<ProbeScores, Box<dyn Error + Send + Sync>>;
}
