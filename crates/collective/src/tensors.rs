//! Collectives on tensors, in place. A tensor that requires a gradient does not belong here: detach it first.

use crate::{Buffer, Collective, CollectiveError, Op};
use tch::{Kind, Tensor};

/// Sums `tensor`, of any shape that is the same on every rank, over all ranks.
///
/// # Errors
/// A lost peer, or a tensor that cannot travel.
pub fn sum_(peers: &dyn Collective, tensor: &mut Tensor) -> Result<(), CollectiveError> {
    peers.all_reduce(Buffer::of(tensor)?, Op::Sum)
}

/// Mean of `tensor`, of any shape that is the same on every rank, over all ranks: the sum, divided once. A sum that the
/// dtype cannot hold gives no mean either.
///
/// # Errors
/// As [`sum_`], and a tensor of whole numbers, whose mean is none.
pub fn mean_(peers: &dyn Collective, tensor: &mut Tensor) -> Result<(), CollectiveError> {
    if !tensor.is_floating_point() {
        return Err(CollectiveError::Whole { kind: format!("{:?}", tensor.kind()) });
    }
    sum_(peers, tensor)?;
    let _ = tensor.g_div_scalar_(peers.world() as f64);
    Ok(())
}

/// Elementwise maximum of `tensor`, of any shape that is the same on every rank, over all ranks.
///
/// # Errors
/// As [`sum_`].
pub fn max_(peers: &dyn Collective, tensor: &mut Tensor) -> Result<(), CollectiveError> {
    peers.all_reduce(Buffer::of(tensor)?, Op::Max)
}

/// Copies `tensor` of rank `root` to all ranks, where it has the same shape.
///
/// # Errors
/// As [`sum_`], and a root out of range.
pub fn broadcast_(peers: &dyn Collective, tensor: &mut Tensor, root: usize) -> Result<(), CollectiveError> {
    peers.broadcast(Buffer::of(tensor)?, root)
}

/// A list of numbers summed over all ranks, in f64.
///
/// # Errors
/// As [`sum_`].
pub fn sum_numbers(peers: &dyn Collective, numbers: &[f64]) -> Result<Vec<f64>, CollectiveError> {
    let mut tensor = Tensor::from_slice(numbers).to_kind(Kind::Double);
    peers.all_reduce(Buffer::of_host(&mut tensor)?, Op::Sum)?;
    let mut out = vec![0.0; numbers.len()];
    tensor.copy_data(&mut out, numbers.len());
    Ok(out)
}

/// The bytes of rank `root`, on every rank; what the others give is not looked at.
///
/// # Errors
/// As [`broadcast_`].
pub fn broadcast_bytes(peers: &dyn Collective, bytes: Vec<u8>, root: usize) -> Result<Vec<u8>, CollectiveError> {
    let mut length = Tensor::from_slice(&[bytes.len() as i64]);
    peers.broadcast(Buffer::of_host(&mut length)?, root)?;
    let length = usize::try_from(length.int64_value(&[0])).unwrap_or(0);
    let mut bytes = bytes;
    bytes.resize(length, 0);
    let mut tensor = Tensor::from_slice(&bytes);
    peers.broadcast(Buffer::of_host(&mut tensor)?, root)?;
    tensor.copy_data_u8(&mut bytes, length);
    Ok(bytes)
}
