//! The shape of a backbone from its file alone, so that released weights need no configuration.

use super::layout::{backbone_of, from_chunks, from_layer, plain};
use crate::{
    DinoError,
    backbone::{BackboneShape, Feed},
};
use run_spec::config::Model;
use std::collections::BTreeMap;
use tch::Tensor;

/// Width of an attention head in every size of DINOv2.
const HEAD_DIM: i64 = 64;

/// The shape of the backbone in `tensors`, a file in any known layout, with its own grid of position embeddings.
///
/// Tensors do not tell the number of heads, the epsilon of layer norms, and the offset with which position embeddings are resized. They
/// are those of `model` where it has the file's width and registers, else DINOv2's: heads of 64, 1e-6, and 0.1, or 0 with registers. `what`
/// names the file in messages.
///
/// # Errors
/// No single backbone; tensors of which no backbone is made.
pub fn shape_of(tensors: &[(String, Tensor)], model: &Model, what: &str) -> Result<BackboneShape, DinoError> {
    let named: Vec<(String, &Tensor)> = tensors.iter().map(|(name, t)| (plain(name), t)).collect();
    let prefix = backbone_of(named.iter().map(|(name, _)| name.as_str()), what)?;
    let own = named.iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?, t.size())));
    let sizes: BTreeMap<String, Vec<i64>> =
        own.map(|(name, size)| (from_chunks(&from_layer(name), false), size)).collect();
    let missing = |name: &str| DinoError::Unsupported(format!("{what}: the backbone has no usable {name}"));
    let side = |name: &str, axis: usize| {
        sizes.get(name).and_then(|size| size.get(axis)).copied().filter(|n| *n > 0).ok_or_else(|| missing(name))
    };
    let dim = side("cls_token", 2)?;
    let registers = side("register_tokens", 1).unwrap_or(0);
    let positions = side("pos_embed", 1)?;
    // timm gives CLS no position where there are registers.
    let grid = square_root(positions - 1).or_else(|| square_root(positions)).ok_or_else(|| missing("pos_embed"))?;
    let depth = sizes.keys().filter_map(|name| name.strip_prefix("blocks.")?.split('.').next()?.parse::<i64>().ok());
    let depth = depth.max().map(|last| last + 1).ok_or_else(|| missing("blocks"))?;
    let (heads, ln_eps, offset) = match dim % HEAD_DIM {
        _ if (dim, registers) == (model.dim, model.registers) => (model.heads, model.ln_eps, model.offset),
        0 => (dim / HEAD_DIM, 1e-6, if registers > 0 { 0.0 } else { 0.1 }),
        _ => {
            return Err(DinoError::Unsupported(format!(
                "{what}: a width of {dim} is not a multiple of {HEAD_DIM}, the width of DINOv2's heads: name the configuration of its model"
            )));
        }
    };
    Ok(BackboneShape {
        dim,
        depth,
        heads,
        patch: side("patch_embed.proj.weight", 3)?,
        grid,
        registers,
        feed: feed(&side)?,
        ln_eps,
        offset,
        drop_path: 0.0,
        drop_path_uniform: true,
        layerscale_init: 1.0,
    })
}

/// The feed-forward layer of the first block; timm calls those of SwiGLU `fc1` and `fc2` too.
fn feed(side: &impl Fn(&str, usize) -> Result<i64, DinoError>) -> Result<Feed, DinoError> {
    if let Ok(both) = side("blocks.0.mlp.w12.weight", 0) {
        return Ok(Feed::SwiGlu { hidden: both / 2 });
    }
    let (into, out) = (side("blocks.0.mlp.fc1.weight", 0)?, side("blocks.0.mlp.fc2.weight", 1)?);
    Ok(if into == out { Feed::Mlp { hidden: out } } else { Feed::SwiGlu { hidden: out } })
}

/// The side of a square of `n` places.
fn square_root(n: i64) -> Option<i64> {
    let side = (n.max(0) as f64).sqrt().round() as i64;
    (n > 0 && side * side == n).then_some(side)
}
