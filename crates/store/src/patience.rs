//! Waiting for a store that is away: a server that restarts, a network that is cut for minutes.
//!
//! The client's own retries end within seconds. A patient store goes on after them, up to a limit. Until it has answered
//! once, it does so only where the address is known to be right: a wrong one is reported at once. Whether to wait is decided by
//! the kind of the error: the general failure, which is what cut connections and busy servers give, and no refusal,
//! conflict or missing key.

use crate::error::{clean, is_refusal};
use async_trait::async_trait;
use clock::{Clock, SystemClock};
use object_store::retry::{RetryContext, RetryFailure, RetryPolicy};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(30);
/// What is left of the patience of a process that was asked to end: Slurm kills it 30 s after the signal.
const HURRIED: Duration = Duration::from_secs(10);
/// How long a request that was sent may go without its answer then: a large part on a slow line takes tens of seconds.
const UNANSWERED: Duration = Duration::from_secs(60);
/// How often a pause looks whether there is a hurry now.
const SLICE: Duration = Duration::from_millis(500);

/// How a store that is away is waited for.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// How long each call waits.
    pub limit: Duration,
    /// Whether the address is known to be right, so that a store that has not answered yet is waited for as well.
    pub known: bool,
    /// Set from outside when the process is asked to end: a call then waits for 10 s at most, and for an answer 60 s.
    pub hurry: Arc<AtomicBool>,
}

impl Waiting {
    /// The limit that holds now.
    fn limit_now(&self) -> Duration {
        if self.hurry.load(Ordering::Relaxed) { self.limit.min(HURRIED) } else { self.limit }
    }
}

/// How long a store is waited for.
#[derive(Debug)]
pub(crate) struct Patience {
    waiting: Waiting,
    clock: Arc<dyn Clock>,
    /// Whether the store has answered at all.
    answered: AtomicBool,
}

impl Patience {
    /// None: the client's retries are all there are.
    pub(crate) fn none() -> Self {
        Self::of(Waiting::default())
    }

    pub(crate) fn of(waiting: Waiting) -> Self {
        Self::by(waiting, Arc::new(SystemClock::default()))
    }

    pub(crate) fn by(waiting: Waiting, clock: Arc<dyn Clock>) -> Self {
        let answered = AtomicBool::new(waiting.known);
        Self { waiting, clock, answered }
    }

    /// A call to be repeated while the store is away.
    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { patience: self, began: None, tries: 0 }
    }

    /// For the parts of an upload, which the client repeats by itself.
    pub(crate) fn of_parts(&self) -> Option<Arc<dyn RetryPolicy>> {
        (self.waiting.limit > Duration::ZERO).then(|| Arc::new(OfParts(self.waiting.clone())) as Arc<dyn RetryPolicy>)
    }

    /// Says when to give up a request that gets no answer: some time after the process was asked to end.
    pub(crate) fn gives_up(&self) -> impl FnMut() -> bool {
        let (hurry, clock) = (Arc::clone(&self.waiting.hurry), Arc::clone(&self.clock));
        let mut since = None;
        move || {
            let now = clock.now();
            let hurried = hurry.load(Ordering::Relaxed).then(|| *since.get_or_insert(now));
            hurried.is_some_and(|since| now.saturating_sub(since) >= UNANSWERED)
        }
    }

    /// Takes note of an answer.
    pub(crate) fn answered<T>(&self, result: &object_store::Result<T>) {
        if result.as_ref().map_or_else(|error| !is_away(error), |_| true) {
            self.answered.store(true, Ordering::Relaxed);
        }
    }
}

/// One call that waits for the store.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    patience: &'a Patience,
    /// When the first failure was seen.
    began: Option<Duration>,
    tries: u32,
}

impl Wait<'_> {
    /// Waits, and says to try again; false for an error that time does not heal, or when the time is over.
    pub(crate) fn again(&mut self, error: &object_store::Error, uri: &str) -> bool {
        let Patience { waiting, clock, answered } = self.patience;
        if !is_away(error) || !answered.load(Ordering::Relaxed) {
            return false;
        }
        let now = clock.now();
        let began = *self.began.get_or_insert(now);
        let left = || waiting.limit_now().saturating_sub(clock.now().saturating_sub(began));
        if left().is_zero() {
            return false;
        }
        if self.tries == 0 {
            let seconds = waiting.limit_now().as_secs();
            let why = clean(error);
            tracing::warn!(uri, why, "the store cannot be reached: trying again for up to {seconds} s");
        }
        let until = now + pause(self.tries);
        while clock.now() < until && !left().is_zero() {
            clock.sleep(SLICE.min(until.saturating_sub(clock.now())).min(left()));
        }
        self.tries += 1;
        true
    }

    /// Takes note of the answer that ends the call.
    pub(crate) fn ended<T>(&self, result: &object_store::Result<T>, uri: &str) {
        self.patience.answered(result);
        if let (Some(began), Ok(_)) = (self.began, result) {
            let seconds = self.patience.clock.now().saturating_sub(began).as_secs();
            tracing::info!(uri, seconds, tries = self.tries, "the store answers again");
        }
    }
}

/// Whether the store cannot be reached or cannot answer now.
fn is_away(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { .. }) && !is_refusal(error)
}

/// The pause after `tries` tries: from half a second, doubled each time, a random half of it left out, so that many who
/// lost the same store do not all come back at once.
fn pause(tries: u32) -> Duration {
    let whole = Duration::from_millis(500 << tries.min(6)).min(LONGEST);
    let random = RandomState::new().build_hasher().finish() % 1024;
    whole / 2 + whole / 2 * u32::try_from(random).unwrap_or(0) / 1024
}

#[derive(Debug)]
struct OfParts(Waiting);

#[async_trait]
impl RetryPolicy for OfParts {
    async fn retry(&self, context: RetryContext) -> bool {
        let passes = match context.failure {
            RetryFailure::Status(status) => status.is_server_error() || status.as_u16() == 429,
            RetryFailure::Transport(_) => true,
            _ => false,
        };
        let mut left = pause(u32::try_from(context.attempt).unwrap_or(u32::MAX));
        let mut slept = Duration::ZERO;
        while passes && context.elapsed + slept < self.0.limit_now() && !left.is_zero() {
            let slice = SLICE.min(left);
            tokio::time::sleep(slice).await;
            (slept, left) = (slept + slice, left - slice);
        }
        passes && left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let pauses: Vec<Duration> = (0..40).map(pause).collect();
        assert!(pauses[0] >= Duration::from_millis(250) && pauses[0] <= Duration::from_millis(500));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST));
        assert!(pauses[10..].iter().all(|pause| *pause >= LONGEST / 2));
        assert!(pauses[10..].windows(2).any(|two| two[0] != two[1]), "no jitter");
    }
}
