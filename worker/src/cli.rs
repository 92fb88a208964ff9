//! The command line. What changes the science is in the configuration; here is where things lie and how to run them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::expectation::Expectation;

mod examples;
mod planning;
mod scoring;

pub(crate) use planning::{EstimateArgs, PlanArgs, SimulateArgs};
pub(crate) use scoring::{BaselineArgs, KeepFeatures, ModelChoice, ProbeArgs, ScoringArgs, TokenChoice, WeightsLayout};

/// Train, score, export and inspect models. With several GPUs, start one process per GPU (mpirun or srun).
#[derive(Debug, Parser)]
#[command(name = "worker", version = crate::version::CODE)]
pub(crate) struct Cli {
    /// The subcommand with its arguments.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model on a shard set; the same command continues an interrupted run from its last checkpoint.
    Train(TrainArgs),
    /// Check every file of a run against its recorded digest; exit status 1 if something is damaged.
    Verify(VerifyArgs),
    /// Tell whether a run that ended may be submitted again: exit status 0 if so; otherwise it prints why not (slurm/requeue.sh).
    Requeue(RequeueArgs),
    /// Run training steps on given weights and batches and write the results, to check another implementation against them
    /// (docs/step-files.md).
    Step(StepArgs),
    /// Score the features of a run's teacher, or of released weights, on a labelled cell set, and compare them with random weights and a colour histogram.
    Probe(ProbeArgs),
    /// Score the features of a baseline that is not trained: random weights of a model, or a colour histogram.
    Baseline(BaselineArgs),
    /// Draw a run's losses, collapse measures and probe scores over its steps as SVG.
    Curves(CurvesArgs),
    /// Write the published metrics of a run as TensorBoard events.
    Metrics(MetricsArgs),
    /// Write the features of each row of a shard set as Parquet, from a run or from released weights.
    Embed(EmbedArgs),
    /// Draw what models see in images: patches coloured by their features, attention, nearest neighbours.
    Look(LookArgs),
    /// Write the teacher backbone for timm, transformers or ONNX, or the whole training state, with a model card.
    Export(ExportArgs),
    /// Apply one transform of the augmentation to a picture, or draw a preview of all.
    Augment(AugmentArgs),
    /// Print which rows of a shard set a training step uses.
    Plan(PlanArgs),
    /// Estimate what a run needs before you start it: memory, work, hours, energy, money; exit status 1 if it does not fit.
    Estimate(EstimateArgs),
    /// Simulate a run of hundreds of ranks in one process, without tensors: which images each rank takes, parts of checkpoints, a lost
    /// rank, another number of ranks, the rendezvous.
    Simulate(SimulateArgs),
    /// Measure how fast this machine multiplies matrices and makes training steps.
    Bench(BenchArgs),
    /// Check that this machine can train, with a remedy for each failure; exit status 1 if anything failed.
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
    /// Local folder in which all workers of a node cache shards after their first use.
    #[arg(long, value_name = "DIR")]
    pub(crate) shard_cache: Option<PathBuf>,
    /// Largest size of the cache, in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 100.0, requires = "shard_cache")]
    pub(crate) shard_cache_gib: f64,
    /// Folder or URI of the run.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Change one key of the configuration.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Write a checkpoint after this step and exit with status 85. The same command without this option, or with a later step, continues.
    #[arg(long, value_name = "STEP")]
    pub(crate) stop_at: Option<u64>,
    /// Print each metrics line on standard output too.
    #[arg(long)]
    pub(crate) print_metrics: bool,
    /// Stop unless code, binary, shards or init_weights has this version or digest, such as shards=549d… (used by the orchestrator); may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) expect: Vec<Expectation>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A run of `worker train`.
    #[arg(value_name = "URI")]
    pub(crate) run: String,
    /// Record damaged files as set aside, so that training can continue without them. Nothing is moved or deleted.
    #[arg(long)]
    pub(crate) repair: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RequeueArgs {
    /// Folder or URI of the run.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Exit status of the run; above 128 for a signal, as shells and srun report it.
    #[arg(long)]
    pub(crate) code: u8,
    /// A warning of the time limit was received before the run ended.
    #[arg(long)]
    pub(crate) near_limit: bool,
    /// Also say where the run continues: print `here` if its step may start again within this allocation, which it may TIMES times
    /// between two returns to the queue and only with a newer checkpoint than at the last restart; else `queue`.
    #[arg(long, value_name = "TIMES")]
    pub(crate) within: Option<usize>,
    /// Seconds that each call waits for a store that does not answer.
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
    /// Result file (safetensors).
    #[arg(long, required_unless_present = "failed")]
    pub(crate) out: Option<PathBuf>,
    /// Instead of files: a run with a captured step that was not finite; this step is repeated.
    #[arg(long, value_name = "URI", conflicts_with_all = ["settings", "weights", "batches", "out", "grads"])]
    pub(crate) failed: Option<String>,
    /// The captured step [default: the last one].
    #[arg(long, requires = "failed")]
    pub(crate) step: Option<u64>,
    /// Steps whose gradients are written.
    #[arg(long, default_value = "first")]
    pub(crate) grads: Grads,
    /// Arithmetic: f64, f32, bf16 or f16 [default: f32; with --failed, that of the run].
    #[arg(long)]
    pub(crate) dtype: Option<String>,
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The model")]
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
    /// The two directions in which the features vary most.
    Pca,
    /// Neighbours stay neighbours; distances between groups mean little.
    Umap,
}

#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// A run of `worker train`, or NAME=URI to name it on the sheets; repeat it to show several runs side by side.
    #[arg(long, value_name = "URI", required_unless_present = "weights")]
    pub(crate) run: Vec<String>,
    /// Released weights, a safetensors or .pth file (docs/weights.md), or NAME=URI to name it; models of runs are shown first.
    #[arg(long, value_name = "URI")]
    pub(crate) weights: Vec<String>,
    /// Checkpoint of this step instead of the last one, of each run.
    #[arg(long)]
    pub(crate) step: Option<u64>,
    /// A shard set, or a local folder of pictures.
    #[arg(long, value_name = "FOLDER|URI")]
    pub(crate) images: String,
    /// Folder for the sheets; existing files are not overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: String,
    /// Images to show, separated by commas: row numbers of a shard set (from 0), beginnings of ids, or names of files
    /// [default: `--most` images, of all classes in turn].
    #[arg(long, value_name = "IMAGES", value_delimiter = ',')]
    pub(crate) show: Vec<String>,
    /// How many images are shown if none are named.
    #[arg(long, default_value_t = 8)]
    pub(crate) most: usize,
    /// Also show the images whose features are most similar to these, which are named as for --show.
    #[arg(long, value_name = "IMAGES", value_delimiter = ',')]
    pub(crate) neighbours_of: Vec<String>,
    /// How many neighbours.
    #[arg(long, default_value_t = 8)]
    pub(crate) neighbours: usize,
    /// Side in pixels to which images are resized for the models, a multiple of the patch [default: the side of a global crop].
    /// Doubling it doubles the patches per row and column.
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
    /// Parquet file to write; an existing file is not overwritten.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Which output of the model is taken as the feature; a ResNet50 has only one.
    #[arg(long, default_value = "cls")]
    pub(crate) token: TokenChoice,
    /// Add the columns x and y: the coordinates of each row on a map of these features (UMAP takes neighbours by Euclidean
    /// distance).
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
    /// model.onnx, with position embeddings for one image size.
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
    /// Folder for the files and the model card (README.md); existing files are not overwritten.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Format of the exported files.
    #[arg(long, default_value = "timm")]
    pub(crate) layout: Layout,
    /// Side of the images in pixels, for `onnx` [default: the side used in training].
    #[arg(long, value_name = "PX")]
    pub(crate) size: Option<i64>,
    /// The training set: the card lists its sources and their licences.
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
pub(crate) struct CurvesArgs {
    /// A run of `worker train`.
    #[arg(long, value_name = "URI")]
    pub(crate) run: String,
    /// Result rows of `worker probe --out` on checkpoints of this run; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Vec<PathBuf>,
    /// Title [default: the run and its steps].
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// SVG file to write; an existing file is not overwritten.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
}

#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    /// A run of `worker train`.
    #[arg(long, value_name = "URI")]
    pub(crate) run: String,
    /// Local folder for the event file; it must not contain one yet.
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
    /// Measure several processes (`mpirun -n 2 worker bench --ranks`): one all-reduce, and a training step whose images
    /// per process stay the same, with the share of the all-reduce that overlaps with backward.
    #[arg(long)]
    pub(crate) ranks: bool,
    /// Measure only the step of ViT-S/14 with this many prototypes, and print each repetition in one JSON line, as `make
    /// bench-step` compares it with PyTorch.
    #[arg(long, value_name = "K", conflicts_with = "ranks")]
    pub(crate) prototypes: Option<i64>,
    /// Measure how many images of the shard set at this URI a core reads, decodes and augments, and how many cores a GPU of each kind
    /// needs for its images.
    #[arg(long, value_name = "URI", conflicts_with_all = ["ranks", "prototypes"])]
    pub(crate) loader: Option<String>,
    /// With --prototypes: change one key of the step's configuration, for example to see what train.activation_checkpointing=true saves.
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
    /// Write, read and delete one object as large as a run's checkpoint in the store, and print the rates: a number of bytes,
    /// or a training configuration (YAML) whose checkpoint size is taken.
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
    /// Skip the self-test.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print the findings as JSON (docs/doctor.md has the schema).
    #[arg(long)]
    pub(crate) json: bool,
}
