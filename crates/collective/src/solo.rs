//! A world of one rank: sums and maxima are what they were.

use crate::{Buffer, Collective, CollectiveError, Op};
use std::sync::Mutex;

/// The collective of a single process. It holds all loss groups.
#[derive(Debug, Default)]
pub struct Solo {
    aborted: Mutex<Option<String>>,
}

impl Solo {
    /// A world of one.
    pub const fn new() -> Self {
        Self { aborted: Mutex::new(None) }
    }

    fn check(&self) -> Result<(), CollectiveError> {
        match &*self.aborted.lock().unwrap_or_else(|e| e.into_inner()) {
            None => Ok(()),
            Some(reason) => Err(CollectiveError::Aborted { reason: reason.clone() }),
        }
    }
}

impl Collective for Solo {
    fn rank(&self) -> usize {
        0
    }
    fn world(&self) -> usize {
        1
    }
    fn all_reduce(&self, _buffer: Buffer<'_>, _op: Op) -> Result<(), CollectiveError> {
        self.check()
    }
    fn broadcast(&self, _buffer: Buffer<'_>, root: usize) -> Result<(), CollectiveError> {
        self.check()?;
        if root == 0 {
            return Ok(());
        }
        Err(CollectiveError::Root { root, world: 1 })
    }
    fn barrier(&self) -> Result<(), CollectiveError> {
        self.check()
    }
    fn abort(&self, reason: &str) {
        self.aborted.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert_with(|| reason.to_owned());
    }
}
