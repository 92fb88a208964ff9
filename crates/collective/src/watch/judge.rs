//! Who is to blame, if anybody: what the others have said of themselves, and when. Pure.

use super::diary::Report;
use std::time::Duration;

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Without a heartbeat of a process.
    pub(super) silence: Duration,
    /// In one call for a peer that lives.
    pub(super) deadline: Duration,
    /// In one call for a peer that is at the store.
    pub(super) at_store: Duration,
}

/// What is known of a rank.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) rank: usize,
    /// When it said something last, by the watch's clock.
    pub(super) at: Duration,
    pub(super) report: Option<Report>,
}

impl Heard {
    /// Which rank it is, and where.
    pub(super) fn name(&self) -> String {
        let place = self.report.as_ref().map(|report| format!(" ({})", report.place()));
        format!("rank {}{}", self.rank, place.unwrap_or_default())
    }

    fn last(&self) -> String {
        self.report.as_ref().map_or_else(|| "it has not said where it was".to_owned(), Report::last)
    }

    /// How long it has been in the call that it waits in.
    fn waits(&self, now: Duration) -> Option<(u64, Duration)> {
        let report = self.report.as_ref().filter(|report| report.inside)?;
        Some((report.calls, report.since + now.saturating_sub(self.at)))
    }
}

/// The sentence about a rank whose connection ended without a goodbye.
pub(super) fn died(dead: &Heard, own: &Report) -> String {
    format!(
        "{} ended without a message: it was killed, or its node is gone; {}; {}",
        dead.name(),
        dead.last(),
        here(own)
    )
}

/// The sentence about the first of `others` from whom nothing has been heard for too long.
pub(super) fn silent(others: &[Heard], own: &Report, limits: &Limits, now: Duration) -> Option<String> {
    let age = |heard: &Heard| now.saturating_sub(heard.at);
    let silent = others.iter().find(|heard| age(heard) > limits.silence)?;
    Some(format!(
        "{} hangs: no heartbeat for {:.0} s (stopped, or its node or network is gone); {}; {}",
        silent.name(),
        age(silent).as_secs_f64(),
        silent.last(),
        here(own)
    ))
}

/// The sentence about a rank that lives, but for whom the others have waited too long in a call that it has not made.
pub(super) fn overdue(all: &[Heard], limits: &Limits, now: Duration) -> Option<String> {
    let waiting = all.iter().filter_map(|heard| Some((heard, heard.waits(now)?)));
    let (waiter, (call, waited)) = waiting.max_by_key(|(_, (call, waited))| (*call, *waited))?;
    // Late is who was still behind when it said something last: an older report says nothing of what it did since.
    let late = all.iter().find(|heard| {
        heard.report.as_ref().is_some_and(|report| {
            let limit = if report.at_store { limits.at_store } else { limits.deadline };
            report.calls < call && waited.saturating_sub(now.saturating_sub(heard.at)) > limit
        })
    })?;
    Some(format!(
        "{} hangs: {} has waited {:.0} s for it in {}; {}; train.step_deadline_s allows more time",
        late.name(),
        waiter.name(),
        waited.as_secs_f64(),
        waiter.report.as_ref().map(Report::call).unwrap_or_default(),
        late.last()
    ))
}

fn here(own: &Report) -> String {
    if own.calls == 0 {
        return "here no call was made".to_owned();
    }
    format!("here {} {}", if own.inside { "it is awaited in" } else { "the last was" }, own.call())
}

#[cfg(test)]
mod tests {
    use super::super::diary::Diary;
    use super::*;
    use clock::SteppedClock;
    use std::sync::Arc;

    const LIMITS: Limits = Limits {
        silence: Duration::from_secs(12),
        deadline: Duration::from_secs(600),
        at_store: Duration::from_secs(1800),
    };

    /// A rank that is in its call number `calls` (or after it), as it said `ago` seconds before `now`.
    fn heard(rank: usize, calls: u64, inside: bool, ago: u64) -> Heard {
        let diary = Diary::of(&format!("n{}", rank + 1), Arc::new(SteppedClock::default()));
        diary.note("step 12", false);
        (0..calls).for_each(|call| diary.enter(format!("all_reduce(Sum, {call} f32)"), inside));
        let at = NOW - Duration::from_secs(ago);
        Heard { rank, at, report: Some(Report { since: Duration::ZERO, ..diary.report() }) }
    }

    const NOW: Duration = Duration::from_secs(100_000);

    #[test]
    fn the_rank_that_is_silent_is_named_with_its_host_and_its_last_collective() {
        let (own, quiet) = (heard(0, 4, true, 0), heard(1, 3, false, 13));
        let own = own.report.unwrap();
        let said = silent(std::slice::from_ref(&quiet), &own, &LIMITS, NOW).unwrap();
        assert!(said.starts_with("rank 1 (n2, process "), "{said}");
        assert!(said.contains("no heartbeat for 13 s"), "{said}");
        assert!(said.contains("its last collective was all_reduce(Sum, 2 f32) (call 3), at step 12"), "{said}");
        assert!(said.ends_with("here it is awaited in all_reduce(Sum, 3 f32) (call 4)"), "{said}");
        assert_eq!(silent(&[heard(1, 3, false, 11)], &own, &LIMITS, NOW), None);
        assert!(died(&quiet, &own).starts_with("rank 1 (n2, process "), "{}", died(&quiet, &own));
    }

    #[test]
    fn of_ranks_that_live_the_one_behind_is_named_not_one_that_waits() {
        let waits = |rank| heard(rank, 5, true, 601);
        let all = [waits(0), waits(1), heard(2, 4, false, 0), waits(3)];
        let said = overdue(&all, &LIMITS, NOW).unwrap();
        assert!(said.starts_with("rank 2 (n3, process "), "{said}");
        assert!(said.contains("has waited 601 s for it in all_reduce(Sum, 4 f32) (call 5)"), "{said}");
        assert!(said.contains("its last collective was all_reduce(Sum, 3 f32) (call 4), at step 12"), "{said}");
        // What rank 2 said before the others came to their call.
        assert_eq!(overdue(&[waits(0), heard(2, 4, false, 2)], &LIMITS, NOW), None);
        // Nobody is behind: a long transfer, not a late rank.
        assert_eq!(overdue(&[waits(0), waits(1)], &LIMITS, NOW), None);
        assert_eq!(overdue(&[heard(0, 5, true, 599), heard(1, 4, false, 0)], &LIMITS, NOW), None);
    }

    #[test]
    fn a_rank_at_the_store_is_waited_for_longer() {
        let mut writes = heard(0, 4, false, 0);
        writes.report.as_mut().unwrap().at_store = true;
        let all = |waited| [writes.clone(), heard(1, 5, true, waited)];
        assert_eq!(overdue(&all(1700), &LIMITS, NOW), None);
        assert!(overdue(&all(1801), &LIMITS, NOW).unwrap().starts_with("rank 0 (n1"));
    }
}
