use super::*;
use crate::{Threads, contract};
use clock::SteppedClock;
use round::Round;
use std::thread;

/// Long enough that no test ends by it, unless it is about that.
const LONG: Duration = Duration::from_secs(120);

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
    let (stuck, clock) = (never(), Arc::new(SystemClock::default()));
    let host = format!("n{}", rank + 1);
    Rules { host, node_name: Some("node-1".to_owned()), clock, silence, deadline, at_store: LONG, grace: LONG, stuck }
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

/// A clock that passes as a test says. Who waits by it for the word of another rank gives up the processor.
#[derive(Debug, Default)]
struct Driven(SteppedClock);

impl Clock for Driven {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn sleep(&self, _: Duration) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// A world whose watches the test turns by hand, each second of a clock that it steps.
struct ByHand {
    clock: Arc<Driven>,
    watched: Vec<Watched>,
    rounds: Vec<Round>,
}

impl ByHand {
    /// Ranks that have been at step 7 and have made one call. They are given up after 12 s of silence, after 60 s in which
    /// others wait for them, and when their world ended 6 s ago.
    fn of(size: usize, stuck: &Arc<dyn Stuck>) -> Self {
        let clock = Arc::new(Driven::default());
        let join = |rank: Threads| {
            let rules = Rules {
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                grace: Duration::from_secs(6),
                stuck: Arc::clone(stuck),
                ..rules(Collective::rank(&rank), Duration::from_secs(12), Duration::from_secs(60))
            };
            let watched = Watched::met(Box::new(rank), &rules).unwrap();
            watched.note("step 7");
            watched.barrier().unwrap();
            (Round::new(Arc::clone(&watched.shared), rules, None), watched)
        };
        let (rounds, watched) = thread::scope(|scope| {
            let ranks: Vec<_> = Threads::world_of(size).into_iter().map(|rank| scope.spawn(|| join(rank))).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).unzip()
        });
        let mut world = Self { clock, watched, rounds };
        // Each has heard of the others.
        Self::second(&world.clock, &world.watched, &mut world.rounds, None);
        Self::second(&world.clock, &world.watched, &mut world.rounds, None);
        world
    }

    /// Lets a second pass, in which each rank looks but `stopped`.
    fn second(clock: &Driven, watched: &[Watched], rounds: &mut [Round], stopped: Option<usize>) {
        clock.0.sleep(Duration::from_secs(1));
        // What was sent arrives.
        thread::sleep(Duration::from_millis(1));
        for (rank, round) in rounds.iter_mut().enumerate().filter(|(rank, _)| Some(*rank) != stopped) {
            round.turn(&Arc::downgrade(watched[rank].inner()));
        }
    }

