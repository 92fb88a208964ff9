//! Memory of one rank at the peak of a step, by part.
//!
//! What a block keeps for backward is counted tensor by tensor (`dino::backbone::block`): in f32, of width D for each token, the
//! input, both norms, queries, keys and values, what attention gives, both branches' outputs and the stream between them are 10, and
//! the feed-forward layer keeps its hidden layer. Half precision halves what matrix products take in.

use dino::{
    Architecture,
    backbone::{BackboneShape, Feed},
    projection::block_bytes,
};
use run_spec::config::{Precision, TrainConfig, Wire};
use serde::Serialize;
use tch::Device;

use super::{Accelerator, demand};

/// Bytes by part.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Memory {
    weights: f64,
    moments: f64,
    gradients: f64,
    /// Gradients in the dtype in which they travel, where it is not their own.
    travelling: f64,
    activations: f64,
    targets: f64,
    heads: f64,
    batch: f64,
    libraries: f64,
}

impl Memory {
    /// Of a rank with `images` images among `ranks`.
    pub(super) fn of(config: &TrainConfig, images: u64, ranks: u64, on: &Accelerator) -> Self {
        let p = demand::parameters(config) as f64;
        let half = matches!(config.train.precision, Precision::Bf16 | Precision::F16);
        let wide = if config.train.precision == Precision::F64 { 8.0 } else { 4.0 };
        let here = images.div_ceil(config.train.gradient_accumulation.min(images).max(1)) as f64;
        let crops = Crops::of(config, here);
        let all = Crops::of(config, images as f64);
        let shape = BackboneShape::of(config);
        // Lowered weights live as long as autocast keeps them: those of the student.
        let lowered = if half { p * 2.0 } else { 0.0 };
        // With peers, gradients are copied into buckets.
        let buckets = if ranks > 1 { 2.0 } else { 1.0 };
        let travelling = if ranks > 1 && config.train.wire == Wire::Bf16 { 2.0 * p } else { 0.0 };
        let target_rows = (all.global + all.masked) * config.head.prototypes as f64;
        let pixels = |crops: f64, side: i64| crops * 3.0 * (side * side) as f64 * 4.0;
        let batch = pixels(all.global, config.crops.global_size) + pixels(all.local, config.crops.local_size);
        Self {
            weights: 2.0 * p * wide + lowered,
            // With the exchange of weights comes one stretch of them, when activations are gone.
            moments: 2.0 * p * wide / if config.train.zero1 { ranks as f64 } else { 1.0 },
            gradients: p * wide * buckets,
            travelling,
            activations: activations(config, &shape, &crops, half, wide),
            targets: target_rows * wide,
            heads: heads(config, &crops, wide) + logits(config, &crops, on, (wide, half)),
            // As it was loaded, which is a quarter for a GPU, of this step and of the next; and as a step takes it.
            batch: batch * if on.is_cpu { 2.0 } else { 1.5 },
            libraries: on.libraries_gib * f64::from(1 << 30),
        }
    }

