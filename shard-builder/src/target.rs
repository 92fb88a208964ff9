//! Where a set goes: taken for it before anything is read, with room for it as far as that can be known, and left tidy.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use run_spec::ids::{Digest, Product};
use shards::{Claim, MANIFEST_KEY, Manifest, ShardError, remove_debris};
use store::{Store, StoreError};
use tracing::{info, warn};

use crate::cli::VERSION;
use crate::output::megabytes;
use crate::source::files::{Globs, Verdict};
use crate::survey::Located;

/// A set of patches takes at least this part of the bytes of its image files. They are stored without loss as PNG: files of JPEG become
/// larger, and those without compression, with 16 bits and alpha, some five times smaller.
const LEAST_PART: u64 = 8;

/// A place that belongs to one build.
#[derive(Debug)]
pub(crate) struct Target {
    /// The place.
    pub(crate) store: Store,
    claim: Claim,
}

impl Target {
    /// Takes the place at `uri` for the set of a configuration.
    ///
    /// # Errors
    /// Another set, another build's shards or other files there; a place that cannot be written.
    pub(crate) fn take(uri: &str, config: Digest) -> Result<Self> {
        let store = Store::open(uri).with_context(|| format!("open --out {uri}"))?;
        let claim = Claim { config, builder: format!("shard-builder {VERSION}") };
        claim.take(&store).context("begin at --out")?;
        Ok(Self { store, claim })
    }

    /// Gives the place back after a build that failed before it wrote a shard.
    pub(crate) fn release(&self) {
        if let Err(error) = self.claim.release(&self.store) {
            warn!("{} could not be given back: {error}", self.store.uri());
        }
    }

    /// Proves that the place still belongs to this build, and that `bytes` more fit in.
    ///
    /// # Errors
    /// Another build there; a file system without the room.
    pub(crate) fn verify_ready(&self, bytes: u64) -> Result<()> {
        self.claim.verify_held(&self.store).context("begin to write")?;
        match self.store.room() {
            Some(room) if room < bytes => bail!(
                "the set takes {} and {} has room for {}; free space or choose another --out",
                megabytes(bytes),
                self.store.uri(),
                megabytes(room)
            ),
            _ => Ok(()),
        }
    }

    /// Compares the room with the sources' files, before they are read.
    ///
    /// # Errors
    /// A file system that surely cannot hold the set. One that perhaps cannot is a warning.
    pub(crate) fn expect_room(&self, sources: &[Located], product: Product) -> Result<()> {
        // Of an interrupted build most may be there.
        let Some(room) = self.store.room().filter(|_| self.is_empty()) else { return Ok(()) };
        let files: u64 = sources.iter().map(image_bytes).collect::<Result<Vec<_>>>()?.iter().sum();
        let uri = self.store.uri();
        match expected(room, files, product) {
            Room::Enough => {}
            Room::Doubtful => warn!(
                "{uri} has room for {}, the image files have {}: the set may not fit in",
                megabytes(room),
                megabytes(files)
            ),
            Room::Lacking => bail!(
                "{uri} has room for {}, and a set of patches takes at least an eighth of its image files, which have {}; free space or choose \
                 another --out",
                megabytes(room),
                megabytes(files)
            ),
        }
        Ok(())
    }

    /// Whether no shard is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.store.list("shards").is_ok_and(|keys| keys.is_empty())
    }

    /// Publishes the manifest, which makes the set.
    ///
    /// # Errors
    /// Another set that was published here meanwhile: what this build wrote is removed.
    pub(crate) fn publish(&self, manifest: &Manifest) -> Result<Digest> {
        match manifest.publish(&self.store) {
            Err(ShardError::Store(StoreError::Differs { .. })) => {
                self.tidy(
                    &Manifest::read(&self.store)
                        .with_context(|| format!("read {}", self.store.uri_of(MANIFEST_KEY)))?,
                );
                bail!(
                    "{} holds a set of the same configuration with other rows: the images changed, or another builder reads others; choose another \
                     --out, or delete that set",
                    self.store.uri()
                )
            }
            other => other.with_context(|| format!("publish the set at {}", self.store.uri())),
        }
    }

    /// Removes what this build or an interrupted one left beside the published set, and says so.
    pub(crate) fn tidy(&self, manifest: &Manifest) {
        match remove_debris(&self.store, manifest) {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => info!(files = removed.len(), first = removed[0], "removed what interrupted builds left"),
            Err(error) => warn!("what interrupted builds left could not be removed: {error}"),
        }
    }
}

/// Makes a folder for reports, and proves that it can be written before hours of reading are spent on them.
///
/// # Errors
/// A folder that cannot be made or written.
pub(crate) fn prepare_folder(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("make the folder {}", dir.display()))?;
    tempfile::tempfile_in(dir).map(drop).with_context(|| format!("write to the folder {}", dir.display()))
}

/// Whether a set fits in.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Enough,
    Doubtful,
    Lacking,
}

/// What `room` means for a set of image files of `files` bytes. Cells may be few, so nothing is sure of them.
fn expected(room: u64, files: u64, product: Product) -> Room {
    match product {
        _ if room >= files => Room::Enough,
        Product::Patches if room < files / LEAST_PART => Room::Lacking,
        Product::Patches | Product::Cells => Room::Doubtful,
    }
}

/// Bytes of the files that the description names as images.
fn image_bytes(located: &Located) -> Result<u64> {
    let globs = Globs::new(&located.source.images)?;
    let files = located.root.list()?.files;
    Ok(files.iter().filter(|path| globs.judge(path) == Verdict::Image).map(|path| located.root.size(path)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_refused_where_they_surely_do_not_fit_and_cells_only_warned_of() {
        for (room, files, patches, cells) in [
            (800, 800, Room::Enough, Room::Enough),
            (799, 800, Room::Doubtful, Room::Doubtful),
            (100, 800, Room::Doubtful, Room::Doubtful),
            (99, 800, Room::Lacking, Room::Doubtful),
            (0, 0, Room::Enough, Room::Enough),
        ] {
            assert_eq!(expected(room, files, Product::Patches), patches, "{room} of {files}");
            assert_eq!(expected(room, files, Product::Cells), cells, "{room} of {files}");
        }
    }

    #[test]
    fn a_build_that_lost_its_place_is_told_before_it_writes_and_too_many_bytes_are_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let uri = folder.path().join("set");
        let uri = uri.to_str().expect("UTF-8");
        let first = Target::take(uri, Digest::of(b"one")).expect("a free place");
        first.verify_ready(1).expect("held");
        let full = first.verify_ready(u64::MAX).expect_err("no disk has that room").to_string();
        assert!(full.contains("free space"), "{full}");
        // Nothing was written for the first, so its claim gives way.
        let second = Target::take(uri, Digest::of(b"two")).expect("the claim of a build that wrote nothing");
        let lost = format!("{:#}", first.verify_ready(1).expect_err("the place is the second's"));
        assert!(lost.contains("another build has taken"), "{lost}");
        first.release();
        second.verify_ready(1).expect("the first gave back nothing that is not its own");
        second.release();
        assert_eq!(second.store.list("").expect("listed"), [""; 0]);
    }
}
