//! One attempt at a trial: its stages one after another, each a process, and what came of them.
//!
//! It starts and polls and never waits, so that one loop can look after many. It writes what is known while it runs
//! (config, process groups, log); how it ended is handed back, and recorded by whoever runs it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use run_folder::failure::{Failure, FailureKind, NOT_AS_PLANNED, STOPPED};
use run_spec::ids::Attempt;
use store::{Store, StoreError};

use crate::command::{self, Stage};
use crate::evidence;
use crate::keys::RowsKey;
use crate::log;
use crate::process::{Launcher, Process, error_file_of};
use crate::records::{Cause, Failed, Finished, Measured, Plan, StageReport, Started, Trial};
use crate::supervisor::Signal;
use crate::trial_state::{self, unix_s};

/// How much of a log goes into the store.
const LOG_LIMIT: u64 = 1 << 20;

/// What attempts run on.
#[derive(Debug, Clone)]
pub(crate) struct Ground<'a> {
    /// The store that holds the sweep's records.
    pub(crate) store: &'a Store,
    /// The plan of the sweep, with its arms, seeds and evaluation sets.
    pub(crate) plan: &'a Plan,
    /// How workers are started.
    pub(crate) launcher: Launcher,
    /// Folder for logs and configs; a cache, of no meaning to the records.
    pub(crate) work: PathBuf,
    /// Seconds that an attempt may take.
    pub(crate) time_limit_s: Option<u64>,
    /// How often a scheduler has started this attempt before.
    pub(crate) restarts: u32,
    /// Name under which the log is kept beside the attempt's records.
    pub(crate) log_name: &'static str,
}

/// An attempt that runs.
#[derive(Debug)]
pub(crate) struct RunningAttempt<'a> {
    /// The trial that is attempted.
    pub(crate) trial: Trial<'a>,
    /// Number of the attempt.
    pub(crate) number: Attempt,
    /// Name of the stage that runs.
    pub(crate) stage: String,
    /// Where both streams of its processes go.
    pub(crate) log: PathBuf,
    stages: VecDeque<Stage>,
    process: Process,
    began: Instant,
    reports: Vec<StageReport>,
    rows: Vec<RowsKey>,
    cut: Option<Cause>,
}

/// What a look at an attempt shows.
#[derive(Debug)]
pub(crate) enum Look {
    /// It runs as before.
    Going,
    /// Its next stage has begun.
    Stage,
    /// The attempt has ended, well or not.
    Ended(Outcome),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// All its stages ended well, and their rows can be read.
    Done(Finished),
    /// It ended without a result.
    Failed(Failed),
}

/// Name of an attempt's files in the work folder.
pub(crate) fn stem(trial: &Trial<'_>, number: Attempt) -> String {
    format!("{}.seed-{}.attempt-{number}", trial.arm.name, trial.seed)
}

/// Where the log of an attempt lies.
pub(crate) fn log_of(work: &Path, trial: &Trial<'_>, number: Attempt) -> PathBuf {
    work.join(format!("{}.log", stem(trial, number)))
}

/// A failure of `stage`.
pub(crate) fn failure(cause: Cause, stage: &str, message: String, stages: Vec<StageReport>) -> Failed {
    Failed { cause, stage: stage.to_owned(), message, stages, unix_s: unix_s() }
}

/// Why the worker that wrote to `log` ended: kind and sentence of its own record, else the end of the log.
pub(crate) fn reason(log: &Path) -> (FailureKind, String) {
    match Failure::read(&error_file_of(log)) {
        Some(failure) => (failure.kind, failure.sentence),
        None => (FailureKind::Other, log::last_words(log)),
    }
}

/// The failure of a stage whose worker ended with `status`, as its own record says; a worker that was killed leaves none.
fn worker_failed(attempt: &RunningAttempt<'_>, status: ExitStatus) -> (Cause, String) {
    let (stage, (kind, why)) = (&attempt.stage, reason(&attempt.log));
    if status.code() == Some(NOT_AS_PLANNED.into()) {
        return (Cause::Changed, format!("{stage}: {why}"));
    }
    if kind.is_of_the_store() {
        return (Cause::Store, format!("{stage}: {why}"));
    }
    let code = status.code().map_or_else(|| format!("{status}"), |code| format!("exit code {code}"));
    (Cause::Exit, format!("{stage}: {code}: {why}"))
}

