//! Ranks that look after one another, whatever joins them. A call that waits for a dead peer may wait for ever, and the rank
//! that waits is not the one to blame. So each rank says several times a second, over TCP to rank 0, that its process lives and which
//! collective it is in; a rank that dies, falls silent or keeps the others waiting ends the world with a sentence that names
//! the rank, its host and its last collective.
//!
//! It stands beside the tensors: nothing here changes what a call does, only what it says when it fails.

mod diary;
mod judge;
mod round;

use crate::{
    AbortReason, Buffer, Collective, CollectiveError, Dtype, Op, Pending, broadcast_bytes,
    rendezvous::{
        Here, RendezvousError,
        frames::{FrameKind, Hello},
        seats::Seats,
    },
    sum_numbers,
};
use clock::{Clock, SystemClock};
use diary::Diary;
use judge::Limits;
use std::{
    fmt::{Debug, Display},
    sync::{
        Arc, OnceLock,
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How long the ranks may take to find rank 0.
const MEET_WITHIN: Duration = Duration::from_secs(20);
/// How long a call that failed waits for the word of who is to blame, which comes another way.
const SETTLE: Duration = Duration::from_secs(2);

/// How long a rank that ends lets the others read its last word.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a world is watched.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Name of this rank's host.
    pub host: String,
    /// What the batch system calls this rank's host, where it says so: the others may find it by that name alone.
    pub node_name: Option<String>,
    /// By what silence, waiting and grace are measured.
    pub clock: Arc<dyn Clock>,
    /// Time without a heartbeat after which a process counts as lost.
    pub silence: Duration,
    /// Longest wait in one call for a rank that lives.
    pub deadline: Duration,
    /// Longest wait in one call for a rank that is at the store (see [`Watched::at_store`]).
    pub at_store: Duration,
    /// Time that this rank has to end by itself when the world has ended.
    pub grace: Duration,
    /// What to do when it has not.
    pub stuck: Arc<dyn Stuck>,
}

/// What to do with this process when its world has ended and it has not ended by itself.
pub trait Stuck: Debug + Send + Sync {
    /// Called once, on the watching thread.
    fn on_stuck(&self, end: &WorldEnd);
}

impl Rules {
    fn limits(&self) -> Limits {
        Limits { silence: self.silence, deadline: self.deadline, at_store: self.at_store }
    }
}

/// Why a world ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldEnd {
    /// Whether a rank died or hangs, so that a new start may go well; else a rank gave up and said why.
    pub lost: bool,
    /// Why the world ends, in a sentence that names rank and host.
    pub reason: String,
}

impl WorldEnd {
    fn error(&self) -> CollectiveError {
        let reason = self.reason.clone();
        if self.lost { CollectiveError::Lost { reason } } else { CollectiveError::Aborted { reason } }
    }
}

/// What the calling thread and the watching thread share.
#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    diary: Diary,
    seats: Seats,
    world_end: OnceLock<WorldEnd>,
}

impl Shared {
    /// Keeps the first word, and passes it on to all but the one it came from.
    fn spread(&self, end: WorldEnd, from: Option<usize>) {
        let kind = if end.lost { FrameKind::Lost } else { FrameKind::GaveUp };
        let reason = end.reason.clone();
        if self.world_end.set(end).is_ok() {
            self.seats.send(kind, reason.as_bytes(), from);
        }
    }

    /// The outcome of a call; for one that failed, the word of who is to blame, if it comes.
    fn outcome<T>(&self, result: Result<T, CollectiveError>) -> Result<T, CollectiveError> {
        self.diary.wait(false);
        let Err(CollectiveError::Aborted { .. } | CollectiveError::Nccl(_)) = &result else { return result };
        let until = self.clock.now() + SETTLE;
        while self.watches() && self.world_end.get().is_none() && self.clock.now() < until {
            self.clock.sleep(Duration::from_millis(5));
        }
        self.world_end.get().map_or(result, |end| Err(end.error()))
    }

