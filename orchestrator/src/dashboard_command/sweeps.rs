//! The sweeps of a store, each followed by a thread of its own, and their reports, made again when something has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clock::{Clock, SystemClock};
use store::Store;

use crate::live::Picture;
use crate::live::reader::Reader;
use crate::plans;
use crate::records::Plan;
use crate::report_command;
use crate::tables;

/// Trials of a sweep that are looked at each time.
const TRIALS: usize = 50;
/// How old a report is at least before it is made again.
const REPORT_AGE: Duration = Duration::from_secs(30);
/// How often new sweeps are looked for.
const NEW_SWEEPS: Duration = Duration::from_secs(30);

/// The sweeps of a store.
#[derive(Debug, Clone)]
pub(super) struct Sweeps {
    store: Store,
    every: Duration,
    known: Arc<Mutex<BTreeMap<String, Arc<Followed>>>>,
}

/// A sweep that is followed.
#[derive(Debug)]
struct Followed {
    name: String,
    now: Mutex<Option<(Arc<Plan>, Picture)>>,
    /// Why it could not be read just now.
    trouble: Mutex<Option<String>>,
    report: Mutex<Option<Report>>,
}

/// A sweep as it was read last.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The key `name` of the sweep file.
    pub(super) name: String,
    /// What was read; `None` before the first look has ended.
    pub(super) picture: Option<Picture>,
    /// Why it could not be read just now.
    pub(super) trouble: Option<String>,
}

/// A page that was made.
#[derive(Debug, Clone)]
pub(super) struct Report {
    /// The page.
    pub(super) page: Arc<str>,
    /// Whether more is to come: trials run, or are to be run.
    pub(super) grows: bool,
    /// What had ended when it was made.
    of: (String, [usize; 3]),
    made: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sweeps {
    /// Follows all sweeps of `store`, and those that begin later.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn follow(store: &Store, every: Duration) -> Result<Self> {
        let sweeps = Self { store: store.clone(), every, known: Arc::default() };
        let finder = sweeps.clone();
        spawn("sweeps", move || {
            loop {
                match plans::names(&finder.store) {
                    Ok(names) => names.iter().for_each(|name| finder.meet(name)),
                    Err(error) => tracing::warn!("the sweeps cannot be listed: {error:#}"),
                }
                SystemClock::default().sleep(NEW_SWEEPS);
            }
        })?;
        Ok(sweeps)
    }

    /// Begins to follow a sweep that is not followed yet.
    fn meet(&self, name: &str) {
        let mut known = locked(&self.known);
        if known.contains_key(name) {
            return;
        }
        let sweep = Arc::new(Followed {
            name: name.to_owned(),
            now: Mutex::new(None),
            trouble: Mutex::new(None),
            report: Mutex::new(None),
        });
        let (store, every, of_thread) = (self.store.clone(), self.every, Arc::clone(&sweep));
        match spawn(name, move || of_thread.follow(&store, every)) {
            Ok(()) => drop(known.insert(name.to_owned(), sweep)),
            Err(error) => tracing::warn!("sweep {name} is not followed: {error:#}"),
        }
    }

    /// All sweeps, by name.
    pub(super) fn all(&self) -> Vec<Seen> {
        let known: Vec<Arc<Followed>> = locked(&self.known).values().cloned().collect();
        known.iter().map(|sweep| sweep.seen()).collect()
    }

    /// One sweep; `None` if no sweep has that name.
    pub(super) fn picture(&self, name: &str) -> Option<Seen> {
        self.sweep(name).map(|sweep| sweep.seen())
    }

    /// The report of a sweep; `None` if no sweep has that name.
    pub(super) fn report(&self, name: &str) -> Option<Result<Report>> {
        self.sweep(name).map(|sweep| sweep.report(&self.store))
    }

    fn sweep(&self, name: &str) -> Option<Arc<Followed>> {
        locked(&self.known).get(name).cloned()
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    // A name with a zero byte names no thread.
    let name = name.replace('\0', "");
    std::thread::Builder::new().name(name).spawn(work).context("cannot start a thread")?;
    Ok(())
}

impl Followed {
    /// Reads the sweep for as long as the program runs, by its newest plan.
    fn follow(&self, store: &Store, every: Duration) {
        loop {
            if let Err(error) = self.follow_plan(store, every) {
                *locked(&self.trouble) = Some(format!("{error:#}"));
                SystemClock::default().sleep(every);
            }
        }
    }

    /// Reads the sweep until it has a newer plan.
    fn follow_plan(&self, store: &Store, every: Duration) -> Result<()> {
        let clock = SystemClock::default();
        let number = plans::newest_number(store, &self.name)?;
        let plan = Arc::new(plans::newest(store, &self.name)?);
        let mut reader = Reader::new(store, &plan);
        while plans::newest_number(store, &self.name)? == number {
            let began = clock.now();
            reader.read(TRIALS)?;
            *locked(&self.now) = Some((Arc::clone(&plan), reader.picture()));
            *locked(&self.trouble) = None;
            clock.sleep(reader.rest(clock.now() - began, every));
        }
        Ok(())
    }

    fn seen(&self) -> Seen {
        let picture = locked(&self.now).as_ref().map(|(_, picture)| picture.clone());
        Seen { name: self.name.clone(), picture, trouble: locked(&self.trouble).clone() }
    }

    /// The report, made again where trials have ended since and the last one is not fresh.
    fn report(&self, store: &Store) -> Result<Report> {
        let (plan, picture) = locked(&self.now).clone().context("the sweep is being read: try again in a moment")?;
        let counts = picture.counts();
        let of = (plan.digest.to_string(), [counts.finished, counts.failed, counts.damaged]);
        // One thread makes it, the others wait for it.
        let mut kept = locked(&self.report);
        if let Some(report) = kept.as_ref().filter(|report| report.of == of || report.made.elapsed() < REPORT_AGE) {
            return Ok(report.clone());
        }
        let mut collected = tables::collect(store, &plan)?;
        let table = tables::table(store, &plan, &mut collected)?;
        let mut report = report_command::gather(store, &plan, &collected, &table)?;
        let grows = counts.running + counts.open > 0 || picture.seen() < picture.trials.len();
        if grows {
            let ended = counts.finished + counts.failed + counts.damaged;
            report.notices.push(format!(
                "RUNNING: {ended} of {} trials have ended. This page reloads every minute; add ?hold to its address to stop that.",
                picture.trials.len()
            ));
        }
        let page: Arc<str> = report::page(&report)?.into();
        let report = Report { page, grows, of, made: Instant::now() };
        *kept = Some(report.clone());
        Ok(report)
    }
}
