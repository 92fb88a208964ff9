//! The vision transformer of DINOv2 (recipe §1): pre-norm blocks with LayerScale, a CLS token, optional registers,
//! exact GELU or SwiGLU, masked patches, and position embeddings resized at run time.
//!
//! Shapes: B images, N = gh·gw patches, R registers, T = 1 + R + N tokens, D width, H heads.
//! Token order: CLS, registers, patches row by row. Callers say which tokens they want, and get those, normed.

mod block;
mod draws;
mod drop_path;
mod grid;
mod packed;
mod shape;

use draws::Draws;
pub use drop_path::DropPath;
pub use grid::{resize_grid, resize_grid_by_products};
pub use shape::{BackboneShape, Feed};

use crate::{DinoError, params::Parameters};
use block::{Block, Pair};
use packed::{Segment, pack};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};
use torch_shim::{autograd, device::Autocast};

/// Crops of one size, all of which go through the blocks.
#[derive(Debug)]
pub struct Crops<'a> {
    /// `[B, 3, h, w]`, normalised.
    pub images: &'a Tensor,
    /// `[B, N]` bool: where true, the mask token stands for the patch.
    pub masks: Option<&'a Tensor>,
    /// Which tokens are wanted, as rows of the flattened `[B · T]`: CLS tokens, masked patches.
    pub rows: &'a Tensor,
    /// Draws stochastic depth; `None` in a teacher and in evaluation.
    pub drop: Option<DropPath>,
}

/// What a backbone makes of images, for people to look at.
#[derive(Debug)]
pub struct Seen {
    /// Normed patch tokens `[B, N, D]`, row by row of the image.
    pub patches: Tensor,
    /// How the CLS token shares its attention in the last block, by head: `[B, H, T]`. The shares of a head sum to 1; the first
    /// goes to the CLS token itself, those from [`Backbone::first_patch`] on to the patches.
    pub attention: Tensor,
}

/// Activation checkpointing: a block keeps its input only, and runs again in backward.
#[derive(Clone, Copy, Debug)]
pub struct Recompute {
    /// The autocast under which it runs, which backward would not know.
    pub autocast: Option<(Device, Kind)>,
}