    fn watches(&self) -> bool {
        self.seats.world() > 1
    }
}

/// A collective whose ranks look after one another.
#[derive(Debug)]
pub struct Watched {
    inner: Option<Arc<dyn Collective>>,
    world: (usize, usize),
    shared: Arc<Shared>,
    /// Dropping it stops the watch.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    unwatched: Option<String>,
}

impl Watched {
    /// Lets the ranks of `inner` watch one another. All ranks call it. Where they cannot reach rank 0 over TCP they go on
    /// without, and [`Watched::unwatched`] says why.
    ///
    /// # Errors
    /// A peer is lost meanwhile.
    pub fn join(inner: Box<dyn Collective>, rules: Rules) -> Result<Self, CollectiveError> {
        let mut watched = Self::met(inner, &rules)?;
        // Where nobody is heard, it still ends this process when the world has ended and a library keeps it.
        if watched.world.1 > 1 {
            watched.begin(rules)?;
        }
        Ok(watched)
    }

    /// The ranks with a connection to rank 0, which nobody watches yet.
    fn met(inner: Box<dyn Collective>, rules: &Rules) -> Result<Self, CollectiveError> {
        if inner.world() == 1 {
            return Ok(Self::alone(inner));
        }
        let met = meet(inner.as_ref(), rules)?;
        let failed = sum_numbers(inner.as_ref(), &[f64::from(u8::from(met.is_err()))])?[0];
        let (seats, unwatched) = match met {
            Ok(seats) if failed == 0.0 => (seats, None),
            Ok(_) => (Seats::alone(), Some(format!("{failed} of the ranks did not reach rank 0"))),
            Err(error) => (Seats::alone(), Some(error.to_string())),
        };
        Ok(Self::new(inner, (&rules.host, &rules.clock), seats, unwatched))
    }

    /// A world of one, which nobody needs to watch.
    pub fn alone(inner: Box<dyn Collective>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        Self::new(inner, ("", &clock), Seats::alone(), None)
    }

    fn new(
        inner: Box<dyn Collective>,
        (host, clock): (&str, &Arc<dyn Clock>),
        seats: Seats,
        unwatched: Option<String>,
    ) -> Self {
        let world = (inner.rank(), inner.world());
        let diary = Diary::of(host, Arc::clone(clock));
        let shared = Arc::new(Shared { clock: Arc::clone(clock), diary, seats, world_end: OnceLock::new() });
        Self { inner: Some(Arc::from(inner)), world, shared, stop: None, thread: None, unwatched }
    }

    fn begin(&mut self, rules: Rules) -> Result<(), CollectiveError> {
        let (stop, stopped) = channel();
        let round = round::Round::new(Arc::clone(&self.shared), rules, self.inner().abort_reason());
        let inner = Arc::downgrade(self.inner());
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || round.go(&inner, &stopped))
            .map_err(|error| CollectiveError::Aborted { reason: format!("the watch does not start ({error})") })?;
        (self.stop, self.thread) = (Some(stop), Some(thread));
        Ok(())
    }

    /// Why nobody watches, if so: a dead rank is then noticed by the deadline of a call alone.
    pub fn unwatched(&self) -> Option<&str> {
        self.unwatched.as_deref()
    }

    /// Why the world ended, if it did.
    pub fn world_end(&self) -> Option<&WorldEnd> {
        self.shared.world_end.get()
    }

    /// How long this rank has waited in calls for others and for the transfer, as far as the host waits for them.
    pub fn waited(&self) -> Duration {
        self.shared.diary.waited()
    }

    /// Tells the others what this rank does from now on, for the sentence about it if it is lost.
    pub fn note(&self, doing: impl Display) {
        self.shared.diary.note(doing, false);
    }

    /// Does `work` that reads or writes at the store, which may take longer than the others would wait otherwise.
    pub fn at_store<T>(&self, doing: impl Display, work: impl FnOnce() -> T) -> T {
        self.shared.diary.note(&doing, true);
        let done = work();
        self.shared.diary.note(doing, false);
        done
    }

    #[allow(clippy::expect_used, reason = "it is taken by the drop alone")]
    fn inner(&self) -> &Arc<dyn Collective> {
        self.inner.as_ref().expect("there until it drops")
    }

    fn call<T>(
        &self,
        description: String,
        call: impl FnOnce(&dyn Collective) -> Result<T, CollectiveError>,
    ) -> Result<T, CollectiveError> {
        self.shared.diary.enter(description, true);
        self.shared.outcome(call(self.inner().as_ref()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.abort("it met a bug of its own, see its log");
        }
        // First the tensors' way, while the others are still watched: its orderly end waits for them.
        self.inner = None;
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by its own hook.
            let _ = thread.join();
        }
        self.shared.seats.farewell(FrameKind::Bye, &[], FAREWELL);
    }
}

