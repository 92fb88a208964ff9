//! How a trial stands, in one of five words, for whoever counts trials.

use crate::identity::Life;
use crate::trial_state::State;

/// How a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Its newest attempt runs somewhere, as far as is known.
    Running,
    /// It failed by itself.
    Failed,
    /// With a damaged record.
    Damaged,
    /// Not begun, cut off or set aside: the next sweep runs it.
    Open,
    /// Finished.
    Finished,
}

impl Standing {
    /// How a trial in `state` stands.
    pub(crate) fn of(state: &State) -> Self {
        match state {
            State::Finished { .. } => Self::Finished,
            State::Failed { record, .. } if record.cause.blames_the_trial() => Self::Failed,
            State::Damaged { .. } => Self::Damaged,
            State::Claimed { life: Life::Alive | Life::Unknown, .. } => Self::Running,
            State::Missing | State::SetAside { .. } | State::Failed { .. } | State::Claimed { .. } => Self::Open,
        }
    }
}
