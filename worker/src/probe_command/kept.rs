//! Features of a run's teacher, kept in the run's folder where that is asked for.

use anyhow::{Context, Result};
use bytes::Bytes;
use probe::Features;
use run_folder::FeaturesOf;

use crate::cli::KeepFeatures;
use crate::features::{Extractor, Trained};

/// The features of the teacher: those that were kept, else made anew and kept.
pub(super) fn features(trained: &Trained, extractor: &Extractor<'_>, keep: KeepFeatures) -> Result<Features> {
    let side = trained.config.crops.global_size;
    let make = || extractor.features(&trained.teacher, side, "teacher features");
    if keep == KeepFeatures::None {
        return make();
    }
    let of = FeaturesOf {
        checkpoint: trained.checkpoint.digest,
        shards: extractor.shards().digest(),
        token: extractor.token().name().to_owned(),
        size: side.unsigned_abs(),
    };
    if let Some((record, bytes)) = trained.run.kept_features(&of)? {
        tracing::info!("features that an earlier probe has kept are used");
        return Ok(Features::new(record.dim as usize, from_bytes(&bytes))?);
    }
    let features = make()?;
    if keep == KeepFeatures::All || is_last(trained)? {
        let checkpoint = of.checkpoint;
        let kept = trained.run.keep_features(of, features.dim() as u64, to_bytes(features.data()));
        let tidied = match keep {
            KeepFeatures::Last => kept.and_then(|()| trained.run.forget_features_but(&checkpoint)),
            _ => kept,
        };
        if let Err(error) = tidied {
            tracing::warn!(%error, "the features were not kept: the next probe makes them again");
        }
    }
    Ok(features)
}

/// Whether no later checkpoint of the run is there.
fn is_last(trained: &Trained) -> Result<bool> {
    let last = trained.run.checkpoints().context("which checkpoint is the last one")?;
    Ok(last.last().is_none_or(|last| last.digest == trained.checkpoint.digest))
}

fn to_bytes(values: &[f32]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}
