//! `worker train`: the loop, readable from top to bottom.
//!
//! Start-up rules: 1. a finished run says so and ends well; 2. a run with a checkpoint goes on from the newest whole one, and
//! where none is whole it says so and ends; 3. anything else begins at step 0. The step number, the configuration and the shard set decide everything that is
//! random, so going on needs no further state.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use collective::sum_numbers;
use dino::{CropBatch, DinoError, MaskPlan, Share, State, StepReport};
use indicatif::{ProgressBar, ProgressStyle};
use run_folder::failure::{FailureKind, STOPPED};
use run_folder::{CaptureRecord, CheckpointRecord, Loaded, Run, RunError, RunRecord, StepMetrics};
use run_spec::config::{ResolvedConfig, TrainConfig};
use run_spec::ids::Digest;
use run_spec::plan::{Place, SampleSums};
use run_spec::schedule::Schedules;
use serde::{Deserialize, Serialize};
use shards::{CacheReport, ShardCache, ShardSet};
use store::{Store, Waiting};
use tch::{Kind, Tensor};

use crate::cli::TrainArgs;
use crate::device;
use crate::expect;
use crate::keeper::Keeper;
use crate::loader::{Loader, PixelBatch, Source};
use crate::metrics::Metrics;
use crate::metrics::sides::Sides;
use crate::ranks::Ranks;
use crate::signals::StopWish;
use crate::{failure, snapshot, weights};

/// Steps that may fail in a row before the run stops.
const FAILURES_IN_A_ROW: u32 = 3;
/// Batches made ahead of the step that needs them.
const AHEAD: usize = 3;

/// Reads a configuration file with `--set` changes.
pub(crate) fn read_config(path: &std::path::Path, sets: &[String]) -> Result<ResolvedConfig> {
    let bytes = std::fs::read(path).with_context(|| format!("read the train config {}", path.display()))?;
    Ok(ResolvedConfig::from_yaml(&bytes, &path.display().to_string(), sets)?)
}

/// Trains until the last step, a wish to stop, or three failed steps in a row.
pub(crate) fn train(args: &TrainArgs) -> Result<ExitCode> {
    let stop = StopWish::listen()?;
    expect::program(&args.expect)?;
    let config = read_config(&args.config, &args.set)?;
    // The device first: on it depends what joins the ranks.
    let place = device::open(config.device, config.train.threads)?;
    // A rank may be waiting for its store while the others wait for it.
    let deadline_s = config.train.step_deadline_s + config.store.retry_for as f64;
    let ranks = Ranks::join(config.collective, place.device, deadline_s)?;
    let trained = train_on(&ranks, args, &config, place, &stop).map_err(|error| {
        let lost = ranks.lost() || device::failed(&crate::sentence(&error));
        if lost { failure::of_kind(FailureKind::RankLost, error) } else { error }
    });
    ranks.or_abort(trained)
}

fn bytes_of(gib: f64) -> Result<u64> {
    anyhow::ensure!(gib.is_finite() && gib >= 0.0, "--shard-cache-gib {gib}: a number of GiB, 0 or more, is needed");
    Ok((gib * (1u64 << 30) as f64) as u64)
}

/// What rank 0 finds when it opens the run, for all ranks.
#[derive(Serialize, Deserialize)]
enum Opened {
    /// It is done, after so many steps.
    Done(u64),
    /// It goes on as `attempt`, from `checkpoint` if there is one.
    Going { record: Box<RunRecord>, attempt: u32, checkpoint: Option<CheckpointRecord> },
}

