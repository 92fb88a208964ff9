//! The one place that prints: results to standard output, progress to standard error.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Prints a text and a line break. A reader that has gone away (`| head`) is no error.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Prints why a command failed, with its causes, in one line.
pub(crate) fn complain(error: &anyhow::Error) {
    drop(writeln!(std::io::stderr().lock(), "error: {error:#}"));
}

/// Sends the log to standard error; `RUST_LOG` chooses what is in it.
pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
}

/// A table with a header; columns whose name is in `numbers` stand to the right.
pub(crate) fn table(header: &[&str], numbers: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.iter().zip(header).map(|(text, column)| {
            let cell = Cell::new(text);
            if numbers.contains(column) { cell.set_alignment(CellAlignment::Right) } else { cell }
        }));
    }
    for (index, column) in header.iter().enumerate() {
        if numbers.contains(column)
            && let Some(column) = table.column_mut(index)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A number with its thousands parted by thin commas: 1250781 is `1,250,781`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes for people: `40.8 MB`.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

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
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total).with_message(what.to_owned());
            if let Ok(style) = ProgressStyle::with_template("{msg:30!} {bar:30} {pos}/{len} {per_sec} {eta}") {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parted() {
        assert_eq!(["0", "999", "1,000", "1,250,781"].map(str::to_owned), [0, 999, 1000, 1_250_781].map(thousands));
    }
}
