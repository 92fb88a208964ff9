//! `remove`: a new set without one source, for when its licence is withdrawn, or without the images that are copies of evaluation images.
//! The old set stays as it is.
//!
//! Images are copied as they are encoded, so their pixels and digests do not change. Groups keep their names; the report and the fingerprints
//! are the old ones without what goes, and the card is made anew. Splits belong to the old set and are to be made again.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use datasets::survey::CopySearch;
use run_spec::ids::{Digest, canonical_json, digest_json};
use serde_json::{Value, json};
use shards::{
    FinishedShard, Header, Manifest, PatchRow, RowMeta, ShardLimits, ShardSet, ShardSplit, ShardWriter,
    planned_shard_key, report_key, split_shard_key,
};
use store::Store;

use crate::card::{self, Card, DataFiles};
use crate::cli::{RemoveArgs, VERSION};
use crate::fingerprints;
use crate::left_out::LeftOut;
use crate::progress::Progress;
use crate::resume::Resumed;
use crate::set_report::{IGNORED, SetReport};
use crate::target::Target;
use terminal::thousands;

/// Largest record that is searched for the digest of the old set, in bytes.
const LARGEST_RECORD: u64 = 16 << 20;

/// Writes the new set and returns what to print.
///
/// # Errors
/// A set that cannot be read, a source that it lacks or that is its only one, no record of leaks, another set at `--out`.
pub(crate) fn remove(args: &RemoveArgs) -> Result<String> {
    let set =
        ShardSet::open(&Store::open(&args.uri)?).with_context(|| format!("cannot open the shard set {}", args.uri))?;
    let left_out = LeftOut::of(args, &set)?;
    let users = args.results.iter().map(|uri| users(uri, &set.digest())).collect::<Result<String>>()?;
    let kept: Vec<RowMeta> = set.metas().filter(|row| !left_out.holds(&row.source, &row.image)).collect();
    ensure!(!kept.is_empty(), "without {}, nothing of the set would remain", left_out.words);
    let sources: BTreeSet<&str> = kept.iter().map(|row| &*row.source).collect();
    let report = SetReport::read(&set)?.without(&|source, image| left_out.holds(source, image), &sources)?;
    let mut config = json!({ "of": set.digest(), "sources": report.sources() });
    left_out.describe(&mut config);
    // Not named otherwise: removals by earlier versions keep their digest.
    if report.copy_search() == CopySearch::Exact {
        config["near_copies"] = json!(IGNORED);
    }
    let target = Target::take(&args.out, digest_json(&config), &[])?;
    let old = set.manifest();
    let rest = old.sources.iter().filter(|entry| sources.contains(entry.name.as_str())).map(|entry| entry.bytes).sum();
    if target.is_empty() {
        target.verify_ready(rest).inspect_err(|_| target.release())?;
    }
    let content = left_out.content(&set.digest());
    let removal = Removal { content, set, left_out, target };
    let store = &removal.target.store;
    let fingerprints =
        fingerprints::copy(&removal.set, (store, &content), |source, image| !removal.left_out.holds(source, image))?;
    let (manifest, resumed) = removal.write_shards(digest_json(&config))?;
    if let Some(fingerprints) = fingerprints {
        fingerprints::publish(store, &manifest, fingerprints)?;
    }
    let (digest, stays) = removal.finish(&manifest, &report, &config)?;
    let splits = match removal.set.split_names()?.as_slice() {
        [] => String::new(),
        names => format!(
            "\nthe splits of the old set ({}) are not those of the new one; make them again with `shard-builder split`",
            names.join(", ")
        ),
    };
    Ok(format!(
        "{} of {} rows kept, {} left out: set {} at {}{resumed}{stays}{splits}{users}",
        thousands(manifest.rows),
        thousands(removal.set.len()),
        removal.left_out.words,
        digest.short(),
        store.uri()
    ))
}

/// A set that is copied without some of its images.
struct Removal {
    set: ShardSet,
    left_out: LeftOut,
    target: Target,
    /// Names the folder of the new shards.
    content: Digest,
}

impl Removal {
    /// Writes what stays of each shard, or finds it as an interrupted run left it.
    fn write_shards(&self, config: Digest) -> Result<(Manifest, Resumed)> {
        let old = self.set.manifest();
        let mut manifest = Manifest::builder(Header {
            product: old.product,
            codec: old.codec,
            builder: format!("shard-builder {VERSION}"),
            config,
            patch_px: old.patch_px,
        });
        let progress = Progress::start("copy shards", old.shards.len() as u64);
        let (mut first, mut number, mut resumed) = (0, 0, Resumed::default());
        for shard in &old.shards {
            let mut rows = Vec::new();
            for row in first..first + shard.rows {
                let meta = self.set.meta(row)?;
                if !self.left_out.holds(&meta.source, &meta.image) {
                    rows.push((row, meta));
                }
            }
            first += shard.rows;
            if !rows.is_empty() {
                manifest.add(&self.shard(number, rows, shard.split(), &mut resumed)?);
                number += 1;
            }
            progress.tick();
        }
        progress.end();
        Ok((manifest.finish(), resumed))
    }

