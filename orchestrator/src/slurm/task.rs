//! Inside a job: one task of an array trains one trial, or probes it, and leaves the record.
//!
//! It is the batch script's own process, so Slurm's USR1 before the time limit reaches it and is passed on; the worker writes its
//! checkpoint and ends with code 85, and the task returns to the queue, to go on from there as the same attempt. So does one
//! whose worker was killed or lost a rank, as long as restarts bring the run further ([`again`]). Whether a worker that ended
//! otherwise was cancelled, preempted or lost its node is not guessed from the signal: while Slurm is ending the job no record
//! is written, and Slurm's own word decides later.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use run_folder::failure::STOPPED;
use run_spec::ids::Attempt;
use store::Store;

use crate::attempt::{Ground, Look, Outcome, failure, log_of};
use crate::check;
use crate::command;
use crate::evidence;
use crate::keys::RowsKey;
use crate::process::Launcher;
use crate::records::{Cause, Failed, Finished, Measured, Trained, Trial};
use crate::slurm::again::{self, Again};
use crate::slurm::client::Client;
use crate::slurm::job_batch::{self, Job, JobBatch};
use crate::slurm::parse::Task;
use crate::slurm::script;
use crate::slurm::section::Shape;
use crate::supervisor::Signal;
use crate::trial_state::{self, State, unix_s};

const POLL: Duration = Duration::from_millis(100);
/// Between two words to the worker that the time limit is near: srun drops one that comes before its tasks have started.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Whether the task's work is done already, or no longer wanted.
enum Standing {
    Wanted,
    Done,
    Unwanted(String),
}

/// Runs the task that the environment names, of the batch under `key`.
pub(crate) fn run(store_uri: &str, key: &str, job: Job) -> Result<ExitCode> {
    let task = Task { array: number("SLURM_ARRAY_JOB_ID")?, index: number("SLURM_ARRAY_TASK_ID")? };
    let near_limit = flag(signal_hook::consts::SIGUSR1)?;
    let asked = flag(signal_hook::consts::SIGTERM)?;
    let store = Store::open(store_uri)?;
    let batch: JobBatch = store.read_record(&job_batch::record_key(key))?;
    let (trial, attempt) = batch.trial(task.index)?;
    match standing(&store, &trial, attempt, key, job)? {
        Standing::Wanted => {}
        Standing::Done => return Ok(ExitCode::SUCCESS),
        Standing::Unwanted(why) => bail!("attempt {attempt} of {} does not run: {why}", trial.label()),
    }
    // The node may see another worker, another store or less room than the machine that planned.
    let findings = check::check(&store, &batch.plan, &[trial], &batch.setting.worker, None);
    if !findings.problems.is_empty() {
        let record = failure(Cause::Changed, "check", findings.problems.join("; "), Vec::new());
        return fail(&store, &trial, attempt, &record);
    }
    let work = Work { ground: ground(&store, &batch, job), trial, attempt, job, task, near_limit, asked };
    let log = log_of(&work.ground.work, &trial, attempt);
    let before = std::fs::metadata(&log).map_or(0, |meta| meta.len());
    match work.outcome()? {
        Outcome::Failed(record) => work.failed(record, || unspoken(&log, before)),
        done => work.done(done),
    }
}

/// How the worker of a task is started, and where it works.
fn ground<'a>(store: &'a Store, batch: &'a JobBatch, job: Job) -> Ground<'a> {
    let shape = batch.shape(job);
    Ground {
        store,
        plan: &batch.plan,
        launcher: Launcher {
            prefix: prefix(shape, job),
            worker: batch.setting.worker.clone(),
            // To srun a TERM means to kill; the worker takes USR1 as a wish to stop.
            ask: Signal::Usr1,
            grace: Duration::from_secs(u64::from(shape.signal_s)),
        },
        work: batch.setting.work.clone(),
        time_limit_s: batch.setting.time_limit_s,
        restarts: std::env::var("SLURM_RESTART_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0),
        log_name: job.of("log-train.txt", "log-probe.txt"),
    }
}

/// A task's part of a trial.
struct Work<'a> {
    ground: Ground<'a>,
    trial: Trial<'a>,
    attempt: Attempt,
    job: Job,
    task: Task,
    /// Set when Slurm warns that the time limit is near.
    near_limit: Arc<AtomicBool>,
    /// Set when Slurm or a person ends the job.
    asked: Arc<AtomicBool>,
}

