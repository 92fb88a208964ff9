//! What a run keeps while it trains: metrics, checkpoints, steps that failed. Rank 0 keeps the first two.
//!
//! A checkpoint is written beside training, from a copy of the state, one at a time and in order: the next one waits for the one
//! before. Where the store cannot be written now, training goes on, and the next checkpoint brings the lines too. Where ranks write
//! parts, each has a keeper, and rank 0 publishes the record once all parts are there.

use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use run_folder::{CaptureRecord, CheckpointPart, CheckpointRecord, Loaded, Parts, PieceValue, Run, RunError};
use run_spec::config::Checkpoint;
use run_spec::ids::{Attempt, Rank, Step};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainingError};
use crate::publisher::Publisher;

/// One attempt's checkpoints, and who writes them.
#[derive(Debug)]
pub(crate) struct Keeper {
    run: Run,
    attempt: Attempt,
    hand: Hand,
    /// The part that this rank writes, and the record for which rank 0 waits.
    part: Option<(CheckpointRecord, JoinHandle<PartWritten>)>,
    /// The last checkpoint that was written, by this attempt or the one that it goes on from.
    kept: Option<CheckpointRecord>,
    /// Seconds of writing, of checkpoints that ended since this was last asked.
    upload_s: Option<f64>,
}

/// Who has the publisher.
#[derive(Debug)]
enum Hand {
    Free(Box<Publisher>),
    Writing(Step, JoinHandle<Written>),
    /// It went with a thread that panicked.
    Lost,
}

/// A checkpoint that a thread was to write.
#[derive(Debug)]
struct Written {
    publisher: Box<Publisher>,
    result: Result<CheckpointRecord, RunError>,
    seconds: f64,
}

/// A part that a thread was to write.
#[derive(Debug)]
struct PartWritten {
    result: Result<PartOfRank, RunError>,
    seconds: f64,
}

/// What rank 0 must know of a rank's part. A rank may have none: a small state has fewer pieces than ranks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartOfRank {
    part: Option<CheckpointPart>,
    values: Vec<PieceValue>,
}

/// The bytes of a rank's part.
#[derive(Debug)]
pub(crate) struct PartBytes {
    pub(crate) rank: Rank,
    pub(crate) parts: Parts,
    /// Where they begin in the whole.
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

impl Keeper {
    pub(crate) fn new(run: &Run, attempt: Attempt, config: &Checkpoint) -> Self {
        let hand = Hand::Free(Box::new(Publisher::new(run, attempt, config)));
        Self { run: run.clone(), attempt, hand, part: None, kept: None, upload_s: None }
    }

    /// Goes on after the checkpoint that was loaded.
    pub(crate) fn go_on(&mut self, loaded: &Loaded) -> Result<()> {
        if let Hand::Free(publisher) = &mut self.hand {
            publisher.go_on(loaded)?;
        }
        self.kept = Some(loaded.record.clone());
        Ok(())
    }

    /// The step of the checkpoint that is being written.
    pub(crate) fn writes(&self) -> Option<Step> {
        match &self.hand {
            Hand::Writing(step, _) => Some(*step),
            Hand::Free(_) | Hand::Lost => self.part.as_ref().map(|(record, _)| record.step),
        }
    }

    /// The step that the run would go on from now.
    pub(crate) fn kept_step(&self) -> Step {
        self.kept.as_ref().map_or(Step::new(0), |record| record.step)
    }

    /// Seconds of writing, of checkpoints that ended since this was last asked.
    pub(crate) fn take_upload_s(&mut self) -> Option<f64> {
        self.upload_s.take()
    }

    /// Begins to publish the lines so far and a checkpoint of `bytes`. The one before must have [`settled`](Self::settle).
    pub(crate) fn begin(&mut self, lines: String, record: CheckpointRecord, bytes: Bytes) -> Result<()> {
        self.take(lines, record.step);
        self.publish(record, Some(bytes))
    }

    fn take(&mut self, lines: String, step: Step) {
        if let Hand::Free(publisher) = &mut self.hand {
            publisher.take(lines, step);
        }
    }

    fn publish(&mut self, record: CheckpointRecord, bytes: Option<Bytes>) -> Result<()> {
        let step = record.step;
        let Hand::Free(mut publisher) = std::mem::replace(&mut self.hand, Hand::Lost) else { return Ok(()) };
        let write = move || {
            let began = Instant::now();
            let result = publisher.checkpoint(record, bytes);
            Written { publisher, result, seconds: began.elapsed().as_secs_f64() }
        };
        self.hand = Hand::Writing(step, beside(write)?);
        Ok(())
    }

