//! A step between the moment when its work is queued on the device and the one when the host has read its numbers.
//!
//! The host reads them late, so that it queues the next step meanwhile. Whether all numbers were finite is therefore found out on the
//! device, by [`gate`], and a step that was not changes nothing there. Nor does any step that was queued behind it: they were queued by
//! a host that believed in it. So the state after a failure is the one before the failed step, as if each had been read at once.

use crate::{DinoError, Losses, NonFinite, Quantity, State, StepReport, centering::Center, state::Scaler};
use collective::{Collective, CollectiveError, Transfer};
use std::time::Duration;
use tch::{Kind, Tensor};
use torch_shim::crossing::Reading;

/// Terms of the loss, the whole first.
pub(crate) const TERMS: usize = 6;

/// A step whose work is queued. Give it to [`State::read`], in the order of the steps.
#[derive(Debug)]
pub struct QueuedStep {
    /// As [`Numbers`] reads them.
    pub(crate) numbers: Reading,
    /// The submodules whose norms are among them.
    pub(crate) modules: Vec<&'static str>,
    /// The teacher's normed CLS tokens of this rank's global crops `[2B, D]`.
    pub(crate) features: Tensor,
    pub(crate) transfer: Transfer,
    pub(crate) before: Before,
}

impl QueuedStep {
    /// The teacher's normed CLS tokens of this rank's global crops `[2B, D]`, on the device.
    pub fn features(&self) -> &Tensor {
        &self.features
    }
}

/// What a step did, once its numbers are read.
#[derive(Debug)]
pub struct ReadStep {
    /// What was voted, summed over all ranks.
    pub votes: Vec<u64>,
    /// What the step did, or [`DinoError::NonFinite`], on all ranks alike.
    pub outcome: Result<StepReport, DinoError>,
}

/// What the host keeps of a state, as it was before a step.
#[derive(Debug)]
pub(crate) struct Before {
    steps: u64,
    scaler: Option<Scaler>,
    centers: [Center; 2],
}

/// What decides on the device whether a step is taken.
#[derive(Debug)]
pub(crate) struct Gate {
    /// `[]` f64: 1 where the step is taken, else 0.
    pub(crate) taken: Tensor,
    /// `[]` f32: the opposite.
    pub(crate) skip: Tensor,
}

/// Open where all of `numbers` `[n]` f64 are finite, and `behind`, the gate of a step that is not read yet, was open.
pub(crate) fn gate(numbers: &Tensor, behind: Option<&Tensor>) -> Gate {
    let finite = numbers.isfinite().all().to_kind(Kind::Double);
    let taken = behind.map_or_else(|| finite.shallow_clone(), |behind| &finite * behind);
    let skip = (-&taken + 1.0).to_kind(Kind::Float);
    Gate { taken, skip }
}

/// The numbers of a step, in the order in which they travel: terms, entropy, votes, norms, and whether it was taken.
pub(crate) struct Numbers {
    pub(crate) losses: Losses,
    entropy: f64,
    votes: Vec<u64>,
    pub(crate) norms: Vec<(&'static str, f64)>,
    taken: bool,
}

impl Numbers {
    pub(crate) fn of(list: &[f64], modules: &[&'static str]) -> Self {
        let (losses, rest) = list.split_at(TERMS);
        let (rest, taken) = rest.split_at(rest.len() - 1);
        let (head, norms) = rest.split_at(rest.len() - modules.len());
        let [total, dino_global, dino_local, ibot, koleo, sigreg] = std::array::from_fn(|i| losses[i]);
        Self {
            losses: Losses { total, dino_global, dino_local, ibot, koleo, sigreg },
            entropy: head[0],
            votes: head[1..].iter().map(|votes| *votes as u64).collect(),
            norms: modules.iter().copied().zip(norms.iter().copied()).collect(),
            taken: taken[0] == 1.0,
        }
    }

    /// The first number that is not finite.
    pub(crate) fn require_finite(&self) -> Result<(), DinoError> {
        // The whole comes last, so that the term that spoiled it is the one named.
        let named = self.losses.named();
        let losses = named[1..].iter().chain(&named[..1]).map(|found| (Quantity::Loss, found));
        let norms = self.norms.iter().map(|found| (Quantity::GradientNorm, found));
        match losses.chain(norms).find(|(_, (_, value))| !value.is_finite()) {
            Some((quantity, &(name, _))) => Err(DinoError::NonFinite(NonFinite { quantity, name })),
            None => Ok(()),
        }
    }
}

/// Waits for numbers, but not longer than the world lasts.
pub(crate) fn arrived(reading: Reading, peers: &dyn Collective) -> Result<Vec<f64>, DinoError> {
    reading.finish(|| {
        if let Some(reason) = peers.abort_reason().and_then(|ended| ended.reason()) {
            return Err(CollectiveError::Aborted { reason }.into());
        }
        std::thread::sleep(Duration::from_micros(20));
        Ok(())
    })
}

impl State {
    /// Reads what `queued` did: the one wait of the host in a step. Steps are read in the order in which they were queued.
    ///
    /// Where a number was not finite, the state is as it was before that step, and so are the steps that were queued after it: drop what
    /// [`State::queue`] gave for them, and queue them again.
    ///
    /// # Errors
    /// A lost peer, or a device that failed.
    pub fn read(&mut self, queued: QueuedStep, peers: &dyn Collective) -> Result<ReadStep, DinoError> {
        let QueuedStep { numbers, modules, features, transfer, before } = queued;
        let numbers = Numbers::of(&arrived(numbers, peers)?, &modules);
        let outcome = match numbers.require_finite() {
            Err(error) => Err(error),
            Ok(()) if !numbers.taken => Err(DinoError::Behind),
            Ok(()) => {
                let Numbers { losses, entropy, norms, .. } = numbers;
                let teacher_entropy = entropy;
                Ok(StepReport { losses, norms, teacher_entropy, features, transfer })
            }
        };
        if outcome.is_err() {
            self.go_back(before);
        }
        Ok(ReadStep { votes: numbers.votes, outcome })
    }

    pub(crate) fn before(&self) -> Before {
        let handles = |center: &Center| Center {
            value: center.value.shallow_clone(),
            pending: center.pending.as_ref().map(Tensor::shallow_clone),
        };
        let centers = [handles(&self.center_dino), handles(&self.center_ibot)];
        Before { steps: self.adam.steps, scaler: self.scaler, centers }
    }

    fn go_back(&mut self, before: Before) {
        let Before { steps, scaler, centers: [dino, ibot] } = before;
        (self.adam.steps, self.scaler, self.gate) = (steps, scaler, None);
        (self.center_dino, self.center_ibot) = (dino, ibot);
    }
}
