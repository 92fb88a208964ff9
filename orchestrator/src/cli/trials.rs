//! The command line of what is asked about single arms and trials.

use std::path::PathBuf;

use clap::Args;

use super::{BackendName, RunningArgs, SweepPlace, TargetArgs};

/// Which sweep is meant by a command that names arms or trials.
#[derive(Debug, Args)]
pub(crate) struct SweepChoice {
    /// The sweep, by its file or its name [default: the one sweep of the store that has what is named].
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
    /// Go on as the log grows, until the attempt has ended.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// No more than the last N lines.
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
    /// Where they run: `slurm` needs the sweep file (`--sweep FILE`).
    #[arg(long, value_enum, default_value_t = BackendName::Local)]
    pub(crate) backend: BackendName,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// An arm (`reference`) or a trial (`reference/seed-0`).
    #[arg(value_name = "A")]
    pub(crate) first: String,
    /// Another of the same kind; differences are B − A.
    #[arg(value_name = "B")]
    pub(crate) second: String,
    /// Write the cells on which they disagree as a picture (PNG), from the small pictures that probes keep.
    #[arg(long, value_name = "FILE")]
    pub(crate) pictures: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) choice: SweepChoice,
}