/// A backbone over parameters that live elsewhere: it holds handles, not copies.
#[derive(Debug)]
pub struct Backbone {
    shape: BackboneShape,
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
    pub fn new(shape: BackboneShape, params: &Parameters) -> Result<Self, DinoError> {
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
                index: i as u64,
                rate: shape.drop_rate(i),
                heads: shape.heads,
                ln_eps: shape.ln_eps,
                kind: shape.feed,
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

    /// Widths, depth and everything else that decides what it computes.
    pub fn shape(&self) -> &BackboneShape {
        &self.shape
    }

    /// Index of the first patch in a row of tokens.
    pub fn first_patch(&self) -> i64 {
        1 + self.shape.registers
    }

    /// The wanted tokens of crops of several sizes, normed: `[rows, D]` for each set.
    ///
    /// Layers that act on single tokens run once over all sets, packed without padding; attention stays within an image.
    /// The last feed-forward layer sees the wanted tokens only, since nothing reads the others after it.
    ///
    /// # Errors
    /// A block that cannot be checkpointed.
    pub fn wanted(&self, sets: &[Crops<'_>], recompute: Option<Recompute>) -> Result<Vec<Tensor>, DinoError> {
        let (mut x, segments, rows) = self.packed(sets);
        let rates: Vec<(u64, f64)> = self.blocks.iter().map(|block| (block.index, block.rate)).collect();
        let draws = Draws::of(&rates, &segments, x.device());
        for (block, draws) in self.blocks.iter().zip(draws) {
            let rows = (block.index + 1 == self.blocks.len() as u64).then_some(&rows);
            x = match recompute {
                None => block.forward(&x, &segments, draws.as_ref(), rows),
                Some(recompute) => checkpointed((block.handles(), draws), &x, &segments, rows, recompute)?,
            };
        }
        let sizes: Vec<i64> = sets.iter().map(|set| set.rows.size()[0]).collect();
        Ok(self.norm.norm(&x, self.shape.ln_eps).split_with_sizes(sizes, 0))
    }

    /// Normed CLS tokens `[B, D]` of `images` `[B, 3, h, w]`.
    pub fn cls(&self, images: &Tensor) -> Tensor {
        let rows = self.cls_rows(images);
        let sets = [Crops { images, masks: None, rows: &rows, drop: None }];
        self.wanted(&sets, None).expect("only checkpointing can fail").swap_remove(0)
    }

    /// Normed CLS tokens `[B, D]` and patch tokens `[B, N, D]` of `images` `[B, 3, h, w]`; registers are left out.
    pub fn cls_and_patches(&self, images: &Tensor) -> (Tensor, Tensor) {
        let (size, p) = (images.size(), self.shape.patch);
        let n = size[2] / p * (size[3] / p);
        let of_image = Tensor::arange(n, (Kind::Int64, images.device())) + self.first_patch();
        let of_image = Tensor::cat(&[Tensor::zeros([1], (Kind::Int64, images.device())), of_image], 0);
        let rows = (self.cls_rows(images).unsqueeze(1) + of_image.unsqueeze(0)).view([-1]); // [B · (1 + N)]
        let sets = [Crops { images, masks: None, rows: &rows, drop: None }];
        let tokens = self.wanted(&sets, None).expect("only checkpointing can fail").swap_remove(0);
        let tokens = tokens.view([size[0], 1 + n, self.shape.dim]);
        (tokens.select(1, 0), tokens.narrow(1, 1, n))
    }

    /// What it makes of `images` `[B, 3, h, w]`.
    pub fn seen(&self, images: &Tensor) -> Seen {
        let x = self.embed(images, None); // [B, T, D]
        let (b, t, d) = x.size3().expect("tokens have three axes");
        let segment = Segment { rows: b, tokens: t, drop: None };
        let mut x = x.flatten(0, 1);
        let mut attention = Tensor::new();
        for (index, block) in self.blocks.iter().enumerate() {
            if index + 1 == self.blocks.len() {
                attention = block.cls_attention(&x, segment);
            }
            x = block.forward(&x, &[segment], None, None);
        }
        let tokens = self.norm.norm(&x, self.shape.ln_eps).view([b, t, d]);
        let first = self.first_patch();
        Seen { patches: tokens.narrow(1, first, t - first), attention }
    }

    /// Where the CLS tokens of `images` `[B, 3, h, w]` are among their `[B · T]` tokens.
    pub fn cls_rows(&self, images: &Tensor) -> Tensor {
        let (size, p) = (images.size(), self.shape.patch);
        let tokens = self.first_patch() + size[2] / p * (size[3] / p);
        Tensor::arange(size[0], (Kind::Int64, images.device())) * tokens
    }

    /// Tokens of all sets, where each set lies in them, and the wanted rows of them all.
    fn packed(&self, sets: &[Crops<'_>]) -> (Tensor, Arc<[Segment]>, Tensor) {
        let tokens: Vec<Tensor> = sets.iter().map(|set| self.embed(set.images, set.masks)).collect();
        let segment = |(set, t): (&Crops<'_>, &Tensor)| {
            let size = t.size();
            Segment { rows: size[0], tokens: size[1], drop: set.drop }
        };
        let segments: Arc<[Segment]> = sets.iter().zip(&tokens).map(segment).collect();
        let mut first = 0;
        let mut rows = Vec::new();
        for (set, segment) in sets.iter().zip(segments.iter()) {
            rows.push(set.rows + first);
            first += segment.rows * segment.tokens;
        }
        (pack(&tokens), segments, Tensor::cat(&rows, 0))
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
}

/// [`Block::forward`] without keeping what lies inside the block.
fn checkpointed(
    (block, draws): (Block, Option<Draws>),
    x: &Tensor,
    segments: &Arc<[Segment]>,
    rows: Option<&Tensor>,
    recompute: Recompute,
) -> Result<Tensor, DinoError> {
    let (segments, rows) = (Arc::clone(segments), rows.map(Tensor::shallow_clone));
    let run = move |x: &Tensor| {
        let enter = |(device, half)| Autocast::enter(device, half).expect("autocast was entered so before");
        let _autocast = recompute.autocast.map(enter);
        block.forward(x, &segments, draws.as_ref(), rows.as_ref())
    };
    Ok(autograd::checkpoint(x, run)?)
}
