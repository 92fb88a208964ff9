//! A verdict for each arm of a family: better, worse, equivalent or undecided.
//!
//! A family is all arms under all primary probes and metrics of a sweep. Better and worse need a p below α after Holm's
//! correction over the family. Equivalent means that two one-sided tests at α place the difference within the region of
//! practical equivalence, that is, the 90 % interval lies inside; it wins over better and worse, since a difference known to be
//! too small to matter does not matter, whatever its sign.

use super::Interval;
use super::estimate::Estimate;
use super::holm;

/// The rules of a verdict, fixed before results are seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Half-width of the region of practical equivalence, a fraction: differences within ±`margin` do not matter.
    pub margin: f64,
    /// Error rate of the family for better and worse, and of each arm for equivalent.
    pub alpha: f64,
}

impl Default for Rules {
    /// One point, 5 %.
    fn default() -> Self {
        Self { margin: 0.01, alpha: 0.05 }
    }
}

/// What a comparison says about an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The arm scores above the reference.
    Better,
    /// The arm scores below the reference.
    Worse,
    /// Not further from the reference than the margin.
    Equivalent,
    /// The design cannot tell.
    Undecided,
}

impl Verdict {
    /// The verdict as tables print it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equivalent => "equivalent",
            Self::Undecided => "undecided",
        }
    }
}

/// A verdict with the numbers behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// The verdict on the arm.
    pub verdict: Verdict,
    /// Interval of the difference at 1 − α, without correction for the family.
    pub interval: Interval,
    /// Interval at 1 − 2 α: equivalent if it lies within the margin.
    pub equivalence_interval: Interval,
    /// p of no difference.
    pub p: f64,
    /// The same after Holm's correction over the family.
    pub p_holm: f64,
    /// p that the difference is not within the margin (TOST).
    pub equivalence_p: f64,
}

/// Judges the arms of one family that have an estimate, in the order given. The family is of `planned` comparisons: those
/// without an estimate are undecided and count with a p of 1, so that no verdict gets easier because something is missing.
pub fn judge(family: &[Estimate], planned: usize, rules: &Rules) -> Vec<Judgement> {
    let mut p: Vec<f64> = family.iter().map(Estimate::p).collect();
    p.resize(planned.max(family.len()), 1.0);
    family.iter().zip(&p).zip(holm(&p)).map(|((estimate, &p), p_holm)| judgement(estimate, p, p_holm, rules)).collect()
}

fn judgement(estimate: &Estimate, p: f64, p_holm: f64, rules: &Rules) -> Judgement {
    let equivalence_p = estimate.equivalence_p(rules.margin);
    let verdict = if equivalence_p < rules.alpha {
        Verdict::Equivalent
    } else if p_holm >= rules.alpha {
        Verdict::Undecided
    } else if estimate.mean > 0.0 {
        Verdict::Better
    } else {
        Verdict::Worse
    };
    Judgement {
        verdict,
        interval: estimate.interval(1.0 - rules.alpha),
        equivalence_interval: estimate.interval(1.0 - 2.0 * rules.alpha),
        p,
        p_holm,
        equivalence_p,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cochran::CochranT;
    use super::super::estimate::Estimand;
    use super::*;

    fn estimate(mean: f64, error: f64) -> Estimate {
        Estimate { estimand: Estimand::NewSeedsAndGroups, mean, error, t: CochranT::student(8.0) }
    }

    #[test]
    fn equivalence_wins_and_holm_counts_the_family() {
        let rules = Rules::default();
        let of =
            |family: &[Estimate]| judge(family, family.len(), &rules).iter().map(|j| j.verdict).collect::<Vec<_>>();
        use Verdict::{Better, Equivalent, Undecided, Worse};
        let clear = [estimate(0.05, 0.004), estimate(-0.05, 0.004), estimate(0.005, 0.001), estimate(0.01, 0.02)];
        assert_eq!(of(&clear), [Better, Worse, Equivalent, Undecided]);
        assert!(judge(&clear, 4, &rules)[2].p_holm < 0.05, "a small difference known to be small is equivalent");
        let close = estimate(0.03, 0.01);
        assert_eq!(of(&[close]), [Better]);
        assert_eq!(judge(&[close], 3, &rules)[0].verdict, Undecided, "two of the family have not been run");
        assert_eq!(of(&[close, estimate(0.0, 0.02), estimate(0.0, 0.02)]), [Undecided; 3]);
    }

    #[test]
    fn equivalent_is_where_the_90_percent_interval_lies_inside() {
        let rules = Rules::default();
        for tenths in 0..40 {
            let j = &judge(&[estimate(0.0005 * f64::from(tenths) - 0.01, 0.002)], 1, &rules)[0];
            let inside = j.equivalence_interval.lo > -0.01 && j.equivalence_interval.hi < 0.01;
            assert_eq!(j.verdict == Verdict::Equivalent, inside, "{j:?}");
        }
    }
}
