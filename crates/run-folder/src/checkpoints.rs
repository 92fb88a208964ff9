//! Checkpoints: publishing them, finding the one to go on from, and removing old ones.

use bytes::Bytes;
use run_spec::ids::Digest;
use store::StoreError;

use crate::{CheckpointRecord, Run, RunError};

impl Run {
    /// Publishes a checkpoint: bytes first, record last. Then older ones beyond `keep` are removed.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_checkpoint(
        &self,
        mut record: CheckpointRecord,
        bytes: Vec<u8>,
        keep: usize,
    ) -> Result<CheckpointRecord, RunError> {
        let stem = format!("checkpoints/{:08}-a{:04}", record.step, record.attempt);
        record.key = format!("{stem}.safetensors");
        record.bytes = bytes.len() as u64;
        record.digest = Digest::of(&bytes);
        self.store().create(&record.key, bytes.into())?;
        self.store().create_record(&record.record_key(), &record)?;
        self.prune(keep)?;
        Ok(record)
    }

    /// Records of all checkpoints, oldest first. A later attempt counts more than a later step: an attempt that was
    /// declared dead and went on all the same must not come between.
    ///
    /// # Errors
    /// The store's, also for a damaged record.
    pub fn checkpoints(&self) -> Result<Vec<CheckpointRecord>, RunError> {
        let keys = self.store().list("checkpoints")?;
        let mut records: Vec<CheckpointRecord> = Vec::new();
        for key in keys.iter().filter(|key| key.ends_with(".json")) {
            records.push(self.store().read_record(key)?);
        }
        records.sort_by_key(|record| (record.attempt, record.step));
        Ok(records)
    }

    /// The newest checkpoint (of `step`, if given) whose bytes are whole.
    ///
    /// A damaged one is passed over with a warning: an older state costs time, a wrong one costs the run.
    ///
    /// # Errors
    /// The store's.
    pub fn load_checkpoint(&self, step: Option<u64>) -> Result<Option<(CheckpointRecord, Bytes)>, RunError> {
        for record in self.checkpoints()?.into_iter().rev().filter(|r| step.is_none_or(|step| r.step == step)) {
            match self.store().get(&record.key) {
                Ok(bytes) if Digest::of(&bytes) == record.digest => return Ok(Some((record, bytes))),
                Ok(_) | Err(StoreError::Damaged { .. }) => {
                    tracing::warn!(key = record.key, "checkpoint is damaged (digest differs): trying an older one")
                }
                Err(StoreError::NotFound { .. }) => {
                    tracing::warn!(key = record.key, "checkpoint is missing: trying an older one")
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The bytes of the checkpoint that `record` publishes.
    ///
    /// # Errors
    /// The store's; [`RunError::OnTheWay`].
    pub fn read_checkpoint(&self, record: &CheckpointRecord) -> Result<Bytes, RunError> {
        let bytes = self.store().get(&record.key)?;
        if Digest::of(&bytes) != record.digest {
            return Err(RunError::OnTheWay { uri: self.store().uri_of(&record.key) });
        }
        Ok(bytes)
    }

    fn prune(&self, keep: usize) -> Result<(), RunError> {
        let records = self.checkpoints()?;
        for record in records.iter().rev().skip(keep.max(1)) {
            // The record goes first: what is listed must be there.
            self.store().delete(&record.record_key())?;
            self.store().delete(&record.key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64) -> CheckpointRecord {
        CheckpointRecord {
            step,
            attempt: 1,
            key: String::new(),
            bytes: 0,
            digest: Digest::of(b""),
            failed_in_a_row: 0,
            failed_steps: 0,
            seconds: 0.0,
            metrics: None,
        }
    }

    #[test]
    fn only_the_newest_checkpoints_are_kept_and_a_damaged_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::at(folder.path().to_str().unwrap()).unwrap();
        for step in [10, 20, 30] {
            run.publish_checkpoint(record(step), vec![step as u8; 64], 2).unwrap();
        }
        let steps: Vec<u64> = run.checkpoints().unwrap().iter().map(|record| record.step).collect();
        assert_eq!(steps, [20, 30]);
        std::fs::write(folder.path().join("checkpoints/00000030-a0001.safetensors"), [7; 63]).unwrap();
        let (found, bytes) = run.load_checkpoint(None).unwrap().unwrap();
        assert_eq!((found.step, bytes[0]), (20, 20));
    }

    #[test]
    fn an_attempt_that_was_taken_over_does_not_come_between() {
        let run = Run::at("memory://taken-over").unwrap();
        run.publish_checkpoint(record(10), vec![1; 8], 3).unwrap();
        run.publish_checkpoint(CheckpointRecord { attempt: 2, ..record(20) }, vec![2; 8], 3).unwrap();
        // It looked before the second began and writes after: the key has its number, and counts less.
        run.publish_checkpoint(record(30), vec![1; 8], 3).unwrap();
        assert_eq!(run.load_checkpoint(None).unwrap().unwrap().0.step, 20);
    }
}
