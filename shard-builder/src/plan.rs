//! The plan of a shard set: every row and its shard, before any pixel is encoded.
//!
//! A shard's key holds the digest of its planned content, so a build that was killed finds the shards it finished, and a
//! build of anything else never takes them for its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use image::RgbImage;
use imaging::DecodeLimits;
use run_spec::ids::{Digest, PatchKey, Product, patch_id};

use crate::output::{Progress, thousands};
use crate::source::describe::Source;
use crate::source::groups::Joined;
use crate::survey::{Located, Picture};
use near_copies::{CopyKind, Fingerprinter, FoundCopies, Pair, SearchContext, Subject};

/// Share of a source's groups from which joining is worth a warning.
const MANY: f64 = 0.05;

/// A row to be written.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Position of its picture.
    pub(crate) picture: usize,
    /// Position of its cut in the picture.
    pub(crate) cut: usize,
    /// Its id.
    pub(crate) id: Digest,
}

/// A shard to be written.
#[derive(Debug)]
pub(crate) struct PlannedShard {
    /// Digest of what it will hold.
    pub(crate) content: Digest,
    /// Its rows, in order.
    pub(crate) rows: Vec<Row>,
}

/// The pictures that show the same, by position. Of each picture that was decoded the fingerprint is taken away.
pub(crate) fn copies(sources: &[Located], pictures: &mut [Picture], limits: DecodeLimits) -> FoundCopies {
    let (mut places, mut subjects) = (Vec::new(), Vec::new());
    for (place, picture) in pictures.iter_mut().enumerate() {
        if let Some(seen) = &mut picture.seen {
            places.push(place);
            let fingerprint = seen.fingerprint.take();
            subjects.push(Subject { file: (seen.file, seen.page), pixels: seen.pixels, fingerprint });
        }
    }
    let around = Around { sources, pictures, places: &places, limits };
    let found = near_copies::find(&subjects, &Fingerprinter::new(), &around);
    let pairs =
        found.pairs.into_iter().map(|pair| Pair { a: places[pair.a], b: places[pair.b], kind: pair.kind }).collect();
    FoundCopies { pairs, ..found }
}

/// What the search for copies asks of a build: pixels, and a place to say how far it is.
struct Around<'a> {
    sources: &'a [Located],
    pictures: &'a [Picture],
    /// The picture of each subject.
    places: &'a [usize],
    limits: DecodeLimits,
}

impl SearchContext for Around<'_> {
    fn pixels(&self, subject: usize) -> Option<RgbImage> {
        let picture = &self.pictures[self.places[subject]];
        self.sources[picture.source].rgb(&picture.image, self.limits).ok()
    }

    fn run(&self, step: &str, parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync))) {
        let progress = Progress::start(step, parts as u64);
        work(&|| progress.tick());
        progress.end();
    }
}

/// All groups of a build, joined where images share bytes, pixels or a field of view, or are near-copies.
///
/// Returns the group of each picture; for unused ones an empty text.
pub(crate) fn groups(sources: &[Located], pictures: &[Picture], copies: &[Pair]) -> Vec<String> {
    let mut joined = Joined::default();
    let used = || {
        pictures.iter().filter_map(|picture| {
            let (Ok(used), Some(seen)) = (&picture.used, &picture.seen) else { return None };
            Some((picture, seen, used.group.as_str()))
        })
    };
    joined.join_equal(used().map(|(_, seen, group)| (seen.file, group)));
    joined.join_equal(used().map(|(_, seen, group)| (seen.pixels, group)));
    let name = |picture: &Picture| sources[picture.source].source.name.as_str();
    let by_path: HashMap<(&str, &str), &str> =
        used().map(|(picture, _, group)| ((name(picture), picture.image.as_str()), group)).collect();
    for Source { name, same_as, .. } in sources.iter().map(|located| &located.source) {
        for pair in same_as {
            let here = by_path.get(&(name.as_str(), pair.image.as_str()));
            let there = by_path.get(&(pair.source.as_str(), pair.of.as_str()));
            if let (Some(here), Some(there)) = (here, there) {
                joined.join(here, there);
            }
        }
    }
    for pair in copies.iter().filter(|pair| matches!(pair.kind, CopyKind::Near(_))) {
        if let (Ok(a), Ok(b)) = (&pictures[pair.a].used, &pictures[pair.b].used) {
            joined.join(&a.group, &b.group);
        }
    }
    pictures
        .iter()
        .map(|picture| picture.used.as_ref().map_or_else(|_| String::new(), |used| joined.name(&used.group).to_owned()))
        .collect()
}

