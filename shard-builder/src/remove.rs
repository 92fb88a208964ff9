//! `remove`: a new set without one source, for when its licence is withdrawn. The old set stays as it is.
//!
//! Images are copied as they are encoded, so their pixels and digests do not change. Groups keep their names; splits belong
//! to the old set and are to be made again.

use anyhow::{Context, Result, anyhow, ensure};
use run_spec::ids::{Digest, digest_json};
use serde_json::json;
use shards::{Header, Manifest, PatchRow, RowMeta, ShardLimits, ShardSet, ShardWriter};
use store::Store;

use crate::cli::{RemoveArgs, VERSION};
use crate::output::thousands;

/// Largest record that is searched for the digest of the old set, in bytes.
const LARGEST_RECORD: u64 = 16 << 20;

/// Writes the new set and returns what to print.
///
/// # Errors
/// A set that cannot be read, a source that it lacks or that is its only one, another set at `--out`.
pub(crate) fn remove(args: &RemoveArgs) -> Result<String> {
    let set = ShardSet::open(&Store::open(&args.uri)?).with_context(|| format!("open the shard set {}", args.uri))?;
    let old = set.manifest();
    let names: Vec<&str> = old.sources.iter().map(|source| source.name.as_str()).collect();
    let source = args.source.as_str();
    ensure!(names.contains(&source), "--source {source}: the set holds {}", names.join(", "));
    ensure!(names.len() > 1, "--source {source}: it is the only source, so nothing would be left");
    let store = Store::open(&args.out).with_context(|| format!("open --out {}", args.out))?;
    let mut manifest = Manifest::builder(Header {
        product: old.product,
        codec: old.codec,
        builder: format!("shard-builder {VERSION}"),
        config: digest_json(&json!({ "of": set.digest(), "without": source })),
        patch_px: old.patch_px,
    });
    let (mut first, mut kept) = (0, 0_u64);
    for shard in &old.shards {
        let rows = first..first + shard.rows;
        first += shard.rows;
        let mut writer = ShardWriter::new(old.product, old.codec, ShardLimits::default());
        for row in rows {
            let meta = set.meta(row)?;
            if &*meta.source != source {
                writer.push(patch(&set, row, meta)?)?;
            }
        }
        if writer.rows() == 0 {
            continue;
        }
        kept += writer.rows();
        let content = Digest::of(format!("{} without {source}", shard.digest).as_bytes());
        let number = first - shard.rows;
        let finished = writer.finish(&format!("shards/{number:09}-{}.parquet", content.short()))?;
        finished.publish(&store).with_context(|| format!("write a shard to {}", store.uri()))?;
        manifest.add(&finished);
    }
    let digest = manifest.finish().publish(&store).with_context(|| format!("publish the set at {}", store.uri()))?;
    let mut text = format!(
        "{} of {} rows kept, {source} left out: set {} at {}\nsplits belong to the old set; make them again with `shard-builder split`",
        thousands(kept),
        thousands(old.rows),
        digest.short(),
        store.uri()
    );
    for uri in &args.results {
        text.push_str(&users(uri, &set.digest())?);
    }
    Ok(text)
}

fn patch(set: &ShardSet, row: u64, meta: RowMeta) -> Result<PatchRow> {
    let bytes = set.image_bytes(row)?.to_vec();
    let stem = crate::source::files::stem_of(&meta.image);
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
fn users(uri: &str, digest: &Digest) -> Result<String> {
    let store = Store::open(uri).with_context(|| format!("open --results {uri}"))?;
    let digest = digest.to_string();
    let mut found = Vec::new();
    for key in store.list("").with_context(|| format!("list {uri}"))? {
        if !(key.ends_with(".json") || key.ends_with(".jsonl")) {
            continue;
        }
        let bytes =
            store.get(&key).map_err(|error| anyhow!(error)).with_context(|| format!("read {}", store.uri_of(&key)))?;
        ensure!(bytes.len() as u64 <= LARGEST_RECORD, "{} is too large for a record", store.uri_of(&key));
        if bytes.windows(digest.len()).any(|window| window == digest.as_bytes()) {
            found.push(key);
        }
    }
    let count = thousands(found.len() as u64);
    let mut text = format!("\n{count} records of {uri} name the old set");
    for key in found {
        text.push_str(&format!("\n  {key}"));
    }
    Ok(text)
}
