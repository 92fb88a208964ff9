//! What a design can detect, and how many seeds would decide.
//!
//! Power is that of the t test with the spread taken as known: `(t(α/2) + t(1 − power)) × standard error` with upper quantiles, the usual
//! approximation to the non-central t. In a family of several tests α is divided by their number (Bonferroni), the
//! hardest step of Holm's procedure.

use super::cochran::CochranT;
use super::estimate::FEWEST_SEEDS;
use super::verdict::Rules;

/// The variance of a mean difference as a function of the number of seeds, all in squared fractions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Variance of the difference from one seed to the next.
    pub per_seed: f64,
    /// Variance of the mean that more seeds do not reduce: it comes from the groups.
    pub floor: f64,
    /// Degrees of freedom of `floor`; infinite where it is assumed or zero.
    pub floor_df: f64,
}

/// Seeds that would settle a comparison if mean and spread stayed as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedsNeeded {
    /// No further seed is needed: the comparison is settled.
    None,
    /// This many beyond those run.
    More(usize),
    /// More than [`MOST_SEEDS`], or no number at all: the groups limit what can be seen, or the difference is too near
    /// to zero or to the margin.
    OutOfReach,
}

/// The largest number of seeds that [`Spread::seeds_needed`] considers.
pub const MOST_SEEDS: usize = 200;

impl Spread {
    /// An assumed spread, for planning: standard deviation of the difference over seeds, and standard error that stays
    /// however many seeds are run, both as fractions.
    pub fn assumed(over_seeds: f64, from_groups: f64) -> Self {
        Self { per_seed: over_seeds.powi(2), floor: from_groups.powi(2), floor_df: f64::INFINITY }
    }

    /// Standard error of the mean over `seeds` seeds, and the distribution to judge it by.
    pub fn error(&self, seeds: usize) -> (f64, CochranT) {
        let of_seeds = self.per_seed / seeds as f64;
        let t = CochranT::of((of_seeds, seeds as f64 - 1.0), (self.floor, self.floor_df));
        ((of_seeds + self.floor).sqrt(), t)
    }

    /// The smallest true difference that `seeds` seeds find with probability `power` (0.8, say) in a family of `tests`
    /// comparisons, a fraction; `None` for fewer than [`FEWEST_SEEDS`] seeds.
    pub fn minimum_detectable(&self, seeds: usize, tests: usize, power: f64, rules: &Rules) -> Option<f64> {
        if seeds < FEWEST_SEEDS {
            return None;
        }
        let (error, t) = self.error(seeds);
        let threshold = t.upper_quantile(rules.alpha / (2 * tests.max(1)) as f64);
        Some((threshold + t.upper_quantile(1.0 - power)) * error)
    }

    /// How many seeds beyond `seeds` would make `mean` better, worse or equivalent in a family of `tests` comparisons,
    /// if mean and spread stayed as they are.
    pub fn seeds_needed(&self, mean: f64, seeds: usize, tests: usize, rules: &Rules) -> SeedsNeeded {
        let decides = |seeds: &usize| {
            let (error, t) = self.error(*seeds);
            let differs = t.upper_quantile(rules.alpha / (2 * tests.max(1)) as f64) * error < mean.abs();
            differs || mean.abs() + t.upper_quantile(rules.alpha) * error < rules.margin
        };
        match (seeds.max(FEWEST_SEEDS)..=MOST_SEEDS).find(decides) {
            Some(enough) if enough == seeds => SeedsNeeded::None,
            Some(enough) => SeedsNeeded::More(enough - seeds),
            None => SeedsNeeded::OutOfReach,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_design_detects_less_with_fewer_seeds_more_tests_and_more_spread() {
        let rules = Rules::default();
        let of = |spread: Spread, seeds, tests| spread.minimum_detectable(seeds, tests, 0.8, &rules).unwrap();
        let spread = Spread::assumed(0.01, 0.0);
        // statsmodels, TTestPower().solve_power(nobs=10, alpha=0.05, power=0.8) = 0.9960: the approximation is near it.
        assert!((of(spread, 10, 1) / 0.009960 - 1.0).abs() < 0.02, "{}", of(spread, 10, 1));
        assert!(of(spread, 5, 1) > of(spread, 10, 1));
        assert!(of(spread, 10, 4) > of(spread, 10, 1));
        assert!(of(Spread::assumed(0.01, 0.01), 10, 1) > of(spread, 10, 1));
        assert_eq!(spread.minimum_detectable(2, 1, 0.8, &rules), None);
    }

    #[test]
    fn seeds_decide_until_groups_are_the_limit() {
        let rules = Rules::default();
        let spread = Spread::assumed(0.02, 0.0);
        assert_eq!(spread.seeds_needed(0.2, 5, 1, &rules), SeedsNeeded::None);
        let SeedsNeeded::More(more) = spread.seeds_needed(0.015, 5, 1, &rules) else { panic!("more seeds help") };
        let (error, t) = spread.error(5 + more);
        assert!(t.upper_quantile(0.025) * error < 0.015);
        let (error, t) = spread.error(4 + more);
        assert!(t.upper_quantile(0.025) * error >= 0.015);
        assert_eq!(spread.seeds_needed(0.0, 2, 1, &rules), spread.seeds_needed(0.0, 3, 1, &rules).plus(1));
        assert_eq!(Spread::assumed(0.02, 0.02).seeds_needed(0.015, 5, 1, &rules), SeedsNeeded::OutOfReach);
    }

    impl SeedsNeeded {
        fn plus(self, n: usize) -> Self {
            if let Self::More(more) = self { Self::More(more + n) } else { self }
        }
    }
}