fn train_on(
    ranks: &Ranks,
    args: &TrainArgs,
    config: &ResolvedConfig,
    place: device::Place,
    stop: &StopWish,
) -> Result<ExitCode> {
    let waiting = Waiting {
        limit: Duration::from_secs(config.store.retry_for),
        // What Slurm starts again has reached its store before.
        known: std::env::var("SLURM_RESTART_COUNT").is_ok_and(|count| count != "0"),
        hurry: stop.flag(),
    };
    let patient = |uri: &str| -> Result<Store> { Ok(Store::open(uri)?.waiting(waiting.clone())) };
    let run = Run::of(patient(&args.out)?);
    // Everything that can be refused is refused before anything is written.
    let ready = ranks.agree((|| {
        let cache = match &args.shard_cache {
            Some(folder) => Some(Arc::new(ShardCache::open(folder, bytes_of(args.shard_cache_gib)?)?)),
            None => None,
        };
        let shards = Arc::new(ShardSet::open_with(&patient(&args.shards)?, cache)?);
        if shards.is_empty() {
            bail!("{}: the shard set has no rows to train on", args.shards);
        }
        expect::digest(&args.expect, expect::Key::Shards, &args.shards, &shards.digest())?;
        let share = Share::of(config.train.batch_size, config.train.loss_groups, ranks.rank(), ranks.world())?;
        let mut record = RunRecord::new(config, shards.digest(), shards.len(), crate::version::CODE);
        let data = Place { rank: ranks.rank() as u64, world: ranks.world() as u64 };
        let source = Source::new(config, shards, data)?;
        let mut state = device::guard("make the model", || Ok(State::new(config, place.device)?))?;
        state.check_world(ranks.world())?;
        if let Some(uri) = &config.init.weights {
            let init = weights::start_from(&mut state, uri, &waiting)?;
            expect::digest(&args.expect, expect::Key::InitWeights, uri, &init.digest)?;
            if ranks.first() {
                weights::log(&init, uri);
            }
            record.init = Some(init);
        }
        Ok((record, source, share, state))
    })());
    let (mine, source, share, state) = ready?;
    let mut loaded = None;
    let opened = ranks.made_by_first(|| {
        let record = run.begin(&mine)?;
        if run.finished()?.is_some() {
            // Whoever asks for a run that is done relies on its result.
            return Ok(Opened::Done(run.last_checkpoint()?.0.step));
        }
        // First what can be refused, so that a start that cannot go on takes nothing over.
        loaded = run.newest_whole()?;
        if loaded.is_none() && run.has_metrics()? {
            tracing::warn!(
                run = args.out,
                "no checkpoint is there, though metrics of earlier steps are: training begins again at step 0"
            );
        }
        let attempt = run.claim_attempt(crate::version::CODE)?;
        let checkpoint = loaded.as_ref().map(|loaded| loaded.record.clone());
        Ok(Opened::Going { record: Box::new(record), attempt, checkpoint })
    })?;
    let (record, attempt, checkpoint) = match opened {
        Opened::Going { record, attempt, checkpoint } => (record, attempt, checkpoint),
        Opened::Done(steps) => {
            if ranks.first() {
                tracing::info!(steps, run = args.out, "the run is done already");
            }
            return Ok(ExitCode::SUCCESS);
        }
    };
    ranks.agree(mine.same_as(&record, &args.out).map_err(Into::into))?;
    let mut trainer = Trainer::new(config, &record, &run, ranks, share, attempt, place, state);
    let resumed = match checkpoint {
        Some(record) => trainer.resume(record, loaded),
        None => Ok(()),
    };
    ranks.agree(resumed)?;
    device::guard("train", || trainer.go(source, args, stop))
}

/// A run in hand.
struct Trainer<'a> {
    config: &'a TrainConfig,
    record: &'a RunRecord,
    run: &'a Run,
    ranks: &'a Ranks,
    share: Share,
    attempt: u32,
    place: device::Place,
    state: State,
    keeper: Keeper<'a>,
    /// The checkpoint that this attempt goes on from.
    resumed: Option<CheckpointRecord>,
    step: u64,
    failed_in_a_row: u32,
    failed_steps: u64,
    /// Seconds of earlier attempts.
    seconds_before: f64,
    began: Instant,
}

