//! The model card: what was trained, on which data, how, and what it scored, taken from the run and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, ensure};
use results::{ResultRow, stats};
use run_spec::config::{ChannelOrder, TrainConfig};
use shards::Manifest;

use crate::cli::Layout;
use run_folder::{CheckpointRecord, RunRecord};

/// All that a card tells.
pub(super) struct Facts<'a> {
    pub(super) record: &'a RunRecord,
    pub(super) config: &'a TrainConfig,
    pub(super) checkpoint: &'a CheckpointRecord,
    pub(super) layout: Layout,
    /// Side of the images in pixels.
    pub(super) side: i64,
    /// What it was trained on; none when `--shards` was not given.
    pub(super) manifest: Option<&'a Manifest>,
    /// What it scored.
    pub(super) rows: &'a [ResultRow],
}

/// The card as Markdown with the header that Hugging Face reads.
///
/// # Errors
/// Result rows of another run or step.
pub(super) fn render(facts: &Facts<'_>) -> Result<String> {
    let Facts { record, config, checkpoint, .. } = facts;
    let m = &config.model;
    let mut out = String::new();
    let library = match facts.layout {
        Layout::Timm => "timm",
        Layout::Huggingface => "transformers",
        Layout::Onnx => "onnx",
        Layout::State => "safetensors",
    };
    write!(
        out,
        "---\nlibrary_name: {library}\npipeline_tag: image-feature-extraction\nlicense: other\ntags: [dinov2, red-blood-cells, self-supervised]\n---\n\n\
         # ViT {}/{}, {} blocks, self-supervised on blood smears\n\n",
        m.dim, m.patch, m.depth
    )?;
    let what = match facts.layout {
        Layout::State => {
            "The whole training state: student, **EMA teacher**, heads, optimiser. For features take the teacher."
        }
        _ => "Weights of the **EMA teacher's** backbone, not of the student: without heads, for features.",
    };
    writeln!(
        out,
        "{what} Step {} of {}, trained with reddino `{}`.\n",
        checkpoint.step,
        config.total_steps(),
        record.code
    )?;
    out.push_str("## Use\n\n");
    out.push_str(&usage(facts));
    let trained = match config.channel_order {
        ChannelOrder::Rgb => "It was trained on RGB.",
        ChannelOrder::Bgr => {
            "It was trained on BGR pixels under RGB-ordered statistics, as the published code does, and is evaluated on RGB, as the published evaluation does."
        }
    };
    writeln!(
        out,
        "\n**Channel order**: give RGB. {trained}\n\n**Preparation**: resize to {0} x {0} (bilinear, antialiased, aspect not kept), scale to 0..1, \
         subtract (0.485, 0.456, 0.406), divide by (0.229, 0.224, 0.225). Features are the normed CLS token, {1} dimensions, not L2-normalised.\n",
        facts.side, m.dim
    )?;
    data(&mut out, facts)?;
    recipe(&mut out, facts)?;
    scores(&mut out, facts)?;
    out.push_str(
        "## Licence and limits\n\nThe code that trained it is MIT OR Apache-2.0. The weights derive from the data above and, where the recipe names \
         them, from weights it started from: both sets of terms apply, and whoever publishes this card says under which licence they pass it on. \
         Not a medical device, not validated for diagnosis.\n",
    );
    Ok(out)
}

fn usage(facts: &Facts<'_>) -> String {
    let side = facts.side;
    match facts.layout {
        Layout::Timm => "```python\nmodel = timm.create_model(\"local-dir:FOLDER\", pretrained=True).eval()\nfeatures = model(images)  # [B, D]\n```\n".to_owned(),
        Layout::Huggingface => {
            "```python\nprocessor = AutoImageProcessor.from_pretrained(\"FOLDER\")\nmodel = AutoModel.from_pretrained(\"FOLDER\").eval()\n\
             features = model(**processor(images, return_tensors=\"pt\")).pooler_output  # [B, D]\n```\n"
                .to_owned()
        }
        Layout::Onnx => format!(
            "```python\nsession = onnxruntime.InferenceSession(\"model.onnx\")\nfeatures, patches = session.run(None, {{\"images\": images}})  # images [B, 3, {side}, {side}] f32\n```\n\
             Position embeddings are baked in at {side} x {side} pixels; other sizes need another export.\n"
        ),
        Layout::State => "`training_state.safetensors` holds every tensor of training, `run.json` the resolved configuration; reddino's docs/weights.md lists keys and shapes.\n".to_owned(),
    }
}

