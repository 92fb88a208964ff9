//! From plan to batch: rows are read, decoded and turned into views ahead of the step that needs them.
//!
//! One thread walks the plan in order and has `read_threads` helpers fetch the images of a step, most of whose time is waiting
//! for the store; another shares the images of a step that has come among `data_threads` helpers, which decode them and write
//! the views into the tensors of the batch, and draws the masks. The thread that trains owns a batch from then on. Both hand on
//! through bounded channels, so memory is flat. A view depends on (seed, draw, view) only, so the number of helpers changes
//! nothing but the time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use augment::{Planes, Recipe, ViewKey, views_into};
use bytes::Bytes;
use dino::{CropBatch, DinoError, MaskPlan, RankShare};
use rayon::prelude::*;
use run_spec::config::{KoleoExclude, TrainConfig};
use run_spec::plan::{Draw, Place, Plan, SampleSums};
use shards::{ShardError, ShardSet};
use tch::{Device, Tensor};
use torch_shim::host::{HostBuffer, Number};
use torch_shim::panics::catch_torch_panic;

use crate::StopWish;
use crate::error::{Result, TrainingError};
use crate::koleo_exclusion;

/// How often one that waits for a batch looks whether it was asked to stop.
const SLICE: Duration = Duration::from_millis(100);

/// One rank's part of a step.
#[derive(Debug)]
pub(crate) struct LoadedBatch {
    /// Crops and masks, in host memory. The images are floats or levels.
    pub(crate) crops: CropBatch,
    /// Which images they are of.
    pub(crate) samples: SampleSums,
}

/// How a loader writes pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadedPixels {
    /// As levels, a byte each, and not as normalised floats.
    pub(crate) as_levels: bool,
    /// The device that they are for.
    pub(crate) device: Device,
}

/// The image files of a step, not yet decoded.
struct Fetched {
    step: u64,
    draws: Vec<Draw>,
    files: Vec<Bytes>,
}

/// Batches of successive steps.
#[derive(Debug)]
pub(crate) struct Loader {
    batches: Receiver<Result<LoadedBatch>>,
    /// Batches that have come and were not asked for yet.
    in_hand: VecDeque<LoadedBatch>,
    /// Why none comes after those.
    failed: Option<TrainingError>,
    waited_s: f64,
}

/// What a loader works on.
#[derive(Debug, Clone)]
pub struct Source {
    /// The shard set that images are read from.
    pub(crate) shards: Arc<ShardSet>,
    /// The augmentation that makes views of an image.
    recipe: Arc<Recipe>,
    /// The data walk: which rows each step draws.
    plan: Plan,
    /// This rank's part of each step, as the plan counts ranks.
    place: Place,
    /// The same part, with the loss groups that it touches.
    pub(crate) share: RankShare,
}

impl Source {
    /// The augmentation that makes views of an image.
    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What `config` asks for, for one rank of `world`.
    ///
    /// # Errors
    /// More ranks than images in a step; a configuration that does not fit the shard set; an augmentation that cannot be made.
    pub fn new(config: &TrainConfig, shards: Arc<ShardSet>, rank: usize, world: usize) -> Result<Self> {
        let share = RankShare::of(config.train.batch_size, config.train.loss_groups, rank, world)?;
        let plan = Plan::of(config, &shards.source_rows())?;
        let place = Place { rank: rank as u64, world: world as u64 };
        Ok(Self { shards, recipe: Arc::new(Recipe::new(config)?), plan, place, share })
    }

    /// Reads this rank's part of `step`.
    fn fetch(&self, step: u64) -> Result<Fetched> {
        let draws = self.plan.rows_at(step, self.place);
        let files = draws.par_iter().map(|draw| self.shards.image_bytes(draw.row).map_err(of_row(draw.row)));
        let files = files.collect::<Result<_>>()?;
        Ok(Fetched { step, draws, files })
    }

