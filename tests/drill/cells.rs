//! The cells of the drill as data: who, what, when, for how long, what is expected and within which time.

use std::fmt;

/// Who is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// One process of the run, under mpirun.
    Rank,
    /// A node of a Slurm job, with all that runs there.
    Node,
    /// mpirun.
    Launcher,
    /// The S3 store that holds the run.
    Store,
    /// Slurm's controller.
    Controller,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It ends at once.
    Killed,
    /// It does nothing, and its connections stay.
    Stopped,
    /// It works a fifth of the time; a store answers late.
    Slow,
    /// Nothing reaches it; of a store: requests do, answers do not come back.
    Partitioned,
}

/// When it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// While the processes start.
    Start,
    /// Between two steps.
    Step,
    /// While a checkpoint is written.
    Checkpoint,
    /// At the last checkpoint of the run.
    End,
}

/// How the run ends. In every case it has the weights of an undisturbed run in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It comes to its end without anybody's help.
    GoesOn,
    /// The remaining ranks end with this message, and the same command continues.
    Says(&'static str),
    /// The remaining ranks end, with the launcher's message if a launcher is alive to pass it on; the same command continues.
    Ends,
    /// Nothing can happen so, for this reason.
    Nothing(&'static str),
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) who: Who,
    pub(crate) what: What,
    pub(crate) when: When,
    /// Seconds until the fault is over; 0 where it lasts.
    pub(crate) lasts_s: u64,
    pub(crate) expected: Expected,
    /// Seconds from the fault to the end of what is left of the run, or of the run.
    pub(crate) within_s: u64,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}, {:?}", self.who, self.what, self.when)
    }
}

const fn cell(who: Who, what: What, when: When, lasts_s: u64, expected: Expected, within_s: u64) -> Cell {
    Cell { who, what, when, lasts_s, expected, within_s }
}

use Expected::{Ends, GoesOn, Nothing, Says};
use What::{Killed, Partitioned, Slow, Stopped};
use When::{Checkpoint, End, Start, Step};
use Who::{Controller, Launcher, Node, Rank, Store};

const RANK_NETWORK: Expected = Nothing("a rank uses the network of its node");
const LAUNCHER_NETWORK: Expected =
    Nothing("mpirun and its ranks share one host; srun uses the network of the first node");

const LOST_BY_SLURM: Expected =
    Nothing("Slurm may lose a job that it accepted a moment before its controller was killed; submit it again");

