//! CUDA streams and events as LibTorch has them: the order of work on a device, without a CUDA header.

use crate::{ShimError, device::numbers, done, ffi, handle, taken};
use std::{ffi::c_void, ptr::null_mut};
use tch::{Device, Tensor};

/// A stream of a CUDA device: a queue in which work is done in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Stream {
    handle: *mut c_void,
    id: i64,
    device: i32,
}

// SAFETY: the address is never dereferenced here; CUDA streams may be used from any thread.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    /// A stream that LibTorch does not know; its events are the business of whoever made it.
    pub const fn foreign(handle: *mut c_void) -> Self {
        Self { handle, id: 0, device: -1 }
    }

    /// A stream of LibTorch's pool, of high priority, for work beside the current stream's.
    ///
    /// # Errors
    /// No CUDA backend, or no driver.
    pub fn of_pool(device: Device) -> Result<Self, ShimError> {
        let mut out = Self::foreign(null_mut());
        // SAFETY: `out` is written before a zero return.
        done("a stream of the pool", unsafe { ffi::shim_pool_stream(numbers(device).1, &raw mut out) })?;
        Ok(out)
    }

    /// The stream as CUDA knows it, a `cudaStream_t`.
    pub const fn handle(&self) -> *mut c_void {
        self.handle
    }
}

/// The current stream of a CUDA device; `None` on the CPU, where a call has finished when it returns.
///
/// # Errors
/// A device that is neither, or a CUDA backend without a driver.
pub fn current_stream(device: Device) -> Result<Option<Stream>, ShimError> {
    match device {
        Device::Cpu => Ok(None),
        Device::Cuda(_) => {
            let mut out = Stream::foreign(null_mut());
            // SAFETY: `out` is written before a zero return.
            done("the current stream", unsafe { ffi::shim_current_stream(numbers(device).1, &raw mut out) })?;
            Ok(Some(out))
        }
        other => Err(ShimError::NoStream { device: format!("{other:?}") }),
    }
}

/// A copy of `host`, of any shape and in pinned memory, on the device of `stream`, queued there and not waited for.
pub(crate) fn send_on(stream: &Stream, host: &Tensor) -> Result<Tensor, ShimError> {
    // SAFETY: a whole stream, and a live handle.
    taken("sending beside the computation", unsafe { ffi::shim_send_on(stream, handle(host)) })
}

/// Keeps the memory of `t`, of any shape, until what is queued on `stream` when its last holder lets go is done.
pub(crate) fn lend(t: &Tensor, stream: &Stream) -> Result<(), ShimError> {
    // SAFETY: a live handle, and a whole stream.
    done("memory that two streams use", unsafe { ffi::shim_lend(handle(t), stream) })
}

/// A point in the work of a stream.
#[derive(Debug)]
pub struct Event {
    raw: *mut c_void,
    device: i32,
}

// SAFETY: the address is only handed to CUDA, whose events may be waited for and asked from any thread.
unsafe impl Send for Event {}
// SAFETY: as above; no call here changes an event after it was recorded.
unsafe impl Sync for Event {}

impl Event {
    /// The present end of the work queued on `stream`.
    ///
    /// # Errors
    /// A stream that is not LibTorch's, or what CUDA refuses.
    pub fn record(stream: &Stream) -> Result<Self, ShimError> {
        let mut raw = null_mut();
        // SAFETY: a whole stream, and an address to write to.
        done("an event", unsafe { ffi::shim_event_record(stream, &raw mut raw) })?;
        Ok(Self { raw, device: stream.device })
    }

    /// Lets what is queued on `stream` from now on wait for this point; the caller does not wait.
    ///
    /// # Errors
    /// What CUDA refuses.
    pub fn block(&self, stream: &Stream) -> Result<(), ShimError> {
        // SAFETY: an event that `record` made, and a whole stream.
        done("the wait for an event", unsafe { ffi::shim_event_block(self.raw, stream) })
    }

    /// Whether the point is reached.
    ///
    /// # Errors
    /// Errors of earlier work on the device come out here.
    pub fn is_reached(&self) -> Result<bool, ShimError> {
        let mut reached = 0;
        // SAFETY: an event that `record` made, and a number to write to.
        done("the state of an event", unsafe { ffi::shim_event_query(self.raw, &raw mut reached) })?;
        Ok(reached != 0)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: an event that `record` made and nobody else holds. A failure would leave a few bytes behind.
        let _ = unsafe { ffi::shim_event_destroy(self.raw, self.device) };
    }
}
