//! Sweeps over rows of logits in host memory: what LibTorch has several operators for, each with passes of its own over all the
//! memory, is done while a row is in the processor's cache.
//!
//! * [`cross_entropy_`]: logits to losses and to their gradient;
//! * [`Balance`]: logits to exponentials, and the sums by which Sinkhorn-Knopp scales rows and columns.
//!
//! Sweeps take f32 on a CPU ([`fit`]); everything else goes by operators. They run on the threads of LibTorch's own kernels. The
//! results are the same bits on any number of them: a row is summed by one thread in one order, and sums over rows are cut
//! by their number alone. They are also the same bits with and without wide registers: nothing is reassociated, and a fused
//! multiply-add rounds once either way.

mod balance;
mod cross_entropy;
mod lanes;
mod parallel;

pub use balance::Balance;
pub use cross_entropy::cross_entropy_;

use std::slice::{from_raw_parts, from_raw_parts_mut};
use tch::{Device, Kind, Tensor};

/// Whether sweeps take these rows: a contiguous matrix of f32 on a CPU that has elements.
pub fn fit(rows: &Tensor) -> bool {
    rows.kind() == Kind::Float
        && rows.device() == Device::Cpu
        && rows.dim() == 2
        && rows.is_contiguous()
        && rows.numel() > 0
}

/// All elements of `t` in row order, to be read. Panics on a tensor that is not contiguous f32 on a CPU.
fn values(t: &Tensor) -> &[f32] {
    let start = start_of(t);
    // SAFETY: `start_of` checked that so many elements of f32 lie in a row on the CPU, and they were written when the tensor was
    // made. One thread owns every tensor (see the crate `training`) and is in a sweep now, so nobody writes to them meanwhile; what
    // a sweep itself writes to is another tensor (`apart`).
    unsafe { from_raw_parts(start, t.numel()) }
}

/// As [`values`], to be changed.
fn values_mut(t: &mut Tensor) -> &mut [f32] {
    let start = start_of(t);
    // SAFETY: as in `values`, and the borrow of `t` excludes a second call. Other tensors may share the memory, but the one thread
    // that owns them is in a sweep now, which has seen that what it reads lies elsewhere (`apart`).
    unsafe { from_raw_parts_mut(start, t.numel()) }
}

fn start_of(t: &Tensor) -> *mut f32 {
    assert!(
        t.kind() == Kind::Float && t.device() == Device::Cpu && t.is_contiguous() && t.numel() > 0,
        "sweeps are over f32 in host memory, and not over {t:?}"
    );
    t.data_ptr().cast()
}

/// Panics where two tensors share memory.
fn apart(a: &Tensor, b: &Tensor) {
    let range = |t: &Tensor| {
        let start = start_of(t) as usize;
        start..start + t.numel() * size_of::<f32>()
    };
    let (a, b) = (range(a), range(b));
    assert!(a.end <= b.start || b.end <= a.start, "what a sweep reads and what it writes share memory");
}

/// Defines functions that run a body compiled for AVX2 with FMA where the processor has them.
///
/// `fn name(arguments) -> result = body` names a body that is `#[inline(always)]` and safe: see docs/adr/0018.
macro_rules! wide {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),+ $(,)?) -> $out:ty = $body:ident;)+) => {$(
        $(#[$doc])*
        fn $name($($arg: $type),+) -> $out {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn compiled_wide($($arg: $type),+) -> $out {
                    $body($($arg),+)
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the line above found both features that `compiled_wide` is compiled for.
                    return unsafe { compiled_wide($($arg),+) };
                }
            }
            $body($($arg),+)
        }
    )+};
}
use wide;
