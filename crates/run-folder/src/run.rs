//! The run itself: beginning it, knowing it again, ending it.

use serde::Serialize;
use store::{Store, StoreError};

use crate::{FinalRecord, RunError, RunRecord};

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
    /// The store's, and those of [`RunRecord::same_as`].
    pub fn begin(&self, record: &RunRecord) -> Result<RunRecord, RunError> {
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
    /// The store's; [`RunError::NoRun`].
    pub fn record(&self) -> Result<RunRecord, RunError> {
        match self.store.read_record("run.json") {
            Err(StoreError::NotFound { .. }) => Err(RunError::NoRun { uri: self.uri() }),
            other => Ok(other?),
        }
    }

    /// Marks the run as done.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(&self, record: &FinalRecord) -> Result<(), RunError> {
        self.store.create_once("final.json", record)?;
        Ok(())
    }

    /// The record of a run that is done.
    ///
    /// # Errors
    /// The store's, also for a damaged record.
    pub fn finished(&self) -> Result<Option<FinalRecord>, RunError> {
        match self.store.read_record("final.json") {
            Err(StoreError::NotFound { .. }) => Ok(None),
            other => Ok(other?),
        }
    }
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
