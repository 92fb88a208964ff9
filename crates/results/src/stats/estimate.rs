//! An estimate with its standard error: to whom it generalises, its interval, its p, or the reason why there is none.

use super::cochran::CochranT;
use super::paired::{CaseVariance, Paired};
use super::power::Spread;
use super::{Interval, summary};

/// What an interval covers. A table never puts intervals of different estimands into one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Estimand {
    /// The mean over new seeds on these very cells.
    NewSeeds,
    /// The mean over new seeds and new groups (images, slides, patients) of these sources.
    NewSeedsAndGroups,
    /// New groups (images, slides, patients) of these sources, for these very two models.
    NewGroups,
    /// The mean over new sources.
    NewSources,
}

impl Estimand {
    /// The estimand in words, for captions.
    pub fn words(self) -> &'static str {
        match self {
            Self::NewSeeds => "new seeds, on these very cells",
            Self::NewSeedsAndGroups => "new seeds and new groups (images, patients) of these sources",
            Self::NewGroups => "new groups (images, patients) of these sources, for these two models",
            Self::NewSources => "new sources",
        }
    }

    /// What one observation is.
    pub fn unit(self) -> &'static str {
        match self {
            Self::NewSeeds => "seed",
            Self::NewSeedsAndGroups => "seed and group",
            Self::NewGroups => "group",
            Self::NewSources => "source",
        }
    }
}

/// Fewest seeds from which a spread over seeds is estimated. Two leave one degree of freedom: most of their intervals are too
/// wide to conclude anything, and some are far too narrow.
pub const FEWEST_SEEDS: usize = 3;

/// Sources below which nothing is said about new sources.
pub const FEWEST_SOURCES: usize = 3;

/// Degrees of freedom below which the variance of groups is not estimated: groups less folds, or folds less sources. With two it comes out as zero in
/// one table of seven, and 10 % of families of three arms hold a false claim where 5 % may; with three still 6 to 7 %.
pub const FEWEST_DF: usize = 4;

/// Why there is no interval and no p, and what would give one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEstimate {
    /// Too few seeds in both arms.
    #[error(
        "{have} common seed{}, and {FEWEST_SEEDS} are needed; run {} more",
        if *have == 1 { "" } else { "s" },
        FEWEST_SEEDS - have
    )]
    TooFewSeeds {
        /// The number of seeds that both arms have.
        have: usize,
    },
    /// Nothing says how much groups differ.
    #[error(
        "each source needs two folds, or each fold two groups, to say how groups differ; source {source_name:?} has one fold, \
         and a fold has one group"
    )]
    OneGroup {
        /// A source with one fold.
        source_name: String,
    },
    /// Too little says how much groups differ from one seed to the next.
    #[error(
        "too few groups to estimate how they differ: {FEWEST_DF} more groups than folds are needed (two or more in each fold), or \
         {FEWEST_DF} more folds than sources (two or more of each source); there are {groups} groups, {folds} folds, {sources} sources"
    )]
    FewGroups {
        /// The number of groups.
        groups: usize,
        /// The number of folds, those of each source counted apart.
        folds: usize,
        /// The number of sources.
        sources: usize,
    },
    /// Too few sources for an interval over new sources.
    #[error("{have} sources: an interval over new sources needs at least {FEWEST_SOURCES}")]
    TooFewSources {
        /// The number of sources that have scores.
        have: usize,
    },
    /// More sources than the exact test tries.
    #[error("{have} sources: the exact sign-flip test tries all signs of at most 20")]
    TooManySources {
        /// The number of sources that have scores.
        have: usize,
    },
    /// The differences are all equal, so their spread is unknown rather than zero.
    #[error("all differences are equal, so their spread cannot be estimated")]
    NoSpread,
}

/// A mean difference with a standard error and the distribution to judge it by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// What it generalises to.
    pub estimand: Estimand,
    /// The mean difference, arm − reference, a fraction.
    pub mean: f64,
    /// Its standard error, above zero.
    pub error: f64,
    /// What the difference is compared with, in units of the standard error.
    pub t: CochranT,
}

impl Estimate {
    /// The two-sided confidence interval at `level` (0.95 for 95 %).
    pub fn interval(&self, level: f64) -> Interval {
        let half = self.t.upper_quantile(0.5 - level / 2.0) * self.error;
        Interval { lo: self.mean - half, hi: self.mean + half }
    }

    /// The two-sided p of no difference.
    pub fn p(&self) -> f64 {
        2.0 * self.t.above((self.mean / self.error).abs())
    }