    fn shard(
        &self,
        number: u64,
        rows: Vec<(u64, RowMeta)>,
        split: Option<&str>,
        resumed: &mut Resumed,
    ) -> Result<FinishedShard> {
        let (store, old) = (&self.target.store, self.set.manifest());
        let key = match split {
            Some(split) => split_shard_key(&self.content, split, number),
            None => planned_shard_key(&self.content, number),
        };
        let kind = (rows.len() as u64, old.product, old.codec);
        if let Some(finished) = resumed.find(store, &key, kind, |place, there| rows[place].1 == *there)? {
            return Ok(finished);
        }
        let mut writer = ShardWriter::new(old.product, old.codec, ShardLimits::default());
        if let Some(split) = split {
            writer = writer.of_split(ShardSplit { name: split.to_owned(), roles: self.set.roles().clone() });
        }
        for (row, meta) in rows {
            writer.push(patch(&self.set, row, meta)?)?;
        }
        let finished = writer.finish(&key)?;
        finished.publish(store).with_context(|| format!("cannot write {}", store.uri_of(&key)))?;
        Ok(finished)
    }

    /// Writes the report and the card and publishes the set, as a build does.
    fn finish(&self, manifest: &Manifest, report: &SetReport, config: &Value) -> Result<(Digest, String)> {
        let mut files: Vec<(String, Vec<u8>)> =
            report.files(&self.content).map(|(key, bytes)| (key, bytes.to_vec())).collect();
        files.push((report_key(&self.content, "config", "json"), canonical_json(config).into_bytes()));
        let stays = self.target.write_report(&files)?;
        let lines = report.card_lines(manifest);
        let sources: Vec<(&str, &str)> = lines.iter().map(|line| (line.name, line.licence)).collect();
        let kept = self.set.metas().filter(|row| !self.left_out.holds(&row.source, &row.image));
        let groups: BTreeSet<Arc<str>> = kept.map(|row| row.group).collect();
        let card = Card {
            product: manifest.product,
            groups: groups.len() as u64,
            flaws: report.flaws(&sources.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
            copies: &report.copies(),
            files: DataFiles::of(manifest),
            left_out: format!("Made of set {}, with {} left out.", self.set.digest().short(), self.left_out.words),
            lines,
        };
        // The rows of the old set are those of the new one, which is no set yet.
        let (digest, kept) = self.target.publish(manifest, card.text(), card::examples_of(&self.set, &sources)?)?;
        Ok((digest, stays + &kept))
    }
}

fn patch(set: &ShardSet, row: u64, meta: RowMeta) -> Result<PatchRow> {
    let bytes = set.image_bytes(row)?.to_vec();
    let stem = datasets::schema::stem_of(&meta.image);
    let path = format!("{}-{stem}-{}-{}.{}", meta.source, meta.x, meta.y, set.manifest().codec.extension());
    Ok(PatchRow {
        id: meta.id,
        pixel_digest: meta.pixel_digest,
        source: meta.source.to_string(),
        image: meta.image.to_string(),
        group: meta.group.to_string(),
        x: meta.x,
        y: meta.y,
        w: meta.w,
        h: meta.h,
        label: meta.label.map(|label| label.to_string()),
        licence: meta.licence.to_string(),
        bytes,
        path,
    })
}

/// The records of a store of runs or sweeps that name the old set.
///
/// # Errors
/// Nothing at that address; a record that cannot be read or is too large for one.
fn users(uri: &str, digest: &Digest) -> Result<String> {
    let store = Store::open(uri).with_context(|| format!("cannot open --results {uri}"))?;
    let digest = digest.to_string();
    let mut found = Vec::new();
    let keys = store.list("").with_context(|| format!("list {uri}"))?;
    let there = !keys.is_empty() || store.directory().is_some_and(|folder| folder.is_dir());
    ensure!(there, "--results {uri}: nothing is there; name the folder or store of the runs or sweeps");
    let records: Vec<String> =
        keys.into_iter().filter(|key| key.ends_with(".json") || key.ends_with(".jsonl")).collect();
    ensure!(
        !records.is_empty(),
        "--results {uri}: no record (.json, .jsonl) is there; name the folder or store of the runs or sweeps"
    );
    let searched = records.len() as u64;
    for key in records {
        let bytes = store
            .get(&key)
            .map_err(|error| anyhow!(error))
            .with_context(|| format!("cannot read {}", store.uri_of(&key)))?;
        ensure!(bytes.len() as u64 <= LARGEST_RECORD, "{} is too large for a record", store.uri_of(&key));
        if bytes.windows(digest.len()).any(|window| window == digest.as_bytes()) {
            found.push(key);
        }
    }
    let count = thousands(found.len() as u64);
    let mut text = format!("\n{count} of the {} records of {uri} name the old set", thousands(searched));
    for key in found {
        text.push_str(&format!("\n  {key}"));
    }
    Ok(text)
}
