//! The command line.

mod examples;
mod live;
mod trials;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use store::{Store, StoreError};

use crate::slurm::job_batch::Job;
pub(crate) use live::{DashboardArgs, WatchArgs};
pub(crate) use trials::{CompareArgs, ListArgs, LogsArgs, LookArgs, RetryArgs, SweepChoice};

/// Version with the commit it was built from.
pub(crate) const VERSION: &str = env!("REDDINO_VERSION");

/// Compare variants of a training (arms) over several seeds: run all trials of a sweep, and print what was found.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version = VERSION)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all trials of a sweep that are not finished, then print the table.
    Sweep(SweepArgs),
    /// Show the state of each trial.
    Status(TargetArgs),
    /// Watch a sweep on the terminal while it runs here or elsewhere; leaving stops nothing.
    Watch(WatchArgs),
    /// Show all sweeps of a store in a browser, while they run here or elsewhere.
    Dashboard(DashboardArgs),
    /// Print the table of all finished trials.
    Results(ResultsArgs),
    /// Write all findings as one HTML file, which opens from disk and can be mailed.
    Report(ReportArgs),
    /// List the sweeps of a store with their progress.
    List(ListArgs),
    /// Print the log of a trial's last attempt.
    Logs(LogsArgs),
    /// Run failed or damaged trials again.
    Retry(RetryArgs),
    /// Compare two arms, an arm and a baseline, or two trials: configurations, scores, and the cells on which they disagree.
    Compare(CompareArgs),
    /// Draw what the models of a sweep see in images, side by side, and keep it for the report.
    Look(LookArgs),
    /// Stop a sweep: its processes on this machine and its Slurm jobs. The same `sweep` command continues it.
    Cancel(TargetArgs),
    /// Check every record of a store, and list damage with the remedy. Exit status 1 if there is any.
    Verify(VerifyArgs),
    /// Print the JSON schema of a configuration file, for editors and checkers; `configs/schema/` has the same files.
    Schema {
        /// The kind of file whose schema is printed.
        #[arg(value_enum)]
        of: Written,
    },
    /// Print the code version.
    Version {
        /// Print it as a JSON object.
        #[arg(long)]
        json: bool,
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
    /// Print the trials and the commands of the first one, or the job scripts, without starting or writing anything.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: estimate what training all trials takes on GPUs of this kind (h100, h200, a100, l40s), on this machine (cpu), or
    /// on GPUs that a JSON file describes. On Slurm with the nodes and GPUs that the trials ask for, otherwise with one GPU.
    #[arg(long, value_name = "GPU", requires = "dry_run")]
    pub(crate) estimate: Option<String>,
    /// Trials at once; overrides the file's `slots`, on Slurm its `slurm.max_parallel`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) slots: Option<u16>,
    /// Run failed trials again; each continues from its last checkpoint.
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Start no more trials after N failures; running trials continue.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_failures: Option<u16>,
    /// Run only matching arms (`koleo*`) or trials (`koleo-on/seed-0`); may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub(crate) only: Vec<String>,
    /// Address of a shard set: `train=URI`, or `NAME=URI` of an evaluation set; overrides the file's; may be repeated.
    #[arg(long, value_name = "NAME=URI")]
    pub(crate) shards: Vec<String>,
    /// Path of the `worker` program [default: in this program's folder, else on PATH].
    #[arg(long, value_name = "PATH")]
    pub(crate) worker: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
}

/// How trials are held while they run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Running on this machine")]
pub(crate) struct RunningArgs {
    /// Take over trials that another machine has claimed. Use it only if you are sure that this machine has stopped.
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
#[command(next_help_heading = "Where the sweep is")]
pub(crate) struct SweepPlace {
    /// The store [default: the file's, else ./store].
    #[arg(long, value_name = "URI")]
    pub(crate) store: Option<String>,
    /// Address of a shard set, as for `sweep`; only with a sweep file.
    #[arg(long, value_name = "NAME=URI")]
    pub(crate) shards: Vec<String>,
    /// Path of the `worker` program; needed only if this sweep file has not been run yet.
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
    /// Set damaged attempts and runs aside, so that the next sweep repeats them. Nothing is moved or deleted.
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResultsArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Format of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Instead of printing, derive all rows again from the predictions and compare them; exit status 1 if any differ.
    #[arg(long, conflicts_with = "format")]
    pub(crate) recompute: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A sweep file, or the name of a sweep.
    #[arg(required_unless_present = "from")]
    pub(crate) target: Option<String>,
    /// The page to write; an existing file is replaced.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: PathBuf,
    /// Also write the data of the page, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Make the page from such data (`report.json` beside the tables) instead of from a sweep.
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
    /// Processes on this machine.
    Local,
    /// Slurm job arrays; they continue if you stop this program.
    Slurm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns with the main metric.
    Text,
    /// Markdown tables with all metrics.
    Md,
    /// Comma-separated values, one score per line.
    Csv,
    /// LaTeX tables with all metrics; they need the package booktabs.
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
