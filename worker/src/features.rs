//! Features of a shard set: the teacher's normed CLS token of each image (or another output, [`Token`]), RGB, resized and normalised as the published
//! evaluation does.

use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result};
use augment::resize_for_probe;
use dino::{Encoder, Token};
use indicatif::ProgressBar;
use probe::Features;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use run_folder::{CheckpointRecord, Run, RunRecord};
use run_spec::config::ResolvedConfig;
use run_spec::ids::Step;
use shards::{RgbImage, ShardSet};
use tch::Tensor;
use torch_shim::panics::catch_torch_panic;
use training::{OpenDevice, snapshot};

use crate::cli::ModelArgs;
use crate::device;
use crate::environment::Environment;
use crate::released::Frozen;

/// A run's model, ready for features.
#[derive(Debug)]
pub(crate) struct Trained {
    /// The folder of the run.
    pub(crate) run: Run,
    /// The record that says what the run is.
    pub(crate) record: RunRecord,
    /// The configuration that the run was trained with.
    pub(crate) config: ResolvedConfig,
    /// The record of the checkpoint that was read.
    pub(crate) checkpoint: CheckpointRecord,
    /// The teacher's backbone in that checkpoint.
    pub(crate) teacher: Encoder,
    /// The device that the backbone is on.
    pub(crate) device: OpenDevice,
}

impl Trained {
    /// The model as an export takes it.
    pub(crate) fn model(&self) -> export::Model<'_> {
        let Self { record, config, checkpoint, teacher, .. } = self;
        export::Model { record, config, checkpoint, teacher }
    }
}

/// Refuses a run or a step that does not exist. It reads small records alone: a command calls it before it reads a shard set, which takes minutes from
/// a bucket.
pub(crate) fn verify_exists(args: &ModelArgs) -> Result<()> {
    let run = Run::at(&args.run)?;
    run.record()?;
    if let Some(step) = args.step {
        let step = Step::from(step);
        if run.checkpoints()?.iter().all(|checkpoint| checkpoint.step != step) {
            run.checkpoint_of(step)?;
        }
    }
    Ok(())
}

/// Opens the model that `args` name.
pub(crate) fn open(args: &ModelArgs, environment: &Environment) -> Result<Trained> {
    let run = Run::at(&args.run)?;
    let record = run.record()?;
    let config = record.config.resolve(&run.store().uri_of("run.json"))?;
    let device = device::open(config.device, args.threads, environment)?;
    let (checkpoint, bytes) = match args.step {
        Some(step) => run.checkpoint_of(step.into())?,
        // An older one does not stand in for it: what is said of a run is said of its last step.
        None => run.last_checkpoint()?,
    };
    let tensors = snapshot::of_run(&bytes, &checkpoint.key, &record.config_digest)?;
    let teacher = Encoder::load(&config, tensors, &checkpoint.key, device.device)?;
    Ok(Trained { run, record, config, checkpoint, teacher, device })
}

/// Turns the images of a shard set into features.
#[derive(Debug)]
pub(crate) struct Extractor<'a> {
    shards: &'a ShardSet,
    /// Images per forward pass.
    batch: u64,
    /// The output of the model that is the feature.
    token: Token,
    /// Reads, decodes and resizes.
    pool: ThreadPool,
    /// Whether a progress bar is shown.
    shows: bool,
}

impl<'a> Extractor<'a> {
    /// With `threads` that make images ready (0: all cores), `batch` of them for each forward pass.
    pub(crate) fn new(shards: &'a ShardSet, batch: usize, threads: u64) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads as usize).build().context("cannot start threads")?;
        Ok(Self { shards, batch: batch.max(1) as u64, token: Token::Cls, pool, shows: true })
    }

    /// The same, which takes `token` as the feature.
    pub(crate) fn of_token(self, token: Token) -> Self {
        Self { token, ..self }
    }

    /// The same, which shows no progress: it works beside something that does.
    pub(crate) fn silent(self) -> Self {
        Self { shows: false, ..self }
    }

    /// The output of the model that is the feature.
    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// Images of one forward pass.
    pub(crate) fn batch(&self) -> u64 {
        self.batch
    }

