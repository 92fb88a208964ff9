//! The run itself: beginning it, knowing it again, ending it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use run_spec::ids::Digest;
use serde::Serialize;
use store::{Store, StoreError};

use crate::found::{self, Found};
use crate::{CaptureRecord, CheckpointRecord, FinalRecord, RunError, RunRecord};

/// A run's folder in a store.
#[derive(Debug, Clone)]
pub struct Run {
    store: Store,
}

impl Run {
    /// The run at `uri`, which need not exist yet.
    ///
    /// # Errors
    /// `uri` is not a store address.
    pub fn at(uri: &str) -> Result<Self, RunError> {
        Ok(Self { store: Store::open(uri)? })
    }

    /// The run in `store`.
    pub fn of(store: Store) -> Self {
        Self { store }
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn uri(&self) -> String {
        self.store.uri().to_owned()
    }

    /// Writes what the run is, or checks that it is the same run. Gives what it was begun with.
    ///
    /// # Errors
    /// The store's, those of [`RunRecord::same_as`], and [`RunError::Lost`]: what an attempt has left is never taken over under
    /// a record that was written after it.
    pub fn begin(&self, record: &RunRecord) -> Result<RunRecord, RunError> {
        // The keys first: an attempt is claimed after run.json is there, so that two that begin at once do not meet here.
        if let Some(key) = self.first_trace()?
            && !self.store.exists("run.json")?
        {
            return Err(RunError::Lost { uri: self.uri(), key });
        }
        if self.store.create_once("run.json", record)? {
            return Ok(record.clone());
        }
        let begun = self.record()?;
        record.same_as(&begun, self.store.uri())?;
        if begun.code != record.code {
            tracing::warn!(began = begun.code, now = record.code, "the run goes on with another code version");
        }
        Ok(begun)
    }

    /// What the run is.
    ///
    /// # Errors
    /// The store's; [`RunError::NoRun`]; [`RunError::Lost`]; [`RunError::NotARun`].
    pub fn record(&self) -> Result<RunRecord, RunError> {
        match self.store.read_record("run.json") {
            Err(StoreError::NotFound { .. }) => Err(match self.first_trace()? {
                Some(key) => RunError::Lost { uri: self.uri(), key },
                None => RunError::NoRun { uri: self.uri() },
            }),
            Err(StoreError::Record { reason, .. }) => {
                Err(RunError::NotARun { uri: self.uri(), what: reason.to_string() })
            }
            other => Ok(other?),
        }
    }

    /// A key that shows that an attempt has begun. Restarts do not: they are counted before the first attempt too.
    fn first_trace(&self) -> Result<Option<String>, RunError> {
        let of_an_attempt = |key: &String| {
            let folder = key.split('/').next().unwrap_or_default();
            is_final(key) || ["attempts", "checkpoints", "metrics", "stops", "failed"].contains(&folder)
        };
        Ok(self.store.list("")?.into_iter().find(of_an_attempt))
    }

    /// Marks the run as done, unless it is: `attempt` ended it on `device`, in words. Where an earlier final record is
    /// damaged or was set aside, this one gets a key with the attempt's number.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(&self, checkpoint: CheckpointRecord, device: String, attempt: u32) -> Result<(), RunError> {
        let mut names = BTreeMap::new();
        for key in ["run.json".to_owned(), checkpoint.record_key()] {
            let digest = Digest::of(&self.store.get(&key)?);
            names.insert(key, digest);
        }
        let failed_steps = checkpoint.failed_steps;
        let record = FinalRecord { checkpoint, device, failed_steps, names };
        if self.store.create_once("final.json", &record)? || self.finished()?.is_some() {
            return Ok(());
        }
        self.store.create_once(&format!("final-a{attempt:04}.json"), &record)?;
        Ok(())
    }

