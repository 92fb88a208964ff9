//! Time of a thread on a processor.

use rustix::time::{ClockId, clock_gettime};

/// Seconds for which this thread has used a processor: other programs on the machine make no difference.
pub(crate) fn busy_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
