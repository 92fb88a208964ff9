//! The difference of two single trials over new groups.
//!
//! Two models are two fixed things: nothing is said about other seeds, which is what [`super::paired`] is for. The variance is
//! estimated as there, twice: from the groups within each fold (a delete-one jackknife of the counts), and from the folds
//! within each source; the larger one counts.

use super::cochran::CochranT;
use super::counts::Counts;
use super::estimate::{Estimand, Estimate, NoEstimate, estimate};
use super::paired::leave_one_out;
use super::score::Metric;

/// The difference of the trials `first` − `second` (arm and seed) in `metric`, over new groups of these sources.
///
/// # Errors
/// [`NoEstimate::OneGroup`], [`NoEstimate::NoSpread`], also for a trial that `counts` does not hold.
pub fn over_groups(
    counts: &Counts,
    first: (&str, u64),
    second: (&str, u64),
    metric: Metric,
) -> Result<Estimate, NoEstimate> {
    let trial = |(arm, seed)| counts.trial(arm, seed).ok_or(NoEstimate::NoSpread);
    let (first, second) = (trial(first)?, trial(second)?);
    let (mut groups, mut by_fold) = (Variance::default(), Vec::new());
    for (stratum, weight) in counts.strata().iter().zip(counts.weights()) {
        let mut without = Vec::with_capacity(stratum.groups.len());
        let ours = leave_one_out(counts, first, stratum, metric, |score| without.push(score));
        let mut place = without.iter_mut();
        let theirs = leave_one_out(counts, second, stratum, metric, |score| {
            place.next().into_iter().for_each(|value| *value -= score);
        });
        by_fold.push((stratum.source.as_str(), weight, ours - theirs));
        let n = without.len() as f64;
        groups.add(&without, weight.powi(2) * (n - 1.0) / n);
    }
    let mut folds = Variance::default();
    for of_source in by_fold.chunk_by(|a, b| a.0 == b.0) {
        let values: Vec<f64> = of_source.iter().map(|(_, _, difference)| *difference).collect();
        let (n, weight) = (values.len() as f64, of_source[0].1);
        // Each fold has the same weight: that of the source is n times as large.
        folds.add(&values, weight.powi(2) * n / (n - 1.0));
    }
    let mean = by_fold.iter().map(|(_, weight, difference)| weight * difference).sum();
    let found = [groups, folds].into_iter().filter(|variance| !variance.has_single);
    let larger = found.max_by(|a, b| a.sum.total_cmp(&b.sum)).ok_or_else(|| {
        let single =
            by_fold.chunk_by(|a, b| a.0 == b.0).find(|folds| folds.len() == 1).map(|folds| folds[0].0.to_owned());
        NoEstimate::OneGroup { source_name: single.unwrap_or_default() }
    })?;
    estimate(Estimand::NewGroups, mean, larger.sum.sqrt(), CochranT::student(larger.df()))
}

/// A variance that is a sum over parts, with Satterthwaite's degrees of freedom.
#[derive(Debug, Default)]
struct Variance {
    sum: f64,
    /// Sum over parts of the square by its degrees of freedom.
    squares: f64,
    /// Whether a part has a single value, which says nothing.
    has_single: bool,
}

impl Variance {
    /// Adds the squared deviations of `values`, times `scale`.
    fn add(&mut self, values: &[f64], scale: f64) {
        let n = values.len() as f64;
        if values.len() < 2 {
            self.has_single = true;
            return;
        }
        let middle = values.iter().sum::<f64>() / n;
        let part = scale * values.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
        self.sum += part;
        self.squares += part.powi(2) / (n - 1.0);
    }

    fn df(&self) -> f64 {
        if self.squares > 0.0 { self.sum.powi(2) / self.squares } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{CountsBuilder, Place};
    use super::*;

    /// Of ten cells of each group, so many are right under either trial.
    fn counts(groups: &[(&str, &str, [u64; 2])]) -> Counts {
        let mut builder = CountsBuilder::new(2);
        for &(fold, group, right) in groups {
            let place = Place { source: "s", fold, group };
            for (arm, right) in ["a", "b"].into_iter().zip(right) {
                builder.add((arm, 0), place, (0, 0), right).unwrap();
                builder.add((arm, 0), place, (0, 1), 10 - right).unwrap();
            }
        }
        builder.build().unwrap()
    }

    #[test]
    fn groups_of_equal_size_give_the_standard_error_of_their_mean() {
        // Differences of accuracy by group: 0.1, 0.3, 0.2 in one fold.
        let counts = counts(&[("0", "p", [6, 5]), ("0", "q", [8, 5]), ("0", "r", [9, 7])]);
        let found = over_groups(&counts, ("a", 0), ("b", 0), Metric::Accuracy).unwrap();
        assert!((found.mean - 0.2).abs() < 1e-12);
        // Standard deviation 0.1 by the root of three; Student's t with two degrees of freedom.
        assert!((found.error - 0.1 / 3f64.sqrt()).abs() < 1e-12, "{found:?}");
        let interval = found.interval(0.95);
        assert!((interval.hi - 0.2 - 4.302_652_73 * found.error).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn folds_of_one_group_each_say_how_groups_differ() {
        // The same differences, each group a fold of its own.
        let counts = counts(&[("0", "p", [6, 5]), ("1", "q", [8, 5]), ("2", "r", [9, 7])]);
        let found = over_groups(&counts, ("a", 0), ("b", 0), Metric::Accuracy).unwrap();
        assert!((found.mean - 0.2).abs() < 1e-12 && (found.error - 0.1 / 3f64.sqrt()).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn one_group_or_no_difference_gives_no_interval() {
        let single = counts(&[("0", "p", [6, 5])]);
        let error = over_groups(&single, ("a", 0), ("b", 0), Metric::Accuracy).unwrap_err();
        assert_eq!(error, NoEstimate::OneGroup { source_name: "s".into() });
        let same = counts(&[("0", "p", [6, 5]), ("0", "q", [8, 5])]);
        assert!(matches!(over_groups(&same, ("a", 0), ("a", 0), Metric::Accuracy), Err(NoEstimate::NoSpread)));
    }
}
