//! The statistics of the tables: means, Wilcoxon's signed ranks, Holm's correction, the group bootstrap.
//!
//! Everything is a pure function of its arguments; the bootstrap draws from a keyed stream, so a table made twice is
//! the same table. Checked against SciPy and statsmodels in `tests/golden/stats.json`.
//!
//! What follows from predictions counted per group is below: the counts ([`counts`], [`score`], [`arm`]), paired
//! differences and the parts of their variance ([`paired`]), estimates with interval and p ([`estimate`], [`sources`]), verdicts and power
//! ([`verdict`], [`power`], planned by measured [`components`]). Their coverage is simulated by `make prove-statistics`.

pub mod arm;
pub mod cochran;
pub mod components;
pub mod counts;
pub mod estimate;
#[cfg(test)]
mod golden;
pub mod groups;
pub mod paired;
pub mod power;
pub mod score;
pub mod sources;
pub mod verdict;

use run_spec::seed::stream;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::ResultsError;

/// Number, mean and sample standard deviation (ddof 1) of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The number of values.
    pub n: usize,
    /// The mean of the values.
    pub mean: f64,
    /// Their standard deviation with n - 1 in the denominator; `None` for a single value.
    pub std: Option<f64>,
}

/// A closed interval `[lo, hi]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end of the interval.
    pub lo: f64,
    /// The upper end of the interval.
    pub hi: f64,
}

/// Mean and spread of `values`; `None` when there are none.
pub fn summary(values: &[f64]) -> Option<Summary> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    // The mean of equal numbers may differ from them in its last bit.
    if values.iter().all(|value| *value == values[0]) {
        return Some(Summary { n, mean: values[0], std: (n > 1).then_some(0.0) });
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    Some(Summary { n, mean, std: (n > 1).then(|| (squares / (n - 1) as f64).sqrt()) })
}

/// Wilcoxon's signed-rank test: the two-sided p value that `differences` are symmetric about zero.
///
/// Zero differences are dropped. Without ties and up to 50 differences the distribution is counted exactly; otherwise
/// the normal approximation with the tie correction is used (SciPy's `method="auto"`). `None` if no difference is left.
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    let mut left: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    left.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = left.len();
    if n == 0 {
        return None;
    }
    let (mut plus, mut ties, mut start) = (0.0, 0.0, 0);
    while start < n {
        let same = left[start..].iter().take_while(|d| d.abs() == left[start].abs()).count();
        // Ranks start+1 ..= start+same share their mean.
        let rank = start as f64 + (same as f64 + 1.0) / 2.0;
        plus += rank * left[start..start + same].iter().filter(|d| **d > 0.0).count() as f64;
        ties += (same.pow(3) - same) as f64;
        start += same;
    }
    let total = (n * (n + 1)) as f64 / 2.0;
    let smaller = plus.min(total - plus);
    if ties == 0.0 && n == differences.len() && n <= 50 {
        return Some(signed_rank_p(n, smaller as usize));
    }
    let variance = (n * (n + 1) * (2 * n + 1)) as f64 / 24.0 - ties / 48.0;
    let z = (smaller - total / 2.0) / variance.sqrt();
    let normal = Normal::new(0.0, 1.0).expect("a standard deviation of one");
    Some((2.0 * normal.cdf(z)).min(1.0))
}

/// Twice the probability that `n` random signs give a rank sum of at most `sum`.
fn signed_rank_p(n: usize, sum: usize) -> f64 {
    let total = n * (n + 1) / 2;
    let mut ways = vec![0.0; total + 1];
    ways[0] = 1.0;
    for rank in 1..=n {
        for s in (rank..=total).rev() {
            ways[s] += ways[s - rank];
        }
    }
    let below: f64 = ways[..=sum].iter().sum();
    (2.0 * below / 2f64.powi(n as i32)).min(1.0)
}

/// Holm's step-down adjusted p values, in the order of `p`: the family-wise error rate of rejecting where the result
/// is below α is at most α, whatever the dependence between the tests.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut floor = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        floor = floor.max((p[i] * (p.len() - rank) as f64).min(1.0));
        adjusted[i] = floor;
    }
    adjusted
}

