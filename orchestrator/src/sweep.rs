//! The loop of a sweep: claims free trials, keeps at most `slots` running, records how each attempt ended.
//!
//! One thread, no clock but the poll. Trials are independent: one that fails is recorded and the others go on. What a
//! trial has become is read from the store, never remembered, so several orchestrators may work on one sweep, and one that
//! was killed is continued by the next.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use store::Store;

use crate::command::{self, Stage};
use crate::identity::Life;
use crate::ledger::{self, State, unix_s};
use crate::local::{self, Launcher, Process};
use crate::plan::config_of_seed;
use crate::progress::{self, Progress};
use crate::records::{Cause, Failed, Finished, Plan, StageReport, Started, Trial};

const POLL: Duration = Duration::from_millis(100);
/// How often a trial that another orchestrator holds is looked at again.
const RECHECK: Duration = Duration::from_secs(2);
/// Exit code of a worker that somebody else asked to stop, and that can go on from its checkpoint.
const WORKER_STOPPED: i32 = 85;
/// How much of a log goes into the store.
const LOG_LIMIT: u64 = 1 << 20;

/// What a person chose for this invocation.
#[derive(Debug)]
pub(crate) struct Options {
    /// Trials at once.
    pub(crate) slots: usize,
    /// Try trials again whose last attempt failed by itself.
    pub(crate) retry_failed: bool,
    /// Start no more trials once so many have failed in this invocation.
    pub(crate) max_failures: Option<usize>,
    /// Take over trials that are claimed on another machine.
    pub(crate) take_over: bool,
    /// Folder for logs and configs; a cache, of no meaning to the records.
    pub(crate) work: PathBuf,
}

/// How an invocation ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Trials that were finished before.
    pub(crate) skipped: usize,
    /// Trials finished now.
    pub(crate) finished: usize,
    /// Trials failed, now or before.
    pub(crate) failed: usize,
    /// Trials left: not started, cut off, or held elsewhere.
    pub(crate) left: usize,
    /// Whether a signal ended it.
    pub(crate) interrupted: bool,
}

/// A sweep under way.
pub(crate) struct Sweep<'a> {
    pub(crate) store: &'a Store,
    pub(crate) plan: &'a Plan,
    pub(crate) launcher: &'a Launcher,
    pub(crate) options: &'a Options,
    /// Set by a signal.
    pub(crate) stop: Arc<AtomicBool>,
}

/// An attempt that runs.
struct Running<'a> {
    trial: Trial<'a>,
    attempt: u32,
    stages: VecDeque<Stage>,
    name: String,
    process: Process,
    began: Instant,
    log: PathBuf,
    reports: Vec<StageReport>,
    rows: Vec<String>,
    cut: Option<Cause>,
}

/// What becomes of a pending trial.
enum Next<'a> {
    Run(Box<Running<'a>>),
    Settled,
    Wait,
}

