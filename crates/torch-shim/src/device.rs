//! What belongs to a device: opening CUDA at run time, autocast, determinism.

use crate::{ShimError, done, ffi, last_error};
use std::{
    ffi::CStr,
    marker::PhantomData,
    path::{Path, PathBuf},
};
use tch::{Device, Kind};

/// Opens `libtorch_cuda.so` if there is one, so that one program serves CPU and GPU. Call it before the first tensor.
///
/// Returns whether the CUDA backend is in the process; whether a usable GPU is there is `tch::Cuda::is_available()`.
///
/// # Errors
/// The library is there and does not load.
pub fn open_cuda() -> Result<bool, ShimError> {
    // SAFETY: no arguments. The library is LibTorch's own part, of the same build as the one linked in.
    match unsafe { ffi::shim_open_cuda() } {
        1 => Ok(true),
        0 => Ok(false),
        _ => Err(ShimError::CudaLibrary { message: last_error() }),
    }
}

/// The folder that LibTorch was loaded from, beside which its CUDA parts lie.
pub fn library_folder() -> Option<PathBuf> {
    // SAFETY: no arguments; the text belongs to the loader and lives as long as the library, which is never closed.
    let path = unsafe { ffi::shim_library() };
    if path.is_null() {
        return None;
    }
    // SAFETY: not null (checked above), and a text by the line before.
    let path = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    Path::new(path).canonicalize().ok()?.parent().map(Path::to_path_buf)
}

/// c10's number of the device's type, and its index.
pub(crate) fn numbers(device: Device) -> (i32, i32) {
    match device {
        Device::Cuda(index) => (1, i32::try_from(index).unwrap_or(i32::MAX)),
        _ => (0, 0),
    }
}

/// Makes a CUDA device the one that calls of this thread go to where they name none; nothing to do on the CPU.
///
/// # Errors
/// A device that is not there.
pub fn make_current(device: Device) -> Result<(), ShimError> {
    if device == Device::Cpu {
        return Ok(());
    }
    let (_, index) = numbers(device);
    // SAFETY: a plain number; the shim checks the backend.
    done("the current device", unsafe { ffi::shim_set_device(index) })
}

/// Waits until everything queued on a CUDA device is done; nothing to do on the CPU.
///
/// # Errors
/// Errors of earlier kernels come out here.
pub fn synchronise(device: Device) -> Result<(), ShimError> {
    if device == Device::Cpu {
        return Ok(());
    }
    let (kind, index) = numbers(device);
    // SAFETY: plain numbers; the shim checks the backend.
    done("synchronise", unsafe { ffi::shim_synchronise(kind, index) })
}

/// Asks LibTorch, in all threads of this process, for algorithms that give the same bits each time; an operation that has none then fails.
///
/// Matrix products on a GPU need `CUBLAS_WORKSPACE_CONFIG=:4096:8` in the environment of the process as well.
///
/// # Errors
/// What LibTorch refuses.
pub fn set_deterministic(on: bool) -> Result<(), ShimError> {
    // SAFETY: a plain number.
    done("determinism", unsafe { ffi::shim_set_deterministic(i32::from(on)) })
}

/// Whether LibTorch was asked for algorithms that give the same bits each time.
pub fn is_deterministic() -> bool {
    // SAFETY: it reads a switch.
    unsafe { ffi::shim_is_deterministic() != 0 }
}

/// Allows or forbids TF32 in CUDA matrix products and convolutions of f32 tensors.
///
/// # Errors
/// What LibTorch refuses.
pub fn allow_tf32(on: bool) -> Result<(), ShimError> {
    // SAFETY: a plain number.
    done("TF32", unsafe { ffi::shim_allow_tf32(i32::from(on)) })
}

/// While it lives, matrix products on `device` run in the given half precision, in this thread only.
#[derive(Debug)]
pub struct Autocast {
    kind: i32,
    before: [i32; 2],
    // Autocast is a state of the thread: the guard may not leave it.
    _thread: PhantomData<*const ()>,
}

impl Autocast {
    /// Enters autocast to `dtype`, `Kind::BFloat16` or `Kind::Half`. Guards nest.
    ///
    /// # Errors
    /// A dtype that autocast does not know on this device.
    pub fn enter(device: Device, dtype: Kind) -> Result<Self, ShimError> {
        let (kind, _) = numbers(device);
        let mut before = [0; 2];
        // SAFETY: `before` has room for the two numbers that the shim writes.
        let code = unsafe { ffi::shim_autocast_enter(kind, scalar_type(dtype), before.as_mut_ptr()) };
        done("autocast", code)?;
        Ok(Self { kind, before, _thread: PhantomData })
    }

    /// While the guard lives, products on `device` run in the precision of their operands, also within autocast.
    ///
    /// # Errors
    /// What LibTorch refuses.
    pub fn suspend(device: Device) -> Result<Self, ShimError> {
        let (kind, _) = numbers(device);
        let mut before = [0; 2];
        // SAFETY: `before` has room for the two numbers that the shim writes.
        let code = unsafe { ffi::shim_autocast_suspend(kind, before.as_mut_ptr()) };
        done("autocast", code)?;
        Ok(Self { kind, before, _thread: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: `before` holds the two numbers written by `enter`.
        let code = unsafe { ffi::shim_autocast_leave(self.kind, self.before.as_ptr()) };
        debug_assert_eq!(code, 0, "leaving autocast: {}", last_error());
    }
}

/// c10's number of a dtype, for the two that autocast takes and the ones it refuses by itself.
fn scalar_type(dtype: Kind) -> i32 {
    match dtype {
        Kind::Half => 5,
        Kind::Double => 7,
        Kind::BFloat16 => 15,
        _ => 6,
    }
}
