//! Collectives on tensors, in place. A tensor that requires a gradient does not belong here: detach it first.

use crate::{Buffer, Collective, CollectiveError, Op};
use tch::{Kind, Tensor};

/// Bytes of one all-reduce of [`mean_all_`]: long enough to fill a link, short enough to overlap.
const BUCKET_BYTES: usize = 25 << 20;

/// Sums `tensor` over all ranks.
///
/// # Errors
/// A lost peer, or a tensor that cannot travel.
pub fn sum_(peers: &dyn Collective, tensor: &mut Tensor) -> Result<(), CollectiveError> {
    peers.all_reduce(Buffer::of(tensor)?, Op::Sum)
}

/// Elementwise maximum of `tensor` over all ranks.
///
/// # Errors
/// As [`sum_`].
pub fn max_(peers: &dyn Collective, tensor: &mut Tensor) -> Result<(), CollectiveError> {
    peers.all_reduce(Buffer::of(tensor)?, Op::Max)
}

/// Mean of `tensor` over all ranks: the sum divided by their number.
///
/// # Errors
/// As [`sum_`].
pub fn mean_(peers: &dyn Collective, tensor: &mut Tensor) -> Result<(), CollectiveError> {
    sum_(peers, tensor)?;
    // Division by 1 changes no bit, so a world of one needs no branch.
    let _ = tensor.g_div_scalar_(peers.world() as f64);
    Ok(())
}

/// Copies `tensor` of rank `root` to all ranks.
///
/// # Errors
/// As [`sum_`], and a root out of range.
pub fn broadcast_(peers: &dyn Collective, tensor: &mut Tensor, root: usize) -> Result<(), CollectiveError> {
    peers.broadcast(Buffer::of(tensor)?, root)
}

/// Mean of many tensors over all ranks, in place, in the order of the list, a bucket at a time.
///
/// The list must be in the same order on every rank: sort by name. Buckets hold one dtype.
///
/// # Errors
/// As [`sum_`]. Tensors of finished buckets are then averaged already and the rest are not.
pub fn mean_all_(peers: &dyn Collective, tensors: &mut [Tensor]) -> Result<(), CollectiveError> {
    if peers.world() == 1 {
        // Not a matter of mathematics: a bucket is a copy, and a world of one need not pay for it.
        return peers.barrier();
    }
    let mut rest = tensors;
    while !rest.is_empty() {
        let (bucket, after) = rest.split_at_mut(bucket_length(rest));
        rest = after;
        mean_bucket(peers, bucket)?;
    }
    Ok(())
}

/// How many tensors from the front fit a bucket; at least one.
fn bucket_length(tensors: &[Tensor]) -> usize {
    let kind = tensors[0].kind();
    let mut bytes = 0;
    let fits = |t: &&Tensor| {
        bytes += t.numel() * kind.elt_size_in_bytes();
        t.kind() == kind && bytes <= BUCKET_BYTES
    };
    tensors.iter().take_while(fits).count().max(1)
}

fn mean_bucket(peers: &dyn Collective, bucket: &mut [Tensor]) -> Result<(), CollectiveError> {
    let flat: Vec<Tensor> = bucket.iter().map(|t| t.reshape([-1])).collect();
    let mut flat = Tensor::cat(&flat, 0); // [sum of sizes]
    mean_(peers, &mut flat)?;
    let sizes: Vec<i64> = bucket.iter().map(|t| t.numel() as i64).collect();
    let parts: Vec<Tensor> =
        flat.split_with_sizes(sizes, 0).into_iter().zip(bucket.iter()).map(|(part, t)| part.view_(t.size())).collect();
    Ok(torch_shim::optimise::copy_(bucket, &parts)?)
}

/// A list of numbers summed over all ranks, in f64.
///
/// # Errors
/// As [`sum_`].
pub fn sum_numbers(peers: &dyn Collective, numbers: &[f64]) -> Result<Vec<f64>, CollectiveError> {
    let mut tensor = Tensor::from_slice(numbers).to_kind(Kind::Double);
    sum_(peers, &mut tensor)?;
    let mut out = vec![0.0; numbers.len()];
    tensor.copy_data(&mut out, numbers.len());
    Ok(out)
}
