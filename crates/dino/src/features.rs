//! A frozen backbone that turns images into features: what probes measure and users download.

use crate::{
    DinoError,
    backbone::{Backbone, BackboneShape, Seen},
    init,
    params::Parameters,
    state::State,
    weights,
};
use run_spec::config::TrainConfig;
use tch::{Device, Kind, Tensor};

/// Normed CLS tokens `[B, D]` f32 of `images` `[B, 3, h, w]` (normalised, any size that is a multiple of the patch).
/// No gradient, no L2 normalisation (recipe §6).
pub fn features(backbone: &Backbone, images: &Tensor) -> Tensor {
    tch::no_grad(|| backbone.cls(images).to_kind(Kind::Float))
}

/// The output of a backbone that is a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Token {
    /// The CLS token, as published.
    #[default]
    Cls,
    /// The mean of the patch tokens.
    Mean,
    /// Both, one after the other.
    Both,
}

impl Token {
    /// The name in records and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Both => "both",
        }
    }

    /// Width of the feature of a model of width `dim`.
    pub fn width(self, dim: i64) -> i64 {
        if self == Self::Both { 2 * dim } else { dim }
    }
}

/// A backbone that owns its weights.
#[derive(Debug)]
pub struct Encoder {
    params: Parameters,
    backbone: Backbone,
    device: Device,
}

impl Encoder {
    /// The backbone of a configuration with the random weights that a run with `init_seed` starts from.
    ///
    /// # Errors
    /// None that a valid configuration gives.
    pub fn random(config: &TrainConfig, init_seed: u64, device: Device) -> Result<Self, DinoError> {
        let shape = BackboneShape::of(config);
        let declared = shape.declare().into_iter().map(|mut d| {
            d.name = format!("backbone.{}", d.name);
            d
        });
        let declared: Vec<_> = declared.collect();
        Self::bind(shape, init::random(&declared, init_seed), device)
    }

    /// The teacher's backbone, of the shape that `config` asks for, out of a checkpoint, an export or a released file;
    /// see [`weights::adopt`]. `what` names it in messages.
    ///
    /// # Errors
    /// Tensors that do not fit the configuration, all listed.
    pub fn load(
        config: &TrainConfig,
        tensors: Vec<(String, Tensor)>,
        what: &str,
        device: Device,
    ) -> Result<Self, DinoError> {
        let shape = BackboneShape::of(config);
        Self::of_adopted(shape, weights::adopt(&shape, tensors, what)?, device)
    }

    /// The backbone of a file that was adopted for `shape`.
    ///
    /// # Errors
    /// None that a successful [`weights::adopt`] leaves.
    pub fn of_adopted(shape: BackboneShape, adopted: weights::Adopted, device: Device) -> Result<Self, DinoError> {
        Self::bind(shape, adopted.tensors, device)
    }

    /// The teacher of a state that goes on training: its weights as they are now, not copied where they are f32 already.
    ///
    /// # Errors
    /// None that a state gives.
    pub fn teacher_of(state: &State) -> Result<Self, DinoError> {
        let weights = state.teacher().params.iter().filter(|(name, _)| name.starts_with("backbone."));
        let weights = weights.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect();
        Self::bind(state.architecture().backbone, weights, state.device())
    }

    fn bind(shape: BackboneShape, tensors: Vec<(String, Tensor)>, device: Device) -> Result<Self, DinoError> {
        let params = Parameters::new(tensors).to(device, Kind::Float);
        Ok(Self { backbone: Backbone::new(shape, &params)?, params, device })
    }

    /// Features of `images` `[B, 3, h, w]`, moved to the encoder's device; `[B, D]` f32 on it.
    pub fn features(&self, images: &Tensor) -> Tensor {
        features(&self.backbone, &images.to_device(self.device))
    }

    /// The same of the wanted token, `[B, W]` f32 with W = [`Token::width`].
    pub fn features_of(&self, images: &Tensor, token: Token) -> Tensor {
        if token == Token::Cls {
            return self.features(images);
        }
        let (cls, patches) = tch::no_grad(|| self.backbone.cls_and_patches(&images.to_device(self.device)));
        let mean = patches.to_kind(Kind::Float).mean_dim(1, false, Kind::Float);
        match token {
            Token::Both => Tensor::cat(&[cls.to_kind(Kind::Float), mean], 1),
            _ => mean,
        }
    }

    /// Normed patch tokens of `images` `[B, 3, h, w]`: `[B, N, D]` f32.
    pub fn patches(&self, images: &Tensor) -> Tensor {
        let (_, patches) = tch::no_grad(|| self.backbone.cls_and_patches(&images.to_device(self.device)));
        patches.to_kind(Kind::Float)
    }

    /// Patch tokens and attention of `images` `[B, 3, h, w]`, both f32; see [`Seen`].
    pub fn seen(&self, images: &Tensor) -> Seen {
        let Seen { patches, attention } = tch::no_grad(|| self.backbone.seen(&images.to_device(self.device)));
        Seen { patches: patches.to_kind(Kind::Float), attention: attention.to_kind(Kind::Float) }
    }

    /// Width D of the features.
    pub fn dim(&self) -> i64 {
        self.backbone.shape().dim
    }

    /// The backbone, with teacher weights.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Its weights, named `backbone.…`.
    pub fn params(&self) -> &Parameters {
        &self.params
    }
}
