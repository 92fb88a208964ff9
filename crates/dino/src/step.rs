//! One training step, in the order of the papers: teacher, student, losses, gradient, clip, AdamW, EMA.
//!
//! Shapes: B images on this rank, T tokens, D width, K prototypes, L local crops, M masked tokens.
//! Everything up to [`State::apply`] only computes; nothing in the state changes unless all of it was finite.

use crate::{
    CropBatch, DinoError, Share, State,
    backbone::DropPath,
    batch::Masked,
    centering::{centered_softmax, mean_of_group_means, mean_of_rows, sinkhorn},
    collapse, ema,
    koleo::{self, koleo},
    losses::DinoWeights,
    optim::clip_factor,
    projection::Projection,
    state::Scaler,
};
use collective::{Collective, Transfer, sum_};
use run_spec::{config::Centering, schedule::Knobs};
use tch::{Kind, Tensor};
use torch_shim::{autograd, device::Autocast, optimise};

/// The terms of the loss, over the whole global batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// The whole.
    pub total: f64,
    /// Global crops, with the normaliser's factor.
    pub dino_global: f64,
    /// Local crops, with the normaliser's factor; 0 when they do not count.
    pub dino_local: f64,
    /// Masked patches.
    pub ibot: f64,
    /// KoLeo, its weight included; 0 when it is off.
    pub koleo: f64,
}

impl Losses {
    /// Names as in metrics, with values.
    pub fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("total", self.total),
            ("dino_global", self.dino_global),
            ("dino_local", self.dino_local),
            ("ibot", self.ibot),
            ("koleo", self.koleo),
        ]
    }
}

/// What a step did.
#[derive(Debug)]
pub struct StepReport {
    /// Loss terms.
    pub losses: Losses,
    /// Gradient norm of each submodule before clipping: `backbone`, `dino_head`, and `ibot_head` when there is one.
    pub norms: Vec<(&'static str, f64)>,
    /// Mean entropy of the teacher's CLS targets, in nats.
    pub teacher_entropy: f64,
    /// The teacher's normed CLS tokens of this rank's global crops `[2B, D]`, for [`collapse::rank_me`].
    pub features: Tensor,
    /// What summing the gradients over ranks cost.
    pub transfer: Transfer,
    /// Gradients by name, of the whole global batch, before clipping; only from [`State::step_keeping_gradients`].
    pub gradients: Option<Vec<(String, Tensor)>>,
}

/// What the teacher says about a batch.
struct Targets {
    cls: Tensor,     // [2, B, K], of the crops in their own order
    patches: Tensor, // [M, K]
    centers: Option<NewCenters>,
    features: Tensor, // [2B, D]
}

/// Centres that this step used, and what it collected for the next.
struct NewCenters {
    dino: (Tensor, Tensor),
    ibot: (Tensor, Tensor),
}

/// What the student says about a batch, up to the last layer of its heads (P is the bottleneck).
struct Outputs {
    cls: Tensor,           // [2B, P]
    local: Option<Tensor>, // [L, B, P]
    patches: Tensor,       // [M, P]
    features: Tensor,      // [2B, D]
}

/// Loss terms as tensors, in the order of [`Losses`]: this rank's parts, whose sum over ranks is the term.
struct Terms {
    total: Tensor,
    parts: [Tensor; 4],
    /// What this rank differentiates: the sum of its gradients over ranks is that of the loss. Its number is not the loss.
    objective: Tensor,
}

impl State {
    /// The part of the global batch that one of the ranks holds.
    ///
    /// # Errors
    /// More ranks than images.
    pub fn share(&self, rank: usize, world: usize) -> Result<Share, DinoError> {
        Share::of(self.settings.batch_size, self.settings.loss_groups, rank, world)
    }

    /// Learns from one batch.
    ///
    /// Every rank calls it with its part of the batch and the same `knobs`; afterwards all hold the same state.
    ///
    /// # Errors
    /// [`DinoError::NonFinite`] on all ranks alike, a lost peer, or a batch that does not fit. The state is then as
    /// it was before the call.
    pub fn step(&mut self, batch: &CropBatch, knobs: &Knobs, peers: &dyn Collective) -> Result<StepReport, DinoError> {
        self.guarded(batch, knobs, peers, false)
    }

    /// As [`State::step`], and the report holds the gradients.
    ///
    /// # Errors
    /// As [`State::step`].
    pub fn step_keeping_gradients(
        &mut self,
        batch: &CropBatch,
        knobs: &Knobs,
        peers: &dyn Collective,
    ) -> Result<StepReport, DinoError> {
        self.guarded(batch, knobs, peers, true)
    }

