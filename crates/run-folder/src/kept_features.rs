//! Features that a probe has kept, so that the next one need not make them again: a cache, of no meaning to the run.
//!
//! What is kept is named by what it is of. Damage is noticed when it is read, and the damaged file is removed: whoever asked
//! makes the features again.

use bytes::Bytes;
use run_spec::ids::Digest;
use serde::{Deserialize, Serialize};

use crate::found::{self, Found};
use crate::{FeaturesKey, Run, RunError, RunKey};

/// What features are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeaturesOf {
    /// Digest of the checkpoint whose teacher made them.
    pub checkpoint: Digest,
    /// Digest of the shard set whose rows they are of, in its order.
    pub shards: Digest,
    /// Which output of the model a feature is: `cls`, the normed CLS token.
    pub token: String,
    /// Side of the images in pixels, after resizing.
    pub size: u64,
}

impl FeaturesOf {
    /// The key that features of this kind have.
    pub fn key(&self) -> FeaturesKey {
        let Self { checkpoint, shards, token, size } = self;
        FeaturesKey::of(&Digest::of(format!("{checkpoint}/{shards}/{token}/{size}").as_bytes()))
    }
}

/// The record that publishes kept features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFeatures {
    /// What they are of.
    pub of: FeaturesOf,
    /// Number of values of a feature.
    pub dim: u64,
    /// Digest of the file: rows of `f32`, little-endian.
    pub digest: Digest,
}

impl Run {
    /// Keeps features of `dim` values, whose rows are `bytes` (`f32`, little-endian); the record comes last.
    ///
    /// # Errors
    /// The store's.
    pub fn keep_features(&self, of: FeaturesOf, dim: u64, bytes: Bytes) -> Result<(), RunError> {
        let key = of.key();
        let record = KeptFeatures { of, dim, digest: Digest::of(&bytes) };
        // A probe that was killed before its record leaves bytes that may be half of nothing.
        self.forget(key)?;
        self.store().create(&RunKey::FeaturesBytes(key).to_string(), bytes)?;
        self.store().create_record(&RunKey::Features(key).to_string(), &record)?;
        Ok(())
    }

    /// The features that were kept of `of`, as their record and bytes; `None` if none were kept. Damaged ones are
    /// removed with a warning.
    ///
    /// # Errors
    /// The store's.
    pub fn kept_features(&self, of: &FeaturesOf) -> Result<Option<(KeptFeatures, Bytes)>, RunError> {
        let key = of.key();
        let what = match self.find_features(key)? {
            Found::Whole((record, bytes)) if record.of == *of => return Ok(Some((record, bytes))),
            Found::Missing => return Ok(None),
            Found::Whole(_) => "it is of other features than its name says".to_owned(),
            Found::Damaged(what) => what,
        };
        tracing::warn!(key = RunKey::Features(key).to_string(), what, "kept features are damaged: they are made again");
        self.forget(key)?;
        Ok(None)
    }

    fn find_features(&self, key: FeaturesKey) -> Result<Found<(KeptFeatures, Bytes)>, RunError> {
        let record = match found::record::<KeptFeatures>(self.store(), &RunKey::Features(key).to_string())? {
            Found::Whole(record) => record,
            Found::Damaged(what) => return Ok(Found::Damaged(what)),
            Found::Missing => return Ok(Found::Missing),
        };
        Ok(match found::bytes(self.store(), &RunKey::FeaturesBytes(key).to_string(), &record.digest)? {
            Found::Whole(bytes) => Found::Whole((record, bytes)),
            Found::Damaged(what) => Found::Damaged(what),
            Found::Missing => Found::Damaged("its file is missing".to_owned()),
        })
    }

    /// Removes kept features of all checkpoints but `checkpoint`.
    ///
    /// # Errors
    /// The store's.
    pub fn forget_features_but(&self, checkpoint: &Digest) -> Result<(), RunError> {
        for key in self.store().list("features")? {
            let Ok(RunKey::Features(of)) = key.parse() else { continue };
            let record = found::record::<KeptFeatures>(self.store(), &key)?;
            if !matches!(record, Found::Whole(record) if record.of.checkpoint == *checkpoint) {
                self.forget(of)?;
            }
        }
        Ok(())
    }

    /// The record goes first: what is listed must be there.
    fn forget(&self, key: FeaturesKey) -> Result<(), RunError> {
        for key in [RunKey::Features(key), RunKey::FeaturesBytes(key)].map(|key| key.to_string()) {
            if self.store().exists(&key)? {
                self.store().delete(&key)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Store;

    fn run(name: &str) -> Run {
        Run::of(Store::open(&format!("memory://kept-features-{name}")).unwrap())
    }

    fn of(checkpoint: &str, size: u64) -> FeaturesOf {
        let (checkpoint, shards) = (Digest::of(checkpoint.as_bytes()), Digest::of(b"shards"));
        FeaturesOf { checkpoint, shards, token: "cls".to_owned(), size }
    }

    #[test]
    fn features_are_found_by_what_they_are_of() {
        let run = run("found");
        assert_eq!(run.kept_features(&of("a", 98)).unwrap(), None);
        run.keep_features(of("a", 98), 2, Bytes::from_static(&[1; 16])).unwrap();
        run.keep_features(of("b", 98), 2, Bytes::from_static(&[2; 16])).unwrap();
        let (record, bytes) = run.kept_features(&of("a", 98)).unwrap().unwrap();
        assert_eq!((record.dim, &bytes[..]), (2, &[1; 16][..]));
        assert_eq!(run.kept_features(&of("a", 224)).unwrap(), None);
        run.forget_features_but(&Digest::of(b"b")).unwrap();
        assert_eq!(run.kept_features(&of("a", 98)).unwrap(), None);
        assert!(run.kept_features(&of("b", 98)).unwrap().is_some());
        assert_eq!(run.store().list("features").unwrap().len(), 2);
    }

    #[test]
    fn damaged_features_are_removed_and_can_be_kept_again() {
        let run = run("damaged");
        let key = of("a", 98).key();
        for damaged in [RunKey::FeaturesBytes(key), RunKey::Features(key)].map(|key| key.to_string()) {
            run.keep_features(of("a", 98), 2, Bytes::from_static(&[1; 16])).unwrap();
            run.store().delete(&damaged).unwrap();
            run.store().create(&damaged, Bytes::from_static(&[1; 15])).unwrap();
            assert_eq!(run.kept_features(&of("a", 98)).unwrap(), None);
            assert_eq!(run.store().list("features").unwrap(), Vec::<String>::new());
        }
    }
}
