//! Where the time of a build goes: logged at its end with `RUST_LOG=debug`, for `make measure-build`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datasets::survey::{Progress, SurveyWork};
use tracing::debug;

use crate::progress::Terminal;

/// Steps of a build that follow each other, by how long each took.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// The first pass over the images.
    Survey,
    /// The search for copies.
    Copies,
    /// Rows of shards are taken out of the spool, or made again.
    Take,
    /// Shards are made of rows.
    Assemble,
    /// Shards are written to the store.
    Upload,
}

const STEPS: [(Step, &str); 5] = [
    (Step::Survey, "first pass"),
    (Step::Copies, "search for copies"),
    (Step::Take, "take rows"),
    (Step::Assemble, "assemble shards"),
    (Step::Upload, "write shards"),
];

/// Times of a build, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    /// Of each step, as a clock on the wall shows it.
    steps: [AtomicU64; STEPS.len()],
    /// Of each kind of work of the first pass, summed over threads.
    work: [AtomicU64; SurveyWork::ALL.len()],
}

impl Costs {
    /// What `work` returns; its time is added to the step.
    pub(crate) fn step<T>(&self, step: Step, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        add(&self.steps[step as usize], started.elapsed());
        result
    }

    /// Logs all times in seconds.
    pub(crate) fn log(&self) {
        let seconds = |time: &AtomicU64| time.load(Ordering::Relaxed) as f64 / 1e9;
        for ((_, name), time) in STEPS.iter().zip(&self.steps) {
            debug!(seconds = format!("{:.2}", seconds(time)), "cost of step: {name}");
        }
        for (work, time) in SurveyWork::ALL.iter().zip(&self.work) {
            debug!(seconds = format!("{:.2}", seconds(time)), "cost over all threads: {}", work.name());
        }
    }
}

fn add(to: &AtomicU64, time: Duration) {
    to.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl Progress for Costs {
    fn run(&self, step: &str, parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync))) {
        Terminal.run(step, parts, work);
    }

    fn spent(&self, work: SurveyWork, time: Duration) {
        add(&self.work[work as usize], time);
    }
}
