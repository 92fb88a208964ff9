//! What simulated sweeps of one design say about the intervals and verdicts: how often the truth is inside, how often a
//! family holds a false claim.

use results::stats::estimate::{Estimate, FEWEST_SOURCES};
use results::stats::paired::Paired;
use results::stats::score::Metric;
use results::stats::verdict::{Rules, Verdict, judge};

use crate::sweep::{Components, Design, simulate};

/// Counts over simulated sweeps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Coverage {
    /// Sweeps, one family of arms each.
    pub(crate) families: u64,
    /// Arms that were compared with a reference, over all sweeps.
    pub(crate) arms: u64,
    /// Intervals over new seeds and groups that hold the true difference.
    pub(crate) seeds_and_groups: u64,
    /// Intervals over new sources that hold it, where sources differ.
    pub(crate) sources: u64,
    /// Comparisons over new sources whose p is below 0.05.
    pub(crate) sources_p: u64,
    /// Families with a verdict of better or worse in the wrong direction, or for no difference at all.
    pub(crate) false_families: u64,
    /// Arms that were called equivalent.
    pub(crate) equivalent: u64,
    /// Arms called better or worse.
    pub(crate) decided: u64,
    /// Sum of widths of the intervals over new seeds and groups.
    pub(crate) width: f64,
}

impl Coverage {
    /// Simulates `sweeps` sweeps of `design`.
    pub(crate) fn of(design: &Design, components: &Components, sweeps: u64) -> Self {
        let mut coverage = Self::default();
        for index in 0..sweeps {
            coverage.add_family(design, components, index);
            // Below three sources nothing is said about new ones.
            if design.sources >= FEWEST_SOURCES {
                coverage.add_sources(design, components, index);
            }
        }
        coverage
    }

    /// Simulates `sweeps` sweeps of `design` for the interval over new sources alone.
    pub(crate) fn of_sources(design: &Design, components: &Components, sweeps: u64) -> Self {
        let mut coverage = Self { families: sweeps, ..Self::default() };
        (0..sweeps).for_each(|index| coverage.add_sources(design, components, index));
        coverage
    }

    fn add_family(&mut self, design: &Design, components: &Components, index: u64) {
        let counts = simulate(design, components, index, false);
        let estimate = |arm: usize| {
            let paired = Paired::new(&counts, &arm.to_string(), "0", Metric::BalancedAccuracy).unwrap();
            paired.over_seeds_and_groups().unwrap()
        };
        let family: Vec<Estimate> = (1..=design.arms).map(estimate).collect();
        self.families += 1;
        let mut wrong = false;
        for (arm, estimate) in judge(&family, family.len(), &Rules::default()).iter().zip(&family) {
            let interval = estimate.interval(0.95);
            self.arms += 1;
            self.seeds_and_groups += u64::from(interval.lo <= design.effect && design.effect <= interval.hi);
            self.width += interval.hi - interval.lo;
            self.equivalent += u64::from(arm.verdict == Verdict::Equivalent);
            self.decided += u64::from(matches!(arm.verdict, Verdict::Better | Verdict::Worse));
            wrong |= arm.verdict == Verdict::Worse || (arm.verdict == Verdict::Better && design.effect == 0.0);
        }
        self.false_families += u64::from(wrong);
    }

    fn add_sources(&mut self, design: &Design, components: &Components, index: u64) {
        let design = Design { arms: 1, ..*design };
        let counts = simulate(&design, components, index, true);
        let paired = Paired::new(&counts, "1", "0", Metric::BalancedAccuracy).unwrap();
        let found = paired.over_sources().unwrap();
        let interval = found.interval(0.95);
        self.sources += u64::from(interval.lo <= design.effect && design.effect <= interval.hi);
        self.sources_p += u64::from(found.p() < 0.05);
    }

    /// Share of intervals over new seeds and groups that hold the truth, in percent.
    pub(crate) fn seeds_and_groups_percent(&self) -> f64 {
        100.0 * self.seeds_and_groups as f64 / self.arms as f64
    }

    /// Share of intervals over new sources that hold the truth, in percent.
    pub(crate) fn sources_percent(&self) -> f64 {
        100.0 * self.sources as f64 / self.families as f64
    }

    /// Share of comparisons over new sources with a p below 0.05, in percent.
    pub(crate) fn sources_p_percent(&self) -> f64 {
        100.0 * self.sources_p as f64 / self.families as f64
    }

    /// Share of families with a false claim, in percent.
    pub(crate) fn false_families_percent(&self) -> f64 {
        100.0 * self.false_families as f64 / self.families as f64
    }
}