    /// The p of two one-sided tests (TOST) that the difference is not within ±`margin`: below 0.05 exactly where the
    /// 90 % interval lies inside.
    pub fn equivalence_p(&self, margin: f64) -> f64 {
        self.t.above((margin - self.mean.abs()) / self.error)
    }
}

impl Paired {
    /// The difference over new seeds on these very cells: Student's t over the seeds.
    ///
    /// # Errors
    /// [`NoEstimate::TooFewSeeds`], [`NoEstimate::NoSpread`].
    pub fn over_seeds(&self) -> Result<Estimate, NoEstimate> {
        over_seeds(&self.by_seed)
    }

    /// The difference over new seeds and new groups of these sources.
    ///
    /// The variance of the mean is `s² / R` over the R seeds plus what groups add and all seeds share (Obuchowski &
    /// Rockette's sum, with seeds as readers), judged by [`CochranT`]. A percentile bootstrap over seeds and groups was tried
    /// beside it and covers too little where seeds differ much: `make prove-statistics`.
    ///
    /// # Errors
    /// [`NoEstimate::TooFewSeeds`], [`NoEstimate::FewGroups`], [`NoEstimate::NoSpread`].
    pub fn over_seeds_and_groups(&self) -> Result<Estimate, NoEstimate> {
        let (error, t) = self.spread()?.error(self.seeds.len());
        estimate(Estimand::NewSeedsAndGroups, self.mean(), error, t)
    }

    /// What the variance of the difference is made of.
    ///
    /// # Errors
    /// [`NoEstimate::TooFewSeeds`], [`NoEstimate::FewGroups`].
    pub fn spread(&self) -> Result<Spread, NoEstimate> {
        let per_seed = self.seed_variance()?;
        let CaseVariance { shared, residual, df } = self.cases()?;
        if shared <= 0.0 {
            return Ok(Spread { per_seed, floor: 0.0, floor_df: f64::INFINITY });
        }
        // The shared part is a difference of two mean squares, each with an uncertainty of its own.
        let uncertainty = (shared + residual).powi(2) / df + residual.powi(2) / (df * (self.seeds.len() - 1) as f64);
        Ok(Spread { per_seed, floor: shared, floor_df: shared.powi(2) / uncertainty })
    }

    fn seed_variance(&self) -> Result<f64, NoEstimate> {
        variance(&self.by_seed)
    }

    /// The variance that groups add: the larger of the two estimates, of those that the design allows.
    fn cases(&self) -> Result<CaseVariance, NoEstimate> {
        let groups = self.strata.iter().map(|fold| fold.groups.len()).sum::<usize>();
        let (folds, sources) = (self.strata.len(), self.strata.chunk_by(|a, b| a.source == b.source).count());
        let of_groups = self.from_groups.filter(|_| groups >= folds + FEWEST_DF);
        let of_folds = self.from_folds.filter(|_| folds >= sources + FEWEST_DF);
        let both = [of_groups, of_folds].into_iter().flatten();
        let larger = both.max_by(|a, b| a.shared.total_cmp(&b.shared));
        larger.ok_or(NoEstimate::FewGroups { groups, folds, sources })
    }
}

/// The mean of `differences`, one for each seed, over new seeds on the very cells that they come from: Student's t.
///
/// # Errors
/// [`NoEstimate::TooFewSeeds`], [`NoEstimate::NoSpread`].
pub fn over_seeds(differences: &[f64]) -> Result<Estimate, NoEstimate> {
    let n = differences.len() as f64;
    let error = (variance(differences)? / n).sqrt();
    estimate(Estimand::NewSeeds, differences.iter().sum::<f64>() / n, error, CochranT::student(n - 1.0))
}

/// The variance of `differences`, one for each seed.
fn variance(differences: &[f64]) -> Result<f64, NoEstimate> {
    let have = differences.len();
    if have < FEWEST_SEEDS {
        return Err(NoEstimate::TooFewSeeds { have });
    }
    let std = summary(differences).and_then(|summary| summary.std);
    Ok(std.expect("several seeds have a spread").powi(2))
}

pub(super) fn estimate(estimand: Estimand, mean: f64, error: f64, t: CochranT) -> Result<Estimate, NoEstimate> {
    // Sums of equal numbers differ in their last bits.
    if error <= 1e-12 {
        return Err(NoEstimate::NoSpread);
    }
    Ok(Estimate { estimand, mean, error, t })
}

#[cfg(test)]
mod tests {
    use super::super::counts::Stratum;
    use super::*;

