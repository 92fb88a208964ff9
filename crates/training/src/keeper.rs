//! What a run keeps while it trains: metrics, checkpoints, steps that failed. Rank 0 keeps the first two.
//!
//! A store that cannot be written now may be written at the next checkpoint: lines wait until then, and training goes on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use run_folder::{CaptureRecord, CheckpointRecord, Loaded, Retention, Run, RunError, StopRecord};
use run_spec::config::Checkpoint;
use run_spec::ids::{Attempt, Digest, Step};

use crate::error::{Result, TrainingError};

/// One attempt's hand on the run's folder.
#[derive(Debug)]
pub(crate) struct Keeper<'a> {
    run: &'a Run,
    attempt: Attempt,
    /// Number of checkpoints that stay besides the final one.
    keep: usize,
    /// The one with the best score stays too.
    keep_best: bool,
    /// Records of damaged checkpoints that were passed over when the run was opened.
    passed_over: BTreeSet<String>,
    /// Metrics files of the steps so far.
    names: BTreeMap<String, Digest>,
    /// Metrics lines that are not published yet, with the first step of each part.
    waiting: Vec<(Step, String)>,
    /// First step whose lines are in no part yet.
    from: Step,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(run: &'a Run, attempt: Attempt, config: &Checkpoint) -> Self {
        Self {
            run,
            attempt,
            keep: usize::try_from(config.keep).unwrap_or(usize::MAX),
            keep_best: config.keep_best,
            passed_over: BTreeSet::new(),
            names: BTreeMap::new(),
            waiting: Vec::new(),
            from: Step::new(0),
        }
    }

    /// Goes on after the checkpoint that was loaded.
    pub(crate) fn go_on(&mut self, loaded: &Loaded) -> Result<()> {
        self.names = self.run.metrics_up_to(&loaded.record)?;
        self.passed_over = loaded.passed_over.clone();
        self.from = loaded.record.step;
        Ok(())
    }

    /// Publishes the lines so far and a checkpoint of `bytes`. None where the store cannot be written now, which is said:
    /// both wait for the next call. The `last` one must be written.
    pub(crate) fn checkpoint(
        &mut self,
        lines: String,
        record: CheckpointRecord,
        bytes: Vec<u8>,
        last: bool,
    ) -> Result<Option<CheckpointRecord>> {
        self.take(lines, record.step);
        let step = record.step;
        match self.publish(record, bytes.into()) {
            Err(source) if last => {
                Err(TrainingError::LastCheckpoint { uri: self.run.store().uri().to_owned(), source })
            }
            Err(error) if error.may_pass() => {
                tracing::error!(%step, %error, "the checkpoint could not be written: training goes on, and the next one is tried");
                Ok(None)
            }
            other => Ok(Some(other?)),
        }
    }

    /// Publishes why the attempt stops for good, with the lines so far.
    pub(crate) fn stop(&mut self, lines: String, step: Step, reason: String) -> Result<()> {
        self.take(lines, step);
        self.run.still_ours(self.attempt)?;
        self.publish_lines()?;
        Ok(self.run.publish_stop(&StopRecord { step, attempt: self.attempt, reason, metrics: self.names.clone() })?)
    }

    /// Publishes what a step that was not finite was given, for `worker step --failed`.
    pub(crate) fn capture(&self, mut record: CaptureRecord, bytes: Vec<u8>) -> Result<()> {
        self.run.still_ours(self.attempt)?;
        record.attempt = self.attempt;
        let step = record.step;
        match self.run.publish_capture(record, bytes.into()) {
            Err(error) if error.may_pass() => {
                tracing::error!(%step, %error, "what the failed step was given could not be written: it cannot be replayed");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn take(&mut self, lines: String, up_to: Step) {
        if !lines.is_empty() {
            self.waiting.push((self.from, lines));
        }
        self.from = up_to;
    }

    fn publish(&mut self, mut record: CheckpointRecord, bytes: Bytes) -> Result<CheckpointRecord, RunError> {
        self.run.still_ours(self.attempt)?;
        self.publish_lines()?;
        record.attempt = self.attempt;
        record.metrics = Some(self.names.clone());
        let retention = Retention { keep: self.keep, passed_over: &self.passed_over, best: self.keep_best };
        self.run.publish_checkpoint(record, bytes, retention)
    }

    fn publish_lines(&mut self) -> Result<(), RunError> {
        while let Some((from, lines)) = self.waiting.first() {
            let (key, digest) = self.run.publish_metrics(*from, self.attempt, lines)?;
            self.names.insert(key, digest);
            self.waiting.remove(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_folder::RunRecord;
    use serde_json::json;

    fn record(step: u64) -> CheckpointRecord {
        CheckpointRecord {
            step: step.into(),
            attempt: 0.into(),
            key: String::new(),
            bytes: 0,
            digest: Digest::of(b""),
            failed_in_a_row: 0,
            failed_steps: 0,
            seconds: 0.0,
            score: None,
            metrics: None,
        }
    }

    fn begun(name: &str) -> Run {
        let run = Run::at(&format!("memory://{name}")).unwrap();
        run.begin(&RunRecord::new(json!({}), Digest::of(b""), 1, "1.0")).unwrap();
        run
    }

    #[test]
    fn a_checkpoint_that_could_not_be_written_is_made_up_for_by_the_next_with_all_lines() {
        let run = begun("away");
        let attempt = run.claim_attempt("1.0").unwrap();
        // Calls 0 and 1 are the looks at attempts and run.json; 2 creates the metrics, 3 the checkpoint's bytes.
        for away in 0..4 {
            let broken = Run::of(run.store().with_faults([(away, store::Fault::Unavailable)]));
            let mut keeper = Keeper::new(&broken, attempt, &Checkpoint::default());
            let first = 10 * (away + 1);
            keeper.from = (first - 1).into();
            let line = |step: u64| format!("{{\"step\":{step}}}\n");
            assert_eq!(keeper.checkpoint(line(first - 1), record(first), vec![1; 9], false).unwrap(), None, "{away}");
            let kept = keeper.checkpoint(line(first), record(first + 1), vec![2; 9], false).unwrap().unwrap();
            assert_eq!((kept.step.get(), kept.metrics.unwrap().len()), (first + 1, 2));
            assert!(run.metrics().unwrap().contains_key(&(first - 1).into()));
        }
    }

    #[test]
    fn the_last_checkpoint_fails_with_the_stores_own_reason() {
        let run = begun("last");
        let attempt = run.claim_attempt("1.0").unwrap();
        let full = Run::of(run.store().with_faults([(3, store::Fault::Unavailable)]));
        let error = Keeper::new(&full, attempt, &Checkpoint::default())
            .checkpoint("{}\n".to_owned(), record(5), vec![1], true)
            .unwrap_err();
        assert!(error.to_string().contains("the last checkpoint could not be written"), "{error}");
        let TrainingError::LastCheckpoint { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(source, RunError::Store(store::StoreError::Unavailable { .. })), "{source:?}");
    }

    #[test]
    fn what_another_attempt_has_taken_over_is_not_written() {
        let run = begun("taken");
        let (first, _) = (run.claim_attempt("1.0").unwrap(), run.claim_attempt("1.0").unwrap());
        let mut keeper = Keeper::new(&run, first, &Checkpoint::default());
        assert!(keeper.checkpoint("{}\n".to_owned(), record(5), vec![1], false).is_err());
        assert!(keeper.stop(String::new(), 6.into(), "not finite".to_owned()).is_err());
        assert!(run.store().list("metrics").unwrap().is_empty() && run.checkpoints().unwrap().is_empty());
    }
}