impl Work<'_> {
    fn outcome(&self) -> Result<Outcome> {
        let Self { ground, trial, attempt, near_limit, .. } = self;
        match self.job {
            // A baseline trains nothing: its probe, the other job, may begin.
            Job::Train if trial.baseline.is_some() => {
                Ok(Outcome::Done(Finished::at(unix_s(), Vec::new(), Measured::default())))
            }
            Job::Train => follow(ground, *trial, *attempt, |stage| stage.rows.is_none(), near_limit),
            Job::Probe => probe(ground, *trial, *attempt, near_limit),
        }
    }

    fn done(&self, outcome: Outcome) -> Result<ExitCode> {
        match outcome {
            Outcome::Done(Finished { stages, .. }) if self.job == Job::Train => {
                let key = self.trial.attempt_key(self.attempt).trained();
                self.ground.store.create_record_once(&key, &Trained { stages, unix_s: unix_s() })?;
            }
            outcome => drop(self.ground.record(&self.trial, self.attempt, &outcome)?),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Puts the task back into the queue where a new start may help, else records the failure. `never_ran` says whether the
    /// worker came to say anything.
    fn failed(&self, record: Failed, never_ran: impl FnOnce() -> bool) -> Result<ExitCode> {
        let near_limit = self.near_limit.load(Ordering::SeqCst);
        // Under a warning the worker was asked by us; else Slurm or a person may have ended it.
        if !(near_limit && record.cause == Cause::Interrupted) && left_to_slurm(&record, self.task, &self.asked) {
            terminal::note(format!("ended by Slurm or by a person: {}", record.message));
            return Ok(ExitCode::from(STOPPED));
        }
        if record.cause == Cause::Exit && never_ran() && self.ground.restarts < again::LIMIT {
            return requeue(self.task, &record.message);
        }
        let answer = ended(record.cause).then(|| again::ask(&self.ground, &self.trial, self.job, &record, near_limit));
        let record = match answer {
            Some(Again::Granted) if near_limit => return requeue(self.task, "time limit"),
            Some(Again::Granted) => return requeue(self.task, &record.message),
            Some(Again::Refused(why)) => Failed {
                cause: if near_limit { Cause::TimeLimit } else { record.cause },
                message: format!("{}; not started again: {why}", record.message),
                ..record
            },
            Some(Again::Unasked) | None => record,
        };
        fail(self.ground.store, &self.trial, self.attempt, &record)
    }
}

/// Says and records why an attempt failed.
fn fail(store: &Store, trial: &Trial<'_>, attempt: Attempt, record: &Failed) -> Result<ExitCode> {
    terminal::note(&record.message);
    trial_state::record_failure(store, trial, attempt, record)?;
    Ok(ExitCode::FAILURE)
}

/// Whether the worker itself ended, rather than being cut off by us.
fn ended(cause: Cause) -> bool {
    matches!(cause, Cause::Exit | Cause::Interrupted)
}

/// What stands before the worker. One that trains holds back a warning that comes while it is loading, until it can answer,
/// where this system's `env` can arrange that.
fn prefix(shape: &Shape, job: Job) -> Vec<String> {
    const HOLD: [&str; 2] = ["env", "--block-signal=USR1"];
    let mut words = script::srun(shape);
    let can =
        || Command::new(HOLD[0]).args([HOLD[1], "true"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if job == Job::Train && can() {
        words.extend(HOLD.map(str::to_owned));
    }
    words
}

fn requeue(task: Task, why: &str) -> Result<ExitCode> {
    terminal::note(format!("{why}: task {task} returns to the queue"));
    match Client.requeue(task) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(trouble) => bail!("the task was not put back into the queue: {trouble}"),
    }
}

/// Whether the log holds nothing from byte `before` on but what srun itself says: then the worker never ran, and a slow
/// controller, not the trial, is to blame.
fn unspoken(log: &Path, before: u64) -> bool {
    let bytes = std::fs::read(log).unwrap_or_default();
    let new = usize::try_from(before).ok().and_then(|from| bytes.get(from..)).unwrap_or_default();
    let text = String::from_utf8_lossy(new);
    text.contains("srun: ")
        && text
            .lines()
            .all(|line| line.trim().is_empty() || line.starts_with("srun: ") || line.starts_with("slurmstepd: "))
}

/// A worker ends with an error too when its node or its peers are taken away. Then Slurm no longer calls the task running.
fn left_to_slurm(record: &Failed, task: Task, asked: &AtomicBool) -> bool {
    let ended = || Client.state_word(task).is_some_and(|word| word != "RUNNING");
    match record.cause {
        Cause::Interrupted => true,
        Cause::Exit | Cause::Store => asked.load(Ordering::SeqCst) || ended(),
        _ => false,
    }
}

fn standing(store: &Store, trial: &Trial<'_>, number: Attempt, batch: &str, job: Job) -> Result<Standing> {
    let trained = store.exists(&trial.attempt_key(number).trained())?;
    Ok(match trial_state::state(store, trial)? {
        State::Finished { .. } => Standing::Done,
        State::Damaged { what, .. } => Standing::Unwanted(what),
        State::SetAside { attempt } => Standing::Unwanted(format!("attempt {attempt} was set aside")),
        State::Claimed { attempt, claim, .. } if attempt == number && claim.batch.as_deref() == Some(batch) => {
            match (job, trained) {
                (Job::Train, false) | (Job::Probe, true) => Standing::Wanted,
                (Job::Train, true) => Standing::Done,
                (Job::Probe, false) => Standing::Unwanted("it has not trained".to_owned()),
            }
        }
        State::Failed { attempt, record } => Standing::Unwanted(format!("attempt {attempt} ended: {}", record.message)),
        State::Claimed { attempt, .. } => Standing::Unwanted(format!("attempt {attempt} is another's")),
        State::Missing => Standing::Unwanted("nobody has claimed it".to_owned()),
    })
}

/// Runs the chosen stages to their end; passes on the word that the time limit is near.
fn follow<'a>(
    ground: &Ground<'a>,
    trial: Trial<'a>,
    number: Attempt,
    chosen: impl Fn(&command::Stage) -> bool,
    near_limit: &AtomicBool,
) -> Result<Outcome> {
    let mut attempt = match ground.begin(trial, number, chosen) {
        Ok(attempt) => attempt,
        Err(error) => return Ok(Outcome::Failed(failure(Cause::Start, "", format!("{error:#}"), Vec::new()))),
    };
    let mut told: Option<Instant> = None;
    loop {
        if near_limit.load(Ordering::SeqCst) && told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
            told = Some(Instant::now());
            attempt.tell(Signal::Usr1);
        }
        if let Look::Ended(outcome) = ground.look(&mut attempt)? {
            return Ok(outcome);
        }
        std::thread::sleep(POLL);
    }
}

