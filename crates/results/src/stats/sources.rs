//! New sources: another laboratory or camera, the second estimand.
//!
//! One observation is the mean difference of a source. Sources are not independent: all were scored under the same few seeds, and
//! where each is tested by probes fitted to the others they share training images too. What they share does not show in
//! the spread between them. So the variance of their mean has a second part, the larger of two: Nadeau & Bengio's correction for
//! shared images, and the effect of the seeds that all sources have in common. The simulated coverage of their sum is above 99 %.
//!
//! The p is the larger of that of the interval and that of the exact sign-flip test, which knows nothing of seeds but cannot fall below
//! 2^(1−n) with n sources, however large the differences are.

use super::Interval;
use super::cochran::CochranT;
use super::estimate::{Estimand, Estimate, FEWEST_SEEDS, FEWEST_SOURCES, NoEstimate, estimate};
use super::paired::Paired;
use super::summary;

/// The most differences whose signs are all tried: a million combinations.
const MOST_FLIPPED: usize = 20;

/// The exact test that differences are symmetric about zero, by their mean under all combinations of signs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignFlip {
    /// The two-sided p value of no difference, over all combinations of signs.
    pub p: f64,
    /// The smallest p that these differences could give with other signs.
    pub attainable: f64,
}

/// The sign-flip test of `differences`; `None` for none, for more than 20, or where one is not finite.
///
/// Checked against SciPy's `permutation_test` with `permutation_type="samples"`.
pub fn sign_flip(differences: &[f64]) -> Option<SignFlip> {
    let n = differences.len();
    if n == 0 || n > MOST_FLIPPED || !differences.iter().all(|d| d.is_finite()) {
        return None;
    }
    let largest: f64 = differences.iter().map(|d| d.abs()).sum();
    let observed = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order differ in their last bits.
    let slack = 1e-12 * largest;
    let (mut as_far, mut farthest) = (0u32, 0u32);
    for signs in 0..1u32 << n {
        let signed = differences.iter().enumerate().map(|(i, d)| if signs >> i & 1 == 1 { -d } else { *d });
        let sum = signed.sum::<f64>().abs();
        as_far += u32::from(sum >= observed - slack);
        farthest += u32::from(sum >= largest - slack);
    }
    let share = |count: u32| f64::from(count) / f64::from(1u32 << n);
    Some(SignFlip { p: share(as_far), attainable: share(farthest) })
}

/// The corrected resampled t of `differences` from resampling with `test_over_train` test cells for each training cell:
/// their variance is `s² (1/n + test/train)`, with n − 1 degrees of freedom.
///
/// Checked against the correlated t test of baycomp.
///
/// # Errors
/// [`NoEstimate::TooFewSources`] for fewer than three differences, [`NoEstimate::NoSpread`] if they are equal.
pub fn corrected_resampled_t(differences: &[f64], test_over_train: f64) -> Result<Estimate, NoEstimate> {
    let have = differences.len();
    if have < FEWEST_SOURCES {
        return Err(NoEstimate::TooFewSources { have });
    }
    let (mean, std) = summary(differences).and_then(|s| Some((s.mean, s.std?))).expect("several differences");
    let error = std * (1.0 / have as f64 + test_over_train).sqrt();
    estimate(Estimand::NewSources, mean, error, CochranT::student((have - 1) as f64))
}

/// The difference over new sources.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverSources {
    estimate: Estimate,
    /// The exact test on the same differences, below whose p none is claimed.
    pub sign_flip: SignFlip,
}

impl OverSources {
    /// The mean difference over the sources.
    pub fn mean(&self) -> f64 {
        self.estimate.mean
    }

    /// The interval at `level`.
    pub fn interval(&self, level: f64) -> Interval {
        self.estimate.interval(level)
    }

    /// The p of no difference: that of the interval, but none below the exact test's, so that it claims neither more than the
    /// interval nor more than so few sources can show.
    pub fn p(&self) -> f64 {
        self.estimate.p().max(self.sign_flip.p)
    }
}

impl Paired {
    /// The difference over new sources. Its variance is `s² / S` over the S sources plus what they share: the larger of `s² / (S − 1)`,
    /// the correction for S sources that are each tested by a fit to all others, and the variance of the seeds' common effect.
    ///
    /// # Errors
    /// [`NoEstimate::TooFewSources`], [`NoEstimate::TooManySources`], [`NoEstimate::TooFewSeeds`], [`NoEstimate::NoSpread`].
    pub fn over_sources(&self) -> Result<OverSources, NoEstimate> {
        let differences: Vec<f64> = self.by_source().into_iter().map(|(_, difference)| difference).collect();
        let (sources, seeds) = (differences.len(), self.seeds.len());
        let of_others = 1.0 / (sources.max(2) - 1) as f64;
        let corrected = corrected_resampled_t(&differences, of_others)?;
        if seeds < FEWEST_SEEDS {
            return Err(NoEstimate::TooFewSeeds { have: seeds });
        }
        let sign_flip = sign_flip(&differences).ok_or(NoEstimate::TooManySources { have: sources })?;
        let spread = summary(&differences).and_then(|s| s.std).expect("several sources have a spread").powi(2);
        let (own, of_seeds) = (spread / sources as f64, self.common_seed_variance());
        if of_seeds <= spread * of_others {
            return Ok(OverSources { estimate: corrected, sign_flip });
        }
        let t = CochranT::of((of_seeds, (seeds - 1) as f64), (own, (sources - 1) as f64));
        let estimate = estimate(Estimand::NewSources, corrected.mean, (of_seeds + own).sqrt(), t)?;
        Ok(OverSources { estimate, sign_flip })
    }

