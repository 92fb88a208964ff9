//! Critical values for a variance that is a sum of two estimates with degrees of freedom of their own.
//!
//! Cochran & Cox weigh the two critical values by the two variances. The result is conservative. Satterthwaite's
//! degrees of freedom, the usual choice, are not: with three seeds that contribute most of the variance they reject up to half again
//! as often as they should at 5 %, and twice as often at a third of that, where Holm's correction goes.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A reference distribution for a mean whose squared error is the sum of two variances. Quantiles are Student's t,
/// averaged with the share of each variance as weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CochranT {
    /// Share of the first variance, in `[0, 1]`.
    share: f64,
    /// Degrees of freedom of both.
    df: [f64; 2],
}

impl CochranT {
    /// Student's t with `df` degrees of freedom.
    pub fn student(df: f64) -> Self {
        Self { share: 1.0, df: [df; 2] }
    }

    /// The distribution for two variances, each with its degrees of freedom, not both zero.
    pub fn of(first: (f64, f64), second: (f64, f64)) -> Self {
        let sum = first.0 + second.0;
        let share = if sum > 0.0 { first.0 / sum } else { 1.0 };
        Self { share, df: [first.1, second.1] }
    }

    /// The value that is exceeded with probability `p` in (0, 1).
    pub fn upper_quantile(&self, p: f64) -> f64 {
        // From the lower end, where small probabilities keep their digits.
        let of = |df| -student(df).inverse_cdf(p);
        match self.share {
            1.0 => of(self.df[0]),
            0.0 => of(self.df[1]),
            share => share * of(self.df[0]) + (1.0 - share) * of(self.df[1]),
        }
    }

    /// The probability above `x`: the inverse of [`Self::upper_quantile`], to nine digits.
    pub fn above(&self, x: f64) -> f64 {
        let [first, second] = self.df.map(|df| student(df).sf(x));
        if self.share == 1.0 || first == second {
            return first;
        }
        if self.share == 0.0 {
            return second;
        }
        // Regula falsi (Illinois) in the logarithm; the two tails enclose the answer.
        let gap = |log: f64| self.upper_quantile(log.exp()) - x;
        let (mut low, mut high) = (first.min(second).max(1e-300).ln(), first.max(second).ln());
        let (mut at_low, mut at_high) = (gap(low), gap(high));
        for _ in 0..60 {
            let middle = (low * at_high - high * at_low) / (at_high - at_low);
            if !middle.is_finite() || high - low < 1e-10 {
                break;
            }
            let at_middle = gap(middle);
            if at_middle.abs() < 1e-11 {
                return middle.exp();
            }
            if at_middle > 0.0 {
                (low, at_low, at_high) = (middle, at_middle, at_high / 2.0);
            } else {
                (high, at_high, at_low) = (middle, at_middle, at_low / 2.0);
            }
        }
        ((low + high) / 2.0).exp()
    }
}

/// Degrees of freedom from which a variance counts as known: Student's t is the normal distribution to four digits, and the library's
/// quantiles go wrong from some millions on.
pub(super) const MOST_DF: f64 = 1e4;

/// Student's t with `df` degrees of freedom, at least one and at most [`MOST_DF`].
fn student(df: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, df.clamp(1.0, MOST_DF)).expect("at least one degree of freedom")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_inverse_of_its_quantile() {
        for share in [0.0, 0.01, 0.3, 0.9, 1.0] {
            let t = CochranT::of((share, 2.0), (1.0 - share, 17.3));
            for p in [1e-9, 1e-4, 0.01, 0.3, 0.5, 0.8, 0.999] {
                let found = t.above(t.upper_quantile(p));
                assert!((found / p - 1.0).abs() < 1e-7, "{found} for {p} of {t:?}");
            }
        }
        // Quantile and tail of a single t agree with each other only as far as the library's search goes.
        assert_eq!(CochranT::student(3.0), CochranT::of((2.0, 3.0), (0.0, 3.0)));
    }
}