    /// Begins to write this rank's part of the checkpoint that `record` will publish; rank 0 gives the lines so far too.
    pub(crate) fn begin_part(&mut self, lines: String, record: CheckpointRecord, part: PartBytes) -> Result<()> {
        self.take(lines, record.step);
        let (run, attempt, key) = (self.run.clone(), self.attempt, record.checkpoint_key());
        let write = move || {
            let (began, values) = (Instant::now(), part.parts.values(part.start, &part.bytes));
            let written = || -> Result<Option<CheckpointPart>, RunError> {
                if part.bytes.is_empty() {
                    return Ok(None);
                }
                run.still_ours(attempt)?;
                Ok(Some(run.write_part(key, part.rank, part.bytes)?))
            };
            let result = written().map(|part| PartOfRank { part, values });
            PartWritten { result, seconds: began.elapsed().as_secs_f64() }
        };
        self.part = Some((record, beside(write)?));
        Ok(())
    }

    /// Whether this rank's part is written; none where no part is on its way, which is so on every rank or on none.
    pub(crate) fn part_is_written(&self) -> Option<bool> {
        self.part.as_ref().map(|(_, thread)| thread.is_finished())
    }

    /// Waits for this rank's part. None where it could not be written, which is said.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub(crate) fn settle_part(&mut self) -> Result<Option<(CheckpointRecord, PartOfRank)>> {
        let Some((record, thread)) = self.part.take() else { return Ok(None) };
        let PartWritten { result, seconds } = joined(thread);
        *self.upload_s.get_or_insert(0.0) += seconds;
        match result {
            Ok(part) => Ok(Some((record, part))),
            Err(error) if error.may_pass() => {
                let step = record.step;
                tracing::error!(
                    "step {step}: a part of the checkpoint could not be written; training continues and tries the next checkpoint: {error}"
                );
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Begins to publish the checkpoint that all ranks have written, on rank 0.
    pub(crate) fn publish_parts(&mut self, mut record: CheckpointRecord, of_ranks: Vec<PartOfRank>) -> Result<()> {
        let (world, values) = (of_ranks.len(), of_ranks.iter().flat_map(|of| of.values.iter().copied()));
        let values: Vec<PieceValue> = values.collect();
        record.parts = of_ranks.into_iter().filter_map(|of| of.part).collect();
        record.key = record.checkpoint_key().bytes();
        record.bytes = record.parts.iter().map(|part| part.bytes).sum();
        let only = record.parts.first().map(|part| part.digest);
        record.digest = Parts::of(record.bytes, world).digest(&values).or(only).unwrap_or(record.digest);
        self.publish(record, None)
    }

    /// Takes note of a checkpoint that is written by now, and waits for none.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub(crate) fn look(&mut self) -> Result<()> {
        match &self.hand {
            Hand::Writing(_, thread) if thread.is_finished() => self.settle(),
            _ => Ok(()),
        }
    }

    /// Waits for the checkpoint that is being written. One that could not be written now is said; its lines wait for the next.
    ///
    /// # Errors
    /// What no later checkpoint can make up for: another attempt has the run, the folder is gone.
    pub(crate) fn settle(&mut self) -> Result<()> {
        match self.join() {
            Some((step, Err(error))) if error.may_pass() => {
                tracing::error!(
                    "step {step}: the checkpoint could not be written; training continues and tries the next one: {error}"
                );
                Ok(())
            }
            Some((_, Err(error))) => Err(error.into()),
            Some((_, Ok(()))) | None => Ok(()),
        }
    }

    /// Waits for the last checkpoint of the run, which must be written.
    pub(crate) fn settle_last(&mut self) -> Result<Option<CheckpointRecord>> {
        if let Some((_, Err(source))) = self.join() {
            return Err(TrainingError::LastCheckpoint { uri: self.run.store().uri().to_owned(), source });
        }
        Ok(self.kept.clone())
    }

    fn join(&mut self) -> Option<(Step, Result<(), RunError>)> {
        let (step, thread) = match std::mem::replace(&mut self.hand, Hand::Lost) {
            Hand::Writing(step, thread) => (step, thread),
            other => {
                self.hand = other;
                return None;
            }
        };
        let Written { publisher, result, seconds } = joined(thread);
        self.hand = Hand::Free(publisher);
        *self.upload_s.get_or_insert(0.0) += seconds;
        let result = result.map(|record| {
            tracing::debug!(%step, seconds, bytes = record.bytes, "the checkpoint is written");
            self.kept = Some(record);
        });
        Some((step, result))
    }

    /// Publishes why the attempt stops for good, with the lines so far, after the checkpoint that is being written.
    pub(crate) fn stop(&mut self, lines: String, step: Step, reason: String) -> Result<()> {
        self.settle_part()?;
        self.settle()?;
        if let Hand::Free(publisher) = &mut self.hand {
            publisher.take(lines, step);
            publisher.stop(step, reason)?;
        }
        Ok(())
    }

    /// Publishes what a step that was not finite was given, for `worker step --failed`.
    pub(crate) fn capture(&self, mut record: CaptureRecord, bytes: Vec<u8>) -> Result<()> {
        self.run.still_ours(self.attempt)?;
        record.attempt = self.attempt;
        let step = record.step;
        match self.run.publish_capture(record, bytes.into()) {
            Err(error) if error.may_pass() => {
                tracing::error!(
                    "step {step} failed, and its inputs could not be written, so it cannot be repeated: {error}"
                );
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

/// Starts a thread that writes.
fn beside<T: Send + 'static>(write: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(write);
    thread.map_err(|error| TrainingError::Threads { purpose: "write checkpoints", source: Box::new(error) })
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Drop for Keeper {
    /// A checkpoint that is being written is worth its time, whatever ended training.
    fn drop(&mut self) {
        // A part without the others is worth nothing, but half of it would stay in the store.
        if let Some((_, thread)) = self.part.take() {
            let _ = thread.join();
        }
        if let Hand::Writing(_, thread) = std::mem::replace(&mut self.hand, Hand::Lost) {
            // A panic there was reported by its own hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_folder::RunRecord;
    use run_spec::ids::Digest;
    use serde_json::json;

    fn record(step: u64) -> CheckpointRecord {
        CheckpointRecord::without_bytes(0.into(), step.into())
    }

    fn begun(name: &str) -> Run {
        let run = Run::at(&format!("memory://{name}")).unwrap();
        run.begin(&RunRecord::new(json!({}), Digest::of(b""), 1, "1.0")).unwrap();
        run
    }

    fn keeper(run: &Run, attempt: Attempt) -> Keeper {
        Keeper::new(run, attempt, &Checkpoint::default())
    }

    #[test]
    fn a_checkpoint_that_could_not_be_written_is_made_up_for_by_the_next_with_all_lines() {
        let run = begun("away");
        let attempt = run.claim_attempt("1.0").unwrap();
        // Calls 0 and 1 are the looks at attempts and run.json; 2 creates the metrics, 3 the checkpoint's bytes.
        for away in 0..4 {
            let broken = Run::of(run.store().with_faults([(away, store::Fault::Unavailable)]));
            let mut keeper = keeper(&broken, attempt);
            let first = 10 * (away + 1);
            if let Hand::Free(publisher) = &mut keeper.hand {
                publisher.take(String::new(), (first - 1).into());
            }
            let line = |step: u64| format!("{{\"step\":{step}}}\n");
            keeper.begin(line(first - 1), record(first), vec![1; 9].into()).unwrap();
            assert_eq!(keeper.writes(), Some(first.into()));
            keeper.settle().unwrap();
            assert_eq!((keeper.writes(), keeper.kept_step().get()), (None, 0), "{away}");
            keeper.begin(line(first), record(first + 1), vec![2; 9].into()).unwrap();
            let kept = keeper.settle_last().unwrap().unwrap();
            assert_eq!((kept.step.get(), kept.metrics.unwrap().len()), (first + 1, 2));
            assert!(run.metrics().unwrap().contains_key(&(first - 1).into()));
            assert!(keeper.take_upload_s().is_some() && keeper.take_upload_s().is_none());
        }
    }

    #[test]
    fn the_last_checkpoint_fails_with_the_stores_own_reason() {
        let run = begun("last");
        let attempt = run.claim_attempt("1.0").unwrap();
        let full = Run::of(run.store().with_faults([(3, store::Fault::Unavailable)]));
        let mut keeper = keeper(&full, attempt);
        keeper.begin("{}\n".to_owned(), record(5), vec![1].into()).unwrap();
        let error = keeper.settle_last().unwrap_err();
        assert!(error.to_string().contains("the last checkpoint could not be written"), "{error}");
        let TrainingError::LastCheckpoint { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(source, RunError::Store(store::StoreError::Unavailable { .. })), "{source:?}");
    }

    #[test]
    fn what_another_attempt_has_taken_over_is_not_written() {
        let run = begun("taken");
        let (first, _) = (run.claim_attempt("1.0").unwrap(), run.claim_attempt("1.0").unwrap());
        let mut keeper = keeper(&run, first);
        keeper.begin("{}\n".to_owned(), record(5), vec![1].into()).unwrap();
        assert!(keeper.settle().is_err());
        assert!(keeper.stop(String::new(), 6.into(), "not finite".to_owned()).is_err());
        assert!(run.store().list("metrics").unwrap().is_empty() && run.checkpoints().unwrap().is_empty());
    }

    #[test]
    fn one_that_is_being_written_is_finished_before_a_stop_and_before_the_end() {
        let run = begun("stopped");
        let attempt = run.claim_attempt("1.0").unwrap();
        let mut keeper = keeper(&run, attempt);
        keeper.begin("{\"step\":4}\n".to_owned(), record(5), vec![1].into()).unwrap();
        keeper.stop("{\"step\":5}\n".to_owned(), 6.into(), "not finite".to_owned()).unwrap();
        assert_eq!(run.store().list("stops").unwrap(), ["stops/00000006-a0001.json"]);
        assert_eq!((run.metrics().unwrap().len(), keeper.kept_step().get()), (2, 5));
        keeper.begin(String::new(), record(7), vec![1].into()).unwrap();
        drop(keeper);
        assert_eq!(run.checkpoints().unwrap().len(), 2);
    }
}
