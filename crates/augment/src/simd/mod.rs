#![allow(
    unsafe_code,
    reason = "calls of functions compiled for AVX2+FMA or AVX-512, each behind a run-time check of the processor"
)]
//! Wide registers: what the processor has, and loops that need more than the compiler finds by itself.
//!
//! [`wide`] stands beside a kernel in `pixels` and compiles its safe body twice: for the processor every build supports and
//! for AVX2 with FMA, picked at run time. [`correlate`], [`Columns`] and [`sort_network`] are written out here. All give the
//! same bits as their scalar twins: nothing is reassociated, and `mul_add` rounds once with or without an instruction for it.
//! Nothing here knows a kernel or an image.

mod columns;
mod correlate;
mod sort;

pub(crate) use columns::Columns;
pub(crate) use correlate::{Groups, LANES, ROWS, RowTaps, STRIP, correlate, correlate_levels, correlate_rows};
pub(crate) use sort::{SORTED, sort_network};

/// Defines functions that run a body compiled for the widest registers of this processor.
///
/// `fn name(arguments) = body` names a body that is `#[inline(always)]`. The macro takes a name, not code: the only unsafe
/// expression it makes is the call behind the check below, and no code of a kernel stands within its `allow`.
macro_rules! wide {
    ($($(#[$doc:meta])* $visible:vis fn $name:ident($($arg:ident: $type:ty),+ $(,)?) = $body:ident;)+) => {$(
        $(#[$doc])*
        #[allow(unsafe_code, reason = "a function compiled for AVX2 and FMA, called where both were found")]
        $visible fn $name($($arg: $type),+) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn compiled_wide($($arg: $type),+) {
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
pub(crate) use wide;

#[cfg(test)]
mod tests;