fn data(out: &mut String, facts: &Facts<'_>) -> Result<()> {
    writeln!(out, "## Data\n\nShard set `{}`, {} rows.", facts.record.shards, facts.record.rows)?;
    let Some(manifest) = facts.manifest else {
        out.push_str("Its sources are not listed: the export was made without `--shards`.\n\n");
        return Ok(());
    };
    out.push_str("\n| source | rows | images | licences |\n|---|---|---|---|\n");
    for source in &manifest.sources {
        writeln!(out, "| {} | {} | {} | {} |", source.name, source.rows, source.images, source.licences.join(", "))?;
    }
    out.push('\n');
    Ok(())
}

fn recipe(out: &mut String, facts: &Facts<'_>) -> Result<()> {
    let (record, config) = (facts.record, facts.config);
    let start = match (&record.init, &config.init.weights) {
        (Some(init), Some(uri)) => format!("from `{uri}` ({} layout, digest `{}`)", init.layout, init.digest),
        _ => format!("from random weights (seed {})", config.init_seed()),
    };
    writeln!(
        out,
        "## Recipe\n\nStarted {start}. Batch {}, {} steps done of {}, {} prototypes, {} local crops, {}, `{}` augmentation, {}. \
         Configuration digest `{}`; in full:\n\n```yaml",
        config.train.batch_size,
        facts.checkpoint.step,
        config.total_steps(),
        config.head.prototypes,
        config.loss.n_local,
        config.loss.centering,
        config.augmentation.pipeline,
        config.train.precision,
        record.config_digest,
    )?;
    for (section, values) in record.config.value().as_object().into_iter().flatten() {
        // JSON is YAML.
        writeln!(out, "{section}: {values}")?;
    }
    out.push_str("```\n\n");
    Ok(())
}

fn scores(out: &mut String, facts: &Facts<'_>) -> Result<()> {
    out.push_str("## Probes\n\n");
    if facts.rows.is_empty() {
        out.push_str("None: the export was made without `--rows`.\n\n");
        return Ok(());
    }
    // (data set, split, features, probe, note) to the folds' scores.
    let mut table: BTreeMap<[&str; 5], Vec<f64>> = BTreeMap::new();
    for row in facts.rows {
        let ours = row.config == facts.record.config_digest && row.shards_train == facts.record.shards;
        ensure!(
            ours && (row.features != results::TEACHER || row.step == facts.checkpoint.step),
            "--rows: {} is of another run or step than this export; give rows of `worker probe --run` on it",
            row.subject()
        );
        if row.metric == "weighted_f1" {
            let key = [&row.dataset, &row.split, &row.features, &row.probe, &row.note].map(String::as_str);
            table.entry(key).or_default().push(row.value);
        }
    }
    out.push_str("Weighted F1 in %, mean ± standard deviation over held-out folds.\n\n");
    out.push_str("| data | split | features | probe | folds | weighted F1 | note |\n|---|---|---|---|---|---|---|\n");
    for ([dataset, split, features, probe, note], values) in table {
        let Some(summary) = stats::summary(&values) else { continue };
        let std = summary.std.map_or_else(String::new, |std| format!(" ± {:.1}", 100.0 * std));
        let (folds, mean) = (values.len(), 100.0 * summary.mean);
        writeln!(out, "| {dataset} | {split} | {features} | {probe} | {folds} | {mean:.1}{std} | {note} |")?;
    }
    out.push('\n');
    Ok(())
}