/// A sentence for each source of which more than [`MANY`] of the groups were joined with others.
///
/// `groups` is what [`groups`] returned. So many copies are rare: the source may hold a dataset twice, or its group rule parts what
/// belongs together, or cells were taken for copies that are none.
pub(crate) fn much_joined(sources: &[Located], pictures: &[Picture], groups: &[String]) -> Vec<String> {
    let mut parts: BTreeMap<&str, BTreeSet<(&str, usize)>> = BTreeMap::new();
    for (picture, group) in pictures.iter().zip(groups) {
        if let Ok(used) = &picture.used {
            parts.entry(group).or_default().insert((&used.group, picture.source));
        }
    }
    // Parts of one dataset may share a group without any copies.
    let several = |parts: &BTreeSet<(&str, usize)>| parts.first().map(|part| part.0) != parts.last().map(|part| part.0);
    let of_source = |(index, located): (usize, &Located)| {
        let own = |parts: &BTreeSet<(&str, usize)>| parts.iter().filter(|(_, source)| *source == index).count();
        let all: usize = parts.values().map(own).sum();
        let joined: usize = parts.values().filter(|parts| several(parts)).map(own).sum();
        let largest = parts.values().map(own).max().unwrap_or_default();
        (joined as f64 > MANY * all as f64).then(|| {
            format!(
                "source {}: copies joined {} of its {} groups with others, {} of them into one; look at report/copies-*.csv before \
                 you split this set (--near-copies ignore builds without near-copies)",
                located.source.name,
                thousands(joined as u64),
                thousands(all as u64),
                thousands(largest as u64),
            )
        })
    };
    sources.iter().enumerate().filter_map(of_source).collect()
}

/// Shares all rows out to shards of `rows_per_shard`, in the order of the pictures.
pub(crate) fn shards(
    config: &Digest,
    product: Product,
    sources: &[Located],
    pictures: &[Picture],
    groups: &[String],
    rows_per_shard: usize,
) -> Vec<PlannedShard> {
    let mut rows = Vec::new();
    for (picture, of) in pictures.iter().enumerate() {
        let source = &sources[of.source].source.name;
        for (cut, at) in of.used.iter().flat_map(|used| used.cuts.iter().enumerate()) {
            let (x, y) = (i64::from(at.x), i64::from(at.y));
            let id = patch_id(&PatchKey { source, image: &of.image, x, y, w: at.w, h: at.h, product });
            rows.push(Row { picture, cut, id });
        }
    }
    rows.chunks(rows_per_shard)
        .map(|rows| PlannedShard { content: content(config, pictures, groups, rows), rows: rows.to_vec() })
        .collect()
}

/// The digest of all that a shard's bytes depend on: the configuration, the source files, and what the plan says.
fn content(config: &Digest, pictures: &[Picture], groups: &[String], rows: &[Row]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(b"reddino shard content v1");
    add(config.as_bytes());
    for row in rows {
        let picture = &pictures[row.picture];
        add(row.id.as_bytes());
        add(groups[row.picture].as_bytes());
        if let Some(seen) = &picture.seen {
            add(seen.file.as_bytes());
        }
        let label = picture.used.as_ref().ok().and_then(|used| used.cuts[row.cut].label.as_deref());
        add(label.map_or(b"-".as_slice(), |_| b"+"));
        add(label.unwrap_or_default().as_bytes());
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}
