//! The inputs of the golden cases, computed as `tests/golden/plain.py` computes them, and the comparison.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod runs;

use dino::tensor_bytes::from_bytes;
use std::{collections::BTreeMap, fs, path::PathBuf};
use tch::{Kind, Tensor};

/// Where the golden files are.
pub(crate) fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/step").join(file)
}

/// Tensors of a golden file.
pub(crate) fn load(file: &str) -> BTreeMap<String, Tensor> {
    let bytes = fs::read(golden(file)).unwrap();
    from_bytes(&bytes, file).unwrap().into_iter().collect()
}

/// Uniform in [-1, 1): SplitMix64 over an FNV-1a hash of the name.
pub(crate) fn numbers(name: &str, shape: &[i64]) -> Tensor {
    let hash =
        name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let one = |i: u64| {
        let mut z = hash.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        2.0 * ((z >> 40) as f64 / 2.0_f64.powi(24)) - 1.0
    };
    let count = shape.iter().product::<i64>() as u64;
    let values: Vec<f64> = (1..=count).map(one).collect();
    Tensor::from_slice(&values).view(shape)
}

/// A weight: the rule goes by its name.
pub(crate) fn weight(name: &str, shape: &[i64]) -> Tensor {
    let x = numbers(name, shape);
    let scaled = if name.ends_with("weight_g") || (name.contains("norm") && name.ends_with("weight")) {
        x * 0.25 + 1.0
    } else if name.ends_with("gamma") {
        x * 0.5 + 0.75
    } else if name.starts_with("adam.m") {
        x * 1e-3
    } else if name.starts_with("adam.v") {
        (x * 0.5 + 1.0) * 1e-5
    } else if name.starts_with("center") {
        x * 0.25
    } else if shape.len() >= 2 && (name.ends_with("weight") || name.ends_with("weight_v")) {
        x * 1.5 / (shape[1..].iter().product::<i64>() as f64).sqrt()
    } else {
        x * 0.25
    };
    scaled.to_kind(Kind::Float)
}

/// Crops `[n, 3, side, side]`.
pub(crate) fn image(name: &str, n: i64, side: i64) -> Tensor {
    let x: Tensor = numbers(name, &[n, 3, side, side]) * 1.5 + numbers(&format!("{name}.mean"), &[n, 3, 1, 1]);
    x.to_kind(Kind::Float)
}

/// Masks `[crops, patches]` as bytes.
pub(crate) fn mask(name: &str, crops: i64, patches: i64) -> Tensor {
    let m = numbers(name, &[crops, patches]).lt(-0.3);
    for row in 0..crops {
        let mut line = m.get(row);
        if row % 2 == 1 {
            let _ = line.fill_(0);
        } else if line.any().int64_value(&[]) == 0 {
            let _ = line.narrow(0, 0, 1).fill_(1);
        }
    }
    m.to_kind(Kind::Uint8)
}

/// Up to 48 evenly spaced elements, then the norm.
pub(crate) fn samples(t: &Tensor) -> Vec<f64> {
    let flat: Vec<f64> = Vec::try_from(t.flatten(0, -1).to_kind(Kind::Double)).unwrap();
    let n = flat.len().min(48);
    let norm = flat.iter().map(|x| x * x).sum::<f64>().sqrt();
    let picked = (0..n).map(|i| flat[i * flat.len() / n]);
    picked.chain([norm]).collect()
}

/// How far samples are apart: the largest difference of an entry over the largest entry, or that of the norm over the norm,
/// whichever is more. What is smaller than 1e-6 counts as that.
pub(crate) fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let (Some((norm, entries)), Some((found_norm, found))) = (expected.split_last(), found.split_last()) else {
        panic!("samples end with a norm");
    };
    let largest = entries.iter().fold(1e-6_f64, |a, b| a.max(b.abs()));
    let gaps = found.iter().zip(entries).map(|(a, b)| (a - b).abs() / largest);
    // Not `f64::max`, which loses a NaN.
    gaps.chain([(found_norm - norm).abs() / norm.max(1e-6)])
        .fold(0.0, |worst, gap| if gap.is_nan() || gap > worst { gap } else { worst })
}
