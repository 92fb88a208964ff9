//! AdamW over groups of parameters, and clipping by submodule.

use crate::{
    DinoError,
    params::{Parameters, Treatment, treatment},
};
use run_spec::{config::Optim, schedule::Knobs};
use tch::{Device, Tensor};
use torch_shim::optimise::{self, AdamLists, AdamW};

/// Moments and step count of AdamW.
#[derive(Debug)]
pub struct Adam {
    /// First moments, under the parameters' names.
    pub first: Parameters,
    /// AdamW's second moments, one for each parameter.
    pub second: Parameters,
    /// Optimiser steps taken so far.
    pub steps: u64,
    groups: Vec<(Treatment, Vec<usize>)>,
}

impl Adam {
    /// Zero moments for `params`, grouped by how each is to be treated.
    pub fn new(params: &Parameters, depth: i64, optim: &Optim) -> Self {
        let mut groups: Vec<(Treatment, Vec<usize>)> = Vec::new();
        for (index, name) in params.names().iter().enumerate() {
            let how = treatment(name, depth, optim.layerwise_decay, optim.patch_embed_lr_mult);
            match groups.iter_mut().find(|(treatment, _)| *treatment == how) {
                Some((_, members)) => members.push(index),
                None => groups.push((how, vec![index])),
            }
        }
        Self { first: params.zeros_like(), second: params.zeros_like(), steps: 0, groups }
    }

    /// One step. `params` and `grads` are in name order, each gradient of the shape of its parameter.
    ///
    /// # Errors
    /// What LibTorch refuses.
    pub fn step(&mut self, params: &[Tensor], grads: &[Tensor], optim: &Optim, knobs: &Knobs) -> Result<(), DinoError> {
        let device = params.first().map_or(Device::Cpu, Tensor::device);
        let step = Tensor::from((self.steps + 1) as f32).to_device(device);
        let pick = |list: &[Tensor], members: &[usize]| -> Vec<Tensor> {
            members.iter().map(|&i| list[i].shallow_clone()).collect()
        };
        for (how, members) in &self.groups {
            let lr = if how.last_layer { knobs.last_layer_lr } else { knobs.lr };
            let numbers = AdamW {
                lr: lr * how.lr_mult,
                beta1: optim.beta1,
                beta2: optim.beta2,
                wd: knobs.wd * how.wd_mult,
                eps: optim.eps,
            };
            let lists = AdamLists {
                params: &pick(params, members),
                grads: &pick(grads, members),
                first: &pick(self.first.tensors(), members),
                second: &pick(self.second.tensors(), members),
            };
            optimise::fused_adamw(lists, &step, numbers)?;
        }
        self.steps += 1;
        Ok(())
    }
}

/// The factor that brings a gradient of this norm to at most `clip`, as `torch.nn.utils.clip_grad_norm_` computes it.
pub fn clip_factor(norm: f64, clip: f64) -> f64 {
    (clip / (norm + 1e-6)).min(1.0)
}