    /// What the others say, in a call that they make, of `gone`, whose watch goes on if it `lives`; and after how many
    /// seconds all of them have said it.
    fn lost(mut self, gone: usize, lives: bool) -> (Vec<String>, u64) {
        let stopped = (!lives).then_some(gone);
        let others = |watched: &[Watched]| (0..watched.len()).filter(|rank| *rank != gone).collect::<Vec<_>>();
        let said = thread::scope(|scope| {
            let watched = &self.watched;
            let calls: Vec<_> =
                others(watched).into_iter().map(|rank| scope.spawn(move || fails(&watched[rank]))).collect();
            while !others(watched).into_iter().all(|rank| watched[rank].shared.diary.report().inside) {
                thread::yield_now();
            }
            while others(watched).into_iter().any(|rank| watched[rank].world_end().is_none()) {
                assert!(self.clock.now() < Duration::from_secs(100), "nobody is lost");
                Self::second(&self.clock, watched, &mut self.rounds, stopped);
            }
            calls.into_iter().map(|call| call.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(said.iter().all(|error| matches!(error, CollectiveError::Lost { .. })), "{said:?}");
        let seconds = self.clock.now().as_secs();
        self.part();
        (said.iter().map(ToString::to_string).collect(), seconds)
    }

    /// All ranks end at once: each waits for the others' goodbye.
    fn part(self) {
        drop(self.rounds);
        thread::scope(|scope| self.watched.into_iter().for_each(|watched| drop(scope.spawn(move || drop(watched)))));
    }
}

fn never() -> Arc<dyn Stuck> {
    Arc::new(Never)
}

#[test]
fn a_dead_rank_is_named_by_all_others() {
    for dead in [0, 2] {
        let world = ByHand::of(3, &never());
        // As the kernel does it: connections close, and nobody says goodbye.
        world.watched[dead].shared.seats.hang_up();
        let (said, seconds) = world.lost(dead, false);
        assert_eq!(said.len(), 2);
        assert!(seconds < 6, "at once, not by silence: {seconds} s");
        for text in said {
            assert!(text.starts_with(&format!("rank {dead} (n{}, process ", dead + 1)), "{text}");
            assert!(text.contains("ended without a message") && text.contains("barrier (call 1), at step 7"), "{text}");
        }
    }
}

#[test]
fn a_stopped_process_is_named_by_all_others() {
    for silent in [0, 1] {
        // Connections stay, and nothing is said any more.
        let (said, seconds) = ByHand::of(3, &never()).lost(silent, false);
        assert!((14..18).contains(&seconds), "after 12 s: {seconds} s");
        for text in said {
            assert!(text.starts_with(&format!("rank {silent} (n{}, process ", silent + 1)), "{text}");
            assert!(text.contains("no heartbeat") && text.contains("barrier (call 1), at step 7"), "{text}");
        }
    }
}

#[test]
fn a_rank_that_lives_but_does_not_come_is_named_not_the_one_that_waits() {
    let world = ByHand::of(3, &never());
    world.watched[2].note("images of step 8");
    let (said, seconds) = world.lost(2, true);
    assert!((62..72).contains(&seconds), "after 60 s: {seconds} s");
    for text in said {
        assert!(text.starts_with("rank 2 (n3, process "), "{text}");
        assert!(text.contains("barrier (call 1), at images of step 8"), "{text}");
        assert!(text.contains("in barrier (call 2)") && text.contains("train.step_deadline_s"), "{text}");
    }
}

#[test]
fn ranks_that_were_all_stopped_for_an_hour_blame_nobody() {
    let mut world = ByHand::of(2, &never());
    ByHand::second(&world.clock, &world.watched, &mut world.rounds, None);
    world.clock.0.sleep(Duration::from_secs(3600));
    (0..30).for_each(|_| ByHand::second(&world.clock, &world.watched, &mut world.rounds, None));
    assert_eq!(world.watched[0].world_end(), None);
    world.part();
}

#[test]
fn a_rank_that_does_not_end_with_its_world_is_ended() {
    let kept = Arc::new(Kept::default());
    let mut world = ByHand::of(2, &(Arc::clone(&kept) as Arc<dyn Stuck>));
    world.watched[1].abort("its disk is full");
    // Rank 0 sits in no call that could fail.
    while world.watched[0].world_end().is_none() {
        ByHand::second(&world.clock, &world.watched, &mut world.rounds, Some(1));
    }
    (0..5).for_each(|_| ByHand::second(&world.clock, &world.watched, &mut world.rounds, Some(1)));
    assert_eq!(kept.0.get(), None, "it has 6 s to end by itself");
    ByHand::second(&world.clock, &world.watched, &mut world.rounds, Some(1));
    assert!(kept.0.get().unwrap().contains("its disk is full"));
    world.part();
}

/// A rank alone whose library does not return from an abort, as NCCL's may.
#[derive(Debug)]
struct Hangs;

impl Collective for Hangs {
    fn rank(&self) -> usize {
        0
    }
    fn world(&self) -> usize {
        1
    }
    fn all_reduce(&self, _: Buffer<'_>, _: Op) -> Result<(), CollectiveError> {
        Ok(())
    }
    fn broadcast(&self, _: Buffer<'_>, _: usize) -> Result<(), CollectiveError> {
        Ok(())
    }
    fn barrier(&self) -> Result<(), CollectiveError> {
        Ok(())
    }
    fn abort(&self, _: &str) {
        loop {
            thread::park();
        }
    }
}

#[test]
fn an_abort_that_hangs_does_not_keep_the_process() {
    let kept = Arc::new(Kept::default());
    let mut world = ByHand::of(2, &(Arc::clone(&kept) as Arc<dyn Stuck>));
    world.watched[1].abort("its disk is full");
    let hangs: Arc<dyn Collective> = Arc::new(Hangs);
    while world.rounds[0].turn(&Arc::downgrade(&hangs)) {
        world.clock.0.sleep(Duration::from_secs(1));
        assert!(world.clock.now() < Duration::from_secs(30), "it is kept");
    }
    assert!(kept.0.get().unwrap().contains("its disk is full"));
    world.part();
}

/// The watch of rank 0 of two that have met, of which only this one watches, by a clock of its own; and its world's end.
fn watch_alone(abort_reason: Option<Arc<AbortReason>>, kept: &Arc<Kept>) -> (Arc<Driven>, Vec<Watched>, Round) {
    let clock = Arc::new(Driven::default());
    let rules = |rank| Rules {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        grace: Duration::from_secs(6),
        stuck: Arc::clone(kept) as Arc<dyn Stuck>,
        ..rules(rank, Duration::from_secs(12), Duration::from_secs(60))
    };
    let watched: Vec<Watched> = thread::scope(|scope| {
        let join = |rank: Threads| {
            let rules = rules(Collective::rank(&rank));
            scope.spawn(move || Watched::met(Box::new(rank), &rules).unwrap())
        };
        let ranks: Vec<_> = Threads::world_of(2).into_iter().map(join).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    let round = Round::new(Arc::clone(&watched[0].shared), rules(0), abort_reason);
    (clock, watched, round)
}

/// Turns a watch each second until it has nothing left to do; gives the seconds.
fn turns(clock: &Driven, watched: &[Watched], round: &mut Round) -> u64 {
    while round.turn(&Arc::downgrade(watched[0].inner())) {
        clock.0.sleep(Duration::from_secs(1));
        assert!(clock.now() < Duration::from_secs(100), "it goes on");
    }
    clock.now().as_secs()
}

#[test]
fn a_rank_that_met_and_never_spoke_ends_the_world_within_half_a_minute() {
    let kept = Arc::new(Kept::default());
    let (clock, watched, mut round) = watch_alone(None, &kept);
    assert!(turns(&clock, &watched, &mut round) < 30);
    let reason = kept.0.get().unwrap();
    assert!(reason.starts_with("rank 1 hangs: no heartbeat for 13 s"), "{reason}");
    assert!(reason.contains("it has not said where it was"), "{reason}");
    ByHand { clock, watched, rounds: vec![round] }.part();
}

#[test]
fn a_thread_that_is_stuck_in_a_library_while_its_world_has_ended_is_ended_with_its_process() {
    let (kept, abort_reason) = (Arc::new(Kept::default()), Arc::new(AbortReason::default()));
    let (clock, watched, mut round) = watch_alone(Some(Arc::clone(&abort_reason)), &kept);
    abort_reason.set("NCCL failed on rank 0: a link is down");
    assert!(turns(&clock, &watched, &mut round) < 13, "before anybody could be silent");
    assert_eq!(kept.0.get().unwrap(), "NCCL failed on rank 0: a link is down");
    ByHand { clock, watched, rounds: vec![round] }.part();
}

#[test]
fn a_call_that_fails_while_nobody_is_to_blame_says_so_itself_after_two_seconds() {
    let clock: Arc<dyn Clock> = Arc::new(SteppedClock::default());
    let join = |rank: Threads| {
        let rules = Rules { clock: Arc::clone(&clock), ..rules(Collective::rank(&rank), LONG, LONG) };
        Watched::met(Box::new(rank), &rules).unwrap()
    };
    let ranks: Vec<Watched> = thread::scope(|scope| {
        let ranks: Vec<_> = Threads::world_of(2).into_iter().map(|rank| scope.spawn(|| join(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    let failed = CollectiveError::Aborted { reason: "the network".to_owned() };
    let error = ranks[0].shared.outcome::<()>(Err(failed)).unwrap_err();
    assert!(matches!(&error, CollectiveError::Aborted { reason } if reason == "the network"), "{error}");
    assert_eq!(clock.now(), SETTLE);
}
