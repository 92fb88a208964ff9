//! The connections of a world that met, a star around rank 0: how they come to be, what arrives on them, what is sent.

use super::{
    Address, RendezvousError,
    frames::{FrameKind, Hello, Peer},
};
use std::{
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

/// The connections of one rank: on rank 0 one to each other rank, elsewhere one to rank 0.
#[derive(Debug)]
pub(crate) struct Seats {
    rank: usize,
    world: usize,
    /// On rank 0 everyone else, in order of rank from 1; elsewhere rank 0. `None` once it has said goodbye or has ended.
    peers: Mutex<Vec<Option<Peer>>>,
}

/// What one rank receives over a connection to another.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message of this kind, with its bytes.
    Frame(FrameKind, Vec<u8>),
    /// The connection is gone, and nobody said goodbye.
    Ended,
}

impl Seats {
    fn new(hello: Hello, peers: Vec<Option<Peer>>) -> Self {
        Self { rank: hello.rank as usize, world: hello.world as usize, peers: Mutex::new(peers) }
    }

    /// The seats of a world of one.
    pub(crate) fn alone() -> Self {
        Self { rank: 0, world: 1, peers: Mutex::default() }
    }

    /// A place to listen on all addresses of this host; port 0 takes a free one.
    pub(crate) fn listen(port: u16) -> Result<TcpListener, RendezvousError> {
        // On Linux the first takes IPv4 too; the second is for hosts without IPv6.
        let places: [SocketAddr; 2] = [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()];
        TcpListener::bind(places.as_slice()).map_err(|source| RendezvousError::Listen { port, source })
    }

    /// Rank 0's part: lets in one process for each other rank, whoever else comes to the port.
    ///
    /// # Errors
    /// Ranks that do not come in time, or do not fit together.
    pub(crate) fn welcome(listener: &TcpListener, own: Hello, deadline: Duration) -> Result<Self, RendezvousError> {
        Ok(Self::new(own, welcome(listener, own, deadline)?))
    }

    /// The part of every other rank: tries `addresses` in turn until rank 0 is there. A world of one has no need of it.
    ///
    /// # Errors
    /// Rank 0 is not found in time, or refuses.
    pub(crate) fn come(addresses: &[Address], hello: Hello, deadline: Duration) -> Result<Self, RendezvousError> {
        if hello.world == 1 {
            return Ok(Self::alone());
        }
        Ok(Self::new(hello, vec![Some(come(addresses, hello, deadline)?)]))
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }
    pub(crate) fn world(&self) -> usize {
        self.world
    }

    fn peers(&self) -> MutexGuard<'_, Vec<Option<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rank at the other end of connection `place`.
    fn rank_at(&self, place: usize) -> usize {
        if self.rank == 0 { place + 1 } else { 0 }
    }

    /// Whether there still is a connection to `rank`.
    pub(crate) fn is_there(&self, rank: usize) -> bool {
        self.peers().iter().enumerate().any(|(place, peer)| self.rank_at(place) == rank && peer.is_some())
    }

    /// What has come on every connection, with the rank it came from. It does not wait.
    pub(crate) fn poll(&self) -> Vec<(usize, Incoming)> {
        let mut events = Vec::new();
        for (place, seat) in self.peers().iter_mut().enumerate() {
            let rank = self.rank_at(place);
            while let Some(peer) = seat {
                match peer.frame() {
                    Some((kind, bytes)) => {
                        if kind == FrameKind::Bye {
                            *seat = None;
                        }
                        events.push((rank, Incoming::Frame(kind, bytes)));
                    }
                    None if peer.ended() => {
                        *seat = None;
                        events.push((rank, Incoming::Ended));
                    }
                    None => break,
                }
            }
        }
        events
    }

    /// Closes every connection without a goodbye, as the end of a process does.
    #[cfg(test)]
    pub(crate) fn hang_up(&self) {
        self.peers().fill_with(|| None);
    }

    /// Sends the last frame, and stays until every other rank has closed too, but not longer than `within`. A
    /// connection that is closed while something unread has arrived on it is reset, and the other side may lose what it
    /// has not read yet.
    pub(crate) fn farewell(&self, kind: FrameKind, bytes: &[u8], within: Duration) {
        self.send(kind, bytes, None);
        self.peers().iter().flatten().for_each(Peer::close);
        let began = Instant::now();
        while self.peers().iter().any(Option::is_some) && began.elapsed() < within {
            self.poll();
            sleep(PAUSE);
        }
    }

    /// Sends a frame to every rank that is still there, but for `except`; gives the first rank that did not get it.
    pub(crate) fn send(&self, kind: FrameKind, bytes: &[u8], except: Option<usize>) -> Option<usize> {
        let mut missed = None;
        for (place, peer) in self.peers().iter_mut().enumerate() {
            let rank = self.rank_at(place);
            if Some(rank) != except && !peer.as_mut().is_some_and(|peer| peer.send(kind, bytes)) {
                missed = missed.or(Some(rank));
            }
        }
        missed
    }
}

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
        peer.send(FrameKind::Welcome, &[]);
    }
    Ok(seats)
}

/// Gives a process its seat. One of another run is turned away; one of this run that does not fit ends the meeting.
fn seat(seats: &mut [Option<Peer>], mut peer: Peer, hello: Hello, own: Hello) -> Result<(), RendezvousError> {
    if hello.run != own.run {
        peer.send(FrameKind::Refused, b"another run meets here; wait for its end, or set MASTER_PORT to another port");
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
    peer.send(FrameKind::Refused, error.to_string().as_bytes());
    Err(error)
}

fn refuse_all(seats: &mut [Option<Peer>], error: &RendezvousError) {
    for peer in seats.iter_mut().flatten() {
        peer.send(FrameKind::Refused, error.to_string().as_bytes());
    }
}

fn come(addresses: &[Address], hello: Hello, deadline: Duration) -> Result<Peer, RendezvousError> {
    let began = Instant::now();
    let mut last = "nobody answered".to_owned();
    let mut turns = addresses.iter().cycle();
    while began.elapsed() < deadline
        && let Some(address) = turns.next()
    {
        match connect(address, deadline.saturating_sub(began.elapsed())) {
            Err(error) => last = error.to_string(),
            Ok(mut peer) => {
                let mut waiting = peer.send_raw(&hello.to_bytes());
                while waiting && began.elapsed() < deadline {
                    match peer.frame() {
                        Some((FrameKind::Welcome, _)) => return Ok(peer),
                        Some((FrameKind::Refused, why)) => {
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
    let places: Vec<String> = addresses.iter().map(|place| format!("{}:{}", place.host, place.port)).collect();
    Err(RendezvousError::Unreachable {
        rank: hello.rank as usize,
        address: places.join(", "),
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
