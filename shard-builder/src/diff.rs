//! `diff`: what two shard sets do not have in common, row by row.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use run_spec::ids::Digest;
use shards::{RowMeta, ShardSet};
use store::Store;

use crate::cli::DiffArgs;
use terminal::{table, thousands};

/// How the rows of one source differ.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct SourceDiff {
    /// Rows that are the same in both sets.
    same: u64,
    /// Rows that only set A holds.
    only_a: u64,
    /// Rows that only set B holds.
    only_b: u64,
    /// Rows of both sets that show different pixels.
    pixels: u64,
    /// Rows of both sets with different labels.
    labels: u64,
    /// Rows of both sets in different groups.
    groups: u64,
    /// Rows of both sets under different licences.
    licences: u64,
}

/// Compares two sets and returns what to print.
///
/// # Errors
/// A set that cannot be read.
pub(crate) fn diff(args: &DiffArgs) -> Result<String> {
    let open = |uri: &str| -> Result<ShardSet> {
        ShardSet::open(&Store::open(uri)?).with_context(|| format!("cannot open the shard set {uri}"))
    };
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    let head = format!(
        "A: {} {}, set {}, configuration {}\nB: {} {}, set {}, configuration {}",
        thousands(a.len()),
        a.manifest().product,
        a.digest().short(),
        a.manifest().config.short(),
        thousands(b.len()),
        b.manifest().product,
        b.digest().short(),
        b.manifest().config.short(),
    );
    if a.digest() == b.digest() {
        return Ok(format!("{head}\nthe sets are the same"));
    }
    let source_diffs = source_diffs(a.metas(), b.metas());
    let header = ["source", "same", "only in A", "only in B", "pixels", "labels", "groups", "licences"];
    let rows: Vec<Vec<String>> = source_diffs
        .iter()
        .map(|(source, diff)| {
            let counts = [diff.same, diff.only_a, diff.only_b, diff.pixels, diff.labels, diff.groups, diff.licences];
            std::iter::once(source.clone()).chain(counts.map(thousands)).collect()
        })
        .collect();
    let same = source_diffs.values().all(|diff| SourceDiff { same: 0, ..diff.clone() } == SourceDiff::default());
    let end = if same { "\nthe rows are the same; shards, order or configuration differ" } else { "" };
    Ok(format!("{head}\n{}{end}", table(&header, &header[1..], &rows)))
}

fn source_diffs(a: impl Iterator<Item = RowMeta>, b: impl Iterator<Item = RowMeta>) -> BTreeMap<String, SourceDiff> {
    let mut source_diffs: BTreeMap<String, SourceDiff> = BTreeMap::new();
    let mut rows: BTreeMap<Digest, RowMeta> = a.map(|row| (row.id, row)).collect();
    for there in b {
        let diff = source_diffs.entry(there.source.to_string()).or_default();
        match rows.remove(&there.id) {
            None => diff.only_b += 1,
            Some(here) if here == there => diff.same += 1,
            Some(here) => {
                diff.pixels += u64::from(here.pixel_digest != there.pixel_digest);
                diff.labels += u64::from(here.label != there.label);
                diff.groups += u64::from(here.group != there.group);
                diff.licences += u64::from(here.licence != there.licence);
            }
        }
    }
    for here in rows.into_values() {
        source_diffs.entry(here.source.to_string()).or_default().only_a += 1;
    }
    source_diffs
}
