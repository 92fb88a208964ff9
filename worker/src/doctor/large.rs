//! One object as large as a checkpoint: written, read and deleted, with the rates. What small keys do not show is how a store
//! takes gigabytes: in one request or in parts, within its limits, and how fast.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use run_spec::ids::Digest;
use store::Store;

use super::finding::Finding;
use super::storage::in_probe;

const CHECK: &str = "checkpoint";

/// Puts one object of `size` (bytes, or the file of a training configuration) to the store at `uri`.
pub(crate) fn check(uri: &str, size: &str) -> Finding {
    let measured = size_of(size).and_then(|bytes| {
        let store = Store::open(uri)?;
        in_probe(&store, |probe| measure(probe, bytes))
    });
    match measured {
        Ok(words) => Finding::ok(CHECK, format!("{uri}: {words}")),
        Err(error) => {
            let remedy = "check the room and the largest object that the store takes, and the limits of servers before it; see also docs/storage.md";
            Finding::fail(CHECK, format!("{uri}: {}", crate::sentence(&error)), remedy)
        }
    }
}

/// A number of bytes, or the bytes of a checkpoint under a configuration.
fn size_of(size: &str) -> Result<u64> {
    if let Ok(bytes) = size.parse() {
        ensure!(bytes > 0, "--checkpoint-size 0: give the bytes of a checkpoint, at least 1");
        return Ok(bytes);
    }
    ensure!(
        std::path::Path::new(size).is_file(),
        "--checkpoint-size {size}: neither a number of bytes nor the file of a training configuration"
    );
    let config = crate::config_file::read(size.as_ref(), &[])?;
    Ok(crate::check_command::checkpoint_bytes(&config))
}

fn measure(probe: &Store, size: u64) -> Result<String> {
    let bytes = pattern(size)?;
    let digest = Digest::of(&bytes);
    let began = Instant::now();
    probe.create("checkpoint", bytes).context("cannot write it")?;
    let written = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let read = probe.get("checkpoint").context("cannot read it")?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(Digest::of(&read) == digest, "it does not read back as it was written");
    let rate = |seconds: f64| size as f64 / 1e6 / seconds.max(1e-9);
    Ok(format!(
        "{:.1} MB written in {written:.2} s ({:.0} MB/s), read in {seconds:.2} s ({:.0} MB/s)",
        size as f64 / 1e6,
        rate(written),
        rate(seconds)
    ))
}

/// Bytes that no layer compresses or finds twice.
fn pattern(size: u64) -> Result<Bytes> {
    let size = usize::try_from(size).context("--checkpoint-size")?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).with_context(|| format!("--checkpoint-size: {size} bytes do not fit into memory"))?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while bytes.len() < size {
        // xorshift64: quick, and even in every byte.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        bytes.extend_from_slice(&word[..word.len().min(size - bytes.len())]);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn the_object_is_written_read_and_gone_and_its_rates_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let uri = folder.path().to_str().unwrap();
        let finding = check(uri, "1000003");
        assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
        assert!(finding.detail.contains("1.0 MB written in") && finding.detail.contains("MB/s"), "{finding:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(check(uri, "five").outcome, Outcome::Fail);
    }
}
