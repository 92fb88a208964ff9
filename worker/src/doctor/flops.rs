//! Floating-point operations of a training step, estimated from the configuration.
//!
//! A product of m × k by k × n counts 2mkn; backward costs twice its forward. Counted are the linear layers, attention's two
//! products, the patch embedding and the heads; left out are norms, activations, the losses and the optimiser.

use dino::{Architecture, head};
use run_spec::config::TrainConfig;

/// Operations of one step on one rank with `images` images.
pub(crate) fn of_step(config: &TrainConfig, images: f64) -> f64 {
    let (student, teacher) = (3.0, 1.0);
    let global = 2.0 * images;
    // Crops that enter no loss are not looked at (`n_local: 1` as published).
    let used = config.loss.n_local > config.loss.local_loss_above;
    let local = if used { config.loss.n_local as f64 * images } else { 0.0 };
    let patches = (config.grid() * config.grid()) as f64;
    // Expected masked patches: drawn evenly between the ratios, in a share of the crops.
    let masked = global * patches * config.masks.probability * 0.5 * (config.masks.ratio_min + config.masks.ratio_max);
    let backbone = (student + teacher) * global * backbone(config, config.crops.global_size)
        + student * local * backbone(config, config.crops.local_size);
    let architecture = Architecture::of(config);
    let heads = head(&architecture.head) * ((student + teacher) * global + student * local)
        + head(architecture.patch_head()) * (student + teacher) * masked;
    backbone + heads
}

/// Forward of one crop of `side` pixels.
pub(crate) fn backbone(config: &TrainConfig, side: i64) -> f64 {
    let m = &config.model;
    let (d, grid) = (m.dim as f64, (side / m.patch) as f64);
    let patches = grid * grid;
    let tokens = patches + 1.0 + m.registers as f64;
    let embed = 2.0 * patches * 3.0 * (m.patch * m.patch) as f64 * d;
    let linear = 2.0 * tokens * d * d * (4.0 + 2.0 * m.mlp_ratio);
    let attention = 4.0 * tokens * tokens * d;
    embed + m.depth as f64 * (linear + attention)
}

/// Forward of one token.
fn head(shape: &head::HeadShape) -> f64 {
    let [d, hidden, bottleneck, prototypes] =
        [shape.dim, shape.hidden, shape.bottleneck, shape.prototypes].map(|n| n as f64);
    2.0 * (d * hidden + hidden * hidden + hidden * bottleneck + bottleneck * prototypes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vit_s_forward_is_what_pytorch_counts() {
        // torch.utils.flop_counter of PyTorch 2.11 on timm 1.0.31's vit_small_patch14_dinov2 at 224 px.
        assert_eq!(backbone(&TrainConfig::default(), 224), 12_247_123_968.0);
    }

    #[test]
    fn twice_the_images_are_twice_the_operations() {
        let config = TrainConfig::default();
        assert_eq!(of_step(&config, 8.0), 2.0 * of_step(&config, 4.0));
    }
}
