//! A few bytes between ranks beside their tensors: what must be agreed before NCCL is there, and the word by which a rank
//! that gives up reaches those who wait for it, which NCCL has no call for.

use crate::CollectiveError;
use std::fmt::Debug;

/// What one rank tells the others beside tensors.
pub trait ControlChannel: Send + Sync + Debug {
    /// This rank, from 0.
    fn rank(&self) -> usize;
    /// Number of ranks in the world.
    fn world(&self) -> usize;
    /// The bytes of rank 0, on every rank; what the others give is not looked at. All ranks call it.
    ///
    /// # Errors
    /// A peer is lost or gave up.
    fn broadcast_bytes_of_root(&self, bytes: Vec<u8>) -> Result<Vec<u8>, CollectiveError>;
    /// Why a peer gave up, if one did. It does not wait, and is asked some hundred times a second.
    fn peer_failure(&self) -> Option<String>;
    /// Tells every peer that can be reached that this rank gave up, and why, in a sentence that names the rank.
    fn announce_failure(&self, reason: &str);
}
