//! What kind of failure an error is, found from the types of the error and its causes.

use std::error::Error;
use std::fmt;

use collective::CollectiveError;
use dino::DinoError;
use run_folder::RunError;
use run_folder::failure::{FailureKind, sentence};
use run_spec::ids::Step;
use shards::ShardError;
use store::StoreError;

use crate::TrainingError;
use crate::diagnosis::Diagnosis;
use crate::ranks::RanksError;

/// Why training ended before its time.
#[derive(Debug)]
pub struct TrainingFailure {
    /// The step in which it happened, where steps had begun.
    pub step: Option<Step>,
    /// Whether a rank died or hung, or a device failed, so that a new start may go well.
    pub rank_lost: bool,
    /// The error that ended training, with its causes.
    pub error: Box<TrainingError>,
}

impl fmt::Display for TrainingFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for TrainingFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.error.as_ref())
    }
}

impl From<TrainingError> for TrainingFailure {
    fn from(error: TrainingError) -> Self {
        Self { step: None, rank_lost: false, error: Box::new(error) }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// What the store said, below any context.
fn store_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    causes(error).find_map(|cause| match (cause.downcast_ref(), cause.downcast_ref()) {
        // These show their cause as themselves, so that it is not among the causes.
        (Some(RunError::Store(error)), _) | (_, Some(ShardError::Store(error))) => Some(error),
        _ => cause.downcast_ref(),
    })
}

/// Whether the run's folder or the store below it is at fault.
pub(crate) fn is_of_the_run_folder(error: &TrainingError) -> bool {
    store_error(error).is_some() || causes(error).any(|cause| cause.is::<RunError>())
}

/// The kind of `error`, for programs that decide what to do about it.
pub fn kind_of(error: &(dyn Error + 'static)) -> FailureKind {
    if let Some(known) = causes(error).find_map(known) {
        return known;
    }
    match store_error(error) {
        Some(StoreError::Unavailable { .. }) => FailureKind::StoreUnavailable,
        Some(StoreError::Full { .. }) => FailureKind::StoreFull,
        Some(StoreError::Denied { .. }) => FailureKind::StoreDenied,
        // The word of another rank: what it says may name memory or a store, which are that rank's.
        _ if causes(error).any(is_of_another_rank) => FailureKind::Peer,
        _ if Diagnosis::of(&sentence(error)).is_some_and(Diagnosis::is_memory) => FailureKind::OutOfMemory,
        _ => FailureKind::Other,
    }
}

/// The kind of an error that is of one kind only.
fn known(error: &(dyn Error + 'static)) -> Option<FailureKind> {
    if error.downcast_ref::<TrainingFailure>().is_some_and(|failure| failure.rank_lost) {
        return Some(FailureKind::RankLost);
    }
    if matches!(error.downcast_ref(), Some(RanksError::Others { .. })) {
        return Some(FailureKind::Peer);
    }
    matches!(error.downcast_ref(), Some(TrainingError::NotFinite { .. })).then_some(FailureKind::NonFinite)
}

fn is_of_another_rank(cause: &(dyn Error + 'static)) -> bool {
    let aborted = |error: &CollectiveError| matches!(error, CollectiveError::Aborted { .. });
    match cause.downcast_ref() {
        Some(DinoError::Collective(error)) => aborted(error),
        _ => cause.downcast_ref().is_some_and(aborted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted() -> CollectiveError {
        CollectiveError::Aborted { reason: "rank 1 gave up: no shards".to_owned() }
    }

    fn full() -> StoreError {
        StoreError::Full { uri: "s3://b/run/checkpoints/1".to_owned() }
    }

    fn not_finite() -> TrainingError {
        TrainingError::NotFinite {
            steps: 3,
            term: "loss.ibot".to_owned(),
            step: 7.into(),
            captured: String::new(),
            rate: "lr",
        }
    }

    #[test]
    fn a_kind_is_known_by_the_error_below_any_other() {
        let out_of_memory = torch_shim::panics::TorchPanic {
            doing: "train".to_owned(),
            message: "DefaultCPUAllocator: can't allocate memory".to_owned(),
        };
        let last = TrainingError::LastCheckpoint { uri: "s3://b/run".to_owned(), source: full().into() };
        for (error, kind) in [
            (TrainingError::LoaderEnded, FailureKind::Other),
            (full().into(), FailureKind::StoreFull),
            (last, FailureKind::StoreFull),
            (TrainingError::Row { row: 7, source: full().into() }, FailureKind::StoreFull),
            (out_of_memory.into(), FailureKind::OutOfMemory),
            (not_finite(), FailureKind::NonFinite),
            (DinoError::from(aborted()).into(), FailureKind::Peer),
            (RanksError::from(aborted()).into(), FailureKind::Peer),
            (RanksError::Others { failed: 1, world: 2 }.into(), FailureKind::Peer),
        ] {
            assert_eq!(kind_of(&error), kind, "{error:?}");
        }
        let lost = TrainingFailure { step: Some(7.into()), rank_lost: true, error: Box::new(full().into()) };
        assert_eq!(kind_of(&lost), FailureKind::RankLost);
        assert_eq!(sentence(&lost), full().to_string(), "what a wrapped error says is said once");
    }
}
