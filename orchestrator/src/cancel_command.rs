//! `orchestrator cancel`: ends what runs of a sweep, on this machine and on Slurm.
//!
//! On this machine the orchestrators of the sweep are asked to end, as Ctrl-C would: their workers save a checkpoint, and their
//! attempts are recorded as cut off. Each is held by a descriptor before it is compared with the claim, so a process number
//! that meanwhile belongs to another is never signalled. What runs on another machine is named.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clock::{Clock, SystemClock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use store::Store;

use crate::cli::TargetArgs;
use crate::identity::{Identity, Life};
use crate::plans;
use crate::records::{Plan, Trial};
use crate::slurm::control;
use crate::supervisor::{self, signal_process};
use crate::target;
use crate::trial_state::{self, State};

/// How long an orchestrator may take to end: its workers save what they have, within its `--grace-s`.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// Ends what runs of a sweep.
pub(crate) fn run(args: &TargetArgs) -> Result<ExitCode> {
    let (store, plan) = target::sweep(args)?;
    let (has_jobs, mut cut) = (control::may_have_jobs(&store, &plan)?, 0);
    if has_jobs {
        let (arrays, trials) = control::cancel(&store, &plan)?;
        let arrays: Vec<String> = arrays.iter().map(u64::to_string).collect();
        terminal::line(if arrays.is_empty() {
            "No job was left.".to_owned()
        } else {
            format!("Cancelled {}.", arrays.join(" "))
        });
        cut += trials;
    }
    let held = held(&store, &plan)?;
    let mut all_ended = true;
    for holder in holders(&store, &plan, &held, has_jobs)? {
        all_ended &= end(&holder)?;
    }
    let mut elsewhere = Vec::new();
    for (trial, holder) in &held {
        match trial_state::state(&store, trial)? {
            State::Claimed { attempt, life: Life::Dead, .. } => {
                trial_state::settle_lost(&store, trial, attempt, Duration::from_secs(30))?;
                cut += 1;
            }
            State::Claimed { life: Life::Unknown, .. } => elsewhere.push((trial.label(), holder)),
            State::Failed { .. } => cut += 1,
            _ => {}
        }
    }
    for (label, holder) in &elsewhere {
        terminal::line(format!(
            "{label} is claimed by process {} on {}: run `orchestrator cancel` there.",
            holder.pid, holder.host
        ));
    }
    let nothing = held.is_empty() && !has_jobs;
    terminal::line(match (nothing, cut) {
        (true, _) => format!("Nothing of sweep {} is running.", plan.name),
        (false, 1) => "1 trial was stopped. The same sweep command continues it.".to_owned(),
        (false, cut) => format!("{cut} trials were stopped. The same sweep command continues them."),
    });
    Ok(if elsewhere.is_empty() && all_ended { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The trials that an orchestrator of this sweep runs itself, with it. What another sweep runs of the same trials goes on.
fn held<'a>(store: &Store, plan: &'a Plan) -> Result<Vec<(Trial<'a>, Identity)>> {
    let mut held = Vec::new();
    for trial in plan.with_baselines(plan.trials()) {
        match trial_state::state(store, &trial)? {
            State::Claimed { claim, .. } if claim.batch.is_none() && claim.sweep == plan.name => {
                held.push((trial, claim.holder));
            }
            State::Claimed { claim, .. } if claim.batch.is_none() => {
                terminal::note(format!("{} runs for sweep {} too, so it continues", trial.label(), claim.sweep));
            }
            _ => {}
        }
    }
    Ok(held)
}

/// The living orchestrators of this machine that work on the plan, each once. One that only watches Slurm's jobs ends by itself.
fn holders(store: &Store, plan: &Plan, held: &[(Trial<'_>, Identity)], has_jobs: bool) -> Result<Vec<Identity>> {
    let mut holders: Vec<Identity> = held.iter().map(|(_, holder)| holder.clone()).collect();
    if !has_jobs {
        holders.extend(plans::invocations(store, plan)?.into_iter().map(|invocation| invocation.holder));
    }
    let mut living: Vec<Identity> = Vec::new();
    for holder in holders {
        if holder.life() == Life::Alive && !living.contains(&holder) {
            living.push(holder);
        }
    }
    Ok(living)
}

/// Asks an orchestrator to end and waits until it has. False: it has not, for longer than its workers should need.
fn end(holder: &Identity) -> Result<bool> {
    let clock = SystemClock::default();
    terminal::note(format!("process {} is asked to end; its workers save what they have", holder.pid));
    ask(holder)?;
    while holder.life() == Life::Alive {
        if clock.now() > PATIENCE {
            terminal::line(format!("Process {} has been asked to end and still runs.", holder.pid));
            return Ok(false);
        }
        clock.sleep(POLL);
    }
    terminal::line(format!("Process {} has ended.", holder.pid));
    Ok(true)
}

/// Sends SIGTERM to a process of this machine, if it is still the one that is meant.
fn ask(holder: &Identity) -> Result<()> {
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    let pid = pid.with_context(|| format!("{} is not the number of a process", holder.pid))?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) if holder.life() == Life::Alive => match pidfd_send_signal(&process, Signal::TERM) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("ask process {} to end", holder.pid)),
        },
        // A system without such descriptors: between the look and the signal lies no wait.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) if holder.life() == Life::Alive => {
            signal_process(holder.pid, supervisor::Signal::Term);
            Ok(())
        }
        Ok(_) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("ask process {} to end", holder.pid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_asked_only_where_it_is_the_one_that_is_meant() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let identity = Identity::of(child.id());
        let another = Identity { start_ticks: identity.start_ticks + 1, ..identity.clone() };
        ask(&another).unwrap();
        assert_eq!(identity.life(), Life::Alive, "a process of that number that began at another time is left alone");
        ask(&identity).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(identity.life(), Life::Dead);
        ask(&identity).unwrap();
    }
}
