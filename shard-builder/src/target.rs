//! Where a set goes: taken for it before anything is read, with room for it as far as that can be known, and left tidy.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use datasets::reading::LocatedSource;
use run_spec::ids::{Digest, Product};
use shards::{CARD_KEY, Claim, EXAMPLES_KEY, MANIFEST_KEY, Manifest, ShardError, remove_debris, strays};
use store::{Store, StoreError};
use tracing::{info, warn};

use crate::cli::VERSION;
use crate::data_place::{DataPlace, verify_apart};
use terminal::megabytes;

/// A set of patches takes at least this part of the bytes of its image files. They are stored without loss as PNG: files of JPEG become
/// larger, and those without compression, with 16 bits and alpha, some five times smaller.
const LEAST_PART: u64 = 8;

/// A place that belongs to one build.
#[derive(Debug)]
pub(crate) struct Target {
    /// The store at the place.
    pub(crate) store: Store,
    claim: Claim,
    /// The folder of the store, if it did not exist before.
    made: Option<PathBuf>,
}

impl Target {
    /// Takes the place at `uri` for the set of a configuration. `data` is where the data of all described sources lie.
    ///
    /// # Errors
    /// Another set, another build's shards or other files there; a place that cannot be written; the data of a source, around or in it.
    pub(crate) fn take(uri: &str, config: Digest, data: &[DataPlace]) -> Result<Self> {
        let store = Store::open(uri).with_context(|| format!("cannot open --out {uri}"))?;
        if let Some(folder) = store.directory() {
            verify_apart(&folder, data)?;
            let held = |place: &&DataPlace| place.at.starts_with(&folder);
            if let Some(DataPlace { source, at, is_there, .. }) = data.iter().find(held) {
                bail!(
                    "--out {uri} holds the {} of source {source} ({}), and readers of the set would find both; choose another --out",
                    if *is_there { "data" } else { "place for the data" },
                    at.display()
                );
            }
        }
        let claim = Claim { config, builder: format!("shard-builder {VERSION}") };
        let made = store.directory().filter(|folder| !folder.exists());
        claim.take(&store).context("take the place --out for this build")?;
        Ok(Self { store, claim, made })
    }

    /// Gives the place back after a build that failed before it wrote a shard.
    pub(crate) fn release(&self) {
        if let Err(error) = self.claim.release(&self.store) {
            warn!("{} could not be given back: {error}", self.store.uri());
        }
        if let Some(folder) = &self.made {
            // Fails where somebody else has put something there, which is to stay.
            drop(std::fs::remove_dir(folder));
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
                "the set needs {}, but {} has room for {}; free space or choose another --out",
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
    pub(crate) fn expect_room(&self, sources: &[LocatedSource], product: Product) -> Result<()> {
        // Of an interrupted build most may be there.
        let Some(room) = self.store.room().filter(|_| self.is_empty()) else { return Ok(()) };
        let bytes = sources.iter().map(LocatedSource::image_bytes);
        let files: u64 = bytes.collect::<Result<Vec<_>, _>>()?.iter().sum();
        let uri = self.store.uri();
        match expected(room, files, product) {
            Room::Enough => {}
            Room::Doubtful => warn!(
                "{uri} has room for {}, but the image files have {}: the set may not fit",
                megabytes(room),
                megabytes(files)
            ),
            Room::Lacking => bail!(
                "{uri} has room for {}, but a set of patches needs at least an eighth of the size of its image files, which is {}; free space or choose \
                 another --out",
                megabytes(room),
                megabytes(files)
            ),
        }
        Ok(())
    }

    /// Whether no shard is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.store.list("shards").is_ok_and(|keys| !keys.iter().any(|key| key.ends_with(".parquet")))
    }

    /// Refuses a plan that is not that of the set which lies here, before anything is written.
    ///
    /// # Errors
    /// A set of the same configuration with other rows.
    pub(crate) fn verify_same(&self, content: &Digest) -> Result<()> {
        let set = self.published()?;
        let named = set.as_ref().and_then(Manifest::content_name);
        if named.is_some_and(|name| name != content.short()) { Err(self.other_rows()) } else { Ok(()) }
    }

    /// Writes the tables of the report, by key. As the card, those of an attempt which did not end are replaced, since files that give no
    /// row may have changed since; those of a published set stay. Returns a line for each that stays and differs.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    pub(crate) fn write_report(&self, files: &[(String, Vec<u8>)]) -> Result<String> {
        if self.published()?.is_some() {
            return files.iter().map(|(key, bytes)| self.write_missing(key, bytes)).collect();
        }
        files.iter().try_for_each(|(key, bytes)| self.replace(key, bytes))?;
        Ok(String::new())
    }

