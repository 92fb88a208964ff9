//! The configurations of `configs/train` hold the values of the recipes they are named after, and their headers say how long they take.
//!
//! The values are typed here from the published tables, each with its source: `RD` is RedDino's released YAML and code, `D2`
//! DINOv2's `vitl14.yaml` over `ssl_default_config.yaml`, `DB` DinoBloom's `custom.yaml` over its defaults, `paper` arXiv 2508.08180.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use run_spec::{
    config::{Ffn, ResolvedConfig, TrainConfig},
    schedule::Schedules,
};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/train")
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn read(name: &str) -> ResolvedConfig {
    ResolvedConfig::from_yaml(&text(name), name, &[]).unwrap()
}

/// Compares dotted keys with values; `source` says where the values are published.
fn expect(name: &str, source: &str, values: &Value) {
    let resolved = read(name);
    for (key, value) in values.as_object().unwrap() {
        let found = resolved.record().value().pointer(&format!("/{}", key.replace('.', "/"))).unwrap();
        // 10 and 10.0 are the same value.
        let same = match (found.as_f64(), value.as_f64()) {
            (Some(found), Some(value)) => found == value,
            _ => found == value,
        };
        assert!(same, "{name}: {key} is {found}, {source} has {value}");
    }
}

/// What DINOv2's defaults, RedDino and DinoBloom have in common: D2 `ssl_default_config.yaml`, unchanged in RD and DB.
fn common() -> Value {
    json!({
        "model.patch": 14, "model.mlp_ratio": 4, "model.ln_eps": 1e-6, "model.offset": 0.1, "model.registers": 0,
        "head.hidden": 2048, "loss.student_temp": 0.1, "loss.dino_weight": 1, "loss.ibot_weight": 1,
        "loss.centering": "sinkhorn_knopp", "loss.sk_iterations": 3, "loss.koleo_log_eps": 1e-8,
        "optim.base_lr": 2e-4, "optim.lr": null, "optim.min_lr": 1e-6, "optim.beta1": 0.9, "optim.beta2": 0.999,
        "optim.eps": 1e-8, "optim.wd": 0.04, "optim.wd_end": 0.2, "optim.clip": 3, "optim.patch_embed_lr_mult": 0.2,
        "optim.layerwise_decay": 1, "teacher.momentum": 0.994, "teacher.momentum_end": 1, "teacher.temp_start": 0.04,
        "teacher.temp": 0.07, "teacher.temp_epochs": 30, "masks.probability": 0.5, "masks.ratio_min": 0.1,
        "masks.ratio_max": 0.5, "crops.global_size": 224, "crops.local_size": 98, "crops.global_scale": [0.32, 1.0],
        "crops.local_scale": [0.05, 0.32], "crops.ratio": [0.75, 4.0 / 3.0],
    })
}

/// Width, depth, heads: D2 `hub/backbones.py`, model table of the paper.
const SIZES: [(&str, i64, i64, i64); 4] =
    [("small", 384, 12, 6), ("base", 768, 12, 12), ("large", 1024, 24, 16), ("giant", 1536, 40, 24)];

fn reddino() -> Value {
    json!({
        "head.separate": false, "head.prototypes": 131_072, "head.bottleneck": 256, "loss.koleo_weight": 0,
        "model.drop_path": 0, "optim.epochs": 10, "optim.warmup_epochs": 0.1, "optim.freeze_last_layer_epochs": 0,
        "crops.interpolation": "bilinear", "augmentation.pipeline": "albumentations", "augmentation.ops": [],
        "augmentation.n": 4, "augmentation.replace": true, "augmentation.flip_p": 0.85, "augmentation.vflip_p": 0.85,
        "augmentation.rot90_p": 0.85,
    })
}

