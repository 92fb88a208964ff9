//! The backbone as ONNX, with position embeddings for one image size at one side length: operators of the standard set, version 17, f32.
//!
//! In: `images` `[batch, 3, S, S]`, RGB, normalised. Out: `features` `[batch, D]`, the normed CLS token, and `patches`
//! `[batch, N, D]`, the normed patch tokens row by row. Checked in onnxruntime by `tests/interop/check_onnx.py`.

use dino::backbone::{self, BackboneShape, Feed};
use dino::params::Parameters;
use tch::{Device, Kind, Tensor};

use crate::error::ExportError;
use crate::proto::{self, FLOAT, INT64, Message, float, int, ints};
use crate::{Model, NamedFile, Result};

/// Protobuf counts the bytes of a message in 31 bits.
const MOST_BYTES: usize = i32::MAX as usize;

/// The file that ONNX runtimes load.
///
/// * `side` the images' side in pixels, a multiple of the patch.
/// * `producer` the code version that writes the file.
///
/// # Errors
/// A side that is not a multiple, weights beyond 2 GiB, a parameter that is missing.
pub fn onnx(model: &Model<'_>, side: i64, producer: &str) -> Result<Vec<NamedFile>> {
    let (shape, params) = (model.teacher.backbone().shape(), model.teacher.params());
    if side <= 0 || side % shape.patch != 0 {
        return Err(ExportError::Side { side, patch: shape.patch });
    }
    let weights: usize = params.tensors().iter().map(|t| t.numel() * 4).sum();
    if weights > MOST_BYTES - (1 << 20) {
        return Err(ExportError::TooLarge { mib: weights >> 20 });
    }
    let mut writer = Writer { shape, params, nodes: Vec::new(), constants: Vec::new() };
    tch::no_grad(|| writer.network(side))?;
    let n = (side / shape.patch).pow(2);
    let inputs = [proto::value("images", &[3, side, side])];
    let outputs = [proto::value("features", &[shape.dim]), proto::value("patches", &[n, shape.dim])];
    let graph = proto::graph("backbone", &writer.nodes, &writer.constants, &inputs, &outputs);
    let doc = "EMA teacher backbone; images are RGB, scaled to 0..1, normalised with ImageNet's mean and deviation";
    let facts = model.facts("EMA teacher backbone (not the student)");
    Ok(vec![("model.onnx", proto::model(producer, doc, &graph, &facts).0)])
}

/// The graph as it grows. A node is called as its output.
struct Writer<'a> {
    shape: &'a BackboneShape,
    params: &'a Parameters,
    nodes: Vec<Message>,
    constants: Vec<Message>,
}

