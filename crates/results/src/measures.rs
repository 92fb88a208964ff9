//! What can be asked for by name before anything is measured: probes, the primary comparison of an evaluation set, further
//! evaluations.
//!
//! The names are those of result rows and of sweep files. A further evaluation is one more variant of [`Evaluation`], and nothing else.

use serde::{Deserialize, Serialize};

use crate::stats::score::Metric;

/// A probe of result rows, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProbeName {
    /// Logistic regression with the published C.
    #[serde(rename = "linear")]
    Linear,
    /// The nearest neighbour.
    #[serde(rename = "1nn")]
    OneNearest,
    /// The majority of the 20 nearest neighbours.
    #[serde(rename = "20nn")]
    TwentyNearest,
    /// Logistic regression at its optimum on standardised features.
    #[serde(rename = "linear_standardised")]
    LinearStandardised,
}

impl ProbeName {
    /// All probes, the published ones first.
    pub const ALL: [Self; 4] = [Self::Linear, Self::OneNearest, Self::TwentyNearest, Self::LinearStandardised];

    /// The name in result rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::OneNearest => "1nn",
            Self::TwentyNearest => "20nn",
            Self::LinearStandardised => "linear_standardised",
        }
    }
}

/// The comparison of an evaluation set that verdicts are about, named before results are seen. All others are descriptive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primary {
    /// The probe that is compared.
    pub probe: ProbeName,
    /// The metric that is compared.
    pub metric: Metric,
}

impl Default for Primary {
    /// The linear probe on standardised features, weighted F1.
    fn default() -> Self {
        Self { probe: ProbeName::LinearStandardised, metric: Metric::WeightedF1 }
    }
}

/// What a trial is measured by only where it is asked for, since it takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evaluation {
    /// How far the probe `linear` is from the optimum of its own objective.
    Optimum,
}

impl Evaluation {
    /// All evaluations that can be asked for.
    pub const ALL: [Self; 1] = [Self::Optimum];

    /// The name in sweep files and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Optimum => "optimum",
        }
    }

    /// What it is, for `--help`.
    pub fn about(self) -> &'static str {
        match self {
            Self::Optimum => "How far the probe linear is from the optimum of its own objective",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_files_hold() {
        let written = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        for probe in ProbeName::ALL {
            assert_eq!(written(serde_json::to_value(probe).unwrap()), probe.name());
        }
        for metric in Metric::ALL {
            assert_eq!(written(serde_json::to_value(metric).unwrap()), metric.name());
        }
        for evaluation in Evaluation::ALL {
            assert_eq!(written(serde_json::to_value(evaluation).unwrap()), evaluation.name());
        }
    }
}