    /// The shard set whose images they are.
    pub(crate) fn shards(&self) -> &ShardSet {
        self.shards
    }

    /// `[n, W]` features of all rows in order. `what` names them on the progress bar.
    pub(crate) fn features(&self, model: &dyn Frozen, side: i64, what: &str) -> Result<Features> {
        let (rows, began) = (self.shards.len(), Instant::now());
        let bar = if self.shows { ProgressBar::new(rows) } else { ProgressBar::hidden() };
        bar.set_message(what.to_owned());
        let mut out = Vec::new();
        for start in (0..rows).step_by(self.batch as usize) {
            let end = (start + self.batch).min(rows);
            let views = self.map(start..end, |row| prepare(self.shards, row, side))?;
            let images = Tensor::from_slice(&views.concat()).view([(end - start) as i64, 3, side, side]);
            let features = catch_torch_panic::<_, anyhow::Error>(what, || Ok(model.features_of(&images, self.token)))?;
            let features = features.to_device(tch::Device::Cpu);
            let at = out.len();
            out.resize(at + features.numel(), 0.0);
            features.contiguous().copy_data(&mut out[at..], features.numel());
            bar.set_position(end);
        }
        bar.finish_and_clear();
        let (cost, images_per_s) = (model.cost(side), rows as f64 / began.elapsed().as_secs_f64());
        let (millions, gflop) = (cost.parameters as f64 / 1e6, cost.flops as f64 / 1e9);
        tracing::info!(
            "{what}: done, {images_per_s:.1} images/s ({millions:.1} million parameters, {gflop:.2} Gflop per image)"
        );
        Ok(Features::new(model.width(self.token) as usize, out)?)
    }

    /// Shows `each` the patch tokens of `rows`, `[rows, N, D]`, batch by batch.
    pub(crate) fn patches(
        &self,
        encoder: &Encoder,
        side: i64,
        rows: &[u64],
        mut each: impl FnMut(&[u64], &[f32]) -> Result<()>,
    ) -> Result<()> {
        for rows in rows.chunks(self.batch as usize) {
            let prepared =
                || rows.into_par_iter().map(|&row| prepare(self.shards, row, side)).collect::<Result<Vec<_>>>();
            let views = self.pool.install(prepared)?;
            let images = Tensor::from_slice(&views.concat()).view([rows.len() as i64, 3, side, side]);
            let tokens = catch_torch_panic::<_, anyhow::Error>("patch tokens", || Ok(encoder.patches(&images)))?;
            let tokens = tokens.to_device(tch::Device::Cpu).contiguous();
            let mut values = vec![0.0; tokens.numel()];
            tokens.copy_data(&mut values, tokens.numel());
            each(rows, &values)?;
        }
        Ok(())
    }

    /// `[n, dim]` features that `of_pixels` makes of the interleaved RGB of each row, in order.
    pub(crate) fn features_of_pixels(&self, dim: usize, of_pixels: fn(&[u8]) -> Vec<f32>) -> Result<Features> {
        let rows = self.map(0..self.shards.len(), |row| Ok(of_pixels(&self.shards.rgb(row)?)))?;
        Ok(Features::new(dim, rows.concat())?)
    }

    /// What `make` makes of the picture of each row, in order.
    pub(crate) fn of_pictures<T: Send>(&self, make: impl Fn(&RgbImage) -> T + Send + Sync) -> Result<Vec<T>> {
        self.map(0..self.shards.len(), |row| Ok(make(&self.shards.rgb(row)?)))
    }

    fn map<T: Send>(&self, rows: Range<u64>, make: impl Fn(u64) -> Result<T> + Send + Sync) -> Result<Vec<T>> {
        self.pool.install(|| rows.into_par_iter().map(make).collect())
    }

    /// Runs `work`, which is cut up among these threads.
    pub(crate) fn on_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}

fn prepare(shards: &ShardSet, row: u64, side: i64) -> Result<Vec<f32>> {
    let rgb = shards.rgb(row).with_context(|| format!("cannot read row {row} of the shard set"))?;
    Ok(resize_for_probe(rgb, side as usize)?.data)
}
