//! The local backend: attempts as guarded processes of this machine, a number of them at once.

use std::time::Duration;

use anyhow::Result;

use crate::attempt::{Ground, Look, Outcome, RunningAttempt, failure, log_of};
use crate::backend::{Adoption, Backend, Event, Ticket};
use crate::log;
use crate::progress;
use crate::records::{Cause, Claim, Trial};
use crate::trial_state;

const POLL: Duration = Duration::from_millis(100);

/// Attempts of this machine.
#[derive(Debug)]
pub(crate) struct Local<'a> {
    ground: Ground<'a>,
    slots: usize,
    running: Vec<RunningAttempt<'a>>,
}

impl<'a> Local<'a> {
    /// Runs at most `slots` attempts at once on `ground`.
    pub(crate) fn new(ground: Ground<'a>, slots: usize) -> Self {
        Self { ground, slots, running: Vec::new() }
    }
}

impl<'a> Backend<'a> for Local<'a> {
    fn takes(&self, _: &Trial<'a>, chosen: &[Ticket<'a>]) -> bool {
        self.running.len() + chosen.len() < self.slots
    }

    fn start(&mut self, tickets: Vec<Ticket<'a>>) -> Result<Vec<Event<'a>>> {
        let Ground { store, plan, .. } = self.ground;
        let mut events = Vec::new();
        for ticket in tickets {
            let Ticket { trial, attempt } = ticket;
            if !trial_state::claim(store, &trial, attempt, &plan.name, None)? {
                events.push(Event::Taken(trial));
                continue;
            }
            match self.ground.begin(trial, attempt, |_| true) {
                Ok(running) => {
                    events.push(Event::Stage(ticket, running.stage.clone()));
                    self.running.push(running);
                }
                Err(error) => {
                    let record = failure(Cause::Start, "train", format!("{error:#}"), Vec::new());
                    self.ground.record(&trial, attempt, &Outcome::Failed(record))?;
                    events.push(Event::Ended(ticket, None, log_of(&self.ground.work, &trial, attempt)));
                }
            }
        }
        Ok(events)
    }

    fn adopt(&mut self, _: Ticket<'a>, _: &Claim) -> Result<Adoption> {
        Ok(Adoption::NotMine)
    }

    fn poll(&mut self, places: bool) -> Result<Vec<Event<'a>>> {
        let mut events = Vec::new();
        let mut still = Vec::new();
        for mut running in std::mem::take(&mut self.running) {
            let ticket = Ticket { trial: running.trial, attempt: running.number };
            if places {
                let place = progress::place(&log::tail(&running.log, 4096));
                events.push(Event::Progress(ticket, running.stage.clone(), place));
            }
            match self.ground.look(&mut running)? {
                Look::Going => still.push(running),
                Look::Stage => {
                    events.push(Event::Stage(ticket, running.stage.clone()));
                    still.push(running);
                }
                Look::Ended(outcome) => {
                    self.ground.record(&running.trial, running.number, &outcome)?;
                    events.push(Event::Ended(ticket, Some(running.seconds()), running.log));
                }
            }
        }
        self.running = still;
        Ok(events)
    }

    fn start_no_more(&mut self) {}

    fn stop(&mut self) {
        for running in &mut self.running {
            self.ground.cut(running, Cause::Interrupted);
        }
    }

    fn running(&self) -> usize {
        self.running.len()
    }

    fn pause(&self) -> Duration {
        POLL
    }

    fn farewell(&self) -> String {
        "Interrupted. The same command continues the sweep.".to_owned()
    }
}
