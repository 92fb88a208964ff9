//! Named parameters, in name order everywhere: in memory, on the wire, in a checkpoint.
//! Also the rule that says how the optimiser treats a parameter, which DINOv2 derives from its name.

use crate::DinoError;
use tch::{Device, Kind, Tensor};

/// How a parameter is drawn when training starts from nothing; see [`crate::init`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// All elements get this value.
    Constant(f64),
    /// Normal with this standard deviation, cut at ±2 (absolute, as PyTorch's default).
    TruncatedNormal(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform between minus and plus this bound.
    Uniform(f64),
}

/// A parameter that an architecture has.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its name below the network, such as `backbone.blocks.0.norm1.weight`.
    pub name: String,
    /// The sides of the tensor.
    pub shape: Vec<i64>,
    /// The distribution of its initial values.
    pub draw: Draw,
}

/// Tensors with their names, sorted by name.
#[derive(Debug, Default)]
pub struct Parameters {
    names: Vec<String>,
    tensors: Vec<Tensor>,
}

impl Parameters {
    /// Takes `entries`, tensors of any shape, and sorts them by name.
    pub fn new(mut entries: Vec<(String, Tensor)>) -> Self {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let (names, tensors) = entries.into_iter().unzip();
        Self { names, tensors }
    }

    /// The names of all parameters, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The tensors, each of its own shape, in the order of their names.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Each name with its tensor of any shape, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// Name and tensor, of the shape declared for it, of parameter number `index`.
    pub(crate) fn at(&self, index: usize) -> (&str, &Tensor) {
        (&self.names[index], &self.tensors[index])
    }

    /// A handle on the tensor called `name`, of the shape declared for it: the same memory.
    ///
    /// # Errors
    /// No such name.
    pub fn get(&self, name: &str) -> Result<Tensor, DinoError> {
        match self.names.binary_search_by(|n| n.as_str().cmp(name)) {
            Ok(index) => Ok(self.tensors[index].shallow_clone()),
            Err(_) => Err(DinoError::Tensors {
                what: "the set of parameters".to_owned(),
                missing: vec![name.to_owned()],
                unexpected: Vec::new(),
                misshapen: Vec::new(),
            }),
        }
    }

    /// Indices of the parameters in the order in which a backward pass finishes their gradients: heads, final norm, blocks
    /// from the last to the first, embeddings.
    pub fn backward_order(&self, depth: i64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by_key(|i| {
            let name = &self.names[*i];
            (std::cmp::Reverse(layer(name, depth)), name.starts_with("backbone."), name)
        });
        order
    }

    /// Copies with memory of their own, outside any graph.
    pub fn copies(&self) -> Self {
        Self { names: self.names.clone(), tensors: self.tensors.iter().map(|t| t.detach().copy()).collect() }
    }

    /// The same tensors as leaves that collect gradients.
    pub fn trainable(self) -> Self {
        let tensors = self.tensors.into_iter();
        Self { names: self.names, tensors: tensors.map(|t| t.set_requires_grad(true)).collect() }
    }

    /// Converts device and dtype.
    pub fn to(&self, device: Device, kind: Kind) -> Self {
        Self {
            names: self.names.clone(),
            tensors: self.tensors.iter().map(|t| t.detach().to_device(device).to_kind(kind)).collect(),
        }
    }
}

/// What the optimiser does with one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Treatment {
    /// Factor on the learning rate.
    pub lr_mult: f64,
    /// Factor on the weight decay: 1 or 0.
    pub wd_mult: f64,
    /// Whether it follows the last layer's own learning rate.
    pub last_layer: bool,
}

/// The treatment of parameter `name` in a backbone of `depth` blocks (DINOv2 `utils/param_groups.py`).
///
/// `layerwise_decay^k` with k = 0 above the blocks, up to `depth + 1` for the embeddings; heads have k = 0. The patch
/// embedding is slowed by `patch_embed_lr_mult`. Biases, norms and LayerScale are not decayed; everything else is,
/// tokens, position embedding and both tensors of the last layer included.
pub fn treatment(name: &str, depth: i64, layerwise_decay: f64, patch_embed_lr_mult: f64) -> Treatment {
    let mut lr_mult = layerwise_decay.powf((depth + 1 - layer(name, depth)) as f64);
    if name.contains("patch_embed") {
        lr_mult *= patch_embed_lr_mult;
    }
    let plain = name.ends_with(".bias") || name.contains("norm") || name.contains("gamma");
    Treatment { lr_mult, wd_mult: if plain { 0.0 } else { 1.0 }, last_layer: name.contains("last_layer") }
}