    /// The variance of the mean over the seeds that comes from what a seed does to all sources alike: the variance between seeds less
    /// what sources that move apart explain, by the mean squares of the two-way layout, and not below zero.
    fn common_seed_variance(&self) -> f64 {
        let (by_source, seeds) = (self.by_source_and_seed(), self.seeds.len() as f64);
        let (sources, mean) = (by_source.len() as f64, self.mean());
        let mut apart = 0.0;
        for (_, of_seeds) in &by_source {
            let of_source = of_seeds.iter().sum::<f64>() / seeds;
            let deviations =
                of_seeds.iter().zip(&self.by_seed).map(|(value, of_seed)| value - of_seed - of_source + mean);
            apart += deviations.map(|deviation| deviation.powi(2)).sum::<f64>();
        }
        let apart = apart / ((seeds - 1.0) * (sources - 1.0));
        let between = summary(&self.by_seed).and_then(|s| s.std).map_or(0.0, |std| std.powi(2));
        (between - apart / sources).max(0.0) / seeds
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Stratum;
    use super::*;

    #[test]
    fn four_sources_cannot_go_below_an_eighth() {
        let all_up = sign_flip(&[0.1, 0.2, 0.3, 0.4]).unwrap();
        assert_eq!((all_up.p, all_up.attainable), (0.125, 0.125));
        let one_down = sign_flip(&[0.1, 0.2, -0.3, 0.4]).unwrap();
        assert!(one_down.p > one_down.attainable && one_down.attainable == 0.125);
        // A difference of zero has no sign to flip.
        assert_eq!(sign_flip(&[0.1, 0.2, 0.0, 0.4]).unwrap().attainable, 0.25);
        assert_eq!((sign_flip(&[]), sign_flip(&[0.1; 21])), (None, None));
    }

    #[test]
    fn few_or_equal_sources_give_a_reason() {
        assert_eq!(corrected_resampled_t(&[0.1, 0.2], 1.0), Err(NoEstimate::TooFewSources { have: 2 }));
        assert_eq!(corrected_resampled_t(&[0.1; 4], 1.0 / 3.0), Err(NoEstimate::NoSpread));
    }

    /// Differences by source and seed, each source one fold of one group.
    fn paired(by_source: &[&[f64]]) -> Paired {
        let stratum =
            |source: usize| Stratum { source: format!("{source:02}"), fold: "0".into(), groups: source..source + 1 };
        let (sources, seeds) = (by_source.len(), by_source[0].len());
        let values: Vec<f64> = (0..seeds).flat_map(|seed| by_source.iter().map(move |of| of[seed])).collect();
        Paired {
            seeds: (0..seeds as u64).collect(),
            strata: (0..sources).map(stratum).collect(),
            weights: vec![1.0 / sources as f64; sources],
            by_seed: values.chunks_exact(sources).map(|row| row.iter().sum::<f64>() / sources as f64).collect(),
            values,
            from_groups: None,
            from_folds: None,
        }
    }

    #[test]
    fn fewer_than_three_seeds_say_nothing_about_new_sources() {
        let two = paired(&[&[0.1, 0.2], &[0.2, 0.3], &[0.3, 0.5], &[0.1, 0.1]]);
        assert_eq!(two.over_sources(), Err(NoEstimate::TooFewSeeds { have: 2 }));
        assert_eq!(paired(&[&[0.1], &[0.2], &[0.3]]).over_sources(), Err(NoEstimate::TooFewSeeds { have: 1 }));
    }

    #[test]
    fn what_a_seed_does_to_all_sources_widens_the_interval_and_the_p() {
        // Sources differ by ±1 point, seeds by 3 points: all sources rise and fall together.
        let together = paired(&[&[0.06, 0.0, 0.03], &[0.08, 0.02, 0.05], &[0.06, 0.0, 0.03], &[0.08, 0.02, 0.05]]);
        let found = together.over_sources().unwrap();
        let (own, of_seeds): (f64, f64) = (4.0 / 3.0 * 1e-4 / 4.0, 9e-4 / 3.0);
        assert!((together.common_seed_variance() - of_seeds).abs() < 1e-15);
        let t = CochranT::of((of_seeds, 2.0), (own, 3.0));
        let half = t.upper_quantile(0.025) * (own + of_seeds).sqrt();
        let interval = found.interval(0.95);
        assert!((found.mean() - 0.04).abs() < 1e-15 && (interval.hi - 0.04 - half).abs() < 1e-12, "{interval:?}");
        // All sources are above zero, by which the sign flips alone would claim 1/8.
        assert_eq!(found.sign_flip.p, 0.125);
        assert!(found.p() > 0.125 && interval.lo < 0.0);
        // Where seeds move every source its own way, there is nothing in common, and the corrected resampled t stands.
        let apart = paired(&[&[0.05, 0.01, 0.03], &[0.03, 0.07, 0.05], &[0.05, 0.01, 0.03], &[0.03, 0.07, 0.05]]);
        assert_eq!(apart.common_seed_variance(), 0.0);
        let t = CochranT::student(3.0).upper_quantile(0.025);
        let error = (4.0_f64 / 3.0 * 1e-4 * (0.25 + 1.0 / 3.0)).sqrt();
        let interval = apart.over_sources().unwrap().interval(0.95);
        assert!((interval.hi - 0.04 - t * error).abs() < 1e-9, "{interval:?}");
    }
}
