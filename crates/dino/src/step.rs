//! One training step, in the order of the papers: teacher, student, losses, gradient, clip, AdamW, EMA.
//!
//! Shapes: B images on this rank, T tokens, D width, K prototypes, L local crops, M masked tokens.
//! Everything up to [`State::apply`] only computes; nothing in the state changes unless all of it was finite, which the device finds out
//! and the host reads later (the module `queued`). Where ranks share the moments, each applies its share and then sends the weights that it has changed.

use crate::{
    CropBatch, DinoError, Quantity, QueuedStep, RankShare, State, StepReport,
    batch::{SubBatch, TokensWanted},
    ema,
    losses::DinoWeights,
    optim::clip_factor,
    queued::{self, Gate, Numbers, TERMS},
    state::Scaler,
    targets::{NewCenters, Targets},
};
use collective::{Collective, Transfer, sum_};
use run_spec::schedule::Knobs;
use tch::{Kind, Tensor};
use torch_shim::{autograd, crossing::Reading, device::Autocast, optimise};

impl State {
    /// The part of the global batch that one of the ranks holds.
    ///
    /// # Errors
    /// More ranks than images.
    pub fn share(&self, rank: usize, world: usize) -> Result<RankShare, DinoError> {
        RankShare::of(self.settings.batch_size, self.settings.loss_groups, rank, world)
    }

    /// Whether a step can be taken on `world` ranks.
    ///
    /// # Errors
    /// [`DinoError::Accumulation`], and those of [`State::share`].
    pub fn check_world(&self, world: usize) -> Result<(), DinoError> {
        for rank in 0..world {
            let share = self.share(rank, world)?;
            let (count, size) = (self.parts_of(&share), share.group_size());
            // KoLeo and SIGReg need all features of a group at once; every other term is a sum over images.
            let whole = SubBatch::ends(&share, count).all(|end| (share.first + end) % size == 0);
            let of_groups = self.settings.loss.koleo_weight != 0.0 || self.settings.loss.sigreg_weight != 0.0;
            if of_groups && count > 1 && !whole {
                let parts = self.settings.gradient_accumulation;
                return Err(DinoError::Accumulation { parts, images: share.images, group: size });
            }
        }
        Ok(())
    }

    /// How many parts a rank's images go through the networks in: none is empty.
    fn parts_of(&self, share: &RankShare) -> i64 {
        (self.settings.gradient_accumulation as i64).min(share.images)
    }

    /// Learns from one batch.
    ///
    /// Every rank calls it with its part of the batch and the same `knobs`; afterwards all hold the same state.
    ///
    /// # Errors
    /// [`DinoError::NonFinite`] on all ranks alike, a lost peer, or a batch that does not fit. The state is then as
    /// it was before the call, unless the peer was lost while ranks that share moments exchanged weights: it then refuses every
    /// later step ([`DinoError::Torn`]).
    pub fn step(&mut self, batch: &CropBatch, knobs: &Knobs, peers: &dyn Collective) -> Result<StepReport, DinoError> {
        self.step_now(batch, knobs, peers, None)
    }

