//! The plan of a shard set: every row and its shard, before any pixel is encoded.
//!
//! A shard's key holds the digest of its planned content, so a build that was killed finds the shards it finished, and a
//! build of anything else never takes them for its own.

use std::collections::BTreeSet;

use datasets::reading::LocatedSource;
use datasets::survey::{CopySearch, GroupCounts, ImageRecord, count_groups};
use run_spec::ids::{Digest, PatchKey, Product, patch_id};

use crate::use_split::UseSplit;
use terminal::{counted, thousands};

/// Share of a source's groups from which joining is worth a warning.
const MANY: f64 = 0.05;

/// A row to be written.
#[derive(Debug, Clone)]
pub(crate) struct PlannedRow {
    /// Position of its image.
    pub(crate) image: usize,
    /// Position of its cut in the image.
    pub(crate) cut: usize,
    /// Its id in the set.
    pub(crate) id: Digest,
}

/// A shard to be written.
#[derive(Debug)]
pub(crate) struct PlannedShard {
    /// Digest of what it will hold.
    pub(crate) content: Digest,
    /// Its rows, in order.
    pub(crate) rows: Vec<PlannedRow>,
    /// The split of all of them, in a set with splits.
    pub(crate) split: Option<UseSplit>,
}

/// A sentence for each source of which more than [`MANY`] of the groups were joined with others.
///
/// `groups` are those of the images, `table` is the key of the table of copies. So many copies are rare: the source may hold a dataset
/// twice, or its group rule may divide what belongs together, or cells were taken for copies that are not.
pub(crate) fn much_joined(
    sources: &[LocatedSource],
    images: &[ImageRecord],
    groups: &[String],
    (search, table): (CopySearch, &str),
) -> Vec<String> {
    let counts = count_groups(sources.len(), images, groups);
    let many = sources.iter().zip(counts).filter(|(_, counts)| counts.joined as f64 > MANY * counts.all as f64);
    let sentence = |(located, counts): (&LocatedSource, GroupCounts)| {
        let left = match counts.left {
            left if left < counts.all => {
                format!(", so {} of its {} are left", thousands(left as u64), thousands(counts.all as u64))
            }
            _ => String::new(),
        };
        let near = match search {
            CopySearch::Exact => "",
            CopySearch::Near | CopySearch::Indexed => {
                "if near-copies among them are not copies, build the set again with --near-copies ignore; "
            }
        };
        format!(
            "source {}: copies of images join {} of its {} (patients or slides) with other groups{left}; a split cannot separate joined \
             groups. {table} lists the copies: {near}if they are copies, `group` in the description may not separate patients",
            located.source.name,
            thousands(counts.joined as u64),
            counted(counts.all, "group"),
        )
    };
    many.map(sentence).collect()
}

/// What rows are shared out by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sharing<'a> {
    /// Digest of the configuration of the build.
    pub(crate) config: &'a Digest,
    /// Whether the rows are patches or cells.
    pub(crate) product: Product,
    /// Rows of a shard, at most.
    pub(crate) rows_per_shard: usize,
    /// The split of each image, in a set with splits.
    pub(crate) splits: Option<&'a [UseSplit]>,
}

/// Shares all rows out to shards, in the order of the images, those of a split together.
pub(crate) fn shards(
    sharing: Sharing<'_>,
    sources: &[LocatedSource],
    images: &[ImageRecord],
    groups: &[String],
) -> Vec<PlannedShard> {
    let Some(splits) = sharing.splits else { return shards_of(sharing, sources, (images, groups), None) };
    let all: BTreeSet<UseSplit> = splits.iter().copied().collect();
    all.into_iter().flat_map(|split| shards_of(sharing, sources, (images, groups), Some(split))).collect()
}

/// The shards of one split, or of a set without splits.
fn shards_of(
    Sharing { config, product, rows_per_shard, splits }: Sharing<'_>,
    sources: &[LocatedSource],
    (images, groups): (&[ImageRecord], &[String]),
    split: Option<UseSplit>,
) -> Vec<PlannedShard> {
    let mut rows = Vec::new();
    let is_own = |image: usize| splits.is_none_or(|splits| split == splits.get(image).copied());
    for (image, record) in images.iter().enumerate().filter(|(image, _)| is_own(*image)) {
        let source = &sources[record.source].source.name;
        for (cut, at) in record.cuts().iter().enumerate() {
            let (x, y) = (i64::from(at.x), i64::from(at.y));
            let id = patch_id(&PatchKey { source, image: &record.image, x, y, w: at.w, h: at.h, product });
            rows.push(PlannedRow { image, cut, id });
        }
    }
    rows.chunks(rows_per_shard)
        .map(|rows| PlannedShard { content: content(config, images, groups, rows), rows: rows.to_vec(), split })
        .collect()
}

/// The digest of all that a shard's bytes depend on: the configuration, the source files, and what the plan says.
fn content(config: &Digest, images: &[ImageRecord], groups: &[String], rows: &[PlannedRow]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(b"reddino shard content v1");
    add(config.as_bytes());
    for row in rows {
        let image = &images[row.image];
        add(row.id.as_bytes());
        add(groups[row.image].as_bytes());
        if let Some(info) = &image.info {
            add(info.file.as_bytes());
        }
        let label = image.used.as_ref().ok().and_then(|used| used.cuts[row.cut].label.as_deref());
        add(label.map_or(b"-".as_slice(), |_| b"+"));
        add(label.unwrap_or_default().as_bytes());
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}
