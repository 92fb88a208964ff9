//! The student's side of a step: masked global crops and local crops to the terms of the loss.

use crate::{
    DinoError, State,
    backbone::{Crops, DropPath, Recompute},
    batch::SubBatch,
    koleo::{self, koleo},
    losses::DinoWeights,
    projection::{self, Arithmetic, Projection},
    sigreg::{self, sigreg},
    targets::PartTargets,
};
use collective::Collective;
use run_spec::config::KoleoExclude;
use tch::{Kind, Tensor};

/// What the student says about a part of the batch, up to the last layer of its heads (P is the bottleneck).
pub(crate) struct Outputs {
    cls: Tensor,           // [2b, P]
    local: Option<Tensor>, // [L, b, P]
    patches: Tensor,       // [m, P]
    features: Tensor,      // [2b, D]
}

/// Loss terms as tensors, in the order of [`crate::Losses`]: this rank's parts, whose sum over ranks is the term.
pub(crate) struct Terms {
    /// The weighted sum of the terms `[]`, with its graph.
    pub(crate) total: Tensor,
    /// The five terms `[]` that were summed.
    pub(crate) parts: [Tensor; 5],
    /// What this rank differentiates: the sum of its gradients over ranks is that of the loss. Its number is not the loss.
    pub(crate) objective: Tensor,
}

impl Terms {
    /// The whole and its terms, without a graph: `[6]` f64.
    pub(crate) fn values(&self) -> Tensor {
        let list = std::iter::once(&self.total).chain(&self.parts);
        let list: Vec<Tensor> = list.map(|t| t.detach().to_kind(Kind::Double)).collect();
        Tensor::stack(&list, 0)
    }
}

impl State {
    /// The student sees masked global crops and, where they count, local crops, all in one pass.
    pub(crate) fn outputs(&self, part: &SubBatch, uses_local: bool) -> Result<Outputs, DinoError> {
        let _autocast = self.autocast()?;
        let kind = self.settings.kind();
        let b = part.share.images;
        let drop = |pass: u64, crops: i64| {
            (self.architecture.backbone.drop_path > 0.0).then_some(DropPath {
                seed: self.settings.seed,
                step: self.adam.steps,
                pass,
                share: part.share,
                crops,
            })
        };
        let recompute = self
            .settings
            .activation_checkpointing
            .then(|| Recompute { autocast: self.settings.half().map(|half| (self.device, half)) });
        let backbone = &self.student.backbone;
        let images = part.global.flatten(0, 1).to_kind(kind); // [2b, 3, H, W]
        let masks = part.masks.flatten(0, 1); // [2b, N]
        let local = part.local.as_ref().filter(|_| uses_local);
        let local = local.map(|local| (local.size()[0], local.flatten(0, 1).to_kind(kind))); // [L·b, 3, h, w]
        let mut sets = vec![Crops { images: &images, masks: Some(&masks), rows: &part.masked.rows, drop: drop(0, 2) }];
        let local_cls = local.as_ref().map(|(_, images)| backbone.cls_rows(images));
        if let (Some((n_local, images)), Some(rows)) = (&local, &local_cls) {
            sets.push(Crops { images, masks: None, rows, drop: drop(1, *n_local) });
        }
        let mut wanted = backbone.wanted(&sets, recompute)?.into_iter();
        let features = wanted.next().expect("global crops are always there"); // [2b + m, D]
        let cls = features.narrow(0, 0, 2 * b);
        let (Some((n_local, _)), Some(local)) = (local, wanted.next()) else {
            let (rows, patches) = self.student.bottlenecks(&features, 2 * b);
            return Ok(Outputs { cls: rows, local: None, patches, features: cls });
        };
        let all = Tensor::cat(&[local, features], 0); // [L·b + 2b + m, D]
        let (rows, patches) = self.student.bottlenecks(&all, (n_local + 2) * b);
        Ok(Outputs {
            local: Some(rows.narrow(0, 0, n_local * b).view([n_local, b, -1])),
            cls: rows.narrow(0, n_local * b, 2 * b),
            patches,
            features: cls,
        })
    }

    /// The loss: DINO between different crops, iBOT within a crop, KoLeo and SIGReg on the student's features.
    pub(crate) fn terms(
        &self,
        targets: &PartTargets,
        outputs: &Outputs,
        part: &SubBatch,
        weights: DinoWeights,
        peers: &dyn Collective,
    ) -> Result<Terms, DinoError> {
        let (loss, kind) = (&self.settings.loss, self.settings.kind());
        let zero = || Tensor::zeros([], (kind, self.device));
        let (masked, share) = (&part.masked, &part.share);
        let total = share.total as f64;
        let (dino_layer, ibot_layer) = self.student.last_layers();
        let (mut dino, mut own) = (self.projection(dino_layer), ibot_layer.map(|layer| self.projection(layer)));
        // A mean over the global batch: every row has the same weight, whatever rank it lies on.
        let even = |rows: &Tensor, weight: f64| Tensor::full([rows.size()[0]], weight, (kind, self.device));

        // Row j of the targets is a crop, row j of the swapped student the other crop of the same image.
        let cls = targets.cls.flatten(0, 1); // [2b, K]
        let swapped = outputs.cls.view([2, share.images, -1]).flip([0]).view([1, 2 * share.images, -1]); // [1, 2b, P]
        let weight = even(&cls, weights.global / (2.0 * total));
        let global = dino.cross_entropy(&swapped, &cls, &weight, loss.dino_weight);
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
        objective += ibot.objective + dino.objective()?;
        if let Some(own) = own {
            objective += own.objective()?;
        }
        let (dino_global, ibot) = (global.value, ibot.value);
        let (koleo, koleo_objective) = match loss.koleo_weight {
            0.0 => (zero(), zero()),
            weight => {
                let (part, objective) = self.koleo(&outputs.features, part, peers)?;
                (part * weight, objective * weight)
            }
        };
        let (sigreg, sigreg_objective) = match loss.sigreg_weight {
            0.0 => (zero(), zero()),
            weight => {
                let (part, objective) = self.sigreg(&outputs.features, part, peers)?;
                (part * weight, objective * weight)
            }
        };
        let common = (&dino_global + &dino_local) * loss.dino_weight + &ibot * loss.ibot_weight;
        Ok(Terms {
            total: &common + &koleo + &sigreg,
            objective: objective + koleo_objective + sigreg_objective,
            parts: [dino_global, dino_local, ibot, koleo, sigreg],
        })
    }

