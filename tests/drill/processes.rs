//! Signals to processes that a test has started, and to those that these have.

use std::process::Command;
use std::time::{Duration, Instant};

/// Sends a signal to those that are still there.
pub(crate) fn signal(name: &str, processes: &[u32]) {
    for process in processes {
        let _ = Command::new("kill")
            .args([&format!("-{name}"), &process.to_string()])
            .stderr(std::process::Stdio::null())
            .status();
    }
}

/// Lets them work a fifth of the time, for `time`.
pub(crate) fn slow(processes: &[u32], time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        signal("STOP", processes);
        std::thread::sleep(Duration::from_millis(400));
        signal("CONT", processes);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The processes that `process` has started and that run the worker.
pub(crate) fn workers_of(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.filter(|child| comm(*child) == "worker").collect()
}

fn comm(process: u32) -> String {
    std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim().to_owned()
}

/// Whether it is still there, and no zombie.
pub(crate) fn lives(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in brackets may hold anything.
    status.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
