//! How a worker ends that cannot go on: its exit codes, and a record of why for whoever started it.
//!
//! A program that starts workers names a file in [`ERROR_FILE`]. The first rank that fails writes a [`Failure`] there. Without
//! such a file the reason would have to be read from the last line of a log.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use run_spec::ids::{Rank, Step};
use serde::{Deserialize, Serialize};

/// Exit code of a run that was asked to stop and can go on: what Slurm scripts requeue on.
pub const STOPPED: u8 = 85;
/// Exit code of a command that found something else than it was told to expect.
pub const NOT_AS_PLANNED: u8 = 86;
/// Exit code of a run one of whose ranks died or hung: a new start may go well.
pub const RANK_LOST: u8 = 87;
/// The variable that names the file for the [`Failure`].
pub const ERROR_FILE: &str = "REDDINO_ERROR_FILE";

/// Why a worker could not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of reason it is.
    pub kind: FailureKind,
    /// The reason and its remedy, for people.
    pub sentence: String,
    /// The training step in which it happened, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// The rank that says so.
    pub rank: Rank,
    /// Host name of the node on which that rank ran.
    pub host: String,
}

/// Kinds of reasons, by what the program that started the worker can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The worker, shards, split or initial weights are not those that were planned.
    NotAsPlanned,
    /// A rank died or hung, or its device failed.
    RankLost,
    /// The store could not be reached.
    StoreUnavailable,
    /// The store is full.
    StoreFull,
    /// The store refused the credentials.
    StoreDenied,
    /// Memory of the process or of the GPU did not suffice.
    OutOfMemory,
    /// Losses or gradients were not finite several times in a row.
    NonFinite,
    /// Another rank could not go on, and knows why.
    Peer,
    /// Anything else; also the kind of records of later versions that this one does not know.
    #[serde(other)]
    Other,
}

impl FailureKind {
    /// Whether the store is to blame and not what the worker was to do.
    pub fn is_of_the_store(self) -> bool {
        matches!(self, Self::StoreUnavailable | Self::StoreFull | Self::StoreDenied)
    }
}

/// An error and its causes as one sentence; a cause that the sentence already holds is not said twice.
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in std::iter::successors(Some(error), |error| (*error).source()) {
        let cause = cause.to_string();
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

impl Failure {
    /// Writes the record to `path` unless one is there. The record of a rank that failed itself replaces that of a rank which only heard of it
    /// from a peer.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self)?;
        match std::fs::File::create_new(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            file => return file?.write_all(&bytes),
        }
        // Half of one is of a rank that was only told, or of one that is writing it now.
        let knows = Self::read(path).is_some_and(|there| there.kind != FailureKind::Peer);
        if knows || self.kind == FailureKind::Peer {
            return Ok(());
        }
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&beside, &bytes).and_then(|()| std::fs::rename(&beside, path))
    }

    /// The record at `path`; `None` if it is missing or not completely written.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_counts_and_half_of_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("error.json");
        assert_eq!(Failure::read(&path), None);
        let full = Failure {
            kind: FailureKind::StoreFull,
            sentence: "the store is full: free space".to_owned(),
            step: Some(Step::new(7)),
            rank: Rank::new(1),
            host: "n2".to_owned(),
        };
        full.write(&path).unwrap();
        for kind in [FailureKind::RankLost, FailureKind::Peer] {
            Failure { kind, ..full.clone() }.write(&path).unwrap();
        }
        assert_eq!(Failure::read(&path).as_ref(), Some(&full));
        let told = Failure { kind: FailureKind::Peer, rank: Rank::new(0), ..full.clone() };
        std::fs::write(&path, serde_json::to_vec(&told).unwrap()).unwrap();
        full.write(&path).unwrap();
        assert_eq!(Failure::read(&path), Some(full), "the rank that failed replaces one that only heard of it");
        std::fs::write(&path, "{\"kind\": ").unwrap();
        assert_eq!(Failure::read(&path), None);
        std::fs::write(&path, r#"{"kind": "of_tomorrow", "sentence": "no", "rank": 0, "host": "n1"}"#).unwrap();
        assert_eq!(Failure::read(&path).unwrap().kind, FailureKind::Other);
    }
}
