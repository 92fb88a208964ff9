//! What Linux says about this process.

use anyhow::{Context, Result};

/// Bytes that system calls of this process have read so far.
pub(crate) fn bytes_read() -> Result<u64> {
    field("/proc/self/io", "rchar:")
}

/// Most memory that was ever resident, MB.
pub(crate) fn peak_mb() -> Result<u64> {
    Ok(field("/proc/self/status", "VmHWM:")? / 1000)
}

/// Memory that is resident, kB.
pub(crate) fn resident_kb() -> Result<u64> {
    field("/proc/self/status", "VmRSS:")
}

fn field(file: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {file}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("{file} has no number {name}"))
}