    /// The record of a run that is done. A damaged one is passed over with a warning: the run then ends once more.
    ///
    /// # Errors
    /// The store's.
    pub fn finished(&self) -> Result<Option<FinalRecord>, RunError> {
        for (key, last) in self.finals()? {
            match last {
                Found::Whole(last) => return Ok(Some(last)),
                Found::Damaged(what) => tracing::warn!(key, what, "this final record is damaged and does not count"),
                Found::Missing => {}
            }
        }
        Ok(None)
    }

    /// The final records that were not set aside, nor the checkpoints that they name, newest first.
    pub(crate) fn finals(&self) -> Result<Vec<(String, Found<FinalRecord>)>, RunError> {
        let aside = self.set_aside()?;
        let names_what_counts = |found: &Found<FinalRecord>| match found {
            Found::Whole(last) => {
                [&last.checkpoint.key, &last.checkpoint.record_key()].iter().all(|key| !aside.contains_key(*key))
            }
            _ => true,
        };
        let mut finals = Vec::new();
        for key in self.store.list("")?.into_iter().filter(|key| is_final(key) && !aside.contains_key(key)) {
            finals.push((key.clone(), found::record(&self.store, &key)?));
        }
        finals.retain(|(_, found)| names_what_counts(found));
        // `final.json` is that of the first attempt that ended the run.
        finals.sort_by_key(|(key, _)| std::cmp::Reverse(attempt_in(key)));
        Ok(finals)
    }
}

impl Run {
    /// Publishes what a rank captured of a step that was not finite: bytes first, record last.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_capture(&self, mut record: CaptureRecord, bytes: Bytes) -> Result<(), RunError> {
        let stem = format!("failed/{:08}-a{:04}-r{:04}", record.step, record.attempt, record.rank);
        record.key = format!("{stem}.safetensors");
        record.bytes = bytes.len() as u64;
        record.digest = Digest::of(&bytes);
        self.store.create(&record.key, bytes)?;
        self.store.create_record(&format!("{stem}.json"), &record)?;
        Ok(())
    }

    /// What `rank` captured of `step`, by the latest attempt that did, with its bytes.
    ///
    /// # Errors
    /// The store's; [`RunError::NoCapture`]; [`RunError::CaptureDamaged`].
    pub fn capture(&self, step: u64, rank: u32) -> Result<(CaptureRecord, Bytes), RunError> {
        let keys = self.store.list("failed")?;
        let (start, end) = (format!("failed/{step:08}-a"), format!("-r{rank:04}.json"));
        let of_rank = keys.iter().filter(|key| key.starts_with(&start) && key.ends_with(&end));
        let Some(key) = of_rank.max_by_key(|key| attempt_in(key)) else {
            let there = steps_of(&keys).iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            return Err(RunError::NoCapture { uri: self.uri(), step, rank, there });
        };
        let record: CaptureRecord = self.store.read_record(key)?;
        match found::bytes(&self.store, &record.key, &record.digest)? {
            Found::Whole(bytes) => Ok((record, bytes)),
            Found::Damaged(what) => Err(RunError::CaptureDamaged { uri: self.store.uri_of(&record.key), what }),
            Found::Missing => {
                let what = "it is missing".to_owned();
                Err(RunError::CaptureDamaged { uri: self.store.uri_of(&record.key), what })
            }
        }
    }
}

impl Run {
    /// The steps that were captured because they were not finite.
    ///
    /// # Errors
    /// The store's.
    pub fn captured(&self) -> Result<BTreeSet<u64>, RunError> {
        Ok(steps_of(&self.store.list("failed")?))
    }
}

/// The steps that keys below `failed/` name.
fn steps_of(keys: &[String]) -> BTreeSet<u64> {
    keys.iter().filter_map(|key| key.strip_prefix("failed/")?.split('-').next()?.parse().ok()).collect()
}

