//! Where lines of metrics go beside the run: TensorBoard event files and a Prometheus text file on local disk.
//!
//! They are a convenience: a problem with them is logged once, and training continues.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use run_folder::MetricsLine;
use run_spec::config::Log;
use run_spec::ids::{Attempt, Step};

use super::prometheus::{self, Gauges};
use super::tensorboard::EventFile;

/// Takes lines of metrics as they are made. It reports its own failures.
pub trait MetricSink: Debug {
    /// Takes one line of metrics.
    fn take(&mut self, line: &MetricsLine);
}

/// The time in seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A new event file in `folder`. Readers take the files of a folder by name, so a later attempt's comes later.
///
/// # Errors
/// The folder cannot be made or written.
pub fn event_file(folder: &Path, attempt: Attempt, first_step: Step) -> io::Result<EventFile<File>> {
    let time = now();
    let name = format!("events.out.tfevents.{:010}.a{attempt:04}.{}", time as u64, run_folder::host());
    std::fs::create_dir_all(folder)?;
    EventFile::begin(File::create_new(folder.join(name))?, time, first_step.get())
}

/// The sinks that `log` names, of the attempt of `run` whose first step is `first_step`.
pub(crate) fn open(log: &Log, run: &str, attempt: Attempt, first_step: Step) -> Vec<Box<dyn MetricSink>> {
    let mut sinks: Vec<Box<dyn MetricSink>> = Vec::new();
    if let Some(folder) = &log.tensorboard {
        match event_file(Path::new(folder), attempt, first_step) {
            Ok(file) => sinks.push(Box::new(TensorBoard { events: Some(file) })),
            Err(error) => {
                tracing::warn!(%error, folder, "log.tensorboard: no events are written; `worker metrics` makes them later");
            }
        }
    }
    if let Some(path) = &log.prometheus {
        sinks.push(Box::new(Prometheus { path: PathBuf::from(path), gauges: Gauges::new(run), warned: false }));
    }
    sinks
}

/// An event file, until a write fails: what follows a broken record is never read.
#[derive(Debug)]
struct TensorBoard {
    events: Option<EventFile<File>>,
}

impl MetricSink for TensorBoard {
    fn take(&mut self, line: &MetricsLine) {
        if let (Some(events), Some(metrics)) = (&mut self.events, line.done())
            && let Err(error) = events.scalars(now(), line.step.get(), &metrics.scalars())
        {
            tracing::warn!(%error, step = %line.step, "log.tensorboard: no more events are written in this attempt; `worker metrics` makes them later");
            self.events = None;
        }
    }
}

/// A file of the last values, which is tried again with each line.
#[derive(Debug)]
struct Prometheus {
    path: PathBuf,
    gauges: Gauges,
    /// Whether it was said that the file cannot be written.
    warned: bool,
}

impl MetricSink for Prometheus {
    fn take(&mut self, line: &MetricsLine) {
        self.gauges.take(line);
        if let Err(error) = prometheus::replace(&self.path, &self.gauges.text(now()))
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::warn!(%error, path = %self.path.display(), "log.prometheus: the file cannot be written; it is tried again with each line");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_folder::{StepMetrics, StepOutcome};

    fn line(step: u64) -> MetricsLine {
        let metrics = StepMetrics { loss: Some(1.0), ..StepMetrics::default() };
        MetricsLine { step: step.into(), outcome: StepOutcome::Done(Box::new(metrics)) }
    }

    #[test]
    fn places_that_cannot_be_written_do_not_stop_training() {
        let log = Log {
            tensorboard: Some("/dev/null/no".to_owned()),
            prometheus: Some("/dev/null/no.prom".to_owned()),
            ..Log::default()
        };
        let mut sinks = open(&log, "run", 1.into(), 0.into());
        assert_eq!(sinks.len(), 1, "no event file could be begun");
        sinks[0].take(&line(0));
        sinks[0].take(&line(1));
        assert!(format!("{sinks:?}").contains("warned: true"));
    }

    #[test]
    fn a_full_disk_ends_the_events_and_not_the_training() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert!(EventFile::begin(full, 0.0, 0).is_err(), "/dev/full takes nothing");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        EventFile::begin(File::create(&path).unwrap(), 0.0, 0).unwrap();
        // A file that was opened for reading refuses writes, as a full disk does.
        let mut sink = TensorBoard { events: Some(EventFile::of(File::open(&path).unwrap())) };
        sink.take(&line(0));
        assert!(sink.events.is_none());
    }
}
