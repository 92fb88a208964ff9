//! Metrics as JSON lines. Lines wait in memory and are published with the next checkpoint, so a step that is done again
//! after a restart has one line that counts.

mod prometheus;
pub(crate) mod sides;
mod tensorboard;

use std::time::Instant;

use dino::StepReport;
use run_spec::schedule::Knobs;
use serde_json::{Map, Value, json};
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

    /// Adds the line of `step`; `more` is merged into it. Returns images per second and the share of time waiting.
    pub(crate) fn add(
        &mut self,
        step: u64,
        report: &StepReport,
        knobs: &Knobs,
        more: Map<String, Value>,
    ) -> (f64, f64) {
        let window = std::mem::replace(&mut self.window, Window::new());
        let elapsed = window.since.elapsed().as_secs_f64().max(1e-9);
        let (images_per_s, data_wait) = (window.images as f64 / elapsed, window.waited_s / elapsed);
        let mut line = json!({
            "step": step,
            "loss": report.losses.total,
            "dino_global": report.losses.dino_global,
            "dino_local": report.losses.dino_local,
            "ibot": report.losses.ibot,
            "koleo": report.losses.koleo,
            "lr": knobs.lr,
            "last_layer_lr": knobs.last_layer_lr,
            "wd": knobs.wd,
            "momentum": knobs.momentum,
            "teacher_temp": knobs.teacher_temp,
            "grad_norm": report.norms.iter().map(|(name, norm)| ((*name).to_owned(), json!(norm))).collect::<Map<_, _>>(),
            "images_per_s": images_per_s,
            "data_wait": data_wait,
            "memory_mb": resident_mb(),
        });
        if report.transfer.bytes > 0 {
            line["all_reduce_s"] = json!(report.transfer.seconds);
            line["all_reduce_hidden"] = json!(report.transfer.hidden());
        }
        if let Some(map) = line.as_object_mut() {
            map.extend(more);
        }
        self.push(&line);
        (images_per_s, data_wait)
    }

    /// Adds the line of a step that was left out.
    pub(crate) fn add_failed(&mut self, step: u64, term: &str) {
        self.push(&json!({ "step": step, "failed": term }));
    }

    fn push(&mut self, line: &Value) {
        if !self.keep {
            return;
        }
        let text = line.to_string();
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
