//! May a task whose worker was stopped or died go back into the queue? For a run the worker counts, in the run's own folder
//! (`worker requeue`); a probe, which is begun anew, is started a few times at most.

use std::process::Command;

use run_folder::failure::{RANK_LOST, STOPPED};

use crate::attempt::Ground;
use crate::records::{Failed, Trial};
use crate::slurm::job_batch::Job;

/// How often a task is started again where nothing else counts.
pub(crate) const LIMIT: u32 = 3;

/// Whether a task may be started again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It ended with an error of its own, which a new start would meet again.
    Unasked,
    /// It may be started again.
    Granted,
    /// It may not, for this reason.
    Refused(String),
}

/// Asks for a task that ended as `record` says, after a warning that the time limit is near or without one.
pub(crate) fn ask(ground: &Ground<'_>, trial: &Trial<'_>, job: Job, record: &Failed, near_limit: bool) -> Again {
    let code = record.stages.last().and_then(|stage| stage.exit_code);
    let Some(code) = code.filter(|code| is_no_error(*code, near_limit)) else { return Again::Unasked };
    if job == Job::Probe {
        return if ground.restarts < LIMIT {
            Again::Granted
        } else {
            Again::Refused(format!("it was started {} times", LIMIT + 1))
        };
    }
    let mut command = Command::new(&ground.launcher.worker);
    command.args(["requeue", "--out", &ground.store.uri_of(&trial.key().run()), "--code", &code.to_string()]);
    if near_limit {
        command.arg("--near-limit");
    }
    match command.output() {
        Ok(output) if output.status.success() => Again::Granted,
        Ok(output) => Again::Refused(last_sentence(&String::from_utf8_lossy(&output.stderr))),
        Err(error) => Again::Refused(format!("its restarts could not be counted ({error})")),
    }
}

/// Whether a worker that ended with `code` was stopped, killed, or lost a peer.
fn is_no_error(code: i32, near_limit: bool) -> bool {
    code == i32::from(RANK_LOST) || code > 128 || (code == i32::from(STOPPED) && near_limit)
}

/// The last line of a log, without what stands before its sentence.
fn last_sentence(log: &str) -> String {
    let line = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    crate::log::sentence(line.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stopped_killed_or_lost_a_peer_is_asked_about_and_an_error_is_not() {
        let asked = |near_limit: bool| {
            [1, 2, 85, 87, 101, 137].into_iter().filter(|code| is_no_error(*code, near_limit)).collect::<Vec<_>>()
        };
        assert_eq!(asked(true), [85, 87, 137]);
        assert_eq!(asked(false), [87, 137]);
    }

    #[test]
    fn a_refusal_is_the_workers_sentence() {
        let log = "2026-01-01T00:00:00Z  WARN the record of a restart is damaged\nerror: file:///r: 3 restarts\n\n";
        assert_eq!(last_sentence(log), "file:///r: 3 restarts");
        assert_eq!(last_sentence(""), "it gave no reason");
    }
}