    /// Decodes and augments what was read, and draws the masks of (seed, step).
    fn batch(&self, config: &TrainConfig, fetched: Fetched, pixels: LoadedPixels) -> Result<LoadedBatch> {
        let step = fetched.step;
        let mut samples = SampleSums::default();
        for draw in &fetched.draws {
            samples.add(draw.draw, self.shards.meta(draw.row)?.id);
        }
        let images = match pixels.as_levels {
            true => self.images::<u8>(config, fetched, pixels.device)?,
            false => self.images::<f32>(config, fetched, pixels.device)?,
        };
        let masks = dino::masks::batch(&MaskPlan {
            config: &config.masks,
            seed: config.seed,
            step,
            share: self.share,
            grid: config.grid(),
        });
        let crops = CropBatch {
            global: images.global,
            local: images.local,
            masks,
            koleo_exclusion: excludes(config).then(|| Tensor::from_slice(&images.numbers)),
        };
        Ok(LoadedBatch { crops, samples })
    }

    /// Makes the views of the images of a step, for `device`.
    fn images<N: Number>(&self, config: &TrainConfig, fetched: Fetched, device: Device) -> Result<Images>
    where
        for<'a> Planes<'a>: From<&'a mut [N]>,
    {
        let Fetched { draws, files, .. } = fetched;
        let (b, s, l) = (draws.len() as i64, config.crops.global_size, config.crops.local_size);
        // The published `n_local: 1` makes none: its loss is never counted.
        let locals = self.recipe.n_local();
        let zeros = |views: usize, side: i64| {
            HostBuffer::<N>::zeros(&[views as i64, b, 3, side, side], device).map_err(DinoError::from)
        };
        let mut global = zeros(2, s)?;
        let mut local = (locals > 0).then(|| zeros(locals, l)).transpose()?;
        // Where each image's views go, in the order of their numbers.
        let mut places: Vec<Vec<Planes<'_>>> = draws.iter().map(|_| Vec::with_capacity(2 + locals)).collect();
        let global_slots = global.values().chunks_exact_mut(plane(s));
        let local_slots = local.iter_mut().flat_map(|local| local.values().chunks_exact_mut(plane(l)));
        let slots = global_slots.chain(local_slots);
        slots.enumerate().for_each(|(i, slot)| places[i % draws.len()].push(slot.into()));
        let numbers: Vec<i64> = draws
            .par_iter()
            .zip(files)
            .zip(places)
            .map(|((draw, file), places)| self.views_of(config, *draw, &file, places))
            .collect::<Result<_>>()?;
        Ok(Images { global: global.into_tensor(), local: local.map(HostBuffer::into_tensor), numbers })
    }

    /// Makes the views of an image, and gives its number for KoLeo, if that leaves some images out.
    fn views_of(&self, config: &TrainConfig, draw: Draw, file: &[u8], places: Vec<Planes<'_>>) -> Result<i64> {
        let seed = config.seed;
        let rgb = self.shards.rgb_of(draw.row, file).map_err(of_row(draw.row))?;
        let number = match excludes(config) {
            true => koleo_exclusion::number_of(config.loss.koleo_exclude, &self.shards.meta(draw.row)?, &rgb),
            false => 0,
        };
        views_into(rgb, &self.recipe, ViewKey { seed, draw: draw.draw }, places)?;
        Ok(number)
    }
}

/// The views of a rank's part of a step, in host memory.
struct Images {
    /// `[2, B, 3, H, W]`.
    global: Tensor,
    /// `[L, B, 3, h, w]`.
    local: Option<Tensor>,
    /// Numbers of the images for KoLeo.
    numbers: Vec<i64>,
}

/// Seconds that a loader takes for a batch, on average over `steps` steps after the first. For a benchmark: nothing is trained.
///
/// # Errors
/// A row that cannot be read or decoded, or threads that cannot be started.
pub fn time_loading(source: Source, config: &TrainConfig, steps: u64, device: Device) -> Result<f64> {
    let pixels = LoadedPixels { as_levels: device.is_cuda(), device };
    let mut loader = Loader::start(source, config, 0..steps + 1, pixels, (1, 0))?;
    let stop = StopWish::default();
    loader.next_batch(&stop)?;
    let began = Instant::now();
    for _ in 0..steps {
        loader.next_batch(&stop)?;
    }
    Ok(began.elapsed().as_secs_f64() / steps as f64)
}

