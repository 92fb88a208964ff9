//! Joins the ranks that a launcher started, and ends this process where a library waits for a peer and cannot return.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use collective::rendezvous::Board;
use collective::watch::WorldEnd;
use run_folder::failure::{FailureKind, RANK_LOST};
use run_spec::config::Collective;
use training::{ForcedEnd, RankSettings, Ranks};

use crate::environment::{self, Environment};
use crate::failure;

/// Joins the ranks as a configuration wants it for tensors on `device`. A call that waits longer than `deadline_s` seconds for
/// its peers fails, and the world with it.
pub(crate) fn join(
    wanted: Collective,
    device: tch::Device,
    deadline_s: f64,
    environment: &Environment,
) -> Result<Ranks> {
    join_by_notes(wanted, device, deadline_s, environment, None)
}

/// The same where rank 0 can leave a note on `board` for ranks that know no address.
pub(crate) fn join_by_notes(
    wanted: Collective,
    device: tch::Device,
    deadline_s: f64,
    environment: &Environment,
    board: Option<Arc<dyn Board>>,
) -> Result<Ranks> {
    Ok(Ranks::join(&RankSettings {
        wanted,
        device,
        deadline: Duration::from_secs_f64(deadline_s),
        launch: environment.launch,
        host: environment.host.clone(),
        variable: environment::variable,
        board,
        forced_end: Arc::new(EndProcess(environment.clone())),
    })?)
}

/// Tells the other ranks if this one fails: they would wait for it otherwise.
pub(crate) fn or_abort<T>(ranks: &Ranks, result: Result<T>) -> Result<T> {
    result.inspect_err(|error| ranks.abort(&crate::sentence(error)))
}

/// Ends this process with its record. Files are not at stake: what is written is published last.
#[derive(Debug)]
struct EndProcess(Environment);

impl ForcedEnd for EndProcess {
    fn stuck(&self, end: &WorldEnd) {
        let (kind, code) = if end.lost { (FailureKind::RankLost, RANK_LOST.into()) } else { (FailureKind::Peer, 1) };
        terminal::error(format!("{}; this rank did not end by itself and is ended now", end.reason));
        failure::record(kind, None, end.reason.clone(), &self.0);
        signal_hook::low_level::exit(code);
    }

    fn not_joined(&self, sentence: &str) {
        terminal::error(sentence);
        failure::record(FailureKind::RankLost, None, sentence.to_owned(), &self.0);
        signal_hook::low_level::exit(RANK_LOST.into());
    }
}
