//! How ranks that MPI does not join find one another over TCP, and how long all of them may take to meet.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use collective::rendezvous::{Address, Board, ByNote, Here, RendezvousError, TcpRendezvous};
use collective::{Launch, Patience};
use run_folder::Run;
use run_folder::failure::sentence;

use super::{RankSettings, RanksError};

type Result<T, E = RanksError> = std::result::Result<T, E>;

/// Ends this process if what is given back still lives after `limit`: what waits for a peer inside MPI cannot be called off.
pub(crate) fn limit(limit: Duration, settings: &RankSettings) -> Result<Sender<()>> {
    let (met, wait) = channel::<()>();
    let Launch { rank, world, .. } = settings.launch;
    let (host, forced_end) = (settings.host.clone(), Arc::clone(&settings.forced_end));
    let wait = move || {
        if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            forced_end.not_joined(&format!(
                "rank {rank} ({host}) has waited {:.0} s for all {world} ranks to join: one of them hangs while it starts, or was not started; a \
                 rank that waits says so in the log, the one that is missing does not",
                limit.as_secs_f64()
            ));
        }
    };
    std::thread::Builder::new().name("meeting".to_owned()).spawn(wait).map_err(RanksError::Thread)?;
    Ok(met)
}

/// The ranks over TCP: at an address that all know, or by a note of rank 0 if there is no address or the user asks for a note.
pub(crate) fn over_tcp(settings: &RankSettings, patience: &Patience) -> Result<TcpRendezvous> {
    let (launch, deadline) = (&settings.launch, patience.get());
    let address = Address::of(settings.variable, launch.world);
    let note = Address::note(settings.variable).filter(|note| note.asked || address.is_err());
    if let (Some(board), Some(note)) = (&settings.board, note) {
        let node_name = (settings.variable)("SLURMD_NODENAME");
        let here = Here { host: &settings.host, node_name: node_name.as_deref() };
        let note = ByNote { board: board.as_ref(), name: &note.name, here };
        return Ok(TcpRendezvous::join_by(&note, launch, deadline)?);
    }
    Ok(TcpRendezvous::join(&alone_or(address, launch)?, launch, deadline)?)
}

/// The store of a run as the place of that note.
#[derive(Debug)]
pub struct NoteInRun(pub Run);

impl Board for NoteInRun {
    fn leave(&self, name: &str, note: &[u8]) -> Result<bool, String> {
        self.0.leave_note(name, &String::from_utf8_lossy(note)).map_err(|error| sentence(&error))
    }
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let note = self.0.note(name).map_err(|error| sentence(&error))?;
        Ok(note.map(String::into_bytes))
    }
}

/// An address is needed by more than one.
fn alone_or(address: Result<Address, RendezvousError>, launch: &Launch) -> Result<Address, RendezvousError> {
    address.or_else(|error| {
        let nowhere = Address { host: String::new(), port: 0, run: 0 };
        (launch.world == 1).then_some(nowhere).ok_or(error)
    })
}
