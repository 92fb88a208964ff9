//! The sections of a configuration, with their defaults. `model`, `head`, `loss`, `optim` and `teacher` are those of step files.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::{Centering, DinoNormaliser, Ffn, Interpolation, KoleoExclude, Pipeline, Precision, Sampling, Wire};

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ty = $default:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),+ }
        impl Default for $name {
            fn default() -> Self { Self { $($field: $default),+ } }
        }
    };
}

section! {
    /// The backbone: a plain pre-norm ViT with LayerScale.
    Model {
        /// Embedding width D; a multiple of `heads`.
        dim: i64 = 384,
        /// Number of transformer blocks.
        depth: i64 = 12,
        /// Attention heads; `dim` must be a multiple.
        heads: i64 = 6,
        /// Patch side in pixels.
        patch: i64 = 14,
        /// Hidden width of the MLP over `dim` (4 in every published size).
        mlp_ratio: f64 = 4.0,
        /// Epsilon of layer norms.
        ln_eps: f64 = 1e-6,
        /// Offset in the run-time resize of position embeddings: 0.1 (published) or 0.
        offset: f64 = 0.1,
        /// Feed-forward layer of each block.
        ffn: Ffn = Ffn::Mlp,
        /// Number of register tokens; 0 leaves them out.
        registers: i64 = 0,
        /// Stochastic depth rate of the student (0 in effect in the published code, though its YAML says 0.3).
        drop_path: f64 = 0.0,
        /// The same rate in every block (DINOv2's `ssl_default_config.yaml`); otherwise it grows linearly from 0 to the last block.
        drop_path_uniform: bool = true,
        /// Initial LayerScale gamma when training from scratch.
        layerscale_init: f64 = 1e-5,
    }
}
section! {
    /// Size of the projection heads that turn features into logits.
    Head {
        /// Whether iBOT has a head of its own; otherwise it shares that of DINO.
        separate: bool = false,
        /// Number of prototypes K, the width of the logits.
        prototypes: i64 = 65536,
        /// Width of the hidden layers of the head's MLP.
        hidden: i64 = 2048,
        /// Width of the normalised bottleneck before the prototypes.
        bottleneck: i64 = 256,
        /// Prototypes of iBOT's own head; null: as many as the DINO head.
        ibot_prototypes: Option<i64> = None,
        /// Hidden width of iBOT's own head; null: that of the DINO head.
        ibot_hidden: Option<i64> = None,
        /// Bottleneck width of iBOT's own head; null: that of the DINO head.
        ibot_bottleneck: Option<i64> = None,
    }
}
section! {
    /// Loss terms with their weights and temperatures.
    Loss {
        /// Local crops per image.
        n_local: i64 = 1,
        /// The local loss is used if `n_local` is greater than this: 1 in the published code, 0 in DINOv2.
        local_loss_above: i64 = 1,
        /// Weights of the DINO terms.
        dino_normaliser: DinoNormaliser = DinoNormaliser::Published,
        /// Temperature of the student's softmax.
        student_temp: f64 = 0.1,
        /// Weight of the DINO terms.
        dino_weight: f64 = 1.0,
        /// Weight of the iBOT term (masked patches). 0 leaves it out; crops stay masked unless `masks.probability` is 0 too.
        ibot_weight: f64 = 1.0,
        /// Weight of KoLeo; 0 leaves it out.
        koleo_weight: f64 = 0.0,
        /// Smallest norm in KoLeo's normalisation.
        koleo_norm_eps: f64 = 1e-8,
        /// Added to each component of a difference before its norm: 1e-4 in the published code, 1e-8 in DINOv2.
        koleo_pair_eps: f64 = 1e-4,
        /// Added inside KoLeo's logarithm.
        koleo_log_eps: f64 = 1e-8,
        /// Pairs that KoLeo ignores when it looks for the nearest neighbour.
        koleo_exclude: KoleoExclude = KoleoExclude::None,
        /// Weight of SIGReg (arXiv:2511.08544), in place of KoLeo or beside it; 0 leaves it out.
        sigreg_weight: f64 = 0.0,
        /// How teacher logits become targets.
        centering: Centering = Centering::SinkhornKnopp,
        /// Number of Sinkhorn-Knopp iterations.
        sk_iterations: i64 = 3,
        /// Momentum of the moving-average centre.
        center_momentum: f64 = 0.9,
    }
}
section! {
    /// Optimiser and its schedules; an epoch is `epoch_length` steps.
    Optim {
        /// Learning rate at a global batch of 1024; scaled by the square root of batch/1024.
        base_lr: f64 = 2e-4,
        /// Peak learning rate; null computes it from `base_lr`.
        lr: Option<f64> = None,
        /// Learning rate at the end.
        min_lr: f64 = 1e-6,
        /// AdamW's beta 1, the decay of the mean gradient.
        beta1: f64 = 0.9,
        /// AdamW's beta 2, the decay of the mean squared gradient.
        beta2: f64 = 0.999,
        /// AdamW's epsilon, added to the denominator.
        eps: f64 = 1e-8,
        /// Weight decay at the start.
        wd: f64 = 0.04,
        /// Weight decay at the end.
        wd_end: f64 = 0.2,
        /// Largest gradient norm of a submodule (backbone, each head).
        clip: f64 = 3.0,
        /// Learning-rate factor of the patch embedding.
        patch_embed_lr_mult: f64 = 0.2,
        /// Learning-rate factor per layer from the top.
        layerwise_decay: f64 = 1.0,
        /// Linear warm-up, in epochs.
        warmup_epochs: f64 = 0.1,
        /// Epochs for which the last layer's learning rate is 0.
        freeze_last_layer_epochs: f64 = 0.0,
        /// Length of the run in epochs of `epoch_length` steps.
        epochs: f64 = 10.0,
        /// Steps of an epoch.
        epoch_length: u64 = 3200,
        /// Initial gradient scale; acts with `precision: f16` only.
        loss_scale: f64 = 65536.0,
    }
}
section! {
    /// Momentum and temperature of the teacher.
    Teacher {
        /// EMA momentum at the start.
        momentum: f64 = 0.994,
        /// EMA momentum at the end.
        momentum_end: f64 = 1.0,
        /// Temperature at the start.
        temp_start: f64 = 0.04,
        /// Temperature after the warm-up.
        temp: f64 = 0.07,
        /// Linear warm-up of the temperature, in epochs: 30 in the published code, longer than its 10 epochs of training.
        temp_epochs: f64 = 30.0,
    }
}
section! {
    /// Block masks of the student's global crops.
    Masks {
        /// Share of the crops that are masked.
        probability: f64 = 0.5,
        /// Smallest share of patches masked.
        ratio_min: f64 = 0.1,
        /// Largest share of patches masked.
        ratio_max: f64 = 0.5,
    }
}
section! {
    /// How often each source of the shard set is drawn.
    Data {
        /// What decides how often a source is drawn.
        sampling: Sampling = Sampling::Uniform,
        /// With `sampling: weights`: the weight of every source, by name; 0 leaves one out.
        source_weights: BTreeMap<String, f64> = BTreeMap::new(),
        /// With `sampling: temperature`: a source of n rows has weight n^(1/temperature). With 1 it is drawn by its share of the
        /// rows; with a very high value all sources are drawn equally often.
        sampling_temperature: f64 = 1.0,
    }
}
section! {
    /// Crops; sizes in pixels, multiples of the patch side.
    Crops {
        /// Side of a global crop.
        global_size: i64 = 224,
        /// Side of a local crop.
        local_size: i64 = 98,
        /// Share of the image's area in a global crop.
        global_scale: [f64; 2] = [0.32, 1.0],
        /// Share of the image's area in a local crop.
        local_scale: [f64; 2] = [0.05, 0.32],
        /// Smallest and largest aspect ratio (width over height) of a crop.
        ratio: [f64; 2] = [0.75, 4.0 / 3.0],
        /// Interpolation of the resize.
        interpolation: Interpolation = Interpolation::Bilinear,
    }
}
section! {
    /// Random changes to the crops of an image.
    Augmentation {
        /// Which augmentation is applied to the crops.
        pipeline: Pipeline = Pipeline::Albumentations,
        /// Transforms to choose from, by name or as `{Name: {parameter: value}}`; empty means all 33.
        #[schemars(schema_with = "super::schema::ops")]
        ops: Vec<Value> = Vec::new(),
        /// How many of them a crop gets.
        n: u64 = 4,
        /// Whether one may be chosen twice (Albumentations to 1.4.18).
        replace: bool = true,
        /// Probability of a horizontal flip.
        flip_p: f64 = 0.85,
        /// Probability of a vertical flip.
        vflip_p: f64 = 0.85,
        /// Probability of a rotation by a random number of quarter turns.
        rot90_p: f64 = 0.85,
        /// DINOv2's code applies blur with the probability 1 − p instead of p; true does the same, as published.
        blur_p_inverted: bool = true,
    }
}
section! {
    /// Batch, loss groups, precision and length of a run.
    Train {
        /// Images of a step over all ranks.
        batch_size: u64 = 560,
        /// Equal parts of the global batch within which masks are drawn, KoLeo acts and the iBOT centre is averaged.
        loss_groups: u64 = 1,
        /// Arithmetic of forward and backward.
        precision: Precision = Precision::F32,
        /// Parts in which a rank's images go through the networks, one after the other, so that less memory is needed.
        /// The step stays the same: Sinkhorn-Knopp sees the whole global batch, KoLeo its whole loss group.
        gradient_accumulation: u64 = 1,
        /// Keep only the input of each of the student's blocks, and compute the block again in backward.
        activation_checkpointing: bool = false,
        /// Ask LibTorch for algorithms that give the same bits each time, which on a GPU can be slower. On CPUs training is reproducible without it.
        deterministic: bool = false,
        /// Each rank holds and updates an equal part of AdamW's moments instead of all (ZeRO-1), so that a GPU needs less memory. The
        /// step stays the same.
        zero1: bool = false,
        /// The dtype in which gradients travel between ranks. `bf16` halves the bytes over NCCL, and rounds each rank's gradients to 8 bits before they are summed.
        wire: Wire = Wire::AsComputed,
        /// Threads of a rank for tensors; 0 means all cores.
        threads: u64 = 0,
        /// Threads of a rank for decoding and augmenting; 0 means all cores.
        data_threads: u64 = 0,
        /// Threads of a rank that fetch images; they mostly wait, so use more than there are cores.
        read_threads: u64 = 16,
        /// Seconds that a rank waits in one call for its peers before the run ends with an error; set it longer than the slowest step
        /// and the slowest write of a checkpoint.
        step_deadline_s: f64 = 600.0,
        /// Run one step more than epochs × epoch_length, as the published code does.
        extra_step: bool = false,
    }
}
section! {
    /// Checkpoints of the whole training state.
    Checkpoint {
        /// Number of steps between two checkpoints.
        every_steps: u64 = 1000,
        /// Number of checkpoints that are kept besides the final one.
        keep: u64 = 3,
        /// Also keep the checkpoint with the best score of the online probe (`log.probe_every_steps`), however old.
        keep_best: bool = false,
        /// Also keep the checkpoints of steps that are a multiple of this, however old; null keeps none for this reason.
        keep_every: Option<u64> = None,
        /// Each rank writes a part of the checkpoint; otherwise rank 0 writes the whole. The bytes are the same.
        sharded: bool = false,
    }
}
section! {
    /// What is measured of training, how often, and where it goes.
    Log {
        /// Number of steps between two metrics lines.
        every_steps: u64 = 10,
        /// Steps between the slower measurements (RankMe).
        collapse_every_steps: u64 = 100,
        /// Emissions per kilowatt hour where training runs, in kg CO2e; null takes the world average.
        grid_kg_per_kwh: Option<f64> = None,
        /// Local folder for TensorBoard event files of rank 0; null writes none.
        tensorboard: Option<String> = None,
        /// Local file for Prometheus, replaced with each line of rank 0; null writes none.
        prometheus: Option<String> = None,
        /// Steps between two online probes, which score the teacher on a small labelled set; null makes none.
        probe_every_steps: Option<u64> = None,
        /// Shard set of labelled cells for the online probe; keep it small, because training waits for it.
        probe_shards: Option<String> = None,
        /// Split of that shard set.
        probe_split: Option<String> = None,
    }
}
section! {
    /// How calls to the run's store and its shard set are repeated. Nothing here changes weights.
    Store {
        /// Seconds that a call waits for a store that has answered before and does not answer now; with 0 there are only the
        /// client's own retries, which end within seconds.
        retry_for: u64 = 900,
    }
}
section! {
    /// Initial weights: random, from a seed, or read from a file.
    Init {
        /// Seed of random weights; null takes `seed`.
        seed: Option<u64> = None,
        /// URI of weights to start from; null takes random weights.
        weights: Option<String> = None,
    }
}
