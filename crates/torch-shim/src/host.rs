//! Tensors in host memory that Rust writes in place, so that a batch is not copied on its way to LibTorch.
//!
//! LibTorch allocates the memory: it is aligned as its kernels expect, and LibTorch frees it with the tensor.

use tch::{Device, Kind, Tensor};

/// A tensor of f32 on the CPU before anything else knows it.
#[derive(Debug)]
pub struct HostBuffer {
    tensor: Tensor,
}

impl HostBuffer {
    /// Zeros of this shape. Like all calls of tch it panics where memory is short: see [`crate::panics`].
    pub fn zeros(shape: &[i64]) -> Self {
        let tensor = Tensor::empty(shape, (Kind::Float, Device::Cpu));
        let (data, count) = (tensor.data_ptr().cast::<f32>(), tensor.numel());
        if count > 0 {
            // SAFETY: `empty` above gave contiguous memory for `count` elements of f32, which nothing else has seen yet; all
            // bits zero is the f32 zero. One memset, not LibTorch's own, which would start threads for the calling one.
            unsafe { std::ptr::write_bytes(data, 0, count) };
        }
        Self { tensor }
    }

    /// All elements in row order, to be written to.
    pub fn values(&mut self) -> &mut [f32] {
        let (data, count) = (self.tensor.data_ptr().cast::<f32>(), self.tensor.numel());
        if count == 0 {
            return &mut [];
        }
        // SAFETY: `zeros` made the tensor contiguous, f32 and on the CPU, and wrote all `count` elements. The field is private and
        // only `into_tensor` gives it away, which ends this buffer: the borrow of `self` is the only way to the memory.
        unsafe { std::slice::from_raw_parts_mut(data, count) }
    }

    /// The tensor of the shape that was asked for, with what was written.
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_kb() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_written_in_place_is_what_the_tensor_holds() {
        let mut buffer = HostBuffer::zeros(&[2, 3]);
        assert_eq!(buffer.values(), [0.0; 6]);
        let place = buffer.values().as_ptr();
        buffer.values().iter_mut().zip(1u8..).for_each(|(value, n)| *value = f32::from(n));
        let tensor = std::thread::spawn(move || buffer.into_tensor()).join().unwrap();
        assert_eq!(tensor.data_ptr().cast_const().cast(), place, "not copied");
        assert_eq!(place as usize % 64, 0, "aligned as LibTorch aligns its own");
        assert_eq!((tensor.size(), tensor.double_value(&[1, 0])), (vec![2, 3], 4.0));
        assert!(HostBuffer::zeros(&[0, 3]).values().is_empty());
    }

    #[test]
    fn the_memory_is_freed_with_the_tensor() {
        let before = resident_kb();
        for _ in 0..64 {
            let tensor = HostBuffer::zeros(&[8 << 20]).into_tensor();
            assert_eq!(tensor.numel(), 8 << 20);
        }
        let grown = resident_kb().saturating_sub(before);
        assert!(grown < 8 * 32 * 1024, "64 buffers of 32 MiB left {grown} KiB behind");
    }
}
