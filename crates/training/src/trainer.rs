//! The training loop: step, log, checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use collective::sum_numbers;
use dino::tensor_bytes;
use dino::{Encoder, RankShare, State, StepReport};
use run_folder::failure::sentence;
use run_folder::{CheckpointRecord, HeldRecord, Loaded, Run, RunRecord, StepMetrics};
use run_spec::config::ResolvedConfig;
use run_spec::plan::SampleSums;
use run_spec::schedule::{Knobs, Schedules};
use shards::{CacheReport, ShardSet};
use torch_shim::crossing::Reading;

use crate::consumption::Consumption;
use crate::error::{Result, TrainingError};
use crate::failure::is_of_the_run_folder;
use crate::held::Held;
use crate::host_copies::HostCopies;
use crate::keeper::Keeper;
use crate::loader::{LoadedBatch, LoadedPixels, Loader, Source};
use crate::metrics::{Metrics, open_sinks};
use crate::pace::Pace;
use crate::pixels::Pixels;
use crate::snapshot::Loading;
use crate::{Ending, Observer, ProbeScores, Ranks, RanksError, TrainingFailure, TrainingJob};

mod checkpoints;
mod steps;

use steps::{Agreed, InFlight};

/// Steps that may fail in a row before the run stops.
const FAILURES_IN_A_ROW: u32 = 3;
/// Batches made ahead of the step that needs them.
const AHEAD: usize = 2 * IN_HAND;
/// Of these, those that the training thread holds already: a step is queued on trust where every rank holds the next. As many more are
/// ready, so that a thread that had none has all of them at once.
const IN_HAND: usize = 2;

/// One start of a run, on one rank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    /// What the program wants.
    pub(crate) job: &'a TrainingJob<'a>,
    /// What the run is.
    pub(crate) record: &'a RunRecord,
    /// The folder of the run.
    pub(crate) run: &'a Run,
    /// The ranks that train together, and this one among them.
    pub(crate) ranks: &'a Ranks,
    /// This rank's part of each step.
    pub(crate) share: RankShare,
    /// Its number, from 1.
    pub(crate) number: run_spec::ids::Attempt,
}

/// An attempt under way.
pub(crate) struct Trainer<'a> {
    attempt: Attempt<'a>,
    observer: &'a mut dyn Observer,
    state: State,
    pixels: Pixels,
    keeper: Keeper,
    consumption: Consumption,
    held: Held,
    /// The times of this attempt's steps, once they have begun.
    pace: Option<Pace>,
    /// Copies of the state, which the keeper writes.
    copies: HostCopies,
    metrics: Metrics,
    /// Steps done at the last online probe, and its score; of the first rank.
    scored: Option<(u64, f64)>,
    /// The checkpoint that this attempt goes on from.
    resumed: Option<CheckpointRecord>,
    /// The step to be queued next.
    step: u64,
    /// The one before it, as long as nobody has read it.
    in_flight: Option<InFlight>,
    /// What the ranks said with the last step that was read.
    agreed: Agreed,
    /// Seconds for which batches were waited for, of steps that are not counted yet.
    waited_s: f64,
    failed_in_a_row: u32,
    failed_steps: u64,
    /// Seconds of earlier attempts.
    seconds_before: f64,
    began: Instant,
}

impl<'a> Trainer<'a> {
    /// An attempt that begins at step 0.
    pub(crate) fn new(attempt: Attempt<'a>, state: State, pixels: Pixels, observer: &'a mut dyn Observer) -> Self {
        Self {
            attempt,
            observer,
            state,
            pixels,
            keeper: Keeper::new(attempt.run, attempt.number, &attempt.job.config.checkpoint),
            consumption: Consumption::begin(&attempt.job.place, &attempt.job.config.log),
            held: Held::begin(),
            pace: None,
            copies: HostCopies::new(),
            scored: None,
            metrics: Metrics::dropped(),
            resumed: None,
            step: 0,
            in_flight: None,
            agreed: Agreed::NOTHING,
            waited_s: 0.0,
            failed_in_a_row: 0,
            failed_steps: 0,
            seconds_before: 0.0,
            began: Instant::now(),
        }
    }

    /// Goes on from a checkpoint; the state of rank 0 holds it already, the others read it.
    pub(crate) fn resume(&mut self, record: CheckpointRecord, loaded: Option<Loaded>) -> Result<()> {
        let Attempt { run, record: begun, number, .. } = self.attempt;
        match loaded {
            Some(loaded) => self.keeper.go_on(&loaded)?,
            None => {
                let mut loading = Loading::into(&mut self.state, begun.config_digest);
                run.load(&record, |record, at, piece| loading.take(record, at, piece))?;
                loading.finish()?;
            }
        }
        self.step = record.step.get();
        self.failed_in_a_row = record.failed_in_a_row;
        self.failed_steps = record.failed_steps;
        self.seconds_before = record.seconds;
        self.consumption.go_on(record.energy.as_ref());
        if self.first() {
            tracing::info!("the run continues from a checkpoint, at step {} (attempt {number})", record.step);
        }
        self.resumed = Some(record);
        Ok(())
    }

