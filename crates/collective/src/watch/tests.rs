use super::*;
use crate::{Threads, contract};
use std::{sync::mpsc, thread};

/// Long enough that no test ends by it, unless it is about that.
const LONG: Duration = Duration::from_secs(120);
/// Silence that counts; a machine under load may keep a living thread waiting for part of it.
const SHORT: Duration = Duration::from_secs(2);

/// No rank of these tests is left behind by its world.
#[derive(Debug)]
struct Never;

impl Stuck for Never {
    fn on_stuck(&self, end: &WorldEnd) {
        panic!("stuck: {}", end.reason);
    }
}

/// Keeps the reason for which the world ended, for a test to read.
#[derive(Debug, Default)]
struct Kept(OnceLock<String>);

impl Stuck for Kept {
    fn on_stuck(&self, end: &WorldEnd) {
        self.0.set(end.reason.clone()).unwrap();
    }
}

fn rules(rank: usize, silence: Duration, deadline: Duration) -> Rules {
    let stuck = Arc::new(Never);
    Rules { host: format!("n{}", rank + 1), silence, deadline, at_store: LONG, grace: LONG, stuck }
}

/// A world of threads that watch one another; each rank runs `f` with its own.
fn world(size: usize, silence: Duration, deadline: Duration, f: impl Fn(Watched) + Sync) {
    thread::scope(|scope| {
        for rank in Threads::world_of(size) {
            let f = &f;
            scope.spawn(move || {
                let number = Collective::rank(&rank);
                f(Watched::join(Box::new(rank), rules(number, silence, deadline)).unwrap());
            });
        }
    });
}

/// Calls until one fails.
fn fails(watched: &Watched) -> CollectiveError {
    loop {
        if let Err(error) = watched.barrier() {
            return error;
        }
    }
}

#[test]
fn a_watched_world_keeps_the_contract() {
    for size in [1, 2, 3] {
        world(size, LONG, LONG, |watched| {
            assert_eq!(watched.unwatched(), None);
            contract::check(&watched).unwrap();
        });
        world(size, LONG, LONG, |watched| {
            // Rank 0 may have given up before another rank leaves the barrier; that one hears of it here.
            let _ = watched.barrier();
            contract::check_abort(&watched);
        });
    }
}

#[test]
fn a_rank_that_gives_up_says_so_with_its_host() {
    world(3, LONG, LONG, |watched| {
        // Rank 1 may have given up before another rank leaves the barrier; that one hears of it here.
        let first = watched.barrier();
        if Collective::rank(&watched) == 1 {
            return watched.abort("its disk is full");
        }
        let error = first.err().unwrap_or_else(|| fails(&watched));
        assert!(matches!(&error, CollectiveError::Aborted { reason } if reason.starts_with("rank 1 (n2, process ")));
        assert!(error.to_string().contains("gave up: its disk is full"), "{error}");
    });
}

/// What the others say when `rank` of three stops in the way `how` does.
fn lost(rank: usize, silence: Duration, deadline: Duration, how: impl Fn(Watched) + Sync) -> Vec<String> {
    let (said, heard) = mpsc::channel();
    let (free, freed) = mpsc::channel();
    let freed = std::sync::Mutex::new(freed);
    world(3, silence, deadline, move |watched| {
        watched.note("step 7");
        watched.barrier().unwrap();
        // What a second would bring.
        watched.shared.seats.send(FrameKind::Beat, &watched.shared.diary.report().to_bytes(), None);
        thread::sleep(Duration::from_millis(400));
        if Collective::rank(&watched) == rank {
            how(watched);
            // It holds what it holds until the others are through.
            (0..2).for_each(|_| freed.lock().unwrap().recv().unwrap());
            return;
        }
        let error = fails(&watched);
        assert!(matches!(error, CollectiveError::Lost { .. }) && watched.world_end().unwrap().lost, "{error}");
        said.send(error.to_string()).unwrap();
        free.send(()).unwrap();
    });
    heard.into_iter().collect()
}

#[test]
fn a_dead_rank_is_named_by_all_others() {
    for dead in [0, 2] {
        let said = lost(dead, LONG, LONG, |mut watched| {
            // As the kernel does it: connections close, and nobody says goodbye.
            watched.shared.seats.hang_up();
            watched.stop = None;
            std::mem::forget(watched);
        });
        assert_eq!(said.len(), 2);
        for text in said {
            assert!(text.starts_with(&format!("rank {dead} (n{}, process ", dead + 1)), "{text}");
            assert!(text.contains("ended without a word") && text.contains("barrier (call 1), at step 7"), "{text}");
        }
    }
}

#[test]
fn a_stopped_process_is_named_by_all_others() {
    for silent in [0, 1] {
        let said = lost(silent, SHORT, LONG, |mut watched| {
            // Connections stay, and nothing is said any more.
            watched.stop = None;
            std::mem::forget(watched);
        });
        for text in said {
            assert!(text.starts_with(&format!("rank {silent} (n{}, process ", silent + 1)), "{text}");
            assert!(text.contains("no sign of life") && text.contains("barrier (call 1), at step 7"), "{text}");
        }
    }
}

#[test]
fn a_rank_that_lives_but_does_not_come_is_named_not_the_one_that_waits() {
    let said = lost(2, LONG, SHORT, |watched| {
        watched.note("images of step 8");
        // It beats on: the process lives.
        std::mem::forget(watched);
    });
    for text in said {
        assert!(text.starts_with("rank 2 (n3, process "), "{text}");
        assert!(text.contains("barrier (call 1), at images of step 8"), "{text}");
        assert!(text.contains("in barrier (call 2)") && text.contains("train.step_deadline_s"), "{text}");
    }
}

#[test]
fn a_rank_that_does_not_end_with_its_world_is_ended() {
    let kept = Arc::new(Kept::default());
    let rules = |rank| Rules {
        grace: Duration::from_millis(50),
        stuck: Arc::clone(&kept) as Arc<dyn Stuck>,
        ..rules(rank, LONG, LONG)
    };
    thread::scope(|scope| {
        for rank in Threads::world_of(2) {
            let (rules, kept) = (rules(Collective::rank(&rank)), &kept);
            scope.spawn(move || {
                let watched = Watched::join(Box::new(rank), rules).unwrap();
                // Rank 1 may have given up before rank 0 leaves the barrier.
                let _ = watched.barrier();
                if Collective::rank(&watched) == 1 {
                    return watched.abort("its disk is full");
                }
                // It sits in no call that could fail.
                while kept.0.get().is_none() {
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
    });
    assert!(kept.0.get().unwrap().contains("its disk is full"));
}

#[test]
fn rank_zero_is_looked_for_on_the_own_host_first() {
    let listener = Seats::listen(0).unwrap();
    let bytes = offer(&listener, "n1");
    let port = listener.local_addr().unwrap().port();
    let hosts = |host| read_offer(&bytes, host).1.into_iter().map(|place| (place.host, place.port)).collect::<Vec<_>>();
    assert_eq!(hosts("n1")[..2], [("127.0.0.1".to_owned(), port), ("n1".to_owned(), port)]);
    assert_eq!(hosts("n2")[0], ("n1".to_owned(), port));
}
