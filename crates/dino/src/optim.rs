//! AdamW over groups of parameters, and clipping by submodule.

use crate::{
    DinoError,
    moments::Moments,
    params::{Parameters, Treatment, treatment},
};
use run_spec::{config::Optim, plan::Place, schedule::Knobs};
use tch::{Device, Kind, Tensor};
use torch_shim::optimise::{self, AdamLists, AdamW};

/// Moments and step count of AdamW.
#[derive(Debug)]
pub struct Adam {
    /// The moments that this rank holds.
    pub(crate) moments: Moments,
    /// Optimiser steps taken so far.
    pub steps: u64,
    /// How each of the pieces that this rank holds is treated: their numbers.
    groups: Vec<(Treatment, Vec<usize>)>,
}

impl Adam {
    /// Zero moments for the share of `params` that is the rank's at `place`, grouped by how each is to be treated.
    pub fn new(params: &Parameters, depth: i64, optim: &Optim, place: Place) -> Self {
        let moments = Moments::new(params, place);
        let mut groups: Vec<(Treatment, Vec<usize>)> = Vec::new();
        for (number, held) in moments.held().iter().enumerate() {
            let name = &params.names()[held.piece.index];
            let how = treatment(name, depth, optim.layerwise_decay, optim.patch_embed_lr_mult);
            match groups.iter_mut().find(|(treatment, _)| *treatment == how) {
                Some((_, members)) => members.push(number),
                None => groups.push((how, vec![number])),
            }
        }
        Self { moments, steps: 0, groups }
    }

    /// One step on this rank's share. `params` and `grads` are in name order, each gradient of the shape of its parameter. Where `skip`
    /// `[]` f32 is 1 and not 0, nothing changes but the count.
    ///
    /// # Errors
    /// What LibTorch refuses.
    pub fn step(
        &mut self,
        params: &[Tensor],
        grads: &[Tensor],
        optim: &Optim,
        knobs: &Knobs,
        skip: &Tensor,
    ) -> Result<(), DinoError> {
        let device = params.first().map_or(Device::Cpu, Tensor::device);
        let step = Tensor::full([], f64::from((self.steps + 1) as f32), (Kind::Float, device));
        for (how, members) in &self.groups {
            let lr = if how.last_layer { knobs.last_layer_lr } else { knobs.lr };
            let numbers = AdamW {
                lr: lr * how.lr_mult,
                beta1: optim.beta1,
                beta2: optim.beta2,
                wd: knobs.wd * how.wd_mult,
                eps: optim.eps,
            };
            let held = || members.iter().map(|&number| &self.moments.held()[number]);
            let cut = |list: &[Tensor]| -> Vec<Tensor> { held().map(|h| h.piece.of(&list[h.piece.index])).collect() };
            let lists = AdamLists {
                params: &cut(params),
                grads: &cut(grads),
                first: &held().map(|h| h.first.shallow_clone()).collect::<Vec<_>>(),
                second: &held().map(|h| h.second.shallow_clone()).collect::<Vec<_>>(),
            };
            optimise::fused_adamw(lists, &step, numbers, Some(skip))?;
        }
        self.steps += 1;
        Ok(())
    }
}

/// The factor that brings a gradient of the norm `norm` `[]` f64 to at most `clip`, as `torch.nn.utils.clip_grad_norm_` computes it: `[]`
/// f64, where the norm is.
pub fn clip_factor(norm: &Tensor, clip: f64) -> Tensor {
    (Tensor::full([], clip, (Kind::Double, norm.device())) / (norm + 1e-6)).clamp_max(1.0)
}
