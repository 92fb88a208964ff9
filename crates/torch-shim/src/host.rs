//! Tensors in host memory that Rust writes or reads in place: a batch is not copied on its way to LibTorch, and a state is copied
//! once on its way out of it.
//!
//! LibTorch allocates the memory: it is aligned as its kernels expect, and LibTorch frees it with the tensor.

use crate::{ShimError, ffi, taken};
use std::marker::PhantomData;
use tch::{Device, Kind, Tensor};

/// A number of which a [`HostBuffer`] consists. All bits zero is its zero.
pub trait Number: Copy + Send + Sync + private::Sealed {
    /// The dtype of the tensor.
    const KIND: Kind;
    /// c10's number of that dtype.
    #[doc(hidden)]
    const SCALAR_TYPE: i32;
}

mod private {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for f32 {}
}

impl Number for u8 {
    const KIND: Kind = Kind::Uint8;
    const SCALAR_TYPE: i32 = 0;
}

impl Number for f32 {
    const KIND: Kind = Kind::Float;
    const SCALAR_TYPE: i32 = 6;
}

/// A tensor on the CPU before anything else knows it.
#[derive(Debug)]
pub struct HostBuffer<N = f32> {
    tensor: Tensor,
    numbers: PhantomData<N>,
}

impl<N: Number> HostBuffer<N> {
    /// Zeros of this shape, for a tensor that is to be used on `device`: for a GPU in pinned memory, from which it is sent without a copy
    /// in between.
    ///
    /// # Errors
    /// Memory that cannot be pinned. Memory that is short makes it panic, as all calls of tch do: see [`crate::panics`].
    pub fn zeros(shape: &[i64], device: Device) -> Result<Self, ShimError> {
        let tensor = match device.is_cuda() {
            // SAFETY: a shape of `shape.len()` axes.
            true => {
                taken("pinned memory", unsafe { ffi::shim_empty_pinned(shape.as_ptr(), shape.len(), N::SCALAR_TYPE) })?
            }
            false => Tensor::empty(shape, (N::KIND, Device::Cpu)),
        };
        let (data, count) = (tensor.data_ptr().cast::<N>(), tensor.numel());
        if count > 0 {
            // SAFETY: `empty` above gave contiguous memory for `count` elements of N, which nothing else has seen yet; all
            // bits zero is the zero of N. One memset, not LibTorch's own, which would start threads for the calling one.
            unsafe { std::ptr::write_bytes(data, 0, count) };
        }
        Ok(Self { tensor, numbers: PhantomData })
    }

    /// All elements in row order, to be written to.
    pub fn values(&mut self) -> &mut [N] {
        let (data, count) = (self.tensor.data_ptr().cast::<N>(), self.tensor.numel());
        if count == 0 {
            return &mut [];
        }
        // SAFETY: `zeros` made the tensor contiguous, of N and on the CPU, and wrote all `count` elements. The field is private and
        // only `into_tensor` gives it away, which ends this buffer: the borrow of `self` is the only way to the memory.
        unsafe { std::slice::from_raw_parts_mut(data, count) }
    }

    /// The tensor of the shape that was asked for, with what was written.
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }
}

/// Bytes in host memory into which tensors of any device are copied, one after another. Where the tensors are on a GPU the memory
/// is pinned, so that it is filled at the speed of the bus.
#[derive(Debug)]
pub struct HostBytes {
    /// One dimension, `u8`, contiguous, on the CPU; nothing outside has seen it.
    tensor: Tensor,
    /// How many of the tensor's bytes are used.
    length: usize,
}

/// What memory is rounded up to, so that it can be used again for some bytes more.
const ROOM: usize = 1 << 16;

impl HostBytes {
    /// Zeros, for tensors of `device`. Like all calls of tch it panics where memory is short: see [`crate::panics`].
    pub fn zeros(length: usize, device: Device) -> Self {
        let tensor = Tensor::zeros([length.next_multiple_of(ROOM) as i64], (Kind::Uint8, Device::Cpu));
        Self { tensor: if device.is_cuda() { tensor.pin_memory(device) } else { tensor }, length }
    }

    /// The same memory for another number of bytes, whatever they are; none where it is too small, or much too large.
    pub fn resized(self, length: usize) -> Option<Self> {
        let room = self.tensor.numel();
        (length <= room && room < length + 4 * ROOM).then_some(Self { length, ..self })
    }

