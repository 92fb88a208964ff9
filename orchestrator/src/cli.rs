//! The command line.

mod live;
mod trials;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use store::{Store, StoreError};

use crate::slurm::job_batch::Job;
pub(crate) use live::{DashboardArgs, WatchArgs};
pub(crate) use trials::{CompareArgs, ListArgs, LogsArgs, LookArgs, RetryArgs, SweepChoice};

/// Compares arms over seeds: runs the trials of a sweep, survives being killed, and makes the table.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the trials of a sweep that are not finished yet, then print and keep the table.
    Sweep(SweepArgs),
    /// Show the state of each trial.
    Status(TargetArgs),
    /// Watch a sweep on the terminal while it runs, wherever it runs; leaving it stops nothing.
    Watch(WatchArgs),
    /// Show the sweeps of a store as pages in a browser, while they run elsewhere.
    Dashboard(DashboardArgs),
    /// Print the table of what is finished.
    Results(ResultsArgs),
    /// Write what was found as one HTML file, which opens from disk and can be mailed.
    Report(ReportArgs),
    /// List the sweeps of a store, and how far each has come.
    List(ListArgs),
    /// Print what the worker of a trial's last attempt has said.
    Logs(LogsArgs),
    /// Try failed or damaged trials again, and no others.
    Retry(RetryArgs),
    /// Compare two arms or two trials: configs, scores, and the cells on which they disagree.
    Compare(CompareArgs),
    /// Draw what the models of a sweep see in images, side by side, and keep it for the report.
    Look(LookArgs),
    /// End what runs of a sweep: its processes on this machine and its Slurm jobs. The same `sweep` continues it.
    Cancel(TargetArgs),
    /// Check every record of a store and name what is damaged, with the remedy. Exit status 1 where anything is.
    Verify(VerifyArgs),
    /// Print the JSON schema of a file that people write, for editors and checkers; `configs/schema/` has them too.
    Schema {
        /// The kind of file whose schema is printed.
        #[arg(value_enum)]
        of: Written,
    },
    /// Run one task of a Slurm job array.
    #[command(hide = true)]
    Task(TaskArgs),
    /// Run a program until it ends or standard input closes.
    #[command(hide = true, alias = "guard")]
    Supervise(SuperviseArgs),
}

/// A kind of file that people write.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Written {
    /// A training configuration: `configs/train/`.
    Train,
    /// A sweep file: `configs/sweeps/`.
    Sweep,
}

/// Exit status: 0 when every trial is finished, 3 when some failed or are left, 130 when a signal ended it, 1 on an error.
#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// The sweep file to run.
    pub(crate) file: PathBuf,
    /// Where trials run: as processes of this machine, or as Slurm job arrays.
    #[arg(long, value_enum, default_value_t = BackendName::Local)]
    pub(crate) backend: BackendName,
    /// Store for records and results; overrides the file's.
    #[arg(long, value_name = "URI")]
    pub(crate) store: Option<String>,
    /// Print the matrix and the commands of the first trial, or the job scripts; start and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Trials at once; overrides the file's `slots`, on Slurm its `slurm.max_parallel`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) slots: Option<u16>,
    /// Try failed trials again; each goes on from its last checkpoint.
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Start no more trials once N have failed; those that run go on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_failures: Option<u16>,
    /// Only arms (`koleo*`) or trials (`koleo-on/seed-0`) that match; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub(crate) only: Vec<String>,
    /// Where a shard set lies: `train=URI`, or the name of an evaluation set; overrides the file's; may be repeated.
    #[arg(long, value_name = "NAME=URI")]
    pub(crate) shards: Vec<String>,
    /// The worker to run [default: the one beside this program, else on PATH].
    #[arg(long, value_name = "PATH")]
    pub(crate) worker: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
}

/// How trials are held while they run.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunningArgs {
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

/// Where a sweep's records and shard sets are found.
#[derive(Debug, Clone, Args)]
pub(crate) struct SweepPlace {
    /// The store [default: the file's, else ./store].
    #[arg(long, value_name = "URI")]
    pub(crate) store: Option<String>,
    /// Where a shard set lies, as for `sweep`; with a sweep file only.
    #[arg(long, value_name = "NAME=URI")]
    pub(crate) shards: Vec<String>,
    /// The worker that would run the file, where no recorded plan is of this file.
    #[arg(long, value_name = "PATH")]
    pub(crate) worker: Option<PathBuf>,
}

impl SweepPlace {
    /// Opens the store; the one at `otherwise` where none is named.
    ///
    /// # Errors
    /// An address that is not a store's.
    pub(crate) fn open_store(&self, otherwise: &str) -> Result<Store, StoreError> {
        Store::open(self.store.as_deref().unwrap_or(otherwise))
    }
}

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// A sweep file, or the name of a sweep.
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) place: SweepPlace,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The store of a sweep.
    #[arg(value_name = "URI")]
    pub(crate) store: String,
    /// Set damaged attempts and runs aside, so that the next sweep does them again. Nothing is moved or deleted.
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResultsArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// How the results are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Instead of printing: derive all rows again from the predictions, and compare; exit code 1 where they differ.
    #[arg(long, conflicts_with = "format")]
    pub(crate) recompute: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A sweep file, or the name of a sweep.
    #[arg(required_unless_present = "from")]
    pub(crate) target: Option<String>,
    /// The page to write; one that is there is replaced.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: PathBuf,
    /// Write the data of the page too, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Make the page from such data (`report.json` beside the tables) instead of a sweep.
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: SweepPlace,
}

impl ReportArgs {
    /// The sweep that is meant; `None` where the data are given.
    pub(crate) fn target(&self) -> Option<TargetArgs> {
        self.target.clone().map(|target| TargetArgs { target, place: self.place.clone() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    /// Guarded processes of this machine.
    Local,
    /// Job arrays; this program watches them and may go away.
    Slurm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, the main metric.
    Text,
    /// Tables in Markdown, with all metrics.
    Md,
    /// One record a line.
    Csv,
    /// Tables for a paper, with all metrics; they need the package booktabs.
    Latex,
}

#[derive(Debug, Args)]
pub(crate) struct SuperviseArgs {
    /// Seconds between asking the program to end and killing it.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub(crate) grace_s: f64,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    /// URI of the sweep's store.
    #[arg(long, value_name = "URI")]
    pub(crate) store: String,
    /// Key of the job batch; scripts of older versions say `--wave`.
    #[arg(long, alias = "wave", value_name = "KEY")]
    pub(crate) batch: String,
    /// Which of a trial's two jobs.
    #[arg(long, value_enum)]
    pub(crate) job: Job,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    if (0.0..=86_400.0).contains(&value) {
        Ok(value)
    } else {
        Err("between 0 and 86400 seconds are expected".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
