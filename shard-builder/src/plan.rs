//! The plan of a shard set: every row and its shard, before any pixel is encoded.
//!
//! A shard's key holds the digest of its planned content, so a build that was killed finds the shards it finished, and a
//! build of anything else never takes them for its own.

use std::collections::HashMap;

use run_spec::ids::{Digest, PatchKey, Product, patch_id};

use crate::copies::{self, Likeness, Maker, Pair, Subject};
use crate::source::describe::Source;
use crate::source::groups::Joined;
use crate::survey::{Located, Picture};

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

/// The pairs of pictures that show the same, by position. Of each picture that was decoded the fingerprint is taken away.
pub(crate) fn copies(pictures: &mut [Picture]) -> Vec<Pair> {
    let (mut places, mut subjects) = (Vec::new(), Vec::new());
    for (place, picture) in pictures.iter_mut().enumerate() {
        if let Some(seen) = &mut picture.seen {
            places.push(place);
            let fingerprint = seen.fingerprint.take();
            subjects.push(Subject { file: (seen.file, seen.page), pixels: seen.pixels, fingerprint });
        }
    }
    let pairs = copies::find(&subjects, &Maker::new());
    pairs.into_iter().map(|pair| Pair { a: places[pair.a], b: places[pair.b], how: pair.how }).collect()
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
    for pair in copies.iter().filter(|pair| matches!(pair.how, Likeness::Near(_))) {
        if let (Ok(a), Ok(b)) = (&pictures[pair.a].used, &pictures[pair.b].used) {
            joined.join(&a.group, &b.group);
        }
    }
    pictures
        .iter()
        .map(|picture| picture.used.as_ref().map_or_else(|_| String::new(), |used| joined.name(&used.group).to_owned()))
        .collect()
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
