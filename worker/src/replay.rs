//! `worker step --failed`: does a step again that training captured because it was not finite.
//!
//! The captured state and batch go through the same configuration and the same code, so the step fails as it did; with another
//! `--dtype` it shows whether the arithmetic was too coarse.

use anyhow::{Context, Result, ensure};
use dino::stepfile::parse_dtype;
use dino::tensor_bytes;
use dino::{CropBatch, DinoError, State};
use run_folder::Run;
use run_spec::config::TrainConfig;
use run_spec::ids::{Rank, Step};
use run_spec::schedule::Schedules;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use torch_shim::panics::catch_torch_panic;
use training::Ranks;

use crate::cli::StepArgs;
use crate::environment::Environment;
use crate::{device, ranks};

/// Does the captured step of the run at `uri` again, on as many ranks as did it, and prints how it ends as a line of JSON.
pub(crate) fn replay(args: &StepArgs, uri: &str, environment: &Environment) -> Result<()> {
    let run = Run::at(uri)?;
    let record = run.record()?;
    let mut config = record.config.resolve(&run.store().uri_of("run.json"))?.into_config();
    if let Some(word) = &args.dtype {
        config.train.precision = parse_dtype(word).map_err(|message| anyhow::anyhow!("--dtype: {message}"))?;
    }
    let place = device::open(config.device, args.threads, environment)?;
    if config.train.deterministic {
        torch_shim::device::set_deterministic(true)?;
    }
    let ranks = ranks::join(config.collective, place.device, config.train.step_deadline_s, environment)?;
    let result = catch_torch_panic("step", || again(&run, args.step.map(Step::new), &config, &ranks, place.device));
    let line = ranks::or_abort(&ranks, result)?;
    if ranks.first() {
        terminal::line(line);
    }
    Ok(())
}

fn again(run: &Run, step: Option<Step>, config: &TrainConfig, ranks: &Ranks, device: Device) -> Result<Value> {
    let step = match step {
        Some(step) => step,
        None => *run.captured()?.last().with_context(|| {
            format!("{}: no step of this run was captured, because all were finite", run.store().uri())
        })?,
    };
    let (mine, bytes) = run.capture(step, Rank::new(ranks.rank() as u32))?;
    ensure!(
        mine.world.get() as usize == ranks.world(),
        "step {step} was done by {} ranks; start as many: `mpirun -n {} worker step --failed ...`",
        mine.world,
        mine.world
    );
    let tensors = tensor_bytes::from_bytes(&bytes, &mine.key)?;
    let first = match ranks.first() {
        true => None,
        false => Some(run.capture(step, Rank::new(0))?),
    };
    let first = first.map(|(record, bytes)| tensor_bytes::from_bytes(&bytes, &record.key)).transpose()?;
    let new = State::of_rank(config, device, ranks.place())?;
    let mut state = filled(new, first.as_ref().unwrap_or(&tensors), &mine.key)?;
    let find = |name: &str| tensors.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor);
    let need = |name: &str| find(name).with_context(|| format!("{}: it holds no tensor `{name}`", mine.key));
    let batch = CropBatch {
        global: need("global")?.to_device(device),
        local: find("local").map(|local| local.to_device(device)),
        masks: need("masks")?.to_kind(Kind::Bool),
        // Steps captured before the name changed say `twins`.
        koleo_exclusion: find("koleo_exclusion").or_else(|| find("twins")).map(Tensor::shallow_clone),
    };
    let knobs = Schedules::new(config).at(step.get());
    let found = json!({ "step": step, "captured": mine.term });
    Ok(match state.step(&batch, &knobs, ranks.peers()) {
        Ok(report) => with(
            found,
            json!({
                "finite": true,
                "loss": report.losses.named().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
                "grad_norm": report.norms.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            }),
        ),
        Err(DinoError::NonFinite(what)) => with(found, json!({ "finite": false, "term": what.to_string() })),
        Err(error) => return Err(error.into()),
    })
}

/// `state` with what was captured, in its own arithmetic.
fn filled(mut state: State, tensors: &[(String, Tensor)], what: &str) -> Result<State> {
    let kind = state.settings().kind();
    let held = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("state.")?, tensor)));
    let held: Vec<(String, Tensor)> = held
        .map(|(name, tensor)| match name {
            "adam.steps" | "scaler" => (name.to_owned(), tensor.shallow_clone()),
            _ => (name.to_owned(), tensor.to_kind(kind)),
        })
        .collect();
    state.load(&held, what)?;
    Ok(state)
}

fn with(mut a: Value, b: Value) -> Value {
    if let (Some(a), Value::Object(b)) = (a.as_object_mut(), b) {
        a.extend(b);
    }
    a
}
