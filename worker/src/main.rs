//! One process per device: trains, probes, embeds and exports RedDino models.

mod augment_command;
mod baselines;
mod bench;
mod bench_loader;
mod bench_ranks;
mod check_command;
mod cli;
mod config_file;
mod curves_command;
mod device;
mod doctor;
mod embed_command;
mod environment;
mod estimate;
mod expectation;
mod export_command;
mod failure;
mod features;
mod log;
mod look_command;
mod memory;
mod metrics_command;
mod online_probe;
mod plan_command;
mod probe_command;
mod ranks;
mod released;
mod replay;
mod requeue_command;
mod signals;
mod simulate;
mod step_command;
mod timing;
mod train_command;
mod transductive;
mod verify_command;
mod version;

use std::io::Write;
use std::process::ExitCode;

use cli::{Cli, Command};
use environment::Environment;
use run_folder::RunError;
use shards::ShardError;
use store::StoreError;
use training::TrainingError;

fn main() -> ExitCode {
    if let Err(error) = environment::complete() {
        // Only speed is at stake.
        let _ = writeln!(std::io::stderr(), "the environment could not be set: {error}");
    }
    let environment = Environment::read();
    log::begin(&environment);
    failure::report_panics(&environment);
    torch_shim::abort::say_on_abort(memory::LAST_WORDS);
    match dispatch(Cli::read().command, &environment) {
        Ok(code) => code,
        Err(error) => failure::report(&error, &environment),
    }
}

fn dispatch(command: Command, environment: &Environment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Train(args) => return train_command::train(&args, environment),
        Command::Verify(args) => return verify_command::run(&args),
        Command::Estimate(args) => return estimate::estimate(&args),
        Command::Requeue(args) => return requeue_command::requeue(&args, environment),
        Command::Step(args) => step_command::step(&args, environment)?,
        Command::Probe(args) => probe_command::probe(&args, environment)?,
        Command::Baseline(args) => probe_command::baseline(&args, environment)?,
        Command::Check { command } => check_command::check(&command)?,
        Command::Curves(args) => curves_command::draw(&args)?,
        Command::Metrics(args) => metrics_command::metrics(&args)?,
        Command::Embed(args) => embed_command::embed(&args, environment)?,
        Command::Look(args) => look_command::look(&args, environment)?,
        Command::Export(args) => export_command::export(&args, environment)?,
        Command::Augment(args) => augment_command::augment(&args.command)?,
        Command::Plan(args) => plan_command::plan(&args)?,
        Command::Simulate(args) => simulate::simulate(&args)?,
        Command::Bench(args) => bench::bench(&args, environment)?,
        Command::Doctor(args) => return doctor::doctor(&args, environment),
        Command::Version { json } => terminal::report(&terminal::Version { version: version::CODE }, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An error and its causes as one sentence, with what this program can do about it.
fn sentence(error: &anyhow::Error) -> String {
    let sentence = memory::with_remedy(run_folder::failure::sentence(error.as_ref()));
    match error.chain().find_map(remedy) {
        Some(remedy) => format!("{sentence}; {remedy}"),
        None => sentence,
    }
}

/// The command or flag that does what an error of a library advises: libraries know neither.
fn remedy(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(TrainingError::NoInitWeights { .. }) = cause.downcast_ref() {
        return Some("name the file with --set init.weights=FILE, or take random weights with --set init.weights=null");
    }
    if let Some(ShardError::Store(StoreError::NotFound { uri })) = cause.downcast_ref()
        && uri.ends_with("/manifest.json")
    {
        return Some("every shard set has this file, and `shard-builder build` makes one");
    }
    if let Some(TrainingError::NotFinite { .. }) = cause.downcast_ref() {
        return Some("`worker step --failed` does these steps again");
    }
    match (cause.downcast_ref(), cause.downcast_ref()) {
        (
            Some(RunError::Metrics { .. } | RunError::NoneWhole { .. } | RunError::Store(StoreError::Record { .. })),
            _,
        )
        | (_, Some(StoreError::Record { .. })) => {
            Some("`worker verify RUN --repair` sets damaged records of a run aside")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use training::TrainingFailure;

    #[test]
    fn the_command_that_helps_is_named_below_any_context() {
        let (steps, step, rate) = (3, 7.into(), "lr");
        let error =
            TrainingError::NotFinite { steps, term: "loss.ibot".into(), step, captured: "r/failed".into(), rate };
        let failed: Result<(), TrainingFailure> = Err(error.into());
        let said = sentence(&failed.context("train").unwrap_err());
        assert!(said.starts_with("train: 3 steps in a row had NaN or infinity (last: loss.ibot at step 7)"), "{said}");
        assert!(said.ends_with("; `worker step --failed` does these steps again"), "{said}");
        let damaged: Result<(), RunError> = Err(RunError::Metrics { uri: "r/metrics/1".into(), what: "torn".into() });
        let said = sentence(&damaged.context("curves").unwrap_err());
        assert!(
            said.ends_with("or set it aside; `worker verify RUN --repair` sets damaged records of a run aside"),
            "{said}"
        );
    }
}
