//! The meeting itself: rank 0 lets the others in, and passes on what one of them says.

use super::{
    Address, RendezvousError,
    frames::{Hello, Kind, Peer},
};
use crate::{CollectiveError, Launch, Line, verdict::Verdict};
use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long someone who connected may take to say who they are.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Connections that have not said so yet; more of them are turned away, oldest first.
const STRANGERS: usize = 256;
const PAUSE: Duration = Duration::from_millis(5);

/// One rank of a world that met. Dropping it says goodbye; a connection that ends without is a rank that died.
#[derive(Debug)]
pub struct Meeting {
    rank: usize,
    world: usize,
    deadline: Duration,
    /// On rank 0 everyone else, in order of rank from 1; elsewhere rank 0. `None` once it has said goodbye.
    peers: Mutex<Vec<Option<Peer>>>,
    /// Bytes of rank 0 that nobody has asked for yet.
    arrived: Mutex<VecDeque<Vec<u8>>>,
    verdict: Verdict,
}

impl Meeting {
    /// Comes to `address` as `launch` says, and returns when all ranks are there. `deadline` holds for this, and for each
    /// later call that waits.
    ///
    /// # Errors
    /// Ranks that do not come in time, or do not fit together.
    pub fn join(address: &Address, launch: &Launch, deadline: Duration) -> Result<Self, RendezvousError> {
        let hello = Hello { run: address.run, world: launch.world as u32, rank: launch.rank as u32 };
        let peers = match (launch.world, launch.rank) {
            (1, _) => Vec::new(),
            (_, 0) => {
                // On Linux the first takes IPv4 too; the second is for hosts without IPv6.
                let places: [SocketAddr; 2] =
                    [(Ipv6Addr::UNSPECIFIED, address.port).into(), (Ipv4Addr::UNSPECIFIED, address.port).into()];
                let listener = TcpListener::bind(places.as_slice())
                    .map_err(|source| RendezvousError::Listen { port: address.port, source })?;
                welcome(&listener, hello, deadline)?
            }
            _ => vec![Some(come(address, hello, deadline)?)],
        };
        let (rank, world) = (launch.rank, launch.world);
        let (arrived, verdict) = (Mutex::default(), Verdict::default());
        Ok(Self { rank, world, deadline, peers: Mutex::new(peers), arrived, verdict })
    }

    fn peers(&self) -> MutexGuard<'_, Vec<Option<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rank at the other end of connection `place`.
    fn rank_at(&self, place: usize) -> usize {
        if self.rank == 0 { place + 1 } else { 0 }
    }

    /// Keeps the first reason, and passes it on to all but the one it came from.
    fn spread(&self, peers: &mut [Option<Peer>], reason: &str, from: Option<usize>) {
        if self.verdict.set(reason) {
            for (place, peer) in peers.iter_mut().enumerate() {
                if let (Some(peer), true) = (peer, Some(place) != from) {
                    peer.send(Kind::GaveUp, reason.as_bytes());
                }
            }
        }
    }