    /// Writes the card and publishes the manifest, which makes the set: once it is there, all of the set is. `files` are the card and
    /// its picture. Returns the digest of the set, and lines on a card that stays because it was changed and on
    /// what others have put beside the set.
    ///
    /// A card that lies here without a set is that of an attempt which did not end, maybe with other images: it is replaced.
    ///
    /// # Errors
    /// Another set that was published here meanwhile: what this build wrote is removed.
    pub(crate) fn publish(&self, manifest: &Manifest, card: String, examples: Vec<u8>) -> Result<(Digest, String)> {
        let files = [(CARD_KEY, card.into_bytes()), (EXAMPLES_KEY, examples)];
        let mut kept = String::new();
        match self.published()? {
            Some(there) if there != *manifest => return Err(self.lost(&there, &[])),
            Some(_) => {
                for (key, bytes) in &files {
                    kept.push_str(&self.write_missing(key, bytes)?);
                }
            }
            None => files.iter().try_for_each(|(key, bytes)| self.replace(key, bytes))?,
        }
        match manifest.publish(&self.store) {
            Err(ShardError::Store(StoreError::Differs { .. })) => match self.published()? {
                Some(there) => Err(self.lost(&there, &files)),
                None => Err(self.other_rows()),
            },
            other => {
                let digest = other.with_context(|| format!("publish the set at {}", self.store.uri()))?;
                self.tidy(manifest);
                kept.push_str(&self.strays(manifest)?);
                Ok((digest, kept))
            }
        }
    }

    /// A warning where somebody has put something beside the set that readers take for a part of it.
    fn strays(&self, manifest: &Manifest) -> Result<String> {
        let strays = strays(&self.store, manifest).with_context(|| format!("list {}", self.store.uri()))?;
        Ok(strays.first().map_or_else(String::new, |first| {
            format!(
                "\nwarning: {} ({} in all) is not part of this set, but readers may take it for a part; `shard-builder verify` says what to do",
                self.store.uri_of(&first.name),
                strays.len()
            )
        }))
    }

    /// The manifest of the set that lies here, if there is one.
    fn published(&self) -> Result<Option<Manifest>> {
        let key = MANIFEST_KEY;
        if !self.store.exists(key)? {
            return Ok(None);
        }
        Manifest::read(&self.store).map(Some).with_context(|| format!("cannot read {}", self.store.uri_of(key)))
    }

    /// Writes a file of a published set where it is missing. Another that lies there stays, and a line says so.
    fn write_missing(&self, key: &str, bytes: &[u8]) -> Result<String> {
        match self.store.ensure(key, bytes.to_vec().into()) {
            Err(StoreError::Differs { .. }) => Ok(format!(
                "\nwarning: {} was not replaced, although this run would write different content: it was edited after the build, or files that \
                give no row have changed",
                self.store.uri_of(key)
            )),
            other => other.map(|_| String::new()).with_context(|| format!("cannot write {}", self.store.uri_of(key))),
        }
    }

    /// Writes a file before its set is published, in place of what lies there.
    fn replace(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let write = || self.store.ensure(key, bytes.to_vec().into());
        let written = match write() {
            Err(StoreError::Differs { .. }) => self.store.delete(key).and_then(|()| write()),
            other => other,
        };
        written.map(drop).with_context(|| format!("cannot write {}", self.store.uri_of(key)))
    }

    /// Takes back what this build wrote where another set, `there`, was published first.
    fn lost(&self, there: &Manifest, files: &[(&str, Vec<u8>)]) -> anyhow::Error {
        self.tidy(there);
        for (key, bytes) in files {
            // A card of this build beside that set would say something false of it.
            if self.store.get(key).is_ok_and(|own| own == *bytes)
                && let Err(error) = self.store.delete(key)
            {
                warn!("{} could not be removed: {error}", self.store.uri_of(key));
            }
        }
        self.other_rows()
    }

    fn other_rows(&self) -> anyhow::Error {
        anyhow!(
            "{} holds a set of the same configuration with other rows: the images changed, or another builder reads others; choose another \
             --out, or delete that set",
            self.store.uri()
        )
    }

    /// Removes what this build or an interrupted one left beside the published set, and says so.
    fn tidy(&self, manifest: &Manifest) {
        match remove_debris(&self.store, manifest) {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => info!(files = removed.len(), first = removed[0], "removed what interrupted builds left"),
            Err(error) => warn!("what interrupted builds left could not be removed: {error}"),
        }
    }
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
        let first = Target::take(uri, Digest::of(b"one"), &[]).expect("a free place");
        first.verify_ready(1).expect("held");
        let full = first.verify_ready(u64::MAX).expect_err("no disk has that room").to_string();
        assert!(full.contains("free space"), "{full}");
        // Nothing was written for the first, so its claim gives way.
        let second = Target::take(uri, Digest::of(b"two"), &[]).expect("the claim of a build that wrote nothing");
        let lost = format!("{:#}", first.verify_ready(1).expect_err("the place is the second's"));
        assert!(lost.contains("another build has taken"), "{lost}");
        first.release();
        second.verify_ready(1).expect("the first gave back nothing that is not its own");
        second.release();
        assert_eq!(second.store.list("").expect("listed"), [""; 0]);
    }
}
