//! An adapter that fails or dawdles at a chosen call, to test what a lost peer does to the caller.

use crate::{AbortReason, Buffer, Collective, CollectiveError, Dtype, Op, Pending};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::Duration,
};

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and so does every later one: the peer is lost.
    Lost,
    /// It is late by this much.
    Late(Duration),
}

/// Passes every call on to `inner`, except that call number `at` (from 0; all-reduce, broadcast and barrier count)
/// meets `fault`.
#[derive(Debug)]
pub struct Faulty<C> {
    inner: C,
    at: usize,
    fault: Fault,
    calls: AtomicUsize,
}

impl<C: Collective> Faulty<C> {
    /// Wraps `inner` so that its call number `at`, from 0, has `fault`.
    pub fn new(inner: C, at: usize, fault: Fault) -> Self {
        Self { inner, at, fault, calls: AtomicUsize::new(0) }
    }

    /// Calls made so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn meet(&self) -> Result<(), CollectiveError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Lost if call >= self.at => {
                let reason = format!("a fault was asked for at call {}", self.at);
                self.inner.abort(&reason);
                Err(CollectiveError::Aborted { reason })
            }
            Fault::Late(delay) if call == self.at => {
                sleep(delay);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

// A method that is not passed on would take the trait's own body, past what this adapter is for.
#[deny(clippy::missing_trait_methods)]
impl<C: Collective> Collective for Faulty<C> {
    fn rank(&self) -> usize {
        self.inner.rank()
    }
    fn world(&self) -> usize {
        self.inner.world()
    }
    fn all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<(), CollectiveError> {
        self.meet()?;
        self.inner.all_reduce(buffer, op)
    }
    unsafe fn start_all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<Pending, CollectiveError> {
        self.meet()?;
        // SAFETY: the caller's promise is passed on.
        unsafe { self.inner.start_all_reduce(buffer, op) }
    }
    fn broadcast(&self, buffer: Buffer<'_>, root: usize) -> Result<(), CollectiveError> {
        self.meet()?;
        self.inner.broadcast(buffer, root)
    }
    fn barrier(&self) -> Result<(), CollectiveError> {
        self.meet()?;
        self.inner.barrier()
    }
    fn bytes_of_element(&self, dtype: Dtype) -> usize {
        self.inner.bytes_of_element(dtype)
    }
    fn abort_reason(&self) -> Option<Arc<AbortReason>> {
        self.inner.abort_reason()
    }
    fn abort(&self, reason: &str) {
        self.inner.abort(reason);
    }
}
