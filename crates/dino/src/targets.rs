//! The teacher's side of a step: unmasked global crops to targets, over the whole global batch however it is cut.

use crate::{
    DinoError, RankShare, State,
    backbone::Crops,
    batch::SubBatch,
    centering::{centered_softmax, mean_of_group_means, mean_of_rows, sharpened_softmax, sinkhorn},
    collapse, wide,
};
use collective::Collective;
use run_spec::{config::Centering, schedule::Knobs};
use tch::Tensor;

/// What the teacher says about this rank's images.
pub(crate) struct Targets {
    /// For each part, in order.
    pub(crate) parts: Vec<PartTargets>,
    /// Centres, where they are moving averages.
    pub(crate) centers: Option<NewCenters>,
    /// Normed CLS tokens `[2B, D]`.
    pub(crate) features: Tensor,
    /// This rank's part of the mean entropy of the CLS targets, in nats.
    pub(crate) entropy: Tensor,
}

/// The targets of one part of b images with m masked patches; views of those of all parts.
pub(crate) struct PartTargets {
    /// `[2, b, K]`, of the crops in their own order.
    pub(crate) cls: Tensor,
    /// Targets of the masked patches `[m, K]`.
    pub(crate) patches: Tensor,
}

/// Centres that this step used, and what it collected for the next.
pub(crate) struct NewCenters {
    pub(crate) dino: (Tensor, Tensor),
    pub(crate) ibot: (Tensor, Tensor),
}

impl State {
    /// The teacher sees the unmasked global crops, part by part; then all its logits together become targets.
    pub(crate) fn targets(
        &self,
        parts: &[SubBatch],
        share: &RankShare,
        knobs: &Knobs,
        peers: &dyn Collective,
    ) -> Result<Targets, DinoError> {
        let kind = self.settings.kind();
        let (b, k) = (share.images, self.architecture.head.prototypes);
        // A moving average is of logits before they are divided; the others are divided while they are narrow.
        let (early, late) = match self.settings.loss.centering {
            Centering::MovingAverage => (1.0, knobs.teacher_temp),
            Centering::SinkhornKnopp | Centering::None => (knobs.teacher_temp, 1.0),
        };
        let (mut features, mut cls, mut patches) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let _autocast = self.autocast()?;
            let b = part.share.images;
            let images = part.global.flatten(0, 1).to_kind(kind); // [2b, 3, H, W]
            let sets = [Crops { images: &images, masks: None, rows: &part.masked.rows, drop: None }];
            let normed = self.teacher.backbone.wanted(&sets, None)?.swap_remove(0); // [2b + m, D]
            let (c, p) = self.teacher.logits(&normed, 2 * b, early);
            features.push(normed.narrow(0, 0, 2 * b).view([2, b, -1]));
            cls.push(wide::to_kind(c, kind).view([2, b, k]));
            patches.push(wide::to_kind(p, kind));
        }
        let features = joined(features, 1).flatten(0, 1);
        let logits = (joined(cls, 1).view([2 * b, k]), joined(patches, 0));
        let group = joined(parts.iter().map(|part| part.masked.group.shallow_clone()).collect(), 0);
        let (cls, patches, centers) = self.centered(logits, &group, share, late, peers)?;
        let cls = cls.view([2, b, k]);
        let entropy = collapse::entropy(&cls) * (share.images as f64 / share.total as f64);
        let (mut image, mut patch) = (0, 0);
        let parts = parts
            .iter()
            .map(|part| {
                let (images, masked) = (part.share.images, part.masked.group.size()[0]);
                let out = PartTargets { cls: cls.narrow(1, image, images), patches: patches.narrow(0, patch, masked) };
                (image, patch) = (image + images, patch + masked);
                out
            })
            .collect();
        Ok(Targets { parts, centers, features, entropy })
    }

    /// Logits of crops `[2B, K]` and of masked patches `[M, K]` to probabilities of the same shapes, as `loss.centering`
    /// says.
    ///
    /// * `group` `[M]`: the loss group of each patch;
    /// * `temp`: what the logits are still to be divided by.
    ///
    /// # Errors
    /// [`DinoError::Collective`] if the other ranks cannot be reached.
    fn centered(
        &self,
        (cls, patches): (Tensor, Tensor),
        group: &Tensor,
        share: &RankShare,
        temp: f64,
        peers: &dyn Collective,
    ) -> Result<(Tensor, Tensor, Option<NewCenters>), DinoError> {
        let loss = &self.settings.loss;
        match loss.centering {
            Centering::SinkhornKnopp => {
                let cls = sinkhorn(cls, temp, loss.sk_iterations, peers)?;
                Ok((cls, sinkhorn(patches, temp, loss.sk_iterations, peers)?, None))
            }
            Centering::MovingAverage => self.less_averages((cls, patches), group, share, temp, peers),
            Centering::None => Ok((sharpened_softmax(cls, temp), sharpened_softmax(patches, temp), None)),
        }
    }

    /// As [`State::centered`], with the moving averages of all ranks' logits as centres.
    fn less_averages(
        &self,
        (cls, patches): (Tensor, Tensor),
        group: &Tensor,
        share: &RankShare,
        temp: f64,
        peers: &dyn Collective,
    ) -> Result<(Tensor, Tensor, Option<NewCenters>), DinoError> {
        let loss = &self.settings.loss;
        let dino = self.center_dino.next(loss.center_momentum);
        let ibot = self.center_ibot.next(loss.center_momentum);
        let collected_dino = mean_of_rows(&cls, 2 * share.total, peers)?;
        let collected_ibot = mean_of_group_means(&patches, group, share.groups, peers)?;
        let (cls, patches) = (centered_softmax(cls, &dino, temp), centered_softmax(patches, &ibot, temp));
        let centers = NewCenters { dino: (dino, collected_dino), ibot: (ibot, collected_ibot) };
        Ok((cls, patches, Some(centers)))
    }
}

/// Tensors one after the other along `axis`; one alone is not copied.
fn joined(mut parts: Vec<Tensor>, axis: i64) -> Tensor {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Tensor::cat(&parts, axis),
    }
}
