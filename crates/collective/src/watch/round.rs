//! The thread that watches: says several times a second that this rank lives and where it is, listens to the others, and ends the
//! world when one of them died, is silent, or keeps the others waiting.

use super::{
    Rules, Shared, WorldEnd,
    diary::Report,
    judge::{self, Heard},
};
use crate::{
    AbortReason, Collective,
    rendezvous::{frames::FrameKind, seats::Incoming},
};
use std::{
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::Duration,
};

/// Longest time between two beats.
const BEAT: Duration = Duration::from_millis(250);
/// Longest time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long the watch waits for an abort. One that hangs in a library is left to itself: the end of this process stands behind it.
const ABORT: Duration = Duration::from_secs(1);
/// How long the thread that makes the calls may take to say that they fail, before the watch says it.
const STUCK: Duration = Duration::from_secs(5);

pub(super) struct Round {
    shared: Arc<Shared>,
    rules: Rules,
    /// On rank 0 everyone else, elsewhere rank 0.
    others: Vec<Heard>,
    said: Duration,
    looked: Duration,
    /// Why the calls fail, as the backend has it, and since when that is known.
    abort_reason: Option<Arc<AbortReason>>,
    failed: Option<Duration>,
    /// Since when this rank knows that the world has ended.
    ended: Option<Duration>,
}

impl Round {
    pub(super) fn new(shared: Arc<Shared>, rules: Rules, abort_reason: Option<Arc<AbortReason>>) -> Self {
        let now = shared.clock.now();
        let ranks = if shared.seats.rank() == 0 { 1..shared.seats.world() } else { 0..1 };
        let others = ranks.map(|rank| Heard { rank, at: now, report: None }).collect();
        let (failed, ended) = (None, None);
        let round = Self { shared, rules, others, said: now, looked: now, abort_reason, failed, ended };
        round.beat();
        round
    }

    fn beat(&self) {
        self.shared.seats.send(FrameKind::Beat, &self.shared.diary.report().to_bytes(), None);
    }

    /// Watches until the other end of `stop` is dropped.
    pub(super) fn go(mut self, inner: &Weak<dyn Collective>, stop: &Receiver<()>) {
        let every = LOOK.min(self.rules.silence / 100);
        while stop.recv_timeout(every) == Err(RecvTimeoutError::Timeout) && self.turn(inner) {}
    }

    /// Looks once and does what follows: ends the calls of a world that has ended, and later this rank, if it has not ended by
    /// itself. False when nothing is left to watch.
    pub(super) fn turn(&mut self, inner: &Weak<dyn Collective>) -> bool {
        if self.ended.is_none() {
            self.look();
            self.look_at_calls();
        }
        let Some(end) = self.shared.world_end.get() else { return true };
        let Some(ended) = self.ended else {
            abort(inner, &end.reason);
            self.ended = Some(self.shared.clock.now());
            return true;
        };
        // Whoever waited in a call is free now. One that waits elsewhere would keep the whole world's nodes.
        let over = self.shared.clock.now().saturating_sub(ended) >= self.rules.grace;
        if over {
            self.rules.stuck.on_stuck(end);
        }
        !over
    }

    fn look(&mut self) {
        let now = self.shared.clock.now();
        // This process was stopped, perhaps with all others (`scontrol suspend`): that they were silent means nothing.
        if now - self.looked > self.rules.silence / 4 {
            self.others.iter_mut().for_each(|heard| heard.at = now);
        }
        self.looked = now;
        if now - self.said > BEAT.min(self.rules.silence / 12) {
            self.said = now;
            self.beat();
        }
        for (rank, event) in self.shared.seats.poll() {
            self.hear(rank, event, now);
        }
        self.others.retain(|heard| self.shared.seats.is_there(heard.rank));
        let own = self.shared.diary.report();
        let (limits, first) = (self.rules.limits(), self.shared.seats.rank() == 0);
        let lost = judge::silent(&self.others, &own, &limits, now)
            .or_else(|| first.then(|| judge::overdue(&self.all(own, now), &limits, now)).flatten());
        if let Some(reason) = lost {
            self.shared.spread(WorldEnd { lost: true, reason }, None);
        }
    }

    /// Ends a world whose calls fail while the thread that makes them is stuck in one and cannot say so.
    fn look_at_calls(&mut self) {
        let Some(reason) = self.abort_reason.as_ref().and_then(|kept| kept.reason()) else { return };
        let now = self.shared.clock.now();
        if now.saturating_sub(*self.failed.get_or_insert(now)) >= STUCK {
            self.shared.spread(WorldEnd { lost: true, reason }, None);
        }
    }

    fn hear(&mut self, rank: usize, event: Incoming, now: Duration) {
        let Some(heard) = self.others.iter_mut().find(|heard| heard.rank == rank) else { return };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let end = match event {
            Incoming::Frame(FrameKind::Beat, bytes) => {
                heard.at = now;
                heard.report = Report::from_bytes(&bytes);
                return;
            }
            Incoming::Frame(FrameKind::Lost, bytes) => WorldEnd { lost: true, reason: text(&bytes) },
            Incoming::Frame(FrameKind::GaveUp, bytes) => WorldEnd { lost: false, reason: text(&bytes) },
            Incoming::Frame(..) => return,
            Incoming::Ended => WorldEnd { lost: true, reason: judge::died(heard, &self.shared.diary.report()) },
        };
        self.shared.spread(end, Some(rank));
    }

    /// What is known of every rank, this one too.
    fn all(&self, own: Report, now: Duration) -> Vec<Heard> {
        let own = Heard { rank: self.shared.seats.rank(), at: now, report: Some(own) };
        std::iter::once(own).chain(self.others.iter().cloned()).collect()
    }
}

/// Ends the calls that wait in `inner`, on a thread of its own, since the library below may not return from that.
fn abort(inner: &Weak<dyn Collective>, reason: &str) {
    let (inner, reason) = (inner.clone(), reason.to_owned());
    let (done, wait) = channel();
    let abort = move || {
        if let Some(inner) = inner.upgrade() {
            inner.abort(&reason);
        }
        // Nobody waits for one that took too long.
        let _ = done.send(());
    };
    // Without a thread, this process is ended when its grace is over.
    if std::thread::Builder::new().name("abort".to_owned()).spawn(abort).is_ok() {
        let _ = wait.recv_timeout(ABORT);
    }
}
