//! A set of as many rows as the paper's, of tiny images: what opening it and planning over it takes.

use crate::process;
use anyhow::{Context, Result};
use run_spec::config::ResolvedConfig;
use run_spec::ids::{Digest, PatchKey, Product, patch_id};
use run_spec::plan::{Place, Plan};
use run_spec::seed::stream;
use serde_json::{Value, json};
use shards::{Codec, Header, Manifest, PatchRow, RgbImage, ShardLimits, ShardSet, ShardWriter, shard_key};
use std::time::Instant;
use store::Store;

/// Side of the tiny images, px.
const SIDE: u32 = 8;
/// Rows of a shard, as `shard-builder` makes them.
const ROWS_PER_SHARD: u64 = 1024;
/// Rows cut from one image, as of a field of view.
const ROWS_PER_IMAGE: u64 = 12;
/// Sources, as in the paper.
const SOURCES: u64 = 18;
/// Random rows that are read.
const READS: u64 = 2000;

/// Writes a set of `rows` rows.
pub(crate) fn make(out: &str, rows: u64) -> Result<Value> {
    let start = Instant::now();
    let store = Store::open(out)?;
    let codec = Codec::Png;
    let header = Header {
        product: Product::Patches,
        codec,
        builder: "shards-bench".to_owned(),
        config: Digest::of(b"shards-bench"),
        patch_px: SIDE,
    };
    let mut manifest = Manifest::builder(header);
    let mut random = stream(0, "bench/tiny", &[]);
    for shard in 0..rows.div_ceil(ROWS_PER_SHARD) {
        let mut writer = ShardWriter::new(Product::Patches, codec, ShardLimits::default());
        for row in shard * ROWS_PER_SHARD..rows.min((shard + 1) * ROWS_PER_SHARD) {
            let data = (0..SIDE * SIDE * 3).map(|_| random.next_u64() as u8).collect();
            let pixels = RgbImage::from_raw(SIDE, SIDE, data).context("as many values as pixels")?;
            writer.push(tiny(row, rows, codec, pixels)?)?;
        }
        let finished = writer.finish(&shard_key(shard))?;
        finished.publish(&store)?;
        manifest.add(&finished);
    }
    manifest.finish().publish(&store)?;
    Ok(json!({ "rows": rows, "seconds": start.elapsed().as_secs_f64() }))
}

fn tiny(row: u64, rows: u64, codec: Codec, pixels: RgbImage) -> Result<PatchRow> {
    let source = format!("source-{:02}", row * SOURCES / rows);
    let image = format!("folder/{:07}.png", row / ROWS_PER_IMAGE);
    let x = i32::try_from(row % ROWS_PER_IMAGE * 224)?;
    let product = Product::Patches;
    let key = PatchKey { source: &source, image: &image, x: x.into(), y: 0, w: 224, h: 224, product };
    let id = patch_id(&key);
    let encoded = codec.encode(&pixels)?;
    Ok(PatchRow {
        id,
        pixel_digest: encoded.pixel_digest,
        group: format!("{source}/{image}"),
        path: format!("{}.png", id.short()),
        source,
        image,
        x,
        y: 0,
        w: 224,
        h: 224,
        label: None,
        licence: "CC0-1.0".to_owned(),
        bytes: encoded.bytes,
    })
}

/// Opens the set at `uri`, reads random rows, and plans steps over all of it.
pub(crate) fn open(uri: &str) -> Result<Value> {
    let before = process::resident_kb()?;
    let start = Instant::now();
    let set = ShardSet::open(&Store::open(uri)?)?;
    let opened = start.elapsed().as_secs_f64();
    let index = process::resident_kb()?.saturating_sub(before);
    let mut random = stream(0, "bench/rows", &[]);
    let mut latencies = Vec::new();
    for _ in 0..READS {
        let row = random.below(set.len());
        let start = Instant::now();
        set.rgb(row)?;
        latencies.push(start.elapsed().as_secs_f64() * 1e6);
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let plans = [("uniform", "uniform", 1.0), ("tempered", "temperature", 2.0)];
    let mut told = serde_json::Map::new();
    for (name, sampling, temperature) in plans {
        let sets = [format!("data.sampling={sampling}"), format!("data.sampling_temperature={temperature}")];
        let config = ResolvedConfig::from_yaml("", "bench", &sets)?;
        let before = process::resident_kb()?;
        let sources = set.source_rows();
        let plan = Plan::of(&config, &sources)?;
        let start = Instant::now();
        let mut sum = 0u64;
        for step in 0..1000 {
            sum += plan.rows_at(step * 977, Place { rank: 3, world: 64 }).iter().map(|draw| draw.row).sum::<u64>();
        }
        let us = start.elapsed().as_secs_f64() * 1e6 / 1000.0;
        let kb = process::resident_kb()?.saturating_sub(before);
        told.insert(name.to_owned(), json!({ "kb": kb, "us_per_step": us, "checksum": sum }));
    }
    Ok(json!({
        "rows": set.len(),
        "open_s": opened,
        "index_bytes_per_row": index as f64 * 1024.0 / set.len() as f64,
        "read_us_median": at(0.5),
        "read_us_p99": at(0.99),
        "plan": told,
        "peak_mb": process::peak_mb()?,
    }))
}
