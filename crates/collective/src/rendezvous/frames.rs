//! The bytes between ranks that meet: one hello, one answer, then frames of a kind, a length and so many bytes. Every
//! number is little-endian. Nothing here waits: what has not arrived yet is read the next time.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

/// What a rank says first. A port scanner or another program says something else.
const MAGIC: [u8; 8] = *b"REDDINO1";
/// Longest frame: an id, a sentence.
const LONGEST: usize = 1 << 16;
/// How long a peer that reads may take to take a frame.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// What a process says of itself when it connects: run, world and rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) run: u64,
    pub(crate) world: u32,
    pub(crate) rank: u32,
}

impl Hello {
    pub(crate) const SIZE: usize = 24;

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [&MAGIC[..], &self.run.to_le_bytes(), &self.world.to_le_bytes(), &self.rank.to_le_bytes()].concat()
    }

    /// `None` from a stranger.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (run, rest) = rest.split_first_chunk()?;
        let (world, rest) = rest.split_first_chunk()?;
        let rank = rest.first_chunk()?;
        let hello =
            Self { run: u64::from_le_bytes(*run), world: u32::from_le_bytes(*world), rank: u32::from_le_bytes(*rank) };
        (*magic == MAGIC).then_some(hello)
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// All ranks are there.
    Welcome,
    /// You do not fit in, and why.
    Refused,
    /// Bytes of rank 0.
    Data,
    /// A rank gave up, and why.
    GaveUp,
    /// A rank has ended well.
    Bye,
    /// A rank is alive, and where it is.
    Beat,
    /// A rank died or hangs: the word of who noticed.
    Lost,
}

const KINDS: [FrameKind; 7] = [
    FrameKind::Welcome,
    FrameKind::Refused,
    FrameKind::Data,
    FrameKind::GaveUp,
    FrameKind::Bye,
    FrameKind::Beat,
    FrameKind::Lost,
];

/// One connection, and what has arrived of its next frame.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    inbox: Vec<u8>,
    ended: bool,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: Vec::new(), ended: false })
    }

    /// Whether the other side closed, and nothing whole is left to read.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Takes in what is there, up to `most` bytes in hand.
    fn fill(&mut self, most: usize) {
        let mut part = [0; 4096];
        while !self.ended && self.inbox.len() < most {
            match self.stream.read(&mut part) {
                Ok(0) => self.ended = true,
                Ok(n) => self.inbox.extend_from_slice(&part[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.ended = true,
            }
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close(&self) {
        // One that is closed already needs no word.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The first `size` bytes, once they are there.
    pub(crate) fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        self.fill(size);
        (self.inbox.len() >= size).then(|| self.inbox.drain(..size).collect())
    }

    /// The next frame, once it is whole. One that breaks the protocol ends the connection.
    pub(crate) fn frame(&mut self) -> Option<(FrameKind, Vec<u8>)> {
        self.fill(5);
        let (kind, rest) = self.inbox.split_first()?;
        let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let Some(kind) = KINDS.get(usize::from(*kind)).copied().filter(|_| length <= LONGEST) else {
            self.ended = true;
            self.inbox.clear();
            return None;
        };
        self.fill(5 + length);
        let bytes = self.take(5 + length)?;
        Some((kind, bytes[5..].to_vec()))
    }

    /// Sends a frame; false if the other side does not take it.
    pub(crate) fn send(&mut self, kind: FrameKind, bytes: &[u8]) -> bool {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        let number = KINDS.iter().position(|k| *k == kind).unwrap_or_default() as u8;
        let frame = [&[number], &(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
        self.send_raw(&frame)
    }

    pub(crate) fn send_raw(&mut self, mut bytes: &[u8]) -> bool {
        let until = Instant::now() + WRITE_WITHIN;
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(n) if n > 0 => bytes = &bytes[n..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => {
                    self.ended = true;
                    return false;
                }
            }
        }
        true
    }
}
