//! What the store says about a trial, and how an attempt at it is claimed.
//!
//! The newest attempt decides. A claim whose holder has died is settled: what is left of its process group is ended, the
//! attempt is recorded as lost, and the next number is free. A claim held on another machine is left alone, since nobody
//! here can tell whether its holder lives; whether one that Slurm runs lives, Slurm must be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use run_spec::ids::Attempt;
use store::{Store, StoreError};

use crate::identity::{Identity, Life};
use crate::keys::AttemptKey;
use crate::records::{Cause, Claim, Failed, Finished, SetAside, Started, Trial};
use crate::supervisor::{Signal, signal_group};

/// How long the remains of a dead orchestrator's workers may take to vanish after a kill.
const VANISH: Duration = Duration::from_secs(20);

/// What the store says about a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// No attempt was ever made.
    Missing,
    /// Finished, by some attempt.
    Finished {
        /// Number of the attempt that finished it.
        attempt: Attempt,
        /// The record that the attempt left.
        record: Finished,
    },
    /// The newest attempt ended without a result.
    Failed {
        /// Number of the newest attempt.
        attempt: Attempt,
        /// The record that says why it failed.
        record: Failed,
    },
    /// The newest attempt is claimed and has not ended.
    Claimed {
        /// Number of the newest attempt.
        attempt: Attempt,
        /// The record that says who holds the attempt.
        claim: Claim,
        /// Whether the holder still runs, as far as that is known.
        life: Life,
    },
    /// A record that decides about it is damaged.
    Damaged {
        /// Number of the attempt.
        attempt: Attempt,
        /// What is damaged, with its place and the remedy, in a sentence.
        what: String,
    },
    /// The newest attempt was set aside, because a record of it was damaged: the trial is to be done again.
    SetAside {
        /// Number of the attempt that was set aside.
        attempt: Attempt,
    },
}

/// The time in whole seconds since 1970.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether an error means that what is stored is damaged or gone, as opposed to a store that cannot be reached.
pub(crate) fn is_damage(error: &StoreError) -> bool {
    error.damage().is_some() || error.is_not_found()
}

/// The names of the records of each attempt of `trial`, by number.
pub(crate) fn attempts(store: &Store, trial: &Trial<'_>) -> Result<BTreeMap<Attempt, BTreeSet<String>>> {
    let mut attempts: BTreeMap<Attempt, BTreeSet<String>> = BTreeMap::new();
    for key in store.list(&trial.attempts_key().to_string())? {
        if let Some((attempt, record)) = AttemptKey::split(&key) {
            attempts.entry(attempt.number).or_default().insert(record.to_owned());
        }
    }
    Ok(attempts)
}

/// The state of `trial` by its records. What its rows hold is not looked at: see [`crate::evidence::state`].
pub(crate) fn state(store: &Store, trial: &Trial<'_>) -> Result<State> {
    let attempts = attempts(store, trial)?;
    let set_aside = |names: &BTreeSet<String>| names.contains("set-aside.json");
    let mut damaged = None;
    for (&attempt, _) in attempts.iter().filter(|(_, names)| names.contains("result.json") && !set_aside(names)) {
        match store.read_record_if_whole(&trial.attempt_key(attempt).result())? {
            Ok(record) => return Ok(State::Finished { attempt, record }),
            Err(what) => damaged = damaged.or(Some(State::Damaged { attempt, what: what.to_string() })),
        }
    }
    if let Some(damaged) = damaged {
        return Ok(damaged);
    }
    let claimed = attempts.iter().rfind(|(_, names)| names.contains("claim.json") || set_aside(names));
    let Some((&attempt, names)) = claimed else { return Ok(State::Missing) };
    if set_aside(names) {
        return Ok(State::SetAside { attempt });
    }
    let key = trial.attempt_key(attempt);
    if names.contains("failed.json") {
        return Ok(match store.read_record_if_whole(&key.failed())? {
            Ok(record) => State::Failed { attempt, record },
            Err(what) => State::Damaged { attempt, what: what.to_string() },
        });
    }
    let claim: Claim = match store.read_record_if_whole(&key.claim())? {
        Ok(claim) => claim,
        Err(what) => return Ok(State::Damaged { attempt, what: what.to_string() }),
    };
    let life = if claim.batch.is_some() { Life::Unknown } else { claim.holder.life() };
    // What a dead holder has left running is in these records: without them the attempt cannot be settled.
    for name in names.iter().filter(|name| life == Life::Dead && name.starts_with("started-")) {
        if let Err(what) = store.read_record_if_whole::<Started>(&format!("{key}/{name}"))? {
            return Ok(State::Damaged { attempt, what: what.to_string() });
        }
    }
    Ok(State::Claimed { attempt, claim, life })
}

