//! Files of weights as torch, timm and transformers write them (`tests/golden/make_weights.py`) give the features that those
//! libraries give.
#![allow(clippy::print_stderr, reason = "how near each file came")]

use crate::support::image;
use dino::{
    Encoder, backbone, export,
    tensor_bytes::from_bytes,
    weights::{Layout, Untold, adopt, read, shape_of},
};
use run_spec::config::{Ffn, TrainConfig};
use std::{collections::BTreeSet, fs};
use tch::{Device, Kind, Tensor};

/// The content of a file in `tests/golden/weights`.
fn golden(file: &str) -> Vec<u8> {
    fs::read(crate::support::golden(&format!("../weights/{file}"))).unwrap()
}

fn config(registers: i64, ffn: Ffn) -> TrainConfig {
    let mut config = TrainConfig::default();
    (config.model.dim, config.model.depth, config.model.heads, config.model.patch) = (8, 2, 2, 7);
    (config.model.registers, config.model.ffn, config.crops.global_size) = (registers, ffn, 28);
    config
}

/// File, its layout, registers, feed-forward layer.
const FILES: [(&str, Layout, i64, Ffn); 9] = [
    ("dinov2.pth", Layout::Dinov2, 0, Ffn::Mlp),
    ("dinov2-37.pth", Layout::Dinov2, 0, Ffn::Mlp),
    ("reddino-teacher.pth", Layout::Teacher, 0, Ffn::Mlp),
    ("training.pth", Layout::Teacher, 0, Ffn::Mlp),
    ("timm.safetensors", Layout::Timm, 0, Ffn::Mlp),
    ("timm-registers-swiglu.pth", Layout::Timm, 4, Ffn::Swiglu),
    ("huggingface.safetensors", Layout::HuggingFace, 0, Ffn::Mlp),
    ("huggingface-registers-swiglu.safetensors", Layout::HuggingFace, 4, Ffn::Swiglu),
    ("huggingface-classifier.safetensors", Layout::HuggingFace, 0, Ffn::Mlp),
];

#[test]
fn files_of_the_libraries_give_the_features_of_the_libraries() {
    let expected: Vec<(String, Tensor)> = from_bytes(&golden("features.safetensors"), "features").unwrap();
    let images = image("features", 3, 28);
    for (file, layout, registers, ffn) in FILES {
        let config = config(registers, ffn);
        let tensors = read(&golden(file), file).unwrap();
        let copies = tensors.iter().map(|(name, t)| (name.clone(), t.copy())).collect();
        let from_file = shape_of(&tensors, Untold::Configuration(&config.model), file).unwrap();
        let grid = if file == "dinov2-37.pth" { 37 } else { 4 };
        let asked = backbone::BackboneShape { layerscale_init: 1.0, ..backbone::BackboneShape::of(&config) };
        assert_eq!(from_file, backbone::BackboneShape { grid, ..asked }, "{file}");
        let adopted = adopt(&backbone::BackboneShape::of(&config), copies, file).unwrap();
        assert_eq!(adopted.layout, layout, "{file}");
        assert_eq!(!adopted.missing.is_empty(), layout == Layout::Timm, "{file}: {:?}", adopted.missing);
        let found = Encoder::load(&config, tensors, file, Device::Cpu).unwrap().features(&images);
        let (_, expected) = expected.iter().find(|(name, _)| name == file).unwrap();
        let gap = (found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
        eprintln!("{file}: features differ by {gap:.1e}");
        assert!(gap <= 2e-5, "{file}: features differ by {gap:.1e}");
    }
}

#[test]
fn what_tensors_do_not_hold_is_asked_for_and_never_contradicted() {
    let (file, mut config) = ("timm.safetensors", config(0, Ffn::Mlp));
    let tensors = read(&golden(file), file).unwrap();
    let of = |untold: Untold<'_>| shape_of(&tensors, untold, file).map_err(|error| error.to_string());
    let dim = config.model.dim;
    let beside = of(Untold::Beside { heads: dim / 8, ln_eps: Some(1e-5) }).unwrap();
    assert_eq!((beside.heads, beside.ln_eps), (dim / 8, 1e-5));
    let refused = of(Untold::Beside { heads: dim - 1, ln_eps: None }).unwrap_err();
    assert!(refused.contains("cannot be divided"), "{refused}");
    config.model.depth += 1;
    let refused = of(Untold::Configuration(&config.model)).unwrap_err();
    assert!(refused.contains("timm.safetensors") && refused.contains("the configuration describes"), "{refused}");
}

#[test]
fn what_is_no_backbone_is_counted() {
    let done = |file: &str| {
        let config = config(0, Ffn::Mlp);
        adopt(&backbone::BackboneShape::of(&config), read(&golden(file), file).unwrap(), file).unwrap()
    };
    assert_eq!(done("reddino-teacher.pth").unexpected, ["teacher.dino_head (2)"]);
    assert_eq!(done("huggingface-classifier.safetensors").unexpected, ["classifier.bias (1)", "classifier.weight (1)"]);
    assert_eq!(done("dinov2-37.pth").reshaped, ["pos_embed from 37 x 37 to 4 x 4 patches"]);
    // The student's 32 tensors; AdamW's numbers are no names.
    assert_eq!(done("training.pth").unexpected, ["model.student (35)"]);
}

#[test]
fn our_export_has_the_names_and_values_of_transformers() {
    for (file, _, registers, ffn) in FILES
        .iter()
        .filter(|(file, ..)| ["huggingface.safetensors", "huggingface-registers-swiglu.safetensors"].contains(file))
    {
        let theirs = read(&golden(file), file).unwrap();
        let copies = theirs.iter().map(|(name, t)| (name.clone(), t.copy())).collect();
        let encoder = Encoder::load(&config(*registers, *ffn), copies, file, Device::Cpu).unwrap();
        let ours = export::huggingface(encoder.params());
        let names = |list: &[(String, Tensor)]| list.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
        assert_eq!(names(&ours), names(&theirs), "{file}");
        for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            assert!(ours.equal(theirs), "{file}: {name}");
        }
    }
}
