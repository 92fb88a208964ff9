//! How long a call waits for its peers. It may be changed while calls are under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The longest wait in one call, shared by everyone who keeps to it.
#[derive(Clone, Debug)]
pub struct Patience(Arc<AtomicU64>);

impl Patience {
    /// The wait that is allowed now.
    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Allows another wait from now on, also in calls under way.
    pub fn set(&self, wait: Duration) {
        self.0.store(millis(wait), Ordering::Relaxed);
    }
}

impl From<Duration> for Patience {
    fn from(wait: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(millis(wait))))
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
