//! The steps of a run: each is queued before the one before it is read, so that the device never waits for the host.
//!
//! What ranks have to agree on after each step travels as votes with the numbers of that step, and is known when they are read: after the
//! next step was queued. So all ranks know the same at the same place, and a wish to stop is heeded one step later than it was voted.
//! A step whose batch some rank does not hold yet is not queued on trust: then everything is read first, and the ranks agree anew.

use dino::{CropBatch, DinoError, QueuedStep, collapse, tensor_bytes};
use run_folder::CaptureRecord;
use run_spec::ids::{Digest, Rank, World};
use run_spec::plan::SampleSums;
use run_spec::schedule::Knobs;
use tch::{Kind, Tensor};
use torch_shim::crossing::Reading;

use super::{Attempt, FAILURES_IN_A_ROW, Trainer};
use crate::RanksError;
use crate::error::{Result, TrainingError};
use crate::loader::LoadedBatch;

/// A step that is not read yet, with what is needed to queue it again and to write its line.
pub(super) struct InFlight {
    pub(super) step: u64,
    queued: QueuedStep,
    /// As it came: levels take a quarter of the memory of floats.
    batch: CropBatch,
    pub(super) samples: SampleSums,
    pub(super) knobs: Knobs,
    votes: Votes,
    /// The Gram matrix of all ranks' features on its way to the first rank, where the line of this step has RankMe.
    pub(super) gram: Option<Reading>,
}

/// What a rank says with a step: it is asked to stop; it holds no batch for the step after the next; its part of a checkpoint is written.
type Votes = [bool; 3];

/// What the ranks said with the last step that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    /// Some rank is asked to stop.
    pub(super) asked: bool,
    /// Some rank holds no batch for the next step.
    pub(super) lacking: bool,
}

impl Agreed {
    /// No step was read: nothing is known of the others.
    pub(super) const NOTHING: Self = Self { asked: false, lacking: true };
}

