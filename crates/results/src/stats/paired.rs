//! The paired difference of two arms: per seed and stratum, and how much of its variance comes from where.
//!
//! Seeds are crossed with groups: every seed is tested on every group, as several readers read the same cases in a
//! multi-reader study. So the variance of the mean difference has a part from seeds, a part from groups that all seeds
//! share, and a part from both together (Obuchowski & Rockette 1995; Hillis 2007). The group part is
//! estimated twice: from the groups within each fold (a delete-one jackknife of the counts), and from the folds
//! within each source, whose spread also holds what the choice of training images adds.

use super::counts::{Counts, Stratum};
use super::score::{ClassCounts, Metric};
use crate::ResultsError;

/// A part of the variance of the mean difference that comes from groups or folds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaseVariance {
    /// What all seeds share, and what more seeds do not reduce. An unbiased estimate, so it may be negative.
    pub shared: f64,
    /// What is particular to each seed, already divided by the number of seeds.
    pub residual: f64,
    /// Degrees of freedom of the sum of both.
    pub df: f64,
}

/// The difference arm − reference over the seeds that both have. Made by [`Paired::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// The common seeds, ascending.
    pub seeds: Vec<u64>,
    /// The strata, as in the counts.
    pub strata: Vec<Stratum>,
    /// Weight of each stratum in a score.
    pub weights: Vec<f64>,
    /// Differences by `[seed, stratum]`, row-major.
    pub values: Vec<f64>,
    /// Difference of the scores of each seed: the weighted sum over its strata.
    pub by_seed: Vec<f64>,
    /// Variance from groups within folds; `None` if some fold has a single group, or with fewer than two seeds.
    pub from_groups: Option<CaseVariance>,
    /// Variance from folds within sources; `None` if some source has a single fold, or with fewer than two seeds.
    pub from_folds: Option<CaseVariance>,
}

impl Paired {
    /// The difference of `arm` and `reference` in `metric`.
    ///
    /// # Errors
    /// [`ResultsError::Empty`] if the two have no seed in common.
    pub fn new(counts: &Counts, arm: &str, reference: &str, metric: Metric) -> Result<Self, ResultsError> {
        let with_both = |seed| Some((seed, counts.trial(arm, seed)?, counts.trial(reference, seed)?));
        let pairs: Vec<_> = counts.seeds(arm).into_iter().filter_map(with_both).collect();
        if pairs.is_empty() {
            return Err(ResultsError::Empty { what: format!("a common seed of the arms {arm} and {reference}") });
        }
        let (strata, weights) = (counts.strata().to_vec(), counts.weights());
        let mut values = vec![0.0; pairs.len() * strata.len()];
        let mut groups = Crossed::default();
        for (index, stratum) in strata.iter().enumerate() {
            let n = stratum.groups.len();
            // [seed, group]: the difference in this stratum without the group.
            let mut without = Vec::with_capacity(pairs.len() * n);
            for (row, &(_, ours, theirs)) in pairs.iter().enumerate() {
                let start = without.len();
                let whole = leave_one_out(counts, ours, stratum, metric, |score| without.push(score));
                let mut place = start;
                let other = leave_one_out(counts, theirs, stratum, metric, |score| {
                    without[place] -= score;
                    place += 1;
                });
                values[row * strata.len() + index] = whole - other;
            }
            let scale = weights[index].powi(2) * (n as f64 - 1.0) / n as f64;
            groups.add(&without, pairs.len(), scale);
        }
        let score = |row: &[f64]| row.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
        let by_seed: Vec<f64> = values.chunks_exact(strata.len()).map(score).collect();
        let from_folds = folds(&values, &strata, pairs.len()).finish(pairs.len());
        let seeds = pairs.iter().map(|&(seed, ..)| seed).collect();
        Ok(Self { seeds, strata, weights, values, by_seed, from_groups: groups.finish(pairs.len()), from_folds })
    }

    /// The mean difference: over folds, then sources, then seeds.
    pub fn mean(&self) -> f64 {
        self.by_seed.iter().sum::<f64>() / self.by_seed.len() as f64
    }

