//! The claim: which build a place belongs to, said before the first image is read.
//!
//! A set's place belongs to one configuration. The claim is its first record and its last doubt: of two builds that are pointed at one
//! place, the second is refused at its start, not after hours of reading. Builders that write one set together make the same claim.

use crate::layout::{
    CARD_KEY, CLAIM_KEY, EXAMPLES_KEY, FINGERPRINTS, REPORT, SHARDS, SPLITS, fingerprints_of, is_parquet,
    is_planned_shard, is_split,
};
use crate::{MANIFEST_KEY, Manifest, ShardError};
use run_spec::ids::{Digest, canonical_json};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};

/// Which build a place belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Digest of the resolved configuration of the build.
    pub config: Digest,
    /// Name and version of the program.
    pub builder: String,
}

impl Claim {
    /// Takes the place for this build, or finds that it is this build's already (an attempt before, or a builder beside it).
    /// Since that writes, a place that cannot be written shows here.
    ///
    /// The claim of another build that has not written any shard is replaced. That build has ended, or it gets the error when it
    /// writes its first shard.
    ///
    /// # Errors
    /// [`ShardError::Taken`] where another set, another build's shards or files that are not a set's lie, also below it;
    /// [`ShardError::Inside`] where it lies inside a set; the store's.
    pub fn take(&self, store: &Store) -> Result<(), ShardError> {
        self.verify_free(store)?;
        match store.ensure(CLAIM_KEY, self.to_bytes()) {
            Err(StoreError::Differs { .. }) => {
                store.delete(CLAIM_KEY)?;
                store.ensure(CLAIM_KEY, self.to_bytes())?;
            }
            other => drop(other?),
        }
        Ok(())
    }

    /// Proves that the place still belongs to this build. Call it before the first shard is written.
    ///
    /// # Errors
    /// As [`take`](Self::take), where another build has taken it, or has written around or below it.
    pub fn verify_held(&self, store: &Store) -> Result<(), ShardError> {
        match Self::read(store)? {
            Some(claim) if claim == *self => match store.exists(MANIFEST_KEY)? {
                true => Ok(()),
                false => verify_apart(store, true),
            },
            _ => Err(taken(store, "another build has taken this place meanwhile")),
        }
    }

    /// Gives the place back where no shard has been written, so that nothing stays of a build that wrote nothing.
    ///
    /// # Errors
    /// The store's.
    pub fn release(&self, store: &Store) -> Result<(), ShardError> {
        if Self::read(store)?.as_ref() == Some(self) && !store.exists(MANIFEST_KEY)? && shards_at(store)? == 0 {
            store.delete(CLAIM_KEY)?;
        }
        Ok(())
    }

    /// The claim at `store`, if there is one.
    ///
    /// # Errors
    /// The store's; [`ShardError::Claim`] for a record that is not one.
    pub fn read(store: &Store) -> Result<Option<Self>, ShardError> {
        let bytes = match store.get(CLAIM_KEY) {
            Err(StoreError::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let bad = |why: serde_json::Error| ShardError::Claim {
            uri: store.uri_of(CLAIM_KEY),
            why: crate::error::one_line(&why.to_string()),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(bad)
    }

    fn to_bytes(&self) -> bytes::Bytes {
        let value = serde_json::to_value(self).expect("a claim is plain data");
        canonical_json(&value).into()
    }

    fn verify_free(&self, store: &Store) -> Result<(), ShardError> {
        if store.exists(MANIFEST_KEY)? {
            let there = Manifest::read(store)?;
            if there.config == self.config && there.builder == self.builder {
                return Ok(());
            }
            let other = "it holds a shard set built from other sources, with other options or by another version";
            return Err(taken(store, other));
        }
        let claim = Self::read(store)?;
        let shards = shards_at(store)?;
        match &claim {
            Some(claim) if shards > 0 && claim != self => Err(taken(
                store,
                &format!(
                    "{} of a build by {} that has not ended, with other sources or options (as it was begun it can be run again to its end)",
                    if shards == 1 { "1 shard is there".to_owned() } else { format!("{shards} shards are there") },
                    crate::error::one_line(&claim.builder)
                ),
            )),
            // A claim without a shard is of a build that ended before it wrote any, or is told when it begins to write.
            Some(claim) => verify_apart(store, claim == self),
            None => match parts_of_a_set(store)? {
                Some(key) => Err(taken(store, &format!("{key} is there, but no set"))),
                None => verify_apart(store, false),
            },
        }
    }
}

/// Proves that a place lies in no set, and holds nothing that readers which list it would take for a shard. Where a build has `begun`,
/// its own shards are not meant, nor the splits of a set that lost its manifest; nor are fingerprints of a build that wrote no shard, which
/// a finished build removes.
fn verify_apart(store: &Store, begun: bool) -> Result<(), ShardError> {
    if let Some(set) = store.above().iter().find(|above| is_a_set(above)) {
        return Err(ShardError::Inside { uri: store.uri().to_owned(), set: set.uri().to_owned() });
    }
    let own = |name: &str| fingerprints_of(name).is_some() || begun && (is_planned_shard(name) || is_split(name));
    let strangers = store.strangers("")?.into_iter().map(|stranger| stranger.name);
    match store.list("")?.into_iter().chain(strangers).find(|name| is_parquet(name) && !own(name)) {
        Some(name) => Err(taken(store, &format!("{name} is there, which readers would take for a shard of the set"))),
        None => Ok(()),
    }
}

/// How many shards lie at a place, by their names.
fn shards_at(store: &Store) -> Result<usize, ShardError> {
    Ok(store.list(SHARDS)?.iter().filter(|key| is_parquet(key)).count())
}

/// Whether a set, or the shards of a build that has not ended, are at a place. One that may not be read is none of ours.
fn is_a_set(store: &Store) -> bool {
    let there = |key: &str| store.exists(key).unwrap_or(false);
    let manifest = || matches!(Manifest::read(store), Ok(_) | Err(ShardError::Version { .. }));
    let begun = || matches!(Claim::read(store), Ok(Some(_))) && shards_at(store).is_ok_and(|shards| shards > 0);
    (there(MANIFEST_KEY) && manifest()) || (there(CLAIM_KEY) && begun())
}

/// The first key that a set would have, where there should be none.
fn parts_of_a_set(store: &Store) -> Result<Option<String>, ShardError> {
    for folder in [SHARDS, SPLITS, REPORT, FINGERPRINTS] {
        if let Some(key) = store.list(folder)?.into_iter().next() {
            return Ok(Some(key));
        }
    }
    for key in [CARD_KEY, EXAMPLES_KEY] {
        if store.exists(key)? {
            return Ok(Some(key.to_owned()));
        }
    }
    Ok(None)
}

fn taken(store: &Store, why: &str) -> ShardError {
    ShardError::Taken { uri: store.uri().to_owned(), why: why.to_owned() }
}
