//! Metrics as JSON lines. Lines wait in memory and are published with the next checkpoint, so a step that is done again
//! after a restart has one line that counts.

mod prometheus;
pub(crate) mod sides;
mod tensorboard;

use std::time::Instant;

use dino::StepReport;
use run_folder::{MetricsLine, StepMetrics, StepOutcome};
use run_spec::schedule::Knobs;
use sides::Sides;

/// Collects the lines of a run.
#[derive(Debug)]
pub(crate) struct Metrics {
    lines: String,
    window: Window,
    keep: bool,
    print: bool,
    sides: Sides,
}

/// What happened since the last line.
#[derive(Debug)]
struct Window {
    since: Instant,
    images: u64,
    steps: u64,
    waited_s: f64,
}

impl Window {
    fn new() -> Self {
        Self { since: Instant::now(), images: 0, steps: 0, waited_s: 0.0 }
    }
}

impl Metrics {
    /// Without `keep`, lines are made and dropped, as on all ranks but the first; with `print`, each goes to standard
    /// output too. Lines that are kept go to the `sides` at once.
    pub(crate) fn new(keep: bool, print: bool, sides: Sides) -> Self {
        Self { lines: String::new(), window: Window::new(), keep, print, sides }
    }

    /// Counts a step.
    pub(crate) fn count(&mut self, images: usize, waited_s: f64) {
        self.window.images += images as u64;
        self.window.steps += 1;
        self.window.waited_s += waited_s;
    }

    /// Adds the line of `step` to what `measured` holds already. Returns images per second and the share of time waiting.
    pub(crate) fn add(&mut self, step: u64, report: &StepReport, knobs: &Knobs, measured: StepMetrics) -> (f64, f64) {
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
            lr: Some(knobs.lr),
            last_layer_lr: Some(knobs.last_layer_lr),
            wd: Some(knobs.wd),
            momentum: Some(knobs.momentum),
            teacher_temp: Some(knobs.teacher_temp),
            grad_norm: norms.collect(),
            images_per_s: Some(images_per_s),
            data_wait: Some(data_wait),
            memory_mb: Some(resident_mb()),
            all_reduce_s: several.then_some(report.transfer.seconds),
            all_reduce_hidden: several.then(|| report.transfer.hidden()),
            ..measured
        };
        self.push(&MetricsLine { step, outcome: StepOutcome::Done(Box::new(metrics)) });
        (images_per_s, data_wait)
    }

    /// Adds the line of a step that was left out.
    pub(crate) fn add_failed(&mut self, step: u64, term: &str) {
        self.push(&MetricsLine::left_out(step, term));
    }

    fn push(&mut self, line: &MetricsLine) {
        if !self.keep {
            return;
        }
        let text = match serde_json::to_string(line) {
            Ok(text) => text,
            Err(error) => return tracing::error!(step = line.step, %error, "a line of metrics is no JSON"),
        };
        if self.print {
            crate::output::line(&text);
        }
        self.sides.take(line);
        self.lines.push_str(&text);
        self.lines.push('\n');
    }

    /// The lines since this was last asked.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }
}

/// Memory of this process in mebibytes, 0 where the system does not say.
pub(crate) fn resident_mb() -> u64 {
    memory_mb("VmRSS:")
}

/// The most memory that this process has had, in mebibytes.
pub(crate) fn peak_mb() -> u64 {
    memory_mb("VmHWM:")
}

fn memory_mb(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}
