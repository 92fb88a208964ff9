//! What a person sees while trials run: bars on a terminal, one plain line per event elsewhere. All of it on standard error.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use run_folder::MetricsLine;
use run_spec::ids::Attempt;

/// How often a running trial's place is read from its log.
const TAIL_EVERY: Duration = Duration::from_secs(2);

/// The face of a sweep.
#[derive(Debug)]
pub(crate) struct Progress {
    bars: Option<Bars>,
    total: usize,
    done: usize,
    failed: usize,
    last_tail: Option<Instant>,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    overall: ProgressBar,
    running: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Begins with `done` of `total` trials already finished.
    pub(crate) fn new(total: usize, done: usize) -> Self {
        let bars = terminal::on_terminal().then(|| Bars::new(total, done));
        Self { bars, total, done, failed: 0, last_tail: None }
    }

    /// Says something that is no trial's.
    pub(crate) fn note(&self, text: &str) {
        match &self.bars {
            // A terminal too small for bars still gets the words.
            Some(bars) => drop(bars.all.println(text)),
            None => terminal::note(text),
        }
    }

    /// A stage of a trial began.
    pub(crate) fn on_stage(&mut self, trial: &str, attempt: Attempt, stage: &str) {
        if let Some(bars) = &mut self.bars {
            bars.running_bar(trial).set_message(stage_words(stage));
        } else {
            terminal::note(format!("{trial}: {} (attempt {attempt})", stage_words(stage)));
        }
    }

    /// Whether it is time to look into the logs of running trials.
    pub(crate) fn wants_tails(&mut self) -> bool {
        let due = self.bars.is_some() && self.last_tail.is_none_or(|at| at.elapsed() >= TAIL_EVERY);
        if due {
            self.last_tail = Some(Instant::now());
        }
        due
    }

    /// Where a running trial is.
    pub(crate) fn on_tail(&mut self, trial: &str, stage: &str, words: &str) {
        if let Some(bars) = &mut self.bars {
            bars.running_bar(trial).set_message(format!("{}  {words}", stage_words(stage)));
        }
    }

    /// Counts a trial that this orchestrator finished, and says how long it took.
    pub(crate) fn on_finished(&mut self, trial: &str, seconds: f64) {
        self.done += 1;
        self.on_end(trial, &format!("finished in {}", terminal::duration(seconds)));
    }

    /// Another orchestrator finished a trial.
    pub(crate) fn on_finished_elsewhere(&mut self, trial: &str) {
        self.done += 1;
        self.on_end(trial, "was finished by another orchestrator");
    }

    /// A trial failed; said at once, not at the end.
    pub(crate) fn on_failed(&mut self, trial: &str, reason: &str) {
        self.failed += 1;
        self.on_end(trial, &format!("FAILED: {reason}"));
    }

    /// A record of a trial is damaged.
    pub(crate) fn on_damaged(&mut self, trial: &str, what: &str) {
        self.failed += 1;
        self.on_end(trial, &format!("DAMAGED: {what}"));
    }

    fn on_end(&mut self, trial: &str, words: &str) {
        let count = format!("[{}/{}]", self.done + self.failed, self.total);
        self.note(&format!("{count} {trial} {words}"));
        if let Some(bars) = &mut self.bars {
            if let Some(bar) = bars.running.remove(trial) {
                bar.finish_and_clear();
            }
            bars.overall.set_position((self.done + self.failed) as u64);
            if self.failed > 0 {
                bars.overall.set_message(format!("{} failed", self.failed));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bars) = &self.bars {
            let _ = bars.all.clear();
        }
    }
}

impl Bars {
    fn new(total: usize, done: usize) -> Self {
        let all = MultiProgress::new();
        let overall = all.add(ProgressBar::new(total as u64));
        let style = ProgressStyle::with_template(&terminal::bar_template("trials"));
        overall.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        overall.set_position(done as u64);
        overall.enable_steady_tick(Duration::from_secs(1));
        Self { all, overall, running: BTreeMap::new() }
    }

    fn running_bar(&mut self, trial: &str) -> &ProgressBar {
        self.running.entry(trial.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {prefix}  {elapsed}  {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(trial.to_owned());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        })
    }
}

/// What a trial does in a stage: it trains, or its model is scored on an evaluation set.
fn stage_words(stage: &str) -> String {
    match stage.strip_prefix("probe-") {
        Some(eval) => format!("scoring on {eval}"),
        None if stage == "train" => "training".to_owned(),
        None => stage.to_owned(),
    }
}

/// Where a run is, from the end of its log: step and loss of the last JSON metrics line, else the last line itself.
pub(crate) fn place(log_tail: &str) -> String {
    let metrics = log_tail.lines().rev().find_map(|line| {
        let line: MetricsLine = serde_json::from_str(line.get(line.find('{')?..)?).ok()?;
        let (step, loss) = (line.step, line.done().and_then(|metrics| metrics.loss));
        Some(loss.map_or_else(|| format!("step {step}"), |loss| format!("step {step}  loss {loss:.3}")))
    });
    let last = || {
        log_tail.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("").chars().take(100).collect()
    };
    metrics.unwrap_or_else(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_step_and_loss_or_the_last_line() {
        assert_eq!(place("x\n{\"step\": 7, \"loss\": 12.25}\n{\"note\": 1}\n"), "step 7  loss 12.250");
        assert_eq!(place("reading\nstep=3 loss=4\n\n"), "step=3 loss=4");
        assert_eq!(place(""), "");
    }
}
