//! The run itself: beginning it, knowing it again, ending it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use run_spec::ids::{Attempt, Digest, Rank, Step};
use store::{Store, StoreError};

use crate::found::{self, Found};
use crate::{CaptureKey, CaptureRecord, CheckpointRecord, FinalRecord, RunError, RunKey, RunRecord};

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

    /// The store that holds the run's folder.
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
        if self.store.create_record_once("run.json", record)? {
            return Ok(record.clone());
        }
        let begun = self.record()?;
        record.same_as(&begun, self.store.uri())?;
        if begun.code != record.code {
            tracing::warn!(began = begun.code, now = record.code, "the run continues with another code version");
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
        let of_an_attempt = |key: &String| key.parse::<RunKey>().is_ok_and(|key| key.shows_an_attempt());
        Ok(self.store.list("")?.into_iter().find(of_an_attempt))
    }

    /// Marks the run as done, unless it is: `attempt` ended it on `device`, in words. Where an earlier final record is
    /// damaged or was set aside, this one gets a key with the attempt's number.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(&self, checkpoint: CheckpointRecord, device: String, attempt: Attempt) -> Result<(), RunError> {
        let mut names = BTreeMap::new();
        for key in [RunKey::Run.to_string(), checkpoint.record_key()] {
            let digest = Digest::of(&self.store.get(&key)?);
            names.insert(key, digest);
        }
        let failed_steps = checkpoint.failed_steps;
        let record = FinalRecord { checkpoint, device, failed_steps, names };
        if self.store.create_record_once(&RunKey::Final(None).to_string(), &record)? || self.finished()?.is_some() {
            return Ok(());
        }
        self.store.create_record_once(&RunKey::Final(Some(attempt)).to_string(), &record)?;
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
                let files = last.checkpoint.files().into_iter().map(|(key, ..)| key);
                files.chain([last.checkpoint.record_key()]).all(|key| !aside.contains_key(&key))
            }
            _ => true,
        };
        let is_final = |key: &String| match key.parse() {
            Ok(RunKey::Final(attempt)) if !aside.contains_key(key) => Some(attempt),
            _ => None,
        };
        let keys = self.store.list("")?;
        let mut finals: Vec<_> = keys.iter().filter_map(|key| Some((is_final(key)?, key))).collect();
        // `final.json` is that of the first attempt that ended the run.
        finals.sort_by_key(|(attempt, _)| std::cmp::Reverse(*attempt));
        let mut found = Vec::new();
        for (_, key) in finals {
            found.push((key.clone(), found::record(&self.store, key)?));
        }
        found.retain(|(_, found)| names_what_counts(found));
        Ok(found)
    }
}

impl Run {
    /// Publishes what a rank captured of a step that was not finite: bytes first, record last.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_capture(&self, mut record: CaptureRecord, bytes: Bytes) -> Result<(), RunError> {
        let key = record.capture_key();
        record.key = RunKey::CaptureBytes(key).to_string();
        record.bytes = bytes.len() as u64;
        record.digest = Digest::of(&bytes);
        self.store.create(&record.key, bytes)?;
        self.store.create_record(&RunKey::Capture(key).to_string(), &record)?;
        Ok(())
    }

    /// What `rank` captured of `step`, by the latest attempt that did, with its bytes.
    ///
    /// # Errors
    /// The store's; [`RunError::NoCapture`]; [`RunError::CaptureDamaged`].
    pub fn capture(&self, step: Step, rank: Rank) -> Result<(CaptureRecord, Bytes), RunError> {
        let captures = self.captures()?;
        let of_rank = captures.iter().filter(|key| (key.step, key.rank) == (step, rank));
        let Some(key) = of_rank.max_by_key(|key| key.attempt) else {
            let there = self.captured()?.iter().map(Step::to_string).collect::<Vec<_>>().join(", ");
            return Err(RunError::NoCapture { uri: self.uri(), step, rank, there });
        };
        let record: CaptureRecord = self.store.read_record(&RunKey::Capture(*key).to_string())?;
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
    pub fn captured(&self) -> Result<BTreeSet<Step>, RunError> {
        Ok(self.captures()?.into_iter().map(|key| key.step).collect())
    }

    /// Every rank's part of every failed step, by record or by bytes.
    fn captures(&self) -> Result<BTreeSet<CaptureKey>, RunError> {
        let capture = |key: &String| match key.parse() {
            Ok(RunKey::Capture(key) | RunKey::CaptureBytes(key)) => Some(key),
            _ => None,
        };
        Ok(self.store.list("failed")?.iter().filter_map(capture).collect())
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
                said.contains("run.json is missing") && said.contains(key) && said.contains("another folder"),
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
        assert!(said.contains("run.json is damaged") && said.contains("another folder"), "{said}");
        assert!(!said.contains("--repair"), "{said}");
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
