//! Ranks as processes with a CUDA device each, over NCCL, which is opened at run time (see [`Library`]).
//!
//! Work goes to a stream of its own, beside LibTorch's current one, and is put in order with it by events: it begins when
//! what was queued before has ended, and what comes after waits for it, on the device. The calling thread waits only where
//! numbers are needed on the host, and there it never waits inside a library. A watchdog ends the world when a peer gives
//! up, when NCCL or the device fails, and when a call takes longer than its deadline. docs/adr/0008 has the reasons.

mod communicator;
mod inflight;
mod library;
mod streams;
mod sys;
mod watchdog;

pub use library::{Library, NcclError, OVERRIDE, Version};
pub use streams::{CudaStreams, Event, Streams};
pub use sys::UniqueId;

use crate::{
    Buffer, Collective, CollectiveError, ControlChannel, Dtype, Op, Patience, Pending, Stream,
    abort_reason::AbortReason, poll::pause,
};
use communicator::{Communicator, FAREWELL};
use inflight::Inflight;
use std::{
    ffi::{c_int, c_void},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::Instant,
};
use sys::{Code, Comm, CudaStream, SUM, Table, data_type};
use tch::{Device, Kind, Tensor};
use torch_shim::crossing;

/// What a rank needs to join.
#[derive(Debug)]
pub struct Joining {
    /// The opened NCCL library.
    pub library: Arc<Library>,
    /// The streams of this rank's device.
    pub streams: Arc<dyn Streams>,
    /// The way to the other ranks until NCCL is there, and the way of bad news after.
    pub control: Box<dyn ControlChannel>,
    /// Longest time that joining, and later each call, may take.
    pub deadline: Patience,
}

#[derive(Debug)]
struct Shared {
    comm: Communicator,
    streams: Arc<dyn Streams>,
    /// The stream for communication.
    side: Stream,
    control: Box<dyn ControlChannel>,
    abort_reason: Arc<AbortReason>,
    inflight: Inflight,
    deadline: Patience,
    /// Held over the making of a call, so that its events lie around its work and no other's.
    order: Mutex<()>,
}

/// One rank of an NCCL world.
#[derive(Debug)]
pub struct Nccl {
    rank: usize,
    world: usize,
    version: Version,
    shared: Arc<Shared>,
    /// What a barrier sums, and where the sum goes: two numbers on the device.
    token: Mutex<Tensor>,
    /// Dropping it stops the watchdog.
    stop: Option<Sender<()>>,
    watchdog: Option<JoinHandle<()>>,
}

impl Nccl {
    /// Joins the ranks on `control`, each with the device of its `streams`.
    ///
    /// # Errors
    /// NCCL refuses, a peer gives up, or they are not there before the deadline.
    pub fn join(joining: Joining) -> Result<Self, CollectiveError> {
        let Joining { library, streams, control, deadline } = joining;
        let (rank, world) = (control.rank(), control.world());
        let begun = (|| {
            streams.enter()?;
            let own = if rank == 0 { library.unique_id()?.0.to_vec() } else { Vec::new() };
            let bytes = control.broadcast_bytes_of_root(own)?;
            let id = bytes.as_slice().try_into().map(UniqueId).map_err(|_| CollectiveError::Aborted {
                reason: format!("rank {rank} got {} bytes of rank 0 in place of NCCL's 128", bytes.len()),
            })?;
            let began = Instant::now();
            let stop = || {
                let late =
                    || format!("rank {rank} waited {:.1} s for its peers to join NCCL", deadline.get().as_secs_f64());
                control.peer_failure().or_else(|| (began.elapsed() > deadline.get()).then(late))
            };
            let comm = Communicator::join(Arc::clone(&library), id, rank, world, &stop)?;
            let token = Tensor::ones([2], (Kind::Float, streams.device()));
            Ok((comm, streams.side()?, library.version()?, token))
        })();
        let (comm, side, version, token) = begun.inspect_err(|error: &CollectiveError| {
            control.announce_failure(&format!("rank {rank} could not join: {error}"));
        })?;
        let (abort_reason, inflight, order) = (Arc::default(), Inflight::default(), Mutex::default());
        let shared = Arc::new(Shared { comm, streams, side, control, abort_reason, inflight, deadline, order });
        let (stop, stopped) = channel();
        let watched = Arc::clone(&shared);
        let watchdog = std::thread::Builder::new()
            .name("nccl watchdog".to_owned())
            .spawn(move || watchdog::watch(&watched, &stopped))
            .map_err(|error| CollectiveError::Aborted { reason: format!("the watchdog does not start ({error})") })?;
        let (token, stop, watchdog) = (Mutex::new(token), Some(stop), Some(watchdog));
        Ok(Self { rank, world, version, shared, token, stop, watchdog })
    }

    /// The release of the library.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl Shared {
    /// An error, and the end of this world: a call that failed leaves the ranks at different places.
    fn broken(&self, error: CollectiveError) -> CollectiveError {
        self.abort_reason.set(&match error {
            CollectiveError::Aborted { reason } => reason,
            error => format!("a call failed on rank {}: {error}", self.control.rank()),
        });
        // The first reason is the true one: an abort that frees this call makes an error of its own.
        self.abort_reason.check().err().unwrap_or(CollectiveError::Aborted { reason: String::new() })
    }

