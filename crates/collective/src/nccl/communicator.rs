//! One communicator of NCCL, non-blocking throughout: no call here waits inside the library, so a lock can be held over
//! each, and the watchdog comes to its turn between two of them.

use super::{
    library::{Library, NcclError},
    sys::{Code, Comm, Config, IN_PROGRESS, SUCCESS, Table, UniqueId},
};
use crate::{CollectiveError, poll::pause};
use std::{
    ffi::c_int,
    ptr::null_mut,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicPtr, Ordering},
    },
    time::{Duration, Instant},
};

/// Asked between polls: a reason to stop waiting, if there is one.
pub(super) type Stop<'a> = dyn Fn() -> Option<String> + 'a;

/// How long an abort waits for a call that is inside the library. A call that launches work can be stuck there when the device's
/// queue is full of work that waits for a lost peer. An abort frees what such a call uses, so it is left out then, and the process
/// is ended ([`crate::watch`]).
const GRACE: Duration = Duration::from_secs(2);
/// How long an orderly end may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Communicator {
    library: Arc<Library>,
    /// Held over every call into the library; the address is null once the communicator is gone.
    turn: Mutex<()>,
    comm: AtomicPtr<std::ffi::c_void>,
}

impl Communicator {
    /// Joins the communicator `id` and returns when all ranks have. The thread's current device becomes its device.
    ///
    /// # Errors
    /// NCCL refuses, or `stop` gives a reason.
    pub(super) fn join(
        library: Arc<Library>,
        id: UniqueId,
        rank: usize,
        world: usize,
        stop: &Stop<'_>,
    ) -> Result<Self, CollectiveError> {
        let (mut comm, mut config) = (null_mut(), Config::non_blocking());
        // SAFETY: an address to write to, and a config that the library reads during the call.
        let code =
            unsafe { (library.calls.init_rank)(&raw mut comm, world as c_int, id, rank as c_int, &raw mut config) };
        let this = Self { library, turn: Mutex::new(()), comm: AtomicPtr::new(comm) };
        let joined = this.settle("ncclCommInitRankConfig", code, stop);
        if joined.is_err() {
            this.abort();
        }
        joined.map(|()| this)
    }

    /// Makes one call as a group of its own, and returns when the library has queued its work. Only then may an event be
    /// recorded behind it: a non-blocking call can come back before.
    ///
    /// # Errors
    /// NCCL refuses, or `stop` gives a reason.
    pub(super) fn issue(
        &self,
        name: &'static str,
        call: impl FnOnce(&Table, Comm) -> Code,
        stop: &Stop<'_>,
    ) -> Result<(), CollectiveError> {
        let code = {
            let (_turn, comm) = self.enter()?;
            let calls = &self.library.calls;
            // SAFETY: no arguments; the group is closed below, in this thread.
            self.library.check("ncclGroupStart", unsafe { (calls.group_start)() })?;
            let called = call(calls, comm);
            // SAFETY: the group was opened above, in this thread.
            let ended = unsafe { (calls.group_end)() };
            // The first refusal is the reason; the group's own result then only repeats it.
            if called == SUCCESS || called == IN_PROGRESS { ended } else { called }
        };
        self.settle(name, code, stop)
    }

    /// Waits until the library is done with a call that it left in progress.
    fn settle(&self, name: &'static str, mut code: Code, stop: &Stop<'_>) -> Result<(), CollectiveError> {
        let began = Instant::now();
        while code == IN_PROGRESS {
            if let Some(reason) = stop() {
                return Err(CollectiveError::Aborted { reason });
            }
            pause(began.elapsed());
            code = self.state()?;
        }
        Ok(self.library.check(name, code)?)
    }

    fn state(&self) -> Result<Code, CollectiveError> {
        let (_turn, comm) = self.enter()?;
        self.state_of(comm)
    }

    fn state_of(&self, comm: Comm) -> Result<Code, CollectiveError> {
        let mut state = SUCCESS;
        // SAFETY: a communicator that is not gone (its turn is held), and a number to write to.
        self.library
            .check("ncclCommGetAsyncError", unsafe { (self.library.calls.async_error)(comm, &raw mut state) })?;
        Ok(state)
    }

    /// What went wrong behind the calls, if anything did. It does not wait for a call in another thread.
    pub(super) fn failure(&self) -> Option<NcclError> {
        let Ok(_turn) = self.turn.try_lock() else { return None };
        let comm = self.comm.load(Ordering::SeqCst);
        if comm.is_null() {
            return None;
        }
        match self.state_of(comm) {
            Ok(IN_PROGRESS) => None,
            Ok(code) => self.library.check("a call under way", code).err(),
            Err(CollectiveError::Nccl(error)) => Some(error),
            Err(_) => None,
        }
    }

    fn enter(&self) -> Result<(MutexGuard<'_, ()>, Comm), CollectiveError> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let comm = self.comm.load(Ordering::SeqCst);
        if comm.is_null() {
            return Err(CollectiveError::Aborted { reason: "the NCCL communicator has ended".to_owned() });
        }
        Ok((turn, comm))
    }

    /// Ends the communicator with all its work in flight: kernels that wait for a peer return, and a thread that waits
    /// for them is free. For any thread, any number of times. Where a call is stuck inside the library, nothing is done.
    pub(super) fn abort(&self) {
        let until = Instant::now() + GRACE;
        let _turn = loop {
            match self.turn.try_lock() {
                Ok(turn) => break turn,
                Err(TryLockError::Poisoned(turn)) => break turn.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() > until => return,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let comm = self.comm.swap(null_mut(), Ordering::SeqCst);
        if !comm.is_null() {
            // SAFETY: the swap gave the address to this call alone, later ones see null, and no call is inside: its turn is held.
            unsafe { (self.library.calls.abort)(comm) };
        }
    }

    /// Ends it in order, when nothing is in flight that a peer would wait for.
    pub(super) fn finish(&self) {
        let Ok((turn, comm)) = self.enter() else { return };
        // SAFETY: a communicator that is not gone (its turn is held).
        let mut code = unsafe { (self.library.calls.finalize)(comm) };
        let began = Instant::now();
        while code == IN_PROGRESS && began.elapsed() < FAREWELL {
            pause(began.elapsed());
            code = self.state_of(comm).unwrap_or(SUCCESS);
        }
        drop(turn);
        if code != SUCCESS {
            self.abort();
            return;
        }
        let comm = self.comm.swap(null_mut(), Ordering::SeqCst);
        if !comm.is_null() {
            // SAFETY: finalised above, and the swap gave the address to this call alone.
            unsafe { (self.library.calls.destroy)(comm) };
        }
    }
}
