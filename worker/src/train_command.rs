//! `worker train`: the arguments as a job, and its progress for people.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use collective::rendezvous::Board;
use energy::Gpu;
use indicatif::{ProgressBar, ProgressStyle};
use run_folder::failure::STOPPED;
use run_folder::{MetricsLine, Run};
use store::{Store, Waiting};
use training::{CacheFolder, Ending, Input, NodePlace, NoteInRun, Observer, TrainingJob};

use crate::cli::TrainArgs;
use crate::environment::{self, Environment};
use crate::online_probe::OnlineProbe;
use crate::{config_file, device, expectation, ranks, signals, version};

/// Seconds between log lines about steps, where no bar shows them.
const LINE_EVERY_S: u64 = 10;

/// Trains until the last step, a wish to stop, or an error.
pub(crate) fn train(args: &TrainArgs, environment: &Environment) -> Result<ExitCode> {
    let stop = signals::listen()?;
    expectation::program(&args.expect)?;
    let config = config_file::read(&args.config, &args.set)?;
    // The device first: on it depends what joins the ranks.
    let device = device::open(config.device, config.train.threads, environment)?;
    if config.train.deterministic {
        torch_shim::device::set_deterministic(true)?;
    }
    // A rank may be waiting for its store while the others wait for it.
    let deadline_s = config.train.step_deadline_s + config.store.retry_for as f64;
    let waiting = Waiting {
        limit: Duration::from_secs(config.store.retry_for),
        // What is started again has reached its store before.
        known: environment.restarted,
        hurry: stop.flag(),
    };
    // What is wrong with the address is told below, by a rank that the others hear.
    let notes = Store::open(&args.out).ok().map(|store| NoteInRun(Run::of(store.waiting(waiting.clone()))));
    let notes = notes.map(|notes| Arc::new(notes) as Arc<dyn Board>);
    let ranks = ranks::join_by_notes(config.collective, device.device, deadline_s, environment, notes)?;
    let patient = |uri: &str| -> Result<Store> { Ok(Store::open(uri)?.waiting(waiting.clone())) };
    let open_probe = || if ranks.first() { OnlineProbe::open(&config, patient) } else { Ok(None) };
    let probe = ranks::or_abort(&ranks, open_probe())?;
    let verify = |input: Input<'_>, digest: &_| {
        let (key, place) = match input {
            Input::Shards => (expectation::Key::Shards, args.shards.as_str()),
            Input::InitWeights(uri) => (expectation::Key::InitWeights, uri),
        };
        Ok(expectation::digest(&args.expect, key, place, digest)?)
    };
    let job = ranks::or_abort(
        &ranks,
        (|| {
            Ok(TrainingJob {
                config: &config,
                run: patient(&args.out)?,
                shards: patient(&args.shards)?,
                waiting: waiting.clone(),
                cache: cache(args)?,
                place: place(device.device, environment),
                as_levels: device.device.is_cuda(),
                device,
                code: version::CODE,
                stop_at: args.stop_at,
                stop,
                probe: probe.as_ref().map(|probe| probe as &dyn training::OnlineProbe),
                verify: &verify,
            })
        })(),
    )?;
    match training::train(&job, &ranks, &mut Progress::new(args.print_metrics))? {
        Ending::Done => Ok(ExitCode::SUCCESS),
        Ending::Stopped => Ok(ExitCode::from(STOPPED)),
    }
}

/// Where this rank's energy is counted.
fn place(device: tch::Device, environment: &Environment) -> NodePlace {
    let visible = environment::variable("CUDA_VISIBLE_DEVICES");
    let gpu = match device {
        tch::Device::Cuda(number) => Gpu::of_cuda(number, visible.as_deref()),
        _ => None,
    };
    NodePlace { first_of_node: environment.launch.local_rank == 0, gpu }
}

fn cache(args: &TrainArgs) -> Result<Option<CacheFolder>> {
    let gib = args.shard_cache_gib;
    anyhow::ensure!(gib.is_finite() && gib >= 0.0, "--shard-cache-gib {gib}: a number of GiB, 0 or more, is needed");
    let bytes = (gib * (1u64 << 30) as f64) as u64;
    Ok(args.shard_cache.clone().map(|folder| CacheFolder { folder, bytes }))
}

/// Shows a bar on a terminal, and elsewhere a log line now and then.
#[derive(Debug)]
struct Progress {
    bar: ProgressBar,
    total: u64,
    /// Where and when this process began.
    begun: Option<(u64, Instant)>,
    last_line: Option<Instant>,
    /// Whether each line of metrics goes to standard output too.
    print_metrics: bool,
}

impl Progress {
    fn new(print_metrics: bool) -> Self {
        Self { bar: ProgressBar::hidden(), total: 0, begun: None, last_line: None, print_metrics }
    }

    /// Seconds until the last step, at the mean rate so far.
    fn seconds_left(&self, done: u64) -> Option<f64> {
        let (from, since) = self.begun?;
        let each = since.elapsed().as_secs_f64() / done.checked_sub(from).filter(|steps| *steps > 0)? as f64;
        Some(each * self.total.saturating_sub(done) as f64)
    }

    fn line_is_due(&self, step: u64) -> bool {
        let waited = self.last_line.is_none_or(|last| last.elapsed().as_secs() >= LINE_EVERY_S);
        self.bar.is_hidden() && (step + 1 == self.total || step == 0 || waited)
    }
}

impl Observer for Progress {
    fn on_begin(&mut self, from: u64, total: u64) {
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} steps, {eta} left, {msg}");
        self.bar = ProgressBar::new(total).with_position(from);
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        (self.total, self.begun, self.last_line) = (total, Some((from, Instant::now())), Some(Instant::now()));
    }

    fn on_metrics(&mut self, line: &MetricsLine) {
        if let Some(text) = self.print_metrics.then(|| serde_json::to_string(line).ok()).flatten() {
            terminal::line(text);
        }
        let Some(metrics) = line.done() else { return };
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let (loss, images_per_s) = (number(metrics.loss), number(metrics.images_per_s));
        self.bar.set_message(format!("loss {loss:.4}, {images_per_s:.1} images/s"));
        if self.line_is_due(line.step.get()) {
            self.last_line = Some(Instant::now());
            let (step, waited) = (line.step, 100.0 * number(metrics.data_wait));
            let left = self
                .seconds_left(step.get() + 1)
                .map_or_else(String::new, |seconds| format!(", {} left", terminal::duration(seconds)));
            tracing::info!(
                "step {step} of {}: loss {loss:.4}, {images_per_s:.1} images/s, {waited:.1} % of the time waiting for data{left}",
                self.total
            );
        }
    }

    fn on_step(&mut self, done: u64) {
        self.bar.set_position(done);
    }

    fn on_end(&mut self) {
        self.bar.finish_and_clear();
    }
}