    /// Queues one call on the side stream, behind the work of `after`; gives the end of its work.
    fn queue(
        &self,
        description: String,
        after: &Stream,
        name: &'static str,
        call: impl FnOnce(&Table, Comm, CudaStream) -> Code,
    ) -> Result<Arc<dyn Event>, CollectiveError> {
        self.abort_reason.check()?;
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.inflight.begin(description);
        let queued = (|| {
            self.streams.record(after)?.block(&self.side)?;
            let side = self.side.handle();
            self.comm.issue(name, |calls, comm| call(calls, comm, side), &|| self.abort_reason.reason())?;
            self.streams.record(&self.side)
        })();
        let end = queued.map_err(|error| self.broken(error))?;
        self.inflight.queued(number, Arc::clone(&end));
        Ok(end)
    }

    /// Waits on the host for a point on the device, but not longer than the world lasts.
    fn wait(&self, end: &dyn Event) -> Result<(), CollectiveError> {
        crossing::count_wait();
        let began = Instant::now();
        while !end.is_reached().map_err(|error| self.broken(error))? {
            self.abort_reason.check()?;
            pause(began.elapsed());
        }
        // An abort ends the work without its result.
        self.abort_reason.check()
    }

    /// Runs `work` on device memory with the content of `buffer`: on the buffer itself, or for one on the host on a copy
    /// that goes to the device and back.
    fn on_device(
        &self,
        buffer: &Buffer<'_>,
        work: impl FnOnce(&DeviceBuffer) -> Result<Arc<dyn Event>, CollectiveError>,
    ) -> Result<(), CollectiveError> {
        self.abort_reason.check()?;
        if let Some(stream) = buffer.stream() {
            let end = work(&DeviceBuffer { ptr: buffer.ptr(), count: buffer.count(), dtype: buffer.dtype(), stream })?;
            return end.block(&stream).map_err(|error| self.broken(error));
        }
        // SAFETY: host memory (it has no stream) of `count` elements of `dtype`, borrowed for this call by the contract of
        // Buffer; the tensor does not outlive it.
        let mut host = unsafe { tensor_at(buffer.ptr(), buffer.count(), buffer.dtype(), Device::Cpu) };
        let mut copy = Tensor::empty(host.size(), (host.kind(), self.streams.device()));
        crossing::copy_pageable(&mut copy, &host);
        let stream = self.streams.current()?;
        let end = work(&DeviceBuffer { ptr: copy.data_ptr(), count: buffer.count(), dtype: buffer.dtype(), stream })?;
        let back = end.block(&stream).map_err(|error| self.broken(error)).and_then(|()| self.wait(end.as_ref()));
        if back.is_err() {
            // Work that nobody will finish may still hold the copy.
            std::mem::forget(copy);
            return back;
        }
        crossing::copy_pageable(&mut host, &copy);
        Ok(())
    }

    fn sum(&self, place: &DeviceBuffer) -> Result<Arc<dyn Event>, CollectiveError> {
        let DeviceBuffer { ptr, count, dtype, stream } = *place;
        self.queue(place.description("all_reduce(Sum, "), &stream, "ncclAllReduce", |calls, comm, side| {
            // SAFETY: device memory of `count` elements of `dtype`, summed in place; whoever lent it does not use it before
            // the end of this work, which is what `queue` gives. The communicator's turn is held.
            unsafe { (calls.all_reduce)(ptr, ptr, count, data_type(dtype), SUM, comm, side) }
        })
    }

    fn broadcast(&self, place: &DeviceBuffer, root: usize) -> Result<Arc<dyn Event>, CollectiveError> {
        let DeviceBuffer { ptr, count, dtype, stream } = *place;
        self.queue(place.description(&format!("broadcast({root}, ")), &stream, "ncclBroadcast", |calls, comm, side| {
            // SAFETY: as in `sum`.
            unsafe { (calls.broadcast)(ptr, ptr, count, data_type(dtype), root as c_int, comm, side) }
        })
    }

    /// NCCL's own maximum drops a NaN, which the contract forbids: everyone's numbers are gathered, and LibTorch, whose
    /// maximum keeps it, compares them. Maxima are taken of a few numbers, never of gradients.
    fn max(&self, place: &DeviceBuffer) -> Result<Arc<dyn Event>, CollectiveError> {
        let device = self.streams.device();
        // SAFETY: device memory of `count` elements of `dtype` for the length of the call, by the contract of Buffer.
        let mut mine = unsafe { tensor_at(place.ptr, place.count, place.dtype, device) };
        let all = Tensor::empty([self.control.world() as i64, place.count as i64], (mine.kind(), device));
        let (DeviceBuffer { ptr, count, dtype, stream }, to) = (*place, all.data_ptr());
        let end = self.queue(place.description("all_reduce(Max, "), &stream, "ncclAllGather", |calls, comm, side| {
            // SAFETY: as in `sum`; `all` has room for the elements of every rank.
            unsafe { (calls.all_gather)(ptr, to, count, data_type(dtype), comm, side) }
        });
        let compared = end.and_then(|end| {
            // LibTorch compares on its current stream; whoever uses the buffer's finds the result there.
            let current = self.streams.current()?;
            end.block(&current)?;
            mine.copy_(&all.amax([0_i64].as_slice(), false));
            self.streams.record(&current)
        });
        if compared.is_err() {
            // The gathering may still be under way: its memory must not be given to others.
            std::mem::forget(all);
        }
        compared
    }
}

