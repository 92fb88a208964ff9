//! Checkpoints: publishing them, finding the one to go on from, reading them, and removing old ones.

use std::collections::BTreeSet;

use bytes::Bytes;
use run_spec::ids::{Digest, Rank, Step};

use crate::found::{self, Found};
use crate::{CheckpointKey, CheckpointPart, CheckpointRecord, Run, RunError, RunKey};

/// A checkpoint that was found whole.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The record that publishes the checkpoint.
    pub record: CheckpointRecord,
    /// Keys of the records of newer checkpoints that were passed over because they are damaged.
    pub passed_over: BTreeSet<String>,
}

/// Is shown the bytes of a checkpoint, piece by piece, each with its offset.
type Take<'a, E> = dyn FnMut(&CheckpointRecord, u64, &[u8]) -> Result<(), E> + 'a;

/// What is left of older checkpoints once a new one is whole.
#[derive(Debug, Clone, Copy)]
pub struct Retention<'a> {
    /// How many are kept, the new one included; at least 1.
    pub keep: usize,
    /// Keys of records that are known to be damaged, which count for nothing.
    pub passed_over: &'a BTreeSet<String>,
    /// The one with the highest score is kept too; of equal ones the first.
    pub best: bool,
    /// Those of a step that is a multiple of this are kept too.
    pub every: Option<u64>,
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
        self.write_bytes(&mut record, bytes)?;
        self.publish_record(&record, retention)?;
        Ok(record)
    }

    /// Writes the bytes of a checkpoint whole, and notes them in the record, which is still to be published.
    ///
    /// # Errors
    /// The store's.
    pub fn write_bytes(&self, record: &mut CheckpointRecord, bytes: Bytes) -> Result<(), RunError> {
        record.key = record.checkpoint_key().bytes();
        record.bytes = bytes.len() as u64;
        record.digest = Digest::of(&bytes);
        Ok(self.store().create(&record.key, bytes)?)
    }

    /// Writes a rank's part of a checkpoint, for a record that names all parts.
    ///
    /// # Errors
    /// The store's.
    pub fn write_part(&self, checkpoint: CheckpointKey, rank: Rank, bytes: Bytes) -> Result<CheckpointPart, RunError> {
        let part = CheckpointPart { rank, bytes: bytes.len() as u64, digest: Digest::of(&bytes) };
        self.store().create(&checkpoint.part(rank), bytes)?;
        Ok(part)
    }

    /// Publishes a checkpoint whose bytes are written, and removes older ones as [`publish_checkpoint`](Self::publish_checkpoint)
    /// does.
    ///
    /// # Errors
    /// The store's.
    pub fn publish_record(&self, record: &CheckpointRecord, retention: Retention<'_>) -> Result<(), RunError> {
        let checkpoint = record.checkpoint_key();
        self.store().create_record(&checkpoint.record(), record)?;
        let tidied = self.prune(record, retention).and_then(|()| self.remove_half_written(checkpoint));
        if let Err(error) = tidied {
            tracing::warn!(%error, "older checkpoints could not be removed");
        }
        Ok(())
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
        self.load_newest(|_, _, _| Ok(()))
    }

    /// As [`newest_whole`](Self::newest_whole), and shows `take` its bytes piece by piece, each with its offset, while they are
    /// checked. The last checkpoint that was begun at offset 0 is the one that is given back; pieces may come again.
    ///
    /// # Errors
    /// As [`newest_whole`](Self::newest_whole); the first error of `take` about a checkpoint that is whole.
    pub fn load_newest<E: From<RunError>>(
        &self,
        mut take: impl FnMut(&CheckpointRecord, u64, &[u8]) -> Result<(), E>,
    ) -> Result<Option<Loaded>, E> {
        let mut passed_over = BTreeSet::new();
        for checkpoint in self.published()?.into_iter().rev() {
            let found = match self.checkpoint(checkpoint)? {
                Found::Whole(record) => self.show(&record, &mut take)?.map(|()| record),
                Found::Damaged(what) => Found::Damaged(what),
                Found::Missing => Found::Missing,
            };
            match found {
                Found::Whole(record) => return Ok(Some(Loaded { record, passed_over })),
                Found::Damaged(what) => {
                    warn_passed_over(checkpoint, &what);
                    passed_over.insert(checkpoint.record());
                }
                Found::Missing => {}
            }
        }
        match passed_over.len() {
            0 => Ok(None),
            count => Err(RunError::NoneWhole { uri: self.uri(), count }.into()),
        }
    }

    /// Shows `take` the bytes of the checkpoint that `record` publishes piece by piece, each with its offset, and checks them. No more
    /// than a piece is held.
    ///
    /// # Errors
    /// The store's; [`RunError::OnTheWay`]; the first error of `take`.
    pub fn load<E: From<RunError>>(
        &self,
        record: &CheckpointRecord,
        mut take: impl FnMut(&CheckpointRecord, u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.show(record, &mut take)? {
            Found::Whole(()) => Ok(()),
            _ => Err(RunError::OnTheWay { uri: self.store().uri_of(&record.key) }.into()),
        }
    }

    /// Shows the bytes to `take`, file by file. A refusal of `take` counts only if the bytes are whole: damaged ones may have caused it.
    fn show<E: From<RunError>>(&self, record: &CheckpointRecord, take: &mut Take<'_, E>) -> Result<Found<()>, E> {
        let (mut start, mut refused) = (0, None);
        for (key, bytes, digest) in record.files() {
            let mut each = |at: u64, piece: &Bytes| {
                if at == 0 {
                    // Read again, or the first time: what was said of damaged bytes before does not count.
                    refused = refused.take().filter(|_| start > 0);
                }
                if refused.is_none() {
                    refused = take(record, start + at, piece).err();
                }
            };
            let found = found::pieces(self.store(), &key, &digest, &mut each).map_err(RunError::from)?;
            match found {
                Found::Whole(()) => start += bytes,
                Found::Damaged(what) => return Ok(Found::Damaged(format!("{key}: {what}"))),
                Found::Missing => return Ok(Found::Damaged(format!("{key} is missing"))),
            }
        }
        match refused {
            Some(error) => Err(error),
            None => Ok(Found::Whole(())),
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
        match self.with_bytes(record.clone())? {
            Found::Whole((_, bytes)) => Ok(bytes),
            _ => Err(RunError::OnTheWay { uri: self.store().uri_of(&record.key) }),
        }
    }

    /// The published checkpoints that count, oldest first.
    pub(crate) fn published(&self) -> Result<Vec<CheckpointKey>, RunError> {
        let aside = self.set_aside()?;
        let aside: BTreeSet<CheckpointKey> = aside.keys().filter_map(|key| CheckpointKey::of(key)).collect();
        let counts = |checkpoint: &CheckpointKey| !aside.contains(checkpoint);
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
        let mut files = Vec::new();
        for (key, _, digest) in record.files() {
            match found::bytes(self.store(), &key, &digest)? {
                Found::Whole(bytes) => files.push(bytes),
                Found::Damaged(what) => return Ok(Found::Damaged(format!("{key}: {what}"))),
                Found::Missing => return Ok(Found::Damaged(format!("{key} is missing"))),
            }
        }
        let bytes = match &mut files[..] {
            [whole] => std::mem::take(whole),
            parts => parts.concat().into(),
        };
        Ok(Found::Whole((record, bytes)))
    }

    /// Removes what is older than the newest `keep`, up to `own`, which this attempt has just written: what a later attempt
    /// has written is not this one's to judge, and what it cannot see whole itself removes nothing. Removes too what earlier attempts
    /// wrote and never published: since this one has begun they publish nothing any more.
    fn prune(&self, own: &CheckpointRecord, retention: Retention<'_>) -> Result<(), RunError> {
        for (key, bytes, _) in own.files() {
            if self.store().size(&key)? != bytes {
                tracing::warn!(key, "the store shows another size than was written: nothing is removed");
                return Ok(());
            }
        }
        let own = own.checkpoint_key();
        let counts =
            |checkpoint: &CheckpointKey| *checkpoint <= own && !retention.passed_over.contains(&checkpoint.record());
        let published = self.published()?;
        let kept: Vec<CheckpointKey> = published.iter().copied().filter(counts).collect();
        let oldest = kept.iter().rev().nth(retention.keep.max(1) - 1);
        let best = if retention.best { self.best(&kept)? } else { None };
        let stays = |checkpoint: &CheckpointKey| {
            let by_step = retention.every.is_some_and(|every| checkpoint.step.get().is_multiple_of(every));
            best == Some(*checkpoint) || (by_step && kept.contains(checkpoint))
        };
        let aside: BTreeSet<CheckpointKey> =
            self.set_aside()?.keys().filter_map(|key| CheckpointKey::of(key)).collect();
        let mut keys: Vec<(CheckpointKey, String)> = self
            .store()
            .list("checkpoints")?
            .into_iter()
            .filter_map(|key| Some((CheckpointKey::of(&key)?, key)))
            .collect();
        // The record goes first: what is listed must be there.
        keys.sort_by_key(|(checkpoint, key)| (*checkpoint, !key.ends_with(".json")));
        for (checkpoint, key) in keys {
            let old = oldest.is_some_and(|oldest| checkpoint < *oldest) && !stays(&checkpoint);
            let orphan = checkpoint.attempt < own.attempt && !published.contains(&checkpoint);
            if (old || orphan) && !aside.contains(&checkpoint) {
                self.store().delete(&key)?;
            }
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
