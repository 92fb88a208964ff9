//! What ends the worker: its sentence, its exit code, and the record for whoever started it.

use std::process::ExitCode;

use anyhow::Error;
use run_folder::failure::{ERROR_FILE, Failure, FailureKind, NOT_AS_PLANNED, RANK_LOST};
use run_spec::ids::{Rank, Step};
use torch_shim::panics;
use training::TrainingFailure;

use crate::environment::Environment;
use crate::{expectation, memory, sentence};

/// Tells people, and whoever named a file for it, why the worker ends; gives its exit code.
pub(crate) fn report(error: &Error, environment: &Environment) -> ExitCode {
    let (kind, sentence) = (kind_of(error), sentence(error));
    terminal::error(&sentence);
    let step = error.downcast_ref::<TrainingFailure>().and_then(|failure| failure.step);
    record(kind, step, sentence, environment);
    match kind {
        FailureKind::NotAsPlanned => ExitCode::from(NOT_AS_PLANNED),
        FailureKind::RankLost => ExitCode::from(RANK_LOST),
        _ => ExitCode::FAILURE,
    }
}

/// Leaves the record of why the worker ends, where somebody has named a file for it.
pub(crate) fn record(kind: FailureKind, step: Option<Step>, sentence: String, environment: &Environment) {
    let Environment { launch, host, error_file: Some(path), .. } = environment else { return };
    let failure = Failure { kind, sentence, step, rank: Rank::new(launch.rank as u32), host: host.clone() };
    if let Err(error) = failure.write(path) {
        tracing::warn!(%error, path = %path.display(), "{ERROR_FILE}: the reason is only in the log");
    }
}

fn kind_of(error: &Error) -> FailureKind {
    match error.chain().any(|cause| cause.is::<expectation::NotAsPlanned>()) {
        true => FailureKind::NotAsPlanned,
        false => training::kind_of(error.as_ref()),
    }
}

/// Panics are reported as errors of the program, except those that become one (see [`panics`]).
pub(crate) fn report_panics(environment: &Environment) {
    let environment = environment.clone();
    std::panic::set_hook(Box::new(move |panic| {
        if panics::are_caught() {
            tracing::debug!(%panic, "panic in tensor maths");
        } else if let Some(remedy) = memory::remedy(&panic.to_string()) {
            let sentence = format!("{remedy} ({})", panics::first_words(&panics::message_of(panic.payload())));
            terminal::error(&sentence);
            record(FailureKind::OutOfMemory, None, sentence, &environment);
        } else {
            tracing::error!(%panic, "this is a bug of the worker");
            record(FailureKind::Other, None, format!("this is a bug of the worker: {panic}"), &environment);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};
    use store::StoreError;

    #[test]
    fn a_kind_is_found_below_any_context() {
        let full = || StoreError::Full { uri: "s3://b/run/checkpoints/1".to_owned() };
        let planned = expectation::digest(
            &["shards=1".parse().unwrap()],
            expectation::Key::Shards,
            "",
            &run_spec::ids::Digest::of(b""),
        );
        let refused = training::TrainingError::Refused(planned.unwrap_err().into());
        let failure = TrainingFailure { step: None, rank_lost: false, error: Box::new(refused) };
        let stored: Result<(), _> = Err(run_folder::RunError::from(full()));
        for (error, kind) in [
            (anyhow!("no shards"), FailureKind::Other),
            (stored.context("keep the rows").unwrap_err(), FailureKind::StoreFull),
            (Error::from(failure).context("train"), FailureKind::NotAsPlanned),
        ] {
            assert_eq!(kind_of(&error), kind, "{error:?}");
        }
    }
}