impl Shared {
    /// Ends a world that has a reason to end: tells the peers, and frees whoever waits for them.
    fn end(&self) {
        if let Some(reason) = self.abort_reason.reason() {
            self.control.announce_failure(&reason);
            self.comm.abort();
        }
    }
}

/// Device memory of a call.
#[derive(Clone, Copy, Debug)]
struct DeviceBuffer {
    ptr: *mut c_void,
    count: usize,
    dtype: Dtype,
    stream: Stream,
}

impl DeviceBuffer {
    fn description(&self, call: &str) -> String {
        format!("{call}{} {})", self.count, self.dtype)
    }
}

/// Memory as a tensor that does not own it.
///
/// # Safety
/// `ptr` points to `count` elements of `dtype` on `device`, or `count` is 0; they outlive the tensor.
unsafe fn tensor_at(ptr: *mut c_void, count: usize, dtype: Dtype, device: Device) -> Tensor {
    if count == 0 {
        return Tensor::empty([0], (dtype.kind(), device));
    }
    // SAFETY: the caller's promise.
    unsafe { Tensor::from_blob(ptr.cast::<u8>(), &[count as i64], &[1], dtype.kind(), device) }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        self.stop = None;
        let Some(watchdog) = self.watchdog.take() else { return };
        if self.shared.abort_reason.reason().is_some() {
            self.shared.end();
            // The library may be stuck in its own abort; a process that gave up does not wait for that.
            let began = Instant::now();
            while !watchdog.is_finished() && began.elapsed() < FAREWELL {
                pause(began.elapsed());
            }
            return;
        }
        // It panicked if this fails, and its hook has said so.
        let _ = watchdog.join();
        self.shared.comm.finish();
    }
}

impl Collective for Nccl {
    fn rank(&self) -> usize {
        self.rank
    }
    fn world(&self) -> usize {
        self.world
    }
    fn all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<(), CollectiveError> {
        if buffer.count() == 0 {
            return self.shared.abort_reason.check();
        }
        self.shared.on_device(&buffer, |place| match op {
            Op::Sum => self.shared.sum(place),
            Op::Max => self.shared.max(place),
        })
    }
    unsafe fn start_all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<Pending, CollectiveError> {
        let (Some(stream), Op::Sum, 1..) = (buffer.stream(), op, buffer.count()) else {
            // What the host must wait for anyway gains nothing from a later end.
            let began = Instant::now();
            self.all_reduce(buffer, op)?;
            return Ok(Pending::done(began.elapsed().as_secs_f64()));
        };
        let place = DeviceBuffer { ptr: buffer.ptr(), count: buffer.count(), dtype: buffer.dtype(), stream };
        let end = self.shared.sum(&place)?;
        let shared = Arc::clone(&self.shared);
        Ok(Pending::later(move || {
            shared.abort_reason.check()?;
            end.block(&shared.streams.current()?).map_err(|error| shared.broken(error))?;
            // How long the device takes is not known without waiting for it.
            Ok(0.0)
        }))
    }
    fn broadcast(&self, buffer: Buffer<'_>, root: usize) -> Result<(), CollectiveError> {
        if root >= self.world {
            return Err(CollectiveError::Root { root, world: self.world });
        }
        if buffer.count() == 0 {
            return self.shared.abort_reason.check();
        }
        self.shared.on_device(&buffer, |place| self.shared.broadcast(place, root))
    }
    fn barrier(&self) -> Result<(), CollectiveError> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, to) = (token.get(0).data_ptr(), token.get(1).data_ptr());
        let end =
            self.shared.queue("barrier".to_owned(), &self.shared.side, "ncclAllReduce", |calls, comm, side| {
                // SAFETY: two numbers on the device that the token holds, and whose lock is held until the work has ended.
                unsafe { (calls.all_reduce)(from, to, 1, data_type(Dtype::F32), SUM, comm, side) }
            })?;
        self.shared.wait(end.as_ref())
    }
    fn abort_reason(&self) -> Option<Arc<AbortReason>> {
        Some(Arc::clone(&self.shared.abort_reason))
    }
    fn abort(&self, reason: &str) {
        self.shared.abort_reason.set(&format!("rank {} gave up: {reason}", self.rank));
        // At once, since the process may end now; the communicator is the watchdog's.
        self.shared.control.announce_failure(&self.shared.abort_reason.reason().unwrap_or_default());
    }
}
