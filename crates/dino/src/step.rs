//! One training step, in the order of the papers: teacher, student, losses, gradient, clip, AdamW, EMA.
//!
//! Shapes: B images on this rank, T tokens, D width, K prototypes, L local crops, M masked tokens.
//! Everything up to [`State::apply`] only computes; nothing in the state changes unless all of it was finite. Where ranks share the
//! moments, each applies its share and then sends the weights that it has changed.

use crate::{
    CropBatch, DinoError, NonFinite, Quantity, RankShare, State,
    batch::{SubBatch, TokensWanted},
    ema,
    losses::DinoWeights,
    optim::clip_factor,
    state::Scaler,
    targets::{NewCenters, Targets},
};
use collective::{Collective, Transfer, sum_};
use run_spec::schedule::Knobs;
use tch::{Kind, Tensor};
use torch_shim::{autograd, device::Autocast, optimise};

/// The terms of the loss, over the whole global batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// The weighted sum of all terms.
    pub total: f64,
    /// Global crops, with the normaliser's factor.
    pub dino_global: f64,
    /// Local crops, with the normaliser's factor; 0 when they do not count.
    pub dino_local: f64,
    /// iBOT's loss of the masked patches; 0 when it is off.
    pub ibot: f64,
    /// KoLeo, its weight included; 0 when it is off.
    pub koleo: f64,
    /// SIGReg, its weight included; 0 when it is off.
    pub sigreg: f64,
}

impl Losses {
    /// Names as in metrics, with values; `sigreg` only where it is on.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let mut named = vec![
            ("total", self.total),
            ("dino_global", self.dino_global),
            ("dino_local", self.dino_local),
            ("ibot", self.ibot),
            ("koleo", self.koleo),
        ];
        if self.sigreg != 0.0 {
            named.push(("sigreg", self.sigreg));
        }
        named
    }
}

/// What a step did.
#[derive(Debug)]
pub struct StepReport {
    /// The loss and its terms, as means over the global batch.
    pub losses: Losses,
    /// Gradient norm of each submodule before clipping: `backbone`, `dino_head`, and `ibot_head` when there is one.
    pub norms: Vec<(&'static str, f64)>,
    /// Mean entropy of the teacher's CLS targets, in nats.
    pub teacher_entropy: f64,
    /// The teacher's normed CLS tokens of this rank's global crops `[2B, D]`, for [`crate::collapse::rank_me`].
    pub features: Tensor,
    /// What summing the gradients over ranks cost.
    pub transfer: Transfer,
}

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
        self.step_seeing_gradients(batch, knobs, peers, &mut |_, _| ())
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
        self.adam.moments.verify_shares(self.settings.zero1, peers)?;
        let before = self.scaler;
        loop {
            // Before as well as after: a panic in an earlier step may have left something.
            self.reset_gradients()?;
            let outcome = self.learn(batch, knobs, peers, see);
            self.reset_gradients()?;
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
                (Ok(_), scaler) => {
                    *scaler = scaler.map(Scaler::grown);
                    return outcome;
                }
            }
        }
    }

    fn learn(
        &mut self,
        batch: &CropBatch,
        knobs: &Knobs,
        peers: &dyn Collective,
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<StepReport, DinoError> {
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

        let (losses, teacher_entropy) = measure(&values, &entropy, peers)?;
        let norms = self.norms(&gradients)?;
        require_finite(&losses, &norms)?;
        for (name, gradient) in self.student.params.names().iter().zip(&gradients) {
            see(name, gradient);
        }
        self.clip(&gradients, &norms)?;
        self.apply(&gradients, knobs, centers, peers)?;
        Ok(StepReport { losses, norms, teacher_entropy, features, transfer })
    }

    fn reset_gradients(&self) -> Result<(), DinoError> {
        for t in self.student.params.tensors() {
            autograd::reset_grad(t)?;
        }
        Ok(())
    }

    /// Gradient norm of each submodule.
    fn norms(&self, gradients: &[Tensor]) -> Result<Vec<(&'static str, f64)>, DinoError> {
        let mut out = Vec::new();
        for module in self.architecture.submodules() {
            let norm = optimise::norm(&self.members(module, gradients))?;
            out.push((*module, norm.double_value(&[])));
        }
        Ok(out)
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
    fn clip(&self, gradients: &[Tensor], norms: &[(&'static str, f64)]) -> Result<(), DinoError> {
        for (module, norm) in norms {
            let factor = clip_factor(*norm, self.settings.optim.clip);
            if factor < 1.0 {
                optimise::mul_(&self.members(module, gradients), factor)?;
            }
        }
        Ok(())
    }

    /// AdamW, EMA, centres. All numbers were verified: nothing is refused from here on.
    fn apply(
        &mut self,
        gradients: &[Tensor],
        knobs: &Knobs,
        centers: Option<NewCenters>,
        peers: &dyn Collective,
    ) -> Result<(), DinoError> {
        self.adam.step(self.student.params.tensors(), gradients, &self.settings.optim, knobs)?;
        self.adam.moments.gather(self.student.params.tensors(), peers)?;
        ema::update(&self.teacher.params, &self.student.params, knobs.momentum)?;
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

/// Loss terms and entropy as numbers, summed over ranks. `values` `[6]` are those of [`Terms::values`].
fn measure(values: &Tensor, entropy: &Tensor, peers: &dyn Collective) -> Result<(Losses, f64), DinoError> {
    let entropy = entropy.to_kind(Kind::Double).view([1]);
    let mut all = Tensor::cat(&[values, &entropy], 0); // [7]
    sum_(peers, &mut all)?;
    let mut v = [0.0; 7];
    all.copy_data(&mut v, 7);
    let losses = Losses { total: v[0], dino_global: v[1], dino_local: v[2], ibot: v[3], koleo: v[4], sigreg: v[5] };
    Ok((losses, v[6]))
}

fn require_finite(losses: &Losses, norms: &[(&'static str, f64)]) -> Result<(), DinoError> {
    // The whole comes last, so that the term that spoiled it is the one named.
    let named = losses.named();
    let losses = named[1..].iter().chain(&named[..1]).map(|found| (Quantity::Loss, found));
    let norms = norms.iter().map(|found| (Quantity::GradientNorm, found));
    match losses.chain(norms).find(|(_, (_, value))| !value.is_finite()) {
        Some((quantity, &(name, _))) => Err(DinoError::NonFinite(NonFinite { quantity, name })),
        None => Ok(()),
    }
}