    /// Trains; what ends it before its time keeps the metrics up to there.
    pub(crate) fn go(&mut self, source: Source) -> Result<Ending, TrainingFailure> {
        if self.first() {
            let uri = self.attempt.run.store().uri();
            self.metrics = Metrics::kept(open_sinks(&self.config().log, uri, self.attempt.number, self.step.into()));
        }
        if (self.first() || self.in_parts())
            && let Ok(bytes) = tensor_bytes::length(&self.state.described())
        {
            let bytes = if self.in_parts() { bytes.div_ceil(self.attempt.ranks.world()) } else { bytes };
            self.copies.prepare(bytes, self.state.device());
        }
        let ended = self.take_steps(source);
        if let Err(error) = &ended
            && self.first()
            && !is_of_the_run_folder(error)
            && let Err(lost) = self.keeper.stop(self.metrics.take(), self.step.into(), sentence(error))
        {
            tracing::warn!("the metrics since the last checkpoint are lost: {}", sentence(&lost));
        }
        ended.map_err(|error| TrainingFailure { step: Some(self.step.into()), ..error.into() })
    }

    fn take_steps(&mut self, source: Source) -> Result<Ending> {
        let (ranks, total) = (self.attempt.ranks, self.config().total_steps());
        let schedules = Schedules::new(self.config());
        let shards = Arc::clone(&source.shards);
        let pixels = LoadedPixels { as_levels: self.attempt.job.as_levels, device: self.attempt.job.device.device };
        let mut loader = Loader::start(source, self.config(), self.step..total, pixels, (AHEAD, IN_HAND))?;
        self.on_begin(total);
        self.look_back()?;
        self.pace = Some(Pace::begin(ranks, run_folder::host())?);
        self.finish_what_was_resumed(total)?;
        let mut next = self.next_batch(&mut loader, total)?;
        // Asked while it was loading: nothing was done that a checkpoint could keep.
        if self.step < total && self.is_to_stop()? {
            self.say_stopped_before_first_step();
            return Ok(Ending::Stopped);
        }
        while self.step < total {
            ranks.note(format_args!("step {}", self.step));
            let loaded = next.take().ok_or(TrainingError::LoaderEnded)?;
            self.waited_s += loader.take_waited_s();
            let wanted = IN_HAND.min((total - self.step - 1) as usize);
            let agreed = self.take_step(loaded, schedules.at(self.step), !loader.holds(wanted))?;
            self.step += 1;
            let asked = if agreed.lacking {
                // Who is asked to stop waits for no batch: the store may be away, and what was learned is to be kept.
                self.settle()?;
                next = self.next_batch(&mut loader, total)?;
                // A signal reaches the ranks at different moments: they stop after the same step.
                self.look_at_checkpoints(self.attempt.job.stop.asked())?
            } else {
                next = self.next_batch(&mut loader, total)?;
                self.keeper.look()?;
                agreed.asked
            };
            let asked = asked || self.is_as_far_as_asked();
            let kept_at = self.checkpoint(asked, total)?;
            self.pace.iter_mut().for_each(|pace| pace.skip(ranks));
            if asked && self.step < total {
                self.say_stopped(kept_at);
                return Ok(Ending::Stopped);
            }
        }
        self.on_end(total, &shards);
        Ok(Ending::Done)
    }

    /// Whether any rank was asked to stop, or the run has come as far as it is to come.
    fn is_to_stop(&self) -> Result<bool> {
        Ok(self.attempt.ranks.any(self.attempt.job.stop.asked())? || self.is_as_far_as_asked())
    }

    fn is_as_far_as_asked(&self) -> bool {
        self.attempt.job.stop_at.is_some_and(|at| self.step >= at)
    }

    /// Looks what earlier attempts have held and lost.
    fn look_back(&mut self) -> Result<()> {
        if self.first() {
            let Attempt { run, number, .. } = self.attempt;
            let lost = run.lost(self.resumed.as_ref(), number)?;
            self.held.go_on(self.resumed.as_ref().and_then(|resumed| resumed.held.as_ref()), lost);
        }
        Ok(())
    }

    fn held(&self, ends_attempt: bool) -> HeldRecord {
        self.held.record(self.pace.as_ref().map_or(0.0, Pace::total_s), ends_attempt)
    }

    fn next_batch(&self, loader: &mut Loader, total: u64) -> Result<Option<LoadedBatch>> {
        if self.step < total { loader.next_batch(&self.attempt.job.stop) } else { Ok(None) }
    }

    /// Adds the line of `step`, if it has one.
    fn log(
        &mut self,
        step: u64,
        report: &StepReport,
        (samples, gram): (&SampleSums, Option<Reading>),
        knobs: &Knobs,
    ) -> Result<()> {
        if !self.has_line(step) {
            return Ok(());
        }
        let mut measured = self.measure(report, samples)?;
        measured.rankme = gram.map(|gram| self.rank_me(gram)).transpose()?;
        if self.is_probed(step) {
            measured.probe = self.score(step)?;
        }
        self.metrics.count_upload(self.keeper.take_upload_s());
        let line = self.metrics.add(step.into(), report, knobs, measured);
        if self.first() {
            self.observer.on_metrics(&line);
        }
        Ok(())
    }

