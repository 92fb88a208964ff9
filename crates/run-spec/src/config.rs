//! The training configuration: one struct a section, the same names in YAML, code, log and paper.
//!
//! [`TrainConfig::default`] is also the schema: [`TrainConfig::from_yaml`] refuses a key that it does not have. The
//! sections `model`, `head`, `loss`, `optim` and `teacher` are those of `docs/step-files.md`. Where the published code of
//! RedDino and its paper differ, there is a switch here, named in its documentation.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::layer::ConfigError;
use crate::layer::{layer, nearest, parse_yaml, put, set_key};

/// Everything that decides what a training run computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Seed of data order, views and masks, and of the initial weights unless `init.seed` is set.
    pub seed: u64,
    /// Where tensors live.
    pub device: Device,
    /// Order of the channels that transforms and normalisation see. `bgr` is what the published code feeds in training.
    pub channel_order: ChannelOrder,
    /// The backbone.
    pub model: Model,
    /// The projection head.
    pub head: Head,
    /// Loss terms.
    pub loss: Loss,
    /// Optimiser and its schedules.
    pub optim: Optim,
    /// Momentum and temperature of the teacher.
    pub teacher: Teacher,
    /// Block masks of the student's global crops.
    pub masks: Masks,
    /// Crops.
    pub crops: Crops,
    /// What is done to a crop.
    pub augmentation: Augmentation,
    /// Batch, groups, precision.
    pub train: Train,
    /// Snapshots.
    pub checkpoint: Checkpoint,
    /// Metrics.
    pub log: Log,
    /// Initial weights.
    pub init: Init,
}

/// A closed set of words; the first is the default.
macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident {
        $(#[$fdoc:meta])* $first:ident = $fword:literal,
        $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        pub enum $name {
            $(#[$fdoc])* #[default] #[serde(rename = $fword)] $first,
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }
        impl $name {
            /// The word of this value, as a configuration spells it.
            pub fn word(self) -> &'static str {
                match self { Self::$first => $fword, $(Self::$variant => $word),+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.word()) }
        }
    };
}

word_enum! {
    /// Where tensors live.
    Device {
        /// CUDA if there is any, else CPU.
        Auto = "auto",
        /// CPU.
        Cpu = "cpu",
        /// CUDA, or an error.
        Cuda = "cuda",
    }
}
word_enum! {
    /// Order of the channels in training.
    ChannelOrder {
        /// Red, green, blue: as evaluation reads images.
        Rgb = "rgb",
        /// Blue, green, red: the published training code reads with OpenCV and never converts.
        Bgr = "bgr",
    }
}
word_enum! {
    /// Feed-forward layer of a block.
    Ffn {
        /// Linear, exact GELU, linear.
        Mlp = "mlp",
        /// Fused SwiGLU (ViT-g).
        Swiglu = "swiglu",
    }
}
word_enum! {
    /// How teacher logits become targets.
    Centering {
        /// Sinkhorn-Knopp over the global batch.
        SinkhornKnopp = "sinkhorn_knopp",
        /// Softmax of logits less a moving average.
        MovingAverage = "centering",
    }
}
word_enum! {
    /// How the DINO terms are weighed against each other and against iBOT.
    DinoNormaliser {
        /// Divided by `2 + max(2·n_local, 1)` as published, so the DINO:iBOT ratio moves with the number of local crops.
        Published = "published",
        /// Each of the `2 + 2·n_local` terms has equal weight, summing to 1.
        Terms = "terms",
    }
}
word_enum! {
    /// Interpolation of a crop's resize.
    Interpolation {
        /// OpenCV's bilinear (RedDino).
        Bilinear = "bilinear",
        /// Pillow's bicubic with antialias (DINOv2).
        Bicubic = "bicubic",
    }
}
word_enum! {
    /// Which augmentation a run uses.
    Pipeline {
        /// RedDino's: some of 33 pixel transforms, flips, quarter turns.
        Albumentations = "albumentations",
        /// DINOv2's: colour jitter, greyscale, blur, solarise.
        Dinov2 = "dinov2",
    }
}
word_enum! {
    /// Arithmetic of forward and backward; weights, EMA and centring are f32 or wider in all of them.
    Precision {
        /// 32-bit floats.
        F32 = "f32",
        /// 64-bit floats, for parity checks.
        F64 = "f64",
        /// bfloat16 autocast.
        Bf16 = "bf16",
        /// Half precision with a gradient scaler.
        F16 = "f16",
    }
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ty = $default:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),+ }
        impl Default for $name {
            fn default() -> Self { Self { $($field: $default),+ } }
        }
    };
}

