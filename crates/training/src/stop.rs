//! The wish to stop: training then finishes what is queued and writes a checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that the program sets, from a signal handler or another thread, and does not take back. Ranks hear of it with the numbers of a
/// step, which are read while the next one runs: training may take one step more than the one under way.
#[derive(Debug, Clone, Default)]
pub struct StopWish(Arc<AtomicBool>);

impl StopWish {
    /// A wish that is expressed by setting `flag`.
    pub fn of(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// The flag itself, for code that waits elsewhere.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether the process was asked to stop.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