/// Sets an attempt aside because of `what`: it no longer counts, and nothing of it is moved or deleted.
pub(crate) fn set_aside(store: &Store, key: &AttemptKey, because: Vec<String>) -> Result<()> {
    store.create_record_once(&key.set_aside(), &SetAside { because, unix_s: unix_s() })?;
    Ok(())
}

/// Tries to claim attempt `attempt`, for a Slurm batch where one is given. False: another was first.
pub(crate) fn claim(
    store: &Store,
    trial: &Trial<'_>,
    attempt: Attempt,
    sweep: &str,
    batch: Option<&str>,
) -> Result<bool> {
    let batch = batch.map(str::to_owned);
    let record = Claim { holder: Identity::own(), sweep: sweep.to_owned(), unix_s: unix_s(), batch };
    Ok(store.create_record_once(&trial.attempt_key(attempt).claim(), &record)?)
}

/// Records that an attempt ended without a result; one that is recorded already stays as it is.
pub(crate) fn record_failure(store: &Store, trial: &Trial<'_>, attempt: Attempt, record: &Failed) -> Result<()> {
    store.create_record_once(&trial.attempt_key(attempt).failed(), record)?;
    Ok(())
}

/// Settles an attempt whose holder has died: ends what is left of its workers, and records it as lost.
pub(crate) fn settle_lost(store: &Store, trial: &Trial<'_>, attempt: Attempt, grace: Duration) -> Result<()> {
    let key = trial.attempt_key(attempt);
    for name in store.list(&key.to_string())?.iter().filter(|name| name.contains("/started-")) {
        // Whether its processes still run cannot be known from a damaged record: the error says so, for this trial alone.
        let started: Started = store.read_record(name)?;
        end_remains(&started.leader, grace)
            .with_context(|| format!("settle attempt {attempt} of {}", trial.label()))?;
    }
    let record = Failed {
        cause: Cause::Lost,
        stage: String::new(),
        message: "its orchestrator died".to_owned(),
        stages: Vec::new(),
        unix_s: unix_s(),
    };
    record_failure(store, trial, attempt, &record)
}