    /// The names of the sources with the mean difference over their folds of each seed, in the order of the seeds.
    pub fn by_source_and_seed(&self) -> Vec<(&str, Vec<f64>)> {
        let mut first = 0;
        let of_source = |folds: &[Stratum]| {
            let places = first..first + folds.len();
            first = places.end;
            let rows = self.values.chunks_exact(self.strata.len());
            rows.map(|row| row[places.clone()].iter().sum::<f64>() / folds.len() as f64).collect()
        };
        let sources = self.strata.chunk_by(|a, b| a.source == b.source);
        let names = sources.clone().map(|folds| folds[0].source.as_str());
        names.zip(sources.map(of_source)).collect()
    }

    /// The names of the sources with their mean differences, over folds and seeds.
    pub fn by_source(&self) -> Vec<(&str, f64)> {
        let mean = |of_seeds: Vec<f64>| of_seeds.iter().sum::<f64>() / of_seeds.len() as f64;
        self.by_source_and_seed().into_iter().map(|(source, of_seeds)| (source, mean(of_seeds))).collect()
    }
}

/// Hands on the score of a stratum without each of its groups in turn; returns that of the whole stratum.
pub(super) fn leave_one_out(
    counts: &Counts,
    trial: &[ClassCounts],
    stratum: &Stratum,
    metric: Metric,
    mut score: impl FnMut(f64),
) -> f64 {
    let sums = counts.stratum_sums(trial, stratum);
    let classes = counts.classes();
    for group in trial[stratum.groups.start * classes..stratum.groups.end * classes].chunks_exact(classes) {
        score(metric.of(sums.iter().zip(group).map(|(sum, &part)| sum.without(part))));
    }
    metric.of(sums.into_iter())
}

/// Differences of each fold within its source, as one table for each source.
fn folds(values: &[f64], strata: &[Stratum], seeds: usize) -> Crossed {
    let sources: Vec<&[Stratum]> = strata.chunk_by(|a, b| a.source == b.source).collect();
    let (mut crossed, mut first) = (Crossed::default(), 0);
    for folds in &sources {
        let n = folds.len();
        let rows = values.chunks_exact(strata.len());
        let table: Vec<f64> = rows.flat_map(|row| row[first..first + n].iter().copied()).collect();
        let scale = 1.0 / (sources.len().pow(2) as f64 * n as f64 * (n as f64 - 1.0));
        crossed.add(&table, seeds, scale);
        first += n;
    }
    crossed
}

/// Sums of squares of tables in which every seed meets every case (group or fold).
#[derive(Debug, Default)]
struct Crossed {
    /// Variance of the mean over seeds.
    of_mean: f64,
    /// Sum over tables of its square by its degrees of freedom, for Satterthwaite's formula.
    squares: f64,
    /// Mean over seeds of the variance of one seed.
    of_one: f64,
    single: bool,
}

impl Crossed {
    /// Adds a table `[seed, case]`, row-major. `scale` turns a sum of squared deviations into a variance.
    fn add(&mut self, table: &[f64], seeds: usize, scale: f64) {
        let cases = table.len() / seeds;
        if cases < 2 {
            self.single = true;
            return;
        }
        let means: Vec<f64> = table.chunks_exact(cases).map(|row| row.iter().sum::<f64>() / cases as f64).collect();
        let (mut of_mean, mut of_one) = (0.0, 0.0);
        for case in 0..cases {
            let deviations = means.iter().zip(table.iter().skip(case).step_by(cases)).map(|(mean, value)| value - mean);
            let (sum, squares) = deviations.fold((0.0, 0.0), |(sum, squares), d| (sum + d, squares + d * d));
            of_mean += (sum / seeds as f64).powi(2);
            of_one += squares / seeds as f64;
        }
        let of_mean = of_mean * scale;
        self.of_mean += of_mean;
        self.squares += of_mean.powi(2) / (cases - 1) as f64;
        self.of_one += of_one * scale;
    }

