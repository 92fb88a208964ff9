//! How far the long steps of a command are, on standard error.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

/// How far a long step is: a bar on a terminal, a line every ten seconds elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    total: u64,
    done: AtomicU64,
    bar: Option<ProgressBar>,
    spoken: Mutex<Instant>,
}

impl Progress {
    /// Starts `what`, of `total` parts.
    pub(crate) fn start(what: &str, total: u64) -> Self {
        let bar = terminal::on_terminal().then(|| {
            let bar = ProgressBar::new(total).with_message(what.to_owned());
            if let Ok(style) = ProgressStyle::with_template(&terminal::bar_template("done")) {
                bar.set_style(style);
            }
            bar
        });
        Self { what: what.to_owned(), total, done: AtomicU64::new(0), bar, spoken: Mutex::new(Instant::now()) }
    }

    /// One more part is done.
    pub(crate) fn tick(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        } else if let Ok(mut spoken) = self.spoken.try_lock()
            && spoken.elapsed() >= Duration::from_secs(10)
        {
            *spoken = Instant::now();
            info!(done, of = self.total, "{}", self.what);
        }
    }

    /// The step is over.
    pub(crate) fn end(&self) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None => info!(done = self.done.load(Ordering::Relaxed), of = self.total, "{}", self.what),
        }
    }
}

/// Shows how far the long steps of a library are, each as a [`Progress`] of its own.
#[derive(Debug)]
pub(crate) struct Terminal;

impl datasets::survey::Progress for Terminal {
    fn run(&self, step: &str, parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync))) {
        let progress = Progress::start(step, parts as u64);
        work(&|| progress.tick());
        progress.end();
    }
}
