//! Parts of the method against golden values, and what no golden file can show.

use crate::support::{difference, golden, image, load, numbers, samples, weight};
use collective::{Solo, Threads};
use dino::{
    Backbone, Encoder, MaskPlan, RankShare, backbone,
    backbone::Feed,
    centering::sinkhorn,
    export,
    koleo::{Eps, koleo},
    masks,
    params::Parameters,
    sigreg::sigreg,
};
use run_spec::config::{Loss, Masks, TrainConfig};
use std::{fs, sync::Mutex, thread};
use tch::{Device, Kind, Tensor};

fn close(found: &Tensor, expected: &Tensor, limit: f64) {
    assert_eq!(found.size(), expected.size());
    let gap = (found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
    assert!(gap <= limit, "differs by {gap:.2e}");
}

#[test]
fn position_embeddings_resize_as_torch_does() {
    let golden = load("parts.safetensors");
    let pos = weight("resize", &[1, 26, 8]).to_kind(Kind::Double);
    let mut seen = 0;
    for (name, expected) in &golden {
        let Some(rest) = name.strip_prefix("resize.") else { continue };
        let (gh, rest) = rest.split_once('.').unwrap();
        let (gw, offset) = rest.split_once('.').unwrap();
        let (gh, gw) = (gh.parse().unwrap(), gw.parse().unwrap());
        // At the stored size the embeddings are used as they are, whatever the offset.
        if (gh, gw) != (5, 5) {
            let found = backbone::resize_grid(&pos.narrow(1, 1, 25), (gh, gw), offset.parse().unwrap());
            close(&found, expected, 1e-12);
            let found = backbone::resize_grid_by_products(&pos.narrow(1, 1, 25), (gh, gw), offset.parse().unwrap());
            close(&found, expected, 1e-12);
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn sinkhorn_is_the_published_one_whatever_the_ranks() {
    let golden = load("parts.safetensors");
    for (k, scale) in [(16, 1.0), (64, 3.0)] {
        let expected = &golden[&format!("sinkhorn.{k}")];
        let logits = numbers(&format!("sinkhorn.{k}"), &[24, k]) * scale;
        let solo = sinkhorn(logits.copy(), 0.05, 3, &Solo::new()).unwrap();
        close(&solo, expected, 1e-12);
        let single = sinkhorn(logits.to_kind(Kind::Float), 0.05, 3, &Solo::new()).unwrap();
        close(&single, expected, 1e-5);
        // Three ranks with 7, 0 and 17 rows.
        let parts = Mutex::new(vec![None, None, None]);
        thread::scope(|scope| {
            for (rank, peers) in Threads::world_of(3).into_iter().enumerate() {
                let part = logits.split_with_sizes([7, 0, 17], 0)[rank].copy();
                let parts = &parts;
                scope.spawn(move || {
                    let q = sinkhorn(part, 0.05, 3, &peers).unwrap();
                    parts.lock().unwrap()[rank] = Some(q);
                });
            }
        });
        let parts: Vec<Tensor> = parts.into_inner().unwrap().into_iter().flatten().collect();
        close(&Tensor::cat(&parts, 0), expected, 1e-12);
    }
}

#[test]
fn sinkhorn_survives_logits_that_overflow_an_exponential() {
    let logits = (numbers("huge", &[12, 8]) * 9.0).to_kind(Kind::Float);
    let q = sinkhorn(logits, 0.04, 3, &Solo::new()).unwrap();
    let rows: Vec<f32> = Vec::try_from(q.sum_dim_intlist([1].as_slice(), false, Kind::Float)).unwrap();
    assert!(rows.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{rows:?}");
}

#[test]
fn koleo_agrees_even_with_duplicates() {
    let x = numbers("koleo", &[2, 6, 10]);
    x.get(1).get(3).copy_(&x.get(1).get(0));
    let eps = Eps::of(&Loss::default());
    close(&koleo(&x, None, eps), &load("parts.safetensors")["koleo"], 1e-12);
}

#[test]
fn sigreg_and_its_gradient_are_those_of_plain_pytorch() {
    let expected: serde_json::Value = serde_json::from_slice(&fs::read(golden("../sigreg.json")).unwrap()).unwrap();
    let list = |key: &str| -> Vec<f64> { serde_json::from_value(expected[key].clone()).unwrap() };
    let rows = (numbers("sigreg.rows", &[3, 10, 6]) * 1.5 + 0.25).set_requires_grad(true);
    let directions = numbers("sigreg.directions", &[6, 16]);
    let directions = &directions / directions.norm_scalaropt_dim(2, [0], true);
    let values = sigreg(&rows, &directions);
    close(&values, &Tensor::from_slice(&list("values")), 1e-12);
    (values * Tensor::from_slice(&[1.0, 2.0, 3.0])).sum(Kind::Double).backward();
    close(&rows.grad().flatten(0, -1), &Tensor::from_slice(&list("gradient")), 1e-12);
}

#[test]
fn masks_have_the_statistics_of_the_reference() {
    let reference: serde_json::Value = serde_json::from_slice(&fs::read(golden("masks.json")).unwrap()).unwrap();
    let config = Masks { probability: 0.5, ratio_min: 0.1, ratio_max: 0.5 };
    let (mut counts, mut shares, mut n) = (Vec::new(), vec![0.0; 256], 0.0);
    for group in 0..3000 {
        let rows = masks::draw(&config, 1, 0, group, 8, 16);
        let masked: Vec<_> = rows.iter().filter(|row| row.contains(&true)).collect();
        assert_eq!(masked.len(), 4, "half of the crops are masked");
        for row in masked {
            let count = row.iter().filter(|&&m| m).count();
            assert!(count <= 128);
            counts.push(count as f64);
            row.iter().zip(&mut shares).for_each(|(&m, s)| *s += f64::from(u8::from(m)));
            n += 1.0;
        }
    }
    let mean = counts.iter().sum::<f64>() / n;
    let std = (counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n).sqrt();
    let over = |ys: &[usize], xs: &[usize]| {
        let cells = ys.iter().flat_map(|y| xs.iter().map(move |x| y * 16 + x));
        cells.map(|i| shares[i] / n).sum::<f64>() / (ys.len() * xs.len()) as f64
    };
    let near = |what: &str, found: f64, tolerance: f64| {
        let expected = reference[what].as_f64().unwrap();
        assert!((found - expected).abs() < tolerance, "{what}: {found} instead of {expected}");
    };
    near("mean", mean, 1.2);
    near("std", std, 1.2);
    near("centre", over(&[6, 7, 8, 9], &[6, 7, 8, 9]), 0.02);
    near("corner", over(&[0, 1, 14, 15], &[0, 1, 14, 15]), 0.02);
}

#[test]
fn masks_depend_on_seed_step_and_group_alone() {
    let config = Masks { probability: 0.5, ratio_min: 0.1, ratio_max: 0.5 };
    let plan = |step, rank, world| {
        let share = RankShare::of(16, 4, rank, world).unwrap();
        masks::batch(&MaskPlan { config: &config, seed: 5, step, share, grid: 8 })
    };
    let all = plan(3, 0, 1); // [2, 16, 64]
    assert_eq!(all.size(), [2, 16, 64]);
    assert!(all.narrow(1, 8, 8).equal(&plan(3, 1, 2)));
    // 3 ranks cut groups: 5, 5 and 6 images.
    assert!(all.narrow(1, 5, 5).equal(&plan(3, 1, 3)));
    assert!(!all.equal(&plan(4, 0, 1)));
}

/// The three golden backbones, under the names of a network.
fn golden_backbone(case: &str) -> (backbone::BackboneShape, Parameters) {
    let (registers, feed, offset) = match case {
        "local_koleo_registers" => (2, Feed::Mlp { hidden: 128 }, 0.0),
        "centering_swiglu" => (0, Feed::SwiGlu { hidden: 128 }, 0.1),
        _ => (0, Feed::Mlp { hidden: 128 }, 0.1),
    };
    let shape = backbone::BackboneShape {
        dim: 64,
        depth: 2,
        heads: 4,
        patch: 7,
        grid: 4,
        registers,
        feed,
        ln_eps: 1e-6,
        offset,
        drop_path: 0.0,
        drop_path_uniform: true,
        layerscale_init: 1.0,
    };
    let entries = shape.declare().into_iter().map(|d| {
        let t = weight(&format!("teacher.backbone.{}", d.name), &d.shape);
        (format!("backbone.{}", d.name), t)
    });
    (shape, Parameters::new(entries.collect()))
}

#[test]
fn features_and_export_are_timms() {
    for case in ["published", "local_koleo_registers", "centering_swiglu"] {
        let golden = load(&format!("timm_{case}.safetensors"));
        let (shape, params) = golden_backbone(case);
        let backbone = Backbone::new(shape, &params).unwrap();
        let found = dino::features(&backbone, &image("features", 3, 28));
        close(&found, &golden["features"], 2e-5);
        let exported = export::timm(&params);
        let names: Vec<String> = exported.iter().map(|(name, _)| format!("export.{name}")).collect();
        let theirs: Vec<&String> = golden.keys().filter(|name| name.starts_with("export.")).collect();
        assert_eq!(names.iter().collect::<Vec<_>>(), theirs, "{case}: the names of timm's state dict");
        for (name, t) in &exported {
            let expected: Vec<f64> = Vec::try_from(&golden[&format!("export.{name}")]).unwrap();
            assert!(difference(&samples(t), &expected) < 1e-6, "{case}: {name}");
        }
    }
}

#[test]
fn a_released_backbone_is_adopted_and_resized_once() {
    let mut config = TrainConfig::default();
    (config.model.dim, config.model.depth, config.model.heads, config.model.patch) = (64, 2, 4, 7);
    (config.model.mlp_ratio, config.crops.global_size) = (2.0, 42);
    let (_, params) = golden_backbone("published");
    let released = export::timm(&params);
    let encoder = Encoder::load(&config, released, "a released file", Device::Cpu).unwrap();
    let found = encoder.params().get("backbone.pos_embed").unwrap();
    assert_eq!(found.size(), [1, 37, 64]);
    let stored = params.get("backbone.pos_embed").unwrap();
    let expected = backbone::resize_grid(&stored.narrow(1, 1, 16), (6, 6), 0.0);
    assert!(found.narrow(1, 1, 36).equal(&expected));
    config.model.depth = 3;
    let error = Encoder::load(&config, export::timm(&params), "a released file", Device::Cpu);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("width 64, depth 2") && message.contains("describes width 64, depth 3"), "{message}");
}
