//! A worker as a process group of this machine, begun through some other program: the supervisor, or Slurm's `srun`.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use run_folder::failure::ERROR_FILE;

use crate::identity::Identity;
use crate::supervisor::{Signal, signal_group, signal_process};

/// How workers are started.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    /// Program and arguments that stand before the worker; the program stays until the worker has ended, and ends as it did.
    pub(crate) prefix: Vec<String>,
    /// Path of the worker program.
    pub(crate) worker: PathBuf,
    /// What asks a worker to end, sent to its process group.
    pub(crate) ask: Signal,
    /// How long it may take to end then.
    pub(crate) grace: Duration,
}

/// One stage that runs.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    began: Instant,
    kill_at: Option<Instant>,
}

/// Where the workers that write to `log` leave the record of why they failed.
pub(crate) fn error_file_of(log: &Path) -> PathBuf {
    log.with_extension("error.json")
}

impl Launcher {
    /// Workers that end when this program does: `program` is this program, which is also the supervisor.
    pub(crate) fn supervised(program: &Path, worker: PathBuf, grace: Duration) -> Self {
        let seconds = grace.as_secs_f64().to_string();
        let program = program.display().to_string();
        let prefix = [program.as_str(), "supervise", "--grace-s", &seconds, "--"];
        Self { prefix: prefix.map(str::to_owned).to_vec(), worker, ask: Signal::Term, grace }
    }

    /// Starts the worker with `args` in a process group of its own; both its streams are appended to `log`.
    pub(crate) fn start(&self, args: &[String], log: &Path) -> Result<Process> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let out = open().with_context(|| format!("cannot open log {}", log.display()))?;
        let err = out.try_clone().with_context(|| format!("cannot open log {}", log.display()))?;
        // What an earlier stage or start has left is not this one's.
        let error_file = error_file_of(log);
        match std::fs::remove_file(&error_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", error_file.display()));
            }
            _ => {}
        }
        let (program, first) = self.prefix.split_first().context("a worker is started through some program")?;
        let mut command = Command::new(program);
        command.args(first).arg(&self.worker).args(args).env(ERROR_FILE, error_file);
        // Waiting threads that spin would slow the trials beside them many times over.
        if std::env::var_os("OMP_WAIT_POLICY").is_none() {
            command.env("OMP_WAIT_POLICY", "passive");
        }
        // Dropping the child closes the pipe on its standard input, which tells a supervisor to end the worker.
        let child = command.process_group(0).stdin(Stdio::piped()).stdout(out).stderr(err).spawn();
        let child = child.with_context(|| format!("cannot start {program}"))?;
        Ok(Process { child, began: Instant::now(), kill_at: None })
    }
}

impl Process {
    /// Leader of the process group.
    pub(crate) fn leader(&self) -> Identity {
        Identity::of(self.child.id())
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Sends a signal to the leader alone.
    pub(crate) fn tell(&self, signal: Signal) {
        signal_process(self.child.id(), signal);
    }

    /// Asks the group to end; [`Process::poll`] kills it once `grace` has passed.
    pub(crate) fn stop(&mut self, ask: Signal, grace: Duration) {
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + grace);
            signal_group(self.child.id(), ask);
        }
    }

    /// Looks whether the stage has ended. What is left of its group is killed.
    pub(crate) fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.kill_at.is_some_and(|at| Instant::now() >= at) {
            signal_group(self.child.id(), Signal::Kill);
        }
        let status = self.child.try_wait().context("wait for a worker")?;
        if status.is_some() {
            signal_group(self.child.id(), Signal::Kill);
        }
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal_group(self.child.id(), Signal::Kill);
            let _ = self.child.wait();
        }
    }
}
