//! What a design can detect, and how many seeds would decide.
//!
//! Power is the probability that the interval of a new sweep of this spread excludes zero. Its half width varies with the variances
//! that the sweep will find, so the probability is an average over these: for a single variance that of the non-central t. In a
//! family of several tests α is divided by their number (Bonferroni), the hardest step of Holm's procedure.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use super::cochran::{CochranT, MOST_DF};
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

/// Quantiles by which the distribution of an estimated variance is stood for: more where a single one varies.
const STEPS_OF_ONE: usize = 400;
const STEPS_OF_TWO: usize = 40;

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
        let halves = self.half_widths(seeds, rules.alpha / (2 * tests.max(1)) as f64);
        let (error, _) = self.error(seeds);
        if error == 0.0 {
            return Some(0.0);
        }
        let finds = |difference: f64| power_of(difference, error, &halves) >= power;
        let mut most = error;
        while !finds(most) && most.is_finite() {
            most *= 2.0;
        }
        let mut least = 0.0;
        for _ in 0..30 {
            let middle = (least + most) / 2.0;
            if finds(middle) { most = middle } else { least = middle }
        }
        Some(most)
    }

    /// Half widths of the intervals, each tail of which holds `tail`, of equally likely sweeps of this spread.
    fn half_widths(&self, seeds: usize, tail: f64) -> Vec<f64> {
        let of_seeds = (self.per_seed / seeds as f64, seeds as f64 - 1.0);
        let of_groups = (self.floor, self.floor_df.clamp(1.0, MOST_DF));
        let certain = of_groups.0 == 0.0 || of_groups.1 >= MOST_DF || of_seeds.0 == 0.0;
        let steps = if certain { STEPS_OF_ONE } else { STEPS_OF_TWO };
        let [first, second] = [of_seeds.1, of_groups.1].map(|df| CochranT::student(df).upper_quantile(tail));
        let [of_seeds, of_groups] = [of_seeds, of_groups].map(|(variance, df)| estimates(variance, df, steps));
        let half = |a: f64, b: f64| if a + b > 0.0 { (a * first + b * second) / (a + b).sqrt() } else { 0.0 };
        of_seeds.iter().flat_map(|&a| of_groups.iter().map(move |&b| half(a, b))).collect()
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

/// Estimates of a variance that are equally likely with `df` degrees of freedom: one where it is known or zero.
fn estimates(variance: f64, df: f64, steps: usize) -> Vec<f64> {
    if variance == 0.0 || df >= MOST_DF {
        return vec![variance];
    }
    let chi = ChiSquared::new(df).expect("at least one degree of freedom");
    (0..steps).map(|step| variance * chi.inverse_cdf((step as f64 + 0.5) / steps as f64) / df).collect()
}

/// The probability that an interval of one of `halves` around an estimate of `difference` with standard error `error` excludes zero.
fn power_of(difference: f64, error: f64, halves: &[f64]) -> f64 {
    let normal = Normal::new(0.0, 1.0).expect("a standard deviation of one");
    let excludes = |half: &f64| normal.cdf((difference - half) / error) + normal.cdf((-difference - half) / error);
    halves.iter().map(excludes).sum::<f64>() / halves.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_design_detects_less_with_fewer_seeds_more_tests_and_more_spread() {
        let rules = Rules::default();
        let of = |spread: Spread, seeds, tests| spread.minimum_detectable(seeds, tests, 0.8, &rules).unwrap();
        let spread = Spread::assumed(0.01, 0.0);
        // statsmodels, TTestPower().solve_power(nobs=10, alpha=0.05, power=0.8) = 0.9960.
        assert!((of(spread, 10, 1) / 0.009960 - 1.0).abs() < 1e-3, "{}", of(spread, 10, 1));
        assert!(of(spread, 5, 1) > of(spread, 10, 1));
        assert!(of(spread, 10, 4) > of(spread, 10, 1));
        assert!(of(Spread::assumed(0.01, 0.01), 10, 1) > of(spread, 10, 1));
        assert_eq!(spread.minimum_detectable(2, 1, 0.8, &rules), None);
    }

    /// Expected values: SciPy, 400,000 quantiles of chi² and Brent's root; two parts, 4,000 × 4,000 quantiles.
    #[test]
    fn power_is_that_of_the_non_central_t_however_few_the_seeds() {
        let of = |spread: Spread, seeds, tests| {
            let rules = Rules::default();
            spread.minimum_detectable(seeds, tests, 0.8, &rules).unwrap()
        };
        let of_seeds = Spread::assumed(0.01, 0.0);
        let known = [(3, 1, 3.264044), (3, 2, 4.624820), (3, 8, 9.261228), (5, 1, 1.681997), (10, 1, 0.996001)];
        for (seeds, tests, expected) in known {
            let found = 100.0 * of(of_seeds, seeds, tests);
            assert!((found / expected - 1.0).abs() < 2e-3, "{seeds} seeds, {tests} tests: {found} for {expected}");
        }
        let two = Spread { per_seed: 1e-4, floor: 1.6e-5, floor_df: 17.0 };
        assert!((of(two, 3, 1) / 0.0334646 - 1.0).abs() < 5e-3, "{}", of(two, 3, 1));
        assert_eq!(of(Spread::assumed(0.0, 0.0), 3, 1), 0.0);
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