    /// Teacher entropy and the digest of the samples. All are of the global batch, so every rank takes part.
    fn measure(&mut self, report: &StepReport, samples: &SampleSums) -> Result<StepMetrics> {
        let Attempt { ranks, .. } = self.attempt;
        let samples = sum_numbers(ranks.peers(), &samples.numbers()).map_err(RanksError::from)?;
        let samples = SampleSums::digest(&samples);
        self.consumption.sum(ranks.peers()).map_err(RanksError::from)?;
        let energy = self.consumption.record();
        Ok(StepMetrics {
            ranks: self.pace.as_mut().and_then(|pace| pace.report(ranks).transpose()).transpose()?,
            kwh: Some(energy.kwh),
            estimated_kwh: Some(energy.estimated_kwh),
            kg_co2e: Some(energy.kg_co2e),
            teacher_entropy: Some(report.teacher_entropy),
            samples: Some(samples.short().to_owned()),
            ..StepMetrics::default()
        })
    }

    /// Scores the teacher as it is after this step. The first rank does, and the others wait for it; that it cannot is only said.
    fn score(&mut self, step: u64) -> Result<BTreeMap<String, Option<f64>>> {
        let Attempt { ranks, job, .. } = self.attempt;
        let scored: Result<Result<ProbeScores, _>> = match job.probe {
            Some(probe) if self.first() => {
                let doing = format!("the online probe after step {step}");
                ranks.at_store(doing, || Ok(probe.scores(&Encoder::teacher_of(&self.state)?)))
            }
            _ => Ok(Ok(ProbeScores::default())),
        };
        let scores = ranks.agree(scored)?.unwrap_or_else(|error| {
            let error = sentence(error.as_ref());
            tracing::warn!("step {step}: the teacher could not be scored, and training continues: {error}");
            ProbeScores::default()
        });
        self.scored = scores.decisive.map(|score| (step + 1, score));
        Ok(scores.by_probe.into_iter().map(|(name, score)| (name, Some(score))).collect())
    }

    fn on_begin(&mut self, total: u64) {
        let Attempt { job, record, ranks, .. } = self.attempt;
        if !self.first() {
            return;
        }
        tracing::info!(
            "training from step {} to {total}: batches of {} out of {} images, on {}, {}",
            self.step,
            job.config.train.batch_size,
            record.rows,
            job.device.description,
            ranks.description()
        );
        tracing::debug!(code = job.code, config = record.config_digest.short(), "recorded in run.json");
        if job.config.train.zero1 {
            self.say_who_holds_moments();
        }
        self.observer.on_begin(self.step, total);
    }

    fn say_who_holds_moments(&self) {
        let (held, all) = self.state.moment_bytes();
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let (rank_mb, all_mb, ranks) = (mb(held), mb(all), self.attempt.ranks.world());
        match ranks {
            1 => tracing::warn!(
                rank_mb,
                "train.zero1 saves nothing here: one rank trains, and holds all moments of AdamW; start more ranks, or set train.zero1 to false"
            ),
            _ => {
                tracing::info!(rank_mb, all_mb, ranks, "train.zero1: each rank holds its share of the moments of AdamW")
            }
        }
    }

    fn on_end(&mut self, total: u64, shards: &ShardSet) {
        if !self.first() {
            return;
        }
        self.observer.on_end();
        let goodput = self.held(true).goodput;
        tracing::info!("training finished: {total} steps in {:.0} s, goodput {goodput:.2}", self.seconds());
        if let Some(cache) = shards.cache_report() {
            let CacheReport { here, no_room, failed, hits, misses } = cache;
            tracing::info!(here, no_room, failed, hits, misses, "shard cache");
        }
    }

    fn say_stopped_before_first_step(&self) {
        let step = self.step;
        match self.first() {
            true if self.is_as_far_as_asked() => {
                tracing::info!("the run is at step {step} already, as asked; ask for a later step to continue it");
            }
            true => {
                tracing::info!("stopped as asked before its first step; the same command continues from step {step}")
            }
            false => {}
        }
    }

    fn say_stopped(&self, kept_at: Option<u64>) {
        match kept_at {
            Some(step) if self.first() && self.is_as_far_as_asked() => {
                tracing::info!("stopped at step {step}, as asked; ask for a later step to continue");
            }
            Some(step) if self.first() => {
                tracing::info!("stopped as asked; the same command continues from step {step}");
            }
            None => {
                let (step, from) = (self.step, self.keeper.kept_step());
                tracing::warn!(
                    "stopped as asked, but the checkpoint of step {step} could not be written: the same command continues from step {from} and repeats the steps since then"
                );
            }
            Some(_) => {}
        }
    }

    /// The current step, or the one after the last that was done.
    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    fn config(&self) -> &'a ResolvedConfig {
        self.attempt.job.config
    }

    fn first(&self) -> bool {
        self.attempt.ranks.first()
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }
}