    /// The estimate; `None` with a single case in some table or fewer than two seeds.
    fn finish(self, seeds: usize) -> Option<CaseVariance> {
        if self.single || seeds < 2 {
            return None;
        }
        let residual = (self.of_one - self.of_mean) / (seeds - 1) as f64;
        let df = if self.squares > 0.0 { self.of_mean.powi(2) / self.squares } else { 1.0 };
        Some(CaseVariance { shared: self.of_mean - residual, residual, df })
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::{CountsBuilder, Place};
    use super::*;

    /// Accuracy differences of 1 / 10 for each entry, by (source, fold, group), for each seed.
    fn counts(right: &[(&str, &str, &str, [u64; 2])]) -> Counts {
        let mut builder = CountsBuilder::new(2);
        for &(source, fold, group, right) in right {
            let place = Place { source, fold, group };
            for (seed, right) in right.into_iter().enumerate() {
                let seed = seed as u64;
                builder.add(("base", seed), place, (0, 1), 10).unwrap();
                builder.add(("arm", seed), place, (0, 0), right).unwrap();
                builder.add(("arm", seed), place, (0, 1), 10 - right).unwrap();
            }
        }
        builder.build().unwrap()
    }

    #[test]
    fn variances_are_those_of_the_crossed_layout_by_hand() {
        let counts = counts(&[
            ("a", "0", "p", [2, 3]),
            ("a", "0", "q", [4, 3]),
            ("a", "1", "r", [6, 8]),
            ("a", "1", "s", [8, 8]),
            ("b", "0", "p", [1, 1]),
            ("b", "0", "q", [1, 3]),
            ("b", "1", "r", [3, 3]),
            ("b", "1", "s", [3, 1]),
        ]);
        let paired = Paired::new(&counts, "arm", "base", Metric::Accuracy).unwrap();
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-15, "{found} for {expected}");
        for (found, expected) in paired.by_seed.iter().zip([0.35, 0.375]) {
            close(*found, expected);
        }
        close(paired.mean(), 0.3625);
        close(paired.by_source()[0].1, 0.525);
        // Folds: a (.3, .7), (.3, .8); b (.1, .3), (.2, .2). Variance of a source's mean of two folds: d² / 4, by S² = 4.
        let folds = paired.from_folds.unwrap();
        let of_mean = (0.45f64.powi(2) + 0.1f64.powi(2)) / 16.0;
        let of_one = (0.4f64.powi(2) + 0.5f64.powi(2) + 0.2f64.powi(2)) / 32.0;
        close(folds.residual, of_one - of_mean);
        close(folds.shared, 2.0 * of_mean - of_one);
        // Groups: half of each difference, by 4 for the two folds.
        let groups = paired.from_groups.unwrap();
        let mean = [0.1, 0.1, 0.1, -0.1].map(|d: f64| d * d).iter().sum::<f64>() / 64.0;
        let one = [0.2, 0.0, 0.2, 0.0, 0.0, 0.2, 0.0, -0.2].map(|d: f64| d * d).iter().sum::<f64>() / 128.0;
        close(groups.residual, one - mean);
        close(groups.shared, 2.0 * mean - one);
    }

    #[test]
    fn one_group_a_fold_leaves_the_folds_and_one_fold_leaves_the_groups() {
        let folds = counts(&[("a", "0", "p", [2, 3]), ("a", "1", "q", [4, 3])]);
        let paired = Paired::new(&folds, "arm", "base", Metric::Accuracy).unwrap();
        assert!(paired.from_groups.is_none() && paired.from_folds.is_some());
        let groups = counts(&[("a", "0", "p", [2, 3]), ("a", "0", "q", [4, 3])]);
        let paired = Paired::new(&groups, "arm", "base", Metric::Accuracy).unwrap();
        assert!(paired.from_groups.is_some() && paired.from_folds.is_none());
        assert!(Paired::new(&groups, "arm", "none", Metric::Accuracy).is_err());
    }
}
