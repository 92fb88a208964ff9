//! The command line of what is asked about single arms and trials.

use std::path::PathBuf;

use clap::Args;

use super::{BackendName, RunningArgs, SweepPlace, TargetArgs};

/// Which sweep is meant by a command that names arms or trials.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where the sweep is")]
pub(crate) struct SweepChoice {
    /// The sweep, by its file or its name [default: found from the names, if only one sweep has them].
    #[arg(long, value_name = "SWEEP")]
    pub(crate) sweep: Option<String>,
    #[command(flatten)]
    pub(crate) place: SweepPlace,
}

impl SweepChoice {
    /// The sweep that is named; `None` where it follows from arms and trials.
    pub(crate) fn target(&self) -> Option<TargetArgs> {
        self.sweep.clone().map(|target| TargetArgs { target, place: self.place.clone() })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The store.
    #[arg(long, value_name = "URI", default_value = "./store")]
    pub(crate) store: String,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The trial, as `status` names it: `koleo-on/seed-0`.
    pub(crate) trial: String,
    /// Keep printing new lines until the attempt has ended.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Print only the last N lines.
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) lines: Option<usize>,
    #[command(flatten)]
    pub(crate) choice: SweepChoice,
}

/// Exit status: as that of `sweep`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Failed, damaged or cut-off trials, as `status` names them: `koleo-on/seed-0`.
    #[arg(required = true, value_name = "TRIAL")]
    pub(crate) trials: Vec<String>,
    #[command(flatten)]
    pub(crate) choice: SweepChoice,
    /// Where trials run; `slurm` needs the sweep file (`--sweep FILE`).
    #[arg(long, value_enum, default_value_t = BackendName::Local)]
    pub(crate) backend: BackendName,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// An arm (`reference`), a baseline (`random`) or a trial (`reference/seed-0`).
    #[arg(value_name = "A")]
    pub(crate) first: String,
    /// What it is compared with; differences are B − A.
    #[arg(value_name = "B")]
    pub(crate) second: String,
    /// Write a picture (PNG) of the cells on which the two disagree.
    #[arg(long, value_name = "FILE")]
    pub(crate) pictures: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) choice: SweepChoice,
}

#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// A shard set, or a local folder of pictures.
    #[arg(long, value_name = "FOLDER|URI")]
    pub(crate) images: String,
    /// An arm whose model is shown; may be repeated [default: all].
    #[arg(long, value_name = "NAME")]
    pub(crate) arm: Vec<String>,
    /// The seed of the models [default: the first].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Images to show, separated by commas, as `worker look` takes them [default: `--most` images of all classes].
    #[arg(long, value_name = "IMAGES", value_delimiter = ',')]
    pub(crate) show: Vec<String>,
    /// How many images are shown if none are named.
    #[arg(long, default_value_t = 8)]
    pub(crate) most: usize,
    /// Also show the images whose features are most similar to these.
    #[arg(long, value_name = "IMAGES", value_delimiter = ',')]
    pub(crate) neighbours_of: Vec<String>,
    /// Side in pixels to which images are resized for the models, a multiple of the patch [default: the side of a global crop].
    #[arg(long, value_name = "PX")]
    pub(crate) size: Option<u64>,
    /// Threads [default: all cores].
    #[arg(long)]
    pub(crate) threads: Option<u64>,
}
