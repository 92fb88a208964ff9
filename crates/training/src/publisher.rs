//! What publishes metrics and checkpoints of one attempt, in order. A store that cannot be written now may be written at the next
//! checkpoint: lines wait until then.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use run_folder::{CheckpointRecord, Loaded, Retention, Run, RunError, StopRecord};
use run_spec::config::Checkpoint;
use run_spec::ids::{Attempt, Digest, Step};

/// One attempt's hand on the run's folder.
#[derive(Debug)]
pub(crate) struct Publisher {
    run: Run,
    attempt: Attempt,
    /// Number of checkpoints that stay besides the final one.
    keep: usize,
    /// The one with the best score stays too.
    keep_best: bool,
    /// Those of a step that is a multiple of this stay too.
    keep_every: Option<u64>,
    /// Records of damaged checkpoints that were passed over when the run was opened.
    passed_over: BTreeSet<String>,
    /// Metrics files of the steps so far.
    names: BTreeMap<String, Digest>,
    /// Metrics lines that are not published yet, with the first step of each part.
    waiting: Vec<(Step, String)>,
    /// First step whose lines are in no part yet.
    from: Step,
}

impl Publisher {
    pub(crate) fn new(run: &Run, attempt: Attempt, config: &Checkpoint) -> Self {
        Self {
            run: run.clone(),
            attempt,
            keep: usize::try_from(config.keep).unwrap_or(usize::MAX),
            keep_best: config.keep_best,
            keep_every: config.keep_every,
            passed_over: BTreeSet::new(),
            names: BTreeMap::new(),
            waiting: Vec::new(),
            from: Step::new(0),
        }
    }

    /// Goes on after the checkpoint that was loaded.
    pub(crate) fn go_on(&mut self, loaded: &Loaded) -> Result<(), RunError> {
        self.names = self.run.metrics_up_to(&loaded.record)?;
        self.passed_over = loaded.passed_over.clone();
        self.from = loaded.record.step;
        Ok(())
    }

    /// Takes the lines of the steps before `up_to`, for the next publication.
    pub(crate) fn take(&mut self, lines: String, up_to: Step) {
        if !lines.is_empty() {
            self.waiting.push((self.from, lines));
        }
        self.from = up_to;
    }

    /// Publishes the lines so far and a checkpoint of `bytes`; without bytes, of the parts that `record` names. What was not published
    /// waits for the next call.
    pub(crate) fn checkpoint(
        &mut self,
        mut record: CheckpointRecord,
        bytes: Option<Bytes>,
    ) -> Result<CheckpointRecord, RunError> {
        self.run.still_ours(self.attempt)?;
        self.lines()?;
        record.attempt = self.attempt;
        record.metrics = Some(self.names.clone());
        if let Some(bytes) = bytes {
            self.run.write_bytes(&mut record, bytes)?;
            // A later attempt that has begun meanwhile removes what was not published.
            self.run.still_ours(self.attempt)?;
        }
        let (passed_over, best) = (&self.passed_over, self.keep_best);
        let retention = Retention { keep: self.keep, passed_over, best, every: self.keep_every };
        self.run.publish_record(&record, retention)?;
        Ok(record)
    }

    /// Publishes why the attempt stops for good, with the lines so far.
    pub(crate) fn stop(&mut self, step: Step, reason: String) -> Result<(), RunError> {
        self.run.still_ours(self.attempt)?;
        self.lines()?;
        self.run.publish_stop(&StopRecord { step, attempt: self.attempt, reason, metrics: self.names.clone() })
    }

    fn lines(&mut self) -> Result<(), RunError> {
        while let Some((from, lines)) = self.waiting.first() {
            let (key, digest) = self.run.publish_metrics(*from, self.attempt, lines)?;
            self.names.insert(key, digest);
            self.waiting.remove(0);
        }
        Ok(())
    }
}
