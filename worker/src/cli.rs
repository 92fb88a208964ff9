//! The command line. What changes the science is in the configuration; here is where things lie and how to run them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::expectation::Expectation;

mod scoring;

pub(crate) use scoring::{BaselineArgs, KeepFeatures, ModelChoice, ProbeArgs, ScoringArgs, TokenChoice, WeightsLayout};

/// Train and evaluate models. One process uses one GPU, or the CPU.
#[derive(Debug, Parser)]
#[command(name = "worker", version = crate::version::CODE, about)]
pub(crate) struct Cli {
    /// The subcommand with its arguments.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model on a shard set; started again, it goes on from the last checkpoint.
    Train(TrainArgs),
    /// Check a run key by key against the digests that its records name; exit code 1 where something is damaged.
    Verify(VerifyArgs),
    /// Say whether a run that ended may go back into a queue: exit code 0 if so, else a sentence why not (slurm/requeue.sh).
    Requeue(RequeueArgs),
    /// Run training steps on given weights and batches, and write what they did (docs/step-files.md).
    Step(StepArgs),
    /// Score a run's teacher features, or those of released weights, on a labelled cell set, beside random weights and a colour histogram.
    Probe(ProbeArgs),
    /// Score features that no training made: random weights of a model, or a colour histogram.
    Baseline(BaselineArgs),
    /// Draw a run's losses, collapse measures and probe scores over its steps as SVG.
    Curves(CurvesArgs),
    /// Write the published metrics of a run as TensorBoard events.
    Metrics(MetricsArgs),
    /// Write the features of a shard set as Parquet, by a run or by released weights.
    Embed(EmbedArgs),
    /// Draw what models see in images: patches by colour, attention, nearest neighbours.
    Look(LookArgs),
    /// Write the teacher backbone for timm, transformers or ONNX, or the whole training state, with a model card.
    Export(ExportArgs),
    /// Apply or preview the augmentation.
    Augment(AugmentArgs),
    /// Print which rows a step draws.
    Plan(PlanArgs),
    /// Count what a run takes before it is begun: memory, work, hours, energy, money; exit code 1 if it cannot fit.
    Estimate(EstimateArgs),
    /// Measure this machine's matrix-product rate and seconds per step, in one run.
    Bench(BenchArgs),
    /// Check that this machine can train, with a remedy for each failure; exit code 1 if anything failed.
    Doctor(DoctorArgs),
    /// Read a command line and do nothing else.
    #[command(hide = true)]
    Check {
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Print the code version.
    Version {
        /// Print it as a JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Training configuration, a YAML file.
    pub(crate) config: PathBuf,
    /// Shard set to train on.
    #[arg(long, value_name = "URI")]
    pub(crate) shards: String,
    /// Local folder that keeps whole shards as they are first touched, for all workers of the node.
    #[arg(long, value_name = "DIR")]
    pub(crate) shard_cache: Option<PathBuf>,
    /// Most that the folder may hold, GiB.
    #[arg(long, value_name = "GIB", default_value_t = 100.0, requires = "shard_cache")]
    pub(crate) shard_cache_gib: f64,
    /// Where the run is kept.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Change one key of the configuration.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Write a checkpoint after this step and exit with status 85; without this option, or with a later step, the command goes on.
    #[arg(long, value_name = "STEP")]
    pub(crate) stop_at: Option<u64>,
    /// Print each metrics line on standard output too.
    #[arg(long)]
    pub(crate) print_metrics: bool,
    /// Refuse to begin unless this is so: code, binary, shards or init_weights, with a version or digest; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) expect: Vec<Expectation>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A run of `worker train`.
    #[arg(value_name = "URI")]
    pub(crate) run: String,
    /// Set damaged keys aside by a new record, so that training can go on without them. Nothing is moved or deleted.
    #[arg(long)]
    pub(crate) repair: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RequeueArgs {
    /// Where the run is kept.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Code with which it ended; above 128 for a signal, as shells and srun count.
    #[arg(long)]
    pub(crate) code: u8,
    /// A warning that the time limit comes near came before.
    #[arg(long)]
    pub(crate) near_limit: bool,
    /// Seconds to wait for a store that is away, in each call.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) retry_for: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Grads {
    None,
    First,
    All,
}

#[derive(Debug, Args)]
pub(crate) struct StepArgs {
    /// Settings of the step, a JSON file.
    #[arg(long, required_unless_present = "failed")]
    pub(crate) settings: Option<PathBuf>,
    /// Initial weights, a safetensors file.
    #[arg(long, required_unless_present = "failed")]
    pub(crate) weights: Option<PathBuf>,
    /// Batches of the steps, a safetensors file.
    #[arg(long, required_unless_present = "failed")]
    pub(crate) batches: Option<PathBuf>,
    /// Where the result goes (safetensors).
    #[arg(long, required_unless_present = "failed")]
    pub(crate) out: Option<PathBuf>,
    /// Instead of files: a run, whose step that was not finite is done again from what was captured of it.
    #[arg(long, value_name = "URI", conflicts_with_all = ["settings", "weights", "batches", "out", "grads"])]
    pub(crate) failed: Option<String>,
    /// The captured step; the last where it is not given.
    #[arg(long, requires = "failed")]
    pub(crate) step: Option<u64>,
    /// Steps whose gradients are written.
    #[arg(long, default_value = "first")]
    pub(crate) grads: Grads,
    /// Arithmetic: f64, f32, bf16 or f16; f32 where it is not given, and with --failed that of the run.
    #[arg(long)]
    pub(crate) dtype: Option<String>,
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// A run of `worker train`.
    #[arg(long, value_name = "URI")]
    pub(crate) run: String,
    /// Checkpoint of this step instead of the last one.
    #[arg(long)]
    pub(crate) step: Option<u64>,
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: u64,
}

/// How a map of features is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MapMethod {
    /// The two directions in which features vary most.
    Pca,
    /// Neighbours stay neighbours; distances between groups mean little.
    Umap,
}

#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// A run of `worker train`, or NAME=URI to name it on the sheets; give it again to set arms side by side.
    #[arg(long, value_name = "URI", required_unless_present = "weights")]
    pub(crate) run: Vec<String>,
    /// Weights that others have trained, a safetensors or .pth file (docs/weights.md), or NAME=URI; they stand after the runs.
    #[arg(long, value_name = "URI")]
    pub(crate) weights: Vec<String>,
    /// Checkpoint of this step instead of the last one, of each run.
    #[arg(long)]
    pub(crate) step: Option<u64>,
    /// A shard set, or a local folder of pictures.
    #[arg(long, value_name = "FOLDER|URI")]
    pub(crate) images: String,
    /// Folder to write the sheets into: none of them may exist yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: String,
    /// Images to show, separated by commas: row numbers of a shard set (from 0) or beginnings of ids, or names of files. Where
    /// there are none, `--most` images, of all classes in turn.
    #[arg(long, value_name = "IMAGES", value_delimiter = ',')]
    pub(crate) show: Vec<String>,
    /// Images that are shown where none are named.
    #[arg(long, default_value_t = 8)]
    pub(crate) most: usize,
    /// Show the images that are nearest to these, named as for --show.
    #[arg(long, value_name = "IMAGES", value_delimiter = ',')]
    pub(crate) neighbours_of: Vec<String>,
    /// How many neighbours.
    #[arg(long, default_value_t = 8)]
    pub(crate) neighbours: usize,
    /// Side in pixels at which models see an image, a multiple of the patch; the side of a global crop where it is not given.
    /// Twice the side shows twice as many patches each way.
    #[arg(long, value_name = "PX")]
    pub(crate) size: Option<i64>,
    /// Images per forward pass.
    #[arg(long, default_value_t = 32)]
    pub(crate) batch: usize,
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: u64,
}

#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) model: ModelChoice,
    /// Shard set to embed.
    #[arg(long, value_name = "URI")]
    pub(crate) shards: String,
    /// Parquet file to write: it must not exist yet.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Which output of the model is taken as the feature; a ResNet50 has only one.
    #[arg(long, default_value = "cls")]
    pub(crate) token: TokenChoice,
    /// Add the columns x and y: the place of each row on a map of these features (UMAP's neighbours are those of
    /// Euclidean distance).
    #[arg(long, value_name = "METHOD")]
    pub(crate) map: Option<MapMethod>,
    /// Images per forward pass.
    #[arg(long, default_value_t = 128)]
    pub(crate) batch: usize,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// model.safetensors and config.json, as `timm.create_model("local-dir:…")` loads them.
    Timm,
    /// model.safetensors, config.json, preprocessor_config.json, as `AutoModel` and `AutoImageProcessor` load them.
    Huggingface,
    /// model.onnx, position embeddings baked in.
    Onnx,
    /// The whole training state as training_state.safetensors (docs/weights.md), and run.json.
    State,
}

