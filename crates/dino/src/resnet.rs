//! The ResNet50 that the paper compares with (recipe §6): torchvision's network up to and with `layer3`, then the mean over
//! places, 1024 features. Read from torchvision's state dict, frozen; `layer4` and `fc` are left out.

use crate::{DinoError, cost::Cost, params::check};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// Width of the features.
const DIM: i64 = 1024;
/// Bottlenecks of `layer1`, `layer2`, `layer3`.
const BLOCKS: [i64; 3] = [3, 4, 6];
/// Epsilon of torchvision's batch norms.
const EPS: f64 = 1e-5;

/// A convolution without bias and the batch norm after it, by name.
#[derive(Clone, Debug)]
struct Layer {
    conv: String,
    norm: String,
    /// Channels in and out, side of the kernel.
    sizes: [i64; 3],
    stride: i64,
}

impl Layer {
    /// Names and shapes of its tensors.
    fn declare(&self) -> Vec<(String, Vec<i64>)> {
        let [from, to, kernel] = self.sizes;
        let norm =
            ["weight", "bias", "running_mean", "running_var"].map(|part| (format!("{}.{part}", self.norm), vec![to]));
        std::iter::once((format!("{}.weight", self.conv), vec![to, from, kernel, kernel])).chain(norm).collect()
    }

    /// Side of what comes out of an image of `side`.
    fn side(&self, side: i64) -> i64 {
        (side + 2 * self.padding() - self.sizes[2]) / self.stride + 1
    }

    fn padding(&self) -> i64 {
        self.sizes[2] / 2
    }
}

/// A block of three convolutions, and what its input goes through beside them.
#[derive(Debug)]
struct Bottleneck {
    main: [Layer; 3],
    shortcut: Option<Layer>,
}

/// The layers in the order in which an image meets them.
fn layers() -> (Layer, Vec<Bottleneck>) {
    let stem = Layer { conv: "conv1".to_owned(), norm: "bn1".to_owned(), sizes: [3, 64, 7], stride: 2 };
    let (mut blocks, mut from) = (Vec::new(), 64);
    for (stage, count) in (1..).zip(BLOCKS) {
        let width = 32 << stage;
        for block in 0..count {
            let name = format!("layer{stage}.{block}");
            let stride = if block == 0 && stage > 1 { 2 } else { 1 };
            let layer = |i: i64, sizes, stride| Layer {
                conv: format!("{name}.conv{i}"),
                norm: format!("{name}.bn{i}"),
                sizes,
                stride,
            };
            let shortcut = (block == 0).then(|| Layer {
                conv: format!("{name}.downsample.0"),
                norm: format!("{name}.downsample.1"),
                sizes: [from, 4 * width, 1],
                stride,
            });
            let main = [
                layer(1, [from, width, 1], 1),
                layer(2, [width, width, 3], stride),
                layer(3, [width, 4 * width, 1], 1),
            ];
            blocks.push(Bottleneck { main, shortcut });
            from = 4 * width;
        }
    }
    (stem, blocks)
}

/// The network with its weights.
#[derive(Debug)]
pub struct ResNet50 {
    stem: Layer,
    blocks: Vec<Bottleneck>,
    tensors: BTreeMap<String, Tensor>,
    device: Device,
}

impl ResNet50 {
    /// Whether names are those of torchvision's ResNets.
    pub fn is_named_so<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|name| name == "layer1.0.conv1.weight")
    }

    /// The network of a state dict of torchvision's; `what` names it in messages.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape, all listed.
    pub fn load(tensors: Vec<(String, Tensor)>, what: &str, device: Device) -> Result<Self, DinoError> {
        let (stem, blocks) = layers();
        let declared: Vec<(String, Vec<i64>)> = all(&stem, &blocks).flat_map(Layer::declare).collect();
        let left_out = |name: &str| {
            name.starts_with("layer4.") || name.starts_with("fc.") || name.ends_with("num_batches_tracked")
        };
        let kept: Vec<(String, Tensor)> = tensors.into_iter().filter(|(name, _)| !left_out(name)).collect();
        check(what, &declared, &kept)?;
        let tensors = kept.into_iter().map(|(name, t)| (name, t.to_kind(Kind::Float).to_device(device))).collect();
        Ok(Self { stem, blocks, tensors, device })
    }

    /// Width of the features.
    pub fn dim(&self) -> i64 {
        DIM
    }

    /// Features `[B, 1024]` f32 of `images` `[B, 3, h, w]` (normalised), on the network's device; no gradient.
    pub fn features(&self, images: &Tensor) -> Tensor {
        tch::no_grad(|| {
            let images = images.to_device(self.device).to_kind(Kind::Float);
            let x = self.convolved(&self.stem, &images).relu(); // [B, 64, h/2, w/2]
            let x = x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
            let x = self.blocks.iter().fold(x, |x, block| self.bottleneck(block, &x)); // [B, 1024, h/16, w/16]
            x.mean_dim([2, 3].as_slice(), false, Kind::Float)
        })
    }

    /// The cost of the features of an image of `side` pixels. Checked against torch's counter in `tests/golden/resnet/costs.json`.
    pub fn cost(side: i64) -> Cost {
        let (stem, blocks) = layers();
        let trained = |layer: &Layer| {
            let [from, to, kernel] = layer.sizes;
            from * to * kernel * kernel + 2 * to
        };
        let mut flops = 0;
        let mut count = |layer: &Layer, side: i64| {
            let side = layer.side(side);
            flops += 2 * side * side * layer.sizes.iter().product::<i64>() * layer.sizes[2];
            side
        };
        // The pool after the stem halves the side as a convolution of 3 x 3 would.
        let mut side = (count(&stem, side) - 1) / 2 + 1;
        for block in &blocks {
            if let Some(layer) = &block.shortcut {
                count(layer, side);
            }
            side = block.main.iter().fold(side, |side, layer| count(layer, side));
        }
        let parameters = all(&stem, &blocks).map(trained).sum::<i64>();
        Cost { parameters: parameters.unsigned_abs(), flops: flops.unsigned_abs() }
    }

    fn tensor(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    fn convolved(&self, layer: &Layer, x: &Tensor) -> Tensor {
        let (stride, padding) = ([layer.stride; 2], [layer.padding(); 2]);
        let x = x.conv2d(self.tensor(&format!("{}.weight", layer.conv)), None::<&Tensor>, stride, padding, [1, 1], 1);
        let [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| self.tensor(&format!("{}.{part}", layer.norm)));
        x.batch_norm(Some(weight), Some(bias), Some(mean), Some(variance), false, 0.0, EPS, true)
    }

    fn bottleneck(&self, block: &Bottleneck, x: &Tensor) -> Tensor {
        let [first, second, third] = &block.main;
        let y = self.convolved(first, x).relu();
        let y = self.convolved(second, &y).relu();
        let beside = block.shortcut.as_ref().map(|layer| self.convolved(layer, x));
        (self.convolved(third, &y) + beside.as_ref().unwrap_or(x)).relu()
    }
}

/// All layers.
fn all<'a>(stem: &'a Layer, blocks: &'a [Bottleneck]) -> impl Iterator<Item = &'a Layer> {
    std::iter::once(stem).chain(blocks.iter().flat_map(|block| block.main.iter().chain(&block.shortcut)))
}
