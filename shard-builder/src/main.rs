//! Turns blood-smear datasets into Parquet shards: `build`, `duplicates`, `split`, `verify`, `show`, `synth`.
//!
//! Datasets are described in YAML (`docs/sources.md`), never coded. A set is written once and never changed: its keys are
//! create-only and its manifest comes last.

mod assemble;
mod cli;
mod contact_sheet;
mod copies;
mod cut;
mod duplicates;
mod encode;
mod intake;
mod locate;
mod output;
mod plan;
mod report;
mod show;
mod source;
mod split;
mod survey;
mod synth;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::log_to_stderr();
    intake::quiet_decoders();
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
        Command::Build(args) => output::say(&assemble::build(&args)?),
        Command::Duplicates(args) => output::say(&duplicates::duplicates(&args)?),
        Command::Split(args) => output::say(&split::split(&args)?),
        Command::Verify(args) => output::say(&verify::verify(&args)?),
        Command::Show(args) => output::say(&show::show(&args)?),
        Command::Synth(args) => output::say(synth::run(&args)?.to_string().trim_end()),
    }
    Ok(())
}
