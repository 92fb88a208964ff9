//! Backward with a given gradient, gradient access, hooks, activation checkpointing, a layer that keeps less, and a gradient that is known beforehand.

use crate::{ShimError, done, ffi, handle, taken};
use std::{
    ffi::{c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::null_mut,
};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

/// Back-propagates `grad`, of the shape of `t` (or 1 for a scalar), from `t` into the leaves' gradients.
///
/// # Errors
/// What the autograd engine refuses, and a panic in a hook or a checkpointed block.
pub fn backward(t: &Tensor, grad: Option<&Tensor>) -> Result<(), ShimError> {
    // SAFETY: `t` is a live handle, and the gradient is live or null, which the shim reads as "none".
    let code = unsafe { ffi::shim_backward(handle(t), grad.map_or(null_mut(), handle)) };
    done("backward", code)
}

/// The gradient collected in a leaf, of its shape; `None` before any backward.
///
/// # Errors
/// What LibTorch refuses.
pub fn grad(t: &Tensor) -> Result<Option<Tensor>, ShimError> {
    let mut out = null_mut();
    // SAFETY: `t` is a live handle; `out` is written before a zero return.
    done("grad", unsafe { ffi::shim_grad(handle(t), &raw mut out) })?;
    if out.is_null() {
        return Ok(None);
    }
    taken("grad", out).map(Some)
}

/// Drops the gradient of a leaf of any shape, so that the next backward writes instead of adding.
///
/// # Errors
/// What LibTorch refuses.
pub fn reset_grad(t: &Tensor) -> Result<(), ShimError> {
    // SAFETY: `t` is a live handle.
    done("grad reset", unsafe { ffi::shim_reset_grad(handle(t)) })
}

struct HookBox(Box<dyn Fn() + Send + Sync>);

extern "C" fn call_hook(ctx: *mut c_void) -> c_int {
    // SAFETY: `ctx` is the HookBox leaked by `on_grad_accumulated`; C++ frees it only after the last call.
    let hook = unsafe { &*ctx.cast::<HookBox>() };
    c_int::from(catch_unwind(AssertUnwindSafe(|| (hook.0)())).is_err())
}

extern "C" fn drop_hook(ctx: *mut c_void) {
    // SAFETY: `ctx` came from Box::into_raw in `on_grad_accumulated`, and C++ calls this once, in ~Owned.
    drop(unsafe { Box::from_raw(ctx.cast::<HookBox>()) });
}

/// Calls `hook` each time a backward has finished adding into the gradient of leaf `t`, whatever its shape. A second
/// hook replaces the first.
///
/// On the CPU it runs in the thread that called backward; on CUDA in the engine's thread of that device.
/// Within one backward it runs once per leaf, except that each checkpointed block runs a backward of its own.
///
/// # Errors
/// `t` is not a leaf.
pub fn on_grad_accumulated(t: &Tensor, hook: impl Fn() + Send + Sync + 'static) -> Result<(), ShimError> {
    let ctx = Box::into_raw(Box::new(HookBox(Box::new(hook))));
    // SAFETY: `t` is a live handle; ownership of `ctx` passes to C++, which gives it to `drop_hook` once, on failure too.
    let code = unsafe { ffi::shim_post_accumulate_hook(handle(t), call_hook, ctx.cast(), drop_hook) };
    done("post-accumulate hook", code)
}

/// Takes the hook of [`on_grad_accumulated`] away from leaf `t`, whatever its shape.
///
/// # Errors
/// What LibTorch refuses.
pub fn clear_hook(t: &Tensor) -> Result<(), ShimError> {
    // SAFETY: `t` is a live handle.
    done("hook removal", unsafe { ffi::shim_clear_hook(handle(t)) })
}

struct BlockBox(Box<dyn Fn(&Tensor) -> Tensor + Send>);

extern "C" fn call_block(ctx: *mut c_void, x: *mut C_tensor) -> *mut C_tensor {
    // SAFETY: `ctx` is the BlockBox leaked by `checkpoint`, alive while C++ holds its Block.
    let block = unsafe { &*ctx.cast::<BlockBox>() };
    // SAFETY: `x` points to a live at::Tensor for the length of this call; the clone is a handle of its own.
    let x = unsafe { Tensor::clone_from_ptr(x) };
    match catch_unwind(AssertUnwindSafe(|| (block.0)(&x))) {
        Ok(y) => {
            let p = handle(&y);
            // The C++ side takes this handle and deletes it.
            std::mem::forget(y);
            p
        }
        Err(_) => null_mut(),
    }
}

extern "C" fn drop_block(ctx: *mut c_void) {
    // SAFETY: `ctx` came from Box::into_raw in `checkpoint`, and C++ calls this once, in ~Owned.
    drop(unsafe { Box::from_raw(ctx.cast::<BlockBox>()) });
}

/// Runs `block(x)`, from any shape to any shape, without keeping its inner activations; backward runs it again (Chen et
/// al., arXiv:1604.06174).
///
/// `block` may read parameters that require gradients: theirs are collected as usual. It must give the same value on
/// both runs, so it enters autocast itself and draws nothing from a global generator.
///
/// # Errors
/// A panic in `block`, and what LibTorch refuses.
pub fn checkpoint(x: &Tensor, block: impl Fn(&Tensor) -> Tensor + Send + 'static) -> Result<Tensor, ShimError> {
    // The anchor makes the output require a gradient even when `x` does not, as with the first block of a frozen embedding.
    let anchor = Tensor::zeros([], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let ctx = Box::into_raw(Box::new(BlockBox(Box::new(block))));
    // SAFETY: two live handles; ownership of `ctx` passes to C++, which gives it to `drop_block` once, on failure too.
    let y = unsafe { ffi::shim_checkpoint(handle(x), handle(&anchor), call_block, ctx.cast(), drop_block) };
    taken("checkpointed block", y)
}

/// What [`feed`] does before its linear map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// GELU by the error function, not its approximation by tanh.
    Gelu = 0,
    /// SiLU of the first half of the columns, times the second half (Shazeer, arXiv:2002.05202).
    SwiGlu = 1,
}

/// `activation(x)·wᵀ + b` of rows `x` `[R, H]`, `w` `[D, H]` (`[D, H/2]` for SwiGLU) and `b` `[D]`, all of one dtype: `[R, D]`.
///
/// Autograd would keep both `x` and `activation(x)`, the widest tensors of a transformer. This keeps `x` and computes the
/// activation again in backward, which costs one elementwise pass. The numbers are the same.
///
/// # Errors
/// Other shapes, mixed dtypes, and what else LibTorch refuses.
pub fn feed(x: &Tensor, w: &Tensor, b: &Tensor, activation: Activation) -> Result<Tensor, ShimError> {
    // SAFETY: three live handles, borrowed for the call.
    let y = unsafe { ffi::shim_feed(handle(x), handle(w), handle(b), activation as i64) };
    taken("feed", y)
}

/// A scalar `[]`, 0 as a number, whose gradient with respect to `x` is `gradient`, of the same shape and dtype. Backward multiplies it in its own
/// memory by the gradient of the scalar, and refuses to do so twice.
///
/// # Errors
/// Another shape or dtype, and what else LibTorch refuses.
pub fn with_gradient(x: &Tensor, gradient: Tensor) -> Result<Tensor, ShimError> {
    // SAFETY: two live handles, borrowed for the call; C++ holds a reference of its own to what it keeps.
    let y = unsafe { ffi::shim_with_gradient(handle(x), handle(&gradient)) };
    taken("with gradient", y)
}
