//! Time as a parameter of whatever waits: a store that is away, ranks that watch one another, the loop of a sweep.
//!
//! A crate of its own, because `run-spec` promises to know no clock, and `store` and `collective` know nothing of each other.
//!
//! ```
//! use clock::{Clock, SteppedClock};
//! use std::time::Duration;
//!
//! let clock = SteppedClock::default();
//! clock.sleep(Duration::from_secs(900));
//! assert_eq!(clock.now(), Duration::from_secs(900));
//! ```

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time, as whatever waits sees it.
pub trait Clock: Debug + Send + Sync {
    /// Time since some moment in the past, which never goes back.
    fn now(&self) -> Duration;
    /// Blocks the calling thread for `time`.
    fn sleep(&self, time: Duration);
}

/// The clock of the machine, from the moment it is made.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A clock for tests: its time passes only while somebody sleeps, and sleeping takes no time of the machine.
#[derive(Debug, Default)]
pub struct SteppedClock(Mutex<Duration>);

impl Clock for SteppedClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}
