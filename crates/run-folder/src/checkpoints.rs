//! Checkpoints: publishing them, finding the one to go on from, and removing old ones.

use std::collections::BTreeSet;

use bytes::Bytes;
use run_spec::ids::{Digest, Step};

use crate::found::{self, Found};
use crate::{CheckpointKey, CheckpointRecord, Run, RunError, RunKey};

/// A checkpoint with its bytes.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The record that publishes the checkpoint.
    pub record: CheckpointRecord,
    /// The training state, a safetensors file.
    pub bytes: Bytes,
    /// Keys of the records of newer checkpoints that were passed over because they are damaged.
    pub passed_over: BTreeSet<String>,
}

/// What is left of older checkpoints once a new one is whole.
#[derive(Debug, Clone, Copy)]
pub struct Retention<'a> {
    /// How many are kept, the new one included; at least 1.
    pub keep: usize,
    /// Keys of records that are known to be damaged, which count for nothing.
    pub passed_over: &'a BTreeSet<String>,
    /// The one with the highest score is kept too; of equal ones the first.
    pub best: bool,
}

impl Run {
    /// Publishes a checkpoint: bytes first, record last. Then older ones beyond those that `retention` keeps are removed,
    /// but for damaged ones that were set aside. That they cannot be removed is only said: they cost room and nothing else.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_checkpoint(
        &self,
        mut record: CheckpointRecord,
        bytes: Bytes,
        retention: Retention<'_>,
    ) -> Result<CheckpointRecord, RunError> {
        let checkpoint = record.checkpoint_key();
        record.key = checkpoint.bytes();
        record.bytes = bytes.len() as u64;
        record.digest = Digest::of(&bytes);
        self.store().create(&record.key, bytes)?;
        self.store().create_record(&checkpoint.record(), &record)?;
        let tidied =
            self.prune(checkpoint, record.bytes, retention).and_then(|()| self.remove_half_written(checkpoint));
        if let Err(error) = tidied {
            tracing::warn!(%error, "older checkpoints could not be removed");
        }
        Ok(record)
    }

    /// Records of all checkpoints that count, oldest first; damaged records are left out with a warning.
    ///
    /// # Errors
    /// The store's.
    pub fn checkpoints(&self) -> Result<Vec<CheckpointRecord>, RunError> {
        let mut records = Vec::new();
        for checkpoint in self.published()? {
            match self.checkpoint(checkpoint)? {
                Found::Whole(record) => records.push(record),
                Found::Damaged(what) => warn_passed_over(checkpoint, &what),
                Found::Missing => {}
            }
        }
        Ok(records)
    }

    /// The checkpoint to train on from: the newest whole one. None where none was published.
    ///
    /// A damaged one is passed over with a warning: an older state costs time, a wrong one costs the run.
    ///
    /// # Errors
    /// The store's; [`RunError::NoneWhole`] where some were published: to begin anew would give up what they hold.
    pub fn newest_whole(&self) -> Result<Option<Loaded>, RunError> {
        let mut passed_over = BTreeSet::new();
        for checkpoint in self.published()?.into_iter().rev() {
            match self.whole(checkpoint)? {
                Found::Whole((record, bytes)) => return Ok(Some(Loaded { record, bytes, passed_over })),
                Found::Damaged(what) => {
                    warn_passed_over(checkpoint, &what);
                    passed_over.insert(checkpoint.record());
                }
                Found::Missing => {}
            }
        }
        match passed_over.len() {
            0 => Ok(None),
            count => Err(RunError::NoneWhole { uri: self.uri(), count }),
        }
    }

    /// The run's last checkpoint, for results: that of the final record, else the newest. An older one never stands in.
    ///
    /// # Errors
    /// The store's; [`RunError::NoCheckpoint`]; [`RunError::LastDamaged`].
    pub fn last_checkpoint(&self) -> Result<(CheckpointRecord, Bytes), RunError> {
        let damaged =
            |key: &str, what: String| RunError::LastDamaged { uri: self.store().uri_of(key), what, run: self.uri() };
        let (key, found) = match self.finals()?.into_iter().next() {
            Some((key, Found::Damaged(what))) => return Err(damaged(&key, what)),
            Some((_, Found::Whole(last))) => (last.checkpoint.record_key(), self.with_bytes(last.checkpoint)?),
            Some((_, Found::Missing)) | None => match self.published()?.pop() {
                Some(checkpoint) => (checkpoint.record(), self.whole(checkpoint)?),
                None => return Err(RunError::NoCheckpoint { uri: self.uri() }),
            },
        };
        match found {
            Found::Whole(whole) => Ok(whole),
            Found::Damaged(what) => Err(damaged(&key, what)),
            Found::Missing => Err(damaged(&key, "it is missing".to_owned())),
        }
    }

    /// The whole checkpoint of `step`; of several attempts', the latest. The last step of a finished run is what its final
    /// record names, and nothing else.
    ///
    /// # Errors
    /// The store's; [`RunError::NoSuchStep`]; [`RunError::LastDamaged`].
    pub fn checkpoint_of(&self, step: Step) -> Result<(CheckpointRecord, Bytes), RunError> {
        if let Some((_, Found::Whole(last))) = self.finals()?.into_iter().next()
            && last.checkpoint.step == step
        {
            return self.last_checkpoint();
        }
        let checkpoints = self.published()?;
        for checkpoint in checkpoints.iter().rev().filter(|checkpoint| checkpoint.step == step) {
            match self.whole(*checkpoint)? {
                Found::Whole(whole) => return Ok(whole),
                Found::Damaged(what) => warn_passed_over(*checkpoint, &what),
                Found::Missing => {}
            }
        }
        let others: BTreeSet<Step> =
            checkpoints.iter().map(|checkpoint| checkpoint.step).filter(|other| *other != step).collect();
        let kept = others.iter().map(Step::to_string).collect::<Vec<_>>().join(", ");
        Err(RunError::NoSuchStep {
            uri: self.uri(),
            step,
            kept: if kept.is_empty() { "none".to_owned() } else { kept },
        })
    }

    /// The bytes of the checkpoint that `record` publishes.
    ///
    /// # Errors
    /// The store's; [`RunError::OnTheWay`].
    pub fn read_checkpoint(&self, record: &CheckpointRecord) -> Result<Bytes, RunError> {
        match found::bytes(self.store(), &record.key, &record.digest)? {
            Found::Whole(bytes) => Ok(bytes),
            _ => Err(RunError::OnTheWay { uri: self.store().uri_of(&record.key) }),
        }
    }

    /// The published checkpoints that count, oldest first.
    pub(crate) fn published(&self) -> Result<Vec<CheckpointKey>, RunError> {
        let aside = self.set_aside()?;
        let counts = |checkpoint: &CheckpointKey| {
            !aside.contains_key(&checkpoint.record()) && !aside.contains_key(&checkpoint.bytes())
        };
        let keys = self.store().list("checkpoints")?;
        let records = keys.iter().filter(|key| key.ends_with(".json"));
        let mut checkpoints: Vec<CheckpointKey> =
            records.filter_map(|key| CheckpointKey::of(key)).filter(counts).collect();
        checkpoints.sort_unstable();
        Ok(checkpoints)
    }

    /// The record of `key`; one that was copied from elsewhere is damage too.
    pub(crate) fn checkpoint(&self, checkpoint: CheckpointKey) -> Result<Found<CheckpointRecord>, RunError> {
        let found = found::record::<CheckpointRecord>(self.store(), &checkpoint.record())?;
        Ok(match found {
            Found::Whole(record) if (record.attempt, record.step) != (checkpoint.attempt, checkpoint.step) => {
                Found::Damaged("it is the record of another checkpoint".to_owned())
            }
            other => other,
        })
    }

    fn whole(&self, checkpoint: CheckpointKey) -> Result<Found<(CheckpointRecord, Bytes)>, RunError> {
        match self.checkpoint(checkpoint)? {
            Found::Whole(record) => self.with_bytes(record),
            Found::Damaged(what) => Ok(Found::Damaged(what)),
            Found::Missing => Ok(Found::Missing),
        }
    }

    fn with_bytes(&self, record: CheckpointRecord) -> Result<Found<(CheckpointRecord, Bytes)>, RunError> {
        Ok(match found::bytes(self.store(), &record.key, &record.digest)? {
            Found::Whole(bytes) => Found::Whole((record, bytes)),
            Found::Damaged(what) => Found::Damaged(format!("{}: {what}", record.key)),
            Found::Missing => Found::Damaged(format!("{} is missing", record.key)),
        })
    }

    /// Removes what is older than the newest `keep`, up to `own`, which this attempt has just written: what a later attempt
    /// has written is not this one's to judge, and what it cannot see whole itself removes nothing.
    fn prune(&self, own: CheckpointKey, bytes: u64, retention: Retention<'_>) -> Result<(), RunError> {
        if self.store().size(&own.bytes())? != bytes {
            tracing::warn!(key = own.bytes(), "the store shows another size than was written: nothing is removed");
            return Ok(());
        }
        let counts =
            |checkpoint: &CheckpointKey| *checkpoint <= own && !retention.passed_over.contains(&checkpoint.record());
        let kept: Vec<CheckpointKey> = self.published()?.into_iter().filter(counts).collect();
        let Some(oldest) = kept.iter().rev().nth(retention.keep.max(1) - 1) else { return Ok(()) };
        let best = if retention.best { self.best(&kept)? } else { None };
        let aside = self.set_aside()?;
        let keys = self.store().list("checkpoints")?;
        let checkpoints: BTreeSet<CheckpointKey> = keys.iter().filter_map(|key| CheckpointKey::of(key)).collect();
        for checkpoint in checkpoints.into_iter().filter(|checkpoint| checkpoint < oldest) {
            let is_aside = aside.contains_key(&checkpoint.record()) || aside.contains_key(&checkpoint.bytes());
            if is_aside || best == Some(checkpoint) {
                continue;
            }
            // The record goes first: what is listed must be there.
            self.store().delete(&checkpoint.record())?;
            self.store().delete(&checkpoint.bytes())?;
        }
        Ok(())
    }

    /// The first of these with the highest score; none where none has a score.
    fn best(&self, checkpoints: &[CheckpointKey]) -> Result<Option<CheckpointKey>, RunError> {
        let mut best: Option<(CheckpointKey, f64)> = None;
        for &checkpoint in checkpoints {
            if let Found::Whole(CheckpointRecord { score: Some(score), .. }) = self.checkpoint(checkpoint)?
                && best.is_none_or(|(_, highest)| score > highest)
            {
                best = Some((checkpoint, score));
            }
        }
        Ok(best.map(|(checkpoint, _)| checkpoint))
    }

    /// Removes what killed writes of earlier attempts have left half-written: each may be as large as a checkpoint.
    fn remove_half_written(&self, own: CheckpointKey) -> Result<(), RunError> {
        let of_earlier = |key: &str| {
            key.parse::<RunKey>().ok().and_then(|key| key.attempt()).is_some_and(|attempt| attempt < own.attempt)
        };
        let removed = self.store().remove_unfinished("", of_earlier)?;
        if !removed.is_empty() {
            tracing::info!(files = removed.join(", "), "what earlier attempts left half-written is removed");
        }
        Ok(())
    }
}

fn warn_passed_over(checkpoint: CheckpointKey, what: &str) {
    tracing::warn!(key = checkpoint.record(), what, "this checkpoint is damaged: an older one is looked for");
}
