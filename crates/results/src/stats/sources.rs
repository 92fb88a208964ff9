//! New sources: another laboratory or camera, the second estimand.
//!
//! One observation is the mean difference of a source. Where each source is tested by probes fitted to the others, the
//! differences share training images, so their variance is corrected (Nadeau & Bengio 2003). The p is that of the exact
//! sign-flip test, which cannot fall below 2^(1−n) with n sources, however large the differences are.

use super::Interval;
use super::cochran::CochranT;
use super::estimate::{Estimand, Estimate, FEWEST_SOURCES, NoEstimate, estimate};
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

/// The difference over new sources. It has no p of the t test, which could claim more than so few sources can show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverSources {
    estimate: Estimate,
    /// The exact test on the same differences, which gives the p value.
    pub sign_flip: SignFlip,
}

impl OverSources {
    /// The mean difference over the sources.
    pub fn mean(&self) -> f64 {
        self.estimate.mean
    }

    /// The interval of the corrected resampled t at `level`.
    pub fn interval(&self, level: f64) -> Interval {
        self.estimate.interval(level)
    }
}

impl Paired {
    /// The difference over new sources, corrected as if each of the S sources were tested by a fit to all others
    /// (`test_over_train` = 1 / (S − 1)). Where probes are fitted within each source, the interval is too wide rather
    /// than too narrow: the correction then stands for what the seeds share.
    ///
    /// # Errors
    /// [`NoEstimate::TooFewSources`], [`NoEstimate::TooManySources`], [`NoEstimate::NoSpread`].
    pub fn over_sources(&self) -> Result<OverSources, NoEstimate> {
        let differences: Vec<f64> = self.by_source().into_iter().map(|(_, difference)| difference).collect();
        let have = differences.len();
        let estimate = corrected_resampled_t(&differences, 1.0 / (have.max(2) - 1) as f64)?;
        let sign_flip = sign_flip(&differences).ok_or(NoEstimate::TooManySources { have })?;
        Ok(OverSources { estimate, sign_flip })
    }
}

#[cfg(test)]
mod tests {
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
}