/// The `q` quantile of `values` by linear interpolation between order statistics (NumPy's default).
///
/// `None` for no values. `values` need not be sorted.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let position = q.clamp(0.0, 1.0) * last as f64;
    let (low, share) = (position.floor() as usize, position.fract());
    let high = (low + 1).min(last);
    Some(sorted[low] + share * (sorted[high] - sorted[low]))
}

/// The percentile bootstrap over groups: how far a score moves when other groups had been sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Number of resamples; 2000 keep the ends of a 95 % interval steady to about a twentieth of its width.
    pub resamples: usize,
    /// Confidence level, 0.95 for 95 %.
    pub level: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 2000, level: 0.95, seed: 0 }
    }
}

impl Bootstrap {
    /// The interval of `statistic` under resampling of whole groups within strata.
    ///
    /// `groups_per_stratum[s]` groups belong to stratum `s` (a fold, say); each stratum keeps its number of groups.
    /// `statistic` gets how often each group was drawn, strata one after the other. Two statistics computed by calls
    /// with the same options and strata see the same draws, so their difference is paired.
    ///
    /// # Errors
    /// [`ResultsError::Option`] for no resamples or a level outside (0, 1), [`ResultsError::Empty`] for a stratum
    /// without groups, [`ResultsError::OneGroup`] for one with a single group, [`ResultsError::NotFinite`] if the statistic is
    /// not finite.
    pub fn interval(
        &self,
        groups_per_stratum: &[usize],
        mut statistic: impl FnMut(&[u32]) -> f64,
    ) -> Result<Interval, ResultsError> {
        if self.resamples == 0 {
            let value = self.resamples.to_string();
            return Err(ResultsError::Option { option: "resamples", value, range: "at least 1" });
        }
        verify_level(self.level)?;
        if let Some(stratum) = groups_per_stratum.iter().position(|&n| n == 0) {
            return Err(ResultsError::Empty { what: format!("stratum {stratum} of the bootstrap") });
        }
        if let Some(stratum) = groups_per_stratum.iter().position(|&n| n == 1) {
            return Err(ResultsError::OneGroup { stratum });
        }
        let mut drawn = vec![0u32; groups_per_stratum.iter().sum()];
        let mut values = Vec::with_capacity(self.resamples);
        for resample in 0..self.resamples {
            drawn.fill(0);
            let mut draws = stream(self.seed, "results/bootstrap", &[resample as u64]);
            let mut first = 0;
            for &groups in groups_per_stratum {
                for _ in 0..groups {
                    drawn[first + draws.below(groups as u64) as usize] += 1;
                }
                first += groups;
            }
            let value = statistic(&drawn);
            if !value.is_finite() {
                return Err(ResultsError::NotFinite { subject: format!("resample {resample}"), value });
            }
            values.push(value);
        }
        let tail = (1.0 - self.level) / 2.0;
        let end = |q| quantile(&values, q).expect("at least one resample");
        Ok(Interval { lo: end(tail), hi: end(1.0 - tail) })
    }
}

