//! The seam between the loop of a sweep and whatever runs its trials.
//!
//! A backend claims attempts and sees to it that they are run and that each leaves its record in the store. The loop asks
//! the store, never the backend, what a trial has become; an event only says where to look.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use run_spec::ids::Attempt;

use crate::records::{Claim, Trial};

/// An attempt to be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ticket<'a> {
    /// The trial that the attempt is at.
    pub(crate) trial: Trial<'a>,
    /// Number of the attempt.
    pub(crate) attempt: Attempt,
}

/// What happened, most often to an attempt.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// Something that is no single attempt's, in a sentence.
    Note(String),
    /// Another orchestrator has claimed it.
    Taken(Trial<'a>),
    /// A stage of it runs now, in words.
    Stage(Ticket<'a>, String),
    /// Progress of a running stage: its name, and where its log says it is.
    Progress(Ticket<'a>, String, String),
    /// It has ended, after so many seconds where the backend knows: the store says how.
    Ended(Ticket<'a>, Option<f64>, PathBuf),
}

/// What a backend makes of an attempt that somebody claimed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// It is watched from now on; an event will tell its end.
    Watched,
    /// It has ended, and its end is recorded.
    Ended,
    /// It is none of this backend's.
    NotMine,
}

/// Starts the attempts of a sweep and reports how they end: as processes of this machine, or as Slurm jobs.
pub(crate) trait Backend<'a> {
    /// Whether one more attempt, at `trial`, may be started beside `chosen`, which are about to be.
    fn takes(&self, trial: &Trial<'a>, chosen: &[Ticket<'a>]) -> bool;

    /// Claims and starts attempts.
    ///
    /// # Errors
    /// The store, or something that makes starting anything pointless. A single attempt that cannot be started is
    /// recorded and reported as ended.
    fn start(&mut self, tickets: Vec<Ticket<'a>>) -> Result<Vec<Event<'a>>>;

    /// Looks at an attempt whose claim names a batch.
    ///
    /// # Errors
    /// The store.
    fn adopt(&mut self, ticket: Ticket<'a>, claim: &Claim) -> Result<Adoption>;

    /// What has happened since the last call. `places`: whether a person wants to know where each attempt is.
    ///
    /// # Errors
    /// The store.
    fn poll(&mut self, places: bool) -> Result<Vec<Event<'a>>>;

    /// Starts none of those that wait inside the backend; those that run go on.
    fn start_no_more(&mut self);

    /// A person wants this program to end: what runs is asked to end too, or is left to others.
    fn stop(&mut self);

    /// The number of attempts under way.
    fn running(&self) -> usize;

    /// How long to wait between looks.
    fn pause(&self) -> Duration;

    /// A sentence on whether the attempts of an interrupted sweep continue or stop.
    fn farewell(&self) -> String;
}
