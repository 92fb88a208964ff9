//! `worker export`: the model as others load it, and `worker embed`: features as Parquet.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, FixedSizeListArray, RecordBatch, StringArray};
use dino::tensor_bytes;
use parquet::arrow::ArrowWriter;
use run_spec::config::{Ffn, Sampling};
use run_spec::plan::Plan;
use serde_json::{Value, json};
use shards::{Manifest, ShardSet};
use store::Store;

use crate::cli::{EmbedArgs, ExportArgs, Layout};
use crate::features::{self, Trained};
use training::snapshot;

mod card;
mod huggingface;
mod onnx;
mod proto;
mod state;

/// Writes the model in the layout that `args` name, with its card: files that are not there yet.
pub(crate) fn export(args: &ExportArgs) -> Result<()> {
    let trained = features::open(&args.model)?;
    let side = args.size.unwrap_or(trained.config.crops.global_size);
    anyhow::ensure!(
        args.size.is_none() || args.layout == Layout::Onnx,
        "--size is for --layout onnx: other layouts keep the position embeddings as they were trained"
    );
    let manifest = args.shards.as_deref().map(|uri| manifest(uri, &trained)).transpose()?;
    let mut rows = Vec::new();
    for file in &args.rows {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        rows.extend(results::row::from_json_lines(&text, &file.display().to_string())?);
    }
    let card = card::render(&card::Facts {
        record: &trained.record,
        config: &trained.config,
        checkpoint: &trained.checkpoint,
        layout: args.layout,
        side,
        manifest: manifest.as_ref(),
        rows: &rows,
    })?;
    let mut files = files(args, &trained, side)?;
    files.push(("README.md", card.into_bytes()));
    let out = Store::open(&args.out)?;
    for (name, bytes) in files {
        out.create(name, bytes.into()).with_context(|| format!("write {name}"))?;
    }
    let what = match args.layout {
        Layout::State => "the whole training state",
        _ => "teacher backbone",
    };
    crate::output::line(format!("{}: {what} of step {}, {} layout", args.out, trained.checkpoint.step, args.layout));
    Ok(())
}

/// Names and bytes of what a layout consists of, without the card.
fn files(args: &ExportArgs, trained: &Trained, side: i64) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let facts = |what: &str| {
        [
            ("what", what.to_owned()),
            ("run", trained.record.config_digest.to_string()),
            ("step", trained.checkpoint.step.to_string()),
            ("code", trained.record.code.clone()),
            ("channel_order", "rgb".to_owned()),
        ]
    };
    let params = trained.teacher.params();
    let json = |value: &Value| serde_json::to_vec_pretty(value);
    Ok(match args.layout {
        Layout::Timm => {
            let config = timm_config(trained)?;
            let facts = facts("EMA teacher backbone (not the student), timm layout");
            let weights = snapshot::to_bytes(&dino::export::timm(params), &facts)?;
            vec![("model.safetensors", weights), ("config.json", json(&config)?)]
        }
        Layout::Huggingface => {
            let config = huggingface::config(&trained.config)?;
            // transformers looks for this key of the header.
            let weights = tensor_bytes::to_bytes(&dino::export::huggingface(params), Some(("format", "pt")))?;
            let preprocessor = huggingface::preprocessor(side);
            let config = ("config.json", json(&config)?);
            vec![("model.safetensors", weights), config, ("preprocessor_config.json", json(&preprocessor)?)]
        }
        Layout::Onnx => {
            let facts = facts("EMA teacher backbone (not the student)");
            let bytes = onnx::to_bytes(trained.teacher.backbone().shape(), params, side, &facts)?;
            vec![("model.onnx", bytes)]
        }
        Layout::State => {
            let bytes = trained.run.read_checkpoint(&trained.checkpoint)?;
            let tensors = snapshot::from_bytes(&bytes, &trained.checkpoint.key)?;
            let plan = plan(args, trained)?;
            let walk = (&plan, trained.record.rows);
            let tensors = state::complete(tensors, &trained.config, trained.checkpoint.step, walk)?;
            let weights = snapshot::to_bytes(&tensors, &facts("the whole training state: docs/weights.md"))?;
            vec![("training_state.safetensors", weights), ("run.json", serde_json::to_vec_pretty(&trained.record)?)]
        }
    })
}

/// The manifest of the shard set at `uri`, which must be the one that was trained on.
fn manifest(uri: &str, trained: &Trained) -> Result<Manifest> {
    let manifest = Manifest::read(&Store::open(uri)?)?;
    let (found, expected) = (manifest.digest(), trained.record.shards);
    anyhow::ensure!(
        found == expected,
        "--shards {uri}: the run was trained on shard set {}, this is {}; give the set it was trained on",
        expected.short(),
        found.short()
    );
    Ok(manifest)
}

/// The walk over the shard set that was trained on. The set itself is needed where sources have shares of their own.
fn plan(args: &ExportArgs, trained: &Trained) -> Result<Plan> {
    let config = &trained.config;
    match &args.shards {
        Some(uri) => Ok(Plan::of(config, &ShardSet::open(&Store::open(uri)?)?.source_rows())?),
        None if config.data.sampling == Sampling::Uniform => {
            Ok(Plan::uniform(config.seed, trained.record.rows, config.train.batch_size))
        }
        None => anyhow::bail!(
            "the run draws its sources by data.sampling: {}; give the shard set it was trained on with --shards",
            config.data.sampling
        ),
    }
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
    let (folder, name) = Store::open_file(&args.out)?;
    folder.create(&name, bytes.into())?;
    crate::output::line(format!("{}: {} features of {dim} dimensions", args.out, shards.len()));
    Ok(())
}