/// All of them.
pub(crate) const CELLS: [Cell; 80] = [
    // What mpirun says of a process that has not begun with MPI depends on how far it was.
    cell(Rank, Killed, Start, 0, Ends, 30),
    cell(Rank, Killed, Step, 0, Says("ended without a message"), 30),
    cell(Rank, Killed, Checkpoint, 0, Says("ended without a message"), 30),
    // The other rank may have nothing left to wait for.
    cell(Rank, Killed, End, 0, Says("exited on signal 9"), 30),
    // Until ranks have met they cannot watch one another: the limit of the meeting is 25 s here.
    cell(Rank, Stopped, Start, 0, Says("for all 2 ranks to join"), 40),
    cell(Rank, Stopped, Step, 0, Says("no heartbeat"), 30),
    cell(Rank, Stopped, Checkpoint, 0, Says("no heartbeat"), 30),
    cell(Rank, Stopped, End, 0, Says("no heartbeat"), 30),
    cell(Rank, Slow, Start, 4, GoesOn, 60),
    cell(Rank, Slow, Step, 4, GoesOn, 60),
    cell(Rank, Slow, Checkpoint, 4, GoesOn, 60),
    cell(Rank, Slow, End, 4, GoesOn, 60),
    cell(Rank, Partitioned, Start, 0, RANK_NETWORK, 0),
    cell(Rank, Partitioned, Step, 0, RANK_NETWORK, 0),
    cell(Rank, Partitioned, Checkpoint, 0, RANK_NETWORK, 0),
    cell(Rank, Partitioned, End, 0, RANK_NETWORK, 0),
    cell(Node, Killed, Start, 0, GoesOn, 200),
    cell(Node, Killed, Step, 0, GoesOn, 200),
    cell(Node, Killed, Checkpoint, 0, GoesOn, 200),
    cell(Node, Killed, End, 0, GoesOn, 200),
    cell(Node, Stopped, Start, 0, GoesOn, 200),
    cell(Node, Stopped, Step, 0, GoesOn, 200),
    cell(Node, Stopped, Checkpoint, 0, GoesOn, 200),
    cell(Node, Stopped, End, 0, GoesOn, 200),
    cell(Node, Slow, Start, 4, GoesOn, 120),
    cell(Node, Slow, Step, 4, GoesOn, 120),
    cell(Node, Slow, Checkpoint, 4, GoesOn, 120),
    cell(Node, Slow, End, 4, GoesOn, 120),
    cell(Node, Partitioned, Start, 45, GoesOn, 200),
    cell(Node, Partitioned, Step, 45, GoesOn, 200),
    cell(Node, Partitioned, Checkpoint, 45, GoesOn, 200),
    cell(Node, Partitioned, End, 45, GoesOn, 200),
    cell(Launcher, Killed, Start, 0, Ends, 30),
    cell(Launcher, Killed, Step, 0, Ends, 30),
    cell(Launcher, Killed, Checkpoint, 0, Ends, 30),
    cell(Launcher, Killed, End, 0, Ends, 30),
    cell(Launcher, Stopped, Start, 5, GoesOn, 60),
    cell(Launcher, Stopped, Step, 5, GoesOn, 60),
    cell(Launcher, Stopped, Checkpoint, 5, GoesOn, 60),
    cell(Launcher, Stopped, End, 5, GoesOn, 60),
    cell(Launcher, Slow, Start, 4, GoesOn, 60),
    cell(Launcher, Slow, Step, 4, GoesOn, 60),
    cell(Launcher, Slow, Checkpoint, 4, GoesOn, 60),
    cell(Launcher, Slow, End, 4, GoesOn, 60),
    cell(Launcher, Partitioned, Start, 0, LAUNCHER_NETWORK, 0),
    cell(Launcher, Partitioned, Step, 0, LAUNCHER_NETWORK, 0),
    cell(Launcher, Partitioned, Checkpoint, 0, LAUNCHER_NETWORK, 0),
    cell(Launcher, Partitioned, End, 0, LAUNCHER_NETWORK, 0),
    // A store that has never answered is told at once, since its address may be wrong.
    cell(Store, Killed, Start, 0, Says("AWS_ENDPOINT"), 60),
    cell(Store, Killed, Step, 5, GoesOn, 90),
    cell(Store, Killed, Checkpoint, 5, GoesOn, 90),
    cell(Store, Killed, End, 5, GoesOn, 90),
    cell(Store, Stopped, Start, 5, GoesOn, 90),
    cell(Store, Stopped, Step, 5, GoesOn, 90),
    cell(Store, Stopped, Checkpoint, 5, GoesOn, 90),
    cell(Store, Stopped, End, 5, GoesOn, 90),
    cell(Store, Slow, Start, 5, GoesOn, 120),
    cell(Store, Slow, Step, 5, GoesOn, 90),
    cell(Store, Slow, Checkpoint, 5, GoesOn, 90),
    cell(Store, Slow, End, 5, GoesOn, 90),
    cell(Store, Partitioned, Start, 0, Says("AWS_ENDPOINT"), 90),
    cell(Store, Partitioned, Step, 5, GoesOn, 90),
    cell(Store, Partitioned, Checkpoint, 5, GoesOn, 90),
    cell(Store, Partitioned, End, 5, GoesOn, 90),
    cell(Controller, Killed, Start, 0, LOST_BY_SLURM, 0),
    cell(Controller, Killed, Step, 5, GoesOn, 120),
    cell(Controller, Killed, Checkpoint, 5, GoesOn, 120),
    cell(Controller, Killed, End, 5, GoesOn, 120),
    cell(Controller, Stopped, Start, 8, GoesOn, 120),
    cell(Controller, Stopped, Step, 8, GoesOn, 120),
    cell(Controller, Stopped, Checkpoint, 8, GoesOn, 120),
    cell(Controller, Stopped, End, 8, GoesOn, 120),
    cell(Controller, Slow, Start, 5, GoesOn, 120),
    cell(Controller, Slow, Step, 5, GoesOn, 120),
    cell(Controller, Slow, Checkpoint, 5, GoesOn, 120),
    cell(Controller, Slow, End, 5, GoesOn, 120),
    // Shorter than SlurmdTimeout, which is 6 s there: beyond it Slurm takes the nodes for dead, and may hold the job.
    cell(Controller, Partitioned, Start, 4, GoesOn, 120),
    cell(Controller, Partitioned, Step, 4, GoesOn, 120),
    cell(Controller, Partitioned, Checkpoint, 4, GoesOn, 120),
    cell(Controller, Partitioned, End, 4, GoesOn, 120),
];

/// The cell of these three.
pub(crate) fn of(who: Who, what: What, when: When) -> Cell {
    let found = CELLS.iter().find(|cell| (cell.who, cell.what, cell.when) == (who, what, when));
    *found.expect("all are there")
}
