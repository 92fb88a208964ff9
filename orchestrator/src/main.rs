//! Schedules ablation sweeps and writes result tables.
//!
//! A sweep file names arms (config deltas) and seeds; each pair is a trial: one training run and its probes, run by the
//! `worker` as guarded local processes. The store is the only memory: create-only records of plans, claims, results and
//! failures. So a killed orchestrator continues, finished trials are never run twice, and a failed one stops no other.
//!
//! * [`sweep_file`] → [`plan`]: what is compared, resolved and digested; pure.
//! * [`records`], [`ledger`], [`identity`]: what the store says, and who holds what.
//! * [`sweep`], [`local`], [`guard`], [`command`]: running it.
//! * [`tables`], [`show`], [`progress`]: saying what came out.

mod cli;
mod code;
mod command;
mod guard;
mod identity;
mod ledger;
mod local;
mod only;
mod output;
mod plan;
mod prepare;
mod progress;
mod records;
mod show;
mod sweep;
mod sweep_file;
mod tables;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use run_spec::ids::Digest;
use store::Store;

use cli::{Cli, Command, Format, ResultsArgs, SweepArgs, TargetArgs};
use code::Code;
use local::Launcher;
use only::Globs;
use plan::Facts;
use records::Plan;
use sweep::{Options, Summary, Sweep};
use sweep_file::SweepFile;

/// Exit status when trials failed or are left.
const INCOMPLETE: u8 = 3;
/// Exit status after SIGINT or SIGTERM.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().command {
        Command::Sweep(args) => run_sweep(&args),
        Command::Status(args) => run_status(&args),
        Command::Results(args) => run_results(&args),
        Command::Guard(args) => guard::run(&args.command[0], &args.command[1..], Duration::from_secs_f64(args.grace_s)),
    };
    outcome.unwrap_or_else(|error| {
        output::note(&format!("Error: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run_sweep(args: &SweepArgs) -> Result<ExitCode> {
    let mut file = SweepFile::read(&args.file)?;
    prepare::place_shards(&mut file, &args.shards)?;
    if let Some(uri) = &args.store {
        file.store.clone_from(uri);
    }
    if let Some(slots) = args.slots {
        file.slots = usize::from(slots);
    }
    let only = Globs::new(&args.only).context("--only")?;
    let store = Store::open(&file.store)?;
    if args.dry_run {
        return dry_run(args, &file, &store, &only);
    }
    let worker = code::find_worker(args.worker.as_deref())?;
    let facts = prepare::facts(&file, Some(&worker))?;
    let plan = prepare::plan_of_run(&store, &file, facts, args.retry_failed)?;
    say_code(&plan);
    let trials: Vec<_> = plan.trials().into_iter().filter(|trial| only.chooses(&trial.arm.name, trial.seed)).collect();
    anyhow::ensure!(!trials.is_empty(), "--only {} matches no trial", args.only.join(" --only "));
    prepare::record_start(&store, &plan)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // The second signal ends this program at once; the guards then end the workers.
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), Arc::clone(&stop))
            .context("listen for signals")?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("listen for signals")?;
    }
    let launcher = Launcher {
        guard: std::env::current_exe().context("find the path of this program")?,
        worker,
        grace: Duration::from_secs_f64(args.grace_s),
    };
    let options = Options {
        slots: file.slots,
        retry_failed: args.retry_failed,
        max_failures: args.max_failures.map(usize::from),
        take_over: args.take_over,
        work: args.work.clone().unwrap_or_else(|| work_folder(&store)).join(&plan.name).join(plan.digest.short()),
    };
    let sweep = Sweep { store: &store, plan: &plan, launcher: &launcher, options: &options, stop };
    let summary = sweep.run(trials)?;
    finish(&store, &plan, summary)
}

