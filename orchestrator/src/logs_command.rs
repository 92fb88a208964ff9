//! `orchestrator logs`: what the worker of a trial's last attempt has said.
//!
//! While an attempt runs, its log grows in the work folder of whoever runs it, which all nodes of a cluster share; once it has ended, the
//! store holds the end of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clock::{Clock, SystemClock};
use run_spec::ids::Attempt;
use store::Store;

use crate::cli::LogsArgs;
use crate::identity::{Identity, Life};
use crate::local_log;
use crate::log::{self, Growing};
use crate::records::Trial;
use crate::target;
use crate::trial_state::{self, State};

/// Between two looks at a log that is followed.
const POLL: Duration = Duration::from_millis(500);
/// Looks at the log between two looks at the store.
const LOOKS: u32 = 6;
/// Bytes that are read at once.
const BLOCK: u64 = 1 << 20;

/// Prints the log of a trial's last attempt.
pub(crate) fn run(args: &LogsArgs) -> Result<ExitCode> {
    let (store, plan) = target::sweep_with(&args.choice, &[&args.trial])?;
    let trial = target::trial(&plan, &args.trial)?;
    let Some((attempt, names)) = last_attempt(&store, &trial)? else {
        bail!("{} has not been run yet: it has no log", trial.label());
    };
    let key = trial.attempt_key(attempt);
    terminal::note(format!("{} attempt {attempt}", trial.label()));
    let local = local_log::of(&store, &key, &names)?;
    match local.as_ref().filter(|(path, _)| path.is_file()) {
        Some((path, _)) => {
            let mut log = Growing::new(path.clone());
            print(all_of(&mut log), args.lines);
            if args.follow {
                follow(&store, (&trial, attempt), &mut log)?;
            }
        }
        None => stored(&store, (&trial, attempt), local.as_ref(), args)?,
    }
    if args.follow {
        terminal::note(ending(&trial_state::state(&store, &trial)?));
    }
    Ok(ExitCode::SUCCESS)
}

/// Number and records of the newest attempt that somebody has claimed.
fn last_attempt(store: &Store, trial: &Trial<'_>) -> Result<Option<(Attempt, BTreeSet<String>)>> {
    let attempts = trial_state::attempts(store, trial)?;
    Ok(attempts.into_iter().rfind(|(_, names)| names.contains("claim.json")))
}

/// Prints what the store holds of an attempt's log, which comes there when the attempt has ended.
fn stored(
    store: &Store,
    (trial, attempt): (&Trial<'_>, Attempt),
    local: Option<&(PathBuf, Identity)>,
    args: &LogsArgs,
) -> Result<()> {
    let runs = || Ok::<_, anyhow::Error>(is_running(&trial_state::state(store, trial)?, attempt));
    if runs()? {
        match local {
            Some((path, leader)) => terminal::note(format!(
                "its log is on {}, at {}; the store gets its last part when the attempt has ended",
                leader.host,
                path.display()
            )),
            None => terminal::note("it has not started anything yet"),
        }
        while args.follow && runs()? {
            SystemClock::default().sleep(POLL * LOOKS);
        }
    }
    let key = trial.attempt_key(attempt);
    let mut found = false;
    for name in ["log-train.txt", "log-probe.txt", "log.txt"] {
        let log = key.log(name);
        if store.exists(&log)? {
            found = true;
            let text = String::from_utf8_lossy(&store.get(&log)?).into_owned();
            print(text.lines().map(str::to_owned).collect(), args.lines);
        }
    }
    if !found {
        terminal::note(format!("{} has no log of it", store.uri_of(&key.to_string())));
    }
    Ok(())
}

/// Prints a log as it grows, until the attempt has ended.
fn follow(store: &Store, (trial, attempt): (&Trial<'_>, Attempt), log: &mut Growing) -> Result<()> {
    let clock = SystemClock::default();
    loop {
        let ended = !is_running(&trial_state::state(store, trial)?, attempt);
        for _ in 0..LOOKS {
            print(all_of(log), None);
            if ended {
                return Ok(());
            }
            clock.sleep(POLL);
        }
    }
}

fn is_running(state: &State, attempt: Attempt) -> bool {
    matches!(state, State::Claimed { attempt: newest, life: Life::Alive | Life::Unknown, .. } if *newest == attempt)
}

fn ending(state: &State) -> String {
    match state {
        State::Finished { .. } => "finished".to_owned(),
        State::Failed { record, .. } => format!("ended: {}", record.message),
        State::Damaged { what, .. } => format!("damaged: {what}"),
        State::Claimed { life: Life::Dead, .. } => "its orchestrator is dead".to_owned(),
        State::Claimed { attempt, .. } => format!("attempt {attempt} runs now"),
        State::Missing | State::SetAside { .. } => "it is to be run again".to_owned(),
    }
}

fn all_of(log: &mut Growing) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(more) = log.lines(BLOCK) {
        lines.extend(more);
    }
    lines
}

fn print(lines: Vec<String>, most: Option<usize>) {
    let skipped = lines.len().saturating_sub(most.unwrap_or(usize::MAX));
    lines.iter().skip(skipped).map(|line| log::plain(line)).for_each(terminal::line);
}
