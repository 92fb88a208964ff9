//! The C interface of `shim/shim.cpp`, line for line.

use crate::stream::Stream;
use std::ffi::{c_char, c_int, c_void};
use torch_sys::C_tensor;

pub(crate) type Drop = extern "C" fn(*mut c_void);
pub(crate) type HookFn = extern "C" fn(*mut c_void) -> c_int;
pub(crate) type WorkFn = extern "C" fn(*mut c_void);
pub(crate) type BlockFn = extern "C" fn(*mut c_void, *mut C_tensor) -> *mut C_tensor;

unsafe extern "C" {
    pub(crate) fn shim_error() -> *const c_char;
    pub(crate) fn shim_backward(t: *mut C_tensor, grad: *mut C_tensor) -> c_int;
    pub(crate) fn shim_grad(t: *mut C_tensor, out: *mut *mut C_tensor) -> c_int;
    pub(crate) fn shim_reset_grad(t: *mut C_tensor) -> c_int;
    pub(crate) fn shim_post_accumulate_hook(t: *mut C_tensor, f: HookFn, ctx: *mut c_void, drop: Drop) -> c_int;
    pub(crate) fn shim_clear_hook(t: *mut C_tensor) -> c_int;
    pub(crate) fn shim_checkpoint(
        x: *mut C_tensor,
        anchor: *mut C_tensor,
        f: BlockFn,
        ctx: *mut c_void,
        drop: Drop,
    ) -> *mut C_tensor;
    pub(crate) fn shim_feed(x: *mut C_tensor, w: *mut C_tensor, b: *mut C_tensor, kind: i64) -> *mut C_tensor;
    pub(crate) fn shim_with_gradient(x: *mut C_tensor, gradient: *mut C_tensor) -> *mut C_tensor;
    pub(crate) fn shim_fused_adamw(
        n: usize,
        p: *const *mut C_tensor,
        g: *const *mut C_tensor,
        m: *const *mut C_tensor,
        v: *const *mut C_tensor,
        step: *mut C_tensor,
        lr: f64,
        beta1: f64,
        beta2: f64,
        wd: f64,
        eps: f64,
        skip: *mut C_tensor,
    ) -> c_int;
    pub(crate) fn shim_foreach_lerp(n: usize, a: *const *mut C_tensor, b: *const *mut C_tensor, w: f64) -> c_int;
    pub(crate) fn shim_lerp_tensor(
        n: usize,
        a: *const *mut C_tensor,
        b: *const *mut C_tensor,
        w: *mut C_tensor,
    ) -> c_int;
    pub(crate) fn shim_foreach_mul(n: usize, a: *const *mut C_tensor, s: f64) -> c_int;
    pub(crate) fn shim_foreach_mul_tensor(n: usize, a: *const *mut C_tensor, s: *mut C_tensor) -> c_int;
    pub(crate) fn shim_foreach_copy(n: usize, dst: *const *mut C_tensor, src: *const *mut C_tensor) -> c_int;
    pub(crate) fn shim_foreach_norm(n: usize, a: *const *mut C_tensor) -> *mut C_tensor;
    pub(crate) fn shim_parallel(f: WorkFn, ctx: *mut c_void);
    pub(crate) fn shim_open_cuda() -> c_int;
    pub(crate) fn shim_library() -> *const c_char;
    pub(crate) fn shim_current_stream(index: c_int, out: *mut Stream) -> c_int;
    pub(crate) fn shim_pool_stream(index: c_int, out: *mut Stream) -> c_int;
    pub(crate) fn shim_set_device(index: c_int) -> c_int;
    pub(crate) fn shim_event_record(stream: *const Stream, event: *mut *mut c_void) -> c_int;
    pub(crate) fn shim_event_block(event: *mut c_void, stream: *const Stream) -> c_int;
    pub(crate) fn shim_event_query(event: *mut c_void, done: *mut c_int) -> c_int;
    pub(crate) fn shim_event_destroy(event: *mut c_void, index: c_int) -> c_int;
    pub(crate) fn shim_send_on(stream: *const Stream, host: *mut C_tensor) -> *mut C_tensor;
    pub(crate) fn shim_lend(t: *mut C_tensor, stream: *const Stream) -> c_int;
    pub(crate) fn shim_empty_pinned(shape: *const i64, axes: usize, dtype: c_int) -> *mut C_tensor;
    pub(crate) fn shim_synchronise(device_type: c_int, index: c_int) -> c_int;
    pub(crate) fn shim_set_deterministic(on: c_int) -> c_int;
    pub(crate) fn shim_is_deterministic() -> c_int;
    pub(crate) fn shim_allow_tf32(on: c_int) -> c_int;
    pub(crate) fn shim_autocast_enter(device_type: c_int, dtype: c_int, before: *mut c_int) -> c_int;
    pub(crate) fn shim_autocast_suspend(device_type: c_int, before: *mut c_int) -> c_int;
    pub(crate) fn shim_autocast_leave(device_type: c_int, before: *const c_int) -> c_int;
}
