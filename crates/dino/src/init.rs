//! Initial weights drawn from streams keyed by (seed, parameter name). Those of a released backbone: [`crate::weights`].
//!
//! LibTorch's global generator is never used, so neither world size nor call order changes a weight, and a parameter
//! keeps its values when another one is added.

use crate::params::{Declared, Draw};
use run_spec::seed;
use tch::{Device, Kind, Tensor};

/// Draws the parameters of `declared`, each of its declared shape, as f32 on the CPU, in the order given.
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
