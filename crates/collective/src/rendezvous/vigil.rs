//! Who has sent no heartbeat for too long. A rank that met and never said anything is lost as well as one that fell silent.

use std::time::Duration;

/// How often a rank says that it lives.
pub(super) const BEAT: Duration = Duration::from_millis(250);
/// Time without a heartbeat after which a rank is lost.
const SILENCE: Duration = Duration::from_secs(12);

/// When each of some ranks was heard last, by one clock.
#[derive(Debug)]
pub(super) struct Vigil {
    heard: Vec<(usize, Duration)>,
    looked: Duration,
}

impl Vigil {
    /// Over `ranks`, all of which were there at `now`.
    pub(super) fn over(ranks: impl Iterator<Item = usize>, now: Duration) -> Self {
        Self { heard: ranks.map(|rank| (rank, now)).collect(), looked: now }
    }

    /// Begins a look at `now`. After a pause of this process, perhaps of all, the silence of the others means nothing.
    pub(super) fn look(&mut self, now: Duration) {
        if now.saturating_sub(self.looked) > SILENCE / 4 {
            self.heard.iter_mut().for_each(|(_, at)| *at = now);
        }
        self.looked = now;
    }

    /// `rank` has said something.
    pub(super) fn hear(&mut self, rank: usize) {
        let now = self.looked;
        self.heard.iter_mut().filter(|(heard, _)| *heard == rank).for_each(|(_, at)| *at = now);
    }

    /// `rank` has ended, well or not.
    pub(super) fn forget(&mut self, rank: usize) {
        self.heard.retain(|(heard, _)| *heard != rank);
    }

    /// The first rank that has been silent for too long, and for how long.
    pub(super) fn silent(&self) -> Option<(usize, Duration)> {
        let silence = |at: &Duration| self.looked.saturating_sub(*at);
        self.heard.iter().map(|(rank, at)| (*rank, silence(at))).find(|(_, silence)| *silence > SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_rank_that_never_spoke_is_lost_after_the_silence_and_one_that_left_is_not() {
        let mut vigil = Vigil::over(1..4, at(0));
        for second in 1..=12 {
            vigil.look(at(second));
            vigil.hear(2);
        }
        vigil.forget(1);
        assert_eq!(vigil.silent(), None);
        vigil.look(at(13));
        assert_eq!(vigil.silent(), Some((3, at(13))));
    }

    #[test]
    fn after_a_pause_of_its_own_nobody_is_blamed() {
        let mut vigil = Vigil::over(1..2, at(0));
        vigil.look(at(3600));
        assert_eq!(vigil.silent(), None);
        (3601..=3612).for_each(|second| vigil.look(at(second)));
        assert_eq!(vigil.silent(), None);
        vigil.look(at(3613));
        assert_eq!(vigil.silent(), Some((1, at(13))));
    }
}