    /// A last layer `[K, P]` with the student's temperature, ready for a step.
    fn projection(&self, layer: Tensor) -> Projection {
        let arithmetic = Arithmetic {
            half: self.settings.half(),
            temp: self.settings.loss.student_temp,
            scale: self.scaler.map_or(1.0, |scaler| scaler.scale),
            block_bytes: projection::block_bytes(self.device),
        };
        Projection::new(layer, arithmetic)
    }

    /// KoLeo of `features` `[2b, D]` within each crop of each loss group: this rank's part, and what it differentiates.
    fn koleo(&self, features: &Tensor, part: &SubBatch, peers: &dyn Collective) -> Result<(Tensor, Tensor), DinoError> {
        let (share, eps) = (&part.share, koleo::Eps::of(&self.settings.loss));
        let size = share.group_size();
        // Whole numbers below 2⁵³, so that ranks can exchange them in f64.
        let mut koleo_exclusion =
            self.koleo_exclusion(part)?.map(|numbers| numbers.to_kind(Kind::Double).view([1, share.images, 1]));
        if share.cut {
            koleo_exclusion = koleo_exclusion.map(|numbers| share.gather(&numbers, peers)).transpose()?;
        }
        let koleo_exclusion = koleo_exclusion.map(|t| t.expand([2, -1, 1], false).reshape([-1, size]));
        self.over_groups(features, part, peers, |sets| koleo(sets, koleo_exclusion.as_ref(), eps))
    }

    /// SIGReg of `features` `[2b, D]` within each crop of each loss group, as [`State::koleo`].
    fn sigreg(
        &self,
        features: &Tensor,
        part: &SubBatch,
        peers: &dyn Collective,
    ) -> Result<(Tensor, Tensor), DinoError> {
        let place = (self.settings.kind(), self.device);
        let directions = sigreg::directions(self.settings.seed, self.adam.steps, features.size()[1], place);
        self.over_groups(features, part, peers, |sets| sigreg(sets, &directions))
    }

    /// A term `of` the rows of each crop of each loss group, `[S, B, D]` to `[S]`: this rank's part of its sum over crops and mean over groups, and what this rank
    /// differentiates.
    fn over_groups(
        &self,
        features: &Tensor,
        part: &SubBatch,
        peers: &dyn Collective,
        of: impl Fn(&Tensor) -> Tensor,
    ) -> Result<(Tensor, Tensor), DinoError> {
        let share = &part.share;
        let (kind, d) = (self.settings.kind(), features.size()[1]);
        let (groups, size) = (share.groups as f64, share.group_size());
        let mine = features.to_kind(kind).view([2, share.images, d]);
        let sum_over_sets = |rows: &Tensor| of(&rows.reshape([-1, size, d])).sum(kind) / groups;
        if !share.cut {
            let part = sum_over_sets(&mine);
            return Ok((part.shallow_clone(), part));
        }
        // A group spans ranks: each computes the whole term over all rows, its own with a graph. Rows act on each other in
        // both directions, so only the whole term has this rank's whole gradient.
        let all = share.gather(&mine, peers)?;
        let after = share.first + share.images;
        let rows = Tensor::cat(&[all.narrow(1, 0, share.first), mine, all.narrow(1, after, share.total - after)], 1);
        let whole = sum_over_sets(&rows);
        Ok((whole.detach() / peers.world() as f64, whole))
    }

    /// What KoLeo leaves out, where it leaves out anything.
    fn koleo_exclusion(&self, part: &SubBatch) -> Result<Option<Tensor>, DinoError> {
        let (exclude, b) = (self.settings.loss.koleo_exclude, part.share.images);
        if exclude == KoleoExclude::None {
            return Ok(None);
        }
        match &part.koleo_exclusion {
            Some(koleo_exclusion) if koleo_exclusion.size() == [b] => Ok(Some(koleo_exclusion.shallow_clone())),
            other => Err(DinoError::Batch {
                what: "koleo_exclusion",
                found: other.as_ref().map(Tensor::size).unwrap_or_default(),
                expected: format!("[{b}] is needed for loss.koleo_exclude {exclude}"),
            }),
        }
    }
}