    fn paired(by_seed: &[f64], from_groups: Option<CaseVariance>) -> Paired {
        let stratum = Stratum { source: "a".into(), fold: "0".into(), groups: 0..5 };
        Paired {
            seeds: (0..by_seed.len() as u64).collect(),
            strata: vec![stratum],
            weights: vec![1.0],
            values: by_seed.to_vec(),
            by_seed: by_seed.to_vec(),
            from_groups,
            from_folds: None,
        }
    }

    const CASES: CaseVariance = CaseVariance { shared: 1e-4, residual: 5e-5, df: 20.0 };

    #[test]
    fn two_seeds_one_group_and_equal_differences_give_a_reason_and_no_number() {
        let two = paired(&[0.3, 0.2], Some(CASES)).over_seeds_and_groups().unwrap_err();
        assert_eq!(two, NoEstimate::TooFewSeeds { have: 2 });
        assert!(two.to_string().ends_with("run 1 more"), "{two}");
        let one_group = paired(&[0.3, 0.2, 0.1], None).over_seeds_and_groups().unwrap_err();
        assert_eq!(one_group, NoEstimate::FewGroups { groups: 5, folds: 1, sources: 1 });
        assert!(paired(&[0.3, 0.2, 0.1], None).over_seeds().is_ok());
        assert_eq!(paired(&[0.2; 4], None).over_seeds(), Err(NoEstimate::NoSpread));
        // Groups still have a spread where seeds have none.
        assert!(paired(&[0.2; 4], Some(CASES)).over_seeds_and_groups().is_ok());
    }

    #[test]
    fn variances_add_and_the_shared_part_has_degrees_of_freedom_of_its_own() {
        let estimate = paired(&[0.01, 0.03, 0.05], Some(CASES)).over_seeds_and_groups().unwrap();
        let (of_seeds, total, residual): (f64, f64, f64) = (4e-4 / 3.0, 1.5e-4, 5e-5);
        assert!((estimate.error.powi(2) - (of_seeds + 1e-4)).abs() < 1e-15);
        let floor_df = 1e-8 / (total * total / 20.0 + residual * residual / 40.0);
        let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-9, "{estimate:?}");
        close(estimate.t.upper_quantile(0.01), CochranT::of((of_seeds, 2.0), (1e-4, floor_df)).upper_quantile(0.01));
        // A negative estimate of a variance counts as none.
        let none = CaseVariance { shared: -1e-5, ..CASES };
        let estimate = paired(&[0.01, 0.03, 0.05], Some(none)).over_seeds_and_groups().unwrap();
        assert!((estimate.error.powi(2) - of_seeds).abs() < 1e-15);
        assert_eq!(estimate.t.upper_quantile(0.01), CochranT::student(2.0).upper_quantile(0.01));
    }

    /// The smallest designs: with fewer degrees of freedom the interval covers too little.
    #[test]
    fn groups_need_four_degrees_of_freedom() {
        let of = |sources: &[(&str, &[usize])]| {
            let mut strata = Vec::new();
            for (source, folds) in sources {
                for (fold, &groups) in folds.iter().enumerate() {
                    strata.push(Stratum { source: (*source).into(), fold: fold.to_string(), groups: 0..groups });
                }
            }
            let single = strata.iter().any(|stratum| stratum.groups.len() < 2);
            let from_groups = Some(CaseVariance { shared: 1e-4, ..CASES }).filter(|_| !single);
            let single = sources.iter().any(|(_, folds)| folds.len() < 2);
            let from_folds = Some(CaseVariance { shared: 4e-4, ..CASES }).filter(|_| !single);
            let design = Paired { strata, from_groups, from_folds, ..paired(&[0.01, 0.02, 0.04], None) };
            design.spread().map(|spread| spread.floor)
        };
        assert_eq!(of(&[("a", &[1, 1, 1, 1, 1])]), Ok(4e-4));
        assert_eq!(of(&[("a", &[5])]), Ok(1e-4));
        assert_eq!(of(&[("a", &[3, 3])]), Ok(1e-4), "two folds say nothing, their six groups do");
        assert_eq!(of(&[("a", &[4, 4, 4, 4, 4])]), Ok(4e-4), "the larger one counts");
        assert_eq!(of(&[("a", &[1, 1, 1]), ("b", &[1, 1, 1])]), Ok(4e-4));
        let few = |groups, folds, sources| Err(NoEstimate::FewGroups { groups, folds, sources });
        assert_eq!(of(&[("a", &[1, 1, 1, 1])]), few(4, 4, 1));
        assert_eq!(of(&[("a", &[4])]), few(4, 1, 1));
        assert_eq!(of(&[("a", &[2, 2])]), few(4, 2, 1));
        assert_eq!(of(&[("a", &[1, 1, 1]), ("b", &[1, 4])]), few(8, 5, 2));
    }
}