#[test]
fn the_released_reddino_code_is_configured_as_released() {
    // RD configs `2_gpu`: images a GPU, OFFICIAL_EPOCH_LENGTH, all iterations, warm-up iterations, peak learning rate.
    let table = [
        ("small", 280, 1950, 19_500, 195, 1.47902e-4),
        ("base", 196, 3650, 36_500, 365, 1.23744e-4),
        ("large", 64, 10_900, 109_000, 1090, 7.0711e-5),
        ("giant", 24, 29_000, 290_000, 2900, 4.3301e-5),
    ];
    for ((size, dim, depth, heads), (row, a_gpu, epoch, all, warmup, peak)) in SIZES.into_iter().zip(table) {
        assert_eq!(size, row);
        let name = format!("reddino-published-{size}.yaml");
        let ffn = if size == "giant" { "swiglu" } else { "mlp" };
        expect(&name, "D2 ssl_default_config.yaml", &common());
        expect(&name, "RD YAML and code", &reddino());
        expect(
            &name,
            "D2 hub/backbones.py",
            &json!({ "model.dim": dim, "model.depth": depth, "model.heads": heads, "model.ffn": ffn }),
        );
        // The quirks of the code: RD data/augmentations.py, train/ssl_meta_arch.py, train/train.py, loss/koleo_loss.py.
        let quirks = json!({
            "channel_order": "bgr", "loss.n_local": 1, "loss.local_loss_above": 1, "loss.dino_normaliser": "published",
            "loss.koleo_pair_eps": 1e-4, "train.extra_step": true, "train.precision": "f16", "optim.loss_scale": 65_536,
            "train.batch_size": 2 * a_gpu, "train.loss_groups": 2, "optim.epoch_length": epoch,
            "checkpoint.every_steps": 3 * epoch, "checkpoint.keep": 3, "log.every_steps": 10,
            "init.weights": format!("weights/dinov2_vit{}14_pretrain.pth", &size[..1]),
        });
        expect(&name, "RD code", &quirks);
        let config = read(&name);
        assert_eq!(config.total_steps(), all + 1, "{name}");
        let schedules = Schedules::new(&config);
        let warm = schedules.at(warmup).lr;
        assert!((warm / peak - 1.0).abs() < 1e-5, "{name}: {warm}");
        assert!(schedules.at(warmup - 1).lr == warm && schedules.at(warmup - 2).lr < warm);
        // 30 epochs of warm-up in 10 of training.
        assert!((schedules.at(all).teacher_temp - 0.05).abs() < 1e-5);
    }
}

#[test]
fn the_papers_reddino_is_configured_as_the_paper_says() {
    // paper: batches of 512, 384, 256 and 1,250,781 patches; learning rates follow from the square-root rule.
    let table = [(512, 1.41421e-4), (384, 1.22474e-4), (256, 1.0e-4)];
    for ((size, dim, depth, heads), (batch, peak)) in SIZES.into_iter().zip(table) {
        let name = format!("reddino-{size}.yaml");
        let epoch = (1_250_781.0 / f64::from(batch)).round();
        expect(&name, "D2 ssl_default_config.yaml", &common());
        expect(&name, "RD YAML", &reddino());
        let paper = json!({
            "model.dim": dim, "model.depth": depth, "model.heads": heads, "model.ffn": "mlp", "train.batch_size": batch,
            "optim.epoch_length": epoch, "loss.n_local": 0, "channel_order": "rgb",
            "init.weights": format!("weights/dinov2_vit{}14_pretrain.pth", &size[..1]),
        });
        expect(&name, "paper", &paper);
        // The ratio of DINO to iBOT does not move with local crops.
        let ours = json!({ "loss.dino_normaliser": "terms", "loss.local_loss_above": 0, "train.extra_step": false });
        expect(&name, "docs/adr/0005", &ours);
        let config = read(&name);
        let warm = (config.optim.epoch_length as f64 * 0.1) as u64;
        assert!((Schedules::new(&config).at(warm).lr / peak - 1.0).abs() < 1e-5, "{name}");
    }
}

#[test]
fn dinov2_is_configured_as_its_repository_does() {
    let name = "dinov2-vitl14.yaml";
    expect(name, "D2 ssl_default_config.yaml", &common());
    let own = json!({
        "model.dim": 1024, "model.depth": 24, "model.heads": 16, "model.ffn": "swiglu", "model.drop_path": 0.4,
        "head.separate": true, "head.prototypes": 131_072, "head.bottleneck": 384, "optim.epochs": 500,
        "optim.warmup_epochs": 80, "train.batch_size": 32 * 96, "train.loss_groups": 96,
    });
    expect(name, "D2 vitl14.yaml", &own);
    let defaults = json!({
        "model.layerscale_init": 1e-5, "model.drop_path_uniform": true, "head.ibot_bottleneck": 256, "loss.n_local": 8, "loss.local_loss_above": 0, "loss.koleo_weight": 0.1,
        "loss.koleo_pair_eps": 1e-8, "loss.dino_normaliser": "published", "optim.freeze_last_layer_epochs": 1,
        "optim.epoch_length": 1250, "train.precision": "f16", "train.extra_step": true, "channel_order": "rgb",
        "init.weights": null,
    });
    expect(name, "D2 ssl_default_config.yaml", &defaults);
    // Horizontal flips only; the blur's probability is turned round.
    let views = json!({
        "augmentation.pipeline": "dinov2", "augmentation.flip_p": 0.5, "augmentation.vflip_p": 0,
        "augmentation.rot90_p": 0, "augmentation.blur_p_inverted": true, "crops.interpolation": "bicubic",
    });
    expect(name, "D2 data/augmentations.py", &views);
    // 625,000 steps at a peak of 2e-4 · √(3072/1024).
    let config = read(name);
    assert_eq!(config.total_steps(), 625_001);
    assert!((Schedules::new(&config).at(100_000).lr - 3.4641e-4).abs() < 1e-8);
}

