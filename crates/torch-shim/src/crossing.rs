//! The one door between host and device: whatever crosses goes through a function of this module, and is counted.
//!
//! A step runs as fast as its device only where the host queues work without waiting for numbers, and sends little. Each
//! crossing is counted on the thread that asks for it as a GPU would see it. On a CPU, which is its own host, nothing is copied
//! and nobody waits, but the same calls count: so a test without a GPU sees what a step would cost on one.
//!
//! * A *wait*: the host stands still until the device has come so far.
//! * A *pageable* copy is staged by the driver, and the host stands still meanwhile.
//! * A *pinned* copy is queued like other work.

use crate::{
    ShimError,
    stream::{Event, Stream, current_stream, lend, send_on},
};
use std::cell::Cell;
use tch::{Device, Kind, Tensor};

/// Copies of one sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// How many.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Copies {
    const NONE: Self = Self { count: 0, bytes: 0 };

    fn and(self, t: &Tensor) -> Self {
        Self { count: self.count + 1, bytes: self.bytes + bytes_of(t) }
    }

    fn less(self, before: Self) -> Self {
        Self { count: self.count - before.count, bytes: self.bytes - before.bytes }
    }
}

/// What has crossed between host and device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossings {
    /// Times that the host waited for the device.
    pub waits: u64,
    /// Copies of pageable memory, in either direction.
    pub pageable: Copies,
    /// Copies of pinned memory to the device.
    pub sent: Copies,
    /// Copies to the host into pinned memory.
    pub fetched: Copies,
}

impl Crossings {
    /// What has crossed since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            waits: self.waits - before.waits,
            pageable: self.pageable.less(before.pageable),
            sent: self.sent.less(before.sent),
            fetched: self.fetched.less(before.fetched),
        }
    }
}

thread_local! {
    static CROSSED: Cell<Crossings> = const {
        Cell::new(Crossings { waits: 0, pageable: Copies::NONE, sent: Copies::NONE, fetched: Copies::NONE })
    };
}

/// What has crossed so far at the request of this thread.
pub fn crossed() -> Crossings {
    CROSSED.get()
}

fn count(change: impl FnOnce(&mut Crossings)) {
    let mut crossed = CROSSED.get();
    change(&mut crossed);
    CROSSED.set(crossed);
}

fn bytes_of(t: &Tensor) -> u64 {
    (t.numel() * t.kind().elt_size_in_bytes()) as u64
}

/// Counts a wait of the host that happens elsewhere, such as in a loop that asks for an event.
pub fn count_wait() {
    count(|crossed| crossed.waits += 1);
}

/// `t`, of any shape, in host memory, at once: one wait and a pageable copy. On a CPU it is `t` itself.
pub fn fetch(t: &Tensor) -> Tensor {
    count(|crossed| (crossed.waits, crossed.pageable) = (crossed.waits + 1, crossed.pageable.and(t)));
    t.to_device(Device::Cpu)
}

/// All elements of `t`, of any shape, in row order, at once: as [`fetch`].
pub fn fetch_numbers(t: &Tensor) -> Vec<f64> {
    numbers(&fetch(t))
}

/// A tensor of one element as a number, at once: as [`fetch`].
pub fn fetch_number(t: &Tensor) -> f64 {
    fetch(t).double_value(&[])
}

/// Copies `src` into `dst`, of the same shape and dtype, one of them in host memory that may be pageable.
pub fn copy_pageable(dst: &mut Tensor, src: &Tensor) {
    count(|crossed| crossed.pageable = crossed.pageable.and(src));
    dst.copy_(src);
}

/// `host`, of any shape, on `device`, by way of pinned memory: the copy is queued on the current stream of the device, and the host does
/// not wait. On a CPU it is `host` itself.
///
/// The pinned memory is LibTorch's: its allocator gives it to nobody else before the copy has ended, whoever lets go of it.
pub fn send(host: &Tensor, device: Device) -> Tensor {
    if host.device() == device && device.is_cuda() {
        return host.shallow_clone();
    }
    count(|crossed| crossed.sent = crossed.sent.and(host));
    match device {
        Device::Cpu => host.shallow_clone(),
        device if host.is_pinned(device) => host.to_device_(device, host.kind(), true, false),
        device => host.pin_memory(device).to_device_(device, host.kind(), true, false),
    }
}

/// A stream beside the one that computes: what is sent on it travels while the device computes. On a CPU nothing travels.
#[derive(Debug)]
pub struct SideStream {
    device: Device,
    /// `None` on a CPU.
    stream: Option<Stream>,
}

impl SideStream {
    /// One of `device`.
    ///
    /// # Errors
    /// A device that is neither CPU nor CUDA, and what CUDA refuses.
    pub fn of(device: Device) -> Result<Self, ShimError> {
        let stream = current_stream(device)?.map(|_| Stream::of_pool(device)).transpose()?;
        Ok(Self { device, stream })
    }

    /// The device that tensors are sent to.
    pub fn device(&self) -> Device {
        self.device
    }

