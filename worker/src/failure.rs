//! What ends the worker: its sentence, its exit code, and the record for whoever started it.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Error;
use collective::{CollectiveError, Launch};
use dino::DinoError;
use run_folder::RunError;
use run_folder::failure::{ERROR_FILE, Failure, FailureKind, NOT_AS_PLANNED, RANK_LOST};
use shards::ShardError;
use store::StoreError;

use crate::{expect, memory, sentence};

/// An error that is known better than by what caused it.
#[derive(Debug)]
struct Known {
    kind: FailureKind,
    step: Option<u64>,
    sentence: String,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Known {}

/// `error`, which is of `kind`.
pub(crate) fn of_kind(kind: FailureKind, error: Error) -> Error {
    let step = error.downcast_ref::<Known>().and_then(|known| known.step);
    Known { kind, step, sentence: sentence(&error) }.into()
}

/// `error`, which ended training in `step`.
pub(crate) fn at_step(step: u64, error: Error) -> Error {
    Known { kind: kind_of(&error), step: Some(step), sentence: sentence(&error) }.into()
}

/// Tells people, and whoever named a file for it, why the worker ends; gives its exit code.
pub(crate) fn report(error: &Error) -> ExitCode {
    let (kind, sentence) = (kind_of(error), memory::with_remedy(sentence(error)));
    tracing::error!("{sentence}");
    record(kind, error.downcast_ref::<Known>().and_then(|known| known.step), sentence);
    match kind {
        FailureKind::NotAsPlanned => ExitCode::from(NOT_AS_PLANNED),
        FailureKind::RankLost => ExitCode::from(RANK_LOST),
        _ => ExitCode::FAILURE,
    }
}

/// Leaves the record of why the worker ends, where somebody has named a file for it.
pub(crate) fn record(kind: FailureKind, step: Option<u64>, sentence: String) {
    let Some(path) = std::env::var_os(ERROR_FILE) else { return };
    let failure = Failure { kind, sentence, step, rank: Launch::here().rank, host: run_folder::host() };
    if let Err(error) = failure.write(Path::new(&path)) {
        tracing::warn!(%error, path = %Path::new(&path).display(), "{ERROR_FILE}: the reason is in the log alone");
    }
}

/// What the store said, below any context.
pub(crate) fn of_store(error: &Error) -> Option<&StoreError> {
    error.chain().find_map(|cause| match (cause.downcast_ref(), cause.downcast_ref()) {
        // These show their cause as themselves, so that the chain does not hold it.
        (Some(RunError::Store(error)), _) | (_, Some(ShardError::Store(error))) => Some(error),
        _ => cause.downcast_ref(),
    })
}

pub(crate) fn kind_of(error: &Error) -> FailureKind {
    if let Some(known) = error.downcast_ref::<Known>() {
        return known.kind;
    }
    if error.downcast_ref::<expect::NotAsPlanned>().is_some() {
        return FailureKind::NotAsPlanned;
    }
    match of_store(error) {
        Some(StoreError::Unavailable { .. }) => FailureKind::StoreUnavailable,
        Some(StoreError::Full { .. }) => FailureKind::StoreFull,
        Some(StoreError::Denied { .. }) => FailureKind::StoreDenied,
        // The word of another rank: what it says may name memory or a store, which are that rank's.
        _ if error.chain().any(is_of_another_rank) => FailureKind::Peer,
        _ if memory::remedy(&sentence(error)).is_some() => FailureKind::OutOfMemory,
        _ => FailureKind::Other,
    }
}

fn is_of_another_rank(cause: &(dyn std::error::Error + 'static)) -> bool {
    let aborted = |error: &CollectiveError| matches!(error, CollectiveError::Aborted { .. });
    match cause.downcast_ref() {
        Some(DinoError::Collective(error)) => aborted(error),
        _ => cause.downcast_ref().is_some_and(aborted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    fn dino_error() -> dino::DinoError {
        collective::CollectiveError::Aborted { reason: "rank 1 gave up: no shards".to_owned() }.into()
    }

    #[test]
    fn a_reason_is_known_by_its_error_below_any_context() {
        let full = || StoreError::Full { uri: "s3://b/run/checkpoints/1".to_owned() };
        let below: Result<(), RunError> = Err(full().into());
        for (error, kind) in [
            (anyhow!("no shards"), FailureKind::Other),
            (Error::from(full()).context("write the rows"), FailureKind::StoreFull),
            (below.context("keep the checkpoint").unwrap_err(), FailureKind::StoreFull),
            (anyhow!("train: DefaultCPUAllocator: can't allocate memory"), FailureKind::OutOfMemory),
            (of_kind(FailureKind::NonFinite, anyhow!("3 steps in a row")), FailureKind::NonFinite),
            (at_step(7, full().into()), FailureKind::StoreFull),
            (Error::from(ShardError::from(full())).context("read row 7"), FailureKind::StoreFull),
            (Error::from(dino_error()), FailureKind::Peer),
            (of_kind(FailureKind::RankLost, at_step(7, full().into())).context("train"), FailureKind::RankLost),
        ] {
            assert_eq!(kind_of(&error), kind, "{error:?}");
        }
        let lost = of_kind(FailureKind::RankLost, at_step(7, anyhow!("rank 1 died")));
        assert_eq!((lost.downcast_ref::<Known>().unwrap().step, sentence(&lost)), (Some(7), "rank 1 died".to_owned()));
    }
}
