//! Why a world cannot be used any more: kept once, read by every thread that waits.

use crate::CollectiveError;
use std::sync::{Mutex, PoisonError};

/// Why a world ended, shared by all who wait; empty while it is well.
#[derive(Debug, Default)]
pub struct AbortReason(Mutex<Option<String>>);

impl AbortReason {
    /// The reason, once there is one.
    pub fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the first reason; true if it was this one.
    pub(crate) fn set(&self, reason: &str) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = held.is_none();
        held.get_or_insert_with(|| reason.to_owned());
        first
    }

    /// An error once there is a reason.
    pub(crate) fn check(&self) -> Result<(), CollectiveError> {
        self.reason().map_or(Ok(()), |reason| Err(CollectiveError::Aborted { reason }))
    }
}
