//! What `transformers` reads beside the weights: `config.json` and `preprocessor_config.json`.

use dino::tensor_bytes;
use run_spec::config::{Ffn, TrainConfig};
use serde_json::{Value, json};

use crate::error::ExportError;
use crate::{Model, NamedFile, Result};

/// The files that `AutoModel` and `AutoImageProcessor` load; images have `side` pixels a side.
///
/// # Errors
/// [`ExportError::MlpRatio`].
pub fn huggingface(model: &Model<'_>, side: i64) -> Result<Vec<NamedFile>> {
    let config = config(model.config)?;
    // transformers looks for this key of the header.
    let weights = tensor_bytes::to_bytes(&dino::export::huggingface(model.teacher.params()), Some(("format", "pt")))?;
    let json = |value: &Value| serde_json::to_vec_pretty(value);
    Ok(vec![
        ("model.safetensors", weights),
        ("config.json", json(&config)?),
        ("preprocessor_config.json", json(&preprocessor(side))?),
    ])
}

/// The `config.json` of `Dinov2Model`, or of `Dinov2WithRegistersModel` where there are registers.
///
/// # Errors
/// A width of the feed-forward layer that the configuration of `transformers` cannot express.
fn config(config: &TrainConfig) -> Result<Value> {
    let model = &config.model;
    if model.mlp_ratio.fract() != 0.0 {
        return Err(ExportError::MlpRatio { ratio: model.mlp_ratio });
    }
    let (kind, class) = match model.registers {
        0 => ("dinov2", "Dinov2Model"),
        _ => ("dinov2_with_registers", "Dinov2WithRegistersModel"),
    };
    let mut value = json!({
        "model_type": kind,
        "architectures": [class],
        "dtype": "float32",
        "hidden_size": model.dim,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.heads,
        "mlp_ratio": model.mlp_ratio as i64,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "layer_norm_eps": model.ln_eps,
        "image_size": config.crops.global_size,
        "patch_size": model.patch,
        "num_channels": 3,
        "qkv_bias": true,
        "layerscale_value": model.layerscale_init,
        "drop_path_rate": 0.0,
        "use_swiglu_ffn": model.ffn == Ffn::Swiglu,
        "apply_layernorm": true,
        "reshape_hidden_states": true,
    });
    if model.registers > 0 {
        value["num_register_tokens"] = model.registers.into();
    }
    Ok(value)
}

/// The `preprocessor_config.json`: RGB, resized to `side` whatever the aspect (bilinear, antialiased), ImageNet's
/// statistics: as probes see images (recipe §6).
fn preprocessor(side: i64) -> Value {
    json!({
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": true,
        "do_resize": true,
        "size": { "height": side, "width": side },
        "resample": 2,
        "do_center_crop": false,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    })
}
