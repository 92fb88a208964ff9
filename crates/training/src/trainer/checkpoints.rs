//! The checkpoints of a run: when one is due, the copy that is written beside training, and what the ranks agree on about it.

use std::time::Instant;

use dino::tensor_bytes::Room;
use run_folder::{CheckpointRecord, Parts};
use run_spec::ids::Rank;

use super::{Attempt, Trainer};
use crate::RanksError;
use crate::error::{Result, TrainingError};
use crate::keeper::PartBytes;

impl Trainer<'_> {
    /// Begins a checkpoint, with the metrics up to it, where one is due. Who is asked to stop, and the last step, wait until it is
    /// written. Gives its step; none where it could not be written.
    pub(super) fn checkpoint(&mut self, asked: bool, total: u64) -> Result<Option<u64>> {
        let Attempt { ranks, .. } = self.attempt;
        let (every, done) = (self.config().checkpoint.every_steps, self.step == total);
        if !done && !asked && !self.step.is_multiple_of(every) {
            return Ok(Some(self.step));
        }
        // Also what is not read yet: a step that was not finite leaves another state.
        self.settle()?;
        let began = Instant::now();
        ranks.agree(self.state.verify_equal(ranks.peers()).map_err(TrainingError::from))?;
        if let (Some(writes), true, true) = (self.keeper.writes(), asked, self.first()) {
            tracing::info!("stopping: first the checkpoint of step {writes} is finished, which is being written");
        }
        self.finish_parts()?;
        self.consumption.sum(ranks.peers()).map_err(RanksError::from)?;
        let writes = self.first() || self.in_parts();
        let settled = match writes {
            true => ranks.at_store(self.doing(), || self.keeper.settle()),
            false => Ok(()),
        };
        ranks.agree(settled)?;
        let begun = match writes {
            true => ranks.at_store(self.doing(), || self.begin_checkpoint(asked)),
            // The others give what they hold.
            false if self.config().train.zero1 => self.copy_state().map(drop),
            false => Ok(()),
        };
        ranks.agree(begun)?;
        self.metrics.count_stall(began.elapsed().as_secs_f64());
        if !done && !asked {
            return Ok(Some(self.step));
        }
        self.finish_parts()?;
        let kept = match self.first() {
            true => ranks.at_store(self.doing(), || self.end_checkpoint(done)),
            false => Ok(Some(self.step)),
        };
        ranks.agree(kept)
    }

    /// Whether each rank writes a part of a checkpoint.
    pub(super) fn in_parts(&self) -> bool {
        self.config().checkpoint.sharded && self.attempt.ranks.world() > 1
    }

    fn doing(&self) -> String {
        format!("the checkpoint of step {}", self.step)
    }

    /// Copies the state, or this rank's part of it. With `train.zero1` every rank calls it: one that writes nothing copies nothing, and
    /// gives the others the moments that they lack.
    fn copy_state(&mut self) -> Result<PartBytes> {
        let Attempt { ranks, record, .. } = self.attempt;
        let facts = [("step", self.step.to_string()), ("config", record.config_digest.to_string())];
        let (rank, world) = (ranks.rank(), if self.in_parts() { ranks.world() } else { 1 });
        let (mut parts, mut start) = (Parts::of(0, world), 0);
        let part = |length: usize| {
            parts = Parts::of(length as u64, world);
            let range = if rank < world { parts.range(rank) } else { 0..0 };
            start = range.start;
            range.start as usize..range.end as usize
        };
        let room = Room { used: self.copies.used(), device: self.state.device() };
        let copy = self.state.copy_with_facts(&facts, part, room, ranks.peers())?;
        Ok(PartBytes { rank: Rank::new(rank as u32), parts, start, bytes: self.copies.share(copy) })
    }

    /// Begins to write a copy of the state, or of this rank's part of it. The checkpoint before is written.
    fn begin_checkpoint(&mut self, asked: bool) -> Result<()> {
        let copy = self.copy_state()?;
        let record = self.checkpoint_record(asked);
        if asked && self.first() {
            let (step, from) = (self.step, self.keeper.kept_step());
            tracing::info!(
                "stopping: writing a checkpoint of step {step} (if this process is killed before it is written, the run continues from step {from})"
            );
        }
        let lines = self.metrics.take();
        match self.in_parts() {
            true => self.keeper.begin_part(lines, record, copy),
            false => self.keeper.begin(lines, record, copy.bytes),
        }
    }

    /// The record of a checkpoint of this step, whose bytes are not known yet.
    fn checkpoint_record(&self, asked: bool) -> CheckpointRecord {
        CheckpointRecord {
            failed_in_a_row: self.failed_in_a_row,
            failed_steps: self.failed_steps,
            seconds: self.seconds(),
            energy: Some(self.consumption.record()),
            held: Some(self.held(asked || self.step == self.config().total_steps())),
            score: self.scored.filter(|(step, _)| *step == self.step).map(|(_, score)| score),
            ..CheckpointRecord::without_bytes(self.attempt.number, self.step.into())
        }
    }

    /// Waits for the parts that all ranks write, where any are on their way, and lets rank 0 publish them. Every rank calls it.
    pub(super) fn finish_parts(&mut self) -> Result<()> {
        let Attempt { ranks, .. } = self.attempt;
        if self.keeper.part_is_written().is_none() {
            return Ok(());
        }
        let doing = "a part of a checkpoint";
        let written = ranks.agree(ranks.at_store(doing, || self.keeper.settle_part()))?;
        let (record, part) = written.unzip();
        let of_ranks: Option<Vec<_>> = ranks.gather(&part)?.into_iter().collect();
        let (true, Some(record)) = (self.first(), record) else { return Ok(()) };
        match of_ranks {
            Some(of_ranks) => self.keeper.publish_parts(record, of_ranks),
            None => {
                let step = record.step;
                tracing::error!("there is no checkpoint of step {step}: not all ranks could write their parts");
                Ok(())
            }
        }
    }

    /// Takes note of what is written by now. Every rank calls it after each step, with whether it is asked to stop; says whether any is.
    pub(super) fn look_at_checkpoints(&mut self, asked: bool) -> Result<bool> {
        self.keeper.look()?;
        let ranks = self.attempt.ranks;
        let Some(written) = self.keeper.part_is_written() else { return Ok(ranks.any(asked)?) };
        let [asked, written] = ranks.count([asked, written])?;
        if written == ranks.world() {
            self.finish_parts()?;
        }
        Ok(asked > 0)
    }

    /// Waits for the checkpoint of this step; after the last step says that the run is done.
    fn end_checkpoint(&mut self, done: bool) -> Result<Option<u64>> {
        if !done {
            self.keeper.settle()?;
            return Ok((self.keeper.kept_step() == self.step).then_some(self.step));
        }
        let last = self.keeper.settle_last()?.filter(|last| last.step == self.step);
        let last = last.ok_or_else(|| TrainingError::LastParts { uri: self.attempt.run.store().uri().to_owned() })?;
        self.finish(last)?;
        Ok(Some(self.step))
    }

    fn finish(&self, last: CheckpointRecord) -> Result<()> {
        let Attempt { run, number, job, .. } = self.attempt;
        run.still_ours(number)?;
        Ok(run.finish(last, job.device.description.clone(), number)?)
    }

    /// Ends a run whose last checkpoint was written by an attempt that ended before it could say so.
    pub(super) fn finish_what_was_resumed(&mut self, total: u64) -> Result<()> {
        match self.resumed.take() {
            Some(last) if self.first() && last.step == total => self.finish(last),
            _ => Ok(()),
        }
    }
}
