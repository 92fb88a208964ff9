//! A control channel over TCP: what rank 0 hands out, and why a rank gave up.

use super::{
    Address, RendezvousError,
    frames::{FrameKind, Hello},
    seats::{Incoming, Seats},
};
use crate::{CollectiveError, ControlChannel, Launch, abort_reason::AbortReason};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(5);

/// One rank of a world that met. Dropping it says goodbye; a connection that ends without is a rank that died.
#[derive(Debug)]
pub struct TcpRendezvous {
    deadline: Duration,
    seats: Seats,
    /// Bytes of rank 0 that nobody has asked for yet.
    arrived: Mutex<VecDeque<Vec<u8>>>,
    abort_reason: AbortReason,
}

impl TcpRendezvous {
    /// Comes to `address` as `launch` says, and returns when all ranks are there. `deadline` holds for this, and for each
    /// later call that waits.
    ///
    /// # Errors
    /// Ranks that do not come in time, or do not fit together.
    pub fn join(address: &Address, launch: &Launch, deadline: Duration) -> Result<Self, RendezvousError> {
        let hello = Hello { run: address.run, world: launch.world as u32, rank: launch.rank as u32 };
        let seats = match launch.rank {
            0 if launch.world > 1 => Seats::welcome(&Seats::listen(address.port)?, hello, deadline)?,
            _ => Seats::come(std::slice::from_ref(address), hello, deadline)?,
        };
        let (arrived, abort_reason) = (Mutex::default(), AbortReason::default());
        Ok(Self { deadline, seats, arrived, abort_reason })
    }

    /// Keeps the first reason, and passes it on to all but the one it came from.
    fn spread(&self, reason: &str, from: Option<usize>) {
        if self.abort_reason.set(reason) {
            self.seats.send(FrameKind::GaveUp, reason.as_bytes(), from);
        }
    }

    /// Reads what has come on every connection.
    fn listen(&self) {
        for (rank, event) in self.seats.poll() {
            let reason = match event {
                Incoming::Frame(FrameKind::Data, bytes) => {
                    self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push_back(bytes);
                    continue;
                }
                Incoming::Frame(FrameKind::Bye, _) => continue,
                Incoming::Frame(FrameKind::GaveUp, bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Incoming::Frame(..) => format!("rank {rank} sent an unexpected message"),
                Incoming::Ended => format!("rank {rank} ended without a message (its own log may say why)"),
            };
            self.spread(&reason, Some(rank));
        }
    }
}

impl ControlChannel for TcpRendezvous {
    fn rank(&self) -> usize {
        self.seats.rank()
    }
    fn world(&self) -> usize {
        self.seats.world()
    }
    fn broadcast_bytes_of_root(&self, bytes: Vec<u8>) -> Result<Vec<u8>, CollectiveError> {
        self.abort_reason.check()?;
        if self.rank() == 0 {
            let Some(rank) = self.seats.send(FrameKind::Data, &bytes, None) else { return Ok(bytes) };
            let reason = format!("rank {rank} can no longer be reached");
            return Err(CollectiveError::Aborted { reason });
        }
        let until = Instant::now() + self.deadline;
        loop {
            self.listen();
            if let Some(bytes) = self.arrived.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                return Ok(bytes);
            }
            self.abort_reason.check()?;
            if Instant::now() > until || !self.seats.is_there(0) {
                let waited = self.deadline.as_secs_f64();
                let reason = format!("rank {} got no bytes of rank 0 within {waited:.1} s", self.rank());
                return Err(CollectiveError::Aborted { reason });
            }
            sleep(PAUSE);
        }
    }
    fn peer_failure(&self) -> Option<String> {
        self.listen();
        self.abort_reason.reason()
    }
    fn announce_failure(&self, reason: &str) {
        self.spread(reason, None);
    }
}

impl Drop for TcpRendezvous {
    fn drop(&mut self) {
        self.seats.send(FrameKind::Bye, &[], None);
    }
}
