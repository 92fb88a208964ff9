//! Metrics beside the run's own: TensorBoard event files and a Prometheus text file on local disk, written by rank 0.
//!
//! They are a convenience: whatever goes wrong with them is told once, and training goes on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use run_folder::MetricsLine;
use run_spec::config::Log;

use super::prometheus::{self, Gauges};
use super::tensorboard::EventFile;

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A new event file in `folder`. Readers take the files of a folder by name, so a later attempt's comes later.
pub(crate) fn event_file(folder: &Path, attempt: u32, first_step: u64) -> Result<EventFile<File>> {
    let time = now();
    let name = format!("events.out.tfevents.{:010}.a{attempt:04}.{}", time as u64, run_folder::host());
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let path = folder.join(name);
    let made = File::create_new(&path).and_then(|file| EventFile::begin(file, time, first_step));
    made.with_context(|| format!("write {}", path.display()))
}

/// Where lines go besides the run.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    events: Option<EventFile<File>>,
    prometheus: Option<(PathBuf, Gauges)>,
    /// Whether it was said that the Prometheus file cannot be written.
    warned: bool,
}

impl Sides {
    /// As configured, for an attempt whose first step is `first_step`.
    pub(crate) fn open(log: &Log, run: &str, attempt: u32, first_step: u64) -> Self {
        let events = log.tensorboard.as_ref().map(|folder| event_file(Path::new(folder), attempt, first_step));
        let events = events.transpose().unwrap_or_else(|error| {
            let why = crate::sentence(&error);
            tracing::warn!(why, "log.tensorboard: no events are written; `worker metrics` makes them later");
            None
        });
        let prometheus = log.prometheus.as_ref().map(|path| (PathBuf::from(path), Gauges::new(run)));
        Self { events, prometheus, warned: false }
    }

    /// Passes a metrics line on.
    pub(crate) fn take(&mut self, line: &MetricsLine) {
        let time = now();
        if let (Some(events), Some(metrics)) = (&mut self.events, line.done())
            && let Err(error) = events.scalars(time, line.step, &metrics.scalars())
        {
            tracing::warn!(%error, step = line.step, "log.tensorboard: no more events are written in this attempt; `worker metrics` makes them later");
            // What follows a broken record is never read.
            self.events = None;
        }
        if let Some((path, gauges)) = &mut self.prometheus {
            gauges.take(line);
            if let Err(error) = prometheus::replace(path, &gauges.text(time))
                && !std::mem::replace(&mut self.warned, true)
            {
                tracing::warn!(%error, path = %path.display(), "log.prometheus: the file cannot be written; it is tried again with each line");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_folder::{StepMetrics, StepOutcome};

    fn line(step: u64) -> MetricsLine {
        let metrics = StepMetrics { loss: Some(1.0), ..StepMetrics::default() };
        MetricsLine { step, outcome: StepOutcome::Done(Box::new(metrics)) }
    }

    #[test]
    fn places_that_cannot_be_written_do_not_stop_training() {
        let log = Log {
            tensorboard: Some("/dev/null/no".to_owned()),
            prometheus: Some("/dev/null/no.prom".to_owned()),
            ..Log::default()
        };
        let mut sides = Sides::open(&log, "run", 1, 0);
        sides.take(&line(0));
        sides.take(&line(1));
        assert!(sides.events.is_none() && sides.warned);
    }

    #[test]
    fn a_full_disk_ends_the_events_and_not_the_training() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert!(EventFile::begin(full, 0.0, 0).is_err(), "/dev/full takes nothing");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        EventFile::begin(File::create(&path).unwrap(), 0.0, 0).unwrap();
        // A file that was opened for reading refuses writes, as a full disk does.
        let mut sides = Sides { events: Some(EventFile::of(File::open(&path).unwrap())), ..Sides::default() };
        sides.take(&line(0));
        assert!(sides.events.is_none());
    }
}