impl<'a> Sweep<'a> {
    /// Runs `trials` until each is finished, failed or held elsewhere by nobody this machine can judge.
    pub(crate) fn run(&self, trials: Vec<Trial<'a>>) -> Result<Summary> {
        let work = &self.options.work;
        std::fs::create_dir_all(work).with_context(|| format!("make work folder {}", work.display()))?;
        let mut summary = Summary::default();
        let mut pending: VecDeque<(Trial<'a>, Instant)> = VecDeque::new();
        for trial in &trials {
            match ledger::state(self.store, trial)? {
                State::Finished(_) => summary.skipped += 1,
                _ => pending.push_back((*trial, Instant::now())),
            }
        }
        let mut progress = Progress::new(trials.len(), summary.skipped);
        if summary.skipped > 0 {
            progress.note(&format!(
                "{} of {} trials were finished before and are not run again",
                summary.skipped,
                trials.len()
            ));
        }
        let mut running: Vec<Running<'a>> = Vec::new();
        let mut failed_now = 0;
        let mut waiting_said = false;
        loop {
            let stop = self.stop.load(Ordering::SeqCst);
            let full = self.options.max_failures.is_some_and(|max| failed_now >= max);
            for _ in 0..pending.len() {
                if stop || full || running.len() >= self.options.slots {
                    break;
                }
                let Some((trial, due)) = pending.pop_front() else { break };
                if Instant::now() < due {
                    pending.push_back((trial, due));
                    continue;
                }
                match self.next(trial, &mut summary, &mut failed_now, &mut progress, &mut waiting_said)? {
                    Next::Run(attempt) => running.push(*attempt),
                    Next::Settled => {}
                    Next::Wait => pending.push_back((trial, Instant::now() + RECHECK)),
                }
            }
            let tails = progress.wants_tails();
            let mut still = Vec::new();
            for mut attempt in running {
                if stop {
                    attempt.cut(Cause::Interrupted, self.launcher.grace);
                }
                if self.plan.time_limit_s.is_some_and(|limit| attempt.began.elapsed().as_secs() >= limit) {
                    attempt.cut(Cause::TimeLimit, self.launcher.grace);
                }
                if tails {
                    progress.on_tail(
                        &attempt.trial.label(),
                        &attempt.name,
                        &progress::place(&local::tail(&attempt.log, 4096)),
                    );
                }
                let Some(status) = attempt.process.poll()? else {
                    still.push(attempt);
                    continue;
                };
                match self.on_stage_end(attempt, status, &mut progress)? {
                    Step::Going(attempt) => still.push(*attempt),
                    Step::Finished => summary.finished += 1,
                    Step::Failed(cause) if cause.blames_the_trial() => {
                        summary.failed += 1;
                        failed_now += 1;
                    }
                    Step::Failed(_) => summary.left += 1,
                }
            }
            running = still;
            if running.is_empty() && (pending.is_empty() || stop || full) {
                summary.left += pending.len();
                summary.interrupted = stop;
                return Ok(summary);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Decides what becomes of a pending trial, by what the store says now.
    fn next(
        &self,
        trial: Trial<'a>,
        summary: &mut Summary,
        failed_now: &mut usize,
        progress: &mut Progress,
        waiting_said: &mut bool,
    ) -> Result<Next<'a>> {
        let attempt = match ledger::state(self.store, &trial)? {
            State::Finished(_) => {
                summary.skipped += 1;
                progress.on_finished_elsewhere(&trial.label());
                return Ok(Next::Settled);
            }
            State::Missing => 1,
            State::Failed { record, .. } if record.cause.blames_the_trial() && !self.options.retry_failed => {
                summary.failed += 1;
                progress
                    .on_failed(&trial.label(), &format!("before: {}; --retry-failed tries it again", record.message));
                return Ok(Next::Settled);
            }
            State::Failed { attempt, .. } => attempt + 1,
            State::Claimed { attempt, life: Life::Dead, .. } => {
                ledger::settle_lost(self.store, &trial, attempt, self.launcher.grace)?;
                attempt + 1
            }
            State::Claimed { attempt, life: Life::Unknown, .. } if self.options.take_over => attempt + 1,
            State::Claimed { claim, life, .. } => {
                if !*waiting_said {
                    *waiting_said = true;
                    let hint =
                        if life == Life::Unknown { "; if that one is dead, start again with --take-over" } else { "" };
                    let holder = &claim.holder;
                    progress.note(&format!(
                        "{} is held by process {} on {}: waiting{hint}",
                        trial.label(),
                        holder.pid,
                        holder.host
                    ));
                }
                return Ok(Next::Wait);
            }
        };
        if !ledger::claim(self.store, &trial, attempt, &self.plan.name)? {
            return Ok(Next::Wait);
        }
        match self.start(trial, attempt, progress) {
            Ok(running) => Ok(Next::Run(Box::new(running))),
            Err(error) => {
                let message = format!("{error:#}");
                self.record_failure(&trial, attempt, Cause::Start, "train", &message, Vec::new())?;
                progress.on_failed(&trial.label(), &message);
                summary.failed += 1;
                *failed_now += 1;
                Ok(Next::Settled)
            }
        }
    }

    fn start(&self, trial: Trial<'a>, attempt: u32, progress: &mut Progress) -> Result<Running<'a>> {
        let stem = format!("{}.seed-{}.attempt-{attempt}", trial.arm.name, trial.seed);
        let config = self.options.work.join(format!("{stem}.json"));
        let text = serde_json::to_vec_pretty(&config_of_seed(trial.arm, trial.seed)).context("write the config")?;
        std::fs::write(&config, &text).with_context(|| format!("write {}", config.display()))?;
        self.store.ensure(&format!("{}/config.json", trial.key()), Bytes::from(text))?;
        let mut stages: VecDeque<Stage> =
            command::stages(self.plan, &trial, attempt, &config, |key| self.store.uri_of(key)).into();
        let first = stages.pop_front().context("a trial has at least one stage")?;
        let log = self.options.work.join(format!("{stem}.log"));
        let rows = first.rows.iter().cloned().collect();
        let process = self.start_stage(&trial, attempt, &first, &log, progress)?;
        Ok(Running {
            trial,
            attempt,
            stages,
            name: first.name,
            process,
            began: Instant::now(),
            log,
            reports: Vec::new(),
            rows,
            cut: None,
        })
    }

    fn start_stage(
        &self,
        trial: &Trial<'_>,
        attempt: u32,
        stage: &Stage,
        log: &Path,
        progress: &mut Progress,
    ) -> Result<Process> {
        let process = self.launcher.start(&stage.args, log)?;
        let program = self.launcher.worker.display().to_string();
        let command = std::iter::once(program).chain(stage.args.iter().cloned()).collect();
        let record = Started { leader: process.leader(), command };
        ledger::create(self.store, &format!("{}/started-{}.json", trial.attempt_key(attempt), stage.name), &record)?;
        progress.on_stage(&trial.label(), attempt, &stage.name);
        Ok(process)
    }

    fn on_stage_end(&self, mut attempt: Running<'a>, status: ExitStatus, progress: &mut Progress) -> Result<Step<'a>> {
        let report =
            StageReport { name: attempt.name.clone(), seconds: attempt.process.seconds(), exit_code: status.code() };
        attempt.reports.push(report);
        // Work that was finished when the signal came is kept.
        let outcome = match (status.success(), attempt.cut) {
            (true, None) if !attempt.stages.is_empty() => return self.next_stage(attempt, progress),
            (true, _) if attempt.stages.is_empty() => {
                self.verify_rows(&attempt).map_err(|e| (attempt.cut.unwrap_or(Cause::Rows), format!("{e:#}")))
            }
            (_, Some(Cause::TimeLimit)) => {
                let limit = self.plan.time_limit_s.unwrap_or_default();
                Err((Cause::TimeLimit, format!("ran past time_limit_s: {limit}")))
            }
            (_, Some(cause)) => Err((cause, "the orchestrator was asked to stop".to_owned())),
            (false, None) if status.code() == Some(WORKER_STOPPED) => {
                Err((Cause::Interrupted, "the worker was asked to stop".to_owned()))
            }
            (false, None) => {
                let code = status.code().map_or_else(|| format!("{status}"), |code| format!("exit code {code}"));
                Err((Cause::Exit, format!("{}: {code}: {}", attempt.name, local::last_words(&attempt.log))))
            }
            (true, None) => Ok(()),
        };
        let trial = attempt.trial;
        self.keep_log(&attempt);
        match outcome {
            Ok(()) => {
                let record = Finished { stages: attempt.reports, rows: attempt.rows, unix_s: unix_s() };
                ledger::create(self.store, &format!("{}/result.json", trial.attempt_key(attempt.attempt)), &record)?;
                progress.on_finished(&trial.label(), attempt.began.elapsed().as_secs_f64());
                Ok(Step::Finished)
            }
            Err((cause, message)) => {
                self.record_failure(&trial, attempt.attempt, cause, &attempt.name, &message, attempt.reports)?;
                if cause.blames_the_trial() {
                    progress.on_failed(&trial.label(), &format!("{message} (log: {})", attempt.log.display()));
                } else {
                    progress.note(&format!("{} stopped; the next sweep continues it", trial.label()));
                }
                Ok(Step::Failed(cause))
            }
        }
    }

    fn next_stage(&self, mut attempt: Running<'a>, progress: &mut Progress) -> Result<Step<'a>> {
        let Some(stage) = attempt.stages.pop_front() else { return Ok(Step::Going(Box::new(attempt))) };
        attempt.name.clone_from(&stage.name);
        attempt.rows.extend(stage.rows.clone());
        match self.start_stage(&attempt.trial, attempt.attempt, &stage, &attempt.log, progress) {
            Ok(process) => {
                attempt.process = process;
                Ok(Step::Going(Box::new(attempt)))
            }
            Err(error) => {
                let message = format!("{error:#}");
                self.record_failure(
                    &attempt.trial,
                    attempt.attempt,
                    Cause::Start,
                    &stage.name,
                    &message,
                    attempt.reports,
                )?;
                progress.on_failed(&attempt.trial.label(), &message);
                Ok(Step::Failed(Cause::Start))
            }
        }
    }

    /// A worker that ended well must have left rows that can be read.
    fn verify_rows(&self, attempt: &Running<'_>) -> Result<()> {
        for key in &attempt.rows {
            crate::tables::read_rows(self.store, key)?;
        }
        Ok(())
    }

    /// A log that cannot be kept costs nothing but the log: the local one remains.
    fn keep_log(&self, attempt: &Running<'_>) {
        let text = local::tail(&attempt.log, LOG_LIMIT);
        let key = format!("{}/log.txt", attempt.trial.attempt_key(attempt.attempt));
        if let Err(error) = self.store.create(&key, Bytes::from(text)) {
            tracing::warn!(%error, "the log was not copied to the store");
        }
    }

    fn record_failure(
        &self,
        trial: &Trial<'_>,
        attempt: u32,
        cause: Cause,
        stage: &str,
        message: &str,
        stages: Vec<StageReport>,
    ) -> Result<()> {
        let record = Failed { cause, stage: stage.to_owned(), message: message.to_owned(), stages, unix_s: unix_s() };
        ledger::create(self.store, &format!("{}/failed.json", trial.attempt_key(attempt)), &record).map(drop)
    }
}

/// What the end of a stage leads to.
enum Step<'a> {
    Going(Box<Running<'a>>),
    Finished,
    Failed(Cause),
}

impl Running<'_> {
    fn cut(&mut self, cause: Cause, grace: Duration) {
        if self.cut.is_none() {
            self.cut = Some(cause);
            self.process.stop(grace);
        }
    }
}
