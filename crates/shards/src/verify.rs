//! Proves a shard set: every file, every row, every split. Reads everything once.

use crate::codec::digest_of;
use crate::fingerprints::{FingerprintIndex, PrintParts};
use crate::load::load_shard;
use crate::manifest::{SourceTally, source_entries};
use crate::page::image_of_page;
use crate::set::unpacked;
use crate::strays::strays;
use crate::{
    CARD_KEY, CLAIM_KEY, Claim, EXAMPLES_KEY, Manifest, RowMeta, ShardEntry, ShardError, ShardSet, SourceEntry,
    SplitKind,
};
use imaging::RgbImage;
use run_spec::ids::Digest;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Store, StoreError};

/// Faults listed at most; the count goes on.
const MAX_FAULTS: usize = 100;

/// What a verification proves, and with how many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Decode every image and recompute its pixel digest (most of the time).
    pub pixels: bool,
    /// Threads; each holds one shard in memory.
    pub threads: usize,
}

impl Default for VerifyOptions {
    /// Everything, on up to four threads.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
        Self { pixels: true, threads }
    }
}

/// What was found in a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitReport {
    /// Name of the split.
    pub name: String,
    /// How it was made.
    pub kind: SplitKind,
    /// Rows in each fold.
    pub rows: Vec<u64>,
    /// Pixel digests that occur in more than one fold: blank patches, or copies that the builder did not group.
    pub shared_pixels: u64,
}

/// What was found in a set. The set is good when `faults` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Shards that were read.
    pub shards: u64,
    /// Rows that were found in those shards.
    pub rows: u64,
    /// Bytes of the shards that were read.
    pub bytes: u64,
    /// Images that were decoded; 0 where pixels are not checked.
    pub images_decoded: u64,
    /// Different groups that were found.
    pub groups: u64,
    /// The sources that were found, with their counts.
    pub sources: Vec<SourceEntry>,
    /// The splits that were found and checked.
    pub splits: Vec<SplitReport>,
    /// Images with fingerprints; `None` where the set has none.
    pub fingerprints: Option<u64>,
    /// The first hundred faults.
    pub faults: Vec<ShardError>,
    /// Number of all faults, also of those not listed.
    pub fault_count: u64,
}

impl Report {
    /// Whether no fault was found.
    pub fn is_good(&self) -> bool {
        self.fault_count == 0
    }

    fn fault(&mut self, error: ShardError) {
        self.fault_count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(error);
        }
    }
}

/// Verifies the set at `store`: file digests and sizes, schema and counts, ids from columns, pixel digests from decoded
/// pixels, unique ids, one group per image, splits that cover all groups, the manifest's sums per source, and that nothing lies beside
/// the set which readers could take for a part of it.
///
/// # Errors
/// The manifest's, and the store's when it fails as a whole. Faults of shards and splits are in the report.
pub fn verify(store: &Store, options: VerifyOptions) -> Result<Report, ShardError> {
    let manifest = Manifest::read(store)?;
    let mut report = Report {
        digest: manifest.digest(),
        shards: 0,
        rows: 0,
        bytes: 0,
        images_decoded: 0,
        groups: 0,
        sources: Vec::new(),
        splits: Vec::new(),
        fingerprints: None,
        faults: Vec::new(),
        fault_count: 0,
    };
    let mut tallies: BTreeMap<String, SourceTally> = BTreeMap::new();
    let mut rows: Vec<RowMeta> = Vec::new();
    for checked in check_all(store, &manifest, options) {
        report.shards += 1;
        report.bytes += checked.bytes;
        report.images_decoded += checked.decoded;
        checked.faults.into_iter().for_each(|fault| report.fault(fault));
        for (row, bytes) in checked.rows {
            tallies.entry((*row.source).to_owned()).or_default().add(&row.image, &row.licence, bytes);
            rows.push(row);
        }
    }
    report.rows = rows.len() as u64;
    report.sources = source_entries(&tallies);
    check_sources(&manifest, &mut report);
    check_rows(&rows, &mut report);
    if report.is_good() {
        check_splits(store, &rows, &mut report)?;
    }
    check_fingerprints(store, &manifest, &mut report)?;
    check_claim(store, &manifest, &mut report)?;
    strays(store, &manifest)?.iter().for_each(|stray| report.fault(stray.fault(store)));
    Ok(report)
}