    /// `host`, of any shape, on the device. The host does not wait, and of the work that is queued on the device only what is queued
    /// after this call does. On a CPU it is `host` itself. Memory that is not pinned is copied to pinned memory first.
    ///
    /// The memory of the copy is the side stream's. It is lent to the current stream, so that LibTorch gives it to nobody before all
    /// that has been queued there up to the moment when the last holder lets go is done.
    ///
    /// # Errors
    /// What CUDA refuses, or memory of the device that is short.
    pub fn send(&self, host: &Tensor) -> Result<Tensor, ShimError> {
        count(|crossed| crossed.sent = crossed.sent.and(host));
        let (Some(side), Some(current)) = (&self.stream, current_stream(self.device)?) else {
            return Ok(host.shallow_clone());
        };
        let pinned = if host.is_pinned(self.device) { host.shallow_clone() } else { host.pin_memory(self.device) };
        let sent = send_on(side, &pinned)?;
        Event::record(side)?.block(&current)?;
        lend(&sent, &current)?;
        Ok(sent)
    }
}

/// Whole numbers, of any shape, in row order. From host memory, where they should be, nothing crosses; else as [`fetch`].
pub fn whole_numbers(t: &Tensor) -> Vec<i64> {
    let host = if t.device() == Device::Cpu { t.shallow_clone() } else { fetch(t) };
    let host = host.to_kind(Kind::Int64).contiguous();
    let mut out = vec![0; host.numel()];
    host.copy_data(&mut out, host.numel());
    out
}

fn numbers(host: &Tensor) -> Vec<f64> {
    let host = host.to_kind(Kind::Double).contiguous();
    let mut out = vec![0.0; host.numel()];
    host.copy_data(&mut out, host.numel());
    out
}

/// Numbers on their way to the host, behind the work that makes them.
#[derive(Debug)]
pub struct Reading {
    host: Tensor,
    /// The end of the copy; `None` on a CPU.
    end: Option<Event>,
}

impl Reading {
    /// Queues the copy of `t`, of any shape, into pinned memory.
    ///
    /// # Errors
    /// A device that is neither CPU nor CUDA, and what CUDA refuses.
    pub fn begin(t: &Tensor) -> Result<Self, ShimError> {
        count(|crossed| crossed.fetched = crossed.fetched.and(t));
        let stream = current_stream(t.device())?;
        let Some(stream) = stream else { return Ok(Self { host: t.copy(), end: None }) };
        // To the host and not waited for: LibTorch then takes pinned memory.
        let host = t.to_device_(Device::Cpu, t.kind(), true, false);
        Ok(Self { host, end: Some(Event::record(&stream)?) })
    }

    /// Whether the numbers have arrived.
    ///
    /// # Errors
    /// Errors of earlier work on the device come out here.
    pub fn has_arrived(&self) -> Result<bool, ShimError> {
        self.end.as_ref().map_or(Ok(true), Event::is_reached)
    }

    /// All elements in row order. One wait: `wait` is called until they have arrived, and passes the time, or gives up.
    ///
    /// # Errors
    /// That of `wait`, and errors of earlier work on the device.
    pub fn finish<E: From<ShimError>>(self, mut wait: impl FnMut() -> Result<(), E>) -> Result<Vec<f64>, E> {
        count_wait();
        while !self.has_arrived()? {
            wait()?;
        }
        Ok(numbers(&self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crosses_is_counted_on_the_thread_that_asks() {
        let before = crossed();
        let t = Tensor::from_slice(&[1.0f32, 2.0, 3.0]);
        let sent = send(&t, Device::Cpu);
        assert_eq!(crossed().since(before), Crossings { sent: Copies { count: 1, bytes: 12 }, ..Crossings::default() });
        assert_eq!(fetch_numbers(&sent), [1.0, 2.0, 3.0]);
        let reading = Reading::begin(&t.to_kind(Kind::Double)).unwrap();
        let seen = crossed().since(before);
        assert_eq!((seen.waits, seen.pageable.bytes, seen.fetched.bytes), (1, 12, 24), "it is not waited for yet");
        let _ = std::thread::spawn(|| fetch_number(&Tensor::from(1.0))).join().unwrap();
        assert_eq!(reading.finish(|| Ok::<(), ShimError>(())).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(crossed().since(before).waits, 2);
    }

    #[test]
    fn what_is_sent_beside_is_counted_too() {
        let side = SideStream::of(Device::Cpu).unwrap();
        let (a, b) = (Tensor::from_slice(&[1u8, 2]), Tensor::from_slice(&[3.0f32]));
        let before = crossed();
        let sent = [&a, &b].map(|t| side.send(t).unwrap());
        assert_eq!((sent[0].data_ptr(), sent[1].data_ptr()), (a.data_ptr(), b.data_ptr()), "a CPU is its own host");
        assert_eq!(crossed().since(before).sent, Copies { count: 2, bytes: 6 });
        assert!(SideStream::of(Device::Mps).is_err());
    }

    #[test]
    fn numbers_are_those_of_when_the_reading_began() {
        let mut t = Tensor::from_slice(&[1.0, 2.0]);
        let reading = Reading::begin(&t).unwrap();
        let _ = t.fill_(7.0);
        assert_eq!(reading.finish(|| Ok::<(), ShimError>(())).unwrap(), [1.0, 2.0]);
    }
}