/// Refuses a confidence level outside (0, 1).
pub(crate) fn verify_level(level: f64) -> Result<(), ResultsError> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(ResultsError::Option { option: "level", value: level.to_string(), range: "between 0 and 1, such as 0.95" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/stats.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn list(value: &serde_json::Value) -> Vec<f64> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
        let scale = expected.abs().max(1e-300);
        assert!((found - expected).abs() <= tolerance * scale.max(1e-6), "{what}: {found} for {expected}");
    }

    #[test]
    fn t_quantiles_agree_with_scipy() {
        for case in golden()["t_quantiles"].as_array().unwrap() {
            let (p, df) = (case["p"].as_f64().unwrap(), case["df"].as_f64().unwrap());
            let found = cochran::CochranT::student(df).upper_quantile(1.0 - p);
            assert_close(found, case["t"].as_f64().unwrap(), 1e-9, &format!("t({p}, {df})"));
        }
    }

    #[test]
    fn paired_tests_agree_with_scipy() {
        let golden = golden();
        let cases = golden["paired"].as_array().unwrap();
        assert!(cases.len() >= 5);
        for case in cases {
            let differences = list(&case["differences"]);
            let what = format!("{} differences", differences.len());
            let s = summary(&differences).unwrap();
            assert_close(s.mean, case["mean"].as_f64().unwrap(), 1e-13, &what);
            assert_close(s.std.unwrap(), case["std"].as_f64().unwrap(), 1e-13, &what);
            if differences.len() >= estimate::FEWEST_SEEDS {
                let t = estimate::over_seeds(&differences).unwrap();
                let interval = t.interval(0.95);
                assert_close(interval.lo, case["lo"].as_f64().unwrap(), 1e-9, &what);
                assert_close(interval.hi, case["hi"].as_f64().unwrap(), 1e-9, &what);
                assert_close(t.p(), case["p"].as_f64().unwrap(), 1e-9, &what);
            }
            let wilcoxon = wilcoxon(&differences).unwrap();
            assert_close(wilcoxon, case["wilcoxon_p"].as_f64().unwrap(), 1e-9, &format!("wilcoxon of {what}"));
        }
    }

    #[test]
    fn equal_values_have_a_spread_of_exactly_zero() {
        let value = 0.1 + 0.2;
        assert_eq!(summary(&[value; 3]), Some(Summary { n: 3, mean: value, std: Some(0.0) }));
    }

    #[test]
    fn holm_agrees_with_statsmodels() {
        for case in golden()["holm"].as_array().unwrap() {
            for (found, expected) in holm(&list(&case["p"])).iter().zip(list(&case["adjusted"])) {
                assert_close(*found, expected, 1e-13, "holm");
            }
        }
    }

    #[test]
    fn quantiles_agree_with_numpy() {
        for case in golden()["quantiles"].as_array().unwrap() {
            let values = list(&case["values"]);
            for (q, expected) in list(&case["q"]).into_iter().zip(list(&case["quantiles"])) {
                assert_close(quantile(&values, q).unwrap(), expected, 1e-13, &format!("quantile {q}"));
            }
        }
    }

    #[test]
    fn the_bootstrap_of_a_mean_is_as_wide_as_theory_says() {
        let mut draws = stream(1, "test", &[]);
        let values: Vec<f64> = (0..400).map(|_| draws.normal()).collect();
        let s = summary(&values).unwrap();
        let options = Bootstrap { resamples: 4000, ..Bootstrap::default() };
        let mean = |drawn: &[u32]| values.iter().zip(drawn).map(|(v, &d)| v * f64::from(d)).sum::<f64>() / 400.0;
        let found = options.interval(&[400], mean).unwrap();
        let half = 1.96 * s.std.unwrap() / 20.0;
        assert!((found.lo - (s.mean - half)).abs() < 0.08 * half, "{found:?} beside {s:?} ± {half}");
        assert!((found.hi - (s.mean + half)).abs() < 0.08 * half, "{found:?} beside {s:?} ± {half}");
        assert_eq!(found, options.interval(&[400], mean).unwrap());
    }

    #[test]
    fn strata_keep_their_number_of_groups() {
        let whole = |drawn: &[u32]| {
            assert_eq!(drawn[..3].iter().sum::<u32>(), 3);
            assert_eq!(drawn[3..].iter().sum::<u32>(), 5);
            1.0
        };
        Bootstrap { resamples: 50, ..Bootstrap::default() }.interval(&[3, 5], whole).unwrap();
        assert!(Bootstrap::default().interval(&[3, 0], |_| 1.0).is_err());
        let one = Bootstrap::default().interval(&[3, 1], |_| 1.0);
        assert!(matches!(one, Err(ResultsError::OneGroup { stratum: 1 })), "{one:?}");
        assert!(Bootstrap { level: 95.0, ..Bootstrap::default() }.interval(&[3], |_| 1.0).is_err());
    }
}