impl<'a> Trainer<'a> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a trainer, once")]
    fn new(
        config: &'a TrainConfig,
        record: &'a RunRecord,
        run: &'a Run,
        ranks: &'a Ranks,
        share: Share,
        attempt: u32,
        place: device::Place,
        state: State,
    ) -> Self {
        Self {
            config,
            record,
            run,
            ranks,
            share,
            attempt,
            place,
            state,
            keeper: Keeper::new(run, attempt, config.checkpoint.keep),
            resumed: None,
            step: 0,
            failed_in_a_row: 0,
            failed_steps: 0,
            seconds_before: 0.0,
            began: Instant::now(),
        }
    }

    /// Goes on from a checkpoint; rank 0 has its bytes already, the others read them.
    fn resume(&mut self, record: CheckpointRecord, loaded: Option<Loaded>) -> Result<()> {
        let bytes = match loaded {
            Some(loaded) => {
                self.keeper.go_on(&loaded)?;
                loaded.bytes
            }
            None => self.run.read_checkpoint(&record)?,
        };
        self.state.load(&snapshot::of_run(&bytes, &record.key, &self.record.config_digest)?, &record.key)?;
        self.step = record.step;
        self.failed_in_a_row = record.failed_in_a_row;
        self.failed_steps = record.failed_steps;
        self.seconds_before = record.seconds;
        if self.ranks.first() {
            tracing::info!(step = record.step, attempt = self.attempt, "the run goes on from a checkpoint");
        }
        self.resumed = Some(record);
        Ok(())
    }

    /// Trains; what ends it before its time keeps the metrics up to there.
    fn go(&mut self, source: Source, args: &TrainArgs, stop: &StopWish) -> Result<ExitCode> {
        let sides = match self.ranks.first() {
            true => Sides::open(&self.config.log, self.run.store().uri(), self.attempt, self.step),
            false => Sides::default(),
        };
        let mut metrics = Metrics::new(self.ranks.first(), args.print_metrics, sides);
        let ended = self.steps(source, args, stop, &mut metrics);
        if let Err(error) = &ended
            && self.ranks.first()
            && !store_failed(error)
            && let Err(lost) = self.keeper.stop(metrics.take(), self.step, crate::sentence(error))
        {
            tracing::warn!("the metrics since the last checkpoint are not kept: {}", crate::sentence(&lost));
        }
        ended.map_err(|error| failure::at_step(self.step, error))
    }

    fn steps(&mut self, source: Source, args: &TrainArgs, stop: &StopWish, metrics: &mut Metrics) -> Result<ExitCode> {
        let (ranks, first) = (self.ranks, self.ranks.first());
        let total = self.config.total_steps();
        let schedules = Schedules::new(self.config);
        let shards = Arc::clone(&source.shards);
        let mut loader = Loader::start(source, self.config, self.step, total, AHEAD)?;
        let bar = if first { progress(self.step, total) } else { ProgressBar::hidden() };
        if first {
            tracing::info!(
                steps = total,
                from = self.step,
                batch_size = self.config.train.batch_size,
                rows = self.record.rows,
                device = self.place.words,
                ranks = ranks.words,
                code = crate::version::CODE,
                config = self.record.config_digest.short(),
                "training"
            );
        }
        if let Some(last) = self.resumed.take().filter(|last| first && last.step == total) {
            // The last checkpoint was written, and then the attempt ended before it could say so.
            self.finish(last)?;
        }
        let mut last_line = Instant::now();
        let mut next = (self.step < total).then(|| loader.next_batch(stop)).transpose()?.flatten();
        // Asked while it was loading: nothing was done that a checkpoint could keep.
        if self.step < total && ranks.any(stop.asked())? {
            if first {
                tracing::warn!(
                    step = self.step,
                    "stopped as asked before its first step; the same command goes on from here"
                );
            }
            return Ok(ExitCode::from(STOPPED));
        }
        while self.step < total {
            ranks.note(format_args!("step {}", self.step));
            let pixels = next.take().context("a step is begun with its batch in hand")?;
            let batch = self.crops(&pixels)?;
            let knobs = schedules.at(self.step);
            match self.state.step(&batch, &knobs, ranks.peers()) {
                Ok(report) => {
                    self.failed_in_a_row = 0;
                    metrics.count(self.share.total as usize, loader.take_waited_s());
                    let last = self.step + 1 == total;
                    if last || self.step.is_multiple_of(self.config.log.every_steps) {
                        let more = self.more_measures(&report, &pixels, last)?;
                        let (images_per_s, data_wait) = metrics.add(self.step, &report, &knobs, more);
                        bar.set_message(format!("loss {:.4}, {images_per_s:.1} images/s", report.losses.total));
                        // On a terminal the bar says it; elsewhere a line now and then does.
                        if first && bar.is_hidden() && (last || self.step == 0 || last_line.elapsed().as_secs() >= 10) {
                            last_line = Instant::now();
                            tracing::info!(
                                step = self.step,
                                of = total,
                                loss = report.losses.total,
                                images_per_s,
                                data_wait,
                                "step"
                            );
                        }
                    }
                }
                Err(DinoError::NonFinite(found)) => {
                    let term = found.to_string();
                    let captured = self.failed(&batch, &term, metrics);
                    ranks.agree(captured)?;
                    if self.failed_in_a_row >= FAILURES_IN_A_ROW {
                        let why = anyhow::anyhow!(
                            "{FAILURES_IN_A_ROW} steps in a row were not finite (last: {term} at step {}); they are under {} and `worker step --failed` \
                             does them again; lower optim.{} or loss.koleo_weight, or raise loss.koleo_pair_eps, and start a new run",
                            self.step,
                            self.run.store().uri_of("failed"),
                            if self.config.optim.lr.is_some() { "lr" } else { "base_lr" }
                        );
                        return Err(failure::of_kind(FailureKind::NonFinite, why));
                    }
                }
                Err(error) => return Err(error.into()),
            }
            self.step += 1;
            bar.set_position(self.step);
            // Who is asked to stop waits for no batch: the store may be away, and what was learned is to be kept.
            next = (self.step < total).then(|| loader.next_batch(stop)).transpose()?.flatten();
            // A signal reaches the ranks at different moments: they stop after the same step.
            let asked = ranks.any(stop.asked())? || args.stop_at == Some(self.step);
            let mut kept_at = Some(self.step);
            if self.step == total || asked || self.step.is_multiple_of(self.config.checkpoint.every_steps) {
                ranks.agree(self.state.verify_equal(ranks.peers()).map_err(Into::into))?;
                let doing = format!("the checkpoint of step {}", self.step);
                let mut keep = || self.keep(metrics, self.step == total);
                let kept = if first { ranks.at_store(doing, &mut keep) } else { Ok(kept_at) };
                kept_at = ranks.agree(kept)?;
            }
            if asked && self.step < total {
                match kept_at {
                    Some(step) if first => tracing::warn!(step, "stopped as asked; the same command goes on from here"),
                    None => tracing::warn!(
                        "stopped as asked; the same command goes on from the last checkpoint that was written"
                    ),
                    Some(_) => {}
                }
                return Ok(ExitCode::from(STOPPED));
            }
        }
        bar.finish_and_clear();
        if first {
            tracing::info!(steps = total, seconds = self.seconds(), "the run is done");
            if let Some(cache) = shards.cache_report() {
                let CacheReport { here, no_room, failed, hits, misses } = cache;
                tracing::info!(here, no_room, failed, hits, misses, "shard cache");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Pixels as tensors, with the masks of the step.
    fn crops(&self, pixels: &PixelBatch) -> Result<CropBatch> {
        crop_batch(self.config, pixels, &self.share, self.place.device)
    }

    /// Teacher entropy and the digest of the samples every line; RankMe, which costs a decomposition, now and then.
    ///
    /// All are of the global batch, so every rank takes part.
    fn more_measures(&self, report: &StepReport, pixels: &PixelBatch, last: bool) -> Result<StepMetrics> {
        let peers = self.ranks.peers();
        let samples = SampleSums::digest(&sum_numbers(peers, &pixels.samples.numbers())?);
        let mut measured = StepMetrics {
            teacher_entropy: Some(report.teacher_entropy),
            samples: Some(samples.short().to_owned()),
            ..StepMetrics::default()
        };
        if last || self.step.is_multiple_of(self.config.log.collapse_every_steps) {
            let d = report.features.size()[1];
            let all = self.share.gather(&report.features.view([2, self.share.images, d]), peers)?;
            if self.ranks.first() {
                measured.rankme = Some(dino::collapse::rank_me(&all.view([-1, d])));
            }
        }
        Ok(measured)
    }

    /// Keeps what is needed to run the step again: each rank its batch and masks, the first the state before it.
    fn failed(&mut self, batch: &CropBatch, term: &str, metrics: &mut Metrics) -> Result<()> {
        self.failed_in_a_row += 1;
        self.failed_steps += 1;
        if self.ranks.first() {
            tracing::warn!(
                step = self.step,
                term,
                in_a_row = self.failed_in_a_row,
                "a step was not finite and was left out"
            );
        }
        metrics.add_failed(self.step, term);
        let mut tensors = vec![
            ("global".to_owned(), batch.global.shallow_clone()),
            ("masks".to_owned(), batch.masks.to_kind(Kind::Uint8)),
        ];
        tensors.extend(batch.local.as_ref().map(|local| ("local".to_owned(), local.shallow_clone())));
        if self.ranks.first() {
            tensors.extend(self.state.tensors().into_iter().map(|(name, tensor)| (format!("state.{name}"), tensor)));
        }
        tensors.extend(batch.twins.as_ref().map(|twins| ("twins".to_owned(), twins.shallow_clone())));
        let bytes = snapshot::to_bytes(&tensors, &[("step", self.step.to_string()), ("term", term.to_owned())])?;
        let record = CaptureRecord {
            step: self.step,
            attempt: self.attempt,
            rank: self.ranks.rank() as u32,
            world: self.ranks.world() as u32,
            term: term.to_owned(),
            key: String::new(),
            bytes: 0,
            digest: Digest::of(b""),
        };
        self.keeper.capture(record, bytes)
    }

    /// Publishes metrics and a checkpoint, and after the last step that the run is done. Gives the step of the checkpoint;
    /// none where the store cannot be written now and the next checkpoint will do.
    fn keep(&mut self, metrics: &mut Metrics, done: bool) -> Result<Option<u64>> {
        let facts = [("step", self.step.to_string()), ("config", self.record.config_digest.to_string())];
        let bytes = snapshot::to_bytes(&self.state.tensors(), &facts)?;
        let record = CheckpointRecord {
            step: self.step,
            attempt: self.attempt,
            key: String::new(),
            bytes: 0,
            digest: Digest::of(b""),
            failed_in_a_row: self.failed_in_a_row,
            failed_steps: self.failed_steps,
            seconds: self.seconds(),
            metrics: None,
        };
        let kept = self.keeper.checkpoint(metrics.take(), record, bytes, done)?;
        if let (Some(checkpoint), true) = (&kept, done) {
            self.finish(checkpoint.clone())?;
        }
        Ok(kept.map(|_| self.step))
    }

    fn finish(&self, last: CheckpointRecord) -> Result<()> {
        self.run.still_ours(self.attempt)?;
        Ok(self.run.finish(last, self.place.words.clone(), self.attempt)?)
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }
}

/// Whether the store is at fault: it is not asked once more.
fn store_failed(error: &anyhow::Error) -> bool {
    failure::of_store(error).is_some() || error.chain().any(|cause| cause.is::<RunError>())
}

/// A step's pixels as tensors on `device`, with the masks of (seed, step) for this share of the batch.
pub(crate) fn crop_batch(
    config: &TrainConfig,
    pixels: &PixelBatch,
    share: &Share,
    device: tch::Device,
) -> Result<CropBatch> {
    let (b, s, l) = (pixels.images as i64, config.crops.global_size, config.crops.local_size);
    let global = Tensor::from_slice(&pixels.global).view([2, b, 3, s, s]).to_device(device);
    let local = (!pixels.local.is_empty())
        .then(|| Tensor::from_slice(&pixels.local).view([config.loss.n_local, b, 3, l, l]).to_device(device));
    let masks = dino::masks::batch(&MaskPlan {
        config: &config.masks,
        seed: config.seed,
        step: pixels.step,
        share: *share,
        grid: config.grid(),
    });
    let twins = pixels.twins.as_deref().map(Tensor::from_slice);
    Ok(CropBatch { global, local, masks: masks.to_device(device), twins })
}

fn progress(from: u64, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_position(from);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} steps, {eta} left, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
