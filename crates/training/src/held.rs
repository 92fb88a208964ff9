//! How long a run has held its machines, over its attempts, and how much of that went into steps that count.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use run_folder::{HeldRecord, Lost};

/// The time of this attempt, after that of earlier ones.
#[derive(Debug)]
pub(crate) struct Held {
    began: Instant,
    before: HeldRecord,
    lost: Lost,
}

impl Held {
    /// From now on.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), before: HeldRecord::default(), lost: Lost::default() }
    }

    /// Goes on after what earlier attempts held up to a checkpoint, and lost after it.
    pub(crate) fn go_on(&mut self, before: Option<&HeldRecord>, lost: Lost) {
        self.before = before.cloned().unwrap_or_default();
        self.lost = lost;
    }

    /// What is held by now, of which this attempt spent `steps_s` seconds in steps.
    pub(crate) fn record(&self, steps_s: f64, ends_attempt: bool) -> HeldRecord {
        let steps_s = self.before.steps_s + steps_s;
        let held_s = self.before.held_s + self.lost.seconds as f64 + self.began.elapsed().as_secs_f64();
        HeldRecord {
            steps_s,
            held_s,
            goodput: steps_s / held_s.max(f64::MIN_POSITIVE),
            unknown_ends: self.before.unknown_ends + self.lost.unknown_ends,
            unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            ends_attempt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_held_and_counts_for_nothing() {
        let mut held = Held::begin();
        let before = HeldRecord { steps_s: 60.0, held_s: 100.0, unknown_ends: 1, ..HeldRecord::default() };
        held.go_on(Some(&before), Lost { seconds: 100, unknown_ends: 1 });
        let record = held.record(40.0, true);
        assert!((200.0..201.0).contains(&record.held_s) && record.ends_attempt, "{record:?}");
        assert_eq!((record.steps_s, record.unknown_ends), (100.0, 2));
        assert!((record.goodput - 0.5).abs() < 0.01);
    }
}
