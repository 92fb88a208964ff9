//! Step files: one command runs the training code on given weights and batches, so that anyone can check our step
//! against an implementation of their own. The format is `docs/step-files.md`; a "rank" in a file is a loss group.

mod settings;
mod tensors;

use crate::{DinoError, StepReport, tensor_bytes};
use collective::Collective;
use run_spec::{
    config::Precision,
    schedule::{Knobs, Schedules},
};
use std::{fs, path::PathBuf, str::FromStr};
use tch::{Device, Kind, Tensor};
use tensors::File;

/// Which steps' gradients are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grads {
    /// No gradients are written.
    None,
    /// Those of the first step.
    First,
    /// Those of every step.
    All,
}

impl FromStr for Grads {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "none" => Ok(Self::None),
            "first" => Ok(Self::First),
            "all" => Ok(Self::All),
            _ => Err(format!("`{word}` is not none, first or all")),
        }
    }
}

/// Reads a dtype as the command line writes it.
///
/// # Errors
/// A sentence naming the words there are.
pub fn parse_dtype(word: &str) -> Result<Precision, String> {
    match word {
        "f32" => Ok(Precision::F32),
        "f64" => Ok(Precision::F64),
        "bf16" => Ok(Precision::Bf16),
        "f16" => Ok(Precision::F16),
        _ => Err(format!("`{word}` is not f32, f64, bf16 or f16")),
    }
}

/// One run over a case.
#[derive(Clone, Debug)]
pub struct StepFileArgs {
    /// The JSON file with the settings of the step.
    pub settings: PathBuf,
    /// Weights of student and teacher.
    pub weights: PathBuf,
    /// Batches of every step and loss group.
    pub batches: PathBuf,
    /// Where rank 0 writes what the steps did.
    pub out: PathBuf,
    /// Which gradients are written.
    pub grads: Grads,
    /// Precision that the arithmetic runs in.
    pub dtype: Precision,
    /// Threads for tensors; `None` leaves LibTorch's choice.
    pub threads: Option<u16>,
    /// Where the tensors live.
    pub device: Device,
}

/// Runs the steps of a case through [`crate::State::step`] and writes the result on rank 0.
///
/// # Errors
/// A file that does not read or does not fit, or whatever a step refuses.
pub fn run_step_file(args: &StepFileArgs, peers: &dyn Collective) -> Result<(), DinoError> {
    if let Some(threads) = args.threads {
        tch::set_num_threads(i32::from(threads.max(1)));
    }
    let text = fs::read_to_string(&args.settings).map_err(|e| file_error("read", &args.settings, &e))?;
    let weights = read(&args.weights)?;
    let batches = read(&args.batches)?;
    let case = settings::Case::read(&text, &args.settings.display().to_string())?;
    let images = batches.first_batch_images()?;
    let config = case.config(args.dtype, images)?;
    let mut state = tensors::state(&config, &case, &weights, args.device)?;
    let schedules = Schedules::from_parts(&config.optim, &config.teacher, config.train.batch_size);
    let share = state.share(peers.rank(), peers.world())?;

    let mut out = Vec::new();
    for i in 0..case.steps {
        let batch = batches.batch(i, &share, &config.loss, &state)?;
        let knobs = schedules.at(case.start_iteration + i);
        let keep = args.grads == Grads::All || (args.grads == Grads::First && i == 0);
        let mut gradients = Vec::new();
        let mut see = |name: &str, t: &Tensor| {
            if keep {
                gradients.push((format!("grad.{i}.{name}"), t.copy()));
            }
        };
        let report = state.step_seeing_gradients(&batch, &knobs, peers, &mut see)?;
        out.extend(numbers(i, &report, &knobs));
        out.extend(gradients);
    }
    if peers.rank() == 0 {
        let kept = state.tensors().into_iter();
        out.extend(kept.filter(|(name, _)| name != "adam.steps" && name != "scaler"));
        let bytes = tensor_bytes::to_bytes(&out, None)?;
        fs::write(&args.out, bytes).map_err(|e| file_error("write", &args.out, &e))?;
    }
    Ok(peers.barrier()?)
}

/// The numbers of step `i`, each a tensor `[1]`: losses, schedules and norms.
fn numbers(i: u64, report: &StepReport, knobs: &Knobs) -> Vec<(String, Tensor)> {
    let schedules = [
        ("lr", knobs.lr),
        ("last_layer_lr", knobs.last_layer_lr),
        ("wd", knobs.wd),
        ("momentum", knobs.momentum),
        ("teacher_temp", knobs.teacher_temp),
    ];
    let losses = report.losses.named().into_iter().map(|(name, value)| (format!("loss.{i}.{name}"), value));
    let schedules = schedules.into_iter().map(|(name, value)| (format!("sched.{i}.{name}"), value));
    let norms = report.norms.iter().map(|(name, value)| (format!("norm.{i}.{name}"), *value));
    losses.chain(schedules).chain(norms).map(|(name, value)| (name, Tensor::from_slice(&[value]))).collect()
}

fn read(path: &PathBuf) -> Result<File, DinoError> {
    let bytes = fs::read(path).map_err(|e| file_error("read", path, &e))?;
    let what = path.display().to_string();
    Ok(File::new(tensor_bytes::from_bytes(&bytes, &what)?, what))
}

fn file_error(action: &'static str, path: &std::path::Path, error: &std::io::Error) -> DinoError {
    DinoError::File { action, path: path.to_owned(), message: error.to_string() }
}

/// Masks of a file are bytes.
fn bools(masks: &Tensor) -> Tensor {
    masks.to_kind(Kind::Bool)
}
