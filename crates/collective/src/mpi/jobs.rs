//! The thread that makes the MPI calls: takes jobs in order, waits for each with an eye on the reason to abort, on peers that
//! gave up, and on the deadline.

use super::calls::World;
use crate::{Buffer, CollectiveError, Dtype, Op, Patience, abort_reason::AbortReason, poll::pause};
use std::{
    ffi::c_void,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender},
    time::{Duration, Instant},
};

/// Host memory that a caller lent until its job is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) ptr: *mut c_void,
    pub(super) count: usize,
    pub(super) dtype: Dtype,
}

// SAFETY: the memory is plain numbers, and the lender does not touch it until the job's outcome has arrived.
unsafe impl Send for Memory {}

impl Memory {
    fn of(buffer: &Buffer<'_>) -> Result<Self, CollectiveError> {
        if buffer.stream().is_some() {
            let operation = "reach device memory of";
            return Err(CollectiveError::Unsupported { backend: "MPI", operation, dtype: buffer.dtype() });
        }
        Ok(Self { ptr: buffer.ptr(), count: buffer.count(), dtype: buffer.dtype() })
    }
}

/// What happens to lent memory when a job fails, after which the library may still read it and write there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// The lender takes it back: the job works on a copy, which is leaked.
    TakenBack,
    /// The lender leaks it.
    Leaked,
}

/// What a job does.
#[derive(Debug)]
pub(super) enum Work {
    Reduce(Memory, Op, OnFailure),
    Broadcast(Memory, usize),
    Barrier,
    /// Nothing but telling peers that this rank gave up.
    Tell,
}

impl Work {
    pub(super) fn reduce(buffer: &Buffer<'_>, op: Op, on_failure: OnFailure) -> Result<Self, CollectiveError> {
        Ok(Self::Reduce(Memory::of(buffer)?, op, on_failure))
    }
    pub(super) fn broadcast(buffer: &Buffer<'_>, root: usize) -> Result<Self, CollectiveError> {
        Ok(Self::Broadcast(Memory::of(buffer)?, root))
    }

    fn description(&self) -> String {
        match self {
            Self::Reduce(m, op, _) => format!("all_reduce({op:?}, {} {})", m.count, m.dtype),
            Self::Broadcast(m, root) => format!("broadcast({root}, {} {})", m.count, m.dtype),
            Self::Barrier => "barrier".to_owned(),
            Self::Tell => "nothing".to_owned(),
        }
    }
}

/// Work, and where its outcome goes: seconds it took.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) done: SyncSender<Result<f64, CollectiveError>>,
}

/// How often a thread without a job looks whether a peer gave up: MPI may be there for its words alone, with the tensors
/// on another way.
const IDLE_LOOK: Duration = Duration::from_millis(50);

/// Serves `queue` until nobody can send any more.
pub(super) fn serve(
    queue: &Receiver<Job>,
    abort_reason: &AbortReason,
    patience: &Patience,
    hello: &SyncSender<(usize, usize, String)>,
) {
    let Some(mut world) = World::join() else { return };
    if hello.send((world.rank(), world.size(), world.library())).is_err() {
        return;
    }
    loop {
        let Job { work, done } = match queue.recv_timeout(IDLE_LOOK) {
            Ok(job) => job,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(reason) = world.word_from_peers() {
                    abort_reason.set(&reason);
                }
                continue;
            }
        };
        let outcome = match abort_reason.reason() {
            Some(reason) => {
                world.tell_peers(&reason);
                Err(CollectiveError::Aborted { reason })
            }
            None => serve_one(&mut world, &work, abort_reason, patience),
        };
        // A caller that does not wait has dropped its end.
        let _ = done.send(outcome);
    }
    if abort_reason.reason().is_some() {
        // Requests are in flight that no peer will answer: finalising would wait for them.
        world.forget();
    }
}

fn serve_one(
    world: &mut World,
    work: &Work,
    abort_reason: &AbortReason,
    patience: &Patience,
) -> Result<f64, CollectiveError> {
    // A peer that gave up while this rank computed makes no further call: one begun now would wait, or meet a stale one.
    // A probe that finds nothing only lets the library look at what has arrived, for the next one to find.
    if let Some(reason) = (0..3).find_map(|_| world.word_from_peers()) {
        abort_reason.set(&reason);
        return Err(CollectiveError::Aborted { reason });
    }
    let began = Instant::now();
    let mut polls = 0_u32;
    let mut stop = |world: &mut World| -> Option<String> {
        polls += 1;
        if let Some(reason) = abort_reason.reason() {
            world.tell_peers(&reason);
            return Some(reason);
        }
        // A look at the mailbox costs about as much as a poll: now and then is enough.
        if polls.is_multiple_of(64) {
            if let Some(reason) = world.word_from_peers() {
                abort_reason.set(&reason);
                return Some(reason);
            }
            if began.elapsed() > patience.get() {
                let rank = world.rank();
                let reason = format!(
                    "rank {rank} waited {:.1} s in {} for its peers",
                    began.elapsed().as_secs_f64(),
                    work.description()
                );
                abort_reason.set(&reason);
                world.tell_peers(&reason);
                return Some(reason);
            }
        }
        pause(began.elapsed());
        None
    };
    match work {
        Work::Reduce(memory, op, OnFailure::Leaked) => world.all_reduce(*memory, *op, &mut stop),
        Work::Reduce(memory, op, OnFailure::TakenBack) => {
            world.on_copy(*memory, |world, copy| world.all_reduce(copy, *op, &mut stop))
        }
        Work::Broadcast(memory, root) => world.on_copy(*memory, |world, copy| world.broadcast(copy, *root, &mut stop)),
        Work::Barrier => world.barrier(&mut stop),
        Work::Tell => Ok(()),
    }
    .inspect_err(|error| {
        if abort_reason.set(&error.to_string()) {
            world.tell_peers(&error.to_string());
        }
    })?;
    Ok(began.elapsed().as_secs_f64())
}
