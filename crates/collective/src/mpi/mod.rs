//! Ranks as MPI processes, on host memory. One thread of ours makes every MPI call and owns what MPI owns; the others
//! hand it jobs. So `MPI_THREAD_FUNNELED` is enough, a reduction can run while backward computes, and a rank that waits
//! for a peer still learns that the peer gave up, which it would not in a blocking MPI call.

mod calls;
mod jobs;

use crate::{
    Buffer, Collective, CollectiveError, ControlChannel, Dtype, Launch, Op, Patience, Pending,
    abort_reason::AbortReason, broadcast_bytes,
};
use jobs::{Job, OnFailure, Work};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

/// What the start of MPI may take, however short the patience with later calls is.
const START_WITHIN: Duration = Duration::from_secs(60);

/// One rank of an MPI world. A process can have one.
#[derive(Debug)]
pub struct Mpi {
    rank: usize,
    world: usize,
    library: String,
    jobs: Sender<Job>,
    abort_reason: Arc<AbortReason>,
    thread: Option<JoinHandle<()>>,
}

impl Mpi {
    /// Joins the world that `mpirun` or `srun --mpi=pmix` started, as `launch` counts it. A call that waits longer than `patience` allows for its
    /// peers fails, and the world with it.
    ///
    /// # Errors
    /// MPI was joined before in this process, refuses, waits too long for a rank, or joins other processes than those that
    /// the launcher started together: without the launcher's help it makes each of them a world of one.
    pub fn join(launch: &Launch, patience: impl Into<Patience>) -> Result<Self, CollectiveError> {
        let patience = patience.into();
        let wait = patience.get().max(START_WITHIN);
        let (jobs, queue) = channel();
        let (hello, greeted) = sync_channel(1);
        let abort_reason = Arc::new(AbortReason::default());
        let shared = Arc::clone(&abort_reason);
        let thread = std::thread::Builder::new()
            .name("mpi".to_owned())
            .spawn(move || jobs::serve(&queue, &shared, &patience, &hello))
            .map_err(|error| CollectiveError::Aborted { reason: format!("the MPI thread does not start ({error})") })?;
        let (rank, world, library) = greeted.recv_timeout(wait).map_err(|error| CollectiveError::Aborted {
            reason: match error {
                RecvTimeoutError::Timeout => {
                    format!(
                        "MPI did not start within {:.0} s: a rank did not come, its own log may say why",
                        wait.as_secs_f64()
                    )
                }
                RecvTimeoutError::Disconnected => {
                    "MPI does not start in this process (a process can join once)".to_owned()
                }
            },
        })?;
        let started = launch.world;
        let mpi = Self { rank, world, library, jobs, abort_reason, thread: Some(thread) };
        if started > 1 && started != world {
            return Err(CollectiveError::Singletons { started, joined: world });
        }
        Ok(mpi)
    }

    /// What the MPI library calls itself.
    pub fn library(&self) -> &str {
        &self.library
    }

    fn aborted(&self) -> CollectiveError {
        let reason = self.abort_reason.reason().unwrap_or_else(|| "the MPI thread has ended".to_owned());
        CollectiveError::Aborted { reason }
    }

    /// Hands a job over; the receiver gives its seconds, or why it failed.
    fn submit(&self, work: Work) -> Result<Receiver<Result<f64, CollectiveError>>, CollectiveError> {
        if self.abort_reason.reason().is_some() {
            return Err(self.aborted());
        }
        let (done, outcome) = sync_channel(1);
        self.jobs.send(Job { work, done }).map_err(|_| self.aborted())?;
        Ok(outcome)
    }

    fn wait(&self, outcome: &Receiver<Result<f64, CollectiveError>>) -> Result<f64, CollectiveError> {
        outcome.recv().map_err(|_| self.aborted())?
    }

    /// Keeps the first reason, and tells the peers.
    fn give_up(&self, reason: &str) {
        if self.abort_reason.set(reason) {
            // Wakes the thread if it has nothing to do; in the middle of a job it sees the reason itself.
            let (done, _) = sync_channel(1);
            let _ = self.jobs.send(Job { work: Work::Tell, done });
        }
    }

    fn run(&self, work: Work) -> Result<(), CollectiveError> {
        let outcome = self.submit(work)?;
        self.wait(&outcome).map(|_| ())
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // The thread ends when no sender is left; it finalises MPI unless the world is broken.
        let (closed, _) = channel();
        self.jobs = closed;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by its own hook.
            let _ = thread.join();
        }
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }
    fn world(&self) -> usize {
        self.world
    }
    fn all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<(), CollectiveError> {
        // The call does not return before the job is done, so the buffer is borrowed for as long as it is used.
        self.run(Work::reduce(&buffer, op, OnFailure::TakenBack)?)
    }
    unsafe fn start_all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<Pending, CollectiveError> {
        let outcome = self.submit(Work::reduce(&buffer, op, OnFailure::Leaked)?)?;
        let abort_reason = Arc::clone(&self.abort_reason);
        Ok(Pending::later(move || {
            outcome.recv().unwrap_or_else(|_| {
                let reason = abort_reason.reason().unwrap_or_else(|| "the MPI thread has ended".to_owned());
                Err(CollectiveError::Aborted { reason })
            })
        }))
    }
    fn broadcast(&self, buffer: Buffer<'_>, root: usize) -> Result<(), CollectiveError> {
        if root >= self.world {
            return Err(CollectiveError::Root { root, world: self.world });
        }
        self.run(Work::broadcast(&buffer, root)?)
    }
    fn barrier(&self) -> Result<(), CollectiveError> {
        self.run(Work::Barrier)
    }
    /// MPI knows no bf16: it is summed in f32 copies.
    fn bytes_of_element(&self, dtype: Dtype) -> usize {
        if dtype == Dtype::Bf16 { Dtype::F32.size() } else { dtype.size() }
    }
    fn abort_reason(&self) -> Option<Arc<AbortReason>> {
        Some(Arc::clone(&self.abort_reason))
    }
    fn abort(&self, reason: &str) {
        self.give_up(&format!("rank {} gave up: {reason}", self.rank));
    }
}

/// For NCCL, which needs a few bytes at its start and a word at a bad end.
impl ControlChannel for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }
    fn world(&self) -> usize {
        self.world
    }
    fn broadcast_bytes_of_root(&self, bytes: Vec<u8>) -> Result<Vec<u8>, CollectiveError> {
        broadcast_bytes(self, bytes, 0)
    }
    fn peer_failure(&self) -> Option<String> {
        self.abort_reason.reason()
    }
    fn announce_failure(&self, reason: &str) {
        self.give_up(reason);
    }
}