section! {
    /// The backbone (recipe: plain pre-norm ViT with LayerScale).
    Model {
        /// Embedding width D.
        dim: i64 = 384,
        /// Number of blocks.
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
        /// Feed-forward layer.
        ffn: Ffn = Ffn::Mlp,
        /// Register tokens.
        registers: i64 = 0,
        /// Stochastic depth rate of the student's last block (0 in effect in the published code, though its YAML says 0.3).
        drop_path: f64 = 0.0,
        /// Initial LayerScale gamma when training from scratch.
        layerscale_init: f64 = 1e-5,
    }
}
section! {
    /// The projection head.
    Head {
        /// A second head for iBOT; shared when false.
        separate: bool = false,
        /// Prototypes K.
        prototypes: i64 = 65536,
        /// Hidden width.
        hidden: i64 = 2048,
        /// Bottleneck width.
        bottleneck: i64 = 256,
    }
}
section! {
    /// Loss terms.
    Loss {
        /// Local crops per image.
        n_local: i64 = 1,
        /// The local loss counts when `n_local` is greater: 1 in the published code, 0 upstream.
        local_loss_above: i64 = 1,
        /// Weights of the DINO terms.
        dino_normaliser: DinoNormaliser = DinoNormaliser::Published,
        /// Student temperature.
        student_temp: f64 = 0.1,
        /// Weight of the DINO terms.
        dino_weight: f64 = 1.0,
        /// Weight of iBOT.
        ibot_weight: f64 = 1.0,
        /// Weight of KoLeo; 0 leaves it out.
        koleo_weight: f64 = 0.0,
        /// Smallest norm in KoLeo's normalisation.
        koleo_norm_eps: f64 = 1e-8,
        /// Added to each component of a difference before its norm: 1e-4 published, 1e-8 upstream.
        koleo_pair_eps: f64 = 1e-4,
        /// Added inside KoLeo's logarithm.
        koleo_log_eps: f64 = 1e-8,
        /// How teacher logits become targets.
        centering: Centering = Centering::SinkhornKnopp,
        /// Sinkhorn-Knopp iterations.
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
        /// AdamW beta 1.
        beta1: f64 = 0.9,
        /// AdamW beta 2.
        beta2: f64 = 0.999,
        /// AdamW epsilon.
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
        /// Epochs.
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
        /// Aspect ratios.
        ratio: [f64; 2] = [0.75, 4.0 / 3.0],
        /// Interpolation of the resize.
        interpolation: Interpolation = Interpolation::Bilinear,
    }
}
section! {
    /// What is done to a crop.
    Augmentation {
        /// Which augmentation.
        pipeline: Pipeline = Pipeline::Albumentations,
        /// Transforms to choose from, by name or as `{Name: {parameter: value}}`; empty means all 33.
        ops: Vec<Value> = Vec::new(),
        /// How many of them a crop gets.
        n: u64 = 4,
        /// Whether one may be chosen twice (Albumentations to 1.4.18).
        replace: bool = true,
        /// Probability of a horizontal flip.
        flip_p: f64 = 0.85,
        /// Probability of a vertical flip.
        vflip_p: f64 = 0.85,
        /// Probability of a quarter-turn draw.
        rot90_p: f64 = 0.85,
        /// DINOv2's wrapper applies blur with one less the stated probability; true is as published.
        blur_p_inverted: bool = true,
    }
}
section! {
    /// Batch, groups, precision.
    Train {
        /// Images of a step over all ranks.
        batch_size: u64 = 560,
        /// Equal parts of the global batch within which masks are drawn, KoLeo acts and the iBOT centre is averaged.
        loss_groups: u64 = 1,
        /// Arithmetic of forward and backward.
        precision: Precision = Precision::F32,
        /// Threads of a rank for tensors; 0 means all cores.
        threads: u64 = 0,
        /// Threads of a rank for reading and augmenting; 0 means all cores.
        data_threads: u64 = 0,
        /// The published loop runs one step more than epochs × epoch_length.
        extra_step: bool = false,
    }
}
section! {
    /// Snapshots of the whole training state.
    Checkpoint {
        /// Steps between snapshots.
        every_steps: u64 = 1000,
        /// Snapshots kept besides the final one.
        keep: u64 = 3,
    }
}
section! {
    /// Metrics.
    Log {
        /// Steps between lines.
        every_steps: u64 = 10,
        /// Steps between the dearer measures (teacher entropy, RankMe).
        collapse_every_steps: u64 = 100,
    }
}
section! {
    /// Initial weights.
    Init {
        /// Seed of random weights; null takes `seed`.
        seed: Option<u64> = None,
        /// URI of weights to start from; null draws them.
        weights: Option<String> = None,
    }
}

