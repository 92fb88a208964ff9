//! The score of one arm by itself: mean, spread over seeds, and apart from it the spread over folds.

use super::counts::{Counts, Stratum};
use super::score::Metric;
use super::summary;

/// Mean and spread of one arm's scores, fractions. The two spreads have different units and never share a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmScore {
    /// The number of seeds that have scores.
    pub seeds: usize,
    /// Mean over folds, then sources, then seeds.
    pub mean: f64,
    /// Standard deviation (ddof 1) of the scores of the seeds; `None` for one seed.
    pub over_seeds: Option<f64>,
    /// Standard deviation of the folds within their source, averaged over seeds first; `None` if each source has one fold.
    pub over_folds: Option<f64>,
}

impl Counts {
    /// The score of `arm`; `None` for an arm without predictions.
    pub fn arm_score(&self, arm: &str, metric: Metric) -> Option<ArmScore> {
        let seeds = self.seeds(arm);
        let of_seeds: Vec<f64> = seeds.iter().filter_map(|&seed| self.score(arm, seed, metric)).collect();
        let of_seeds = summary(&of_seeds)?;
        let trials: Vec<_> = seeds.iter().filter_map(|&seed| self.trial(arm, seed)).collect();
        let (mut squares, mut df) = (0.0, 0);
        for source in self.strata().chunk_by(|a, b| a.source == b.source) {
            let mean = |stratum: &Stratum| {
                let scores = trials.iter().map(|trial| metric.of(self.stratum_sums(trial, stratum).into_iter()));
                scores.sum::<f64>() / trials.len() as f64
            };
            let folds: Vec<f64> = source.iter().map(mean).collect();
            let std = summary(&folds).and_then(|folds| folds.std).unwrap_or(0.0);
            squares += std.powi(2) * (folds.len() - 1) as f64;
            df += folds.len() - 1;
        }
        let over_folds = (df > 0).then(|| (squares / df as f64).sqrt());
        Some(ArmScore { seeds: seeds.len(), mean: of_seeds.mean, over_seeds: of_seeds.std, over_folds })
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{CountsBuilder, Place};
    use super::*;

    #[test]
    fn seeds_and_folds_spread_apart() {
        let mut builder = CountsBuilder::new(2);
        for (source, fold, right) in [("a", "0", [2, 4]), ("a", "1", [6, 8]), ("b", "0", [5, 5])] {
            let place = Place { source, fold, group: fold };
            for (seed, right) in right.into_iter().enumerate() {
                builder.add(("base", seed as u64), place, (0, 0), right).unwrap();
                builder.add(("base", seed as u64), place, (0, 1), 10 - right).unwrap();
            }
        }
        let counts = builder.build().unwrap();
        let score = counts.arm_score("base", Metric::Accuracy).unwrap();
        assert_eq!((score.seeds, score.mean), (2, 0.5));
        assert!((score.over_seeds.unwrap() - 0.1 * 0.5f64.sqrt()).abs() < 1e-15, "{score:?}");
        assert!((score.over_folds.unwrap() - 0.4 * 0.5f64.sqrt()).abs() < 1e-15, "{score:?}");
        assert_eq!(counts.arm_score("none", Metric::Accuracy), None);
    }
}