/// Asks the remains to end, waits for `grace` so that a worker can save its work, then kills.
fn end_remains(leader: &Identity, grace: Duration) -> Result<()> {
    let began = Instant::now();
    let mut asked = false;
    while !leader.group_members().is_empty() {
        if !asked {
            asked = true;
            signal_group(leader.pid, Signal::Term);
        } else if began.elapsed() > grace {
            signal_group(leader.pid, Signal::Kill);
        }
        if began.elapsed() > grace + VANISH {
            bail!(
                "process group {} of a dead orchestrator does not end: kill it by hand, then start again",
                leader.pid
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Arm, Measured, ShardRef};
    use run_spec::ids::{Digest, Seed};

    fn arm() -> Arm {
        let shards = ShardRef { uri: "x".into(), digest: Digest::of(b"x") };
        Arm {
            name: "a".into(),
            delta: run_spec::config::Deltas::default(),
            config: serde_json::Value::Null.into(),
            shards,
            init_weights: None,
            trial: Digest::of(b"t"),
        }
    }

    fn failed(cause: Cause) -> Failed {
        Failed { cause, stage: "train".into(), message: "no".into(), stages: Vec::new(), unix_s: 1 }
    }

    #[test]
    fn the_newest_attempt_decides_and_any_result_ends_it() {
        let store = Store::open("memory://ledger-states").unwrap();
        let arm = arm();
        let trial = Trial { arm: &arm, seed: 3.into(), probes: Digest::of(b"p"), baseline: None };
        assert_eq!(state(&store, &trial).unwrap(), State::Missing);
        assert!(claim(&store, &trial, 1.into(), "s", None).unwrap());
        assert!(!claim(&store, &trial, 1.into(), "s", None).unwrap(), "a claim is had once");
        assert!(
            matches!(state(&store, &trial).unwrap(), State::Claimed { attempt, life: Life::Alive, .. } if attempt == 1)
        );
        store.create_record_once(&trial.attempt_key(1.into()).failed(), &failed(Cause::Exit)).unwrap();
        assert_eq!(state(&store, &trial).unwrap(), State::Failed { attempt: 1.into(), record: failed(Cause::Exit) });
        for n in 2..=10 {
            claim(&store, &trial, n.into(), "s", None).unwrap();
        }
        assert!(
            matches!(state(&store, &trial).unwrap(), State::Claimed { attempt, .. } if attempt == 10),
            "10 is newer than 9"
        );
        let done = Finished::at(2, Vec::new(), Measured::default());
        store.create_record_once(&trial.attempt_key(2.into()).result(), &done).unwrap();
        assert_eq!(state(&store, &trial).unwrap(), State::Finished { attempt: 2.into(), record: done });
    }

    /// A crash of the machine can leave an empty file under a key that was created.
    #[test]
    fn a_damaged_record_is_a_state_of_its_trial_until_the_attempt_is_set_aside() {
        let store = Store::open("memory://ledger-damaged").unwrap();
        let arm = arm();
        for (seed, record) in [(0, "claim.json"), (1, "failed.json"), (2, "result.json")] {
            let trial = Trial { arm: &arm, seed: Seed::new(seed), probes: Digest::of(b"p"), baseline: None };
            let key = trial.attempt_key(1.into());
            if record != "claim.json" {
                assert!(claim(&store, &trial, 1.into(), "s", None).unwrap());
            }
            store.create(&format!("{key}/{record}"), "".into()).unwrap();
            let State::Damaged { attempt, what } = state(&store, &trial).unwrap() else { panic!("{record}") };
            assert_eq!(attempt, 1);
            assert!(what.contains(&format!("attempt-1/{record} is damaged: it is empty")), "{what}");
            assert!(what.contains("set it aside"), "{what}");
            let aside = SetAside { because: vec![what], unix_s: 1 };
            store.create_record_once(&key.set_aside(), &aside).unwrap();
            assert_eq!(state(&store, &trial).unwrap(), State::SetAside { attempt: 1.into() });
            claim(&store, &trial, 2.into(), "s", None).unwrap();
            assert!(matches!(state(&store, &trial).unwrap(), State::Claimed { attempt, .. } if attempt == 2));
        }
    }

    #[test]
    fn a_result_that_is_whole_counts_more_than_a_damaged_one() {
        let store = Store::open("memory://ledger-two-results").unwrap();
        let arm = arm();
        let trial = Trial { arm: &arm, seed: 0.into(), probes: Digest::of(b"p"), baseline: None };
        store.create(&trial.attempt_key(1.into()).result(), "{\"stages\": [".into()).unwrap();
        let done = Finished::at(2, Vec::new(), Measured::default());
        store.create_record_once(&trial.attempt_key(2.into()).result(), &done).unwrap();
        assert_eq!(state(&store, &trial).unwrap(), State::Finished { attempt: 2.into(), record: done });
    }

    #[test]
    fn a_dead_holder_is_settled_and_the_next_number_is_free() {
        let store = Store::open("memory://ledger-lost").unwrap();
        let arm = arm();
        let trial = Trial { arm: &arm, seed: 0.into(), probes: Digest::of(b"p"), baseline: None };
        let mut holder = Identity::own();
        holder.start_ticks += 1;
        let record = Claim { holder, sweep: "s".into(), unix_s: 1, batch: None };
        store.create_record_once(&trial.attempt_key(1.into()).claim(), &record).unwrap();
        assert!(matches!(state(&store, &trial).unwrap(), State::Claimed { life: Life::Dead, .. }));
        settle_lost(&store, &trial, 1.into(), Duration::ZERO).unwrap();
        settle_lost(&store, &trial, 1.into(), Duration::ZERO).unwrap();
        let State::Failed { record, .. } = state(&store, &trial).unwrap() else { panic!("not settled") };
        assert!(record.cause == Cause::Lost && !record.cause.blames_the_trial());
        assert!(claim(&store, &trial, 2.into(), "s", None).unwrap());
    }
}
