//! The manifest: what a shard set holds, published last. Its digest names the set.

use crate::columns::Version;
use crate::error::one_line;
use crate::layout::{CLAIM_KEY, SHARDS, is_parquet, split_of_key};
use crate::{Codec, FinishedShard, ShardError};
use bytes::Bytes;
use run_spec::ids::{Digest, Product, canonical_json};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use store::{Store, StoreError};

/// Key of the manifest in the store of its set.
pub const MANIFEST_KEY: &str = "manifest.json";
/// Name of the format.
pub(crate) const FORMAT: &str = "reddino-shards";
/// Versions written and read here: 1, and 2 for sets whose shards are of splits.
const VERSIONS: [u32; 2] = [1, 2];
/// Larger manifests are refused: 64 MiB hold some 300,000 shards.
const MAX_BYTES: u64 = 64 << 20;

/// The key of shard `number`, from 0.
pub fn shard_key(number: u64) -> String {
    format!("shards/{number:05}.parquet")
}

/// What the program that builds a set says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whether its images are patches or cells.
    pub product: Product,
    /// How images are encoded.
    pub codec: Codec,
    /// Name and version of the program.
    pub builder: String,
    /// Digest of the resolved configuration of the build.
    pub config: Digest,
    /// Side of the window in source pixels.
    pub patch_px: u32,
}

/// The line of one shard file in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Its key in the store.
    pub key: String,
    /// Number of rows in the shard.
    pub rows: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub digest: Digest,
}

impl ShardEntry {
    /// The split of its rows, in a set with splits.
    pub fn split(&self) -> Option<&str> {
        split_of_key(&self.key)
    }
}

/// One source, over all shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Name of the source.
    pub name: String,
    /// Number of rows from this source.
    pub rows: u64,
    /// Images that gave at least one row.
    pub images: u64,
    /// Bytes of its encoded rows.
    pub bytes: u64,
    /// Licences of its rows, sorted and without repeats.
    pub licences: Vec<String>,
}

/// The manifest of a shard set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u32,
    /// Whether its images are patches or cells.
    pub product: Product,
    /// How images are encoded.
    pub codec: Codec,
    /// Name and version of the program that built the set.
    pub builder: String,
    /// Digest of the resolved configuration of the build.
    pub config: Digest,
    /// Side of the window in source pixels.
    pub patch_px: u32,
    /// The shards; rows of the set are numbered in this order.
    pub shards: Vec<ShardEntry>,
    /// The sources, by name.
    pub sources: Vec<SourceEntry>,
    /// Rows of the set.
    pub rows: u64,
    /// Bytes of all shard files.
    pub bytes: u64,
}

/// What a shard holds of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceTally {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) images: BTreeSet<String>,
    pub(crate) licences: BTreeSet<String>,
}

impl SourceTally {
    pub(crate) fn add(&mut self, image: &str, licence: &str, bytes: u64) {
        self.rows += 1;
        self.bytes += bytes;
        if !self.images.contains(image) {
            self.images.insert(image.to_owned());
        }
        if !self.licences.contains(licence) {
            self.licences.insert(licence.to_owned());
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.images.extend(other.images.iter().cloned());
        self.licences.extend(other.licences.iter().cloned());
    }
}

pub(crate) fn source_entries(tallies: &BTreeMap<String, SourceTally>) -> Vec<SourceEntry> {
    let entry = |(name, tally): (&String, &SourceTally)| SourceEntry {
        name: name.clone(),
        rows: tally.rows,
        images: tally.images.len() as u64,
        bytes: tally.bytes,
        licences: tally.licences.iter().cloned().collect(),
    };
    tallies.iter().map(entry).collect()
}

/// The version of a set of these shards.
fn version_of(shards: &[ShardEntry]) -> Version {
    shards.first().map_or(Version::One, |shard| Version::of_key(&shard.key))
}

/// Gathers finished shards into a manifest, without keeping their bytes.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) shards: Vec<ShardEntry>,
    pub(crate) sources: BTreeMap<String, SourceTally>,
}

impl Gathered {
    pub(crate) fn add(&mut self, entry: &ShardEntry, sources: &BTreeMap<String, SourceTally>) {
        self.shards.push(entry.clone());
        for (name, tally) in sources {
            self.sources.entry(name.clone()).or_default().merge(tally);
        }
    }
}

/// The manifest of a set under construction: takes finished shards in order and keeps their sums alone.
#[derive(Debug)]
pub struct ManifestBuilder {
    header: Header,
    gathered: Gathered,
}

impl ManifestBuilder {
    /// Starts with no shards.
    pub fn new(header: Header) -> Self {
        Self { header, gathered: Gathered::default() }
    }

    /// Adds the next shard.
    pub fn add(&mut self, shard: &FinishedShard) {
        self.gathered.add(&shard.entry, &shard.sources);
    }

    /// Makes the manifest of all shards that were added.
    pub fn finish(self) -> Manifest {
        let Header { product, codec, builder, config, patch_px } = self.header;
        let Gathered { shards, sources } = self.gathered;
        Manifest {
            format: FORMAT.to_owned(),
            version: version_of(&shards).number(),
            product,
            codec,
            builder,
            config,
            patch_px,
            rows: shards.iter().map(|s| s.rows).sum(),
            bytes: shards.iter().map(|s| s.bytes).sum(),
            sources: source_entries(&sources),
            shards,
        }
    }
}

impl Manifest {
    /// Version of the format: 2 for a set with splits, else 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Starts a manifest without shards.
    pub fn builder(header: Header) -> ManifestBuilder {
        ManifestBuilder::new(header)
    }

    /// Canonical JSON, the bytes that are published.
    pub fn to_bytes(&self) -> Bytes {
        let value = serde_json::to_value(self).expect("a manifest is plain data");
        canonical_json(&value).into()
    }

