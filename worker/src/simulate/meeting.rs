//! How many ranks find one another, and hear of one that gives up.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use collective::rendezvous::{Board, ByNote, Here, TcpRendezvous};
use collective::{ControlChannel, Launch};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long they may take.
const WITHIN: Duration = Duration::from_secs(120);
/// Files that this process needs besides the two ends of each connection.
const OTHER_FILES: u64 = 64;

/// Notes in memory.
#[derive(Debug, Default)]
struct Notes(Mutex<BTreeMap<String, Vec<u8>>>);

impl Board for Notes {
    fn leave(&self, name: &str, note: &[u8]) -> Result<bool, String> {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), note.to_vec());
        Ok(before.is_none())
    }
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }
}

/// Lets `world` ranks meet by a note, as threads of this process, and one of them give up.
pub(super) fn meet(world: usize) -> Result<String> {
    let here = world.min(as_many_as_files_allow());
    let notes = Notes::default();
    let note = ByNote { board: &notes, name: "simulated", here: Here { host: "simulated", node_name: None } };
    let join =
        |rank| TcpRendezvous::join_by(&note, &Launch { rank, world: here, local_rank: rank, pmix: false }, WITHIN);
    let began = Instant::now();
    let ranks: Vec<TcpRendezvous> = std::thread::scope(|scope| {
        let ranks: Vec<_> = (0..here).map(|rank| scope.spawn(move || join(rank))).collect();
        let joined =
            ranks.into_iter().map(|rank| rank.join().map_err(|_| anyhow::anyhow!("a rank panicked"))?.context("meet"));
        joined.collect::<Result<_>>()
    })?;
    let met = began.elapsed().as_secs_f64();
    let said = Instant::now();
    if let Some(last) = ranks.last().filter(|_| here > 1) {
        last.announce_failure("the last rank gave up");
    }
    while here > 1 && ranks.iter().any(|rank| rank.peer_failure().is_none()) {
        ensure!(said.elapsed() < WITHIN, "not all ranks heard that one gave up: a bug of the meeting");
    }
    let heard = said.elapsed().as_secs_f64();
    // They part together: each waits for the others' goodbye.
    std::thread::scope(|scope| ranks.into_iter().for_each(|rank| drop(scope.spawn(move || drop(rank)))));
    let note = if here < world { " (as many as this process may have connections)" } else { "" };
    Ok(format!("{here} ranks{note} met in {met:.2} s; when one gave up, all others knew within {heard:.2} s"))
}

/// Ranks whose connections, with both ends here, this process may have open.
fn as_many_as_files_allow() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // What the system grants at the most; that it does not leaves the limit as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX).max(1)
}
