//! Training from the job to its end: what is needed is made ready, the run is opened, the trainer takes its steps.
//!
//! Start-up rules: 1. a finished run says so and ends well; 2. a run with a checkpoint goes on from the newest whole one, and
//! where none is whole it says so and ends; 3. anything else begins at step 0. The step number, the configuration and the shard
//! set decide everything that is random, so going on needs no further state.

use std::sync::Arc;

use dino::State;
use run_folder::failure::sentence;
use run_folder::{CheckpointRecord, Loaded, Run, RunRecord};
use run_spec::ids::Step;
use serde::{Deserialize, Serialize};
use shards::{ShardCache, ShardSet};
use torch_shim::panics::catch_torch_panic;

use crate::diagnosis::Diagnosis;
use crate::error::{Result, TrainingError};
use crate::loader::Source;
use crate::pixels::Pixels;
use crate::snapshot::Loading;
use crate::trainer::{Attempt, Trainer};
use crate::{CacheFolder, Ending, Input, Observer, Ranks, TrainingFailure, TrainingJob, init_weights};

/// Trains until the last step, a wish to stop, or an error. An error is sent to the other ranks.
///
/// # Errors
/// What ended it, with the step and whether a rank was lost.
pub fn train(job: &TrainingJob<'_>, ranks: &Ranks, observer: &mut dyn Observer) -> Result<Ending, TrainingFailure> {
    begin(job, ranks, observer).map_err(|mut failure| {
        let reason = sentence(&failure);
        failure.rank_lost = ranks.lost() || Diagnosis::of(&reason) == Some(Diagnosis::DeviceFailed);
        ranks.abort(&reason);
        failure
    })
}

fn begin(job: &TrainingJob<'_>, ranks: &Ranks, observer: &mut dyn Observer) -> Result<Ending, TrainingFailure> {
    let run = Run::of(job.run.clone());
    // Everything that can be refused is refused before anything is written.
    let Prepared { record, source, mut state, pixels } = ranks.agree(prepare(job, ranks))?;
    let mut loaded = None;
    let opened = ranks.made_by_first(|| open(job, &run, &record, &mut state, &mut loaded))?;
    let (begun, attempt, checkpoint) = match opened {
        Opened::Going { record, attempt, checkpoint } => (record, attempt, checkpoint),
        Opened::Done(steps) => {
            if ranks.first() {
                tracing::info!("the run is done already: {steps} steps in {}", run.store().uri());
            }
            return Ok(Ending::Done);
        }
    };
    ranks.agree(record.same_as(&begun, run.store().uri()).map_err(TrainingError::from))?;
    let attempt = Attempt { job, record: &begun, run: &run, ranks, share: source.share, number: attempt };
    let mut trainer = Trainer::new(attempt, state, pixels, observer);
    let resumed = match checkpoint {
        Some(record) => trainer.resume(*record, loaded),
        None => Ok(()),
    };
    ranks.agree(resumed)?;
    let ended: Result<_> = catch_torch_panic("train", || Ok(trainer.go(source)));
    ended.unwrap_or_else(|error| Err(TrainingFailure { step: Some(trainer.step().into()), ..error.into() }))
}

/// What every rank has made before the run is touched.
struct Prepared {
    record: RunRecord,
    source: Source,
    state: State,
    pixels: Pixels,
}

fn prepare(job: &TrainingJob<'_>, ranks: &Ranks) -> Result<Prepared> {
    let TrainingJob { config, device, .. } = job;
    let cache = match &job.cache {
        Some(CacheFolder { folder, bytes }) => Some(Arc::new(ShardCache::open(folder, *bytes)?)),
        None => None,
    };
    let shards = Arc::new(ShardSet::open_with(&job.shards, cache)?);
    if shards.is_empty() {
        return Err(TrainingError::NoRows { uri: job.shards.uri().to_owned() });
    }
    (job.verify)(Input::Shards, &shards.digest()).map_err(TrainingError::Refused)?;
    let mut record = RunRecord::new(job.config, shards.digest(), shards.len(), job.code);
    let source = Source::new(config, shards, ranks.rank(), ranks.world())?;
    let pixels = Pixels::of(source.recipe(), device.device)?;
    let place = ranks.place();
    let made: Result<State> = catch_torch_panic("make the model", || Ok(State::of_rank(config, device.device, place)?));
    let mut state = made?;
    state.check_world(ranks.world())?;
    if let Some(uri) = &config.init.weights {
        let init = init_weights::start_from(&mut state, uri, &job.waiting)?;
        (job.verify)(Input::InitWeights(uri), &init.digest).map_err(TrainingError::Refused)?;
        if ranks.first() {
            init_weights::log(&init, uri);
        }
        record.init = Some(init);
    }
    Ok(Prepared { record, source, state, pixels })
}

/// What rank 0 finds when it opens the run, for all ranks.
#[derive(Serialize, Deserialize)]
enum Opened {
    /// The run is done, after so many steps.
    Done(Step),
    /// The run goes on as `attempt`, from `checkpoint` if there is one.
    Going { record: Box<RunRecord>, attempt: run_spec::ids::Attempt, checkpoint: Option<Box<CheckpointRecord>> },
}

fn open(
    job: &TrainingJob<'_>,
    run: &Run,
    mine: &RunRecord,
    state: &mut State,
    loaded: &mut Option<Loaded>,
) -> Result<Opened> {
    let record = run.begin(mine)?;
    if run.finished()?.is_some() {
        // Whoever asks for a run that is done relies on its result.
        return Ok(Opened::Done(run.last_checkpoint()?.0.step));
    }
    // First what can be refused, so that a start that cannot go on takes nothing over.
    let mut loading = Loading::into(state, record.config_digest);
    *loaded = run.load_newest(|record, at, piece| loading.take(record, at, piece))?;
    loading.finish()?;
    if loaded.is_none() && run.has_metrics()? {
        tracing::warn!(
            "{} has metrics of earlier steps, but no checkpoint: training begins again at step 0",
            run.store().uri()
        );
    }
    let attempt = run.claim_attempt(job.code)?;
    let checkpoint = loaded.as_ref().map(|loaded| Box::new(loaded.record.clone()));
    Ok(Opened::Going { record: Box::new(record), attempt, checkpoint })
}
