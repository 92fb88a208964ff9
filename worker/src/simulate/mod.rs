//! `worker simulate`: a run of hundreds of ranks in one process and without tensors: who takes what of a step, what each rank writes
//! of a checkpoint, what a failure leaves, how another number of ranks goes on, and how all of them find one another. What it
//! does is done by the code that training uses; what is not as it should be is an error.

mod checkpoints;
mod meeting;
mod shares;

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use training::process_memory;

use crate::cli::SimulateArgs;
use crate::config_file;

/// One thing that was simulated.
#[derive(Debug, Clone, Serialize)]
struct Part {
    what: &'static str,
    found: String,
    seconds: f64,
}

/// What `worker simulate` prints.
#[derive(Debug, Serialize)]
struct Simulation {
    schema: u32,
    world: usize,
    then: usize,
    parts: Vec<Part>,
    seconds: f64,
    peak_mb: u64,
}

/// Simulates a run on `--world` ranks, a failure, and a start on `--then` ranks.
pub(crate) fn simulate(args: &SimulateArgs) -> Result<()> {
    let config = config_file::read(&args.config, &args.set)?;
    let then = args.then.unwrap_or_else(|| (args.world * 3 / 4).max(1));
    ensure!(args.world > 0 && then > 0, "--world and --then: at least one rank is needed");
    let began = Instant::now();
    let mut parts = Vec::new();
    let mut part = |what, work: &mut dyn FnMut() -> Result<String>| -> Result<()> {
        let began = Instant::now();
        let found = work()?;
        parts.push(Part { what, found, seconds: began.elapsed().as_secs_f64() });
        Ok(())
    };
    part("shares of a step", &mut || shares::check(&config, &[args.world, then]))?;
    part("parts of a checkpoint", &mut || checkpoints::ranges(&config, args.world))?;
    part("failure and restart", &mut || checkpoints::failure(&config, args.world, then))?;
    part("rendezvous over TCP", &mut || meeting::meet(args.world))?;
    let (seconds, peak_mb) = (began.elapsed().as_secs_f64(), process_memory::peak_mb());
    terminal::report(&Simulation { schema: 1, world: args.world, then, parts, seconds, peak_mb }, args.json)?;
    Ok(())
}

impl terminal::Report for Simulation {
    fn text(&self) -> String {
        let row = |part: &Part| vec![part.what.to_owned(), format!("{:.2} s", part.seconds), part.found.clone()];
        let rows: Vec<Vec<String>> = self.parts.iter().map(row).collect();
        format!(
            "{} ranks, and {} after a failure, simulated in one process\n{}\ntotal: {:.1} s, peak memory {} MiB",
            self.world,
            self.then,
            terminal::columns(&rows, &[1]),
            self.seconds,
            self.peak_mb
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn args(config: &std::path::Path, words: &[&str]) -> SimulateArgs {
        let line = ["worker", "simulate", config.to_str().unwrap()].into_iter().chain(words.iter().copied());
        match crate::cli::Cli::try_parse_from(line).unwrap().command {
            crate::cli::Command::Simulate(args) => args,
            _ => unreachable!("it was named"),
        }
    }

    #[test]
    fn worlds_of_any_size_are_simulated_and_one_with_fewer_images_than_ranks_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, crate::timing::SMALL).unwrap();
        for (world, then) in [("1", "2"), ("7", "3"), ("40", "64")] {
            simulate(&args(&config, &["--world", world, "--then", then])).unwrap();
        }
        let error = simulate(&args(&config, &["--world", "600"])).unwrap_err();
        assert!(format!("{error:#}").contains("600"), "{error:#}");
    }
}
