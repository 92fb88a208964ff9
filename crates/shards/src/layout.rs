//! The keys of a shard set.
//!
//! Shards lie in a folder that is named by what the whole set is planned to hold, so a set built anew from other images never
//! shares a folder with what an interrupted build left: whoever lists the folder of the manifest's shards sees these alone.
//! The first sets had `shards/NNNNN….parquet` and no such folder; they are read all the same, since a manifest names each shard by its key.

use crate::Manifest;
use run_spec::ids::Digest;

/// Key of the claim: the record that says which build a place belongs to, created before anything else.
pub const CLAIM_KEY: &str = "build.json";
/// Key of the data card.
pub const CARD_KEY: &str = "README.md";
/// Key of the picture that the data card shows.
pub const EXAMPLES_KEY: &str = "examples.png";
/// Folder of the shards.
pub(crate) const SHARDS: &str = "shards";
/// Folder of the splits.
pub(crate) const SPLITS: &str = "splits";
/// Folder of the tables that say for every image whether it was used, and why not.
pub(crate) const REPORT: &str = "report";
/// Folder of the fingerprints.
pub(crate) const FINGERPRINTS: &str = "fingerprints";

/// The folder of the shards of a set that is planned to hold `content`.
pub fn shard_folder(content: &Digest) -> String {
    format!("{SHARDS}/{}", content.short())
}

/// The key of shard `number`, from 0, of a set that is planned to hold `content`.
pub fn planned_shard_key(content: &Digest, number: u64) -> String {
    format!("{}/{number:05}.parquet", shard_folder(content))
}

/// The key of shard `number`, from 0, of the rows of a split, in a set that is planned to hold `content`: `…/train-00000.parquet`, where
/// other readers see the split by its name. `split` is `train`, `validation` or `test`.
pub fn split_shard_key(content: &Digest, split: &str, number: u64) -> String {
    format!("{}/{split}-{number:05}.parquet", shard_folder(content))
}

/// The split that the key of a shard names; nothing for the keys of sets without splits, which begin with a digit.
pub(crate) fn split_of_key(key: &str) -> Option<&str> {
    let (_, file) = key.rsplit_once('/')?;
    let (split, _) = file.split_once('-')?;
    is_split_name(split).then_some(split)
}

/// Names of splits that other readers know.
const SPLIT_NAMES: [&str; 3] = ["train", "validation", "test"];

/// Whether a split of shards may be called so.
pub(crate) fn is_split_name(name: &str) -> bool {
    SPLIT_NAMES.contains(&name)
}

/// The key of a table of the report of a set that is planned to hold `content`, as in `report/images-0123456789ab.csv`.
pub fn report_key(content: &Digest, table: &str, ending: &str) -> String {
    format!("{REPORT}/{table}-{}.{ending}", content.short())
}

/// The key of file `number` of the fingerprints of a set whose folder of shards is called `content`.
pub(crate) fn fingerprints_key(content: &str, number: usize) -> String {
    format!("{FINGERPRINTS}/{content}/{number:05}.parquet")
}

/// The key of the record of these files.
pub(crate) fn fingerprints_index_key(content: &str) -> String {
    format!("{FINGERPRINTS}/{content}/index.json")
}

/// The name of the set's content in a key of its fingerprints; nothing for other keys.
pub(crate) fn fingerprints_of(key: &str) -> Option<&str> {
    let (content, file) = key.strip_prefix(FINGERPRINTS)?.strip_prefix('/')?.split_once('/')?;
    let number = file.strip_suffix(".parquet").unwrap_or_default();
    let is_block = number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_content_name(content) && (is_block || file == "index.json")).then_some(content)
}

impl Manifest {
    /// What the folder of the shards is named by (`shards/NAME/…`); nothing for a set that lies otherwise, as the first sets do.
    pub fn content_name(&self) -> Option<&str> {
        let name = |key: &str| -> Option<(usize, usize)> {
            let rest = key.strip_prefix(SHARDS)?.strip_prefix('/')?;
            let (name, file) = rest.split_once('/')?;
            (!file.contains('/')).then_some((SHARDS.len() + 1, name.len()))
        };
        let first = self.shards.first()?;
        let (at, length) = name(&first.key)?;
        let folder = &first.key[..=at + length];
        let alike = self.shards.iter().all(|shard| shard.key.starts_with(folder) && name(&shard.key).is_some());
        alike.then(|| &first.key[at..at + length])
    }

    /// The key of a table of the set's own report, as [`report_key`]; nothing for the first sets, whose reports are named otherwise.
    pub fn report_key(&self, table: &str, ending: &str) -> Option<String> {
        Some(format!("{REPORT}/{table}-{}.{ending}", self.content_name()?))
    }

    /// The splits of the shards, each once, in the order of the shards; empty for a set without splits.
    pub fn shard_splits(&self) -> Vec<&str> {
        let mut splits: Vec<&str> = self.shards.iter().filter_map(|shard| split_of_key(&shard.key)).collect();
        splits.dedup();
        splits
    }

    /// The glob that names the shards of a split and nothing else, as long as the set is sound.
    pub fn split_glob(&self, split: &str) -> String {
        format!("{SHARDS}/{}/{split}-*.parquet", self.content_name().unwrap_or("*"))
    }

    /// The glob that names all shards of the set and nothing else, as long as the set is sound.
    pub fn shard_glob(&self) -> String {
        match self.content_name() {
            Some(name) => format!("{SHARDS}/{name}/*.parquet"),
            None => format!("{SHARDS}/*.parquet"),
        }
    }

    /// Whether `key` is of the fingerprints of another build, by its name.
    pub(crate) fn is_foreign_fingerprint(&self, key: &str) -> bool {
        fingerprints_of(key).is_some_and(|of| self.content_name() != Some(of))
    }

    /// Whether `key` is a table of another build's report, by its name.
    pub(crate) fn is_foreign_report(&self, key: &str) -> bool {
        let Some(name) = self.content_name() else { return false };
        let stem = key.rsplit_once('.').map_or(key, |(stem, _)| stem);
        let of = stem.strip_prefix(REPORT).filter(|rest| rest.starts_with('/')).and_then(|rest| rest.rsplit_once('-'));
        of.is_some_and(|(_, of)| is_content_name(of) && of != name)
    }
}

/// Whether builds give this name to the folder of their shards.
pub(crate) fn is_content_name(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether builds give this name to shards.
pub(crate) fn is_planned_shard(key: &str) -> bool {
    let Some((folder, file)) = key.strip_prefix(SHARDS).and_then(|rest| rest.strip_prefix('/')?.split_once('/')) else {
        return false;
    };
    let stem = file.strip_suffix(".parquet").unwrap_or_default();
    let number = stem.split_once('-').filter(|(split, _)| is_split_name(split)).map_or(stem, |(_, number)| number);
    number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit()) && is_content_name(folder)
}

/// Whether a file of this name is one that readers of a folder take for a shard.
pub(crate) fn is_parquet(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".parquet")
}

/// Whether splits have names like this one.
pub(crate) fn is_split(name: &str) -> bool {
    let file = name.strip_prefix(SPLITS).and_then(|rest| rest.strip_prefix('/'));
    file.is_some_and(|file| !file.contains('/') && file.ends_with(".parquet"))
}
