//! Timings of shard sets, each printed as one JSON object. `peer.py` runs these and the peers in turn.
//!
//! ```text
//! shards-bench codecs SET            what each lossless codec makes of the set's images
//! shards-bench decode SET DATA       decoding the source images of a set, and nothing else
//! shards-bench rows SET COUNT        random rows, decoded and checked
//! shards-bench make OUT ROWS         a set of that many tiny rows
//! shards-bench open SET              opening a set: time, memory, the plan over it
//! ```
#![allow(clippy::print_stdout, reason = "the program is its output")]

mod codecs;
mod process;
mod scale;
mod stored;

use anyhow::{Context, Result, bail};
use run_spec::seed::stream;
use serde_json::json;
use shards::ShardSet;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;
use store::Store;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = match arguments[..] {
        ["codecs", set] => codecs::table(&open(set)?)?,
        ["decode", set, data] => decode(&open(set)?, Path::new(data))?,
        ["rows", set, count] => rows(&open(set)?, count.parse()?)?,
        ["make", out, rows] => scale::make(out, rows.parse()?)?,
        ["open", set] => scale::open(set)?,
        _ => bail!("usage: shards-bench codecs SET | decode SET DATA | rows SET COUNT | make OUT ROWS | open SET"),
    };
    println!("{report}");
    Ok(())
}

fn open(uri: &str) -> Result<ShardSet> {
    Ok(ShardSet::open(&Store::open(uri)?)?)
}

/// Decodes every source image of the set once, from DATA/source/image.
fn decode(set: &ShardSet, data: &Path) -> Result<serde_json::Value> {
    let images: BTreeSet<_> = set.metas().map(|row| (row.source, row.image)).collect();
    let (mut seconds, mut pixels) = (0.0, 0u64);
    for (source, image) in &images {
        let path = data.join(&**source).join(&**image);
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let start = Instant::now();
        let rgb = image::load_from_memory(&bytes).with_context(|| format!("decode {}", path.display()))?.into_rgb8();
        seconds += start.elapsed().as_secs_f64();
        pixels += u64::from(rgb.width()) * u64::from(rgb.height());
    }
    Ok(json!({ "images": images.len(), "megapixels": pixels as f64 / 1e6, "seconds": seconds }))
}

/// Reads random rows of the set, decodes them and checks their digests, one after the other.
fn rows(set: &ShardSet, count: u64) -> Result<serde_json::Value> {
    let mut random = stream(0, "bench/rows", &[]);
    let numbers: Vec<u64> = (0..count).map(|_| random.below(set.len())).collect();
    for row in numbers.iter().take(100) {
        set.rgb(*row)?;
    }
    let (before, start) = (process::bytes_read()?, Instant::now());
    for row in &numbers {
        set.rgb(*row)?;
    }
    let (seconds, read) = (start.elapsed().as_secs_f64(), process::bytes_read()? - before);
    let own = numbers.iter().map(|row| Ok(set.image_bytes(*row)?.len() as u64)).sum::<Result<u64>>()?;
    Ok(json!({
        "rows_per_s": count as f64 / seconds,
        "bytes_per_row": own as f64 / count as f64,
        "read_over_own": read as f64 / own as f64,
        "peak_mb": process::peak_mb()?,
    }))
}