impl TrainConfig {
    /// Reads YAML `text` over the defaults, then `sets` (`a.b=value`) over both, and checks the whole.
    ///
    /// Returns the configuration and its resolved form, which is what is logged, stored and digested.
    ///
    /// # Errors
    /// [`ConfigError`], naming `what` (the file), the key and the remedy.
    pub fn from_yaml(text: &str, what: &str, sets: &[String]) -> Result<(Self, Value), ConfigError> {
        let mut merged = layer(&Self::default().to_value(), parse_yaml(text, what)?, what)?;
        for set in sets {
            let mut user = Value::Null;
            set_key(&mut user, set)?;
            merged = layer(&merged, user, &format!("--set {set}"))?;
        }
        Self::from_value(merged, what)
    }

    /// Lays a mapping of deltas (nested sections or dotted keys) over this configuration.
    ///
    /// # Errors
    /// As [`TrainConfig::from_yaml`].
    pub fn with_deltas(&self, deltas: &Value, what: &str) -> Result<(Self, Value), ConfigError> {
        let mut user = Value::Null;
        for (key, value) in deltas.as_object().into_iter().flatten() {
            put(&mut user, key, value.clone()).map_err(|message| ConfigError::BadValue {
                what: what.to_owned(),
                key: key.clone(),
                message,
            })?;
        }
        Self::from_value(layer(&self.to_value(), user, what)?, what)
    }

    fn from_value(value: Value, what: &str) -> Result<(Self, Value), ConfigError> {
        let mut config = Self::default();
        read(&mut config.seed, &value, what, "seed")?;
        read(&mut config.device, &value, what, "device")?;
        read(&mut config.channel_order, &value, what, "channel_order")?;
        config.model = read_section(&value, what, "model")?;
        config.head = read_section(&value, what, "head")?;
        config.loss = read_section(&value, what, "loss")?;
        config.optim = read_section(&value, what, "optim")?;
        config.teacher = read_section(&value, what, "teacher")?;
        config.masks = read_section(&value, what, "masks")?;
        config.crops = read_section(&value, what, "crops")?;
        config.augmentation = read_section(&value, what, "augmentation")?;
        config.train = read_section(&value, what, "train")?;
        config.checkpoint = read_section(&value, what, "checkpoint")?;
        config.log = read_section(&value, what, "log")?;
        config.init = read_section(&value, what, "init")?;
        config.validate(what)?;
        let resolved = config.to_value();
        Ok((config, resolved))
    }

