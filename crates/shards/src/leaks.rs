//! What a training set and an evaluation set share, looked for once and recorded.
//!
//! ```text
//! leaks/TRAIN/EVALUATION/near.json    the record, written last
//!                        near.csv     a row for each pair of copies
//!                        near.png     the pairs, for people
//! ```
//! `TRAIN` and `EVALUATION` are the digests of the two sets. `exact.*` is the record of a search for equal bytes and pixels alone, where a
//! set has no fingerprints. A record lies beside the evaluation set, or in any other store that is asked for it. Keys are written once.

use bytes::Bytes;
use run_spec::ids::Digest;
use serde::{Deserialize, Serialize};
use store::Store;

use crate::ShardError;
use crate::error::one_line;

/// Version written and read here.
const VERSION: u32 = 1;
/// Folder of the records in their store.
pub const FOLDER: &str = "leaks";

/// How two sets were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// By bytes, by pixels, and for near-copies among images that are large enough.
    Near,
    /// By bytes and by pixels.
    Exact,
}

impl Comparison {
    /// Its name in keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Exact => "exact",
        }
    }
}

/// In which way a training image shows what an evaluation image shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakKind {
    /// The same page of equal files.
    Bytes,
    /// Equal pixels: of the images, or of a patch or cell of either.
    Pixels,
    /// The same field, turned, mirrored, trimmed, resized or compressed again.
    Near,
    /// The same path in the same source, with other content.
    Name,
}

/// A training image and the evaluation image that it is a copy of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// In which way.
    pub kind: LeakKind,
    /// Correlation of the fine detail; 1 for equal pixels.
    pub score: f32,
    /// Source of the training image.
    pub train_source: String,
    /// Path of the training image in its source.
    pub train_image: String,
    /// Source of the evaluation image.
    pub evaluation_source: String,
    /// Path of the evaluation image in its source.
    pub evaluation_image: String,
}

/// How many images of one side were found, of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakedSource {
    /// Name of the source.
    pub source: String,
    /// Images of it that are copies of images of the other set.
    pub leaked: u64,
    /// Images of it in the set.
    pub images: u64,
}

/// The images of one of the two sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakSide {
    /// Digest of the set.
    pub shards: Digest,
    /// Its images.
    pub images: u64,
    /// Of them, those that were compared for near-copies; all were compared by bytes and pixels.
    pub near: u64,
    /// Of the others, those that are too small for near-copies to be recognised.
    pub small: u64,
    /// Its sources of which images were found, by name.
    pub sources: Vec<LeakedSource>,
}

impl LeakSide {
    /// Images that are copies of images of the other set.
    pub fn leaked(&self) -> u64 {
        self.sources.iter().map(|source| source.leaked).sum()
    }
}

/// The record of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaks {
    version: u32,
    /// Name and version of the program that compared.
    pub builder: String,
    /// How the sets were compared.
    pub compared: Comparison,
    /// The training set.
    pub train: LeakSide,
    /// The evaluation set.
    pub evaluation: LeakSide,
    /// Pairs with the same bytes.
    pub bytes: u64,
    /// Pairs with the same pixels in different files.
    pub pixels: u64,
    /// Pairs of near-copies.
    pub near: u64,
    /// Pairs with the same name but different content.
    pub names: u64,
    /// Pairs of like outlines of which stored pictures do not tell whether they are copies; not among the others.
    pub alike: u64,
    /// Digest of the table of pairs.
    pub table: Digest,
}

/// A record that was found, and where it lies.
#[derive(Debug, Clone)]
pub struct FoundLeaks {
    /// The record.
    pub leaks: Leaks,
    store: Store,
}

impl Leaks {
    /// The record of `found`, without its table.
    pub fn new(
        builder: String,
        compared: Comparison,
        (train, evaluation): (LeakSide, LeakSide),
        found: &[Leak],
        alike: u64,
    ) -> Self {
        let of = |kind: LeakKind| found.iter().filter(|leak| leak.kind == kind).count() as u64;
        let (bytes, pixels, near, names) =
            (of(LeakKind::Bytes), of(LeakKind::Pixels), of(LeakKind::Near), of(LeakKind::Name));
        let table = Digest::of(b"");
        Self { version: VERSION, builder, compared, train, evaluation, bytes, pixels, near, names, alike, table }
    }

