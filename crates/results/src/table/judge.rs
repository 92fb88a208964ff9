//! Verdicts on the primary lines of a table: one family over all arms and evaluation sets.

use super::line::{Judged, Line};
use super::{Family, POWER};
use crate::stats::estimate::Estimate;
use crate::stats::power::Spread;
use crate::stats::verdict::{Judgement, Rules, judge};

/// Gives a verdict to every arm that has an estimate on a primary line.
pub(super) fn judge_primaries(lines: &mut [Line], family: Family, rules: &Rules) {
    let mut judged: Vec<(&mut Line, Estimate)> = lines
        .iter_mut()
        .filter(|line| line.is_primary && !line.is_baseline())
        .filter_map(|line| {
            let estimate = line.difference.as_ref()?.over_seeds_and_groups.clone().ok()?;
            Some((line, estimate))
        })
        .collect();
    let estimates: Vec<Estimate> = judged.iter().map(|(_, estimate)| *estimate).collect();
    let judgements = judge(&estimates, family.tests(), rules);
    for ((line, estimate), judgement) in judged.iter_mut().zip(judgements) {
        if let Some(difference) = &mut line.difference
            && let Some(spread) = difference.spread
        {
            let of = Design { spread, seeds: difference.seeds, tests: family.tests().max(estimates.len()) };
            difference.judgement = Some(of.judged(estimate, judgement, rules));
        }
    }
}

/// What power depends on.
struct Design {
    spread: Spread,
    seeds: usize,
    tests: usize,
}

impl Design {
    fn judged(&self, estimate: &Estimate, judgement: Judgement, rules: &Rules) -> Judged {
        let Self { spread, seeds, tests } = self;
        Judged {
            judgement,
            seeds_needed: spread.seeds_needed(estimate.mean, *seeds, *tests, rules),
            detectable: spread.minimum_detectable(*seeds, *tests, POWER, rules),
        }
    }
}
