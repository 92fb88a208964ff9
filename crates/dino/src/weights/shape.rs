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

/// Where the facts are from that tensors do not hold: the number of heads, the epsilon of layer norms, and the offset with which position
/// embeddings are resized.
#[derive(Debug, Clone, Copy)]
pub enum Untold<'a> {
    /// The configuration of the model, which must be of the file's size.
    Configuration(&'a Model),
    /// A `config.json` that timm or transformers keep beside the weights; the rest is DINOv2's.
    Beside {
        /// Number of attention heads.
        heads: i64,
        /// Epsilon of layer norms, if it is there.
        ln_eps: Option<f64>,
    },
    /// Nowhere, so they are DINOv2's: heads of 64, 1e-6, and 0.1, or 0 with registers.
    AsDinov2,
}

/// The shape of the backbone in `tensors`, a file in any known layout, with its own grid of position embeddings. `what` names the file in
/// messages.
///
/// # Errors
/// No single backbone; tensors of which no backbone is made; a configuration of a model of another size.
pub fn shape_of(tensors: &[(String, Tensor)], untold: Untold<'_>, what: &str) -> Result<BackboneShape, DinoError> {
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
    let patch = side("patch_embed.proj.weight", 3)?;
    let (heads, ln_eps, offset) = untold.of([dim, depth, patch, registers], what)?;
    Ok(BackboneShape {
        dim,
        depth,
        heads,
        patch,
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

impl Untold<'_> {
    /// Heads, epsilon and offset of a model of this width, depth, patch and number of registers.
    fn of(self, size: [i64; 4], what: &str) -> Result<(i64, f64, f64), DinoError> {
        let [dim, _, _, registers] = size;
        let offset = if registers > 0 { 0.0 } else { 0.1 };
        let refused = |why: String| DinoError::Unsupported(format!("{what}: {why}"));
        match self {
            Self::Configuration(model) => {
                same_size(size, [model.dim, model.depth, model.patch, model.registers]).map_err(refused)?;
                Ok((model.heads, model.ln_eps, model.offset))
            }
            Self::Beside { heads, ln_eps } if heads > 0 && dim % heads == 0 => {
                Ok((heads, ln_eps.unwrap_or(1e-6), offset))
            }
            Self::Beside { heads, .. } => {
                Err(refused(format!("a width of {dim} cannot be divided among {heads} heads")))
            }
            Self::AsDinov2 if dim % HEAD_DIM == 0 => Ok((dim / HEAD_DIM, 1e-6, offset)),
            Self::AsDinov2 => Err(refused(format!(
                "a width of {dim} is not a multiple of {HEAD_DIM}, the width of DINOv2's heads: name the configuration of its model"
            ))),
        }
    }
}

/// Refuses the backbone in `tensors` if it is of another size than `shape`, before each of its tensors is compared. A file in which no size
/// can be found is left to that comparison.
///
/// # Errors
/// Another width, depth, patch or number of registers.
pub(super) fn check_size(tensors: &[(String, Tensor)], shape: &BackboneShape, what: &str) -> Result<(), DinoError> {
    let any_heads = Untold::Beside { heads: 1, ln_eps: None };
    let Ok(found) = shape_of(tensors, any_heads, what) else { return Ok(()) };
    let size = |of: &BackboneShape| [of.dim, of.depth, of.patch, of.registers];
    same_size(size(&found), size(shape)).map_err(|why| DinoError::Unsupported(format!("{what}: {why}")))
}

/// Why a file of size `found` does not fit a configuration of size `asked`.
fn same_size(found: [i64; 4], asked: [i64; 4]) -> Result<(), String> {
    if found == asked {
        return Ok(());
    }
    Err(format!("it has {}, and the configuration describes {}", words(found), words(asked)))
}

/// A size for messages.
fn words([dim, depth, patch, registers]: [i64; 4]) -> String {
    format!("width {dim}, depth {depth}, patch {patch} and {registers} registers")
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
