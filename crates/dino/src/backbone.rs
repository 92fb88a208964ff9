//! The vision transformer of DINOv2 (recipe §1): pre-norm blocks with LayerScale, a CLS token, optional registers,
//! exact GELU or SwiGLU, masked patches, and position embeddings resized at run time.
//!
//! Shapes: B images, N = gh·gw patches, R registers, T = 1 + R + N tokens, D width, H heads.
//! Token order: CLS, registers, patches row by row. The final norm is per token, so callers gather first and norm then.

use crate::{
    DinoError, Share,
    params::{Declared, Draw, Parameters},
};
use run_spec::seed;
use tch::{Kind, Tensor};

/// The feed-forward layer of a block, with its hidden width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// `fc2(gelu(fc1(x)))`.
    Mlp {
        /// Width between the two.
        hidden: i64,
    },
    /// `w3(silu(a) · b)` with `[a, b] = w12(x)`.
    SwiGlu {
        /// Width of `a` and of `b`.
        hidden: i64,
    },
}

/// Everything that decides what a backbone computes, apart from its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Width D.
    pub dim: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads.
    pub heads: i64,
    /// Patch side in pixels.
    pub patch: i64,
    /// Patches along each side for which position embeddings are stored.
    pub grid: i64,
    /// Register tokens.
    pub registers: i64,
    /// Feed-forward layer.
    pub feed: Feed,
    /// Epsilon of layer norms.
    pub ln_eps: f64,
    /// Offset in the resize of position embeddings, 0.1 or 0.
    pub offset: f64,
    /// Stochastic depth rate of the last block; it grows linearly from 0 at the first.
    pub drop_path: f64,
    /// LayerScale at the start.
    pub layerscale_init: f64,
}

impl Shape {
    /// The shape that a configuration asks for.
    pub fn of(config: &run_spec::config::TrainConfig) -> Self {
        let m = &config.model;
        let feed = match m.ffn {
            run_spec::config::Ffn::Mlp => Feed::Mlp { hidden: (m.dim as f64 * m.mlp_ratio) as i64 },
            run_spec::config::Ffn::Swiglu => {
                Feed::SwiGlu { hidden: ((m.dim as f64 * m.mlp_ratio * 2.0 / 3.0) as i64 + 7) / 8 * 8 }
            }
        };
        Self {
            dim: m.dim,
            depth: m.depth,
            heads: m.heads,
            patch: m.patch,
            grid: config.grid(),
            registers: m.registers,
            feed,
            ln_eps: m.ln_eps,
            offset: m.offset,
            drop_path: m.drop_path,
            layerscale_init: m.layerscale_init,
        }
    }

    /// The parameters of such a backbone, names as in recipe §1.2 without a prefix.
    pub fn declare(&self) -> Vec<Declared> {
        let d = self.dim;
        let mut out = Vec::new();
        let mut add = |name: String, shape: &[i64], draw: Draw| {
            out.push(Declared { name, shape: shape.to_vec(), draw });
        };
        let linear = Draw::TruncatedNormal(0.02);
        let (zero, one) = (Draw::Constant(0.0), Draw::Constant(1.0));
        // The convolution keeps PyTorch's default, U(±1/√fan_in), weight and bias alike.
        let patch = Draw::Uniform(1.0 / ((3 * self.patch * self.patch) as f64).sqrt());
        add("cls_token".into(), &[1, 1, d], Draw::Normal(1e-6));
        add("mask_token".into(), &[1, d], zero);
        add("pos_embed".into(), &[1, 1 + self.grid * self.grid, d], linear);
        if self.registers > 0 {
            add("register_tokens".into(), &[1, self.registers, d], Draw::Normal(1e-6));
        }
        add("patch_embed.proj.weight".into(), &[d, 3, self.patch, self.patch], patch);
        add("patch_embed.proj.bias".into(), &[d], patch);
        add("norm.weight".into(), &[d], one);
        add("norm.bias".into(), &[d], zero);
        for i in 0..self.depth {
            let mut block = |name: &str, shape: &[i64], draw: Draw| {
                add(format!("blocks.{i}.{name}"), shape, draw);
            };
            for norm in ["norm1", "norm2"] {
                block(&format!("{norm}.weight"), &[d], one);
                block(&format!("{norm}.bias"), &[d], zero);
            }
            for scale in ["ls1.gamma", "ls2.gamma"] {
                block(scale, &[d], Draw::Constant(self.layerscale_init));
            }
            let layers: [(&str, i64, i64); 4] = match self.feed {
                Feed::Mlp { hidden } => {
                    [("attn.qkv", 3 * d, d), ("attn.proj", d, d), ("mlp.fc1", hidden, d), ("mlp.fc2", d, hidden)]
                }
                Feed::SwiGlu { hidden } => {
                    [("attn.qkv", 3 * d, d), ("attn.proj", d, d), ("mlp.w12", 2 * hidden, d), ("mlp.w3", d, hidden)]
                }
            };
            for (name, rows, columns) in layers {
                block(&format!("{name}.weight"), &[rows, columns], linear);
                block(&format!("{name}.bias"), &[rows], zero);
            }
        }
        out
    }
}

