//! How fast each rank is, and which one the others wait for. Ranks take their steps together, so the slow one is not the one
//! whose steps take long, but the one that waits least for others.

use std::time::{Duration, Instant};

use collective::sum_numbers;
use run_folder::RankTimes;
use run_spec::ids::Rank;

use crate::Ranks;
use crate::ranks::RanksError;

/// Up to so many ranks a line has the times of each.
const LISTED: usize = 64;
/// Numbers that each rank gives: median and 99th percentile of three times, and the median of its own work.
const NUMBERS: usize = 7;

/// What one step took, in seconds.
#[derive(Debug, Clone, Copy)]
struct StepTimes {
    step: f64,
    data_wait: f64,
    collective_wait: f64,
}

/// The times of this rank's steps since the last report.
#[derive(Debug)]
pub(crate) struct Pace {
    hosts: Vec<String>,
    steps: Vec<StepTimes>,
    since: Instant,
    waited: Duration,
    /// Seconds of all steps of this attempt.
    total_s: f64,
}

impl Pace {
    /// Begins to count the steps of a rank on `host`. All ranks call it.
    pub(crate) fn begin(ranks: &Ranks, host: String) -> Result<Self, RanksError> {
        let hosts = if ranks.world() > 1 { ranks.gather(&host)? } else { Vec::new() };
        let mut pace = Self { hosts, steps: Vec::new(), since: Instant::now(), waited: Duration::ZERO, total_s: 0.0 };
        pace.skip(ranks);
        Ok(pace)
    }

    /// Leaves out the time since the last step, which was spent on something else.
    pub(crate) fn skip(&mut self, ranks: &Ranks) {
        (self.since, self.waited) = (Instant::now(), ranks.waited());
    }

    /// Counts a step that has ended, for whose batch `data_wait` seconds were waited.
    pub(crate) fn count(&mut self, ranks: &Ranks, data_wait: f64) {
        let (step, waited) = (self.since.elapsed().as_secs_f64(), ranks.waited());
        let collective_wait = waited.saturating_sub(self.waited).as_secs_f64();
        self.steps.push(StepTimes { step, data_wait, collective_wait });
        self.total_s += step;
        self.skip(ranks);
    }

    /// Seconds of all steps of this attempt.
    pub(crate) fn total_s(&self) -> f64 {
        self.total_s
    }

    /// The times of all ranks since the last report; none for a rank alone. All ranks call it.
    pub(crate) fn report(&mut self, ranks: &Ranks) -> Result<Option<RankTimes>, RanksError> {
        let steps = std::mem::take(&mut self.steps);
        if ranks.world() == 1 {
            return Ok(None);
        }
        let mut all = vec![0.0; ranks.world() * NUMBERS];
        all[ranks.rank() * NUMBERS..][..NUMBERS].copy_from_slice(&numbers(&steps));
        let all = sum_numbers(ranks.peers(), &all)?;
        Ok(Some(times(&all, &self.hosts)))
    }
}

fn numbers(steps: &[StepTimes]) -> [f64; NUMBERS] {
    let of = |time: fn(&StepTimes) -> f64| -> [f64; 2] {
        let mut sorted: Vec<f64> = steps.iter().map(time).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        [0.5, 0.99].map(|share| quantile(&sorted, share))
    };
    let [step, step_99] = of(|times| times.step);
    let [data, data_99] = of(|times| times.data_wait);
    let [wait, wait_99] = of(|times| times.collective_wait);
    let [busy, _] = of(|times| (times.step - times.collective_wait).max(0.0));
    [step, step_99, data, data_99, wait, wait_99, busy]
}

/// The smallest of the numbers that a share of `share` do not exceed; 0 for no numbers.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// The report from the numbers of all ranks.
fn times(all: &[f64], hosts: &[String]) -> RankTimes {
    let ranks: Vec<&[f64]> = all.chunks_exact(NUMBERS).collect();
    let busy = |rank: usize| ranks[rank][NUMBERS - 1];
    let mut by_work: Vec<usize> = (0..ranks.len()).collect();
    by_work.sort_by(|a, b| busy(*a).total_cmp(&busy(*b)));
    let slowest = by_work.last().copied().unwrap_or_default();
    let median = by_work.get((by_work.len().max(1) - 1) / 2).copied().unwrap_or_default();
    let listed = |at: usize| match ranks.len() {
        0..=LISTED => ranks.iter().map(|numbers| [short(numbers[at]), short(numbers[at + 1])]).collect(),
        _ => Vec::new(),
    };
    RankTimes {
        slowest: Rank::new(slowest as u32),
        host: hosts.get(slowest).cloned().unwrap_or_default(),
        busy_s: short(busy(slowest)),
        median_busy_s: short(busy(median)),
        step_s: listed(0),
        data_wait_s: listed(2),
        collective_wait_s: listed(4),
    }
}

/// To a hundredth of a millisecond.
fn short(seconds: f64) -> f64 {
    (seconds * 1e5).round() / 1e5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_rank(step: f64, waits: f64) -> Vec<f64> {
        let steps: Vec<_> = (0..100)
            .map(|i| StepTimes { step: step + f64::from(i) * 1e-4, data_wait: 0.0, collective_wait: waits })
            .collect();
        numbers(&steps).to_vec()
    }

    #[test]
    fn the_rank_that_the_others_wait_for_is_the_slow_one() {
        let hosts: Vec<String> = ["n1", "n2", "n3"].map(str::to_owned).into();
        let all = [of_rank(1.0, 0.6), of_rank(1.0, 0.01), of_rank(1.0, 0.5)].concat();
        let times = times(&all, &hosts);
        assert_eq!((times.slowest.get(), times.host.as_str()), (1, "n2"));
        assert!((times.busy_s - 0.99).abs() < 0.01 && (times.median_busy_s - 0.5).abs() < 0.01, "{times:?}");
        assert_eq!(times.step_s[0], [1.0049, 1.0098]);
        assert_eq!(times.collective_wait_s[2], [0.5, 0.5]);
    }

    #[test]
    fn large_worlds_name_the_slowest_rank_and_list_none() {
        let all: Vec<f64> = (0..512).flat_map(|rank| of_rank(1.0, if rank == 400 { 0.1 } else { 0.2 })).collect();
        let times = times(&all, &[]);
        assert_eq!((times.slowest.get(), times.step_s.len()), (400, 0));
    }

    #[test]
    fn a_rank_alone_reports_nothing_and_no_steps_are_zero() {
        let ranks = Ranks::solo();
        let mut pace = Pace::begin(&ranks, "n1".to_owned()).unwrap();
        pace.count(&ranks, 0.1);
        assert!(pace.total_s() > 0.0);
        assert_eq!(pace.report(&ranks).unwrap(), None);
        assert_eq!(numbers(&[]), [0.0; NUMBERS]);
    }
}
