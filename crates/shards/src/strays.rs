//! What lies where a set lies and is not part of it.
//!
//! Readers that list a folder (DuckDB, Hugging Face `datasets`, a person with a file manager) know nothing of the manifest. So a set
//! is sound only where its folder holds the shards of the manifest and no others, and a finished build removes what it or an earlier
//! attempt left.

use crate::layout::{
    CARD_KEY, CLAIM_KEY, EXAMPLES_KEY, FINGERPRINTS, REPORT, SHARDS, SPLITS, fingerprints_of, is_parquet,
    is_planned_shard, is_split,
};
use crate::{MANIFEST_KEY, Manifest, ShardError};
use std::collections::HashSet;
use store::Store;

/// A file that is not part of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its name, relative to the set.
    pub name: String,
    /// What kind of file it is.
    pub kind: StrayKind,
}

/// What a stray is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrayKind {
    /// A file among the shards that the manifest does not name.
    Shard,
    /// A file among the shards that is none.
    NoShard,
    /// A Parquet file outside of `shards/` and `splits/`, or a file in `splits/` that is not a split.
    Table,
    /// A table of another build's report.
    Report,
    /// Fingerprints of another build.
    Fingerprints,
    /// The staging file of a create that was killed.
    Unfinished,
}

impl StrayKind {
    fn sentence(self) -> &'static str {
        match self {
            Self::Shard => {
                "is among the shards although the manifest does not list it, and readers that list the folder would read it"
            }
            Self::NoShard => "is among the shards but is not one",
            Self::Table => "is neither a shard nor a split of this set, and readers that list the folder would read it",
            Self::Report => "belongs to the report of another build",
            Self::Fingerprints => "holds fingerprints of another build",
            Self::Unfinished => "is left over from an interrupted write",
        }
    }
}

impl Stray {
    pub(crate) fn fault(&self, store: &Store) -> ShardError {
        let remedy = match self.is_debris() {
            true => "delete it, or repeat the command that made this set, which removes what builds left",
            false => "delete it, or move it out of the set's folder",
        };
        ShardError::Stray { uri: format!("{}/{}", store.uri(), self.name), why: self.kind.sentence(), remedy }
    }

    /// Whether builds leave files like this one, and remove them ([`remove_debris`]).
    pub fn is_debris(&self) -> bool {
        match self.kind {
            StrayKind::Unfinished | StrayKind::Report | StrayKind::Fingerprints => true,
            StrayKind::Shard => is_planned_shard(&self.name),
            StrayKind::NoShard | StrayKind::Table => false,
        }
    }
}

/// All strays of the set of `manifest` at `store`, by name. Other files, such as a person's notes, are not among them.
///
/// # Errors
/// The store's.
pub fn strays(store: &Store, manifest: &Manifest) -> Result<Vec<Stray>, ShardError> {
    let named: HashSet<&str> = manifest.shards.iter().map(|shard| shard.key.as_str()).collect();
    let mut strays = Vec::new();
    let mut add = |name: String, kind| strays.push(Stray { name, kind });
    for key in store.list("")? {
        let known = named.contains(key.as_str())
            || [MANIFEST_KEY, CLAIM_KEY, CARD_KEY, EXAMPLES_KEY].contains(&key.as_str())
            || is_split(&key);
        match kind(&key) {
            _ if known => {}
            _ if manifest.is_foreign_fingerprint(&key) => add(key, StrayKind::Fingerprints),
            _ if fingerprints_of(&key).is_some() => {}
            Some(kind) => add(key, kind),
            None if manifest.is_foreign_report(&key) => add(key, StrayKind::Report),
            None => {}
        }
    }
    for stranger in store.strangers("")? {
        match (&stranger.unfinished, kind(&stranger.name)) {
            (Some(key), _) if is_ours(key) => add(stranger.name, StrayKind::Unfinished),
            (None, Some(kind)) => add(stranger.name, kind),
            _ => {}
        }
    }
    strays.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(strays)
}

/// Removes what builds left beside the published set of `manifest`: shards, fingerprints and reports of others, and staging files. Returns their names.
///
/// Only call it once the manifest is published. Since manifests are created once, nothing that it leaves out can become part of a
/// set at this place any more, and every key of the set exists, so that a staging file of one serves nobody. Files with names
/// that no build gives stay.
///
/// # Errors
/// The store's.
pub fn remove_debris(store: &Store, manifest: &Manifest) -> Result<Vec<String>, ShardError> {
    let named: HashSet<&str> = manifest.shards.iter().map(|shard| shard.key.as_str()).collect();
    let mut removed = store.remove_unfinished("", is_ours)?;
    let shards = store.list(SHARDS)?.into_iter().filter(|key| is_planned_shard(key) && !named.contains(key.as_str()));
    let reports = store.list(REPORT)?.into_iter().filter(|key| manifest.is_foreign_report(key));
    let fingerprints = store.list(FINGERPRINTS)?.into_iter().filter(|key| manifest.is_foreign_fingerprint(key));
    for key in shards.chain(reports).chain(fingerprints) {
        store.delete(&key)?;
        removed.push(key);
    }
    store.prune(SHARDS)?;
    store.prune(FINGERPRINTS)?;
    removed.sort_unstable();
    Ok(removed)
}

/// What a file of this name would be if it is not part of the set; nothing where it harms nobody.
fn kind(name: &str) -> Option<StrayKind> {
    let file = name.rsplit('/').next().unwrap_or(name);
    match (is_below(name, SHARDS), is_parquet(file)) {
        (_, false) if file.starts_with('.') => None,
        (true, true) => Some(StrayKind::Shard),
        (true, false) => Some(StrayKind::NoShard),
        (false, parquet) if parquet || is_below(name, SPLITS) => Some(StrayKind::Table),
        (false, _) => None,
    }
}

/// Whether builds write keys like this one: not those of a run that somebody keeps below the set's folder.
fn is_ours(key: &str) -> bool {
    !key.contains('/') || [SHARDS, SPLITS, REPORT, FINGERPRINTS].iter().any(|folder| is_below(key, folder))
}

fn is_below(key: &str, folder: &str) -> bool {
    key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
