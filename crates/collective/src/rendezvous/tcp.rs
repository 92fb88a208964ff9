//! A control channel over TCP: what rank 0 hands out, and why a rank gave up.

use super::{
    Address, ByNote, RendezvousError,
    frames::{FrameKind, Hello},
    seats::{Incoming, Seats},
    vigil::{BEAT, Vigil},
};
use crate::{CollectiveError, ControlChannel, Launch, abort_reason::AbortReason};
use clock::{Clock, SystemClock};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::sleep,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(5);
/// How long a rank that ends lets the others read its last word.
const FAREWELL: Duration = Duration::from_millis(500);

/// One rank of a world that met. Dropping it says goodbye; a connection that ends without is a rank that died.
#[derive(Debug)]
pub struct TcpRendezvous {
    deadline: Duration,
    seats: Arc<Seats>,
    /// Bytes of rank 0 that nobody has asked for yet.
    arrived: Mutex<VecDeque<Vec<u8>>>,
    abort_reason: AbortReason,
    clock: Arc<dyn Clock>,
    vigil: Mutex<Vigil>,
    /// Dropping it ends this rank's signs of life.
    beats: Option<Sender<()>>,
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
        Ok(Self::of(seats, deadline, Arc::new(SystemClock::default())))
    }

    /// Meets by a note that rank 0 leaves, where nobody knows an address.
    ///
    /// # Errors
    /// Those of [`join`](Self::join); the note cannot be left or found.
    pub fn join_by(note: &ByNote<'_>, launch: &Launch, deadline: Duration) -> Result<Self, RendezvousError> {
        Ok(Self::of(note.meet(launch, deadline)?, deadline, Arc::new(SystemClock::default())))
    }

    /// The same ranks with their silence measured by another clock, for tests.
    #[must_use]
    pub fn by_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.vigil = Mutex::new(Vigil::over(others(&self.seats), clock.now()));
        self.clock = clock;
        self
    }

    fn of(seats: Seats, deadline: Duration, clock: Arc<dyn Clock>) -> Self {
        let vigil = Mutex::new(Vigil::over(others(&seats), clock.now()));
        let seats = Arc::new(seats);
        let beats = (seats.world() > 1).then(|| beats(&seats)).flatten();
        let (arrived, abort_reason) = (Mutex::default(), AbortReason::default());
        Self { deadline, seats, arrived, abort_reason, clock, vigil, beats }
    }

    /// Keeps the first reason, and passes it on to all but the one it came from.
    fn spread(&self, reason: &str, from: Option<usize>) {
        if self.abort_reason.set(reason) {
            self.seats.send(FrameKind::GaveUp, reason.as_bytes(), from);
        }
    }

    /// Reads what has come on every connection, and notices who is silent.
    fn listen(&self) {
        let mut vigil = self.vigil.lock().unwrap_or_else(PoisonError::into_inner);
        vigil.look(self.clock.now());
        for (rank, event) in self.seats.poll() {
            vigil.hear(rank);
            if !self.seats.is_there(rank) {
                vigil.forget(rank);
            }
            let reason = match event {
                Incoming::Frame(FrameKind::Beat, _) => continue,
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
        if let Some((rank, silence)) = vigil.silent() {
            let silence = silence.as_secs_f64();
            self.spread(
                &format!(
                    "rank {rank} hangs: no heartbeat for {silence:.0} s (stopped, or its node or network is gone)"
                ),
                None,
            );
        }
    }
}

/// Everyone whom this rank hears: on rank 0 all others, elsewhere rank 0.
fn others(seats: &Seats) -> std::ops::Range<usize> {
    match (seats.world(), seats.rank()) {
        (1, _) => 0..0,
        (world, 0) => 1..world,
        _ => 0..1,
    }
}

/// Says again and again that this process lives, whatever its other threads do, until what is given back is dropped. None where
/// no thread can be started: the others then take this rank for lost.
fn beats(seats: &Arc<Seats>) -> Option<Sender<()>> {
    let (stop, stopped) = channel::<()>();
    let seats = Arc::clone(seats);
    let beat = move || {
        while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            seats.send(FrameKind::Beat, &[], None);
        }
    };
    std::thread::Builder::new().name("beats".to_owned()).spawn(beat).ok().map(|_| stop)
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
        self.beats = None;
        // Signs of life that nobody has read would take the last word with them if the connection were closed at once.
        self.seats.farewell(FrameKind::Bye, &[], FAREWELL);
    }
}