/// Weight and bias of a linear layer or a norm.
#[derive(Debug)]
struct Pair {
    weight: Tensor,
    bias: Tensor,
}

impl Pair {
    fn linear(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }
    fn norm(&self, x: &Tensor, eps: f64) -> Tensor {
        let d = self.weight.size()[0];
        x.layer_norm([d], Some(&self.weight), Some(&self.bias), eps, false)
    }
}

#[derive(Debug)]
struct Block {
    norm1: Pair,
    qkv: Pair,
    proj: Pair,
    gamma1: Tensor,
    norm2: Pair,
    first: Pair,
    second: Pair,
    gamma2: Tensor,
}

/// Which rows of a batch skip a block (stochastic depth, arXiv:1603.09382), drawn per loss group from a keyed stream,
/// so that the world size does not change them.
#[derive(Clone, Copy, Debug)]
pub struct DropPath {
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser step.
    pub step: u64,
    /// 0 for global crops, 1 for local crops.
    pub pass: u64,
    /// The images of the batch, and their loss groups.
    pub share: Share,
    /// Crops of an image: rows are ordered crop, image.
    pub crops: i64,
}

impl DropPath {
    /// The rows of the batch that do not skip, and the factor that keeps the mean.
    ///
    /// A group that lies on several ranks is drawn by each of them, and each keeps its own rows: possibly none.
    fn kept(&self, block: u64, branch: u64, rate: f64) -> (Tensor, f64) {
        let (share, size) = (&self.share, self.share.group_size());
        let all = (self.crops * size) as usize;
        // DINOv2 keeps int(n·(1 − rate)) rows, at least one, and scales by n / kept.
        let keep = ((all as f64 * (1.0 - rate)) as usize).max(1);
        let mut index = Vec::new();
        for group in share.touched() {
            let keys = [self.step, group as u64, self.pass, block, branch];
            let order = seed::stream(self.seed, "drop_path", &keys).permutation(all);
            index.extend(order[..keep].iter().filter_map(|&i| {
                let (crop, image) = (i as i64 / size, group * size + i as i64 % size - share.first);
                (0..share.images).contains(&image).then_some(crop * share.images + image)
            }));
        }
        (Tensor::from_slice(&index), all as f64 / keep as f64)
    }
}

/// A backbone over parameters that live elsewhere: it holds handles, not copies.
#[derive(Debug)]
pub struct Backbone {
    shape: Shape,
    cls_token: Tensor,
    pos_embed: Tensor,
    mask_token: Tensor,
    registers: Option<Tensor>,
    patch: Pair,
    blocks: Vec<Block>,
    norm: Pair,
}

