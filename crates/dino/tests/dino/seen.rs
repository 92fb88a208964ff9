//! What a backbone makes of images for people to look at, against plain PyTorch (`tests/golden/make_attention.py`).

use std::fs;

use dino::Backbone;
use dino::backbone::{BackboneShape, Feed, Seen};
use dino::params::{Declared, Parameters};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::support::{golden, image, weight};

fn shape(case: &Value) -> BackboneShape {
    let hidden = case["hidden"].as_i64().unwrap();
    BackboneShape {
        dim: 8,
        depth: 2,
        heads: 2,
        patch: 7,
        grid: 4,
        registers: case["registers"].as_i64().unwrap(),
        feed: if case["ffn"] == "mlp" { Feed::Mlp { hidden } } else { Feed::SwiGlu { hidden } },
        ln_eps: 1e-6,
        offset: 0.1,
        drop_path: 0.0,
        drop_path_uniform: true,
        layerscale_init: 1.0,
    }
}

fn backbone(shape: BackboneShape) -> Backbone {
    let named = |Declared { name, shape, .. }: Declared| (format!("backbone.{name}"), weight(&name, &shape));
    let weights = shape.declare().into_iter().map(named).collect();
    Backbone::new(shape, &Parameters::new(weights).to(Device::Cpu, Kind::Double)).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f64> {
    Vec::try_from(t.flatten(0, -1).to_kind(Kind::Double)).unwrap()
}

fn gap(found: &[f64], expected: &Value) -> f64 {
    let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).fold(0.0, |worst, (a, b)| (a - b).abs().max(worst))
}

#[test]
fn attention_and_patches_are_those_of_plain_pytorch() {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(golden("../attention.json")).unwrap()).unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let backbone = backbone(shape(&case));
        let images = image("seen", 2, case["side"].as_i64().unwrap()).to_kind(Kind::Double);
        let Seen { patches, attention } = backbone.seen(&images);
        assert_eq!(serde_json::json!(attention.size()), case["shape"]);
        let (shares, tokens) = (numbers(&attention), numbers(&patches));
        assert!(gap(&shares, &case["attention"]) < 1e-12, "{case}");
        assert!(gap(&tokens.iter().copied().step_by(7).collect::<Vec<_>>(), &case["patches"]) < 1e-10, "{case}");
        for row in shares.chunks_exact(attention.size()[2] as usize) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        // The same tokens as those that probes and training get.
        let (_, wanted) = backbone.cls_and_patches(&images);
        assert!((wanted - patches).abs().max().double_value(&[]) < 1e-12);
    }
}