    fn guarded(
        &mut self,
        batch: &CropBatch,
        knobs: &Knobs,
        peers: &dyn Collective,
        keep: bool,
    ) -> Result<StepReport, DinoError> {
        let before = self.scaler;
        loop {
            // Before as well as after: a panic in an earlier step may have left something.
            self.reset_gradients()?;
            let outcome = self.learn(batch, knobs, peers, keep);
            self.reset_gradients()?;
            match (&outcome, &mut self.scaler) {
                // A gradient overflowed half precision: the same batch again, scaled less. All ranks see the same norm.
                (Err(DinoError::NonFinite { term }), Some(scaler))
                    if term.starts_with("norm.") && scaler.scale > 1.0 =>
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
        keep: bool,
    ) -> Result<StepReport, DinoError> {
        let share = self.share(peers.rank(), peers.world())?;
        let weights = DinoWeights::of(&self.settings.loss);
        let n_local = weights.uses_local.then_some(self.settings.loss.n_local);
        let shape = &self.architecture.backbone;
        batch.check(shape, share.images, n_local)?;
        let first = self.student.backbone.first_patch();
        let options = (self.settings.kind(), self.device);
        let masked = Masked::new(&batch.masks, first, &share, options);

        let targets = tch::no_grad(|| self.targets(batch, &masked, &share, knobs, peers))?;
        let outputs = self.outputs(batch, &masked, &share, weights.uses_local)?;
        let terms = self.terms(&targets, &outputs, &masked, &share, weights, peers)?;
        // The targets are as large as all logits, and backward does not need them.
        let Targets { cls, patches, centers, features } = targets;
        let entropy = tch::no_grad(|| collapse::entropy(&cls)) * (share.images as f64 / share.total as f64);
        drop((cls, patches));

        // Half precision loses small gradients, so the loss is scaled up and the gradients down.
        let scale = self.scaler.map_or(1.0, |scaler| scaler.scale);
        let objective = &terms.objective * scale;
        let backward = || Ok::<_, DinoError>(autograd::backward(&objective, None)?);
        let (gradients, transfer) = self.reducer.sum_during(peers, backward)?;
        if scale != 1.0 {
            optimise::mul_(&gradients, 1.0 / scale)?;
        }

        let (losses, teacher_entropy) = measure(&terms, &entropy, peers)?;
        let norms = self.norms(&gradients)?;
        require_finite(&losses, &norms)?;
        let kept = keep.then(|| {
            let names = self.student.params.names().iter().cloned();
            names.zip(gradients.iter().map(Tensor::copy)).collect()
        });
        self.apply(&gradients, &norms, knobs, centers)?;
        Ok(StepReport { losses, norms, teacher_entropy, features, transfer, gradients: kept })
    }

    /// The teacher sees the unmasked global crops; its logits become targets.
    fn targets(
        &self,
        batch: &CropBatch,
        masked: &Masked,
        share: &Share,
        knobs: &Knobs,
        peers: &dyn Collective,
    ) -> Result<Targets, DinoError> {
        let (kind, loss) = (self.settings.kind(), &self.settings.loss);
        let (b, k) = (batch.images(), self.architecture.head.prototypes);
        let (features, cls, patches) = {
            let _autocast = self.autocast()?;
            let images = batch.global.flatten(0, 1).to_kind(kind); // [2B, 3, H, W]
            let tokens = self.teacher.backbone.tokens(&images, None, None); // [2B, T, D]
            let features = self.teacher.backbone.norm(&gather(&tokens, &masked.rows));
            let (cls, patches) = self.teacher.logits(&features, 2 * b);
            (features, cls.to_kind(kind), patches.to_kind(kind))
        };
        let temp = knobs.teacher_temp;
        let (cls, patches, centers) = match loss.centering {
            Centering::SinkhornKnopp => (
                sinkhorn(cls, temp, loss.sk_iterations, peers)?,
                sinkhorn(patches, temp, loss.sk_iterations, peers)?,
                None,
            ),
            Centering::MovingAverage => {
                let dino = self.center_dino.next(loss.center_momentum);
                let ibot = self.center_ibot.next(loss.center_momentum);
                let collected = (
                    mean_of_rows(&cls, 2 * share.total, peers)?,
                    mean_of_group_means(&patches, &masked.group, share.groups, peers)?,
                );
                let cls = centered_softmax(cls, &dino, temp);
                let patches = centered_softmax(patches, &ibot, temp);
                let centers = NewCenters { dino: (dino, collected.0), ibot: (ibot, collected.1) };
                (cls, patches, Some(centers))
            }
        };
        Ok(Targets { cls: cls.view([2, b, k]), patches, centers, features: features.narrow(0, 0, 2 * b) })
    }

    /// The student sees masked global crops and, where they count, local crops.
    fn outputs(
        &self,
        batch: &CropBatch,
        masked: &Masked,
        share: &Share,
        uses_local: bool,
    ) -> Result<Outputs, DinoError> {
        let _autocast = self.autocast()?;
        let kind = self.settings.kind();
        let b = batch.images();
        let drop = |pass: u64, crops: i64| {
            (self.architecture.backbone.drop_path > 0.0).then_some(DropPath {
                seed: self.settings.seed,
                step: self.adam.steps,
                pass,
                share: *share,
                crops,
            })
        };
        let backbone = &self.student.backbone;
        let images = batch.global.flatten(0, 1).to_kind(kind); // [2B, 3, H, W]
        let masks = batch.masks.flatten(0, 1).to_device(self.device); // [2B, N]
        let tokens = backbone.tokens(&images, Some(&masks), drop(0, 2)); // [2B, T, D]
        let features = backbone.norm(&gather(&tokens, &masked.rows)); // [2B + M, D]
        let cls = features.narrow(0, 0, 2 * b);
        let local = batch.local.as_ref().filter(|_| uses_local).map(|local| {
            let n_local = local.size()[0];
            let images = local.flatten(0, 1).to_kind(kind); // [L·B, 3, h, w]
            let tokens = backbone.tokens(&images, None, drop(1, n_local));
            (n_local, backbone.norm(&tokens.select(1, 0))) // [L·B, D]
        });
        let Some((n_local, local)) = local else {
            let (rows, patches) = self.student.bottlenecks(&features, 2 * b);
            return Ok(Outputs { cls: rows, local: None, patches, features: cls });
        };
        let all = Tensor::cat(&[local, features], 0); // [L·B + 2B + M, D]
        let (rows, patches) = self.student.bottlenecks(&all, (n_local + 2) * b);
        Ok(Outputs {
            local: Some(rows.narrow(0, 0, n_local * b).view([n_local, b, -1])),
            cls: rows.narrow(0, n_local * b, 2 * b),
            patches,
            features: cls,
        })
    }

    /// The loss: DINO between different crops, iBOT within a crop, KoLeo on the student's features.
    fn terms(
        &self,
        targets: &Targets,
        outputs: &Outputs,
        masked: &Masked,
        share: &Share,
        weights: DinoWeights,
        peers: &dyn Collective,
    ) -> Result<Terms, DinoError> {
        let (loss, kind) = (&self.settings.loss, self.settings.kind());
        let zero = || Tensor::zeros([], (kind, self.device));
        let total = share.total as f64;
        let (dino_layer, ibot_layer) = self.student.last_layers();
        let scale = self.scaler.map_or(1.0, |scaler| scaler.scale);
        let project = |layer| Projection::new(layer, self.settings.half(), loss.student_temp, scale);
        let (mut dino, mut own) = (project(dino_layer), ibot_layer.map(project));
        // A mean over the global batch: every row has the same weight, whatever rank it lies on.
        let even = |rows: &Tensor, weight: f64| Tensor::full([rows.size()[0]], weight, (kind, self.device));

        // Row j of the student is a crop, row j of the flipped targets the other crop of the same image.
        let swapped = targets.cls.flip([0]).flatten(0, 1); // [2B, K]
        let weight = even(&swapped, weights.global / (2.0 * total));
        let global = dino.cross_entropy(&outputs.cls.unsqueeze(0), &swapped, &weight, loss.dino_weight);
        let mut objective = global.objective;
        let mut dino_local = zero();
        if let Some(rows) = &outputs.local {
            // Cross-entropy is linear in the targets: against both crops it is twice that against their mean.
            let both = targets.cls.mean_dim([0].as_slice(), false, kind); // [B, K]
            let local = dino.cross_entropy(rows, &both, &even(&both, 2.0 * weights.local / total), loss.dino_weight);
            objective += local.objective;
            dino_local = local.value;
        }
        // The mean is over all crops, the unmasked ones included.
        let weight = &masked.weights / (2.0 * total);
        let layer = own.as_mut().unwrap_or(&mut dino);
        let ibot = layer.cross_entropy(&outputs.patches.unsqueeze(0), &targets.patches, &weight, loss.ibot_weight);
        objective += ibot.objective + dino.objective();
        if let Some(own) = own {
            objective += own.objective();
        }
        let (dino_global, ibot) = (global.value, ibot.value);
        let (koleo, koleo_objective) = match loss.koleo_weight {
            0.0 => (zero(), zero()),
            weight => {
                let (part, objective) = self.koleo(&outputs.features, share, peers)?;
                (part * weight, objective * weight)
            }
        };
        let common = (&dino_global + &dino_local) * loss.dino_weight + &ibot * loss.ibot_weight;
        Ok(Terms {
            total: &common + &koleo,
            objective: objective + koleo_objective,
            parts: [dino_global, dino_local, ibot, koleo],
        })
    }

    /// KoLeo of `features` `[2B, D]` within each crop of each loss group: this rank's part, and what it differentiates.
    fn koleo(&self, features: &Tensor, share: &Share, peers: &dyn Collective) -> Result<(Tensor, Tensor), DinoError> {
        let eps = koleo::Eps::of(&self.settings.loss);
        let (kind, d) = (self.settings.kind(), features.size()[1]);
        let (groups, size) = (share.groups as f64, share.group_size());
        let mine = features.to_kind(kind).view([2, share.images, d]);
        let sum_over_sets = |rows: &Tensor| koleo(&rows.reshape([-1, size, d]), eps).sum(kind) / groups;
        if !share.cut {
            let part = sum_over_sets(&mine);
            return Ok((part.shallow_clone(), part));
        }
        // A group spans ranks: each computes the whole term over all rows, its own with a graph. Neighbours act on each
        // other in both directions, so only the whole term has this rank's whole gradient.
        let all = share.gather(&mine, peers)?;
        let after = share.first + share.images;
        let rows = Tensor::cat(&[all.narrow(1, 0, share.first), mine, all.narrow(1, after, share.total - after)], 1);
        let whole = sum_over_sets(&rows);
        Ok((whole.detach() / peers.world() as f64, whole))
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

    /// Clip, AdamW, EMA, centres. All numbers were verified: nothing is refused from here on.
    fn apply(
        &mut self,
        gradients: &[Tensor],
        norms: &[(&'static str, f64)],
        knobs: &Knobs,
        centers: Option<NewCenters>,
    ) -> Result<(), DinoError> {
        for (module, norm) in norms {
            let factor = clip_factor(*norm, self.settings.optim.clip);
            if factor < 1.0 {
                optimise::mul_(&self.members(module, gradients), factor)?;
            }
        }
        self.adam.step(self.student.params.tensors(), gradients, &self.settings.optim, knobs)?;
        ema::update(&self.teacher.params, &self.student.params, knobs.momentum)?;
        if let Some(NewCenters { dino, ibot }) = centers {
            (self.center_dino.value, self.center_dino.pending) = (dino.0, Some(dino.1));
            (self.center_ibot.value, self.center_ibot.pending) = (ibot.0, Some(ibot.1));
        }
        Ok(())
    }

    fn autocast(&self) -> Result<Option<Autocast>, DinoError> {
        let enter = |half| Autocast::enter(self.device, half);
        Ok(self.settings.half().map(enter).transpose()?)
    }
}

/// Rows of `tokens` `[2B, T, D]`, flattened.
fn gather(tokens: &Tensor, rows: &Tensor) -> Tensor {
    tokens.flatten(0, 1).index_select(0, rows)
}

/// Loss terms and entropy as numbers, summed over ranks.
fn measure(terms: &Terms, entropy: &Tensor, peers: &dyn Collective) -> Result<(Losses, f64), DinoError> {
    let mut list = vec![&terms.total];
    list.extend(&terms.parts);
    list.push(entropy);
    let list: Vec<Tensor> = list.iter().map(|t| t.detach().to_kind(Kind::Double)).collect();
    let mut all = Tensor::stack(&list, 0); // [6]
    sum_(peers, &mut all)?;
    let mut v = [0.0; 6];
    all.copy_data(&mut v, 6);
    let losses = Losses { total: v[0], dino_global: v[1], dino_local: v[2], ibot: v[3], koleo: v[4] };
    Ok((losses, v[5]))
}

fn require_finite(losses: &Losses, norms: &[(&'static str, f64)]) -> Result<(), DinoError> {
    // The whole comes last, so that the term that spoiled it is the one named.
    let named = losses.named();
    let losses = named[1..].iter().chain(&named[..1]);
    let terms = losses
        .map(|(name, value)| (format!("loss.{name}"), *value))
        .chain(norms.iter().map(|(name, value)| (format!("norm.{name}"), *value)));
    for (term, value) in terms {
        if !value.is_finite() {
            return Err(DinoError::NonFinite { term });
        }
    }
    Ok(())
}