impl Backbone {
    /// Binds the parameters called `backbone.…`.
    ///
    /// # Errors
    /// A name that is not there.
    pub fn new(shape: Shape, params: &Parameters) -> Result<Self, DinoError> {
        let get = |name: &str| params.get(&format!("backbone.{name}"));
        let pair = |name: &str| -> Result<Pair, DinoError> {
            Ok(Pair { weight: get(&format!("{name}.weight"))?, bias: get(&format!("{name}.bias"))? })
        };
        let (first, second) = match shape.feed {
            Feed::Mlp { .. } => ("mlp.fc1", "mlp.fc2"),
            Feed::SwiGlu { .. } => ("mlp.w12", "mlp.w3"),
        };
        let block = |i: i64| -> Result<Block, DinoError> {
            let at = |name: &str| format!("blocks.{i}.{name}");
            Ok(Block {
                norm1: pair(&at("norm1"))?,
                qkv: pair(&at("attn.qkv"))?,
                proj: pair(&at("attn.proj"))?,
                gamma1: get(&at("ls1.gamma"))?,
                norm2: pair(&at("norm2"))?,
                first: pair(&at(first))?,
                second: pair(&at(second))?,
                gamma2: get(&at("ls2.gamma"))?,
            })
        };
        Ok(Self {
            shape,
            cls_token: get("cls_token")?,
            pos_embed: get("pos_embed")?,
            mask_token: get("mask_token")?,
            registers: (shape.registers > 0).then(|| get("register_tokens")).transpose()?,
            patch: pair("patch_embed.proj")?,
            blocks: (0..shape.depth).map(block).collect::<Result<_, _>>()?,
            norm: pair("norm")?,
        })
    }

    /// What it computes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Index of the first patch in a row of tokens.
    pub fn first_patch(&self) -> i64 {
        1 + self.shape.registers
    }

    /// All blocks, without the final norm: `images` `[B, 3, h, w]` to tokens `[B, T, D]`.
    ///
    /// `masks` `[B, N]` bool: where true, the mask token stands for the patch. `drop` draws stochastic depth; `None` in
    /// a teacher and in evaluation.
    pub fn tokens(&self, images: &Tensor, masks: Option<&Tensor>, drop: Option<DropPath>) -> Tensor {
        let mut x = self.embed(images, masks); // [B, T, D]
        for (i, block) in self.blocks.iter().enumerate() {
            let rate = match self.shape.depth {
                1 => self.shape.drop_path,
                depth => self.shape.drop_path * i as f64 / (depth - 1) as f64,
            };
            let attend = |x: &Tensor| self.attend(block, x);
            let feed = |x: &Tensor| self.feed(block, x);
            x = residual(&x, &block.gamma1, attend, drop, (i, 0), rate);
            x = residual(&x, &block.gamma2, feed, drop, (i, 1), rate);
        }
        x
    }

    /// The final norm, per token: any shape ending in D.
    pub fn norm(&self, tokens: &Tensor) -> Tensor {
        self.norm.norm(tokens, self.shape.ln_eps)
    }

    /// Normed CLS tokens `[B, D]` of `images` `[B, 3, h, w]`.
    pub fn cls(&self, images: &Tensor) -> Tensor {
        self.norm(&self.tokens(images, None, None).select(1, 0))
    }

    fn embed(&self, images: &Tensor, masks: Option<&Tensor>) -> Tensor {
        let p = self.shape.patch;
        let size = images.size();
        let (b, gh, gw) = (size[0], size[2] / p, size[3] / p);
        // A convolution whose stride is its kernel is a linear map of each patch.
        let patches = images.view([b, 3, gh, p, gw, p]).permute([0, 2, 4, 1, 3, 5]).reshape([b, gh * gw, 3 * p * p]);
        let weight = self.patch.weight.view([self.shape.dim, 3 * p * p]);
        let mut x = patches.linear(&weight, Some(&self.patch.bias)); // [B, N, D]
        if let Some(masks) = masks {
            x = self.mask_token.to_kind(x.kind()).where_self(&masks.unsqueeze(-1), &x);
        }
        let pos = self.positions(gh, gw); // [1, 1 + N, D]
        let cls = &self.cls_token + pos.narrow(1, 0, 1);
        let x = x + pos.narrow(1, 1, gh * gw);
        let mut parts = vec![cls.expand([b, 1, self.shape.dim], false)];
        if let Some(registers) = &self.registers {
            parts.push(registers.expand([b, self.shape.registers, self.shape.dim], false));
        }
        parts.push(x.to_kind(parts[0].kind()));
        Tensor::cat(&parts, 1) // [B, T, D]
    }

