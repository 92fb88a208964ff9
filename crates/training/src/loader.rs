//! From plan to batch: rows are read, decoded and turned into views ahead of the step that needs them.
//!
//! One thread walks the plan in order and has `read_threads` helpers fetch the images of a step, most of whose time is waiting
//! for the store; another shares the images of a step that has come among `data_threads` helpers, which decode them and make
//! the views. Both hand on through bounded channels, so memory is flat. A view depends on (seed, draw, view) only, so
//! the number of helpers changes nothing but the time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use augment::{Image, Recipe, ViewKey, views_into};
use bytes::Bytes;
use rayon::prelude::*;
use run_spec::config::{KoleoExclude, TrainConfig};
use run_spec::plan::{Draw, Place, Plan, SampleSums};
use shards::{ShardError, ShardSet};

use crate::StopWish;
use crate::error::{Result, TrainingError};
use crate::koleo_exclusion;

/// How often one that waits for a batch looks whether it was asked to stop.
const SLICE: Duration = Duration::from_millis(100);

/// The pixels of one rank's part of a step, normalised.
#[derive(Debug)]
pub struct PixelBatch {
    /// The step.
    pub step: u64,
    /// Images B.
    pub images: usize,
    /// Which of them are twins, `[B]`, where KoLeo leaves some out.
    pub twins: Option<Vec<i64>>,
    /// Which they are.
    pub samples: SampleSums,
    /// `[2, B, 3, S, S]`.
    pub global: Vec<f32>,
    /// `[L, B, 3, s, s]`, empty where no local loss counts.
    pub local: Vec<f32>,
}

/// The image files of a step, not yet decoded.
struct Fetched {
    step: u64,
    draws: Vec<Draw>,
    files: Vec<Bytes>,
}

/// Batches of successive steps.
#[derive(Debug)]
pub struct Loader {
    batches: Receiver<Result<PixelBatch>>,
    waited_s: f64,
}

/// What a loader works on.
#[derive(Debug, Clone)]
pub struct Source {
    /// The shard set.
    pub shards: Arc<ShardSet>,
    /// The augmentation.
    pub recipe: Arc<Recipe>,
    /// The data walk.
    pub plan: Plan,
    /// Which part of each step.
    pub place: Place,
}

impl Source {
    /// The source of a configuration.
    ///
    /// # Errors
    /// A configuration that does not fit the shard set, or an augmentation that cannot be made.
    pub fn new(config: &TrainConfig, shards: Arc<ShardSet>, place: Place) -> Result<Self> {
        let plan = Plan::of(config, &shards.source_rows())?;
        Ok(Self { shards, recipe: Arc::new(Recipe::new(config)?), plan, place })
    }

    /// Reads this rank's part of `step`.
    fn fetch(&self, step: u64) -> Result<Fetched> {
        let draws = self.plan.rows_at(step, self.place);
        let files = draws.par_iter().map(|draw| self.shards.image_bytes(draw.row).map_err(of_row(draw.row)));
        let files = files.collect::<Result<_>>()?;
        Ok(Fetched { step, draws, files })
    }

    /// Decodes and augments what was read.
    fn batch(&self, config: &TrainConfig, fetched: Fetched) -> Result<PixelBatch> {
        let Fetched { step, draws, files } = fetched;
        let images = draws.len();
        let mut samples = SampleSums::default();
        for draw in &draws {
            samples.add(draw.draw, self.shards.meta(draw.row)?.id);
        }
        let (global_len, local_len) = (plane(config.crops.global_size), plane(config.crops.local_size));
        // The published `n_local: 1` makes none: its loss is never counted.
        let locals = self.recipe.n_local();
        let mut global = vec![0.0; 2 * images * global_len];
        let mut local = vec![0.0; locals * images * local_len];
        // Where each image's views go, in the order of their numbers.
        let mut places: Vec<Vec<&mut [f32]>> = (0..images).map(|_| Vec::with_capacity(2 + locals)).collect();
        let slots = global.chunks_exact_mut(global_len).chain(local.chunks_exact_mut(local_len));
        slots.enumerate().for_each(|(i, slot)| places[i % images].push(slot));
        let twins: Vec<i64> = draws
            .par_iter()
            .zip(files)
            .zip(places)
            .map(|((draw, file), places)| self.views_of(config, *draw, &file, places))
            .collect::<Result<_>>()?;
        let twins = excludes(config).then_some(twins);
        Ok(PixelBatch { step, images, twins, samples, global, local })
    }

    /// Makes the views of an image, and gives its number among twins, if that is asked for.
    fn views_of(&self, config: &TrainConfig, draw: Draw, file: &[u8], places: Vec<&mut [f32]>) -> Result<i64> {
        let seed = config.seed;
        let rgb = self.shards.rgb_of(draw.row, file).map_err(of_row(draw.row))?;
        let number = match excludes(config) {
            true => koleo_exclusion::number_of(config.loss.koleo_exclude, &self.shards.meta(draw.row)?, &rgb),
            false => 0,
        };
        let image = Image::new(rgb.height as usize, rgb.width as usize, rgb.data)?;
        views_into(&image, &self.recipe, ViewKey { seed, draw: draw.draw }, places);
        Ok(number)
    }
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
    /// Starts loading the steps `from..to`, at most `ahead` batches before they are asked for.
    ///
    /// # Errors
    /// Threads that cannot be started.
    pub fn start(source: Source, config: &TrainConfig, from: u64, to: u64, ahead: usize) -> Result<Self> {
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
            for step in from..to {
                let fetched = readers.install(|| reader.fetch(step));
                let failed = fetched.is_err();
                // A closed channel means that training has stopped.
                if read.send(fetched).is_err() || failed {
                    return;
                }
            }
        });
        spawned.map_err(not_started)?;
        let (sender, batches) = sync_channel(ahead.max(1));
        let config = config.clone();
        let spawned = std::thread::Builder::new().name("loader".to_owned()).spawn(move || {
            for fetched in files {
                let batch = makers.install(|| source.batch(&config, fetched?));
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        spawned.map_err(not_started)?;
        Ok(Self { batches, waited_s: 0.0 })
    }

    /// The next batch; the time spent waiting for it is kept. None once the process was asked to stop.
    ///
    /// # Errors
    /// A row that cannot be read or decoded.
    pub fn next_batch(&mut self, stop: &StopWish) -> Result<Option<PixelBatch>> {
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
    pub fn take_waited_s(&mut self) -> f64 {
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
        let mut loader = Loader { batches, waited_s: 0.0 };
        let flag = Arc::new(AtomicBool::new(false));
        let stop = StopWish::of(Arc::clone(&flag));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| loader.next_batch(&stop));
            flag.store(true, Ordering::Relaxed);
            assert!(waiting.join().unwrap().unwrap().is_none());
        });
    }
}