/// Keeps and prints the tables, and says how it ended.
fn finish(store: &Store, plan: &Plan, summary: Summary) -> Result<ExitCode> {
    let counts = show::matrix(Some(store), plan, &Globs::new(&[])?)?.counts();
    if counts.running == 0 && counts.open == 0 {
        prepare::record_end(store, plan)?;
    }
    let collected = tables::collect(store, plan)?;
    if !collected.rows.is_empty() {
        let table = tables::table(plan, &collected)?;
        let folder = tables::keep(store, plan, &table, &collected.rows)?;
        output::line(&tables::terminal(&table));
        output::line(&format!("Tables: {}", store.uri_of(&folder)));
    }
    let Summary { skipped, finished, failed, left, interrupted } = summary;
    output::note(&format!("{finished} trials finished, {skipped} were finished before, {failed} failed, {left} left"));
    Ok(match (interrupted, failed + left) {
        (true, _) => {
            output::note("Interrupted. The same command continues the sweep.");
            ExitCode::from(INTERRUPTED)
        }
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(INCOMPLETE),
    })
}

/// A dry run needs neither worker nor shards to show the matrix; without them it says what it cannot tell.
fn dry_run(args: &SweepArgs, file: &SweepFile, store: &Store, only: &Globs) -> Result<ExitCode> {
    let (plan, known) = match prepare::facts(file, args.worker.as_deref()) {
        Ok(facts) => (prepare::plan_of_run(store, file, facts, args.retry_failed)?, true),
        Err(error) => {
            output::note(&format!("Digests and states are unknown: {error:#}"));
            // Any digests do for showing names; arms that train on other shards must differ.
            let shards =
                plan::shard_uris(file)?.into_iter().map(|uri| (uri.clone(), Digest::of(uri.as_bytes()))).collect();
            let splits = file.evals()?.into_iter().map(|eval| (eval.name, Digest::of(b"unknown"))).collect();
            let code = Code { version: "unknown".to_owned(), binary: None };
            (plan::resolve(file, &Facts { shards, splits, code, run: 1 })?, false)
        }
    };
    if known {
        say_code(&plan);
    }
    let matrix = show::matrix(known.then_some(store), &plan, only)?;
    output::line(&format!("Sweep {}: {} arms × {} seeds", plan.name, plan.arms.len(), plan.seeds.len()));
    output::line(&matrix.text(file.slots));
    if let Some(trial) =
        plan.trials().into_iter().find(|trial| only.chooses(&trial.arm.name, trial.seed)).filter(|_| known)
    {
        output::line(&format!("\nCommands of {}:", trial.label()));
        for stage in command::stages(&plan, &trial, 1, Path::new("CONFIG.json"), |key| store.uri_of(key)) {
            output::line(&format!("  {}", command::shown("worker", &stage.args)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say_code(plan: &Plan) {
    if !plan.code.reusable() {
        output::note(&format!(
            "Worker {} does not name committed code: its results belong to run {} of this sweep and are not used by any other.",
            plan.code.version, plan.run
        ));
    }
}

/// The store and the newest plan of a sweep file or sweep name.
fn target(args: &TargetArgs) -> Result<(Store, Plan)> {
    let path = Path::new(&args.target);
    let (name, of_file) = if path.is_file() {
        let file = SweepFile::read(path)?;
        (file.name, Some(file.store))
    } else {
        (args.target.clone(), None)
    };
    let uri = args.store.clone().or(of_file).unwrap_or_else(|| "./store".to_owned());
    let store = Store::open(&uri)?;
    let plan = prepare::newest_plan(&store, &name)?;
    Ok((store, plan))
}

fn run_status(args: &TargetArgs) -> Result<ExitCode> {
    let (store, plan) = target(args)?;
    let matrix = show::matrix(Some(&store), &plan, &Globs::new(&[])?)?;
    output::line(&format!("Sweep {} {} (code {})", plan.name, plan.digest.short(), plan.code.version));
    output::line(&matrix.text(plan.slots));
    Ok(ExitCode::SUCCESS)
}

fn run_results(args: &ResultsArgs) -> Result<ExitCode> {
    let (store, plan) = target(&args.target)?;
    let collected = tables::collect(&store, &plan)?;
    let table = tables::table(&plan, &collected)?;
    output::line(&match args.format {
        Format::Text => tables::terminal(&table),
        Format::Md => tables::report(&plan, &table),
        Format::Csv => results::render::csv(&table)?,
    });
    Ok(ExitCode::SUCCESS)
}

/// Logs and configs of a directory store lie in it, beside the records; those of object storage in the default store.
fn work_folder(store: &Store) -> PathBuf {
    let root = if store.uri().contains("://") { Path::new("store") } else { Path::new(store.uri()) };
    root.join("local")
}
