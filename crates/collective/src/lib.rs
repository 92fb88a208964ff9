//! Tensors between ranks.
//!
//! [`Collective`] is the one door: the mathematics of training takes a `&dyn Collective` and never asks how many ranks
//! there are. [`Solo`] is a world of one, [`Threads`] a world inside one process, [`Faulty`] an adapter that fails on
//! purpose; a backend over processes implements the same trait. [`contract`] is what each of them must satisfy.
//!
//! Every rank makes the same calls in the same order with the same counts and dtypes: that is the caller's duty.
#![allow(
    unsafe_code,
    reason = "raw buffers cross thread and library boundaries; each block names what makes the access valid"
)]

mod abort_reason;
mod buffer;
pub mod contract;
mod control_channel;
mod faulty;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
pub mod nccl;
mod patience;
mod pending;
mod poll;
mod reducer;
pub mod rendezvous;
mod solo;
mod tensors;
mod threads;
pub mod watch;

pub use abort_reason::AbortReason;
pub use buffer::{Buffer, Dtype};
pub use control_channel::ControlChannel;
pub use faulty::{Fault, Faulty};
pub use launch::Launch;
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use patience::Patience;
pub use pending::Pending;
pub use reducer::{Reducer, Transfer};
pub use solo::Solo;
pub use tensors::{broadcast_, broadcast_bytes, max_, mean_, sum_, sum_numbers};
pub use threads::Threads;
pub use torch_shim::stream::Stream;
pub use watch::Watched;

use std::{fmt::Debug, sync::Arc, time::Instant};

/// How [`Collective::all_reduce`] combines the values of all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The elementwise sum over all ranks.
    Sum,
    /// Elementwise maximum; a NaN anywhere gives NaN.
    Max,
}

/// Why ranks did not agree.
#[derive(Debug, thiserror::Error)]
pub enum CollectiveError {
    /// This rank or another one gave up; the world cannot be used any more.
    #[error("the ranks stopped working together: {reason}; restart the run from its last checkpoint")]
    Aborted {
        /// Who gave up and why.
        reason: String,
    },
    /// A rank died or hangs.
    #[error("{reason}; the same command goes on from the last checkpoint")]
    Lost {
        /// Which, where, and what it did last.
        reason: String,
    },
    /// MPI joined other processes than the launcher started.
    #[error(
        "the launcher started {started} tasks, but MPI joined {joined} of them, and each world would train the whole run by itself; start \
         them with `srun --mpi=pmix` (`srun --mpi=list` must show pmix) or with `mpirun -n {started}` of the Open MPI that this program \
         is linked with"
    )]
    Singletons {
        /// Tasks that the launcher counts.
        started: usize,
        /// Ranks of MPI's world.
        joined: usize,
    },
    /// Ranks made different calls.
    #[error(
        "rank {rank} called {found} while others called {expected}; every rank must make the same calls in the same order"
    )]
    Mismatch {
        /// The rank that noticed.
        rank: usize,
        /// What the others did.
        expected: String,
        /// What this rank did.
        found: String,
    },
    /// A root that is no rank.
    #[error("rank {root} cannot be the root in a world of {world}")]
    Root {
        /// The root asked for.
        root: usize,
        /// The size of the world.
        world: usize,
    },
    /// A tensor that cannot be a buffer.
    #[error("a {kind} tensor cannot travel between ranks; convert it to f32, f64, bf16, f16, i64, i32 or u8 first")]
    Dtype {
        /// Its dtype, in words.
        kind: String,
    },
    /// A mean of whole numbers.
    #[error("the mean of a {kind} tensor is not a {kind}; convert it to f32 or f64 first, or take the sum")]
    Whole {
        /// Its dtype, in words.
        kind: String,
    },
    /// A tensor with gaps or overlaps in memory.
    #[error("a tensor must be contiguous to travel between ranks; its strides are {strides:?}")]
    Strides {
        /// The tensor's strides in elements.
        strides: Vec<i64>,
    },
    /// An operation that this backend does not have for this dtype.
    #[error("{backend} cannot {operation} {dtype}")]
    Unsupported {
        /// The backend that was asked.
        backend: &'static str,
        /// The operation that was asked for.
        operation: &'static str,
        /// The element type it was asked for.
        dtype: Dtype,
    },
    /// NCCL cannot be used here.
    #[error(transparent)]
    Nccl(#[from] nccl::NcclError),
    /// The ranks did not meet.
    #[error(transparent)]
    Rendezvous(#[from] rendezvous::RendezvousError),
    /// LibTorch refused a call on a device or stream.
    #[error(transparent)]
    Shim(#[from] torch_shim::ShimError),
}

/// A group of ranks that agree on tensors.
///
/// Object-safe, with raw buffers, so that a backend over MPI or NCCL needs no second trait. A buffer on a device is
/// read and written in the order of its stream: such a call returns when the work is queued there, and a later use on
/// that stream needs no wait. A buffer on the host is done when the call returns. Callers that overlap communication
/// with work give a buffer whose stream is not the current one, or call from a thread of their own.
pub trait Collective: Send + Sync + Debug {
    /// This rank, from 0.
    fn rank(&self) -> usize;
    /// Number of ranks in the world.
    fn world(&self) -> usize;
    /// Combines `buffer` elementwise over all ranks, in place; the result has the same bits on every rank.
    ///
    /// # Errors
    /// A lost or aborted peer, or an operation that the backend lacks for the dtype. The content is then undefined.
    fn all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<(), CollectiveError>;
    /// Begins an all-reduce that runs while the caller computes, where the backend can; else it is done on return.
    ///
    /// Calls are made in the same order on every rank, and finished in that order, before any other call.
    ///
    /// # Safety
    /// The memory of `buffer` lives, and nobody reads or writes it, until [`Pending::finish`] has returned; if that fails,
    /// or the `Pending` is dropped, the memory is never freed, since a transfer may still reach it.
    ///
    /// # Errors
    /// As [`Collective::all_reduce`].
    unsafe fn start_all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<Pending, CollectiveError> {
        let began = Instant::now();
        self.all_reduce(buffer, op)?;
        Ok(Pending::done(began.elapsed().as_secs_f64()))
    }
    /// Copies `buffer` of rank `root` to all ranks.
    ///
    /// # Errors
    /// A lost or aborted peer, or a root out of range.
    fn broadcast(&self, buffer: Buffer<'_>, root: usize) -> Result<(), CollectiveError>;
    /// Returns when every rank has called it. On a device it does not wait for queued work.
    ///
    /// # Errors
    /// A lost or aborted peer.
    fn barrier(&self) -> Result<(), CollectiveError>;
    /// Bytes in which an element of `dtype` travels to be summed: its own size, unless the backend sends it wider.
    fn bytes_of_element(&self, dtype: Dtype) -> usize {
        dtype.size()
    }
    /// Where a backend that sees beside its calls that the world has ended keeps the reason: a call of this rank may still be
    /// stuck in a library then.
    fn abort_reason(&self) -> Option<Arc<AbortReason>> {
        None
    }
    /// Gives up: every call in flight and every later one, on all ranks that can be reached, fails with `reason`.
    /// May be called from any thread, more than once.
    fn abort(&self, reason: &str);
}
