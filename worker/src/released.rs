//! Weights that others have trained, as a frozen model: DINOv2, DinoBloom and RedDino in the layouts of [`dino::weights`], and torchvision's
//! ResNet50.

use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use dino::backbone::BackboneShape;
use dino::{Cost, Encoder, ResNet50, Token, weights};
use run_spec::config::{Model, ResolvedConfig};
use run_spec::ids::Digest;
use store::Store;
use tch::{Device, Tensor};
use training::OpenDevice;

use crate::cli::{ModelChoice, WeightsLayout};
use crate::environment::Environment;
use crate::{config_file, device};

/// A network that is not trained any more: images in, features out.
pub(crate) trait Frozen: Debug {
    /// Features `[B, W]` f32 of `images` `[B, 3, h, w]`, normalised: `token`, where the network has tokens.
    fn features_of(&self, images: &Tensor, token: Token) -> Tensor;

    /// Width W of the features.
    fn width(&self, token: Token) -> i64;

    /// The network as a transformer, which has tokens; `None` for others.
    fn encoder(&self) -> Option<&Encoder>;

    /// The transformer itself, as [`Frozen::encoder`].
    fn into_encoder(self: Box<Self>) -> Option<Encoder>;

    /// What the features of one image of `side` pixels cost.
    fn cost(&self, side: i64) -> Cost;

    /// Refuses a side of images that the network cannot take.
    ///
    /// # Errors
    /// Why not.
    fn verify_side(&self, side: i64) -> Result<()>;
}

impl Frozen for Encoder {
    fn features_of(&self, images: &Tensor, token: Token) -> Tensor {
        self.features_of(images, token)
    }

    fn width(&self, token: Token) -> i64 {
        token.width(self.dim())
    }

    fn encoder(&self) -> Option<&Encoder> {
        Some(self)
    }

    fn into_encoder(self: Box<Self>) -> Option<Encoder> {
        Some(*self)
    }

    fn cost(&self, side: i64) -> Cost {
        self.backbone().shape().cost(side)
    }

    fn verify_side(&self, side: i64) -> Result<()> {
        let patch = self.backbone().shape().patch;
        ensure!(
            side > 0 && side % patch == 0,
            "--size {side}: a multiple of the model's patch of {patch} pixels is expected"
        );
        Ok(())
    }
}

impl Frozen for ResNet50 {
    fn features_of(&self, images: &Tensor, _: Token) -> Tensor {
        self.features(images)
    }

    fn width(&self, _: Token) -> i64 {
        self.dim()
    }

    fn encoder(&self) -> Option<&Encoder> {
        None
    }

    fn into_encoder(self: Box<Self>) -> Option<Encoder> {
        None
    }

    fn cost(&self, side: i64) -> Cost {
        Self::cost(side)
    }

    fn verify_side(&self, side: i64) -> Result<()> {
        ensure!(side >= 32, "--size {side}: at least 32 pixels are expected");
        Ok(())
    }
}

/// A file of weights, read.
#[derive(Debug)]
pub(crate) struct Released {
    /// The model of the file.
    pub(crate) model: Box<dyn Frozen>,
    /// Digest of the file's bytes.
    pub(crate) digest: Digest,
}

/// Released weights on their device, ready for images of their side.
#[derive(Debug)]
pub(crate) struct OpenReleased {
    /// The configuration of their model: the defaults where none was given.
    pub(crate) config: ResolvedConfig,
    /// Where the model is.
    pub(crate) device: OpenDevice,
    /// The model.
    pub(crate) released: Released,
    /// Side of its images, px.
    pub(crate) side: i64,
}

/// Opens the weights at `uri` as the options of a command describe them.
///
/// # Errors
/// As [`open`]; a configuration that cannot be read, a side that the model cannot take.
pub(crate) fn choose(args: &ModelChoice, uri: &str, environment: &Environment) -> Result<OpenReleased> {
    let config = match &args.config {
        Some(path) => config_file::read_untrained(path, &[])?,
        None => ResolvedConfig::untrained("", "the defaults", &[])?,
    };
    let device = device::open(config.device, args.threads, environment)?;
    let released = open(uri, args.layout, &config.model, device.device)?;
    let side = args.size.unwrap_or(config.crops.global_size);
    released.model.verify_side(side)?;
    Ok(OpenReleased { config, device, released, side })
}

/// Reads the file at `uri`. What tensors do not tell of a vision transformer is that of `model` where it has the file's width.
///
/// # Errors
/// A file that cannot be read, has no known layout, or another one than `layout`.
pub(crate) fn open(uri: &str, layout: Option<WeightsLayout>, model: &Model, device: Device) -> Result<Released> {
    let (folder, key) = Store::open_file(uri)?;
    let bytes = folder.get(&key).with_context(|| format!("the weights {uri} cannot be read"))?;
    let tensors = weights::read(&bytes, uri)?;
    let (found, model) = match ResNet50::is_named_so(tensors.iter().map(|(name, _)| name.as_str())) {
        true => (WeightsLayout::Resnet50, Box::new(ResNet50::load(tensors, uri, device)?) as Box<dyn Frozen>),
        false => {
            let shape = weights::shape_of(&tensors, model, uri)?;
            let adopted = weights::adopt(&shape, tensors, uri)?;
            let found = WeightsLayout::from(adopted.layout);
            let (layout, unused) = (adopted.layout, adopted.unexpected.join(", "));
            let unused = if unused.is_empty() { unused } else { format!("; tensors that are not used: {unused}") };
            tracing::info!("weights {uri}: layout {layout}, {}{unused}", shape_words(&shape));
            (found, Box::new(Encoder::of_adopted(shape, adopted, device)?) as Box<dyn Frozen>)
        }
    };
    ensure!(
        layout.is_none_or(|layout| layout == found),
        "{uri} has layout {}, not {}: name that one, or leave --layout out",
        found.name(),
        layout.map_or("", WeightsLayout::name)
    );
    Ok(Released { model, digest: Digest::of(&bytes) })
}

/// The size of a vision transformer, for people: `width 384, depth 12, 6 heads, patch 14, 4 registers`.
fn shape_words(shape: &BackboneShape) -> String {
    let heads = terminal::counted(shape.heads, "head");
    let registers = match shape.registers {
        0 => String::new(),
        some => format!(", {}", terminal::counted(some, "register")),
    };
    format!("width {}, depth {}, {heads}, patch {}{registers}", shape.dim, shape.depth, shape.patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_size_of_a_model_in_words() {
        let mut shape = BackboneShape::of(&ResolvedConfig::untrained("", "the defaults", &[]).unwrap());
        (shape.dim, shape.depth, shape.heads, shape.patch, shape.registers) = (192, 6, 3, 14, 0);
        assert_eq!(shape_words(&shape), "width 192, depth 6, 3 heads, patch 14");
        shape.registers = 4;
        assert_eq!(shape_words(&shape), "width 192, depth 6, 3 heads, patch 14, 4 registers");
    }
}
