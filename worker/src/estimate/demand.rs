//! What one rank must do in a step: operations, bytes for its peers, and the time of both.

use dino::Architecture;
use run_spec::config::{TrainConfig, Wire};

use super::{Accelerator, Span};
use crate::doctor::flops;

/// The work of one rank in one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    /// Numbers that are trained, heads included.
    pub(super) parameters: u64,
    /// Floating-point operations.
    pub(super) flops: f64,
    /// Bytes that it sends to sum gradients.
    pub(super) gradient_bytes: f64,
    /// Bytes that it sends to give the others the weights that it has updated (`train.zero1`).
    pub(super) weight_bytes: f64,
}

impl Demand {
    /// Of a rank with `images` images among `ranks`.
    pub(super) fn of(config: &TrainConfig, images: u64, ranks: u64) -> Self {
        let parameters = parameters(config);
        let again = if config.train.activation_checkpointing { recomputed(config, images as f64) } else { 0.0 };
        // A ring sends each gradient twice, but for the own part.
        let all_others = (ranks as f64 - 1.0) / ranks as f64 * 4.0 * parameters as f64;
        let of_gradients = if config.train.wire == Wire::Bf16 { all_others / 2.0 } else { all_others };
        Self {
            parameters,
            flops: flops::of_step(config, images as f64) + again,
            gradient_bytes: 2.0 * of_gradients,
            weight_bytes: if config.train.zero1 { all_others } else { 0.0 },
        }
    }

    /// Bytes that it sends in all.
    pub(super) fn wire_bytes(&self) -> f64 {
        self.gradient_bytes + self.weight_bytes
    }

    /// Seconds of a step: at the least the gradients hide behind backward, at the most nothing does. Weights come after it.
    pub(super) fn step_seconds(&self, on: &Accelerator) -> Span {
        let rate = on.flops_per_s();
        let [gradients_s, weights_s] =
            [self.gradient_bytes, self.weight_bytes].map(|bytes| bytes / (on.link_gb_per_s * 1e9));
        let least = (self.flops / rate.most).max(gradients_s) + weights_s;
        Span { least, most: self.flops / rate.least + gradients_s + weights_s }
    }
}

/// Numbers of backbone and heads.
pub(super) fn parameters(config: &TrainConfig) -> u64 {
    let declared = Architecture::of(config).declare();
    declared.iter().map(|declared| declared.shape.iter().product::<i64>().unsigned_abs()).sum()
}

/// The student's blocks, which run forward once more with activation checkpointing.
fn recomputed(config: &TrainConfig, images: f64) -> f64 {
    let used = config.loss.n_local > config.loss.local_loss_above;
    let local = if used { config.loss.n_local as f64 * images } else { 0.0 };
    2.0 * images * flops::backbone(config, config.crops.global_size)
        + local * flops::backbone(config, config.crops.local_size)
}
