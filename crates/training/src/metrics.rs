//! Metrics as JSON lines. Lines wait in memory and are published with the next checkpoint, so a step that is done again
//! after a restart has one line that counts.

mod prometheus;
mod sinks;
mod tensorboard;

use std::time::Instant;

use dino::StepReport;
use run_folder::{MetricsLine, StepMetrics, StepOutcome};
use run_spec::ids::Step;
use run_spec::schedule::Knobs;

pub(crate) use sinks::open as open_sinks;
pub use sinks::{MetricSink, event_file, now};
pub use tensorboard::EventFile;

/// Collects the lines of an attempt.
#[derive(Debug)]
pub(crate) struct Metrics {
    lines: String,
    window: Window,
    /// Whether lines are kept; all ranks but the first make them and drop them.
    keep: bool,
    sinks: Vec<Box<dyn MetricSink>>,
}

/// What happened since the last line.
#[derive(Debug)]
struct Window {
    since: Instant,
    images: u64,
    steps: u64,
    waited_s: f64,
    /// Seconds that steps waited for the copies of checkpoints.
    stall_s: Option<f64>,
    /// Seconds of writing checkpoints beside the steps.
    upload_s: Option<f64>,
}

impl Window {
    fn new() -> Self {
        Self { since: Instant::now(), images: 0, steps: 0, waited_s: 0.0, stall_s: None, upload_s: None }
    }
}

impl Metrics {
    /// Keeps lines and passes them on to `sinks` at once.
    pub(crate) fn kept(sinks: Vec<Box<dyn MetricSink>>) -> Self {
        Self { lines: String::new(), window: Window::new(), keep: true, sinks }
    }

    /// Makes lines and drops them.
    pub(crate) fn dropped() -> Self {
        Self { keep: false, ..Self::kept(Vec::new()) }
    }

    /// Counts a step of `images` images, for which the loader was waited for `waited_s` seconds.
    pub(crate) fn count(&mut self, images: usize, waited_s: f64) {
        self.window.images += images as u64;
        self.window.steps += 1;
        self.window.waited_s += waited_s;
    }

    /// Counts a checkpoint for which training waited `seconds`.
    pub(crate) fn count_stall(&mut self, seconds: f64) {
        *self.window.stall_s.get_or_insert(0.0) += seconds;
    }

    /// Counts checkpoints that were written in `seconds`.
    pub(crate) fn count_upload(&mut self, seconds: Option<f64>) {
        self.window.upload_s =
            seconds.map(|seconds| self.window.upload_s.unwrap_or(0.0) + seconds).or(self.window.upload_s);
    }

    /// Adds the line of `step`: what `measured` holds already, and what the report says.
    pub(crate) fn add(&mut self, step: Step, report: &StepReport, knobs: &Knobs, measured: StepMetrics) -> MetricsLine {
        let window = std::mem::replace(&mut self.window, Window::new());
        let elapsed = window.since.elapsed().as_secs_f64().max(1e-9);
        let (images_per_s, data_wait) = (window.images as f64 / elapsed, window.waited_s / elapsed);
        let norms = report.norms.iter().map(|(name, norm)| ((*name).to_owned(), Some(*norm)));
        let several = report.transfer.bytes > 0;
        let metrics = StepMetrics {
            loss: Some(report.losses.total),
            dino_global: Some(report.losses.dino_global),
            dino_local: Some(report.losses.dino_local),
            ibot: Some(report.losses.ibot),
            koleo: Some(report.losses.koleo),
            sigreg: Some(report.losses.sigreg).filter(|value| *value != 0.0),
            lr: Some(knobs.lr),
            last_layer_lr: Some(knobs.last_layer_lr),
            wd: Some(knobs.wd),
            momentum: Some(knobs.momentum),
            teacher_temp: Some(knobs.teacher_temp),
            grad_norm: norms.collect(),
            images_per_s: Some(images_per_s),
            data_wait: Some(data_wait),
            memory_mb: Some(crate::process_memory::resident_mb()),
            all_reduce_s: several.then_some(report.transfer.seconds),
            checkpoint_stall_s: window.stall_s,
            checkpoint_upload_s: window.upload_s,
            all_reduce_hidden: several.then(|| report.transfer.hidden()),
            ..measured
        };
        self.push(MetricsLine { step, outcome: StepOutcome::Done(Box::new(metrics)) })
    }

    /// Adds the line of a step that was left out.
    pub(crate) fn add_failed(&mut self, step: Step, term: &str) -> MetricsLine {
        self.push(MetricsLine::left_out(step, term))
    }

    fn push(&mut self, line: MetricsLine) -> MetricsLine {
        match serde_json::to_string(&line) {
            _ if !self.keep => {}
            Ok(text) => {
                self.sinks.iter_mut().for_each(|sink| sink.take(&line));
                self.lines.push_str(&text);
                self.lines.push('\n');
            }
            Err(error) => tracing::error!(step = %line.step, %error, "a line of metrics is not JSON"),
        }
        line
    }

    /// The lines since this was last asked.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }
}