impl<'a> Ground<'a> {
    /// Begins attempt `number` with the first of those stages that `chosen` takes.
    pub(crate) fn begin(
        &self,
        trial: Trial<'a>,
        number: Attempt,
        chosen: impl Fn(&Stage) -> bool,
    ) -> Result<RunningAttempt<'a>> {
        std::fs::create_dir_all(&self.work)
            .with_context(|| format!("cannot make work folder {}", self.work.display()))?;
        let config = self.work.join(format!("{}.json", stem(&trial, number)));
        let text = serde_json::to_vec_pretty(&trial.config()).context("cannot write the config")?;
        std::fs::write(&config, &text).with_context(|| format!("cannot write {}", config.display()))?;
        self.keep_config(&trial, text)?;
        let stages = command::stages(self.plan, &trial, number, &config, |key| self.store.uri_of(key))?;
        let mut stages: VecDeque<Stage> = stages.into_iter().filter(chosen).collect();
        let first = stages.pop_front().context("a trial has at least one stage")?;
        let log = log_of(&self.work, &trial, number);
        let process = self.start_stage(&trial, number, &first, &log)?;
        let (began, rows) = (Instant::now(), first.rows.into_iter().collect());
        let stage = first.name;
        Ok(RunningAttempt { trial, number, stage, log, stages, process, began, reports: Vec::new(), rows, cut: None })
    }

    /// Keeps the config beside the run, for people: nothing reads it back. One that differs is damaged, since the trial's
    /// digest covers it; `verify` names it, and the trial runs all the same.
    fn keep_config(&self, trial: &Trial<'_>, text: Vec<u8>) -> Result<()> {
        let key = trial.key().config();
        match self.store.ensure(&key, Bytes::from(text)) {
            Err(StoreError::Differs { uri }) => {
                tracing::warn!("{uri} is damaged: it is not the config of its trial");
                Ok(())
            }
            other => Ok(other.map(drop)?),
        }
    }

    fn start_stage(&self, trial: &Trial<'_>, number: Attempt, stage: &Stage, log: &Path) -> Result<Process> {
        let process = self.launcher.start(&stage.args, log)?;
        let program = self.launcher.worker.display().to_string();
        let command = std::iter::once(program).chain(stage.args.iter().cloned()).collect();
        let record = Started { leader: process.leader(), command };
        let key = trial.attempt_key(number).started(&stage.name, self.restarts);
        self.store.create_record_once(&key, &record)?;
        Ok(process)
    }

    /// Looks how `attempt` is; begins its next stage when one has ended well.
    pub(crate) fn look(&self, attempt: &mut RunningAttempt<'a>) -> Result<Look> {
        if self.time_limit_s.is_some_and(|limit| attempt.began.elapsed().as_secs() >= limit) {
            self.cut(attempt, Cause::TimeLimit);
        }
        match attempt.process.poll()? {
            None => Ok(Look::Going),
            Some(status) => self.on_stage_end(attempt, status),
        }
    }

    /// Asks the attempt to end; what it had finished by then is kept.
    pub(crate) fn cut(&self, attempt: &mut RunningAttempt<'_>, cause: Cause) {
        if attempt.cut.is_none() {
            attempt.cut = Some(cause);
            attempt.process.stop(self.launcher.ask, self.launcher.grace);
        }
    }

    fn on_stage_end(&self, attempt: &mut RunningAttempt<'a>, status: ExitStatus) -> Result<Look> {
        let seconds = attempt.process.seconds();
        attempt.reports.push(StageReport { name: attempt.stage.clone(), seconds, exit_code: status.code() });
        // Work that was finished when the signal came is kept.
        let outcome = match (status.success(), attempt.cut) {
            (true, None) if !attempt.stages.is_empty() => match self.next_stage(attempt) {
                Ok(()) => return Ok(Look::Stage),
                Err(error) => Err((Cause::Start, format!("{error:#}"))),
            },
            (true, _) if attempt.stages.is_empty() => {
                self.refs(attempt).map_err(|e| (attempt.cut.unwrap_or(Cause::Rows), format!("{e:#}")))
            }
            (_, Some(Cause::TimeLimit)) => {
                let limit = self.time_limit_s.unwrap_or_default();
                Err((Cause::TimeLimit, format!("ran past time_limit_s: {limit}")))
            }
            (_, Some(cause)) => Err((cause, "the orchestrator was asked to stop".to_owned())),
            (false, None) if status.code() == Some(STOPPED.into()) => {
                Err((Cause::Interrupted, "the worker was asked to stop".to_owned()))
            }
            (false, None) => Err(worker_failed(attempt, status)),
            (true, None) => Ok(Measured::default()),
        };
        self.keep_log(attempt);
        let stages = std::mem::take(&mut attempt.reports);
        Ok(Look::Ended(match outcome {
            Ok(measured) => Outcome::Done(Finished::at(unix_s(), stages, measured)),
            Err((cause, message)) => Outcome::Failed(failure(cause, &attempt.stage, message, stages)),
        }))
    }

    fn next_stage(&self, attempt: &mut RunningAttempt<'a>) -> Result<()> {
        let Some(stage) = attempt.stages.pop_front() else { return Ok(()) };
        attempt.stage.clone_from(&stage.name);
        attempt.rows.extend(stage.rows.clone());
        attempt.process = self.start_stage(&attempt.trial, attempt.number, &stage, &attempt.log)?;
        Ok(())
    }

    /// A worker that ended well must have left rows that can be read and that are of what was planned.
    fn refs(&self, attempt: &RunningAttempt<'_>) -> Result<Measured> {
        evidence::refs(self.store, self.plan, &attempt.trial, &attempt.rows)
    }

    /// A log that cannot be kept costs nothing but the log: the local one remains.
    fn keep_log(&self, attempt: &RunningAttempt<'_>) {
        let text = log::plain(&log::tail(&attempt.log, LOG_LIMIT));
        let key = attempt.trial.attempt_key(attempt.number).log(self.log_name);
        match self.store.create(&key, Bytes::from(text)) {
            Err(error) if !error.is_already_exists() => tracing::warn!(%error, "the log was not copied to the store"),
            _ => {}
        }
    }

    /// Records how the attempt ended.
    pub(crate) fn record(&self, trial: &Trial<'_>, number: Attempt, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Done(record) => {
                self.store.create_record_once(&trial.attempt_key(number).result(), record)?;
                Ok(())
            }
            Outcome::Failed(record) => trial_state::record_failure(self.store, trial, number, record),
        }
    }
}

impl RunningAttempt<'_> {
    /// Seconds since it began.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Sends a signal to the process that runs.
    pub(crate) fn tell(&self, signal: Signal) {
        self.process.tell(signal);
    }
}