    /// Copies `bytes` to `at`. Panics where they do not fit.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let (start, length) = (self.tensor.data_ptr().cast::<u8>(), self.length);
        assert!(at <= length && bytes.len() <= length - at, "{} bytes at {at} of {length}", bytes.len());
        if !bytes.is_empty() {
            // SAFETY: the tensor is contiguous, on the CPU and of at least `length` bytes (see the fields), of which these are a part
            // (asserted above); `&mut self` is the only way to them, so `bytes` lies elsewhere.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.add(at), bytes.len()) };
        }
    }

    /// Copies the elements of `t`, in row order, to `at`, a multiple of the size of one. Panics where they do not fit.
    pub fn copy(&mut self, at: usize, t: &Tensor) {
        if t.numel() == 0 {
            return;
        }
        let bytes = t.numel() * t.kind().elt_size_in_bytes();
        assert!(at <= self.length && bytes <= self.length - at, "{bytes} bytes at {at} of {}", self.length);
        let place = self.tensor.narrow(0, at as i64, bytes as i64);
        place.view_dtype(t.kind()).view(t.size().as_slice()).copy_(&t.detach());
    }
}

impl AsRef<[u8]> for HostBytes {
    fn as_ref(&self) -> &[u8] {
        let (start, length) = (self.tensor.data_ptr().cast::<u8>(), self.length);
        if length == 0 {
            return &[];
        }
        // SAFETY: the tensor is contiguous, on the CPU and of at least `length` bytes, which `zeros` wrote (see the fields); they change
        // only through `&mut self`, which the borrow of `self` excludes.
        unsafe { std::slice::from_raw_parts(start, length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_any_layout_are_copied_in_row_order() {
        let mut bytes = HostBytes::zeros(22, Device::Cpu);
        bytes.write(16, b"abcde");
        bytes.copy(0, &Tensor::from_slice(&[1i16, 2, 3, 4, 5, 6]).view([2, 3]).transpose(0, 1));
        bytes.copy(21, &Tensor::from_slice(&[true]));
        bytes.copy(22, &Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)));
        let expected = [1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6, 0, 0, 0, 0, 0, 97, 98, 99, 100, 101, 1];
        assert_eq!(bytes.as_ref(), expected);
        assert!(HostBytes::zeros(0, Device::Cpu).as_ref().is_empty());
        let longer = bytes.resized(23).unwrap();
        assert_eq!(longer.as_ref(), [&expected[..], &[0]].concat());
        assert!(longer.resized(ROOM + 1).is_none() && HostBytes::zeros(9 * ROOM, Device::Cpu).resized(9).is_none());
    }

    fn resident_kb() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_written_in_place_is_what_the_tensor_holds() {
        let mut buffer = HostBuffer::<f32>::zeros(&[2, 3], Device::Cpu).unwrap();
        assert_eq!(buffer.values(), [0.0; 6]);
        let place = buffer.values().as_ptr();
        buffer.values().iter_mut().zip(1u8..).for_each(|(value, n)| *value = f32::from(n));
        let tensor = std::thread::spawn(move || buffer.into_tensor()).join().unwrap();
        assert_eq!(tensor.data_ptr().cast_const().cast(), place, "not copied");
        assert_eq!(place as usize % 64, 0, "aligned as LibTorch aligns its own");
        assert_eq!((tensor.size(), tensor.double_value(&[1, 0])), (vec![2, 3], 4.0));
        assert!(HostBuffer::<f32>::zeros(&[0, 3], Device::Cpu).unwrap().values().is_empty());
        let mut bytes = HostBuffer::<u8>::zeros(&[3], Device::Cpu).unwrap();
        bytes.values().copy_from_slice(&[1, 2, 255]);
        let bytes = bytes.into_tensor();
        assert_eq!((bytes.kind(), bytes.int64_value(&[2])), (Kind::Uint8, 255));
    }

    #[test]
    fn the_memory_is_freed_with_the_tensor() {
        let before = resident_kb();
        for _ in 0..64 {
            let tensor = HostBuffer::<f32>::zeros(&[8 << 20], Device::Cpu).unwrap().into_tensor();
            assert_eq!(tensor.numel(), 8 << 20);
        }
        let grown = resident_kb().saturating_sub(before);
        assert!(grown < 8 * 32 * 1024, "64 buffers of 32 MiB left {grown} KiB behind");
    }
}
