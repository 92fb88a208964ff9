//! A wish to stop (Ctrl-C, a time limit, a scheduler's USR1, a closed terminal): training finishes the current step and writes a
//! checkpoint.
//!
//! Loading LibTorch takes a second, in which a signal would end the process. Whoever starts a worker that may be signalled so
//! early starts it with the signal blocked (`env --block-signal=USR1 worker train …`): it then waits for [`listen`].

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use training::StopWish;

/// Begins to listen; the wish is expressed once a signal asked to stop. Signals that were held back until now arrive. A second
/// Ctrl-C ends the process at once.
pub(crate) fn listen() -> Result<StopWish> {
    let flag = Arc::new(AtomicBool::new(false));
    // Under `nohup` the end of the terminal is nothing to stop for.
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM, SIGUSR1].into_iter().chain(hang_up) {
        if signal == SIGINT {
            signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone())
                .context("listen for signals")?;
        }
        signal_hook::flag::register(signal, flag.clone()).context("listen for signals")?;
    }
    let held: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGHUP].into_iter().collect();
    held.thread_unblock().context("let signals through")?;
    Ok(StopWish::of(flag))
}

/// Whether this process was started with `signal` ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