#[derive(Default)]
struct Checked {
    bytes: u64,
    decoded: u64,
    rows: Vec<(RowMeta, u64)>,
    faults: Vec<ShardError>,
}

impl Checked {
    /// Compares the decoded image of a row of `shard` with the digest that the row gives for its pixels.
    fn compare_pixels(&mut self, (shard, row): (&str, u64), decoded: Result<RgbImage, ShardError>, expected: Digest) {
        match decoded {
            Err(error) => self.faults.push(ShardError::row(shard, row, error)),
            Ok(rgb) => {
                self.decoded += 1;
                let found = digest_of(&rgb);
                if expected != found {
                    self.faults.push(ShardError::Pixels { shard: shard.to_owned(), row, expected, found });
                }
            }
        }
    }
}

fn check_all(store: &Store, manifest: &Manifest, options: VerifyOptions) -> Vec<Checked> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Checked)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..options.threads.clamp(1, manifest.shards.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(entry) = manifest.shards.get(i) else { return };
                    let mut checked = Checked::default();
                    if let Err(fault) = check_shard(store, manifest, entry, options, &mut checked) {
                        checked.faults.push(fault);
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((i, checked));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, checked)| checked).collect()
}

fn check_shard(
    store: &Store,
    manifest: &Manifest,
    entry: &ShardEntry,
    options: VerifyOptions,
    checked: &mut Checked,
) -> Result<(), ShardError> {
    let uri = store.uri_of(&entry.key);
    let file = store.get(&entry.key)?;
    checked.bytes = file.len() as u64;
    if file.len() as u64 != entry.bytes {
        let (what, expected, found) = ("bytes", entry.bytes, file.len() as u64);
        return Err(ShardError::Count { subject: uri, what, expected, found });
    }
    let found = Digest::of(&file);
    if found != entry.digest {
        return Err(ShardError::Digest { shard: uri, expected: entry.digest, found });
    }
    let fetch = |range: std::ops::Range<u64>| Ok(file.slice(range.start as usize..range.end as usize));
    let shard = load_shard(&uri, entry, (manifest.product, manifest.codec), &fetch)?;
    for (row, packed) in (0u64..).zip(&shard.rows) {
        let meta = unpacked(packed, &shard.names.texts);
        if meta.expected_id(manifest.product) != meta.id {
            checked.faults.push(ShardError::row(&uri, row, "its id is not that of its source, image and window"));
        }
        let page = file.slice(packed.page_at as usize..packed.page_at as usize + packed.page_bytes as usize);
        match image_of_page(&shard.column, packed.page_at, page) {
            Err(error) => checked.faults.push(ShardError::row(&uri, row, error)),
            Ok(image) => {
                if options.pixels {
                    checked.compare_pixels((&uri, row), manifest.codec.decode(&image), meta.pixel_digest);
                }
                checked.rows.push((meta, image.len() as u64));
            }
        }
    }
    Ok(())
}

fn check_sources(manifest: &Manifest, report: &mut Report) {
    let found: HashMap<String, SourceEntry> =
        report.sources.iter().map(|source| (source.name.clone(), source.clone())).collect();
    let known: HashSet<&str> = manifest.sources.iter().map(|source| source.name.as_str()).collect();
    if !report.is_good() {
        return; // a shard that could not be read makes every sum wrong
    }
    for source in &manifest.sources {
        let none = SourceEntry { rows: 0, images: 0, bytes: 0, licences: Vec::new(), name: source.name.clone() };
        let own = found.get(&source.name).unwrap_or(&none);
        for (what, expected, found) in [
            ("rows", source.rows, own.rows),
            ("images", source.images, own.images),
            ("image bytes", source.bytes, own.bytes),
        ] {
            if expected != found {
                let subject = format!("source {:?}", source.name);
                report.fault(ShardError::Count { subject, what, expected, found });
            }
        }
        if source.licences != own.licences {
            let what = format!("source {:?} has licences {:?}, not {:?}", source.name, own.licences, source.licences);
            report.fault(ShardError::Conflict { what });
        }
    }
    for name in found.keys().filter(|name| !known.contains(name.as_str())) {
        report.fault(ShardError::Conflict { what: format!("source {name:?} is not in the manifest") });
    }
}