    /// The digest that names the shard set: BLAKE3 of the published bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Publishes the manifest, or proves that the same one is there already. Call it last: it makes the set exist.
    ///
    /// # Errors
    /// [`StoreError::Differs`](store::StoreError::Differs) when another set is there, and the store's others.
    pub fn publish(&self, store: &Store) -> Result<Digest, ShardError> {
        store.ensure(MANIFEST_KEY, self.to_bytes())?;
        Ok(self.digest())
    }

    /// Reads the manifest of the set at `store`.
    ///
    /// # Errors
    /// The store's; [`ShardError::Unfinished`] and [`ShardError::Torn`] where shards lie without a manifest; [`ShardError::Version`] for another version; [`ShardError::Manifest`] for anything else that is not
    /// a canonical manifest whose sums agree.
    pub fn read(store: &Store) -> Result<Self, ShardError> {
        let uri = store.uri_of(MANIFEST_KEY);
        let size = store.size(MANIFEST_KEY).map_err(|error| unfinished(store, error))?;
        if size > MAX_BYTES {
            return Err(ShardError::Manifest { uri, why: format!("it has {size} bytes") });
        }
        Self::parse(&store.get(MANIFEST_KEY)?, &uri)
    }

    /// Reads a manifest from its bytes; `uri` is for messages.
    ///
    /// # Errors
    /// As [`read`](Self::read), without the store's.
    pub fn parse(bytes: &[u8], uri: &str) -> Result<Self, ShardError> {
        let bad = |why: String| ShardError::Manifest { uri: uri.to_owned(), why: one_line(&why) };
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        let found = (value["format"].as_str(), value["version"].as_u64());
        match found {
            (Some(FORMAT), Some(version)) if VERSIONS.map(u64::from).contains(&version) => {}
            (Some(format), Some(version)) => {
                return Err(ShardError::Version {
                    uri: uri.to_owned(),
                    found: format!("{} {version}", one_line(format)),
                    known: format!("{FORMAT} {} and {}", VERSIONS[0], VERSIONS[1]),
                });
            }
            _ => return Err(bad("it names no format and version".into())),
        }
        let manifest: Self = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
        if manifest.to_bytes() != bytes {
            return Err(bad("it is not in canonical form, so it was edited".into()));
        }
        if manifest.shards.iter().any(|shard| Version::of_key(&shard.key).number() != manifest.version) {
            return Err(bad(format!("it is of version {}, and a shard of another", manifest.version)));
        }
        let total = |count: fn(&ShardEntry) -> u64| {
            manifest.shards.iter().try_fold(0u64, |sum, shard| sum.checked_add(count(shard)))
        };
        if total(|s| s.rows) != Some(manifest.rows) || total(|s| s.bytes) != Some(manifest.bytes) {
            return Err(bad("its totals are not the sums of its shards".into()));
        }
        if manifest.sources.iter().try_fold(0u64, |sum, s| sum.checked_add(s.rows)) != Some(manifest.rows) {
            return Err(bad("its sources do not add up to its rows".into()));
        }
        let keys: BTreeSet<&str> = manifest.shards.iter().map(|s| s.key.as_str()).collect();
        if keys.len() != manifest.shards.len() || manifest.shards.iter().any(|s| s.rows == 0) {
            return Err(bad("it names a shard twice, or one without rows".into()));
        }
        Ok(manifest)
    }
}

/// What it means that the manifest cannot be found.
fn unfinished(store: &Store, error: StoreError) -> ShardError {
    let shards = match error.is_not_found() {
        true => store.list(SHARDS).map_or(0, |keys| keys.iter().filter(|key| is_parquet(key)).count() as u64),
        false => 0,
    };
    let uri = store.uri().to_owned();
    match (shards, store.exists(CLAIM_KEY)) {
        (0, _) => error.into(),
        (shards, Ok(false)) => ShardError::Torn { uri, shards },
        (shards, _) => ShardError::Unfinished { uri, shards },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let digest = Digest::of(b"x");
        let header = Header {
            product: Product::Patches,
            codec: Codec::Png,
            builder: "test 1".into(),
            config: digest,
            patch_px: 224,
        };
        let mut builder = Manifest::builder(header);
        let tally = SourceTally { rows: 3, bytes: 30, ..SourceTally::default() };
        let entry = ShardEntry { key: shard_key(0), rows: 3, bytes: 99, digest };
        builder.add(&FinishedShard { entry, sources: [("a".to_owned(), tally)].into(), bytes: Bytes::new() });
        builder.finish()
    }

    #[test]
    fn a_manifest_reads_back() {
        let manifest = manifest();
        assert_eq!(Manifest::parse(&manifest.to_bytes(), "m").unwrap(), manifest);
        assert_eq!((manifest.rows, manifest.bytes), (3, 99));
    }

    #[test]
    fn other_versions_and_edits_are_refused_by_name() {
        let text = String::from_utf8(manifest().to_bytes().to_vec()).unwrap();
        let parse = |text: &str| Manifest::parse(text.as_bytes(), "m");
        let later = text.replace("\"version\":1", "\"version\":3");
        assert!(matches!(parse(&later), Err(ShardError::Version { .. })));
        for edited in [
            text.replace("\"rows\":3}", "\"rows\":4}"),
            text.replace("\"version\":1", "\"version\":1,\"zeta\":0"),
            text.replace("\"version\":1", "\"version\":2"),
            text.replace(',', ", "),
            text[..text.len() / 2].to_owned(),
            String::new(),
            "[]".to_owned(),
            text.replacen("\"bytes\":99", "\"bytes\":18446744073709551615", 1),
        ] {
            assert!(matches!(parse(&edited), Err(ShardError::Manifest { .. })), "{edited}");
        }
    }
}