/// Runs those probes whose rows are not there yet: a task that was requeued may have finished some.
fn probe<'a>(ground: &Ground<'a>, trial: Trial<'a>, number: Attempt, near_limit: &AtomicBool) -> Result<Outcome> {
    let key = trial.attempt_key(number);
    let trained: Trained = ground.store.read_record(&key.trained())?;
    let all = command::stages(ground.plan, &trial, number, Path::new(""), |key| key.to_owned())?;
    let rows: Vec<RowsKey> = all.into_iter().filter_map(|stage| stage.rows).collect();
    let mut missing = Vec::new();
    for rows in &rows {
        if !ground.store.exists(&rows.to_string())? {
            missing.push(rows.clone());
        }
    }
    let mut stages = trained.stages;
    if !missing.is_empty() {
        let chosen = |stage: &command::Stage| stage.rows.as_ref().is_some_and(|rows| missing.contains(rows));
        match follow(ground, trial, number, chosen, near_limit)? {
            Outcome::Done(finished) => stages.extend(finished.stages),
            Outcome::Failed(mut record) => {
                stages.append(&mut record.stages);
                return Ok(Outcome::Failed(Failed { stages, ..record }));
            }
        }
    }
    match evidence::refs(ground.store, ground.plan, &trial, &rows) {
        Ok(measured) => Ok(Outcome::Done(Finished::at(unix_s(), stages, measured))),
        Err(error) => Ok(Outcome::Failed(failure(Cause::Rows, "probe", format!("{error:#}"), stages))),
    }
}

fn number<T: std::str::FromStr>(variable: &str) -> Result<T> {
    let text = std::env::var(variable).unwrap_or_default();
    text.parse().ok().with_context(|| format!("{variable} is {text:?}: this command runs inside a Slurm job array"))
}

fn flag(signal: i32) -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal, Arc::clone(&flag)).context("listen for signals")?;
    Ok(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_never_spoke_is_not_blamed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "step 1\nsrun: error: Timed out waiting for job step to complete\n").unwrap();
        assert!(unspoken(&log, 7), "nothing was said since the seventh byte");
        assert!(!unspoken(&log, 0));
        assert!(!unspoken(&log, 1000), "an empty log tells nothing");
        assert!(!unspoken(&folder.path().join("none"), 0));
    }
}
