//! Schedules ablation sweeps and writes result tables.
//!
//! A sweep file names arms (config deltas) and seeds; each pair is a trial: one training run and its probes, run by the
//! `worker` as guarded local processes or as Slurm jobs. The store is the only memory: create-only records of plans, claims,
//! results and failures. So a killed orchestrator continues, finished trials are never run twice, and a failed one stops no
//! other.
//!
//! * [`sweep_file`] → [`plan`]: what is compared, resolved and digested; pure.
//! * [`records`], [`keys`], [`trial_state`], [`identity`]: what the store says, and who holds what.
//! * [`sweep`] over a [`backend`]: which trials are started, and how they ended.
//! * [`attempt`], [`command`], [`process`], [`supervisor`]: running one trial; [`local`] and [`slurm`] see to many.
//! * [`check`], [`leakage`]: problems that are found before anything is started.
//! * [`design`], [`tables`], [`report_command`], [`show`], [`progress`]: show people what is compared, how far it is, and the results.
//! * [`target`]: which sweep, arm or trial a command is about; `…_command`: what it does with it.

mod attempt;
mod backend;
mod cancel_command;
mod check;
mod cli;
mod code;
mod command;
mod compare_command;
mod dashboard_command;
mod design;
mod estimate;
mod evidence;
mod identity;
mod keys;
#[cfg(test)]
mod large_store;
mod leakage;
mod list_command;
mod live;
mod local;
mod local_log;
mod log;
mod logs_command;
mod look_command;
mod looks;
mod plan;
mod plans;
mod prepare;
mod process;
mod progress;
mod recompute;
mod records;
mod report_command;
mod retry_command;
mod set_cards;
mod show;
mod slurm;
mod standing;
mod supervisor;
mod sweep;
mod sweep_command;
mod sweep_file;
mod tables;
mod target;
mod trial_filter;
mod trial_state;
mod verify;
mod watch_command;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use store::StoreError;

use cli::{Cli, Command, Format, ResultsArgs, TargetArgs, Written};
use slurm::{control, task};
use sweep_file::SweepFile;
use trial_filter::Globs;

fn main() -> ExitCode {
    terminal::begin_log("warn", String::new());
    let outcome = match Cli::read().command {
        Command::Sweep(args) => sweep_command::run(&args),
        Command::Status(args) => run_status(&args),
        Command::Results(args) => run_results(&args),
        Command::Report(args) => report_command::run(&args),
        Command::Watch(args) => watch_command::run(&args),
        Command::Dashboard(args) => dashboard_command::run(&args),
        Command::List(args) => list_command::run(&args),
        Command::Logs(args) => logs_command::run(&args),
        Command::Retry(args) => retry_command::run(&args),
        Command::Look(args) => look_command::run(&args),
        Command::Compare(args) => compare_command::run(&args),
        Command::Cancel(args) => cancel_command::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Schema { of } => print_schema(of),
        Command::Version { json } => print_version(json),
        Command::Task(args) => task::run(&args.store, &args.batch, args.job),
        Command::Supervise(args) => {
            supervisor::run(&args.command[0], &args.command[1..], Duration::from_secs_f64(args.grace_s))
        }
    };
    outcome.unwrap_or_else(|error| {
        terminal::error(format!("{error:#}{}", remedy(&error)));
        ExitCode::FAILURE
    })
}

/// The command that does what an error of a library advises: libraries know none.
fn remedy(error: &anyhow::Error) -> &'static str {
    match error.chain().any(|cause| matches!(cause.downcast_ref(), Some(StoreError::Record { .. }))) {
        true => "; `orchestrator verify STORE --repair` sets damaged records aside",
        false => "",
    }
}

fn print_version(json: bool) -> Result<ExitCode> {
    terminal::report(&terminal::Version { version: cli::VERSION }, json)?;
    Ok(ExitCode::SUCCESS)
}

fn run_status(args: &TargetArgs) -> Result<ExitCode> {
    let (store, plan) = target::sweep(args)?;
    let places = control::places(&store, &plan)?;
    let matrix = show::matrix(Some(&store), &plan, &Globs::new(&[])?, &places)?;
    terminal::line(format!("Sweep {} {} (code {})", plan.name, plan.digest.short(), plan.code.version));
    terminal::line(matrix.text(plan.slots));
    Ok(ExitCode::SUCCESS)
}

fn run_results(args: &ResultsArgs) -> Result<ExitCode> {
    let (store, plan) = target::sweep(&args.target)?;
    if args.recompute {
        return recompute::run(&store, &plan);
    }
    let mut collected = tables::collect(&store, &plan)?;
    let table = tables::table(&store, &plan, &mut collected)?;
    terminal::line(match args.format {
        Format::Text => results::render::terminal(&table),
        Format::Md => tables::report(&plan, &table),
        Format::Csv => results::render::csv(&table)?,
        Format::Latex => results::render::latex(&table),
    });
    Ok(ExitCode::SUCCESS)
}

fn print_schema(of: Written) -> Result<ExitCode> {
    let schema = match of {
        Written::Train => run_spec::config::TrainConfig::schema(),
        Written::Sweep => SweepFile::schema(),
    };
    terminal::line(serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}
