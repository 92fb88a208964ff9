//! The command line of `probe` and `baseline`: which features are scored, on which cells, and where the scores go.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, ValueEnum};
use results::measures::Evaluation;

use super::ModelArgs;
use crate::baselines::{self, Baseline};
use crate::expectation::Expectation;

/// The model whose features are taken: that of a run, or a file of weights.
#[derive(Debug, Args)]
#[command(next_help_heading = "The model", group(ArgGroup::new("run-or-weights").required(true).args(["run", "weights"])))]
pub(crate) struct ModelChoice {
    /// A run of `worker train`.
    #[arg(long, value_name = "URI")]
    pub(crate) run: Option<String>,
    /// Checkpoint of this step instead of the last one.
    #[arg(long, requires = "run")]
    pub(crate) step: Option<u64>,
    /// Released weights instead of a run: a safetensors or .pth file (docs/weights.md).
    #[arg(long, value_name = "URI")]
    pub(crate) weights: Option<String>,
    /// Format of the weights; a file of another format is refused [default: recognised from the names of its tensors].
    #[arg(long, requires = "weights")]
    pub(crate) layout: Option<WeightsLayout>,
    /// Side in pixels to which images are resized for these weights [default: the configuration's, else 224].
    #[arg(long, value_name = "PX", requires = "weights")]
    pub(crate) size: Option<i64>,
    /// Training configuration (YAML) of the model of these weights; needed only if its attention heads are not 64 wide.
    #[arg(long, requires = "weights")]
    pub(crate) config: Option<PathBuf>,
    /// Number of threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: u64,
}

impl ModelChoice {
    /// The model of a run, if that is what is chosen.
    pub(crate) fn of_run(&self) -> Option<ModelArgs> {
        self.run.clone().map(|run| ModelArgs { run, step: self.step, threads: self.threads })
    }
}

/// Whose names the tensors of a file of weights have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsLayout {
    /// A released state dict of DINOv2.
    Dinov2,
    /// A training checkpoint with a teacher: DinoBloom, RedDino, DINOv2's own and ours.
    Teacher,
    /// timm's names, as RedDino on Hugging Face.
    Timm,
    /// `transformers`' names.
    Huggingface,
    /// torchvision's ResNet50, of which the first three stages are taken.
    Resnet50,
}

impl WeightsLayout {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dinov2 => "dinov2",
            Self::Teacher => "teacher",
            Self::Timm => "timm",
            Self::Huggingface => "huggingface",
            Self::Resnet50 => "resnet50",
        }
    }
}

impl From<dino::weights::Layout> for WeightsLayout {
    fn from(layout: dino::weights::Layout) -> Self {
        use dino::weights::Layout;
        match layout {
            Layout::Dinov2 => Self::Dinov2,
            Layout::Teacher => Self::Teacher,
            Layout::Timm => Self::Timm,
            Layout::HuggingFace => Self::Huggingface,
        }
    }
}

/// Features of which checkpoints are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeepFeatures {
    None,
    Last,
    All,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    #[command(flatten)]
    pub(crate) model: ModelChoice,
    /// Name of these weights in result rows [default: the name of their file].
    #[arg(long, requires = "weights")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) scoring: ScoringArgs,
    /// Name of the arm in result rows.
    #[arg(long, default_value = "run")]
    pub(crate) arm: String,
    /// The shard set that the run was trained on, to find out whether it contains images of the labelled one.
    #[arg(long, value_name = "URI")]
    pub(crate) train_shards: Option<String>,
    /// Another folder with records of `shard-builder leaks`, besides those of the two sets: STORE/leaks.
    #[arg(long, value_name = "URI")]
    pub(crate) leaks: Option<String>,
    /// Which features are kept in the run's folder, so that another probe of the same cells need not compute them again: of no
    /// checkpoint, of the run's last one, or of every one that is probed.
    #[arg(long, default_value = "none")]
    pub(crate) keep_features: KeepFeatures,
    #[command(flatten)]
    pub(crate) baselines: baselines::Wanted,
    /// Mark the rows as transductive, because you know that the training set contained images of this dataset.
    #[arg(long)]
    pub(crate) transductive: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    /// The features that are scored.
    #[arg(value_parser = baselines::parser())]
    pub(crate) features: &'static dyn Baseline,
    #[command(flatten)]
    pub(crate) scoring: ScoringArgs,
    /// Training configuration (YAML) of the model whose random weights are scored.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Change one key of the configuration.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: u64,
}

/// The output of the model that is a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenChoice {
    /// The CLS token, as published.
    Cls,
    /// The mean of the patch tokens.
    Mean,
    /// Both, one after the other.
    Both,
}

impl From<TokenChoice> for dino::Token {
    fn from(token: TokenChoice) -> Self {
        match token {
            TokenChoice::Cls => Self::Cls,
            TokenChoice::Mean => Self::Mean,
            TokenChoice::Both => Self::Both,
        }
    }
}

/// What is scored, how, and where the rows go.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is scored, and how")]
pub(crate) struct ScoringArgs {
    /// Labelled cell shard set.
    #[arg(long, value_name = "URI")]
    pub(crate) shards: String,
    /// Split of the shard set (`shard-builder split`).
    #[arg(long, value_name = "NAME")]
    pub(crate) split: String,
    /// Name of the dataset in result rows.
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// Which output of the model is scored (not for a colour histogram or shape features).
    #[arg(long, default_value = "cls")]
    pub(crate) token: TokenChoice,
    /// Images per forward pass.
    #[arg(long, default_value_t = 128)]
    pub(crate) batch: usize,
    /// File for result rows, as JSON lines; an existing file is not overwritten.
    #[arg(long, help_heading = "Files to write", value_name = "URI")]
    pub(crate) out: Option<String>,
    /// Parquet file for the prediction of each cell; an existing file is not overwritten. With --out and without this option,
    /// it is predictions-NAME.parquet beside rows-NAME.jsonl.
    #[arg(long, help_heading = "Files to write", value_name = "URI")]
    pub(crate) predictions: Option<String>,
    /// Folder for small pictures of the cells, for reports; all evaluation sets share it. Existing pictures are kept.
    #[arg(long, help_heading = "Files to write", value_name = "URI")]
    pub(crate) atlas: Option<String>,
    /// Additional evaluations, separated by commas; they take longer.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = evaluations())]
    pub(crate) evaluations: Vec<Evaluation>,
    /// The normal class of the evaluation `anomaly` [default: the largest class].
    #[arg(long, value_name = "CLASS")]
    pub(crate) normal: Option<String>,
    /// Resamples of the bootstrap over groups; 0 prints no interval.
    #[arg(long, default_value_t = 1000)]
    pub(crate) bootstrap: usize,
    /// Stop unless code, binary, shards or split has this version or digest, such as shards=549d… (used by the orchestrator); may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) expect: Vec<Expectation>,
}

/// Reads the name of a further evaluation.
fn evaluations() -> impl TypedValueParser<Value = Evaluation> {
    let value = |evaluation: &Evaluation| PossibleValue::new(evaluation.name()).help(evaluation.about());
    PossibleValuesParser::new(Evaluation::ALL.iter().map(value))
        .try_map(|name| Evaluation::named(&name).ok_or_else(|| format!("{name} is not an evaluation")))
}
