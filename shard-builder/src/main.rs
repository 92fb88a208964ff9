//! Turns blood-smear datasets into Parquet shards: `build`, `duplicates`, `segment`, `remove`, `diff`, `split`, `verify`, `show`, `synth`.
//!
//! Datasets are described in YAML (`docs/sources.md`), never coded. A set is written once and never changed: its keys are
//! create-only and its manifest comes last.

mod build;
mod builder_share;
mod card;
mod cli;
mod copy_counts;
mod data_place;
mod diff;
mod duplicates;
mod encode;
mod joined_groups;
mod output;
mod plan;
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
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::log_to_stderr();
    imaging::quiet_decoders();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Build(args) => output::say(&build::build(&args)?),
        Command::Duplicates(args) => output::say(&duplicates::duplicates(&args)?),
        Command::Remove(args) => output::say(&remove::remove(&args)?),
        Command::Diff(args) => output::say(&diff::diff(&args)?),
        Command::Segment(args) => output::say(&segment_command::segment(&args)?),
        Command::Split(args) => output::say(&split::split(&args)?),
        Command::Verify(args) => output::say(&verify::verify(&args)?),
        Command::Show(args) => output::say(&show::show(&args)?),
        Command::Synth(args) => output::say(&synth_command::synth(&args)?),
        Command::Schema => output::say(&serde_json::to_string_pretty(&datasets::schema::Source::json_schema())?),
    }
    Ok(())
}
