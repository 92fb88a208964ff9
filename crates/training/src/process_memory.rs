//! The memory of this process, as the kernel counts it.

/// Memory of this process in mebibytes, 0 where the system does not say.
pub fn resident_mb() -> u64 {
    status_mb("VmRSS:")
}

/// The most memory that this process has had, in mebibytes; 0 where the system does not say.
pub fn peak_mb() -> u64 {
    status_mb("VmHWM:")
}

fn status_mb(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}
