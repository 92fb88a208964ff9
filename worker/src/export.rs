//! `worker export`: the teacher backbone as timm loads it, and `worker embed`: features as Parquet.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, FixedSizeListArray, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use run_spec::config::Ffn;
use serde_json::{Value, json};
use shards::ShardSet;
use store::Store;

use crate::cli::{EmbedArgs, ExportArgs};
use crate::features::{self, Trained};
use crate::snapshot;

/// Writes `model.safetensors` and `config.json` into a folder that holds neither yet.
pub(crate) fn export(args: &ExportArgs) -> Result<()> {
    let trained = features::open(&args.model)?;
    let config = timm_config(&trained)?;
    let facts = [
        ("what", "EMA teacher backbone (not the student), timm layout".to_owned()),
        ("run", trained.record.config_digest.to_string()),
        ("step", trained.checkpoint.step.to_string()),
        ("code", trained.record.code.clone()),
        ("channel_order", "rgb".to_owned()),
    ];
    let bytes = snapshot::to_bytes(&dino::export::timm(trained.teacher.params()), &facts)?;
    let out = Store::open(&args.out)?;
    out.create("model.safetensors", bytes.into()).context("write model.safetensors")?;
    out.create("config.json", serde_json::to_vec_pretty(&config)?.into()).context("write config.json")?;
    crate::output::line(format!("{}: teacher backbone of step {}, timm layout", args.out, trained.checkpoint.step));
    Ok(())
}

/// The `config.json` that timm reads with the weights.
fn timm_config(trained: &Trained) -> Result<Value> {
    let model = &trained.config.model;
    anyhow::ensure!(
        model.ffn == Ffn::Mlp && model.registers == 0,
        "model.ffn and model.registers: timm's layout is written for `mlp` without registers; {} with {} registers has no timm name here",
        model.ffn,
        model.registers
    );
    let side = trained.config.crops.global_size;
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
            "step": trained.checkpoint.step,
            "code": trained.record.code,
            "config_digest": trained.record.config_digest,
            "shards": trained.record.shards,
            "trained_channel_order": trained.config.channel_order,
        },
    }))
}

/// Writes the features of a shard set as Parquet: provenance columns and `feature`, a fixed-size list of f32.
pub(crate) fn embed(args: &EmbedArgs) -> Result<()> {
    let trained = features::open(&args.model)?;
    let shards = ShardSet::open(&Store::open(&args.shards)?)?;
    let side = trained.config.crops.global_size;
    let (values, dim) = features::extract(&trained.teacher, side, &shards, args.batch, "embedding")?;
    let metas = (0..shards.len()).map(|row| shards.meta(row)).collect::<Result<Vec<_>, _>>()?;
    let text = |of: &dyn Fn(&shards::RowMeta) -> String| {
        Arc::new(StringArray::from_iter_values(metas.iter().map(of))) as ArrayRef
    };
    let label = Arc::new(StringArray::from_iter(metas.iter().map(|meta| meta.label.as_deref()))) as ArrayRef;
    let rows = values.chunks_exact(dim).map(|row| Some(row.iter().copied().map(Some).collect::<Vec<_>>()));
    let feature = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, dim as i32);
    let batch = RecordBatch::try_from_iter([
        ("id", text(&|meta| meta.id.to_string())),
        ("pixel_digest", text(&|meta| meta.pixel_digest.to_string())),
        ("source", text(&|meta| meta.source.to_string())),
        ("image", text(&|meta| meta.image.to_string())),
        ("group", text(&|meta| meta.group.to_string())),
        ("label", label),
        ("feature", Arc::new(feature) as ArrayRef),
    ])?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    let (folder, name) = split_uri(&args.out)?;
    Store::open(folder)?.create(name, bytes.into())?;
    crate::output::line(format!("{}: {} features of {dim} dimensions", args.out, shards.len()));
    Ok(())
}

/// Folder and last part of the URI of a file.
pub(crate) fn split_uri(uri: &str) -> Result<(&str, &str)> {
    match uri.rsplit_once('/') {
        Some((_, "")) => anyhow::bail!("{uri}: a file is expected, not a folder"),
        Some((folder, name)) => Ok((if folder.is_empty() { "/" } else { folder }, name)),
        None => Ok((".", uri)),
    }
}
