//! Initial weights: drawn from streams keyed by (seed, parameter name), or taken from a released backbone.
//!
//! LibTorch's global generator is never used, so neither world size nor call order changes a weight, and a parameter
//! keeps its values when another one is added.

use crate::{
    DinoError, backbone,
    params::{Declared, Draw},
};
use run_spec::seed;
use tch::{Device, Kind, Tensor};

/// Draws the parameters of `declared` as f32 on the CPU, in the order given.
pub fn random(declared: &[Declared], seed: u64) -> Vec<(String, Tensor)> {
    declared.iter().map(|d| (d.name.clone(), draw(d, seed))).collect()
}

fn draw(declared: &Declared, seed: u64) -> Tensor {
    let options = (Kind::Float, Device::Cpu);
    if let Draw::Constant(value) = declared.draw {
        return Tensor::full(&declared.shape, value, options);
    }
    let mut rng = seed::stream(seed, &format!("init/{}", declared.name), &[]);
    let mut next = || match declared.draw {
        Draw::Constant(value) => value,
        Draw::TruncatedNormal(std) => rng.truncated_normal(std, 2.0),
        Draw::Normal(std) => rng.normal() * std,
        Draw::Uniform(bound) => rng.uniform(-bound, bound),
    };
    let count = declared.shape.iter().product::<i64>() as usize;
    let values: Vec<f32> = (0..count).map(|_| next() as f32).collect();
    Tensor::from_slice(&values).view(declared.shape.as_slice())
}

/// Brings the tensors of a released backbone to the names and the grid of `shape`.
///
/// Accepted names: with or without a leading `teacher.` and `backbone.`; tensors of heads are left out. Position
/// embeddings of another grid are resized once, by bicubic interpolation without offset (recipe §1.3). A mask token
/// that is missing (timm files have none) is zero.
///
/// # Errors
/// [`DinoError::Tensors`] with every difference.
pub fn adopt(
    shape: &backbone::Shape,
    tensors: Vec<(String, Tensor)>,
    what: &str,
) -> Result<Vec<(String, Tensor)>, DinoError> {
    let bare = |name: &str| {
        let name = name.strip_prefix("teacher.").unwrap_or(name);
        name.strip_prefix("backbone.").unwrap_or(name).to_owned()
    };
    let is_head = |name: &str| {
        ["student.", "adam.", "center"].iter().any(|p| name.starts_with(p))
            || name.contains("dino_head.")
            || name.contains("ibot_head.")
    };
    let mut found: Vec<(String, Tensor)> = tensors
        .into_iter()
        .filter(|(name, _)| !is_head(name))
        .map(|(name, t)| (bare(&name), t.to_kind(Kind::Float)))
        .collect();
    if !found.iter().any(|(name, _)| name == "mask_token") {
        let zeros = Tensor::zeros([1, shape.dim], (Kind::Float, Device::Cpu));
        found.push(("mask_token".to_owned(), zeros));
    }
    for (name, t) in &mut found {
        if name == "pos_embed" && t.dim() == 3 && t.size()[1] != 1 + shape.grid.pow(2) {
            let stored = t.size()[1] - 1;
            let grid = resize_to(&t.narrow(1, 1, stored), shape.grid);
            *t = Tensor::cat(&[t.narrow(1, 0, 1), grid], 1);
        }
    }
    let declared: Vec<(String, Vec<i64>)> = shape.declare().into_iter().map(|d| (d.name, d.shape)).collect();
    crate::params::check(what, &declared, &found)?;
    Ok(found.into_iter().map(|(name, t)| (format!("backbone.{name}"), t)).collect())
}

fn resize_to(grid: &Tensor, side: i64) -> Tensor {
    backbone::resize_grid(grid, (side, side), 0.0)
}