/// The attempt that a key names by `-a0012`.
pub(crate) fn attempt_in(key: &str) -> Option<u32> {
    let (_, rest) = key.rsplit_once("-a")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Whether `key` is that of a final record.
pub(crate) fn is_final(key: &str) -> bool {
    key == "final.json" || key.strip_prefix("final-a").is_some_and(|rest| rest.ends_with(".json"))
}

/// Creates a record where there is none yet.
pub(crate) trait CreateOnce {
    /// True if it was created, false if something was there already.
    fn create_once<T: Serialize>(&self, key: &str, record: &T) -> Result<bool, StoreError>;
}

impl CreateOnce for Store {
    fn create_once<T: Serialize>(&self, key: &str, record: &T) -> Result<bool, StoreError> {
        match self.create_record(key, record) {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::ids::Digest;
    use serde_json::json;

    #[test]
    fn a_run_keeps_the_record_that_it_was_begun_with() {
        let run = Run::at("memory://begun").unwrap();
        let record = |device: &str| RunRecord::new(json!({"device": device}), Digest::of(b"shards"), 9, "1.0");
        assert!(matches!(run.record(), Err(RunError::NoRun { .. })));
        run.begin(&record("cpu")).unwrap();
        assert_eq!(run.begin(&record("cuda")).unwrap(), record("cpu"));
        let other = RunRecord::new(json!({"device": "cpu"}), Digest::of(b"other"), 9, "1.0");
        assert!(matches!(run.begin(&other), Err(RunError::OtherShards { .. })));
    }

    #[test]
    fn without_its_record_a_run_is_neither_begun_anew_nor_read() {
        for key in
            ["attempts/0001.json", "checkpoints/00000005-a0001.json", "final.json", "metrics/00000000-a0001.jsonl"]
        {
            let run = Run::of(Store::open("memory://lost").unwrap().child(&key[..5]));
            run.store().create(key, "{}".into()).unwrap();
            let record = RunRecord::new(json!({}), Digest::of(b"shards"), 9, "1.0");
            let said = run.begin(&record).unwrap_err().to_string();
            assert!(
                said.contains("run.json is missing") && said.contains(key) && said.contains("another --out"),
                "{said}"
            );
            assert_eq!(run.record().unwrap_err().to_string(), said);
            assert!(!run.store().exists("run.json").unwrap());
        }
    }

    #[test]
    fn a_damaged_record_is_told_with_the_remedy_that_helps() {
        let run = Run::at("memory://no-record").unwrap();
        run.store().create("run.json", "{".into()).unwrap();
        let said = run.record().unwrap_err().to_string();
        assert!(said.contains("run.json is damaged") && said.contains("another --out"), "{said}");
        assert!(!said.contains("--repair"), "{said}");
    }

    #[test]
    fn attempts_are_compared_as_numbers() {
        let attempts = ["final.json", "final-a9999.json", "failed/00000007-a10000-r0001.json"].map(attempt_in);
        assert_eq!(attempts, [None, Some(9999), Some(10000)]);
    }

    #[test]
    fn a_run_of_an_older_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::at(folder.path().to_str().unwrap()).unwrap();
        let digest = Digest::of(b"x");
        let record =
            json!({"config": {"seed": 1}, "config_digest": digest, "shards": digest, "rows": 9, "code": "0.1"});
        std::fs::write(folder.path().join("run.json"), record.to_string()).unwrap();
        let checkpoint = json!({
            "step": 5, "attempt": 1, "key": "checkpoints/00000005-a0001.safetensors", "bytes": 1, "digest": digest,
            "failed_in_a_row": 0, "seconds": 1.5,
        });
        let last = json!({"checkpoint": checkpoint, "device": "CPU", "failed_steps": 0});
        std::fs::write(folder.path().join("final.json"), last.to_string()).unwrap();
        assert_eq!(run.record().unwrap().rows, 9);
        let last = run.finished().unwrap().unwrap();
        assert_eq!((last.checkpoint.metrics, last.names.len()), (None, 0));
    }
}
