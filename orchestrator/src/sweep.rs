//! The loop of a sweep: decides by the store which trials to start, and counts how they end.
//!
//! One thread; time comes from a clock that is handed in. Trials are independent: one that fails is recorded and the others go on. The
//! state of a trial is read from the store, never remembered, so several orchestrators may work on one sweep, and one that
//! was killed is continued by the next. A [`Backend`] runs the trials.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clock::Clock;
use run_spec::ids::Attempt;
use store::Store;

use crate::backend::{Adoption, Backend, Event, Ticket};
use crate::evidence;
use crate::identity::Life;
use crate::progress::Progress;
use crate::records::{Cause, Claim, Plan, Trial};
use crate::trial_state::{self, State};

/// How often a trial that another orchestrator holds is looked at again.
const RECHECK: Duration = Duration::from_secs(2);
/// How often an invocation tries a trial again whose attempts were lost with their machine.
const LOST_LIMIT: u32 = 3;

/// What a person chose for this invocation.
#[derive(Debug)]
pub(crate) struct Options {
    /// Try trials again whose last attempt failed by itself.
    pub(crate) retry_failed: bool,
    /// Start no more trials once so many have failed in this invocation.
    pub(crate) max_failures: Option<usize>,
    /// Take over trials that are claimed on another machine.
    pub(crate) take_over: bool,
    /// How long the remains of a dead orchestrator's workers may take to end.
    pub(crate) grace: Duration,
}

/// How an invocation ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Trials that were finished before.
    pub(crate) skipped: usize,
    /// Trials that this invocation finished.
    pub(crate) finished: usize,
    /// Trials failed, now or before.
    pub(crate) failed: usize,
    /// Trials left: not started, cut off, or held elsewhere.
    pub(crate) left: usize,
    /// Whether a signal ended it.
    pub(crate) interrupted: bool,
}

/// A sweep under way.
pub(crate) struct Sweep<'a, 'b> {
    store: &'a Store,
    plan: &'a Plan,
    options: &'b Options,
    backend: &'b mut dyn Backend<'a>,
    clock: &'b dyn Clock,
    /// Set by a signal.
    stop: Arc<AtomicBool>,
    /// Trials with the moment from which each may be looked at.
    pending: VecDeque<(Trial<'a>, Duration)>,
    lost: BTreeMap<String, u32>,
    failed_now: usize,
    /// Something that every trial would meet: what was planned has changed, or the store takes nothing. Nothing more is started.
    ends: bool,
    waiting_said: bool,
    summary: Summary,
    progress: Progress,
}

/// The number of the next attempt.
fn following(attempt: Attempt) -> Result<Attempt> {
    attempt.next().with_context(|| format!("no attempt number is left after {attempt}"))
}

/// What to do with a pending trial.
enum Next<'a> {
    Start(Ticket<'a>),
    Watched,
    Settled,
    Wait,
}

/// Runs `trials` on `backend` until each is finished, failed or held elsewhere by nobody this machine can judge.
pub(crate) fn run<'a>(
    (store, plan): (&'a Store, &'a Plan),
    (options, clock): (&Options, &dyn Clock),
    backend: &mut dyn Backend<'a>,
    stop: Arc<AtomicBool>,
    trials: Vec<Trial<'a>>,
) -> Result<Summary> {
    let total = trials.len();
    let mut summary = Summary::default();
    let mut pending = VecDeque::new();
    let mut watched = 0;
    for trial in trials {
        match evidence::state(store, plan, &trial)?.state {
            State::Finished { .. } => summary.skipped += 1,
            State::Claimed { attempt, claim, .. }
                if claim.batch.is_some() && backend.adopt(Ticket { trial, attempt }, &claim)? == Adoption::Watched =>
            {
                watched += 1;
            }
            _ => pending.push_back((trial, clock.now())),
        }
    }
    let progress = Progress::new(total, summary.skipped);
    if summary.skipped > 0 {
        progress.note(&format!("{} of {total} trials have finished earlier and are not run again", summary.skipped));
    }
    if watched > 0 {
        progress.note(&format!("{watched} of {total} trials are already running and are watched"));
    }
    let (lost, failed_now, ends, waiting_said) = (BTreeMap::new(), 0, false, false);
    Sweep {
        store,
        plan,
        options,
        backend,
        clock,
        stop,
        pending,
        lost,
        failed_now,
        ends,
        waiting_said,
        summary,
        progress,
    }
    .run()
}