// A method that is not passed on would take the trait's own body, past what this adapter is for.
#[deny(clippy::missing_trait_methods)]
impl Collective for Watched {
    fn rank(&self) -> usize {
        self.world.0
    }
    fn world(&self) -> usize {
        self.world.1
    }
    fn all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<(), CollectiveError> {
        let description = format!("all_reduce({op:?}, {} {})", buffer.count(), buffer.dtype());
        self.call(description, |inner| inner.all_reduce(buffer, op))
    }
    unsafe fn start_all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<Pending, CollectiveError> {
        self.shared.diary.enter(format!("all_reduce({op:?}, {} {})", buffer.count(), buffer.dtype()), false);
        // SAFETY: the caller's promise is passed on.
        let pending = self.shared.outcome(unsafe { self.inner().start_all_reduce(buffer, op) })?;
        let shared = Arc::clone(&self.shared);
        Ok(Pending::later(move || {
            shared.diary.wait(true);
            shared.outcome(pending.finish())
        }))
    }
    fn broadcast(&self, buffer: Buffer<'_>, root: usize) -> Result<(), CollectiveError> {
        let description = format!("broadcast({root}, {} {})", buffer.count(), buffer.dtype());
        self.call(description, |inner| inner.broadcast(buffer, root))
    }
    fn barrier(&self) -> Result<(), CollectiveError> {
        self.call("barrier".to_owned(), |inner| inner.barrier())
    }
    fn bytes_of_element(&self, dtype: Dtype) -> usize {
        self.inner().bytes_of_element(dtype)
    }
    fn abort_reason(&self) -> Option<Arc<AbortReason>> {
        self.inner().abort_reason()
    }
    fn abort(&self, reason: &str) {
        let place = self.shared.diary.report().place();
        let reason = format!("rank {} ({place}) gave up: {reason}", self.world.0);
        self.shared.spread(WorldEnd { lost: false, reason: reason.clone() }, None);
        self.inner().abort(&reason);
    }
}

/// The ranks find rank 0, which says over the collective where it listens.
fn meet(inner: &dyn Collective, rules: &Rules) -> Result<Result<Seats, RendezvousError>, CollectiveError> {
    let (rank, world) = (inner.rank() as u32, inner.world() as u32);
    let listener = if rank == 0 { Some(Seats::listen(0)) } else { None };
    let open = listener.as_ref().and_then(|listener| listener.as_ref().ok());
    let here = Here { host: &rules.host, node_name: rules.node_name.as_deref() };
    let own = open.map(|listener| here.offer(listener)).unwrap_or_default();
    let (run, addresses) = here.read(&broadcast_bytes(inner, own, 0)?);
    let hello = Hello { run, world, rank };
    Ok(match listener {
        Some(listener) => listener.and_then(|listener| Seats::welcome(&listener, hello, MEET_WITHIN)),
        None => Seats::come(&addresses, hello, MEET_WITHIN),
    })
}

#[cfg(test)]
mod tests;
