//! Calls under way, oldest first: what the watchdog measures against the deadline.

use super::streams::Event;
use crate::CollectiveError;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

#[derive(Debug)]
struct Call {
    number: u64,
    description: String,
    began: Instant,
    /// The end of its work on the device; `None` while the call is still being made.
    end: Option<Arc<dyn Event>>,
}

#[derive(Debug, Default)]
struct Calls {
    oldest_first: VecDeque<Call>,
    next: u64,
}

#[derive(Debug, Default)]
pub(super) struct Inflight(Mutex<Calls>);

impl Inflight {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a call that begins now; the number is for [`Inflight::queued`].
    pub(super) fn begin(&self, description: String) -> u64 {
        let mut calls = self.calls();
        let number = calls.next;
        calls.next += 1;
        calls.oldest_first.push_back(Call { number, description, began: Instant::now(), end: None });
        number
    }

    /// The call's work is queued, and ends at `end`.
    pub(super) fn queued(&self, number: u64, end: Arc<dyn Event>) {
        if let Some(call) = self.calls().oldest_first.iter_mut().find(|call| call.number == number) {
            call.end = Some(end);
        }
    }

    /// Forgets what has ended; gives the oldest call that has been under way for longer than `deadline`, in words.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn overdue(&self, deadline: Duration) -> Result<Option<String>, CollectiveError> {
        let mut calls = self.calls();
        while let Some(call) = calls.oldest_first.front() {
            match &call.end {
                Some(end) if end.is_reached()? => _ = calls.oldest_first.pop_front(),
                _ => break,
            }
        }
        Ok(calls
            .oldest_first
            .front()
            .filter(|call| call.began.elapsed() > deadline)
            .map(|call| call.description.clone()))
    }
}
