//! How a thread passes the time between two looks at something that another processor finishes.

use std::time::Duration;

/// First just a yield, since most waits are short; then sleep, since the caller's own computation may need the core.
pub(crate) fn pause(waited: Duration) {
    if waited < Duration::from_micros(200) {
        std::thread::yield_now();
    } else {
        std::thread::sleep(Duration::from_micros(20));
    }
}
