//! The local backend: a worker as a guarded process group on this machine.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::guard::{Signal, signal_group};
use crate::identity::Identity;

/// How workers are started.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    /// This program, which is also the guard.
    pub(crate) guard: PathBuf,
    /// The worker.
    pub(crate) worker: PathBuf,
    /// Seconds between asking a worker to end and killing it.
    pub(crate) grace: Duration,
}

/// One stage that runs.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    began: Instant,
    kill_at: Option<Instant>,
}

impl Launcher {
    /// Starts the worker with `args` in a process group of its own; both its streams are appended to `log`.
    pub(crate) fn start(&self, args: &[String], log: &Path) -> Result<Process> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let out = open().with_context(|| format!("open log {}", log.display()))?;
        let err = out.try_clone().with_context(|| format!("open log {}", log.display()))?;
        let mut command = Command::new(&self.guard);
        command
            .arg("guard")
            .arg("--grace-s")
            .arg(self.grace.as_secs_f64().to_string())
            .arg("--")
            .arg(&self.worker)
            .args(args);
        // Waiting threads that spin would slow the trials beside them many times over.
        if std::env::var_os("OMP_WAIT_POLICY").is_none() {
            command.env("OMP_WAIT_POLICY", "passive");
        }
        // Dropping the child closes the pipe on its standard input, which ends the worker.
        let child = command.process_group(0).stdin(Stdio::piped()).stdout(out).stderr(err).spawn();
        let child = child.with_context(|| format!("start {}", self.guard.display()))?;
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

    /// Asks the group to end; [`Process::poll`] kills it once `grace` has passed.
    pub(crate) fn stop(&mut self, grace: Duration) {
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + grace);
            signal_group(self.child.id(), Signal::Term);
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

/// The last `limit` bytes of a log, from the beginning of a line.
pub(crate) fn tail(log: &Path, limit: u64) -> String {
    let read = || -> std::io::Result<(Vec<u8>, bool)> {
        let mut file = std::fs::File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(limit);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok((bytes, start > 0))
    };
    let Ok((bytes, cut)) = read() else { return String::new() };
    let text = String::from_utf8_lossy(&bytes);
    match text.split_once('\n') {
        Some((_, rest)) if cut => rest.to_owned(),
        _ => text.into_owned(),
    }
}

/// What a log says last: for a failed trial, its reason; for a running one, where it is.
pub(crate) fn last_words(log: &Path) -> String {
    let text = tail(log, 8192);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("guard: "));
    let plain = strip_colour(line.unwrap_or("no output"));
    plain.strip_prefix("Error: ").unwrap_or(&plain).chars().take(300).collect()
}

/// Drops terminal colour sequences (`ESC [ … letter`).
fn strip_colour(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_last_line_without_colour() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(
            &log,
            format!("{}\n\u{1b}[31mError: no shards\u{1b}[0m\n\nguard: the worker ended\n", "x".repeat(20_000)),
        )
        .unwrap();
        assert_eq!(last_words(&log), "no shards");
        assert!(tail(&log, 30).len() < 30);
        assert_eq!(last_words(&dir.path().join("none")), "no output");
    }
}
