//! Ranks that know no address of one another, but all reach one place, such as the store of their run: rank 0 leaves a note there
//! that says where it listens, and the others come.

use super::{Here, RendezvousError, frames::Hello, seats::Seats};
use crate::Launch;
use std::{
    fmt::Debug,
    thread::sleep,
    time::{Duration, Instant},
};

/// Longest time between two looks for the note.
const LOOK: Duration = Duration::from_secs(1);

/// A place where notes are left once and stay.
pub trait Board: Debug + Send + Sync {
    /// Leaves a note under `name`; false where one is there already.
    ///
    /// # Errors
    /// Why the place cannot be written to, as a sentence.
    fn leave(&self, name: &str, note: &[u8]) -> Result<bool, String>;
    /// The note under `name`, if it is there.
    ///
    /// # Errors
    /// Why the place cannot be read, as a sentence.
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>, String>;
}

/// A meeting by a note.
#[derive(Clone, Copy, Debug)]
pub struct ByNote<'a> {
    /// Where the note is left.
    pub board: &'a dyn Board,
    /// Its name, which no other start of these ranks has.
    pub name: &'a str,
    /// Where this process runs.
    pub here: Here<'a>,
}

impl ByNote<'_> {
    /// The connections of a world that has met so.
    pub(super) fn meet(&self, launch: &Launch, deadline: Duration) -> Result<Seats, RendezvousError> {
        let (world, rank) = (launch.world as u32, launch.rank as u32);
        if world == 1 {
            return Ok(Seats::alone());
        }
        let broken = |what: String| RendezvousError::Board { what };
        if rank > 0 {
            let (run, addresses) = self.here.read(&self.wait(rank, deadline)?);
            return Seats::come(&addresses, Hello { run, world, rank }, deadline);
        }
        let listener = Seats::listen(0)?;
        let offer = self.here.offer(&listener);
        if !self.board.leave(self.name, &offer).map_err(broken)? {
            return Err(RendezvousError::NoteTaken { name: self.name.to_owned() });
        }
        let (run, _) = self.here.read(&offer);
        Seats::welcome(&listener, Hello { run, world, rank }, deadline)
    }

    /// Looks until the note is there, more and more seldom: many ranks ask one store.
    fn wait(&self, rank: u32, deadline: Duration) -> Result<Vec<u8>, RendezvousError> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(20));
        loop {
            if let Some(note) = self.board.find(self.name).map_err(|what| RendezvousError::Board { what })? {
                return Ok(note);
            }
            if began.elapsed() > deadline {
                let (name, waited_s) = (self.name.to_owned(), deadline.as_secs_f64());
                return Err(RendezvousError::NoNote { rank: rank as usize, name, waited_s });
            }
            sleep(pause);
            pause = LOOK.min(pause * 2);
        }
    }
}
