//! `diff`: what two shard sets do not have in common, row by row.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use run_spec::ids::Digest;
use shards::{RowMeta, ShardSet};
use store::Store;

use crate::cli::DiffArgs;
use crate::output::{table, thousands};

/// How the rows of one source differ.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Tally {
    same: u64,
    only_a: u64,
    only_b: u64,
    pixels: u64,
    labels: u64,
    groups: u64,
    licences: u64,
}

/// Compares two sets and returns what to print.
///
/// # Errors
/// A set that cannot be read.
pub(crate) fn diff(args: &DiffArgs) -> Result<String> {
    let open = |uri: &str| -> Result<ShardSet> {
        ShardSet::open(&Store::open(uri)?).with_context(|| format!("open the shard set {uri}"))
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
    let tallies = tallies(a.metas(), b.metas());
    let header = ["source", "same", "only in A", "only in B", "pixels", "labels", "groups", "licences"];
    let rows: Vec<Vec<String>> = tallies
        .iter()
        .map(|(source, tally)| {
            let counts =
                [tally.same, tally.only_a, tally.only_b, tally.pixels, tally.labels, tally.groups, tally.licences];
            std::iter::once(source.clone()).chain(counts.map(thousands)).collect()
        })
        .collect();
    let same = tallies.values().all(|tally| Tally { same: 0, ..tally.clone() } == Tally::default());
    let end = if same { "\nthe rows are the same; shards, order or configuration differ" } else { "" };
    Ok(format!("{head}\n{}{end}", table(&header, &header[1..], &rows)))
}

fn tallies(a: impl Iterator<Item = RowMeta>, b: impl Iterator<Item = RowMeta>) -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut rows: BTreeMap<Digest, RowMeta> = a.map(|row| (row.id, row)).collect();
    for there in b {
        let tally = tallies.entry(there.source.to_string()).or_default();
        match rows.remove(&there.id) {
            None => tally.only_b += 1,
            Some(here) if here == there => tally.same += 1,
            Some(here) => {
                tally.pixels += u64::from(here.pixel_digest != there.pixel_digest);
                tally.labels += u64::from(here.label != there.label);
                tally.groups += u64::from(here.group != there.group);
                tally.licences += u64::from(here.licence != there.licence);
            }
        }
    }
    for here in rows.into_values() {
        tallies.entry(here.source.to_string()).or_default().only_a += 1;
    }
    tallies
}
