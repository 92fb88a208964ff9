//! The teacher's backbone with timm's names: `model.safetensors` and `config.json`.

use dino::tensor_bytes;
use run_spec::config::Ffn;
use serde_json::{Value, json};

use crate::error::ExportError;
use crate::{Model, NamedFile, Result};

/// The files that `timm.create_model("local-dir:…")` loads.
///
/// # Errors
/// [`ExportError::NoTimmName`].
pub fn timm(model: &Model<'_>) -> Result<Vec<NamedFile>> {
    let config = config(model)?;
    let facts = model.facts("EMA teacher backbone (not the student), timm layout");
    let weights = tensor_bytes::to_bytes_with_facts(&dino::export::timm(model.teacher.params()), &facts)?;
    Ok(vec![("model.safetensors", weights), ("config.json", serde_json::to_vec_pretty(&config)?)])
}

/// The `config.json` that timm reads with the weights.
fn config(of: &Model<'_>) -> Result<Value> {
    let model = &of.config.model;
    if model.ffn != Ffn::Mlp || model.registers != 0 {
        return Err(ExportError::NoTimmName { ffn: model.ffn, registers: model.registers });
    }
    let side = of.config.crops.global_size;
    Ok(json!({
        "architecture": "vit_small_patch14_dinov2",
        "num_classes": 0,
        "num_features": model.dim,
        "global_pool": "token",
        "model_args": {
            "embed_dim": model.dim,
            "depth": model.depth,
            "num_heads": model.heads,
            "patch_size": model.patch,
            "mlp_ratio": model.mlp_ratio,
            "img_size": side,
        },
        "pretrained_cfg": {
            "custom_load": false,
            "input_size": [3, side, side],
            "fixed_input_size": true,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "num_classes": 0,
            "pool_size": null,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
        "reddino": {
            "weights": "teacher",
            "step": of.checkpoint.step,
            "code": of.record.code,
            "config_digest": of.record.config_digest,
            "shards": of.record.shards,
            "trained_channel_order": of.config.channel_order,
        },
    }))
}