    /// Reads what has come on every connection.
    fn listen(&self) {
        let mut peers = self.peers();
        for place in 0..peers.len() {
            let Some(peer) = &mut peers[place] else { continue };
            let rank = self.rank_at(place);
            let reason = match peer.frame() {
                Some((Kind::Data, bytes)) => {
                    self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push_back(bytes);
                    continue;
                }
                Some((Kind::Bye, _)) => {
                    peers[place] = None;
                    continue;
                }
                Some((Kind::GaveUp, bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
                Some((Kind::Welcome | Kind::Refused, _)) => format!("rank {rank} spoke out of turn"),
                None if peer.ended() => format!("rank {rank} ended without a word (its own log may say why)"),
                None => continue,
            };
            self.spread(&mut peers, &reason, Some(place));
        }
    }
}

impl Line for Meeting {
    fn rank(&self) -> usize {
        self.rank
    }
    fn world(&self) -> usize {
        self.world
    }
    fn hand_out(&self, bytes: Vec<u8>) -> Result<Vec<u8>, CollectiveError> {
        self.verdict.check()?;
        if self.rank == 0 {
            for (place, peer) in self.peers().iter_mut().enumerate() {
                if !peer.as_mut().is_some_and(|peer| peer.send(Kind::Data, &bytes)) {
                    let reason = format!("rank {} is not to be reached any more", place + 1);
                    return Err(CollectiveError::Aborted { reason });
                }
            }
            return Ok(bytes);
        }
        let until = Instant::now() + self.deadline;
        loop {
            self.listen();
            if let Some(bytes) = self.arrived.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                return Ok(bytes);
            }
            self.verdict.check()?;
            if Instant::now() > until || self.peers()[0].is_none() {
                let waited = self.deadline.as_secs_f64();
                let reason = format!("rank {} got no bytes of rank 0 within {waited:.1} s", self.rank);
                return Err(CollectiveError::Aborted { reason });
            }
            sleep(PAUSE);
        }
    }
    fn word(&self) -> Option<String> {
        self.listen();
        self.verdict.reason()
    }
    fn tell(&self, reason: &str) {
        self.spread(&mut self.peers(), reason, None);
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        for peer in self.peers().iter_mut().flatten() {
            peer.send(Kind::Bye, &[]);
        }
    }
}

/// Rank 0's part: lets in one process for each other rank, whoever else comes to the port.
fn welcome(listener: &TcpListener, own: Hello, deadline: Duration) -> Result<Vec<Option<Peer>>, RendezvousError> {
    let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
    listener.set_nonblocking(true).map_err(|source| RendezvousError::Listen { port, source })?;
    let began = Instant::now();
    let mut strangers: Vec<(Peer, Instant)> = Vec::new();
    let mut seats: Vec<Option<Peer>> = (1..own.world).map(|_| None).collect();
    while seats.iter().any(Option::is_none) {
        if began.elapsed() > deadline {
            let missing: Vec<String> =
                seats.iter().enumerate().filter(|(_, s)| s.is_none()).map(|(i, _)| (i + 1).to_string()).collect();
            let error = RendezvousError::Absent { port, waited_s: deadline.as_secs_f64(), missing: missing.join(", ") };
            refuse_all(&mut seats, &error);
            return Err(error);
        }
        let mut idle = true;
        // A connection that fails while it is accepted was none of ours, or will come again.
        if let Ok((stream, _)) = listener.accept() {
            idle = false;
            if strangers.len() == STRANGERS {
                strangers.remove(0);
            }
            strangers.extend(Peer::new(stream).ok().map(|peer| (peer, Instant::now())));
        }
        for (mut peer, since) in std::mem::take(&mut strangers) {
            match peer.take(Hello::SIZE) {
                Some(bytes) => {
                    idle = false;
                    let Some(hello) = Hello::from_bytes(&bytes) else { continue };
                    if let Err(error) = seat(&mut seats, peer, hello, own) {
                        refuse_all(&mut seats, &error);
                        return Err(error);
                    }
                }
                None if !peer.ended() && since.elapsed() < HELLO_WITHIN => strangers.push((peer, since)),
                None => {}
            }
        }
        if idle {
            sleep(PAUSE);
        }
    }
    for peer in seats.iter_mut().flatten() {
        // One that died since is noticed by the first word that is listened for.
        peer.send(Kind::Welcome, &[]);
    }
    Ok(seats)
}

/// Gives a process its seat. One of another run is turned away; one of this run that does not fit ends the meeting.
fn seat(seats: &mut [Option<Peer>], mut peer: Peer, hello: Hello, own: Hello) -> Result<(), RendezvousError> {
    if hello.run != own.run {
        peer.send(Kind::Refused, b"another run meets here; wait for its end, or set MASTER_PORT to another port");
        return Ok(());
    }
    let place = (hello.rank as usize).wrapping_sub(1);
    let reason = match seats.get(place) {
        _ if hello.world != own.world => {
            format!("rank {} counts {} ranks, rank 0 counts {}", hello.rank, hello.world, own.world)
        }
        None => format!("another process is rank {} too, of {}", hello.rank, own.world),
        Some(Some(_)) => format!("two processes are rank {}", hello.rank),
        Some(None) => {
            seats[place] = Some(peer);
            return Ok(());
        }
    };
    let error = RendezvousError::Misfit { reason };
    peer.send(Kind::Refused, error.to_string().as_bytes());
    Err(error)
}

fn refuse_all(seats: &mut [Option<Peer>], error: &RendezvousError) {
    for peer in seats.iter_mut().flatten() {
        peer.send(Kind::Refused, error.to_string().as_bytes());
    }
}

/// The part of every other rank: comes again until rank 0 is there.
fn come(address: &Address, hello: Hello, deadline: Duration) -> Result<Peer, RendezvousError> {
    let began = Instant::now();
    let mut last = "nobody answered".to_owned();
    while began.elapsed() < deadline {
        match connect(address, deadline.saturating_sub(began.elapsed())) {
            Err(error) => last = error.to_string(),
            Ok(mut peer) => {
                let mut waiting = peer.send_raw(&hello.to_bytes());
                while waiting && began.elapsed() < deadline {
                    match peer.frame() {
                        Some((Kind::Welcome, _)) => return Ok(peer),
                        Some((Kind::Refused, why)) => {
                            let reason = String::from_utf8_lossy(&why).into_owned();
                            return Err(RendezvousError::Misfit { reason });
                        }
                        Some(_) => waiting = false,
                        None if peer.ended() => waiting = false,
                        None => sleep(PAUSE),
                    }
                }
                "something is there that is not rank 0, or it hung up".clone_into(&mut last);
            }
        }
        sleep(Duration::from_millis(50));
    }
    let place = format!("{}:{}", address.host, address.port);
    Err(RendezvousError::Unreachable {
        rank: hello.rank as usize,
        address: place,
        waited_s: deadline.as_secs_f64(),
        last,
    })
}

fn connect(address: &Address, within: Duration) -> std::io::Result<Peer> {
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the host has no address");
    for place in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, within.clamp(Duration::from_millis(1), HELLO_WITHIN)) {
            Ok(stream) => return Peer::new(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