    pub(super) fn parts(&self) -> [(&'static str, f64); 9] {
        [
            ("weights of student and teacher", self.weights),
            ("AdamW's two moments", self.moments),
            ("gradients", self.gradients),
            ("gradients in bf16, as they travel", self.travelling),
            ("activations of the student", self.activations),
            ("targets from the teacher", self.targets),
            ("heads and logits", self.heads),
            ("batch", self.batch),
            ("libraries (LibTorch, CUDA)", self.libraries),
        ]
    }

    pub(super) fn total(&self) -> f64 {
        // Gradients grow while activations are given back, block by block: the heads' come first, and the rest finds room.
        let later = self.activations + self.targets;
        let rest: f64 = self.parts().iter().map(|(_, bytes)| bytes).sum::<f64>() - self.gradients - later;
        rest + later.max(self.gradients)
    }
}

/// The most images for which `bytes` do not pass `room`.
pub(super) fn largest(room: f64, bytes: impl Fn(u64) -> f64) -> u64 {
    let (mut fits, mut fails) = (0, 1);
    while bytes(fails) <= room && fails < 1 << 20 {
        (fits, fails) = (fails, fails * 2);
    }
    while fails - fits > 1 {
        let middle = fits + (fails - fits) / 2;
        if bytes(middle) <= room { fits = middle } else { fails = middle }
    }
    fits
}

/// Crops and masked patches of some images.
struct Crops {
    global: f64,
    local: f64,
    masked: f64,
}

impl Crops {
    fn of(config: &TrainConfig, images: f64) -> Self {
        let used = config.loss.n_local > config.loss.local_loss_above;
        let patches = (config.grid() * config.grid()) as f64;
        let masks = &config.masks;
        let share = masks.probability * 0.5 * (masks.ratio_min + masks.ratio_max);
        let global = 2.0 * images;
        let local = if used { config.loss.n_local as f64 * images } else { 0.0 };
        let masked = if config.loss.ibot_weight == 0.0 { 0.0 } else { global * patches * share };
        Self { global, local, masked }
    }
}

/// What the student's backbone keeps for backward.
fn activations(config: &TrainConfig, shape: &BackboneShape, crops: &Crops, half: bool, wide: f64) -> f64 {
    let tokens = |side: i64| ((side / shape.patch).pow(2) + 1 + shape.registers) as f64;
    let rows = crops.global * tokens(config.crops.global_size) + crops.local * tokens(config.crops.local_size);
    let (d, depth) = (shape.dim as f64, shape.depth as f64);
    let hidden = match shape.feed {
        Feed::Mlp { hidden } => hidden as f64,
        Feed::SwiGlu { hidden } => 2.0 * hidden as f64,
    } / d;
    let narrow = if half { 2.0 } else { wide };
    let packed = if crops.local > 0.0 { narrow } else { 0.0 };
    let block = if shape.drop_path > 0.0 {
        // Rows that are skipped keep nothing; rates grow with depth, to `drop_path`.
        let kept = if shape.drop_path_uniform { 1.0 - shape.drop_path } else { 1.0 - shape.drop_path / 2.0 };
        kept * (6.0 * wide + (6.0 + hidden) * narrow + packed)
    } else {
        4.0 * wide + (6.0 + hidden) * narrow + packed
    };
    // Of the block in hand, backward holds the gradients of its widest tensors too.
    let transient = (2.0 * hidden + 4.0) * narrow + 2.0 * wide;
    let kept = match config.train.activation_checkpointing {
        true => depth * wide + block,
        // The last feed-forward layer runs on few rows.
        false => depth * block - (1.0 + hidden) * narrow,
    };
    rows * d * (kept + transient + 2.0 * wide)
}

/// Logits of a block of rows in f32 or f64, which become their gradient, and that in half precision beside them (docs/adr/0036).
fn logits(config: &TrainConfig, crops: &Crops, on: &Accelerator, (wide, half): (f64, bool)) -> f64 {
    let rows = crops.masked.max(crops.global).max(crops.local);
    let device = if on.is_cpu { Device::Cpu } else { Device::Cuda(0) };
    let elements = (rows * config.head.prototypes as f64).min(block_bytes(device) as f64 / 4.0);
    elements * (wide + if half { 2.0 } else { 0.0 })
}

/// What the heads keep: rows up to the last layer, and that layer with its gradient.
fn heads(config: &TrainConfig, crops: &Crops, wide: f64) -> f64 {
    let architecture = Architecture::of(config);
    let (of_images, of_patches) = (&architecture.head, architecture.patch_head());
    let rows = |rows: f64, hidden: i64, bottleneck: i64| rows * (4 * hidden + 3 * bottleneck) as f64 * wide;
    let last = |prototypes: i64, bottleneck: i64| 2.0 * (prototypes * bottleneck) as f64 * wide;
    let mut bytes = rows(crops.global + crops.local, of_images.hidden, of_images.bottleneck)
        + rows(crops.masked, of_patches.hidden, of_patches.bottleneck)
        + last(of_images.prototypes, of_images.bottleneck);
    if config.head.separate {
        bytes += last(of_patches.prototypes, of_patches.bottleneck);
    }
    bytes
}