fn check_rows(rows: &[RowMeta], report: &mut Report) {
    let mut ids = HashSet::with_capacity(rows.len());
    let mut group_of: HashMap<(&str, &str), &Arc<str>> = HashMap::new();
    let mut groups: HashSet<&str> = HashSet::new();
    for row in rows {
        groups.insert(&row.group);
        if !ids.insert(row.id) {
            report.fault(ShardError::Conflict { what: format!("id {} occurs twice ({})", row.id, row.image) });
        }
        let group = group_of.entry((&row.source, &row.image)).or_insert(&row.group);
        if **group != row.group {
            let what = format!("image {:?} of {} is in groups {group:?} and {:?}", row.image, row.source, row.group);
            report.fault(ShardError::Conflict { what });
        }
    }
    report.groups = groups.len() as u64;
}

/// The claim, where there is one, names the configuration that the set was built with, and what builds write last is there.
fn check_claim(store: &Store, manifest: &Manifest, report: &mut Report) -> Result<(), ShardError> {
    let claim = match Claim::read(store) {
        Ok(claim) => claim,
        Err(fault @ ShardError::Claim { .. }) => {
            report.fault(fault);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    // A set without a claim was written by another program, which may write no card.
    let Some(claim) = claim else { return Ok(()) };
    for key in [CARD_KEY, EXAMPLES_KEY] {
        if !store.exists(key)? {
            report.fault(ShardError::NoCard { uri: store.uri_of(key) });
        }
    }
    if claim.config != manifest.config {
        let what = format!("{} names another configuration than the manifest", store.uri_of(CLAIM_KEY));
        report.fault(ShardError::Conflict { what });
    }
    Ok(())
}

/// Every file of the fingerprints is what their record says, and they are of the images that the rows come from.
fn check_fingerprints(store: &Store, manifest: &Manifest, report: &mut Report) -> Result<(), ShardError> {
    let index = match FingerprintIndex::read(store, manifest) {
        Ok(None) => return Ok(()),
        Ok(Some(index)) => index,
        Err(fault @ ShardError::Store(StoreError::Record { .. }) | fault @ ShardError::Fingerprints { .. }) => {
            report.fault(fault);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let images: u64 = manifest.sources.iter().map(|source| source.images).sum();
    if index.images() != images {
        let what = format!("there are fingerprints of {} images, and rows of {images}", index.images());
        report.fault(ShardError::Conflict { what });
    }
    for number in 0..index.blocks.len() {
        if let Err(fault) = index.block((store, manifest), number, PrintParts::Facts) {
            report.fault(fault);
        }
    }
    report.fingerprints = Some(index.images());
    Ok(())
}

fn check_splits(store: &Store, rows: &[RowMeta], report: &mut Report) -> Result<(), ShardError> {
    let set = ShardSet::open(store)?;
    for name in set.split_names()? {
        let split = match set.split(&name) {
            Ok(split) => split,
            Err(fault) => {
                report.fault(fault);
                continue;
            }
        };
        let mut counts = vec![0u64; split.folds() as usize];
        let mut seen: HashMap<Digest, u32> = HashMap::new();
        let mut shared: HashSet<Digest> = HashSet::new();
        for row in rows {
            let Some(fold) = split.fold_of(&row.group) else { continue };
            counts[fold as usize] += 1;
            if *seen.entry(row.pixel_digest).or_insert(fold) != fold {
                shared.insert(row.pixel_digest);
            }
        }
        if let Some(fold) = counts.iter().position(|&n| n == 0) {
            report.fault(ShardError::split(&name, format!("has no rows in fold {fold}; make it again")));
        }
        let shared_pixels = shared.len() as u64;
        report.splits.push(SplitReport { name, kind: split.kind(), rows: counts, shared_pixels });
    }
    Ok(())
}
