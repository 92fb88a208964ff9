//! What earlier attempts held and lost: from a checkpoint to the end of its attempt, and all of the attempts that wrote none.

use std::time::{SystemTime, UNIX_EPOCH};

use run_spec::ids::Attempt;
use serde::Deserialize;

use crate::{CheckpointRecord, Run, RunError, RunKey};

/// What is lost since a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Seconds, as far as ends are known.
    pub seconds: u64,
    /// Attempts whose end nobody noted.
    pub unknown_ends: u32,
}

/// Of a record, when it was written. Older versions did not note it.
#[derive(Debug, Deserialize)]
struct At {
    unix_s: Option<u64>,
}

impl Run {
    /// What attempts before `own` held after `checkpoint`, or since the run began. Ends are known from the restarts that
    /// `worker requeue` has counted.
    ///
    /// # Errors
    /// The store's.
    pub fn lost(&self, checkpoint: Option<&CheckpointRecord>, own: Attempt) -> Result<Lost, RunError> {
        let (mut starts, mut restarts) = (Vec::new(), Vec::new());
        for key in self.store().list("attempts")?.into_iter().chain(self.store().list("restarts")?) {
            let at = || Ok::<_, RunError>(self.store().read_record_if_whole::<At>(&key)?.ok().and_then(|at| at.unix_s));
            match key.parse() {
                Ok(RunKey::Attempt(attempt)) => starts.push((attempt, at()?)),
                Ok(RunKey::Restart(_)) => restarts.extend(at()?),
                _ => {}
            }
        }
        starts.sort_unstable();
        Ok(lost(&starts, &restarts, checkpoint, own))
    }
}

fn lost(
    starts: &[(Attempt, Option<u64>)],
    restarts: &[u64],
    checkpoint: Option<&CheckpointRecord>,
    own: Attempt,
) -> Lost {
    let mut lost = Lost::default();
    for (i, (attempt, started)) in starts.iter().enumerate().filter(|(_, (attempt, _))| *attempt < own) {
        let wrote = checkpoint.filter(|checkpoint| checkpoint.attempt == *attempt);
        if checkpoint.is_some_and(|checkpoint| checkpoint.attempt > *attempt) {
            continue;
        }
        let held = wrote.and_then(|checkpoint| checkpoint.held.as_ref());
        if held.is_some_and(|held| held.ends_attempt) {
            continue;
        }
        let from = held.map(|held| held.unix_s).or(*started);
        let next = starts.get(i + 1).and_then(|(_, started)| *started).unwrap_or(u64::MAX);
        let end = from.and_then(|from| restarts.iter().filter(|at| (from..=next).contains(at)).min());
        match (from, end) {
            (Some(from), Some(end)) => lost.seconds += end - from,
            _ => lost.unknown_ends += 1,
        }
    }
    lost
}

/// Seconds since 1970.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeldRecord;

    fn checkpoint(attempt: u32, unix_s: u64, ends_attempt: bool) -> CheckpointRecord {
        CheckpointRecord {
            held: Some(HeldRecord { unix_s, ends_attempt, ..HeldRecord::default() }),
            ..CheckpointRecord::without_bytes(attempt.into(), 5.into())
        }
    }

    #[test]
    fn what_was_done_after_the_last_checkpoint_is_lost_and_so_are_attempts_without_one() {
        let starts = [(1.into(), Some(100)), (2.into(), Some(300)), (3.into(), Some(400)), (4.into(), Some(500))];
        let restarts = [290, 390, 490];
        let of = |checkpoint: Option<&CheckpointRecord>| lost(&starts, &restarts, checkpoint, 4.into());
        assert_eq!(of(None), Lost { seconds: 190 + 90 + 90, unknown_ends: 0 });
        assert_eq!(of(Some(&checkpoint(2, 350, false))), Lost { seconds: 40 + 90, unknown_ends: 0 });
        assert_eq!(of(Some(&checkpoint(3, 450, true))), Lost::default(), "it was asked to stop");
        let unnoted = lost(&starts, &[290], Some(&checkpoint(2, 350, false)), 4.into());
        assert_eq!(unnoted, Lost { seconds: 0, unknown_ends: 2 });
        assert_eq!(lost(&[(1.into(), None)], &[290], None, 2.into()), Lost { seconds: 0, unknown_ends: 1 });
    }

    #[test]
    fn starts_are_noted() {
        let run = Run::at("memory://held").unwrap();
        let first = run.claim_attempt("1.0").unwrap();
        assert_eq!(run.lost(None, first).unwrap(), Lost::default());
        let second = run.claim_attempt("1.0").unwrap();
        assert_eq!(run.lost(None, second).unwrap(), Lost { seconds: 0, unknown_ends: 1 });
        run.store().create_record("restarts/0001.json", &serde_json::json!({"unix_s": unix_s()})).unwrap();
        assert_eq!(run.lost(None, second).unwrap().unknown_ends, 0);
    }
}