    /// As [`State::step`], and `see` is shown the gradient of every parameter, of its shape, in name order: that of the
    /// whole global batch, before clipping. It shares its memory with the step, which goes on to change it: copy what
    /// must last.
    ///
    /// # Errors
    /// As [`State::step`]; where the numbers are not finite, `see` is not called.
    pub fn step_seeing_gradients(
        &mut self,
        batch: &CropBatch,
        knobs: &Knobs,
        peers: &dyn Collective,
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<StepReport, DinoError> {
        self.step_now(batch, knobs, peers, Some(see))
    }

    fn step_now(
        &mut self,
        batch: &CropBatch,
        knobs: &Knobs,
        peers: &dyn Collective,
        mut see: Option<Seeing<'_, '_>>,
    ) -> Result<StepReport, DinoError> {
        let before = self.scaler;
        loop {
            let queued = self.queue_seeing(batch, knobs, peers, &[], see.as_deref_mut());
            let outcome = queued.and_then(|queued| self.read(queued, peers)?.outcome);
            match (&outcome, &mut self.scaler) {
                // A gradient overflowed half precision: the same batch again, scaled less. All ranks see the same norm.
                (Err(DinoError::NonFinite(found)), Some(scaler))
                    if found.quantity == Quantity::GradientNorm && scaler.scale > 1.0 =>
                {
                    scaler.scale /= 2.0;
                    scaler.good_steps = 0;
                }
                (Err(_), _) => {
                    self.scaler = before;
                    return outcome;
                }
                (Ok(_), _) => return outcome,
            }
        }
    }

    /// Whether a step that was not finite may go well with [`State::step`], which tries it with smaller scales of the loss.
    pub fn tries_again(&self) -> bool {
        self.scaler.is_some_and(|scaler| scaler.scale > 1.0)
    }

    /// Queues the work of a step, which the host does not wait for: [`State::read`] tells what happened to it.
    ///
    /// Every rank calls it with its part of the batch and the same `knobs`. Its `votes` are added to those of the others on the way, and
    /// are read with the rest. Until a step is read, the state is as after it, should it have been finite.
    ///
    /// # Errors
    /// As [`State::step`], but for numbers that are not finite.
    pub fn queue(
        &mut self,
        batch: &CropBatch,
        knobs: &Knobs,
        peers: &dyn Collective,
        votes: &[bool],
    ) -> Result<QueuedStep, DinoError> {
        self.queue_seeing(batch, knobs, peers, votes, None)
    }

    fn queue_seeing(
        &mut self,
        batch: &CropBatch,
        knobs: &Knobs,
        peers: &dyn Collective,
        votes: &[bool],
        see: Option<Seeing<'_, '_>>,
    ) -> Result<QueuedStep, DinoError> {
        self.adam.moments.verify_shares(self.settings.zero1, peers)?;
        // Before as well as after: a panic in an earlier step may have left something.
        self.reset_gradients()?;
        let learned = self.learn(batch, knobs, peers);
        self.reset_gradients()?;
        let Learned { gradients, transfer, values, centers, features } = learned?;
        let terms = summed(values, votes, peers)?;
        let norms = self.norms(&gradients)?;
        let all_norms = Tensor::stack(&norms.iter().map(|(_, norm)| norm.shallow_clone()).collect::<Vec<_>>(), 0);
        let gate = queued::gate(&Tensor::cat(&[&terms.narrow(0, 0, TERMS as i64), &all_norms], 0), self.gate.as_ref());
        let numbers = Tensor::cat(&[&terms, &all_norms, &gate.taken.view([1])], 0);
        let modules: Vec<&'static str> = norms.iter().map(|(module, _)| *module).collect();
        if let Some(see) = see {
            // Whoever wants to see gradients waits for them.
            Numbers::of(&queued::arrived(Reading::begin(&numbers)?, peers)?, &modules).require_finite()?;
            for (name, gradient) in self.student.params.names().iter().zip(&gradients) {
                see(name, gradient);
            }
        }
        let numbers = Reading::begin(&numbers)?;
        let before = self.before();
        self.clip(&gradients, &norms)?;
        self.apply(&gradients, knobs, centers, &gate, peers)?;
        self.scaler = self.scaler.map(Scaler::grown);
        self.gate = Some(gate.taken);
        Ok(QueuedStep { numbers, modules, features, transfer, before })
    }

    fn learn(&mut self, batch: &CropBatch, knobs: &Knobs, peers: &dyn Collective) -> Result<Learned, DinoError> {
        let share = self.share(peers.rank(), peers.world())?;
        let weights = DinoWeights::of(&self.settings.loss);
        let n_local = weights.uses_local.then_some(self.settings.loss.n_local);
        let shape = &self.architecture.backbone;
        batch.check(shape, share.images, n_local)?;
        self.check_world(peers.world())?;
        let count = self.parts_of(&share);
        let tokens = TokensWanted {
            first_patch: self.student.backbone.first_patch(),
            masked_patches: self.settings.loss.ibot_weight != 0.0,
        };
        let parts = SubBatch::cut(batch, &share, count, tokens, (self.settings.kind(), self.device));

        let Targets { parts: targets, centers, features, entropy } =
            tch::no_grad(|| self.targets(&parts, &share, knobs, peers))?;
        // Half precision loses small gradients, so the loss is scaled up and the gradients down.
        let scale = self.scaler.map_or(1.0, |scaler| scaler.scale);
        let mut values: Option<Tensor> = None;
        let mut last = None;
        for (i, (part, targets)) in parts.iter().zip(targets).enumerate() {
            let outputs = self.outputs(part, weights.uses_local)?;
            let terms = self.terms(&targets, &outputs, part, weights, peers)?;
            // The targets are as large as all logits, and backward does not need them.
            drop((targets, outputs));
            let here = terms.values();
            values = Some(values.map_or_else(|| here.copy(), |sum| sum + &here));
            let objective = terms.objective * scale;
            if i + 1 < parts.len() {
                // Gradients add up in the leaves; only the last backward sends them.
                autograd::backward(&objective, None)?;
            } else {
                last = Some(objective);
            }
        }
        let (Some(values), Some(objective)) = (values, last) else {
            unreachable!("a batch has at least one part");
        };
        drop(parts);
        let backward = || Ok::<_, DinoError>(autograd::backward(&objective, None)?);
        let (gradients, transfer) = self.reducer.sum_during(peers, backward)?;
        if scale != 1.0 {
            optimise::mul_(&gradients, 1.0 / scale)?;
        }
        let values = Tensor::cat(&[values, entropy.to_kind(Kind::Double).view([1])], 0);
        Ok(Learned { gradients, transfer, values, centers, features })
    }

    fn reset_gradients(&self) -> Result<(), DinoError> {
        for t in self.student.params.tensors() {
            autograd::reset_grad(t)?;
        }
        Ok(())
    }

    /// Gradient norm of each submodule, `[]` f64.
    fn norms(&self, gradients: &[Tensor]) -> Result<Vec<(&'static str, Tensor)>, DinoError> {
        let norm = |module: &&'static str| Ok((*module, optimise::norm(&self.members(module, gradients))?));
        self.architecture.submodules().iter().map(norm).collect()
    }

    /// The tensors of one submodule, out of a list in name order.
    fn members(&self, module: &str, list: &[Tensor]) -> Vec<Tensor> {
        let belongs = |name: &str| name.split('.').next() == Some(module);
        self.student
            .params
            .names()
            .iter()
            .zip(list)
            .filter(|(name, _)| belongs(name))
            .map(|(_, t)| t.shallow_clone())
            .collect()
    }

    /// Makes the gradient of each submodule, which has one of the `norms`, no longer than allowed.
    fn clip(&self, gradients: &[Tensor], norms: &[(&'static str, Tensor)]) -> Result<(), DinoError> {
        for (module, norm) in norms {
            let factor = clip_factor(norm, self.settings.optim.clip).to_kind(self.settings.kind());
            optimise::mul_tensor_(&self.members(module, gradients), &factor)?;
        }
        Ok(())
    }

    /// AdamW, EMA, centres. The device leaves weights and moments as they are where the gate is shut.
    fn apply(
        &mut self,
        gradients: &[Tensor],
        knobs: &Knobs,
        centers: Option<NewCenters>,
        gate: &Gate,
        peers: &dyn Collective,
    ) -> Result<(), DinoError> {
        self.adam.step(self.student.params.tensors(), gradients, &self.settings.optim, knobs, &gate.skip)?;
        self.adam.moments.gather(self.student.params.tensors(), peers)?;
        ema::update(&self.teacher.params, &self.student.params, knobs.momentum, &gate.taken)?;
        if let Some(NewCenters { dino, ibot }) = centers {
            (self.center_dino.value, self.center_dino.pending) = (dino.0, Some(dino.1));
            (self.center_ibot.value, self.center_ibot.pending) = (ibot.0, Some(ibot.1));
        }
        Ok(())
    }

    pub(crate) fn autocast(&self) -> Result<Option<Autocast>, DinoError> {
        let enter = |half| Autocast::enter(self.device, half);
        Ok(self.settings.half().map(enter).transpose()?)
    }
}

/// Is shown the name of each parameter and its gradient.
type Seeing<'a, 'b> = &'a mut (dyn FnMut(&str, &Tensor) + 'b);

/// What one pass over a batch gave.
struct Learned {
    /// Of the whole global batch, in name order.
    gradients: Vec<Tensor>,
    transfer: Transfer,
    /// `[7]` f64: this rank's parts of the terms and of the teacher's entropy.
    values: Tensor,
    centers: Option<NewCenters>,
    /// `[2B, D]`.
    features: Tensor,
}

/// Terms and entropy, `values` `[7]` f64, and votes, summed over ranks: `[7 + votes]`.
fn summed(values: Tensor, votes: &[bool], peers: &dyn Collective) -> Result<Tensor, DinoError> {
    // A number that a kernel writes needs no copy from the host.
    let vote = |vote: &bool| Tensor::full([1], f64::from(u8::from(*vote)), (Kind::Double, values.device()));
    let votes: Vec<Tensor> = votes.iter().map(vote).collect();
    let mut all = Tensor::cat(&std::iter::once(values).chain(votes).collect::<Vec<_>>(), 0);
    sum_(peers, &mut all)?;
    Ok(all)
}
