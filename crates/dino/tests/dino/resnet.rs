//! torchvision's ResNet50, cut as the paper's baseline is, and what models cost (`tests/golden/make_resnet.py`).
#![allow(clippy::print_stderr, reason = "how near the features came")]

use crate::support::{golden, image, numbers};
use dino::backbone::{BackboneShape, Feed};
use dino::{ResNet50, tensor_bytes::from_bytes};
use serde_json::Value;
use std::fs;
use tch::{Device, Kind, Tensor};

fn read(file: &str) -> Vec<u8> {
    fs::read(golden(&format!("../resnet/{file}"))).unwrap()
}

/// A weight: the rule goes by its name.
fn value(name: &str, shape: &[i64]) -> Tensor {
    let x = numbers(name, shape);
    let scaled = match () {
        () if name.ends_with("running_var") => x * 0.5 + 1.0,
        () if shape.len() == 4 => x * 1.5 / (shape[1..].iter().product::<i64>() as f64).sqrt(),
        () if name.ends_with("weight") => x * 0.25 + 1.0,
        () => x * 0.25,
    };
    scaled.to_kind(Kind::Float)
}

/// The state dict of torchvision's ResNet50, with what is left out of it.
fn state_dict() -> Vec<(String, Tensor)> {
    let mut out = Vec::new();
    let mut layer = |conv: String, norm: String, shape: [i64; 4]| {
        out.push((format!("{conv}.weight"), value(&format!("{conv}.weight"), &shape)));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            let name = format!("{norm}.{part}");
            let t = value(&name, &[shape[0]]);
            out.push((name, t));
        }
        out.push((format!("{norm}.num_batches_tracked"), Tensor::from(0_i64)));
    };
    layer("conv1".into(), "bn1".into(), [64, 3, 7, 7]);
    let mut from = 64;
    for (stage, (blocks, width)) in [(3, 64), (4, 128), (6, 256), (3, 512)].into_iter().enumerate() {
        for block in 0..blocks {
            let of = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
            layer(of("conv1"), of("bn1"), [width, from, 1, 1]);
            layer(of("conv2"), of("bn2"), [width, width, 3, 3]);
            layer(of("conv3"), of("bn3"), [4 * width, width, 1, 1]);
            if block == 0 {
                layer(of("downsample.0"), of("downsample.1"), [4 * width, from, 1, 1]);
            }
            from = 4 * width;
        }
    }
    out.push(("fc.weight".into(), value("fc.weight", &[1000, 2048])));
    out.push(("fc.bias".into(), value("fc.bias", &[1000])));
    out
}

#[test]
fn features_are_those_of_torchvision() {
    let expected = from_bytes(&read("resnet50.safetensors"), "golden").unwrap();
    let state = state_dict();
    assert!(ResNet50::is_named_so(state.iter().map(|(name, _)| name.as_str())));
    let model = ResNet50::load(state, "a state dict", Device::Cpu).unwrap();
    for side in [64, 75] {
        let (name, images) = (format!("features.{side}"), image(&format!("resnet.{side}"), 2, side));
        let (_, expected) = expected.iter().find(|(known, _)| *known == name).unwrap();
        let found = model.features(&images).to_kind(Kind::Double);
        assert_eq!((found.size(), expected.size()), (vec![2, model.dim()], vec![2, 1024]));
        let gap = (found - expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
        eprintln!("{name}: differ by {gap:.1e} of the largest");
        assert!(gap <= 2e-5, "{name}: {gap:.1e}");
    }
}

#[test]
fn a_state_dict_that_does_not_fit_is_refused_with_names() {
    let mut state = state_dict();
    state.retain(|(name, _)| name != "layer2.1.bn2.running_var");
    let message = ResNet50::load(state, "r50.pth", Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("r50.pth") && message.contains("layer2.1.bn2.running_var"), "{message}");
}

#[test]
fn costs_are_those_that_torch_counts() {
    let expected: Value = serde_json::from_slice(&read("costs.json")).unwrap();
    let counted = |name: &str| {
        let of = |key: &str| expected[name][key].as_u64().unwrap();
        (of("parameters"), of("flops"))
    };
    let mlp = |dim: i64| Feed::Mlp { hidden: 4 * dim };
    let sizes = [
        ("vits14", 384, 12, 6, mlp(384)),
        ("vitb14", 768, 12, 12, mlp(768)),
        ("vitl14", 1024, 24, 16, mlp(1024)),
        ("vitg14", 1536, 40, 24, Feed::SwiGlu { hidden: 4096 }),
    ];
    for (name, dim, depth, heads, feed) in sizes {
        let config = run_spec::config::TrainConfig::default();
        let shape = BackboneShape { dim, depth, heads, feed, ..BackboneShape::of(&config) };
        let cost = shape.cost(224);
        assert_eq!((cost.parameters, cost.flops), counted(name), "{name}");
    }
    let cost = ResNet50::cost(224);
    assert_eq!((cost.parameters, cost.flops), counted("resnet50"));
}
