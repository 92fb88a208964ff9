//! The model card: what was trained, on which data, how, and what it scored, taken from the run and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use results::{ResultRow, stats};
use run_spec::config::ChannelOrder;
use shards::Manifest;

use crate::error::ExportError;
use crate::{Layout, Model, Result};

/// All that a card tells.
#[derive(Debug, Clone, Copy)]
pub struct Card<'a> {
    /// The run and the checkpoint that are exported.
    pub model: Model<'a>,
    /// The format of the files beside the card.
    pub layout: Layout,
    /// Side of the images in pixels.
    pub side: i64,
    /// The shard set that it was trained on, where the exporter names it.
    pub manifest: Option<&'a Manifest>,
    /// The results of this checkpoint, shown as a table; may be empty.
    pub rows: &'a [ResultRow],
}

/// The card as Markdown with the header that Hugging Face reads.
///
/// # Errors
/// Result rows of another run or step.
pub fn model_card(card: &Card<'_>) -> Result<String> {
    let mut out = String::new();
    header(&mut out, card)?;
    use_of_features(&mut out, card)?;
    data(&mut out, card)?;
    recipe(&mut out, card)?;
    scores(&mut out, card)?;
    out.push_str(
        "## Licence and limits\n\nThe code that trained it is MIT OR Apache-2.0. The weights derive from the data above and, where the recipe names \
         them, from weights it started from: both sets of terms apply, and whoever publishes this card says under which licence they pass it on. \
         Not a medical device, not validated for diagnosis.\n",
    );
    Ok(out)
}

fn header(out: &mut String, card: &Card<'_>) -> Result<()> {
    let Model { record, config, checkpoint, .. } = card.model;
    let m = &config.model;
    let library = match card.layout {
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
    let what = match card.layout {
        Layout::State => {
            "The whole training state: student, **EMA teacher**, heads, optimiser. For features take the teacher."
        }
        _ => "Weights of the **EMA teacher's** backbone, not of the student: without heads, for features.",
    };
    let (step, steps, code) = (checkpoint.step, config.total_steps(), &record.code);
    writeln!(out, "{what} Step {step} of {steps}, trained with reddino `{code}`.\n")?;
    Ok(())
}

fn use_of_features(out: &mut String, card: &Card<'_>) -> Result<()> {
    let config = card.model.config;
    out.push_str("## Use\n\n");
    out.push_str(&usage(card));
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
        card.side, config.model.dim
    )?;
    Ok(())
}

fn usage(card: &Card<'_>) -> String {
    let side = card.side;
    match card.layout {
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
        Layout::State => "`training_state.safetensors` has every tensor of training, `run.json` the complete configuration; reddino's docs/weights.md lists keys and shapes.\n".to_owned(),
    }
}

fn data(out: &mut String, card: &Card<'_>) -> Result<()> {
    writeln!(out, "## Data\n\nShard set `{}`, {} rows.", card.model.record.shards, card.model.record.rows)?;
    let Some(manifest) = card.manifest else {
        out.push_str("Its sources are not listed: the export was made without its training set.\n\n");
        return Ok(());
    };
    out.push_str("\n| source | rows | images | licences |\n|---|---|---|---|\n");
    for source in &manifest.sources {
        writeln!(out, "| {} | {} | {} | {} |", source.name, source.rows, source.images, source.licences.join(", "))?;
    }
    out.push('\n');
    Ok(())
}

fn recipe(out: &mut String, card: &Card<'_>) -> Result<()> {
    let (record, config) = (card.model.record, card.model.config);
    let start = match (&record.init, &config.init.weights) {
        (Some(init), Some(uri)) => format!("from `{uri}` ({} layout, digest `{}`)", init.layout, init.digest),
        _ => format!("from random weights (seed {})", config.init_seed()),
    };
    writeln!(
        out,
        "## Recipe\n\nStarted {start}. Batch {}, {} steps done of {}, {} prototypes, {} local crops, {}, `{}` augmentation, {}. \
         Configuration digest `{}`; in full:\n\n```yaml",
        config.train.batch_size,
        card.model.checkpoint.step,
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

fn scores(out: &mut String, card: &Card<'_>) -> Result<()> {
    out.push_str("## Probes\n\n");
    if card.rows.is_empty() {
        out.push_str("None: the export was made without results of a probe.\n\n");
        return Ok(());
    }
    // (data set, split, features, probe) to the folds' scores, and what is noted of any of them.
    let mut table: BTreeMap<[&str; 4], (Vec<f64>, BTreeSet<&str>)> = BTreeMap::new();
    for row in card.rows {
        let ours = row.config == card.model.record.config_digest && row.shards_train == card.model.record.shards;
        if !ours || (row.features == results::TEACHER && row.step != card.model.checkpoint.step) {
            return Err(ExportError::OtherRow { row: row.subject() });
        }
        if row.metric == "weighted_f1" {
            let key = [&row.dataset, &row.split, &row.features, &row.probe].map(String::as_str);
            let (values, notes) = table.entry(key).or_default();
            values.push(row.value);
            notes.extend(Some(row.note.as_str()).filter(|note| !note.is_empty()));
        }
    }
    out.push_str("Weighted F1 in %, mean ± standard deviation over held-out folds.\n\n");
    out.push_str("| data | split | features | probe | folds | weighted F1 | note |\n|---|---|---|---|---|---|---|\n");
    for ([dataset, split, features, probe], (values, notes)) in table {
        let Some(summary) = stats::summary(&values) else { continue };
        let std = summary.std.map_or_else(String::new, |std| format!(" ± {:.1}", 100.0 * std));
        let note = notes.into_iter().collect::<Vec<_>>().join("; ");
        let (folds, mean) = (values.len(), 100.0 * summary.mean);
        writeln!(out, "| {dataset} | {split} | {features} | {probe} | {folds} | {mean:.1}{std} | {note} |")?;
    }
    out.push('\n');
    Ok(())
}
