//! Joins the ranks that a launcher started, and ends this process where a library waits for a peer and cannot return.

use std::time::Duration;

use anyhow::Result;
use collective::Launch;
use collective::watch::Word;
use run_folder::failure::{FailureKind, RANK_LOST};
use run_spec::config::Collective;
use training::{ForcedEnd, RankSettings, Ranks};

use crate::failure;

/// Joins the ranks as a configuration wants it for tensors on `device`. A call that waits longer than `deadline_s` seconds for
/// its peers fails, and the world with it.
pub(crate) fn join(wanted: Collective, device: tch::Device, deadline_s: f64) -> Result<Ranks> {
    Ok(Ranks::join(&RankSettings {
        wanted,
        device,
        deadline: Duration::from_secs_f64(deadline_s),
        launch: Launch::here(),
        host: run_folder::host(),
        forced_end: ForcedEnd { stuck, not_joined },
    })?)
}

/// Tells the other ranks if this one fails: they would wait for it otherwise.
pub(crate) fn or_abort<T>(ranks: &Ranks, result: Result<T>) -> Result<T> {
    result.inspect_err(|error| ranks.abort(&crate::sentence(error)))
}

/// Ends this process, whose main thread waits for something else than its peers. Files are not at stake: what is written is
/// published last.
fn stuck(word: &Word) {
    let (kind, code) = if word.lost { (FailureKind::RankLost, RANK_LOST.into()) } else { (FailureKind::Peer, 1) };
    tracing::error!("{}; this rank did not end by itself and is ended now", word.reason);
    failure::record(kind, None, word.reason.clone());
    signal_hook::low_level::exit(code);
}

/// Ends this process, which waits inside MPI for a rank that does not come.
fn not_joined(sentence: &str) {
    tracing::error!("{sentence}");
    failure::record(FailureKind::RankLost, None, sentence.to_owned());
    signal_hook::low_level::exit(RANK_LOST.into());
}