impl From<Layout> for export::Layout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Timm => Self::Timm,
            Layout::Huggingface => Self::Huggingface,
            Layout::Onnx => Self::Onnx,
            Layout::State => Self::State,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Folder to write the files and README.md, the model card, into: none of them may exist yet.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Format of the exported files.
    #[arg(long, default_value = "timm")]
    pub(crate) layout: Layout,
    /// Side of the images in pixels, for `onnx`; the side trained on where it is not given.
    #[arg(long, value_name = "PX")]
    pub(crate) size: Option<i64>,
    /// The shard set trained on: the card lists its sources and their licences.
    #[arg(long, value_name = "URI")]
    pub(crate) shards: Option<String>,
    /// Result rows of `worker probe --out` on this run and step, for the card; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AugmentArgs {
    /// The subcommand with its arguments.
    #[command(subcommand)]
    pub(crate) command: AugmentCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AugmentCommand {
    /// Apply one transform with given parameters.
    Apply {
        /// A case folder: input.png, params.json, arrays.npz.
        #[arg(long, conflicts_with = "op")]
        case: Option<PathBuf>,
        /// A transform as JSON: {"Blur": {"ksize": 5}}.
        #[arg(long, requires = "input")]
        op: Option<String>,
        /// Order of the channels the transform sees.
        #[arg(long, default_value = "rgb")]
        channel_order: String,
        /// Result: .png, or .npy for f32 height × width × channels.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Picture to read, with --op.
        input: Option<PathBuf>,
        /// Picture to write, with --op.
        output: Option<PathBuf>,
    },
    /// Draw a contact sheet: each transform by name, then whole views.
    Preview {
        /// Training configuration, a YAML file.
        #[arg(long)]
        config: PathBuf,
        /// Picture to draw views of.
        #[arg(long)]
        image: PathBuf,
        /// Picture to write, a PNG file.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Training configuration, a YAML file.
    pub(crate) config: PathBuf,
    /// Shard set to train on.
    #[arg(long, value_name = "URI")]
    pub(crate) shards: String,
    /// Change one key of the configuration.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// First step to print.
    #[arg(long, default_value_t = 0)]
    pub(crate) step: u64,
    /// Number of steps to print.
    #[arg(long, default_value_t = 1)]
    pub(crate) steps: u64,
    /// Ranks to share each step among.
    #[arg(long, default_value_t = 1)]
    pub(crate) world: u64,
}

#[derive(Debug, Args)]
pub(crate) struct EstimateArgs {
    /// Training configuration, a YAML file.
    pub(crate) config: PathBuf,
    /// Change one key of the configuration.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Number of nodes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) nodes: u64,
    /// GPUs of each node, one rank on each.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) gpus_per_node: u64,
    /// h100, h200, a100, l40s, cpu (this machine, measured), or a JSON file that describes one.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) gpu: String,
    /// What a GPU costs for an hour.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price: Option<f64>,
    /// Print it as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CurvesArgs {
    /// A run of `worker train`.
    #[arg(long, value_name = "URI")]
    pub(crate) run: String,
    /// Result rows of `worker probe --out` on checkpoints of this run; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Vec<PathBuf>,
    /// Title; the run and its steps where there is none.
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// Where the figure goes: an SVG file that does not exist yet.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
}

#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    /// A run of `worker train`.
    #[arg(long, value_name = "URI")]
    pub(crate) run: String,
    /// Local folder for the event file; it may not hold any yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) tensorboard: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: u64,
    /// Timed repetitions of each measurement; the median is printed.
    #[arg(long, default_value_t = 5)]
    pub(crate) repeats: usize,
    /// What several processes cost (`mpirun -n 2 worker bench --ranks`): one all-reduce, and a training step whose images
    /// per process stay the same, with the share of the all-reduce that hides behind backward.
    #[arg(long)]
    pub(crate) ranks: bool,
    /// Only the step of ViT-S/14 with this many prototypes, each repetition by itself, as one JSON line: what `make
    /// bench-step` puts beside PyTorch.
    #[arg(long, value_name = "K", conflicts_with = "ranks")]
    pub(crate) prototypes: Option<i64>,
    /// Change one key of that step's configuration: what does train.activation_checkpointing=true save?
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "prototypes")]
    pub(crate) set: Vec<String>,
    /// Print the measures as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// As `device` of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    Auto,
    Cpu,
    Cuda,
}

impl From<Device> for run_spec::config::Device {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Cpu => Self::Cpu,
            Device::Cuda => Self::Cuda,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Store to test: keys are written below `doctor/RANDOM/` and removed again.
    #[arg(long, value_name = "URI")]
    pub(crate) store: Option<String>,
    /// Write, read and delete one object as large as a run's checkpoint in the store, and tell the rates: a number of bytes,
    /// or the training configuration (YAML) whose checkpoint it is.
    #[arg(long, value_name = "BYTES|CONFIG", requires = "store")]
    pub(crate) checkpoint_size: Option<String>,
    /// Shard set to open.
    #[arg(long, value_name = "URI")]
    pub(crate) shards: Option<String>,
    /// Device to check; with `cuda` a missing GPU is a failure.
    #[arg(long, default_value = "auto")]
    pub(crate) device: Device,
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: u64,
    /// Leave the self-test out.
    #[arg(long)]
    pub(crate) quick: bool,
    /// As JSON (docs/doctor.md has the schema).
    #[arg(long)]
    pub(crate) json: bool,
}
