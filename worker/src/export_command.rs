//! `worker export`: the model as others load it, with its card.

use anyhow::{Context, Result};
use dino::tensor_bytes;
use export::{Card, ExportError, Layout, NamedFile};
use run_spec::config::Sampling;
use run_spec::plan::Plan;
use shards::{Manifest, ShardSet};
use store::Store;

use crate::cli::ExportArgs;
use crate::environment::Environment;
use crate::features::{self, Trained};
use crate::version;

/// Writes the model in the layout that `args` name, with its card: files that are not there yet.
pub(crate) fn export(args: &ExportArgs, environment: &Environment) -> Result<()> {
    let trained = features::open(&args.model, environment)?;
    let layout = Layout::from(args.layout);
    let side = args.size.unwrap_or(trained.config.crops.global_size);
    anyhow::ensure!(
        args.size.is_none() || layout == Layout::Onnx,
        "--size is for --layout onnx: other layouts keep the position embeddings as they were trained"
    );
    let manifest = args.shards.as_deref().map(|uri| manifest(uri, &trained)).transpose()?;
    let mut rows = Vec::new();
    for file in &args.rows {
        let text = terminal::read_text("file of rows", file)?;
        rows.extend(results::row::from_json_lines(&text, &file.display().to_string())?);
    }
    let model = trained.model();
    let card = Card { model, layout, side, manifest: manifest.as_ref(), rows: &rows };
    let card = export::model_card(&card).map_err(in_flags)?;
    let mut files = files(args, &trained, side)?;
    files.push(("README.md", card.into_bytes()));
    let out = Store::open(&args.out)?;
    for (name, bytes) in files {
        out.create(name, bytes.into()).with_context(|| format!("cannot write {name}"))?;
    }
    let what = match layout {
        Layout::State => "the whole training state",
        _ => "teacher backbone",
    };
    terminal::line(format!("{}: {what} of step {}, {layout} layout", args.out, trained.checkpoint.step));
    Ok(())
}

/// Names the flag that gave what an export refuses.
fn in_flags(error: ExportError) -> anyhow::Error {
    match error {
        ExportError::OtherRow { .. } => anyhow::anyhow!("--rows: {error}"),
        ExportError::Side { .. } => anyhow::anyhow!("--size {error}"),
        error => error.into(),
    }
}

/// Names and bytes of what a layout consists of, without the card.
fn files(args: &ExportArgs, trained: &Trained, side: i64) -> Result<Vec<NamedFile>> {
    let model = trained.model();
    let files = match args.layout.into() {
        Layout::Timm => export::timm(&model),
        Layout::Huggingface => export::huggingface(&model, side),
        Layout::Onnx => export::onnx(&model, side, version::CODE),
        Layout::State => {
            let bytes = trained.run.read_checkpoint(&trained.checkpoint)?;
            let tensors = tensor_bytes::from_bytes(&bytes, &trained.checkpoint.key)?;
            export::whole_state(&model, tensors, &plan(args, trained)?)
        }
    };
    files.map_err(in_flags)
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
