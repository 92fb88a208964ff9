//! `worker check -- COMMAND …`: reads a command line by this program's own rules, opens what it names, and does nothing
//! else. An orchestrator asks it before it submits days of work.

use std::sync::Arc;

use anyhow::Result;
use clap::Parser;
use dino::Architecture;
use run_spec::config::TrainConfig;
use shards::ShardSet;
use store::Store;

use crate::cli::{Cli, Command, KeepFeatures, TrainArgs};
use training::{Source, verify_init_weights};

use crate::{expectation, released};

/// Refuses a command line as the command itself would: its configuration, its shard set, its split, its initial weights.
pub(crate) fn check(words: &[String]) -> Result<()> {
    let line = std::iter::once("worker".to_owned()).chain(words.iter().cloned());
    let command = Cli::try_parse_from(line).unwrap_or_else(|error| error.exit()).command;
    let (checkpoint, kept) = match &command {
        Command::Train(args) => (Some(of_training(args)?), None),
        Command::Probe(args) => {
            let cells = args.scoring.open()?.cells();
            if let Some(weights) = &args.model.weights {
                let config = args.model.config.as_ref().map(|path| crate::config_file::read_untrained(path, &[]));
                let config = config.transpose()?;
                let model = config.as_ref().map(|config| &config.model);
                released::open(weights, args.model.layout, model, tch::Device::Cpu)?;
            }
            (None, (args.keep_features != KeepFeatures::None).then_some(cells))
        }
        Command::Baseline(args) => {
            args.scoring.open()?;
            (None, None)
        }
        _ => (None, None),
    };
    // The run that a probe names need not be there yet, so how wide its features are is not known here.
    terminal::line(serde_json::json!({ "checkpoint_bytes": checkpoint, "kept_features": kept }));
    Ok(())
}

/// Opens what training would open, and returns the bytes of its checkpoints.
fn of_training(args: &TrainArgs) -> Result<u64> {
    let config = crate::config_file::read(&args.config, &args.set)?;
    let shards = Arc::new(ShardSet::open(&Store::open(&args.shards)?)?);
    expectation::digest(&args.expect, expectation::Key::Shards, &args.shards, &shards.digest())?;
    Source::new(&config, shards, 0, 1)?;
    if let Some(uri) = &config.init.weights {
        verify_init_weights(uri)?;
    }
    Ok(checkpoint_bytes(&config))
}

/// Bytes of a checkpoint's tensors: student, teacher and the two moments of AdamW, in f32.
pub(crate) fn checkpoint_bytes(config: &TrainConfig) -> u64 {
    let parameters: i64 = Architecture::of(config).declare().iter().map(|d| d.shape.iter().product::<i64>()).sum();
    4 * 4 * parameters.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use run_spec::config::ResolvedConfig;

    use super::*;

    #[test]
    fn the_size_of_a_checkpoint_is_that_of_its_tensors() {
        let sets = [
            "model.dim=24",
            "model.depth=2",
            "model.heads=2",
            "head.prototypes=64",
            "head.hidden=32",
            "head.bottleneck=8",
        ];
        let sets = sets.map(str::to_owned);
        let config = ResolvedConfig::from_yaml("", "test", &sets).unwrap();
        let state = dino::State::new(&config, tch::Device::Cpu).unwrap();
        let bytes = dino::tensor_bytes::to_bytes_with_facts(&state.tensors(), &[]).unwrap().len() as u64;
        let said = checkpoint_bytes(&config);
        assert!(said <= bytes && bytes < said + said / 5, "{said} said, {bytes} are");
    }
}