impl<'a> Sweep<'a, '_> {
    fn run(mut self) -> Result<Summary> {
        let (mut stopped, mut held) = (false, false);
        loop {
            let stop = self.stop.load(Ordering::SeqCst);
            if stop && !stopped {
                stopped = true;
                self.summary.left += self.backend.running();
                self.backend.stop();
                self.summary.left -= self.backend.running();
            }
            let full = self.ends || self.options.max_failures.is_some_and(|max| self.failed_now >= max);
            if full && !held {
                held = true;
                self.backend.start_no_more();
            }
            if !stop && !full {
                let tickets = self.choose()?;
                if !tickets.is_empty() {
                    let events = self.backend.start(tickets)?;
                    self.take(events)?;
                }
            }
            let places = self.progress.wants_tails();
            let events = self.backend.poll(places)?;
            self.take(events)?;
            if self.backend.running() == 0 && (self.pending.is_empty() || stop || full) {
                self.summary.left += self.pending.len();
                self.summary.interrupted = stop;
                return Ok(self.summary);
            }
            self.clock.sleep(self.backend.pause());
        }
    }

    /// The pending trials that are started now.
    fn choose(&mut self) -> Result<Vec<Ticket<'a>>> {
        let mut chosen = Vec::new();
        for _ in 0..self.pending.len() {
            let Some((trial, due)) = self.pending.pop_front() else { break };
            if self.clock.now() < due || !self.backend.takes(&trial, &chosen) {
                self.pending.push_back((trial, due));
                continue;
            }
            match self.next(trial)? {
                Next::Start(ticket) => chosen.push(ticket),
                Next::Watched | Next::Settled => {}
                Next::Wait => self.look_again(trial),
            }
        }
        Ok(chosen)
    }

    /// Looks at a trial again after a while.
    fn look_again(&mut self, trial: Trial<'a>) {
        self.pending.push_back((trial, self.clock.now() + RECHECK));
    }

    /// Decides what to do with a pending trial, by what the store says now.
    fn next(&mut self, trial: Trial<'a>) -> Result<Next<'a>> {
        let attempt = match evidence::state(self.store, self.plan, &trial)?.state {
            State::Finished { .. } => {
                self.summary.skipped += 1;
                self.progress.on_finished_elsewhere(&trial.label());
                return Ok(Next::Settled);
            }
            State::Missing => Attempt::new(1),
            State::Failed { record, .. } if record.cause.blames_the_trial() && !self.options.retry_failed => {
                self.summary.failed += 1;
                let message = format!("before: {}; --retry-failed tries it again", record.message);
                self.progress.on_failed(&trial.label(), &message);
                return Ok(Next::Settled);
            }
            State::Failed { attempt, .. } | State::SetAside { attempt } => following(attempt)?,
            State::Damaged { attempt, what } if self.options.retry_failed => {
                self.progress
                    .note(&format!("{} is run again, its attempt {attempt} is set aside: {what}", trial.label()));
                trial_state::set_aside(self.store, &trial.attempt_key(attempt), vec![what])?;
                following(attempt)?
            }
            State::Damaged { what, .. } => return Ok(self.on_damaged(&trial, &what)),
            State::Claimed { attempt, life: Life::Dead, .. } => {
                trial_state::settle_lost(self.store, &trial, attempt, self.options.grace)?;
                following(attempt)?
            }
            State::Claimed { attempt, claim, life } => {
                let adoption = match claim.batch {
                    Some(_) => self.backend.adopt(Ticket { trial, attempt }, &claim)?,
                    None => Adoption::NotMine,
                };
                match adoption {
                    Adoption::Watched => return Ok(Next::Watched),
                    // Its end is recorded: it is looked at anew.
                    Adoption::Ended => return self.next(trial),
                    Adoption::NotMine if life == Life::Unknown && self.options.take_over => following(attempt)?,
                    Adoption::NotMine => {
                        self.say_waiting(&trial, &claim, life);
                        return Ok(Next::Wait);
                    }
                }
            }
        };
        Ok(Next::Start(Ticket { trial, attempt }))
    }

    /// Lists a trial whose records are damaged; the others go on.
    fn on_damaged(&mut self, trial: &Trial<'_>, what: &str) -> Next<'a> {
        self.summary.failed += 1;
        self.progress.on_damaged(&trial.label(), what);
        Next::Settled
    }

    fn say_waiting(&mut self, trial: &Trial<'_>, claim: &Claim, life: Life) {
        if std::mem::replace(&mut self.waiting_said, true) {
            return;
        }
        let (label, holder) = (trial.label(), &claim.holder);
        if claim.batch.is_some() {
            self.progress.note(&format!(
                "{label} is claimed by a Slurm job: waiting; `sweep --backend slurm` watches it, `cancel` stops it"
            ));
            return;
        }
        let hint =
            if life == Life::Unknown { "; if you are sure that it is dead, start again with --take-over" } else { "" };
        self.progress.note(&format!("{label} is claimed by process {} on {}: waiting{hint}", holder.pid, holder.host));
    }

    fn take(&mut self, events: Vec<Event<'a>>) -> Result<()> {
        for event in events {
            match event {
                Event::Note(text) => self.progress.note(&text),
                Event::Taken(trial) => self.look_again(trial),
                Event::Stage(Ticket { trial, attempt }, stage) => {
                    self.progress.on_stage(&trial.label(), attempt, &stage);
                }
                Event::Progress(Ticket { trial, .. }, stage, place) => {
                    self.progress.on_tail(&trial.label(), &stage, &place);
                }
                Event::Ended(ticket, seconds, log) => self.on_end(ticket, seconds, &log)?,
            }
        }
        Ok(())
    }

    fn on_end(&mut self, ticket: Ticket<'a>, seconds: Option<f64>, log: &Path) -> Result<()> {
        let (trial, label) = (ticket.trial, ticket.trial.label());
        match evidence::state(self.store, self.plan, &trial)?.state {
            State::Finished { record, .. } => {
                self.summary.finished += 1;
                let took = || record.stages.iter().map(|stage| stage.seconds).sum();
                self.progress.on_finished(&label, seconds.unwrap_or_else(took));
            }
            State::Failed { record, .. } if record.cause.blames_the_trial() => {
                self.summary.failed += 1;
                self.failed_now += 1;
                let place = if log.exists() { format!(" (log: {})", log.display()) } else { String::new() };
                self.progress.on_failed(&label, &format!("{}{place}", record.message));
            }
            // Every further trial would meet the same.
            State::Failed { record, .. } if matches!(record.cause, Cause::Changed | Cause::Store) => {
                self.summary.left += 1;
                self.ends = true;
                let verb = if record.cause == Cause::Store { "stopped" } else { "did not run" };
                self.progress.note(&format!("{label} {verb}: {}; no more trials are started", record.message));
            }
            State::Damaged { what, .. } => drop(self.on_damaged(&trial, &what)),
            State::Failed { record, .. } => {
                let lost = self.lost.entry(label.clone()).or_default();
                *lost += 1;
                if record.cause == Cause::Lost && *lost <= LOST_LIMIT {
                    self.progress.note(&format!("{label} was lost ({}): it will be tried again", record.message));
                    self.pending.push_back((trial, self.clock.now()));
                } else {
                    self.summary.left += 1;
                    self.progress.note(&format!("{label} stopped ({}); the next sweep continues it", record.message));
                }
            }
            // Somebody else has begun another attempt meanwhile.
            State::Missing | State::SetAside { .. } | State::Claimed { .. } => self.look_again(trial),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::plan;
    use clock::SteppedClock;

    /// Starts nothing; the trial's holder ends it after so many looks.
    struct Elsewhere<'a> {
        store: &'a Store,
        trial: Trial<'a>,
        looks_left: usize,
    }

    impl<'a> Backend<'a> for Elsewhere<'a> {
        fn takes(&self, _: &Trial<'a>, _: &[Ticket<'a>]) -> bool {
            true
        }

        fn start(&mut self, _: Vec<Ticket<'a>>) -> Result<Vec<Event<'a>>> {
            panic!("a trial that another holds is not started")
        }

        fn adopt(&mut self, _: Ticket<'a>, _: &Claim) -> Result<Adoption> {
            Ok(Adoption::NotMine)
        }

        fn poll(&mut self, _: bool) -> Result<Vec<Event<'a>>> {
            self.looks_left = self.looks_left.saturating_sub(1);
            if self.looks_left == 0 {
                let record = crate::attempt::failure(Cause::Exit, "train", "not finite".to_owned(), Vec::new());
                trial_state::record_failure(self.store, &self.trial, Attempt::new(1), &record)?;
            }
            Ok(Vec::new())
        }

        fn start_no_more(&mut self) {}

        fn stop(&mut self) {}

        fn running(&self) -> usize {
            0
        }

        fn pause(&self) -> Duration {
            Duration::from_millis(100)
        }

        fn farewell(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn a_trial_that_another_holds_is_looked_at_every_two_seconds_until_it_has_ended() {
        let (store, plan) = (Store::open("memory://sweep-held").unwrap(), plan());
        let trial = plan.trials()[0];
        trial_state::claim(&store, &trial, Attempt::new(1), "s", None).unwrap();
        let clock = SteppedClock::default();
        let options = Options { retry_failed: false, max_failures: None, take_over: false, grace: Duration::ZERO };
        let mut backend = Elsewhere { store: &store, trial, looks_left: 5 };
        let stop = Arc::new(AtomicBool::new(false));
        let summary = run((&store, &plan), (&options, &clock), &mut backend, stop, vec![trial]).unwrap();
        assert_eq!((summary.failed, summary.left), (1, 0));
        // It ended after half a second, and the next look at it is due after two.
        assert!((RECHECK..RECHECK + Duration::from_millis(200)).contains(&clock.now()), "{:?}", clock.now());
    }
}