impl Trainer<'_> {
    /// Queues this step, whose batch is `loaded`, and reads the one before it. `lacking`: there is no batch yet for the step after the next.
    /// Says what the ranks agreed on with the step before.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`] after several steps in a row that were not; a lost peer.
    pub(super) fn take_step(&mut self, loaded: LoadedBatch, knobs: Knobs, lacking: bool) -> Result<Agreed> {
        let LoadedBatch { crops, samples } = loaded;
        let votes = [self.attempt.job.stop.asked(), lacking, self.keeper.part_is_written().unwrap_or(false)];
        let batch = self.pixels.send(&crops)?;
        let queued = self.queue(self.step, batch, samples, knobs, votes)?;
        if let Some(before) = self.in_flight.replace(queued) {
            self.read(before)?;
        }
        // Of the step before, whether it was read now or earlier.
        let agreed = self.agreed;
        if self.is_probed(self.step) {
            // The score is of the state after this very step.
            self.settle()?;
        }
        Ok(agreed)
    }

    /// Reads the step that is not read yet, if there is one: the host then knows all that the device was asked for.
    ///
    /// # Errors
    /// As [`Trainer::take_step`].
    pub(super) fn settle(&mut self) -> Result<()> {
        self.in_flight.take().map_or(Ok(()), |last| self.read(last))
    }

    fn queue(
        &mut self,
        step: u64,
        batch: CropBatch,
        samples: SampleSums,
        knobs: Knobs,
        votes: Votes,
    ) -> Result<InFlight> {
        let queued = self.state.queue(&self.pixels.floats(&batch), &knobs, self.attempt.ranks.peers(), &votes)?;
        let gram = if self.has_rank_me(step) { self.gram(queued.features())? } else { None };
        Ok(InFlight { step, queued, batch, samples, knobs, votes, gram })
    }

    /// Sends the Gram matrix of all ranks' `features` `[2B, D]` to the first rank.
    fn gram(&self, features: &Tensor) -> Result<Option<Reading>> {
        let Attempt { share, ranks, .. } = self.attempt;
        let d = features.size()[1];
        let all = share.gather(&features.view([2, share.images, d]), ranks.peers()).map_err(RanksError::from)?;
        let begin = || Reading::begin(&collapse::gram(&all.view([-1, d]))).map_err(DinoError::from);
        Ok(self.first().then(begin).transpose()?)
    }

    /// Reads the numbers of a step, and does what follows from them.
    fn read(&mut self, flight: InFlight) -> Result<()> {
        let InFlight { step, queued, batch, samples, knobs, gram, .. } = flight;
        let ranks = self.attempt.ranks;
        let read = self.state.read(queued, ranks.peers())?;
        if read.votes[2] == ranks.world() as u64 {
            self.finish_parts()?;
        }
        self.agreed = Agreed { asked: read.votes[0] > 0, lacking: read.votes[1] > 0 };
        let was_finite = !matches!(read.outcome, Err(DinoError::NonFinite(_)));
        let outcome = match was_finite || !self.state.tries_again() {
            true => read.outcome,
            // Half precision may have overflowed.
            false => self.state.step(&self.pixels.floats(&batch), &knobs, ranks.peers()),
        };
        match outcome {
            Ok(report) => {
                self.failed_in_a_row = 0;
                self.count_step();
                self.log(step, &report, (&samples, gram), &knobs)?;
            }
            Err(DinoError::NonFinite(found)) => {
                let term = found.to_string();
                let captured = self.leave_out(step, &self.pixels.floats(&batch), &term);
                ranks.agree(captured)?;
                if self.failed_in_a_row >= FAILURES_IN_A_ROW {
                    return Err(self.not_finite(step, term));
                }
            }
            Err(error) => return Err(error.into()),
        }
        if self.first() {
            self.observer.on_step(step + 1);
        }
        if !was_finite && let Some(behind) = self.in_flight.take() {
            // What was queued behind it has changed nothing.
            let InFlight { step, batch, samples, knobs, votes, .. } = behind;
            self.in_flight = Some(self.queue(step, batch, samples, knobs, votes)?);
        }
        Ok(())
    }

    fn count_step(&mut self) {
        let Attempt { ranks, share, .. } = self.attempt;
        let waited_s = std::mem::take(&mut self.waited_s);
        self.metrics.count(share.total as usize, waited_s);
        self.pace.iter_mut().for_each(|pace| pace.count(ranks, waited_s));
    }

    /// Whether `step` has a line of metrics: every so many, with each online probe, and the last.
    pub(super) fn has_line(&self, step: u64) -> bool {
        self.is_last(step) || self.is_probed(step) || step.is_multiple_of(self.config().log.every_steps)
    }

    pub(super) fn is_probed(&self, step: u64) -> bool {
        let every = self.config().log.probe_every_steps;
        every.is_some_and(|every| self.is_last(step) || (step + 1).is_multiple_of(every))
    }

    fn has_rank_me(&self, step: u64) -> bool {
        self.has_line(step) && (self.is_last(step) || step.is_multiple_of(self.config().log.collapse_every_steps))
    }

    fn is_last(&self, step: u64) -> bool {
        step + 1 == self.config().total_steps()
    }

    /// RankMe, which the first rank computes while the device goes on.
    pub(super) fn rank_me(&self, gram: Reading) -> Result<f64> {
        let values = gram.finish(|| {
            std::thread::yield_now();
            Ok::<(), DinoError>(())
        })?;
        let side = values.len().isqrt() as i64;
        Ok(collapse::rank_me(&Tensor::from_slice(&values).view([side, side])))
    }

    /// Keeps what is needed to run the step again: each rank its batch and masks, the first the state before it.
    fn leave_out(&mut self, step: u64, batch: &CropBatch, term: &str) -> Result<()> {
        self.failed_in_a_row += 1;
        self.failed_steps += 1;
        let first = self.first();
        let line = self.metrics.add_failed(step.into(), term);
        if first {
            let in_a_row = self.failed_in_a_row;
            tracing::warn!("step {step} is left out, because {term} was NaN or infinite ({in_a_row} in a row)");
            self.observer.on_metrics(&line);
        }
        let mut tensors = vec![
            ("global".to_owned(), batch.global.shallow_clone()),
            ("masks".to_owned(), batch.masks.to_kind(Kind::Uint8)),
        ];
        tensors.extend(batch.local.as_ref().map(|local| ("local".to_owned(), local.shallow_clone())));
        let state = self.state.gathered(first, self.attempt.ranks.peers())?;
        if first {
            tensors.extend(state.into_iter().map(|(name, tensor)| (format!("state.{name}"), tensor)));
        }
        tensors.extend(
            batch.koleo_exclusion.as_ref().map(|numbers| ("koleo_exclusion".to_owned(), numbers.shallow_clone())),
        );
        let bytes =
            tensor_bytes::to_bytes_with_facts(&tensors, &[("step", step.to_string()), ("term", term.to_owned())])?;
        let record = CaptureRecord {
            step: step.into(),
            attempt: self.attempt.number,
            rank: Rank::new(self.attempt.ranks.rank() as u32),
            world: World::new(self.attempt.ranks.world() as u32),
            term: term.to_owned(),
            key: String::new(),
            bytes: 0,
            digest: Digest::of(b""),
        };
        self.keeper.capture(record, bytes)
    }

    fn not_finite(&self, step: u64, term: String) -> TrainingError {
        TrainingError::NotFinite {
            steps: FAILURES_IN_A_ROW,
            term,
            step: step.into(),
            captured: self.attempt.run.store().uri_of("failed"),
            rate: if self.config().optim.lr.is_some() { "lr" } else { "base_lr" },
        }
    }
}
