//! One step at the true widths of DINOv2 against plain PyTorch (`tests/golden/make_width.py`): S, B, L and g, losses to 1e-5, the
//! gradient of every parameter to 1e-4 of its largest entry.
//!
//! Here with depth 2; `make parity-full` names a folder with the true depths in REDDINO_WIDTH.
#![allow(clippy::print_stderr, reason = "how near each class of numbers came")]

use crate::support::{image, mask, weight};
use collective::Solo;
use dino::{Architecture, CropBatch, Settings, State, params::Parameters, tensor_bytes::from_bytes};
use run_spec::{
    config::{Ffn, TrainConfig},
    schedule::Knobs,
};
use std::{collections::BTreeMap, fs, path::PathBuf};
use tch::{Kind, Tensor};

fn folder() -> PathBuf {
    std::env::var_os("REDDINO_WIDTH").map_or_else(|| crate::support::golden("../width"), PathBuf::from)
}

/// 256 evenly spaced entries, the largest absolute value and the norm, as `make_width.samples` takes them.
fn samples(t: &Tensor) -> Vec<f64> {
    let flat = t.flatten(0, -1);
    let n = flat.numel().min(256) as i64;
    let all = flat.numel() as i64;
    let index: Vec<i64> = (0..n).map(|i| i * all / n).collect();
    let picked: Vec<f64> =
        Vec::try_from(flat.index_select(0, &Tensor::from_slice(&index)).to_kind(Kind::Double)).unwrap();
    let norm = flat.to_kind(Kind::Double).norm().double_value(&[]);
    let largest = flat.abs().max().to_kind(Kind::Double).double_value(&[]);
    picked.into_iter().chain([largest, norm]).collect()
}

/// The largest difference of an entry over the tensor's largest, and that of the norm over the norm, whichever is more. One
/// number is compared with itself.
fn gap(found: &[f64], expected: &[f64]) -> f64 {
    let Some((entries, [largest, norm])) = expected.split_last_chunk::<2>() else {
        return (found[0] - expected[0]).abs() / expected[0].abs();
    };
    let worst = found.iter().zip(entries).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    (worst / largest).max((found[found.len() - 1] - norm).abs() / norm)
}

fn check(size: &str) {
    let case: serde_json::Value =
        serde_json::from_slice(&fs::read(folder().join(format!("{size}.json"))).unwrap()).unwrap();
    let int = |key: &str| case[key].as_i64().unwrap();
    let mut config = TrainConfig::default();
    (config.model.dim, config.model.depth, config.model.heads) = (int("dim"), int("depth"), int("heads"));
    config.model.ffn = if case["ffn"] == "swiglu" { Ffn::Swiglu } else { Ffn::Mlp };
    (config.head.prototypes, config.crops.global_size) = (int("prototypes"), int("global_px"));
    let (images, side, grid) = (int("images"), int("global_px"), int("grid"));
    config.train.batch_size = images as u64;
    assert_eq!(config.grid(), grid);

    let architecture = Architecture::of(&config);
    let network = |which: &str| {
        let named = |d: dino::params::Declared| {
            let t = weight(&format!("{which}.{}", d.name), &d.shape);
            (d.name, t)
        };
        Parameters::new(architecture.declare().into_iter().map(named).collect())
    };
    let (student, teacher) = (network("student"), network("teacher"));
    let mut state =
        State::from_parts(architecture, Settings::of(&config), tch::Device::Cpu, &student, &teacher).unwrap();
    drop((student, teacher));
    let local = image("local_crops", images, 98).view([1, images, 3, 98, 98]);
    let batch = CropBatch {
        global: image("global_crops", 2 * images, side).view([2, images, 3, side, side]),
        local: Some(local),
        masks: mask("masks", 2 * images, grid * grid).to_kind(Kind::Bool).view([2, images, grid * grid]),
        koleo_exclusion: None,
    };
    let knobs = Knobs { lr: 1e-4, last_layer_lr: 1e-4, wd: 0.04, momentum: 0.994, teacher_temp: 0.04 };
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut see = |name: &str, t: &Tensor| drop(found.insert(format!("grad.{name}"), samples(t)));
    let report = state.step_seeing_gradients(&batch, &knobs, &Solo::new(), &mut see).unwrap();

    let expected: BTreeMap<String, Tensor> =
        from_bytes(&fs::read(folder().join(format!("{size}.safetensors"))).unwrap(), size)
            .unwrap()
            .into_iter()
            .collect();
    for (name, value) in report.losses.named() {
        // No local loss, no KoLeo.
        if matches!(name, "total" | "dino_global" | "ibot") {
            found.insert(format!("loss.{name}"), vec![value]);
        }
    }
    for (name, value) in &report.norms {
        found.insert(format!("norm.{name}"), vec![*value]);
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{size}");
    let mut worst: BTreeMap<&str, (f64, &str)> = BTreeMap::new();
    for (name, values) in &found {
        let theirs: Vec<f64> = Vec::try_from(expected[name].to_kind(Kind::Double)).unwrap();
        let gap = gap(values, &theirs);
        let entry = worst.entry(name.split('.').next().unwrap()).or_insert((0.0, ""));
        if gap.is_nan() || gap >= entry.0 {
            *entry = (gap, name);
        }
    }
    eprintln!("{size}, depth {}: {worst:?}", int("depth"));
    for (class, limit) in [("loss", 1e-5), ("norm", 1e-5), ("grad", 1e-4)] {
        let (gap, name) = worst[class];
        assert!(gap <= limit, "{size}: {name} differs by {gap:.2e} (allowed {limit:.0e})");
    }
}

#[test]
fn a_step_at_true_width_agrees_with_pytorch() {
    let mut sizes = 0;
    for size in ["small", "base", "large", "giant"] {
        if folder().join(format!("{size}.json")).exists() {
            check(size);
            sizes += 1;
        }
    }
    assert!(
        sizes == 4 || (sizes > 0 && std::env::var_os("REDDINO_WIDTH").is_some()),
        "{sizes} sizes in {:?}",
        folder()
    );
}
