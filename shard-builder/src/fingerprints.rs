//! The fingerprints that a build leaves beside its set, so that copies in other sets are found without images.

use anyhow::{Context, Result};
use datasets::reading::LocatedSource;
use datasets::survey::ImageRecord;
use near_copies::{Fingerprint, Frame, StoredView};
use run_spec::ids::Digest;
use shards::fingerprints::{
    BLOCK_IMAGES, FingerprintBlock, FingerprintIndex, ImagePrint, PrintParts, PrintView, write_block,
};
use shards::{Manifest, ShardSet};
use store::Store;

/// Writes the fingerprints of all images that give rows, and takes them away from all images.
///
/// # Errors
/// A store that cannot be written, other fingerprints of the same content.
pub(crate) fn write(
    store: &Store,
    content: &Digest,
    sources: &[LocatedSource],
    images: &mut [ImageRecord],
) -> Result<Vec<FingerprintBlock>> {
    let prints = images.iter_mut().filter_map(|record| {
        let source = &sources[record.source].source.name;
        let fingerprint = record.info.as_mut()?.fingerprint.take();
        let info = record.info.as_ref().filter(|_| record.used.is_ok())?;
        let view = |frame: Frame| fingerprint.as_ref()?.stored(frame).map(to_print);
        Some(Ok(ImagePrint {
            source: source.clone(),
            image: record.image.clone(),
            file: info.file,
            page: info.page,
            pixels: info.pixels,
            width: info.width,
            height: info.height,
            centre: view(Frame::Centre),
            whole: view(Frame::Whole),
        }))
    });
    write_all(store, &content.short(), prints)
}

/// Writes fingerprints a file at a time, under the name of the set's folder of shards.
///
/// # Errors
/// As [`fn@write`].
pub(crate) fn write_all(
    store: &Store,
    content: &str,
    prints: impl Iterator<Item = Result<ImagePrint>>,
) -> Result<Vec<FingerprintBlock>> {
    let (mut blocks, mut pending) = (Vec::new(), Vec::with_capacity(BLOCK_IMAGES));
    let mut flush = |pending: &mut Vec<ImagePrint>| -> Result<()> {
        let block =
            write_block(store, content, blocks.len(), pending).context("cannot write the fingerprints of the set")?;
        blocks.push(block);
        pending.clear();
        Ok(())
    };
    for print in prints {
        pending.push(print?);
        if pending.len() == BLOCK_IMAGES {
            flush(&mut pending)?;
        }
    }
    if !pending.is_empty() {
        flush(&mut pending)?;
    }
    Ok(blocks)
}

/// Writes the fingerprints that stay of another set; none where that has none.
///
/// # Errors
/// Fingerprints that cannot be read, a store that cannot be written.
pub(crate) fn copy(
    from: &ShardSet,
    (store, content): (&Store, &Digest),
    stays: impl Fn(&str, &str) -> bool,
) -> Result<Option<Vec<FingerprintBlock>>> {
    let Some(index) = FingerprintIndex::read(from.store(), from.manifest())? else { return Ok(None) };
    let block = |number| match index.block((from.store(), from.manifest()), number, PrintParts::All) {
        Ok(prints) => prints.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(anyhow::Error::new(error).context("cannot read the fingerprints of the set"))],
    };
    let all = (0..index.blocks.len()).flat_map(block);
    let kept = all.filter(|print| print.as_ref().map_or(true, |print| stays(&print.source, &print.image)));
    write_all(store, &content.short(), kept).map(Some)
}

/// Publishes the record of the fingerprints, before the manifest makes the set.
///
/// # Errors
/// A store that cannot be written.
pub(crate) fn publish(store: &Store, manifest: &Manifest, blocks: Vec<FingerprintBlock>) -> Result<()> {
    let Some(content) = manifest.content_name() else { return Ok(()) };
    let index = FingerprintIndex::of(manifest.digest(), blocks);
    index.publish(store, content).context("cannot write the record of the set's fingerprints")
}

/// The fingerprint of a stored image; `None` where it shows nothing.
pub(crate) fn of_print(print: &ImagePrint) -> Option<Fingerprint> {
    let view = |view: &PrintView| StoredView { picture: view.picture.clone(), signature: view.signature.clone() };
    let (centre, whole) = (print.centre.as_ref().map(view), print.whole.as_ref().map(view));
    Fingerprint::from_stored((print.width, print.height), centre, whole)
}

fn to_print(StoredView { picture, signature }: StoredView) -> PrintView {
    PrintView { picture, signature }
}