    /// Pairs of all kinds.
    pub fn pairs(&self) -> u64 {
        self.bytes + self.pixels + self.near + self.names
    }

    /// Publishes the record with its table (CSV) and, where pairs were found, their picture (PNG). One that is there already
    /// stays and is returned.
    ///
    /// # Errors
    /// The store's.
    pub fn publish(mut self, store: &Store, table: Vec<u8>, sheet: Option<Vec<u8>>) -> Result<FoundLeaks, ShardError> {
        self.table = Digest::of(&table);
        let key = |ending: &str| key(&self.train.shards, &self.evaluation.shards, self.compared, ending);
        // What an interrupted attempt left without a record gives way.
        let put = |key: &str, bytes: Bytes| match store.ensure(key, bytes.clone()) {
            Err(store::StoreError::Differs { .. }) => {
                store.delete(key)?;
                store.ensure(key, bytes)
            }
            other => other,
        };
        if !store.exists(&key("json"))? {
            put(&key("csv"), table.into())?;
            sheet.map(|sheet| put(&key("png"), sheet.into())).transpose()?;
        }
        store.create_record_once(&key("json"), &self)?;
        let leaks = store.read_record(&key("json"))?;
        Ok(FoundLeaks { leaks, store: store.clone() })
    }
}

impl FoundLeaks {
    /// Looks for the record of two sets in `stores`, in this order; one that tells of near-copies is preferred.
    ///
    /// # Errors
    /// The stores'; [`ShardError::Leaks`] for a record of another version.
    pub fn find(stores: &[&Store], train: &Digest, evaluation: &Digest) -> Result<Option<Self>, ShardError> {
        for compared in [Comparison::Near, Comparison::Exact] {
            let key = key(train, evaluation, compared, "json");
            for store in stores {
                if store.exists(&key)? {
                    return Self::read(store, &key).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Reads the record at `uri`, as [`uri`](Self::uri) gives it.
    ///
    /// # Errors
    /// The store's; [`ShardError::Leaks`] if the file is not a record of leaks or stands under the wrong key.
    pub fn open(uri: &str) -> Result<Self, ShardError> {
        let strange = || unusable(uri, "a record lies at leaks/TRAIN/EVALUATION/near.json or exact.json of its store");
        let mut parts = uri.rsplitn(5, '/');
        let mut part = || parts.next().ok_or_else(strange);
        let (file, evaluation, train, folder) = (part()?, part()?, part()?, part()?);
        if folder != FOLDER {
            return Err(strange());
        }
        // Without a slash before it, the folder lies in the working folder.
        let root = match part() {
            Ok("") => "/",
            Ok(root) => root,
            Err(_) => ".",
        };
        let store = Store::open(root)?;
        let found = Self::read(&store, &format!("{FOLDER}/{train}/{evaluation}/{file}"))?;
        match found.key("json").ends_with(&format!("/{train}/{evaluation}/{file}")) {
            true => Ok(found),
            false => Err(unusable(uri, "it belongs to other sets than its path says")),
        }
    }

    fn read(store: &Store, key: &str) -> Result<Self, ShardError> {
        let leaks: Leaks = store.read_record(key)?;
        if leaks.version != VERSION {
            let why = format!("it has version {}, this program reads {VERSION}", leaks.version);
            return Err(unusable(&store.uri_of(key), why));
        }
        Ok(Self { leaks, store: store.clone() })
    }

    /// Puts a copy of the record, its table and its picture into `store`, where none is yet.
    ///
    /// # Errors
    /// The stores'; [`ShardError::Leaks`] for another table than it names.
    pub fn copy_to(&self, store: &Store) -> Result<(), ShardError> {
        if store.exists(&self.key("json"))? {
            return Ok(());
        }
        let picture = self.key("png");
        let sheet = self.store.exists(&picture)?.then(|| self.store.get(&picture)).transpose()?;
        self.leaks.clone().publish(store, self.table()?.to_vec(), sheet.map(|bytes| bytes.to_vec()))?;
        Ok(())
    }

    fn key(&self, ending: &str) -> String {
        let Leaks { train, evaluation, compared, .. } = &self.leaks;
        key(&train.shards, &evaluation.shards, *compared, ending)
    }

    /// Where the record lies.
    pub fn uri(&self) -> String {
        self.store.uri_of(&self.key("json"))
    }

    /// Where its table lies.
    pub fn table_uri(&self) -> String {
        self.store.uri_of(&self.key("csv"))
    }

    /// Where the picture of its pairs lies; `None` where it has none.
    ///
    /// # Errors
    /// The store's.
    pub fn sheet_uri(&self) -> Result<Option<String>, ShardError> {
        let key = self.key("png");
        Ok(self.store.exists(&key)?.then(|| self.store.uri_of(&key)))
    }

    /// The bytes of its table, CSV.
    ///
    /// # Errors
    /// The store's; [`ShardError::Leaks`] for another table than it names.
    pub fn table(&self) -> Result<Bytes, ShardError> {
        let bytes = self.store.get(&self.key("csv"))?;
        match Digest::of(&bytes) == self.leaks.table {
            true => Ok(bytes),
            false => Err(unusable(&self.table_uri(), "it is not the table that its record names")),
        }
    }
}

/// The key of a file of a comparison.
fn key(train: &Digest, evaluation: &Digest, compared: Comparison, ending: &str) -> String {
    format!("{FOLDER}/{train}/{evaluation}/{}.{ending}", compared.name())
}

fn unusable(uri: &str, why: impl ToString) -> ShardError {
    ShardError::Leaks { uri: uri.to_owned(), why: one_line(&why.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &[u8], leaked: u64) -> LeakSide {
        let sources = vec![LeakedSource { source: "a".into(), leaked, images: 9 }];
        LeakSide { shards: Digest::of(name), images: 9, near: 8, small: 1, sources }
    }

    fn record(compared: Comparison) -> Leaks {
        let leak = Leak {
            kind: LeakKind::Near,
            score: 0.9,
            train_source: "a".into(),
            train_image: "1.png".into(),
            evaluation_source: "b".into(),
            evaluation_image: "2.png".into(),
        };
        Leaks::new("test 1".into(), compared, (side(b"train", 1), side(b"eval", 1)), &[leak], 0)
    }

    #[test]
    fn a_record_is_found_in_either_store_and_one_of_near_copies_first() {
        let [first, second] = ["memory://leaks-1", "memory://leaks-2"].map(|uri| Store::open(uri).unwrap());
        let (train, eval) = (Digest::of(b"train"), Digest::of(b"eval"));
        let find = || FoundLeaks::find(&[&first, &second], &train, &eval).unwrap();
        assert!(find().is_none());
        record(Comparison::Exact).publish(&first, b"exact".to_vec(), None).unwrap();
        assert_eq!(find().unwrap().leaks.compared, Comparison::Exact);
        record(Comparison::Near).publish(&second, b"near".to_vec(), Some(vec![1])).unwrap();
        let found = find().unwrap();
        assert_eq!((found.leaks.near, found.leaks.pairs(), found.leaks.train.leaked()), (1, 1, 1));
        assert_eq!(found.table().unwrap(), "near");
        assert!(found.sheet_uri().unwrap().unwrap().ends_with("/near.png"));
        assert!(FoundLeaks::find(&[&first, &second], &eval, &train).unwrap().is_none(), "the order of the sets counts");
        let third = Store::open("memory://leaks-3").unwrap();
        found.copy_to(&third).unwrap();
        found.copy_to(&third).unwrap();
        let copy = FoundLeaks::find(&[&third], &train, &eval).unwrap().unwrap();
        assert_eq!((&copy.leaks, copy.table().unwrap()), (&found.leaks, found.table().unwrap()));
        assert!(copy.sheet_uri().unwrap().unwrap().starts_with("memory://leaks-3/"));
    }

    #[test]
    fn a_record_opens_by_its_address_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        let written = record(Comparison::Near).publish(&store, b"table".to_vec(), None).unwrap();
        let opened = FoundLeaks::open(&written.uri()).unwrap();
        assert_eq!((opened.leaks.clone(), opened.uri()), (written.leaks.clone(), written.uri()));
        let again = Leaks { alike: 7, ..record(Comparison::Near) }.publish(&store, b"other".to_vec(), None).unwrap();
        assert_eq!(again.leaks, written.leaks);
        assert_eq!(again.table().unwrap(), "table");
        store.delete(&opened.key("csv")).unwrap();
        store.create(&opened.key("csv"), "edited".into()).unwrap();
        assert!(matches!(opened.table(), Err(ShardError::Leaks { .. })));
        assert!(matches!(FoundLeaks::open("near.json"), Err(ShardError::Leaks { .. })));
    }
}