    /// The configuration as JSON, every key present.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        (self.optim.epochs * self.optim.epoch_length as f64) as u64 + u64::from(self.train.extra_step)
    }

    /// Patches along one side of a global crop.
    pub fn grid(&self) -> i64 {
        self.crops.global_size / self.model.patch
    }

    /// Seed of the initial weights.
    pub fn init_seed(&self) -> u64 {
        self.init.seed.unwrap_or(self.seed)
    }

    /// Checks what no single value shows.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`], naming the key.
    pub fn validate(&self, what: &str) -> Result<(), ConfigError> {
        let demand = |right: bool, key: &str, message: String| {
            if right {
                Ok(())
            } else {
                Err(ConfigError::BadValue { what: what.to_owned(), key: key.to_owned(), message })
            }
        };
        let positive = |value: i64, key: &str| demand(value > 0, key, format!("{value} is not positive"));
        for (value, key) in [
            (self.model.dim, "model.dim"),
            (self.model.depth, "model.depth"),
            (self.model.heads, "model.heads"),
            (self.model.patch, "model.patch"),
            (self.head.prototypes, "head.prototypes"),
            (self.head.hidden, "head.hidden"),
            (self.head.bottleneck, "head.bottleneck"),
            (self.loss.sk_iterations, "loss.sk_iterations"),
            (self.optim.epoch_length as i64, "optim.epoch_length"),
            (self.train.batch_size as i64, "train.batch_size"),
            (self.train.loss_groups as i64, "train.loss_groups"),
            (self.checkpoint.every_steps as i64, "checkpoint.every_steps"),
            (self.checkpoint.keep as i64, "checkpoint.keep"),
            (self.log.every_steps as i64, "log.every_steps"),
            (self.log.collapse_every_steps as i64, "log.collapse_every_steps"),
        ] {
            positive(value, key)?;
        }
        demand(
            self.model.dim % self.model.heads == 0,
            "model.heads",
            format!("{} heads do not divide model.dim {}", self.model.heads, self.model.dim),
        )?;
        for (size, key) in [(self.crops.global_size, "crops.global_size"), (self.crops.local_size, "crops.local_size")]
        {
            demand(
                size > 0 && size % self.model.patch == 0,
                key,
                format!("{size} is not a positive multiple of model.patch {}", self.model.patch),
            )?;
        }
        demand(
            self.train.batch_size.is_multiple_of(self.train.loss_groups),
            "train.loss_groups",
            format!("{} groups do not divide train.batch_size {}", self.train.loss_groups, self.train.batch_size),
        )?;
        demand(self.loss.n_local >= 0, "loss.n_local", "a number of crops is not negative".to_owned())?;
        demand(
            self.loss.koleo_weight == 0.0 || self.train.batch_size / self.train.loss_groups >= 2,
            "loss.koleo_weight",
            "KoLeo needs at least two images in a loss group: raise train.batch_size or set it to 0".to_owned(),
        )?;
        let (global, local, ratio) = (self.crops.global_scale, self.crops.local_scale, self.crops.ratio);
        for (range, top, key) in [
            (global, 1.0, "crops.global_scale"),
            (local, 1.0, "crops.local_scale"),
            (ratio, f64::INFINITY, "crops.ratio"),
        ] {
            demand(
                0.0 < range[0] && range[0] <= range[1] && range[1] <= top,
                key,
                format!("{range:?} is not a range of shares [low, high]"),
            )?;
        }
        for (p, key) in [
            (self.masks.probability, "masks.probability"),
            (self.masks.ratio_min, "masks.ratio_min"),
            (self.masks.ratio_max, "masks.ratio_max"),
            (self.augmentation.flip_p, "augmentation.flip_p"),
            (self.augmentation.vflip_p, "augmentation.vflip_p"),
            (self.augmentation.rot90_p, "augmentation.rot90_p"),
            (self.model.drop_path, "model.drop_path"),
            (self.teacher.momentum, "teacher.momentum"),
            (self.teacher.momentum_end, "teacher.momentum_end"),
            (self.loss.center_momentum, "loss.center_momentum"),
        ] {
            demand((0.0..=1.0).contains(&p), key, format!("{p} is not between 0 and 1"))?;
        }
        demand(
            self.masks.ratio_min <= self.masks.ratio_max,
            "masks.ratio_min",
            "it is above masks.ratio_max".to_owned(),
        )?;
        for (t, key) in [
            (self.loss.student_temp, "loss.student_temp"),
            (self.teacher.temp_start, "teacher.temp_start"),
            (self.teacher.temp, "teacher.temp"),
            (self.optim.epochs, "optim.epochs"),
            (self.optim.clip, "optim.clip"),
            (self.model.mlp_ratio, "model.mlp_ratio"),
        ] {
            demand(t > 0.0 && t.is_finite(), key, format!("{t} is not positive"))?;
        }
        demand(self.total_steps() > 0, "optim.epochs", "epochs × epoch_length is less than one step".to_owned())
    }
}