#[test]
fn dinobloom_is_configured_as_its_repository_does() {
    let name = "dinobloom.yaml";
    expect(name, "D2 ssl_default_config.yaml", &common());
    let own = json!({
        "train.batch_size": 120, "optim.epochs": 200, "optim.epoch_length": 500, "optim.warmup_epochs": 20,
        "head.separate": true, "head.prototypes": 65_536, "loss.n_local": 1, "loss.local_loss_above": 1,
    });
    expect(name, "DB custom.yaml", &own);
    let defaults = json!({
        "head.bottleneck": 256, "loss.koleo_weight": 0.1, "loss.koleo_pair_eps": 1e-4,
        "loss.dino_normaliser": "published", "optim.freeze_last_layer_epochs": 1, "model.drop_path": 0,
        "channel_order": "rgb", "augmentation.pipeline": "dinov2", "augmentation.flip_p": 0.5,
        "augmentation.vflip_p": 0.5, "augmentation.rot90_p": 0.5, "crops.interpolation": "bicubic",
        "init.weights": "weights/dinov2_vitb14_pretrain.pth",
    });
    expect(name, "DB defaults and code", &defaults);
}

/// Multiplications and additions of a whole run, matrix products and convolutions alone, two operations each. The
/// student's forward and backward count three times its forward; local crops whose loss is dropped count nothing.
fn operations(c: &TrainConfig) -> f64 {
    let (d, patch) = (c.model.dim as f64, c.model.patch as f64);
    let feed = match c.model.ffn {
        Ffn::Mlp => 2.0 * d * d * c.model.mlp_ratio,
        Ffn::Swiglu => 3.0 * d * (((d * c.model.mlp_ratio * 2.0 / 3.0) as i64 + 7) / 8 * 8) as f64,
    };
    let forward = |side: i64| {
        let patches = ((side / c.model.patch) as f64).powi(2);
        let tokens = 1.0 + c.model.registers as f64 + patches;
        let block = 2.0 * tokens * (4.0 * d * d + feed) + 4.0 * tokens * tokens * d;
        2.0 * patches * 3.0 * patch * patch * d + c.model.depth as f64 * block
    };
    let row = |hidden: i64, bottleneck: i64, prototypes: i64| {
        let (hidden, bottleneck) = (hidden as f64, bottleneck as f64);
        2.0 * (d * hidden + hidden * hidden + hidden * bottleneck + bottleneck * prototypes as f64)
    };
    let h = &c.head;
    let patch_row = row(
        h.ibot_hidden.unwrap_or(h.hidden),
        h.ibot_bottleneck.unwrap_or(h.bottleneck),
        h.ibot_prototypes.unwrap_or(h.prototypes),
    );
    let row = row(h.hidden, h.bottleneck, h.prototypes);
    let local = if c.loss.n_local > c.loss.local_loss_above { c.loss.n_local as f64 } else { 0.0 };
    let share = c.masks.probability * (c.masks.ratio_min + c.masks.ratio_max) / 2.0;
    let masked = 2.0 * share * (c.grid() * c.grid()) as f64;
    let image = 2.0 * forward(c.crops.global_size) * 4.0
        + local * forward(c.crops.local_size) * 3.0
        + row * (2.0 * 4.0 + local * 3.0)
        + patch_row * masked * 4.0;
    image * c.train.batch_size as f64 * c.total_steps() as f64
}

#[test]
fn headers_say_what_is_needed_and_how_long_it_takes() {
    let named: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("tiny"))
        .collect();
    assert_eq!(named.len(), 9, "{named:?}");
    for name in named {
        let text = text(&name);
        for part in ["# command ", "# hardware ", "# hours ", "# sources ", "# deviates "] {
            assert!(text.lines().any(|line| line.starts_with(part)), "{name} has no line `{part}`");
        }
        let operations = operations(&read(&name));
        let hours = |used: f64| {
            let hours = operations / (312e12 * used * 3600.0);
            if hours < 10.0 { format!("{hours:.1}") } else { format!("{hours:.0}") }
        };
        let exponent = operations.log10().floor();
        let line = format!(
            "# hours      {} to {} of an A100: {:.2}e+{exponent} operations by count, at 40 and 20 % of its 312 Tflop/s; counted, not measured",
            hours(0.4),
            hours(0.2),
            operations / 10_f64.powf(exponent),
        );
        assert!(text.lines().any(|found| found == line), "{name} should say:\n{line}");
    }
}
