//! What the store says about a trial, and how an attempt at it is claimed.
//!
//! The newest attempt decides. A claim whose holder has died is settled: what is left of its process group is ended, the
//! attempt is recorded as lost, and the next number is free. A claim held on another machine is left alone, since nobody
//! here can tell whether its holder lives; whether one that Slurm runs lives, Slurm must be asked.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Store, StoreError};

use crate::guard::{Signal, signal_group};
use crate::identity::{Identity, Life};
use crate::records::{Cause, Claim, Failed, Finished, Started, Trial};

/// How long the remains of a dead orchestrator's workers may take to vanish after a kill.
const VANISH: Duration = Duration::from_secs(20);

/// What the store says about a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// Never tried.
    Missing,
    /// Finished, by some attempt.
    Finished(Finished),
    /// The newest attempt ended without a result.
    Failed {
        /// Its number.
        attempt: u32,
        /// Why.
        record: Failed,
    },
    /// The newest attempt is claimed and has not ended.
    Claimed {
        /// Its number.
        attempt: u32,
        /// By whom.
        claim: Claim,
        /// Whether they live.
        life: Life,
    },
}

/// Seconds since 1970.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Reads the JSON record under `key`.
pub(crate) fn read<T: DeserializeOwned>(store: &Store, key: &str) -> Result<T> {
    let bytes = store.get(key)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no record of this version", store.uri_of(key)))
}

/// Writes a JSON record under `key`. False: another was first.
pub(crate) fn create<T: Serialize>(store: &Store, key: &str, record: &T) -> Result<bool> {
    let mut bytes = serde_json::to_vec_pretty(record).with_context(|| format!("write {key}"))?;
    bytes.push(b'\n');
    match store.create(key, Bytes::from(bytes)) {
        Ok(()) => Ok(true),
        Err(StoreError::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The state of `trial`.
pub(crate) fn state(store: &Store, trial: &Trial<'_>) -> Result<State> {
    let root = trial.attempts_key();
    let keys = store.list(&root)?;
    let record_of = |key: &str| -> Option<(u32, String)> {
        let rest = key.strip_prefix(&root)?.strip_prefix("/attempt-")?;
        let (number, record) = rest.split_once('/')?;
        Some((number.parse().ok()?, record.to_owned()))
    };
    let records: Vec<(u32, String)> = keys.iter().filter_map(|key| record_of(key)).collect();
    let numbers = |record: &str| records.iter().filter(|(_, name)| name == record).map(|(n, _)| *n).collect::<Vec<_>>();
    if let Some(attempt) = numbers("result.json").first() {
        return Ok(State::Finished(read(store, &format!("{}/result.json", trial.attempt_key(*attempt)))?));
    }
    let Some(attempt) = numbers("claim.json").into_iter().max() else { return Ok(State::Missing) };
    let key = trial.attempt_key(attempt);
    if numbers("failed.json").contains(&attempt) {
        return Ok(State::Failed { attempt, record: read(store, &format!("{key}/failed.json"))? });
    }
    let claim: Claim = read(store, &format!("{key}/claim.json"))?;
    let life = if claim.wave.is_some() { Life::Unknown } else { claim.holder.life() };
    Ok(State::Claimed { attempt, claim, life })
}

/// Tries to claim attempt `attempt`, for a Slurm wave where one is given. False: another was first.
pub(crate) fn claim(store: &Store, trial: &Trial<'_>, attempt: u32, sweep: &str, wave: Option<&str>) -> Result<bool> {
    let wave = wave.map(str::to_owned);
    let record = Claim { holder: Identity::own(), sweep: sweep.to_owned(), unix_s: unix_s(), wave };
    create(store, &format!("{}/claim.json", trial.attempt_key(attempt)), &record)
}

/// Records that an attempt ended without a result; one that is recorded already stays as it is.
pub(crate) fn record_failure(store: &Store, trial: &Trial<'_>, attempt: u32, record: &Failed) -> Result<()> {
    create(store, &format!("{}/failed.json", trial.attempt_key(attempt)), record).map(drop)
}

/// Settles an attempt whose holder has died: ends what is left of its workers, and records it as lost.
pub(crate) fn settle_lost(store: &Store, trial: &Trial<'_>, attempt: u32, grace: Duration) -> Result<()> {
    let key = trial.attempt_key(attempt);
    for name in store.list(&key)?.iter().filter(|name| name.contains("/started-")) {
        let started: Started = read(store, name)?;
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
    use crate::records::{Arm, ShardRef};
    use run_spec::ids::Digest;
    use std::collections::BTreeMap;

    fn arm() -> Arm {
        let shards = ShardRef { uri: "x".into(), digest: Digest::of(b"x") };
        Arm {
            name: "a".into(),
            delta: BTreeMap::new(),
            config: serde_json::Value::Null,
            shards,
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
        let trial = Trial { arm: &arm, seed: 3, probes: Digest::of(b"p") };
        assert_eq!(state(&store, &trial).unwrap(), State::Missing);
        assert!(claim(&store, &trial, 1, "s", None).unwrap());
        assert!(!claim(&store, &trial, 1, "s", None).unwrap(), "a claim is had once");
        assert!(matches!(state(&store, &trial).unwrap(), State::Claimed { attempt: 1, life: Life::Alive, .. }));
        create(&store, &format!("{}/failed.json", trial.attempt_key(1)), &failed(Cause::Exit)).unwrap();
        assert_eq!(state(&store, &trial).unwrap(), State::Failed { attempt: 1, record: failed(Cause::Exit) });
        for n in 2..=10 {
            claim(&store, &trial, n, "s", None).unwrap();
        }
        assert!(matches!(state(&store, &trial).unwrap(), State::Claimed { attempt: 10, .. }), "10 is newer than 9");
        let done = Finished { stages: Vec::new(), rows: Vec::new(), unix_s: 2 };
        create(&store, &format!("{}/result.json", trial.attempt_key(2)), &done).unwrap();
        assert_eq!(state(&store, &trial).unwrap(), State::Finished(done));
    }

    #[test]
    fn a_dead_holder_is_settled_and_the_next_number_is_free() {
        let store = Store::open("memory://ledger-lost").unwrap();
        let arm = arm();
        let trial = Trial { arm: &arm, seed: 0, probes: Digest::of(b"p") };
        let mut holder = Identity::own();
        holder.start_ticks += 1;
        let record = Claim { holder, sweep: "s".into(), unix_s: 1, wave: None };
        create(&store, &format!("{}/claim.json", trial.attempt_key(1)), &record).unwrap();
        assert!(matches!(state(&store, &trial).unwrap(), State::Claimed { life: Life::Dead, .. }));
        settle_lost(&store, &trial, 1, Duration::ZERO).unwrap();
        settle_lost(&store, &trial, 1, Duration::ZERO).unwrap();
        let State::Failed { record, .. } = state(&store, &trial).unwrap() else { panic!("not settled") };
        assert!(record.cause == Cause::Lost && !record.cause.blames_the_trial());
        assert!(claim(&store, &trial, 2, "s", None).unwrap());
    }
}
