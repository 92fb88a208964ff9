//! Operations over many tensors at once: one call, on CUDA one kernel per few dozen tensors.
//! All of them run without building a graph, and change their first list in place.

use crate::{ShimError, done, ffi, handle, handles, taken};
use std::ptr::null_mut;
use tch::Tensor;

/// The numbers of one AdamW group (Loshchilov and Hutter, arXiv:1711.05101).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Decoupled weight decay; the weights shrink by `lr * wd`.
    pub wd: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

/// The parallel lists that [`fused_adamw`] works on.
#[derive(Clone, Copy, Debug)]
pub struct AdamLists<'a> {
    /// Parameters, changed in place.
    pub params: &'a [Tensor],
    /// Gradients, each of the shape of its parameter.
    pub grads: &'a [Tensor],
    /// First moments, changed in place.
    pub first: &'a [Tensor],
    /// Second moments, changed in place.
    pub second: &'a [Tensor],
}

fn same_length(operation: &'static str, lengths: &[usize]) -> Result<(), ShimError> {
    if lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    Err(ShimError::Lengths { operation, lengths: lengths.to_vec() })
}

/// One AdamW step over lists of tensors; those of one index have one shape. `step` is a 0-d f32 tensor on the
/// parameters' device holding the number of this step, from 1. `skip` is another: where it is 1 and not 0, the device leaves
/// everything as it is, whatever the gradients are, and the host need not know.
///
/// # Errors
/// Lists of different lengths, or what LibTorch refuses (mixed devices or dtypes).
pub fn fused_adamw(lists: AdamLists<'_>, step: &Tensor, adam: AdamW, skip: Option<&Tensor>) -> Result<(), ShimError> {
    let AdamLists { params, grads, first, second } = lists;
    same_length("fused_adamw", &[params.len(), grads.len(), first.len(), second.len()])?;
    if params.is_empty() {
        return Ok(());
    }
    let (p, g, m, v) = (handles(params), handles(grads), handles(first), handles(second));
    // SAFETY: four arrays of `params.len()` live handles each (same_length above), borrowed for the call;
    // `skip` is live or null, which the shim reads as "none".
    let code = unsafe {
        ffi::shim_fused_adamw(
            p.len(),
            p.as_ptr(),
            g.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            handle(step),
            adam.lr,
            adam.beta1,
            adam.beta2,
            adam.wd,
            adam.eps,
            skip.map_or(null_mut(), handle),
        )
    };
    done("fused AdamW", code)
}

/// `a += weight * (b - a)` for every pair of tensors of one shape.
///
/// # Errors
/// Lists of different lengths, or what LibTorch refuses.
pub fn lerp_(a: &[Tensor], b: &[Tensor], weight: f64) -> Result<(), ShimError> {
    same_length("lerp", &[a.len(), b.len()])?;
    if a.is_empty() {
        return Ok(());
    }
    let (a, b) = (handles(a), handles(b));
    // SAFETY: two arrays of equal length (checked above) of live handles.
    let code = unsafe { ffi::shim_foreach_lerp(a.len(), a.as_ptr(), b.as_ptr(), weight) };
    done("foreach lerp", code)
}

/// `a += weight * (b - a)` for every pair of tensors of one shape, `weight` being a 0-d tensor of their dtype on their device: no wait
/// for the device. On a GPU one kernel per tensor.
///
/// # Errors
/// Lists of different lengths, or what LibTorch refuses.
pub fn lerp_by_tensor_(a: &[Tensor], b: &[Tensor], weight: &Tensor) -> Result<(), ShimError> {
    same_length("lerp", &[a.len(), b.len()])?;
    let (a, b) = (handles(a), handles(b));
    // SAFETY: two arrays of equal length (checked above) of live handles, and one more that outlives the call.
    done("lerp by a tensor", unsafe { ffi::shim_lerp_tensor(a.len(), a.as_ptr(), b.as_ptr(), handle(weight)) })
}

/// `a *= factor` for every tensor, of any shape.
///
/// # Errors
/// What LibTorch refuses.
pub fn mul_(a: &[Tensor], factor: f64) -> Result<(), ShimError> {
    if a.is_empty() {
        return Ok(());
    }
    let a = handles(a);
    // SAFETY: an array of `a.len()` live handles.
    let code = unsafe { ffi::shim_foreach_mul(a.len(), a.as_ptr(), factor) };
    done("foreach mul", code)
}

/// `a *= factor` for every tensor, of any shape, `factor` being a 0-d tensor on the same device: no wait for the device.
///
/// # Errors
/// What LibTorch refuses.
pub fn mul_tensor_(a: &[Tensor], factor: &Tensor) -> Result<(), ShimError> {
    if a.is_empty() {
        return Ok(());
    }
    let a = handles(a);
    // SAFETY: an array of `a.len()` live handles, and one more that outlives the call.
    let code = unsafe { ffi::shim_foreach_mul_tensor(a.len(), a.as_ptr(), handle(factor)) };
    done("foreach mul by a tensor", code)
}

/// Copies every `src` into its `dst` of the same shape, converting device and dtype.
///
/// # Errors
/// Lists of different lengths, or what LibTorch refuses.
pub fn copy_(dst: &[Tensor], src: &[Tensor]) -> Result<(), ShimError> {
    same_length("copy", &[dst.len(), src.len()])?;
    if dst.is_empty() {
        return Ok(());
    }
    let (dst, src) = (handles(dst), handles(src));
    // SAFETY: two arrays of equal length (checked above) of live handles.
    let code = unsafe { ffi::shim_foreach_copy(dst.len(), dst.as_ptr(), src.as_ptr()) };
    done("foreach copy", code)
}

/// The L2 norm over all elements of all tensors, of any shape, as a 0-d f64 tensor left on the device. The list may not
/// be empty.
///
/// # Errors
/// What LibTorch refuses, an empty list included.
pub fn norm(a: &[Tensor]) -> Result<Tensor, ShimError> {
    let a = handles(a);
    // SAFETY: an array of `a.len()` live handles.
    taken("foreach norm", unsafe { ffi::shim_foreach_norm(a.len(), a.as_ptr()) })
}
