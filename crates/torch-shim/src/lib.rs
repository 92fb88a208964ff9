//! All C++ against LibTorch: what tch lacks, as safe functions. No policy lives here.
//!
//! * [`optimise`]: fused AdamW and the foreach operations over lists of tensors;
//! * [`autograd`]: backward with a given gradient, gradient access and reset, hooks, activation checkpointing, a layer that keeps less;
//! * [`device`]: opening CUDA at run time, autocast, determinism;
//! * [`stream`]: CUDA streams and events;
//! * [`crossing`]: the one door between host and device, which counts what crosses;
//! * [`abort`]: a last word where a library ends the process;
//! * [`sweeps`]: loops over rows of logits in host memory, in place of several operators;
//! * [`host`]: tensors in host memory that Rust writes or reads in place;
//! * [`panics`]: panics of tensor maths as errors.
//!
//! C++ exceptions become [`ShimError`]; a Rust panic inside a callback becomes a C++ exception and comes back as one.
#![allow(unsafe_code, reason = "the calls into the C++ shim; each names the precondition it relies on")]

pub mod abort;
pub mod autograd;
pub mod crossing;
pub mod device;
mod ffi;
pub mod host;
pub mod optimise;
pub mod panics;
pub mod stream;
pub mod sweeps;

use std::ffi::CStr;
use tch::Tensor;
use torch_sys::C_tensor;

/// Why a call of LibTorch was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// LibTorch threw; the message is its own.
    #[error("LibTorch refused {operation}: {message}")]
    Torch {
        /// What was asked of it.
        operation: &'static str,
        /// Its words, without the C++ backtrace.
        message: String,
    },
    /// `libtorch_cuda.so` exists but does not load.
    #[error(
        "libtorch_cuda.so is installed but does not load ({message}); install the CUDA libraries it names or point LIBTORCH at a CPU build"
    )]
    CudaLibrary {
        /// What the dynamic loader said.
        message: String,
    },
    /// Lists that must run in parallel do not.
    #[error("{operation} was given lists of different lengths: {lengths:?}")]
    Lengths {
        /// The operation that was asked for.
        operation: &'static str,
        /// The lengths, in argument order.
        lengths: Vec<usize>,
    },
    /// A device without streams was asked for one.
    #[error("{device} has no streams: only CUDA devices do")]
    NoStream {
        /// The device, in words.
        device: String,
    },
}

fn last_error() -> String {
    // SAFETY: shim_error returns the c_str of a thread-local std::string that lives as long as the thread; it is
    // copied before any other shim call can change it.
    let message = unsafe { CStr::from_ptr(ffi::shim_error()) }.to_string_lossy();
    // After the words of CUDA, LibTorch adds lines of advice to people who write kernels.
    let advice = ["\nSearch for `cuda", "\nCUDA kernel errors might"];
    let end = advice.iter().filter_map(|line| message.find(line)).min().unwrap_or(message.len());
    message[..end].trim_end().to_owned()
}

fn done(operation: &'static str, code: i32) -> Result<(), ShimError> {
    if code == 0 {
        return Ok(());
    }
    Err(ShimError::Torch { operation, message: last_error() })
}

/// The address of the C++ handle behind `t`, as the C interface wants it.
fn handle(t: &Tensor) -> *mut C_tensor {
    t.as_ptr().cast_mut()
}

fn handles(list: &[Tensor]) -> Vec<*mut C_tensor> {
    list.iter().map(handle).collect()
}

fn taken(operation: &'static str, t: *mut C_tensor) -> Result<Tensor, ShimError> {
    if t.is_null() {
        return Err(ShimError::Torch { operation, message: last_error() });
    }
    // SAFETY: not null (checked above), and made by `new at::Tensor` in the shim, which gives up its ownership.
    Ok(unsafe { Tensor::from_ptr(t) })
}