fn read<T: serde::de::DeserializeOwned>(slot: &mut T, value: &Value, what: &str, key: &str) -> Result<(), ConfigError> {
    *slot = T::deserialize(&value[key]).map_err(|error| bad_value(what, key, &value[key], &error))?;
    Ok(())
}

/// Reads a section key by key, so that the message names the key and not only the section.
fn read_section<T>(value: &Value, what: &str, section: &str) -> Result<T, ConfigError>
where
    T: serde::de::DeserializeOwned + Serialize + Default,
{
    let defaults = serde_json::to_value(T::default()).unwrap_or(Value::Null);
    for (key, given) in value[section].as_object().into_iter().flatten() {
        let mut one = defaults.clone();
        one[key] = given.clone();
        T::deserialize(&one).map_err(|error| bad_value(what, &format!("{section}.{key}"), given, &error))?;
    }
    T::deserialize(&value[section]).map_err(|error| bad_value(what, section, &value[section], &error))
}

fn bad_value(what: &str, key: &str, given: &Value, error: &serde_json::Error) -> ConfigError {
    let message = error.to_string();
    // serde lists the known words between backticks; the nearest is named when one is meant.
    let words: Vec<&str> =
        message.split("expected").skip(1).flat_map(|tail| tail.split('`').skip(1).step_by(2)).collect();
    let hint = given.as_str().and_then(|word| nearest(word, words)).map(|word| format!("; did you mean `{word}`?"));
    ConfigError::BadValue { what: what.to_owned(), key: key.to_owned(), message: message + &hint.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(yaml: &str) -> String {
        TrainConfig::from_yaml(yaml, "a.yaml", &[]).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_valid_and_round_trip() {
        let (config, resolved) = TrainConfig::from_yaml("", "a.yaml", &[]).unwrap();
        assert_eq!(config, TrainConfig::default());
        assert_eq!(serde_json::from_value::<TrainConfig>(resolved).unwrap(), config);
    }

    #[test]
    fn file_then_sets() {
        let (config, _) = TrainConfig::from_yaml(
            "loss: {n_local: 8}\nseed: 4",
            "a.yaml",
            &["loss.n_local=0".into(), "loss.centering=centering".into(), "optim.lr=1e-3".into()],
        )
        .unwrap();
        assert_eq!((config.loss.n_local, config.seed, config.optim.lr), (0, 4, Some(1e-3)));
        assert_eq!(config.loss.centering, Centering::MovingAverage);
    }

    #[test]
    fn messages_name_file_key_and_remedy() {
        assert_eq!(refused("los: {}"), "a.yaml: unknown key `los`; did you mean `loss`?");
        assert!(
            refused("loss: {centering: sinkhorn}").contains("`loss.centering`"),
            "{}",
            refused("loss: {centering: sinkhorn}")
        );
        assert!(refused("loss: {centering: sinkhorn}").contains("did you mean `sinkhorn_knopp`?"));
        assert!(refused("model: {heads: 7}").contains("`model.heads`: 7 heads do not divide"));
        assert!(refused("crops: {local_size: 100}").contains("multiple of model.patch 14"));
        assert!(refused("optim: {lr: fast}").contains("`optim.lr`"));
    }

    #[test]
    fn deltas_may_be_dotted_or_nested() {
        let base = TrainConfig::default();
        let (a, _) = base.with_deltas(&serde_json::json!({"loss.koleo_weight": 0.1}), "arm").unwrap();
        let (b, _) = base.with_deltas(&serde_json::json!({"loss": {"koleo_weight": 0.1}}), "arm").unwrap();
        assert_eq!(a, b);
        assert_eq!(a.loss.koleo_weight, 0.1);
    }
}
