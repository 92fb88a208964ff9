//! The command line of what is asked about single arms and trials.

use std::path::PathBuf;

use clap::Args;

use super::{BackendName, TargetArgs, seconds};

/// Which sweep is meant by a command that names arms or trials.
#[derive(Debug, Args)]
pub(crate) struct SweepChoice {
    /// The sweep, by its file or its name [default: the one sweep of the store that has what is named].
    #[arg(long, value_name = "SWEEP")]
    pub(crate) sweep: Option<String>,
    /// The store [default: the sweep file's, else ./store].
    #[arg(long, value_name = "URI")]
    pub(crate) store: Option<String>,
    /// Where a shard set lies, as for `sweep`; with a sweep file only.
    #[arg(long, value_name = "NAME=URI")]
    pub(crate) shards: Vec<String>,
    /// The worker that would run the file, where no recorded plan is of this file.
    #[arg(long, value_name = "PATH")]
    pub(crate) worker: Option<PathBuf>,
}

impl SweepChoice {
    /// The sweep that is named; `None` where it follows from arms and trials.
    pub(crate) fn target(&self) -> Option<TargetArgs> {
        let (store, shards, worker) = (self.store.clone(), self.shards.clone(), self.worker.clone());
        self.sweep.clone().map(|target| TargetArgs { target, store, shards, worker })
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
    /// Take over trials claimed on another machine. Only when you know that it is dead: from here nobody can tell.
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Seconds between asking a worker to end and killing it.
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = seconds)]
    pub(crate) grace_s: f64,
    /// Folder for logs and configs [default: local/ in a directory store, else ./store/local].
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
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