fn of_row(row: u64) -> impl Fn(ShardError) -> TrainingError {
    move |source| TrainingError::Row { row, source }
}

fn excludes(config: &TrainConfig) -> bool {
    config.loss.koleo_exclude != KoleoExclude::None
}

fn plane(side: i64) -> usize {
    3 * side as usize * side as usize
}

impl Loader {
    /// Starts loading `steps`, with `pixels` as the device wants them, at most `ahead` batches before they are asked for. Up to `in_hand` of these are with whoever asks
    /// [`Loader::holds`].
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub(crate) fn start(
        source: Source,
        config: &TrainConfig,
        steps: Range<u64>,
        pixels: LoadedPixels,
        (ahead, in_hand): (usize, usize),
    ) -> Result<Self> {
        let pool = |threads: u64, purpose: &'static str| {
            let built = rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build();
            built.map_err(|error| TrainingError::Threads { purpose, source: error.into() })
        };
        let not_started = |error: std::io::Error| TrainingError::Threads { purpose: "load", source: error.into() };
        let (readers, makers) =
            (pool(config.train.read_threads, "read")?, pool(config.train.data_threads, "make views")?);
        let (read, files) = sync_channel(ahead.max(1));
        let reader = source.clone();
        let spawned = std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
            for step in steps {
                let fetched = readers.install(|| reader.fetch(step));
                let failed = fetched.is_err();
                // A closed channel means that training has stopped.
                if read.send(fetched).is_err() || failed {
                    return;
                }
            }
        });
        spawned.map_err(not_started)?;
        let (sender, batches) = sync_channel(ahead.saturating_sub(in_hand).max(1));
        let config = config.clone();
        let spawned = std::thread::Builder::new().name("loader".to_owned()).spawn(move || {
            for fetched in files {
                let make = || catch_torch_panic("make a batch", || source.batch(&config, fetched?, pixels));
                let batch = makers.install(make);
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        spawned.map_err(not_started)?;
        Ok(Self { batches, in_hand: VecDeque::new(), failed: None, waited_s: 0.0 })
    }

    /// Whether so many batches have come. It does not wait for them; an error among them comes out when the batch is asked for.
    pub(crate) fn holds(&mut self, wanted: usize) -> bool {
        while self.in_hand.len() < wanted && self.failed.is_none() {
            match self.batches.try_recv() {
                Ok(Ok(batch)) => self.in_hand.push_back(batch),
                Ok(Err(error)) => self.failed = Some(error),
                Err(_) => return false,
            }
        }
        self.in_hand.len() >= wanted
    }

    /// The next batch; the time spent waiting for it is kept. None once the process was asked to stop.
    ///
    /// # Errors
    /// A row that cannot be read or decoded.
    pub(crate) fn next_batch(&mut self, stop: &StopWish) -> Result<Option<LoadedBatch>> {
        if let Some(batch) = self.in_hand.pop_front() {
            return Ok(Some(batch));
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let asked = Instant::now();
        let batch = loop {
            if stop.asked() {
                break None;
            }
            match self.batches.recv_timeout(SLICE) {
                Ok(batch) => break Some(batch?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(TrainingError::LoaderEnded),
            }
        };
        self.waited_s += asked.elapsed().as_secs_f64();
        Ok(batch)
    }

    /// Seconds waited since this was last asked.
    pub(crate) fn take_waited_s(&mut self) -> f64 {
        std::mem::take(&mut self.waited_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn who_is_asked_to_stop_waits_for_no_batch() {
        // The store is away: nothing comes, and nothing ends either.
        let (_sender, batches) = sync_channel(1);
        let mut loader = Loader { batches, in_hand: VecDeque::new(), failed: None, waited_s: 0.0 };
        let flag = Arc::new(AtomicBool::new(false));
        let stop = StopWish::of(Arc::clone(&flag));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| loader.next_batch(&stop));
            flag.store(true, Ordering::Relaxed);
            assert!(waiting.join().unwrap().unwrap().is_none());
        });
    }
}
