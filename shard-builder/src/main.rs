//! Turns blood-smear datasets into Parquet shards: `describe`, `build`, `duplicates`, `leaks`, `segment`, `remove`, `diff`, `split`, `verify`, `show`, `synth`.
//!
//! Datasets are described in YAML (`docs/sources.md`), never coded. A set is written once and never changed: its keys are
//! create-only and its manifest comes last.

mod advice;
mod browse;
mod build;
mod builder_share;
mod card;
mod cli;
mod compared_set;
mod copy_counts;
mod costs;
mod data_place;
mod describe_command;
mod diff;
mod duplicates;
mod encode;
mod fingerprints;
mod joined_groups;
mod leak_search;
mod leak_sheet;
mod leaks_command;
mod left_out;
mod plan;
mod progress;
mod recut;
mod remove;
mod resume;
mod segment_command;
mod set_report;
mod show;
mod sources;
mod split;
mod spool;
mod summary;
mod synth_command;
mod target;
mod use_split;
mod verify;

use std::process::ExitCode;

use anyhow::{Error, Result};
use shards::ShardError;
use store::StoreError;

use crate::cli::{Cli, Command, SchemaKind};

fn main() -> ExitCode {
    let cli = Cli::read();
    terminal::begin_log("info", String::new());
    imaging::quiet_decoders();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::error(format!("{error:#}{}", remedy(&error)));
            ExitCode::FAILURE
        }
    }
}

/// What to do about a set that is not there: the library does not know the command that makes one.
fn remedy(error: &Error) -> &'static str {
    let is_no_set = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref() {
        Some(ShardError::Store(StoreError::NotFound { uri })) => uri.ends_with("/manifest.json"),
        _ => false,
    };
    if error.chain().any(is_no_set) {
        "; every shard set has this file, and `shard-builder build` makes one"
    } else {
        ""
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Build(args) => terminal::line(build::build(&args)?),
        Command::Describe(args) => terminal::line(describe_command::describe(&args)?),
        Command::Duplicates(args) => terminal::line(duplicates::duplicates(&args)?),
        Command::Leaks(args) => terminal::line(leaks_command::leaks(&args)?),
        Command::Remove(args) => terminal::line(remove::remove(&args)?),
        Command::Diff(args) => terminal::line(diff::diff(&args)?),
        Command::Segment(args) => terminal::line(segment_command::segment(&args)?),
        Command::Split(args) => terminal::line(split::split(&args)?),
        Command::Verify(args) => terminal::line(verify::verify(&args)?),
        Command::Show(args) => terminal::line(show::show(&args)?),
        Command::Synth(args) => terminal::line(synth_command::synth(&args)?),
        Command::Version { json } => terminal::report(&terminal::Version { version: cli::VERSION }, json)?,
        Command::Schema(args) => terminal::line(serde_json::to_string_pretty(&match args.kind {
            SchemaKind::Source => datasets::schema::Source::json_schema(),
            SchemaKind::Sampling => datasets::sampling::Sampling::json_schema(),
        })?),
    }
    Ok(())
}