    /// Position embeddings for a grid of `gh` x `gw` patches.
    fn positions(&self, gh: i64, gw: i64) -> Tensor {
        if gh == self.shape.grid && gw == self.shape.grid {
            return self.pos_embed.shallow_clone();
        }
        let cls = self.pos_embed.narrow(1, 0, 1);
        let grid = self.pos_embed.narrow(1, 1, self.shape.grid.pow(2));
        let resized = resize_grid(&grid, (gh, gw), self.shape.offset);
        Tensor::cat(&[cls, resized], 1)
    }

    fn attend(&self, block: &Block, x: &Tensor) -> Tensor {
        let (b, t, d) = x.size3().expect("tokens have three axes");
        let heads = self.shape.heads;
        let x = block.norm1.norm(x, self.shape.ln_eps);
        let qkv = block.qkv.linear(&x).view([b, t, 3, heads, d / heads]);
        let qkv = qkv.permute([2, 0, 3, 1, 4]); // [3, B, H, T, D/H]
        let (q, k, v) = (qkv.get(0), qkv.get(1), qkv.get(2));
        let out = Tensor::scaled_dot_product_attention::<&Tensor>(&q, &k, &v, None, 0.0, false, None, false);
        block.proj.linear(&out.transpose(1, 2).reshape([b, t, d]))
    }

    fn feed(&self, block: &Block, x: &Tensor) -> Tensor {
        let x = block.norm2.norm(x, self.shape.ln_eps);
        let hidden = block.first.linear(&x);
        let hidden = match self.shape.feed {
            Feed::Mlp { .. } => hidden.gelu("none"),
            Feed::SwiGlu { .. } => {
                let halves = hidden.chunk(2, -1);
                halves[0].silu() * &halves[1]
            }
        };
        block.second.linear(&hidden)
    }
}

/// `x + gamma · f(x)`, on the rows that stochastic depth keeps.
fn residual(
    x: &Tensor,
    gamma: &Tensor,
    f: impl Fn(&Tensor) -> Tensor,
    drop: Option<DropPath>,
    (block, branch): (usize, u64),
    rate: f64,
) -> Tensor {
    let Some(drop) = drop.filter(|_| rate > 0.0) else {
        // Autocast may have lowered f(x); the residual stream keeps its width.
        return x.addcmul(&f(x).to_kind(x.kind()), gamma);
    };
    let (rows, scale) = drop.kept(block as u64, branch, rate);
    let rows = rows.to_device(x.device());
    let out = f(&x.index_select(0, &rows)).to_kind(x.kind());
    x.index_add(0, &rows, &(out * (gamma * scale)))
}

/// Position embeddings `[1, g², D]` resized to `[1, gh·gw, D]` by bicubic interpolation (recipe §1.4).
///
/// With an offset, torch is told the scale `(side + offset) / g` instead of the size, which moves its sample points.
pub fn resize_grid(grid: &Tensor, (gh, gw): (i64, i64), offset: f64) -> Tensor {
    let (_, n, d) = grid.size3().expect("position embeddings have three axes");
    let g = (n as f64).sqrt().round() as i64;
    let wide = match grid.kind() {
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    };
    let image = grid.to_kind(wide).reshape([1, g, g, d]).permute([0, 3, 1, 2]);
    let scale = |side: i64| (offset != 0.0).then(|| (side as f64 + offset) / g as f64);
    image
        .upsample_bicubic2d([gh, gw], false, scale(gh), scale(gw))
        .permute([0, 2, 3, 1])
        .reshape([1, gh * gw, d])
        .to_kind(grid.kind())
}
