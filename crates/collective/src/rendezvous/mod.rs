//! Ranks that meet over TCP where there is no MPI: rank 0 listens at an address that all of them know, the others come to
//! it and say which run, world and rank they are. Where nobody knows an address, rank 0 leaves a note in a place that all of them
//! reach. The connections stay, and carry the word of a rank that gave up, and signs of life.
//!
//! Whoever does not speak the protocol, or belongs to another run, is turned away and disturbs nobody. Nothing waits
//! longer than the deadline.

mod address;
pub(crate) mod frames;
mod note;
mod offer;
pub(crate) mod seats;
mod tcp;
mod vigil;

pub use address::{Address, Note};
pub use note::{Board, ByNote};
pub use offer::Here;
pub use tcp::TcpRendezvous;

/// Why ranks did not meet.
#[derive(Debug, thiserror::Error)]
pub enum RendezvousError {
    /// Nothing says where to meet.
    #[error(
        "{world} processes were started, but nothing says where rank 0 is; start them with srun, or set MASTER_ADDR and MASTER_PORT to a host and a free port of rank 0, or REDDINO_MEETING to a word that no start of this run had before"
    )]
    NoAddress {
        /// Number of processes that were started.
        world: usize,
    },
    /// A port that is not a number.
    #[error("MASTER_PORT is `{found}`; set it to a free port from 1 to 65535")]
    Port {
        /// The value of the variable.
        found: String,
    },
    /// Rank 0 cannot listen.
    #[error("rank 0 cannot listen on port {port} ({source}); set MASTER_PORT to a free port")]
    Listen {
        /// The port that rank 0 tried.
        port: u16,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Ranks that did not come.
    #[error(
        "rank 0 waited {waited_s:.0} s at port {port} and these ranks did not come: {missing}; their logs say why; their hosts must be able to reach this one at that port"
    )]
    Absent {
        /// The port at which rank 0 listened.
        port: u16,
        /// For how long, in seconds.
        waited_s: f64,
        /// The ranks that did not connect, separated by commas.
        missing: String,
    },
    /// Rank 0 is not to be reached.
    #[error(
        "rank {rank} did not reach rank 0 at {address} within {waited_s:.0} s ({last}); check that rank 0 runs, and MASTER_ADDR and MASTER_PORT"
    )]
    Unreachable {
        /// The rank that could not connect.
        rank: usize,
        /// Host and port that it tried.
        address: String,
        /// For how long, in seconds.
        waited_s: f64,
        /// What the last attempt failed with.
        last: String,
    },
    /// The place of the note cannot be used.
    #[error("ranks meet by a note of rank 0, which could not be left or read: {what}")]
    Board {
        /// Why, as a sentence.
        what: String,
    },
    /// An earlier start met under this name.
    #[error(
        "an earlier start has met by the note `{name}`; set REDDINO_MEETING to a word that no start of this run had before"
    )]
    NoteTaken {
        /// Name of the note.
        name: String,
    },
    /// Rank 0 left no note.
    #[error("rank {rank} found no note `{name}` of rank 0 within {waited_s:.0} s; the log of rank 0 says why")]
    NoNote {
        /// The rank that looked for it.
        rank: usize,
        /// Name of the note.
        name: String,
        /// For how long, in seconds.
        waited_s: f64,
    },
    /// A process of this run that does not fit in.
    #[error("the ranks do not fit together: {reason}; start all of them with one command")]
    Misfit {
        /// What of run, world or rank does not fit.
        reason: String,
    },
}
