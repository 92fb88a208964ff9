//! Ranks that meet over TCP, on the loopback: ranks that fit together meet, others get the reason why not, and nobody hangs.

use clock::{Clock, SteppedClock};
use collective::{
    ControlChannel, Launch,
    rendezvous::{Address, Board, ByNote, Here, RendezvousError, TcpRendezvous},
};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Long enough that no test ends by it, unless it is about that.
const PATIENCE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(400);

fn launch(rank: usize, world: usize) -> Launch {
    Launch { rank, world, local_rank: rank, pmix: false }
}

/// A port that nobody listens on.
fn address() -> Address {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Address { host: "127.0.0.1".to_owned(), port, run: 7 }
}

/// All ranks of a world, met.
fn met(world: usize) -> Vec<TcpRendezvous> {
    let address = address();
    let join = |rank| TcpRendezvous::join(&address, &launch(rank, world), PATIENCE).unwrap();
    thread::scope(|scope| {
        let ranks: Vec<_> = (0..world).map(|rank| scope.spawn(move || join(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// The word that reaches a rank, however long it travels.
fn word(rank: &TcpRendezvous) -> String {
    loop {
        if let Some(word) = rank.peer_failure() {
            return word;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn bytes_of_the_first_rank_reach_all_of_them() {
    let ranks = met(4);
    thread::scope(|scope| {
        for rank in &ranks {
            scope.spawn(move || {
                for round in 0..3_u8 {
                    let own = if rank.rank() == 0 { vec![round; 128] } else { Vec::new() };
                    assert_eq!(rank.broadcast_bytes_of_root(own).unwrap(), vec![round; 128]);
                    // Listening for words takes no bytes away.
                    assert_eq!(rank.peer_failure(), None);
                }
            });
        }
    });
}

#[test]
fn one_rank_alone_needs_no_address() {
    let nowhere = Address { host: "no such host".to_owned(), port: 1, run: 7 };
    let alone = TcpRendezvous::join(&nowhere, &launch(0, 1), SHORT).unwrap();
    assert_eq!(alone.broadcast_bytes_of_root(b"own".to_vec()).unwrap(), b"own");
}

#[test]
fn a_rank_that_gives_up_is_heard_by_all_through_the_first() {
    let ranks = met(3);
    ranks[2].announce_failure("rank 2 gave up: its disk is full");
    for rank in &ranks {
        assert_eq!(word(rank), "rank 2 gave up: its disk is full");
    }
    // The first reason stays.
    ranks[0].announce_failure("another one");
    assert_eq!(word(&ranks[1]), "rank 2 gave up: its disk is full");
    assert!(ranks[1].broadcast_bytes_of_root(Vec::new()).unwrap_err().to_string().contains("its disk is full"));
}

#[test]
fn a_rank_that_ends_well_disturbs_nobody_and_one_that_dies_ends_the_world() {
    let address = address();
    let (first, second, mut dying) = thread::scope(|scope| {
        let first = scope.spawn(|| TcpRendezvous::join(&address, &launch(0, 3), PATIENCE).unwrap());
        let second = scope.spawn(|| TcpRendezvous::join(&address, &launch(1, 3), PATIENCE).unwrap());
        let dying = scope.spawn(|| by_hand(&address, 7, 3, 2));
        (first.join().unwrap(), second.join().unwrap(), dying.join().unwrap())
    });
    drop(second);
    // The goodbye and the death arrive in any order; only one of them is a reason.
    let mut welcome = [0; 5];
    dying.read_exact(&mut welcome).unwrap();
    drop(dying);
    assert!(word(&first).starts_with("rank 2 ended without a message"), "{}", word(&first));
}

/// Speaks the protocol without the library: a process that says what it wants.
fn by_hand(address: &Address, run: u64, world: u32, rank: u32) -> TcpStream {
    let mut stream = loop {
        match TcpStream::connect((address.host.as_str(), address.port)) {
            Ok(stream) => break stream,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    };
    let hello = [b"REDDINO1".as_slice(), &run.to_le_bytes(), &world.to_le_bytes(), &rank.to_le_bytes()].concat();
    stream.write_all(&hello).unwrap();
    stream
}

/// Rank 0 of two, while `others` do what they do; rank 1 comes after them.
fn first_beside(others: impl FnOnce(&Address) + Send) -> Result<TcpRendezvous, RendezvousError> {
    let address = address();
    thread::scope(|scope| {
        let first = scope.spawn(|| TcpRendezvous::join(&address, &launch(0, 2), PATIENCE));
        others(&address);
        let second = scope.spawn(|| TcpRendezvous::join(&address, &launch(1, 2), PATIENCE));
        drop(second.join().unwrap());
        first.join().unwrap()
    })
}

#[test]
fn strangers_and_other_runs_are_turned_away_without_harm() {
    let met = first_beside(|address| {
        let connect = || by_hand(address, 6, 2, 1);
        // An older run at the same port is told so.
        let mut answer = Vec::new();
        connect().read_to_end(&mut answer).unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("another run meets here"));
        // A browser, a scanner that says nothing, and one that hangs up.
        let mut browser = TcpStream::connect((address.host.as_str(), address.port)).unwrap();
        browser.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let silent = TcpStream::connect((address.host.as_str(), address.port)).unwrap();
        drop(TcpStream::connect((address.host.as_str(), address.port)).unwrap());
        std::mem::forget(silent);
    });
    assert_eq!(met.unwrap().world(), 2);
}

#[test]
fn another_count_of_ranks_ends_the_meeting_on_both_sides() {
    let address = address();
    thread::scope(|scope| {
        let first = scope.spawn(|| TcpRendezvous::join(&address, &launch(0, 2), PATIENCE).unwrap_err().to_string());
        let second = scope.spawn(|| TcpRendezvous::join(&address, &launch(1, 3), PATIENCE).unwrap_err().to_string());
        for side in [first.join().unwrap(), second.join().unwrap()] {
            assert!(side.contains("rank 1 counts 3 ranks, rank 0 counts 2"), "{side}");
        }
    });
}

#[test]
fn two_processes_of_one_rank_end_the_meeting() {
    let address = address();
    thread::scope(|scope| {
        let first = scope.spawn(|| TcpRendezvous::join(&address, &launch(0, 3), PATIENCE).unwrap_err().to_string());
        let same: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| TcpRendezvous::join(&address, &launch(1, 3), PATIENCE).unwrap_err().to_string()))
            .collect();
        assert!(first.join().unwrap().contains("two processes are rank 1"));
        for side in same {
            assert!(side.join().unwrap().contains("two processes are rank 1"));
        }
    });
}

#[test]
fn ranks_that_do_not_come_are_named_when_the_time_is_over() {
    let address = address();
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| TcpRendezvous::join(&address, &launch(0, 4), SHORT * 5).unwrap_err());
        let second = scope.spawn(|| TcpRendezvous::join(&address, &launch(2, 4), PATIENCE).unwrap_err());
        (first.join().unwrap(), second.join().unwrap())
    });
    assert!(matches!(&first, RendezvousError::Absent { missing, .. } if missing == "1, 3"), "{first}");
    assert!(second.to_string().contains("did not come: 1, 3"), "the rank that came gets the reason: {second}");
}

#[test]
fn a_first_rank_that_is_not_there_is_an_error_of_the_others() {
    let error = TcpRendezvous::join(&address(), &launch(1, 2), SHORT).unwrap_err();
    assert!(matches!(error, RendezvousError::Unreachable { rank: 1, .. }), "{error}");
}

#[test]
fn a_taken_port_is_named_with_a_remedy() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let address = Address { port: taken.local_addr().unwrap().port(), ..address() };
    let error = TcpRendezvous::join(&address, &launch(0, 2), SHORT).unwrap_err().to_string();
    assert!(error.contains("set MASTER_PORT to a free port"), "{error}");
}

/// Notes in the memory of a test.
#[derive(Debug, Default)]
struct Notes(Mutex<BTreeMap<String, Vec<u8>>>);

impl Board for Notes {
    fn leave(&self, name: &str, note: &[u8]) -> Result<bool, String> {
        let mut notes = self.0.lock().unwrap();
        let free = !notes.contains_key(name);
        notes.entry(name.to_owned()).or_insert_with(|| note.to_vec());
        Ok(free)
    }
    fn find(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }
}

#[test]
fn ranks_that_know_no_address_meet_by_a_note_once() {
    let notes = Notes::default();
    let note = |host| ByNote { board: &notes, name: "start-1", here: Here { host, node_name: None } };
    let join = |rank| TcpRendezvous::join_by(&note("n1"), &launch(rank, 3), PATIENCE).unwrap();
    let ranks: Vec<TcpRendezvous> = thread::scope(|scope| {
        // The first rank comes last: the others wait for its note.
        let others: Vec<_> = [1, 2].map(|rank| scope.spawn(move || join(rank))).into();
        thread::sleep(Duration::from_millis(50));
        let first = join(0);
        std::iter::once(first).chain(others.into_iter().map(|rank| rank.join().unwrap())).collect()
    });
    ranks[2].announce_failure("rank 2 gave up: its disk is full");
    // The first rank passes it on.
    for rank in &ranks {
        assert_eq!(word(rank), "rank 2 gave up: its disk is full");
    }
    let again = TcpRendezvous::join_by(&note("n1"), &launch(0, 3), SHORT).unwrap_err().to_string();
    assert!(again.contains("`start-1`") && again.contains("REDDINO_MEETING"), "{again}");
    let none = ByNote { name: "start-2", ..note("n2") };
    let missing = TcpRendezvous::join_by(&none, &launch(1, 3), SHORT).unwrap_err().to_string();
    assert!(missing.contains("rank 1 found no note `start-2`"), "{missing}");
}

#[test]
fn a_rank_that_met_and_never_speaks_is_lost_within_half_a_minute() {
    let address = address();
    let (first, mut mute) = thread::scope(|scope| {
        let first = scope.spawn(|| TcpRendezvous::join(&address, &launch(0, 2), PATIENCE).unwrap());
        let mute = scope.spawn(|| by_hand(&address, 7, 2, 1));
        (first.join().unwrap(), mute.join().unwrap())
    });
    let clock = Arc::new(SteppedClock::default());
    let first = first.by_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    while first.peer_failure().is_none() {
        clock.sleep(Duration::from_secs(1));
        assert!(clock.now() < Duration::from_secs(30), "nobody is lost");
    }
    assert!(word(&first).starts_with("rank 1 hangs: no heartbeat for 13 s"), "{}", word(&first));
    // Its own signs of life came all the while.
    let mut frame = [0; 5];
    mute.read_exact(&mut frame).unwrap();
}
