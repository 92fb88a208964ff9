//! `worker step`: training steps on given weights and batches, through the training code itself (docs/step-files.md).

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use dino::stepfile::{Grads, StepFileArgs, parse_dtype, run_step_file};
use torch_shim::panics::catch_torch_panic;

use crate::cli::{self, StepArgs};
use crate::environment::Environment;
use crate::ranks;

/// Runs a case, on as many ranks as the launcher started.
pub(crate) fn step(args: &StepArgs, environment: &Environment) -> Result<()> {
    if let Some(run) = &args.failed {
        return crate::replay::replay(args, run, environment);
    }
    let threads = u16::try_from(args.threads).context("--threads")?;
    let needed = |path: &Option<PathBuf>, name: &str| path.clone().with_context(|| format!("--{name} is needed"));
    let case = StepFileArgs {
        settings: needed(&args.settings, "settings")?,
        weights: needed(&args.weights, "weights")?,
        batches: needed(&args.batches, "batches")?,
        out: needed(&args.out, "out")?,
        grads: match args.grads {
            cli::Grads::None => Grads::None,
            cli::Grads::First => Grads::First,
            cli::Grads::All => Grads::All,
        },
        dtype: parse_dtype(args.dtype.as_deref().unwrap_or("f32")).map_err(|message| anyhow!("--dtype: {message}"))?,
        threads: (threads > 0).then_some(threads),
        device: tch::Device::Cpu,
    };
    let deadline_s = run_spec::config::TrainConfig::default().train.step_deadline_s;
    let ranks = ranks::join(run_spec::config::Collective::Auto, case.device, deadline_s, environment)?;
    ranks::or_abort(&ranks, catch_torch_panic("step", || Ok(run_step_file(&case, ranks.peers())?)))
}
