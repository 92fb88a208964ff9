//! A thread beside the one with the tensors. That one may be stuck where nothing can reach it: in a wait for a device
//! whose work waits for a lost peer. This one sees what went wrong, and aborts the communicator, which frees the other.

use super::Shared;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

/// Between two looks: short against the time that a lost peer costs, long against that of a look.
const LOOK: Duration = Duration::from_millis(10);

/// Looks until there is a reason to end the world, and ends it; or until the other end of `stop` is dropped.
pub(super) fn watch(shared: &Arc<Shared>, stop: &Receiver<()>) {
    // A failure here is one of the device, which the first look will meet too.
    let _ = shared.streams.enter();
    while stop.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if let Some(reason) = reason(shared) {
            // Set first: whoever the abort frees asks why.
            shared.abort_reason.set(&reason);
            shared.end();
            return;
        }
    }
}

/// Why the world is to end, if it is.
fn reason(shared: &Shared) -> Option<String> {
    let rank = shared.control.rank();
    if let Some(reason) = shared.abort_reason.reason().or_else(|| shared.control.peer_failure()) {
        return Some(reason);
    }
    if let Some(error) = shared.comm.failure() {
        return Some(format!("NCCL failed on rank {rank}: {error}"));
    }
    match shared.inflight.overdue(shared.deadline.get()) {
        Ok(None) => None,
        Ok(Some(description)) => Some(format!(
            "rank {rank} waited {:.1} s in {description} for its peers or its own GPU; their logs may say who is late, NCCL_DEBUG=INFO says \
             what NCCL did, and train.step_deadline_s allows more time",
            shared.deadline.get().as_secs_f64()
        )),
        Err(error) => Some(format!("the GPU failed on rank {rank}: {error}")),
    }
}
