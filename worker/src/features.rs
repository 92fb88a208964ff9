//! Features of a shard set: the teacher's normed CLS token of each image, RGB, resized and normalised as the published
//! evaluation does.

use anyhow::{Context, Result};
use augment::{Image, resize_for_probe};
use dino::Encoder;
use indicatif::ProgressBar;
use rayon::prelude::*;
use run_folder::{CheckpointRecord, Run, RunRecord};
use run_spec::config::ResolvedConfig;
use shards::ShardSet;
use tch::Tensor;
use torch_shim::panics::catch_torch_panic;
use training::{OpenDevice, snapshot};

use crate::cli::ModelArgs;
use crate::device;

/// A run's model, ready for features.
#[derive(Debug)]
pub(crate) struct Trained {
    /// The run.
    pub(crate) run: Run,
    /// What it is.
    pub(crate) record: RunRecord,
    /// Its configuration.
    pub(crate) config: ResolvedConfig,
    /// The checkpoint taken.
    pub(crate) checkpoint: CheckpointRecord,
    /// The teacher's backbone.
    pub(crate) teacher: Encoder,
    /// Where it lives.
    pub(crate) device: OpenDevice,
}

impl Trained {
    /// The model as an export takes it.
    pub(crate) fn model(&self) -> export::Model<'_> {
        let Self { record, config, checkpoint, teacher, .. } = self;
        export::Model { record, config, checkpoint, teacher }
    }
}

/// Opens the model that `args` name.
pub(crate) fn open(args: &ModelArgs) -> Result<Trained> {
    let run = Run::at(&args.run)?;
    let record = run.record()?;
    let config = record.config.resolve(&run.store().uri_of("run.json"))?;
    let device = device::open(config.device, args.threads)?;
    let (checkpoint, bytes) = match args.step {
        Some(step) => run.checkpoint_of(step)?,
        // An older one does not stand in for it: what is said of a run is said of its last step.
        None => run.last_checkpoint()?,
    };
    let tensors = snapshot::of_run(&bytes, &checkpoint.key, &record.config_digest)?;
    let teacher = Encoder::load(&config, tensors, &checkpoint.key, device.device)?;
    Ok(Trained { run, record, config, checkpoint, teacher, device })
}

/// `[n, D]` features of all rows in order, row-major, and D.
pub(crate) fn extract(
    encoder: &Encoder,
    side: i64,
    shards: &ShardSet,
    batch: usize,
    what: &str,
) -> Result<(Vec<f32>, usize)> {
    let rows = shards.len();
    let bar = ProgressBar::new(rows);
    bar.set_message(what.to_owned());
    let mut out = Vec::new();
    let dim = encoder.dim() as usize;
    for start in (0..rows).step_by(batch.max(1)) {
        let end = (start + batch.max(1) as u64).min(rows);
        let views = (start..end).into_par_iter().map(|row| prepare(shards, row, side)).collect::<Result<Vec<_>>>()?;
        let images = Tensor::from_slice(&views.concat()).view([(end - start) as i64, 3, side, side]);
        let features =
            catch_torch_panic::<_, anyhow::Error>(what, || Ok(encoder.features(&images)))?.to_device(tch::Device::Cpu);
        let at = out.len();
        out.resize(at + features.numel(), 0.0);
        features.contiguous().copy_data(&mut out[at..], features.numel());
        bar.set_position(end);
    }
    bar.finish_and_clear();
    Ok((out, dim))
}

fn prepare(shards: &ShardSet, row: u64, side: i64) -> Result<Vec<f32>> {
    let rgb = shards.rgb(row).with_context(|| format!("read row {row} of the shard set"))?;
    let image = Image::new(rgb.height() as usize, rgb.width() as usize, rgb.into_raw())?;
    Ok(resize_for_probe(&image, side as usize).data)
}
