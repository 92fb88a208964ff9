//! The supervisor: a small process between the orchestrator and a worker, so that no worker outlives its orchestrator.
//!
//! The supervisor leads a process group that holds the worker and all its children. Its standard input is a pipe whose other end
//! only the orchestrator holds; when that end closes, however the orchestrator died, the supervisor asks the group to end and,
//! after a grace period, kills it. Nothing here needs the worker's help.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const POLL: Duration = Duration::from_millis(50);

/// Runs `program` until it ends, and ends as it did (128 + signal where a signal ended it).
pub(crate) fn run(program: &str, args: &[String], grace: Duration) -> Result<ExitCode> {
    // A signal to the group is meant for the worker; the supervisor stays to see what comes of it.
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&asked)).context("listen for signals")?;
    }
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let orphaned = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&orphaned);
    std::thread::spawn(move || {
        wait_for_end_of_input();
        flag.store(true, Ordering::SeqCst);
    });
    let group = std::process::id();
    let mut kill_at = None;
    loop {
        if let Some(status) = child.try_wait().context("wait for the worker")? {
            return Ok(ExitCode::from(code_of(status)));
        }
        let orphan = orphaned.load(Ordering::SeqCst);
        if kill_at.is_none() && (orphan || asked.load(Ordering::SeqCst)) {
            kill_at = Some(Instant::now() + grace);
            if orphan {
                terminal::note("supervisor: the orchestrator is gone; ending the worker");
                signal_group(group, Signal::Term);
            }
        }
        if kill_at.is_some_and(|at| Instant::now() >= at) {
            terminal::note("supervisor: the worker did not end in time; killing it");
            signal_group(group, Signal::Kill);
        }
        std::thread::sleep(POLL);
    }
}

fn wait_for_end_of_input() {
    let mut input = std::io::stdin().lock();
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(n) if n > 0 => {}
            _ => return,
        }
    }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// The signals that are sent to a process or a group of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The time limit is near: save and end.
    Usr1,
    /// End, saving what can be saved.
    Term,
    /// End at once, without saving anything.
    Kill,
}

impl From<Signal> for nix::sys::signal::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Usr1 => Self::SIGUSR1,
            Signal::Term => Self::SIGTERM,
            Signal::Kill => Self::SIGKILL,
        }
    }
}

/// Sends a signal to a whole process group; a group that has ended is ignored.
pub(crate) fn signal_group(group: u32, signal: Signal) {
    tell(group, |pid| nix::sys::signal::killpg(pid, nix::sys::signal::Signal::from(signal)));
}

/// Sends a signal to one process; a process that has ended is ignored.
pub(crate) fn signal_process(process: u32, signal: Signal) {
    tell(process, |pid| nix::sys::signal::kill(pid, nix::sys::signal::Signal::from(signal)));
}

/// 0 would mean this program's own group, and 1 every process: neither was ever started by it.
fn tell(id: u32, send: impl FnOnce(nix::unistd::Pid) -> nix::Result<()>) {
    if let Some(pid) = i32::try_from(id).ok().filter(|pid| *pid > 1) {
        match send(nix::unistd::Pid::from_raw(pid)) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => tracing::debug!(%error, pid, "a signal was not delivered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_reaches_children_of_the_group_leader() {
        use std::os::unix::process::CommandExt;
        let mut leader = Command::new("/bin/sh");
        leader.args(["-c", "sleep 600 & echo $!; wait"]).process_group(0).stdout(Stdio::piped());
        let mut leader = leader.spawn().unwrap();
        let mut pid = String::new();
        let mut out = std::io::BufReader::new(leader.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut pid).unwrap();
        let child = crate::identity::Identity::of(pid.trim().parse().unwrap());
        assert_eq!(child.life(), crate::identity::Life::Alive);
        signal_group(leader.id(), Signal::Kill);
        assert_eq!(leader.wait().unwrap().signal(), Some(9));
        for _ in 0..100 {
            if child.life() == crate::identity::Life::Dead {
                return;
            }
            std::thread::sleep(POLL);
        }
        panic!("the grandchild outlived its group");
    }
}
