//! Weights that others have trained, as a frozen model: DINOv2, DinoBloom and RedDino in the layouts of [`dino::weights`], and torchvision's
//! ResNet50.

use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use dino::backbone::BackboneShape;
use dino::weights::Untold;
use dino::{Cost, Encoder, ResNet50, Token, weights};
use run_spec::config::{Model, ResolvedConfig};
use run_spec::ids::Digest;
use serde_json::Value;
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
    let model = args.config.as_ref().map(|_| &config.model);
    let released = open(uri, args.layout, model, device.device)?;
    let side = args.size.unwrap_or(config.crops.global_size);
    released.model.verify_side(side)?;
    Ok(OpenReleased { config, device, released, side })
}

/// Reads the file at `uri`. What the tensors of a vision transformer do not hold is from `model` where it is given, else from a
/// `config.json` beside the file, else DINOv2's.
///
/// # Errors
/// A file that cannot be read, has no known layout, or another one than `layout`; a model of another size.
pub(crate) fn open(
    uri: &str,
    layout: Option<WeightsLayout>,
    model: Option<&Model>,
    device: Device,
) -> Result<Released> {
    let (folder, key) = Store::open_file(uri)?;
    let bytes = folder.get(&key).with_context(|| format!("the weights {uri} cannot be read"))?;
    let tensors = weights::read(&bytes, uri)?;
    let (found, model) = match ResNet50::is_named_so(tensors.iter().map(|(name, _)| name.as_str())) {
        true => (WeightsLayout::Resnet50, Box::new(ResNet50::load(tensors, uri, device)?) as Box<dyn Frozen>),
        false => {
            let untold = match model {
                Some(model) => Untold::Configuration(model),
                None => untold_beside(&folder, &tensors),
            };
            let shape = weights::shape_of(&tensors, untold, uri)?;
            if matches!(untold, Untold::AsDinov2) && !WIDTHS_OF_DINOV2.contains(&shape.dim) {
                let heads = terminal::counted(shape.heads, "attention head");
                tracing::warn!(
                    weights = uri,
                    "{heads} of width 64 assumed; if the model has others, give its configuration with --config"
                );
            }
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

/// Widths of DINOv2's models, whose heads are 64 wide.
const WIDTHS_OF_DINOV2: [i64; 4] = [384, 768, 1024, 1536];

/// What a `config.json` of timm or transformers in the weights' folder says of a model of this width.
fn untold_beside(folder: &Store, tensors: &[(String, Tensor)]) -> Untold<'static> {
    let file = folder.get("config.json").ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(file) = file else { return Untold::AsDinov2 };
    let of_timm = file.get("model_args").unwrap_or(&Value::Null);
    let either = |timm: &str, transformers: &str| of_timm[timm].as_i64().or_else(|| file[transformers].as_i64());
    let (heads, width) = (either("num_heads", "num_attention_heads"), either("embed_dim", "hidden_size"));
    let (Some(heads), Some(width)) = (heads, width) else { return Untold::AsDinov2 };
    let of_weights = tensors.iter().find(|(name, _)| name.ends_with("cls_token"));
    if of_weights.is_none_or(|(_, token)| token.size().last() != Some(&width)) {
        tracing::warn!(width, "config.json beside the weights describes a model of another width, and is not used");
        return Untold::AsDinov2;
    }
    Untold::Beside { heads, ln_eps: file["layer_norm_eps"].as_f64() }
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
    fn heads_are_read_from_the_file_beside_the_weights() {
        let tensors =
            |width: i64| vec![("cls_token".to_owned(), Tensor::zeros([1, 1, width], (tch::Kind::Float, Device::Cpu)))];
        let of = |name: &str, text: &str, width| {
            let folder = Store::open(&format!("memory://{name}")).unwrap();
            folder.create("config.json", text.as_bytes().to_vec().into()).unwrap();
            untold_beside(&folder, &tensors(width))
        };
        let timm = r#"{"model_args": {"embed_dim": 64, "num_heads": 2}}"#;
        let transformers = r#"{"hidden_size": 64, "num_attention_heads": 4, "layer_norm_eps": 1e-5}"#;
        assert!(matches!(of("timm", timm, 64), Untold::Beside { heads: 2, ln_eps: None }));
        assert!(matches!(of("transformers", transformers, 64), Untold::Beside { heads: 4, ln_eps: Some(_) }));
        assert!(matches!(of("other", timm, 128), Untold::AsDinov2), "it is of another model");
        assert!(matches!(of("none", "[1, 2", 64), Untold::AsDinov2));
    }

    #[test]
    fn the_log_names_the_size_of_a_model_in_words() {
        let mut shape = BackboneShape::of(&ResolvedConfig::untrained("", "the defaults", &[]).unwrap());
        (shape.dim, shape.depth, shape.heads, shape.patch, shape.registers) = (192, 6, 3, 14, 0);
        assert_eq!(shape_words(&shape), "width 192, depth 6, 3 heads, patch 14");
        shape.registers = 4;
        assert_eq!(shape_words(&shape), "width 192, depth 6, 3 heads, patch 14, 4 registers");
    }
}
