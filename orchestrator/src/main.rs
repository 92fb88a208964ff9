//! Schedules ablation sweeps and writes result tables.
//!
//! A sweep file names arms (config deltas) and seeds; each pair is a trial: one training run and its probes, run by the
//! `worker` as guarded local processes or as Slurm jobs. The store is the only memory: create-only records of plans, claims,
//! results and failures. So a killed orchestrator continues, finished trials are never run twice, and a failed one stops no
//! other.
//!
//! * [`sweep_file`] → [`plan`]: what is compared, resolved and digested; pure.
//! * [`records`], [`keys`], [`trial_state`], [`identity`]: what the store says, and who holds what.
//! * [`sweep`] over a [`backend`]: which trials are started, and what becomes of them.
//! * [`attempt`], [`command`], [`process`], [`supervisor`]: running one trial; [`local`] and [`slurm`] see to many.
//! * [`check`], [`leakage`]: what stands in the way, before anything is started.
//! * [`design`], [`tables`], [`report_command`], [`show`], [`progress`]: saying what is compared and what came out.

mod attempt;
mod backend;
mod check;
mod cli;
mod code;
mod command;
mod design;
mod evidence;
mod identity;
mod keys;
mod leakage;
mod local;
mod log;
mod plan;
mod plans;
mod prepare;
mod process;
mod progress;
mod recompute;
mod records;
mod report_command;
mod show;
mod slurm;
mod supervisor;
mod sweep;
mod sweep_command;
mod sweep_file;
mod tables;
mod trial_filter;
mod trial_state;
mod verify;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use store::{Store, StoreError};

use cli::{Cli, Command, Format, ResultsArgs, TargetArgs, Written};
use prepare::Found;
use records::Plan;
use slurm::{control, task};
use sweep_file::SweepFile;
use trial_filter::Globs;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().command {
        Command::Sweep(args) => sweep_command::run(&args),
        Command::Status(args) => run_status(&args),
        Command::Results(args) => run_results(&args),
        Command::Report(args) => report_command::run(&args),
        Command::Cancel(args) => run_cancel(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Schema { of } => print_schema(of),
        Command::Task(args) => task::run(&args.store, &args.batch, args.job),
        Command::Supervise(args) => {
            supervisor::run(&args.command[0], &args.command[1..], Duration::from_secs_f64(args.grace_s))
        }
    };
    outcome.unwrap_or_else(|error| {
        terminal::note(format!("Error: {error:#}{}", remedy(&error)));
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

/// The store, and the plan of a sweep file or the newest plan of a sweep name.
pub(crate) fn target(args: &TargetArgs) -> Result<(Store, Plan)> {
    let path = Path::new(&args.target);
    if !path.is_file() {
        plans::check_name(&args.target)?;
        let store = Store::open(args.store.as_deref().unwrap_or("./store"))?;
        let plan = plans::newest(&store, &args.target)?;
        return Ok((store, plan));
    }
    let mut file = SweepFile::read(path)?;
    prepare::place_shards(&mut file, &args.shards)?;
    let store = Store::open(args.store.as_deref().unwrap_or(&file.store))?;
    let plan = plans::of_file(&store, &file, || Found::of(&file, args.worker.as_deref())?.facts())?;
    Ok((store, plan))
}

fn run_status(args: &TargetArgs) -> Result<ExitCode> {
    let (store, plan) = target(args)?;
    let places = control::places(&store, &plan)?;
    let matrix = show::matrix(Some(&store), &plan, &Globs::new(&[])?, &places)?;
    terminal::line(format!("Sweep {} {} (code {})", plan.name, plan.digest.short(), plan.code.version));
    terminal::line(matrix.text(plan.slots));
    Ok(ExitCode::SUCCESS)
}

fn run_cancel(args: &TargetArgs) -> Result<ExitCode> {
    let (store, plan) = target(args)?;
    let (arrays, cut) = control::cancel(&store, &plan)?;
    let arrays: Vec<String> = arrays.iter().map(u64::to_string).collect();
    let jobs = if arrays.is_empty() { "No job was left".to_owned() } else { format!("Cancelled {}", arrays.join(" ")) };
    terminal::line(format!("{jobs}; {cut} trials were cut off. The same sweep command continues them."));
    Ok(ExitCode::SUCCESS)
}

fn run_results(args: &ResultsArgs) -> Result<ExitCode> {
    let (store, plan) = target(&args.target)?;
    if args.recompute {
        return recompute::run(&store, &plan);
    }
    let collected = tables::collect(&store, &plan)?;
    let table = tables::table(&store, &plan, &collected)?;
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