impl Writer<'_> {
    fn get(&self, name: &str) -> Result<Tensor> {
        Ok(self.params.get(&format!("backbone.{name}"))?.detach().to_device(Device::Cpu).to_kind(Kind::Float))
    }

    fn constant(&mut self, name: &str, t: &Tensor) -> String {
        let t = t.contiguous();
        let mut raw_data = vec![0; t.numel() * 4];
        t.copy_data_u8(&mut raw_data, t.numel());
        self.constants.push(proto::constant(name, &t.size(), FLOAT, &raw_data));
        name.to_owned()
    }

    fn numbers(&mut self, name: &str, values: &[i64]) -> String {
        let raw_data: Vec<u8> = values.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.constants.push(proto::constant(name, &[values.len() as i64], INT64, &raw_data));
        name.to_owned()
    }

    fn weight(&mut self, name: &str) -> Result<String> {
        let t = self.get(name)?;
        Ok(self.constant(name, &t))
    }

    fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: &[Message]) -> String {
        self.nodes.push(proto::node(op, inputs, &[name], attributes));
        name.to_owned()
    }

    fn reshape(&mut self, name: &str, x: &str, to: &[i64]) -> String {
        let to = self.numbers(&format!("{name}.shape"), to);
        self.node("Reshape", name, &[x, &to], &[])
    }

    fn transpose(&mut self, name: &str, x: &str, axes: &[i64]) -> String {
        self.node("Transpose", name, &[x], &[ints("perm", axes)])
    }

    /// `x · Wᵀ + b` of the layer `layer`.
    fn linear(&mut self, layer: &str, x: &str) -> Result<String> {
        let t = self.get(&format!("{layer}.weight"))?.transpose(0, 1);
        let weight = self.constant(&format!("{layer}.weight"), &t);
        let bias = self.weight(&format!("{layer}.bias"))?;
        let product = self.node("MatMul", &format!("{layer}/product"), &[x, &weight], &[]);
        Ok(self.node("Add", layer, &[&product, &bias], &[]))
    }

    fn norm(&mut self, layer: &str, x: &str) -> Result<String> {
        let (weight, bias) = (self.weight(&format!("{layer}.weight"))?, self.weight(&format!("{layer}.bias"))?);
        let attributes = [int("axis", -1), float("epsilon", self.shape.ln_eps as f32)];
        Ok(self.node("LayerNormalization", layer, &[x, &weight, &bias], &attributes))
    }

    fn network(&mut self, side: i64) -> Result<()> {
        let mut x = self.embed(side)?; // [B, T, D]
        for i in 0..self.shape.depth {
            for (branch, gamma) in [("attention", "ls1.gamma"), ("feed", "ls2.gamma")] {
                let at = format!("blocks.{i}");
                let y = match branch {
                    "attention" => self.attend(&at, &x)?,
                    _ => self.feed(&at, &x)?,
                };
                let gamma = self.weight(&format!("{at}.{gamma}"))?;
                let scaled = self.node("Mul", &format!("{at}/{branch}/scaled"), &[&y, &gamma], &[]);
                x = self.node("Add", &format!("{at}/{branch}/sum"), &[&x, &scaled], &[]);
            }
        }
        let x = self.norm("norm", &x)?;
        let first = self.scalar("first", 0);
        self.node("Gather", "features", &[&x, &first], &[int("axis", 1)]);
        let from = self.numbers("patches.from", &[1 + self.shape.registers]);
        let to = self.numbers("patches.to", &[i64::MAX]);
        let axis = self.numbers("patches.axis", &[1]);
        self.node("Slice", "patches", &[&x, &from, &to, &axis], &[]);
        Ok(())
    }

    /// An index without axes, so that Gather takes an axis away.
    fn scalar(&mut self, name: &str, n: i64) -> String {
        self.constants.push(proto::constant(name, &[], INT64, &n.to_le_bytes()));
        name.to_owned()
    }

    fn embed(&mut self, side: i64) -> Result<String> {
        let (d, p) = (self.shape.dim, self.shape.patch);
        let (g, stored) = (side / p, self.shape.grid);
        let pos = self.get("pos_embed")?;
        let grid = pos.narrow(1, 1, stored * stored);
        // As the backbone does at run time: recipe §1.4.
        let grid = if g == stored { grid } else { backbone::resize_grid(&grid, (g, g), self.shape.offset) };
        let mut prefix = vec![self.get("cls_token")? + pos.narrow(1, 0, 1)];
        if self.shape.registers > 0 {
            prefix.push(self.get("register_tokens")?);
        }
        let prefix = self.constant("prefix_tokens", &Tensor::cat(&prefix, 1)); // [1, 1 + R, D]
        let grid = self.constant("pos_embed", &grid); // [1, N, D]

        let (weight, bias) = (self.weight("patch_embed.proj.weight")?, self.weight("patch_embed.proj.bias")?);
        let strides = [ints("kernel_shape", &[p, p]), ints("strides", &[p, p])];
        let x = self.node("Conv", "patch_embed/maps", &["images", &weight, &bias], &strides); // [B, D, g, g]
        let x = self.reshape("patch_embed/flat", &x, &[0, d, g * g]);
        let x = self.transpose("patch_embed", &x, &[0, 2, 1]); // [B, N, D]
        let x = self.node("Add", "patch_embed/placed", &[&x, &grid], &[]);
        let batch = self.node("Shape", "batch", &["images"], &[int("start", 0), int("end", 1)]);
        let rest = self.numbers("prefix.shape", &[1 + self.shape.registers, d]);
        let to = self.node("Concat", "prefix/shape", &[&batch, &rest], &[int("axis", 0)]);
        let prefix = self.node("Expand", "prefix", &[&prefix, &to], &[]);
        Ok(self.node("Concat", "tokens", &[&prefix, &x], &[int("axis", 1)]))
    }

    fn attend(&mut self, at: &str, x: &str) -> Result<String> {
        let (d, heads) = (self.shape.dim, self.shape.heads);
        let name = |part: &str| format!("{at}.attn/{part}");
        let x = self.norm(&format!("{at}.norm1"), x)?;
        let x = self.linear(&format!("{at}.attn.qkv"), &x)?;
        let x = self.reshape(&name("split"), &x, &[0, -1, 3, heads, d / heads]);
        let x = self.transpose(&name("heads"), &x, &[2, 0, 3, 1, 4]); // [3, B, H, T, D/H]
        let mut part = |n: i64, what: &str| {
            let index = self.scalar(&name(&format!("{what}.index")), n);
            self.node("Gather", &name(what), &[&x, &index], &[int("axis", 0)])
        };
        let (q, k, v) = (part(0, "q"), part(1, "k"), part(2, "v"));
        let scale = Tensor::from(((d / heads) as f64).powf(-0.5)).to_kind(Kind::Float);
        let scale = self.constant(&name("scale"), &scale);
        let q = self.node("Mul", &name("q/scaled"), &[&q, &scale], &[]);
        let k = self.transpose(&name("k/turned"), &k, &[0, 1, 3, 2]);
        let scores = self.node("MatMul", &name("scores"), &[&q, &k], &[]);
        let shares = self.node("Softmax", &name("shares"), &[&scores], &[int("axis", -1)]);
        let x = self.node("MatMul", &name("mixed"), &[&shares, &v], &[]); // [B, H, T, D/H]
        let x = self.transpose(&name("tokens"), &x, &[0, 2, 1, 3]);
        let x = self.reshape(&name("joined"), &x, &[0, -1, d]);
        self.linear(&format!("{at}.attn.proj"), &x)
    }

    fn feed(&mut self, at: &str, x: &str) -> Result<String> {
        let name = |part: &str| format!("{at}.mlp/{part}");
        let x = self.norm(&format!("{at}.norm2"), x)?;
        match self.shape.feed {
            Feed::Mlp { .. } => {
                let x = self.linear(&format!("{at}.mlp.fc1"), &x)?;
                // Exact GELU, which the operator set has only from version 20 on: x/2 · (1 + erf(x/√2)).
                let mut number = |what: &str, n: f64| self.constant(&name(what), &Tensor::from(n).to_kind(Kind::Float));
                let (root, one, half) =
                    (number("root", std::f64::consts::SQRT_2), number("one", 1.0), number("half", 0.5));
                let y = self.node("Div", &name("gelu/divided"), &[&x, &root], &[]);
                let y = self.node("Erf", &name("gelu/erf"), &[&y], &[]);
                let y = self.node("Add", &name("gelu/raised"), &[&y, &one], &[]);
                let y = self.node("Mul", &name("gelu/doubled"), &[&x, &y], &[]);
                let y = self.node("Mul", &name("gelu"), &[&y, &half], &[]);
                self.linear(&format!("{at}.mlp.fc2"), &y)
            }
            Feed::SwiGlu { .. } => {
                let x = self.linear(&format!("{at}.mlp.w12"), &x)?;
                let (a, b) = (name("gate"), name("value"));
                self.nodes.push(proto::node("Split", &[&x], &[&a, &b], &[int("axis", -1)]));
                let y = self.node("Sigmoid", &name("sigmoid"), &[&a], &[]);
                let y = self.node("Mul", &name("silu"), &[&a, &y], &[]);
                let y = self.node("Mul", &name("gated"), &[&y, &b], &[]);
                self.linear(&format!("{at}.mlp.w3"), &y)
            }
        }
    }
}