/// 0 for the embeddings, i + 1 for block i, depth + 1 for what is above the blocks.
fn layer(name: &str, depth: i64) -> i64 {
    let top = depth + 1;
    let Some(rest) = name.strip_prefix("backbone.") else { return top };
    match rest.strip_prefix("blocks.") {
        Some(block) => block.split('.').next().and_then(|i| i.parse::<i64>().ok()).map_or(top, |i| i + 1),
        None if EMBEDDINGS.iter().any(|part| rest.starts_with(part)) => 0,
        None => top,
    }
}

const EMBEDDINGS: [&str; 5] = ["pos_embed", "patch_embed", "mask_token", "cls_token", "register_tokens"];

/// Checks `found` against `declared` by name and shape.
///
/// # Errors
/// [`DinoError::Tensors`] listing every difference.
pub fn check(what: &str, declared: &[(String, Vec<i64>)], found: &[(String, Tensor)]) -> Result<(), DinoError> {
    let shapes: Vec<(String, Vec<i64>)> = found.iter().map(|(name, t)| (name.clone(), t.size())).collect();
    check_shapes(what, declared, &shapes)
}

/// Checks the names and shapes that were `found` against `declared`.
///
/// # Errors
/// [`DinoError::Tensors`] listing every difference.
pub fn check_shapes(
    what: &str,
    declared: &[(String, Vec<i64>)],
    found: &[(String, Vec<i64>)],
) -> Result<(), DinoError> {
    let find = |name: &str| found.iter().find(|(n, _)| n == name);
    let mut missing = Vec::new();
    let mut misshapen = Vec::new();
    for (name, shape) in declared {
        match find(name) {
            None => missing.push(name.clone()),
            Some((_, size)) if size != shape => misshapen.push(format!("{name} {size:?} instead of {shape:?}")),
            Some(_) => {}
        }
    }
    let unexpected: Vec<String> = found
        .iter()
        .filter(|(name, _)| !declared.iter().any(|(n, _)| n == name))
        .map(|(name, _)| name.clone())
        .collect();
    if missing.is_empty() && unexpected.is_empty() && misshapen.is_empty() {
        return Ok(());
    }
    Err(DinoError::Tensors { what: what.to_owned(), missing, unexpected, misshapen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backward_finishes_the_last_block_first_and_embeddings_last() {
        let names = [
            "backbone.blocks.10.norm1.bias",
            "backbone.blocks.2.norm1.bias",
            "backbone.cls_token",
            "backbone.norm.weight",
            "dino_head.mlp.0.bias",
        ];
        let params = Parameters::new(names.iter().map(|name| ((*name).to_owned(), Tensor::from(0.0))).collect());
        assert_eq!(params.backward_order(12), [4, 3, 0, 1, 2]);
    }

    #[test]
    fn treatments_follow_the_recipe() {
        let of = |name| treatment(name, 12, 0.9, 0.2);
        assert_eq!(of("dino_head.last_layer.weight_g").wd_mult, 1.0);
        assert!(of("dino_head.last_layer.weight_v").last_layer);
        assert_eq!(of("dino_head.mlp.0.weight").lr_mult, 1.0);
        assert_eq!(of("dino_head.mlp.0.bias").wd_mult, 0.0);
        assert_eq!(of("backbone.norm.weight").lr_mult, 1.0);
        assert_eq!(of("backbone.norm.weight").wd_mult, 0.0);
        assert_eq!(of("backbone.blocks.11.ls1.gamma").wd_mult, 0.0);
        assert!((of("backbone.blocks.11.attn.qkv.weight").lr_mult - 0.9).abs() < 1e-15);
        assert!((of("backbone.cls_token").lr_mult - 0.9_f64.powi(13)).abs() < 1e-15);
        assert_eq!(of("backbone.pos_embed").wd_mult, 1.0);
        let patch = of("backbone.patch_embed.proj.weight").lr_mult;
        assert!((patch - 0.2 * 0.9_f64.powi(13)).abs() < 1e-15);
    }
}
