//! What the shard sets of a sweep hold, kept in its store when it starts, so that a report needs the store alone: a card for each set, and a copy of
//! the record of what a training set and an evaluation set share.
//!
//! Cards lie at `cards/SET DIGEST.json`. They and the copied records are named by digests of sets and written once, so sweeps of one store share
//! them. No trial reads them, and a set that cannot be reached only leaves its card out.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use run_spec::ids::{Digest, Product};
use serde::{Deserialize, Serialize};
use shards::{Manifest, SourceEntry};
use store::Store;

use crate::leakage;
use crate::records::{Plan, ShardRef};

/// Folder of the cards.
pub(crate) const CARDS: &str = "cards";
/// Larger tables of a set's report are not read: 64 MiB hold some 300,000 images.
const MAX_TABLE_BYTES: u64 = 64 << 20;

/// What a shard set holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetCard {
    /// Digest of the set.
    pub(crate) shards: Digest,
    /// Whether its images are patches or cells.
    pub(crate) product: Product,
    /// Side of the window in source pixels.
    pub(crate) patch_px: u32,
    /// Name and version of the program that built it.
    pub(crate) builder: String,
    /// Its sources, by name.
    pub(crate) sources: Vec<SourceCard>,
}

/// What a shard set holds of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceCard {
    /// Name of the source.
    pub(crate) name: String,
    /// Licences of its rows.
    pub(crate) licences: Vec<String>,
    /// Patches or cells.
    pub(crate) rows: u64,
    /// Images that gave at least one row.
    pub(crate) images: u64,
    /// Images that gave none; `None` where the set's report does not say.
    pub(crate) unused: Option<u64>,
    /// Numbers of rows that show little but field, blur or white, by what the build did with them; `None` if the set's report does not say.
    pub(crate) flawed: Option<BTreeMap<String, u64>>,
}

impl SetCard {
    /// The card of the set at `store`.
    ///
    /// # Errors
    /// A set that cannot be read.
    fn of(store: &Store) -> Result<Self> {
        let manifest = Manifest::read(store)?;
        let images = ReportTable::read(store, &manifest, "images")?;
        let flawed = ReportTable::read(store, &manifest, "quality")?;
        let source = |source: &SourceEntry| SourceCard {
            name: source.name.clone(),
            licences: source.licences.clone(),
            rows: source.rows,
            images: source.images,
            unused: images
                .as_ref()
                .map(|table| table.counts(&source.name, "status").get("unused").copied().unwrap_or(0)),
            flawed: flawed.as_ref().map(|table| table.counts(&source.name, "action")),
        };
        Ok(Self {
            shards: manifest.digest(),
            product: manifest.product,
            patch_px: manifest.patch_px,
            builder: manifest.builder.clone(),
            sources: manifest.sources.iter().map(source).collect(),
        })
    }
}

/// Rows of a table of a set's report, each by column.
struct ReportTable(Vec<BTreeMap<String, String>>);

impl ReportTable {
    /// `None` where the set has no such table, or one that is too large.
    fn read(store: &Store, manifest: &Manifest, table: &str) -> Result<Option<Self>> {
        let Some(key) = manifest.report_key(table, "csv") else { return Ok(None) };
        if !store.exists(&key)? || store.size(&key)? > MAX_TABLE_BYTES {
            return Ok(None);
        }
        let bytes = store.get(&key)?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_ref());
        Ok(Some(Self(reader.deserialize().filter_map(std::result::Result::ok).collect())))
    }

    /// How many rows of a source have which value in a column.
    fn counts(&self, source: &str, column: &str) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for row in self.0.iter().filter(|row| row.get("source").is_some_and(|own| own == source)) {
            if let Some(value) = row.get(column) {
                *counts.entry(value.clone()).or_default() += 1;
            }
        }
        counts
    }
}

/// Keeps the cards of all sets of `plan`, and what is known of images that they share. What cannot be read is named and left out.
pub(crate) fn keep(store: &Store, plan: &Plan) {
    let sets = plan.arms.iter().map(|arm| &arm.shards).chain(plan.evals.iter().map(|eval| &eval.shards));
    let sets: BTreeMap<Digest, &ShardRef> = sets.map(|set| (set.digest, set)).collect();
    for set in sets.values() {
        if let Err(error) = keep_one(store, set) {
            terminal::note(format!("{}: reports will not say what it holds: {error:#}", set.uri));
        }
    }
    leakage::keep_records(store, plan);
}

fn keep_one(store: &Store, set: &ShardRef) -> Result<()> {
    let key = format!("{CARDS}/{}.json", set.digest);
    if store.exists(&key)? {
        return Ok(());
    }
    let card = SetCard::of(&Store::open(&set.uri)?)?;
    ensure!(card.shards == set.digest, "it is another set now");
    store.create_record_once(&key, &card).context("keep its card")?;
    Ok(())
}

/// The card of a set; `None` where none was kept, or it is damaged.
///
/// # Errors
/// A store that cannot be reached.
pub(crate) fn read(store: &Store, shards: &Digest) -> Result<Option<SetCard>> {
    let key = format!("{CARDS}/{shards}.json");
    if !store.exists(&key)? {
        return Ok(None);
    }
    match store.read_record_if_whole(&key)? {
        Ok(card) => Ok(Some(card)),
        Err(what) => {
            terminal::note(what.to_string());
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_a_report_are_counted_by_source() {
        let table = "source,image,status\na,1,used\na,2,unused\nb,3,used\na,4,unused\n";
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let table = ReportTable(reader.deserialize().map(Result::unwrap).collect());
        assert_eq!(table.counts("a", "status"), BTreeMap::from([("used".into(), 1), ("unused".into(), 2)]));
        assert!(table.counts("c", "status").is_empty());
    }

    #[test]
    fn a_set_that_cannot_be_read_leaves_no_card() {
        let store = Store::open("memory://cards").unwrap();
        let set = ShardRef { uri: "memory://no-set".into(), digest: Digest::of(b"x") };
        assert!(keep_one(&store, &set).is_err());
        assert_eq!(read(&store, &set.digest).unwrap(), None);
    }
}
