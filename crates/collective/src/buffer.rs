//! A stretch of memory on its way between ranks.

use crate::{CollectiveError, Stream};
use std::{ffi::c_void, fmt, marker::PhantomData};
use tch::{Kind, Tensor};
use torch_shim::stream::current_stream;

/// Element types that travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE floats of 32 bits.
    F32,
    /// IEEE floats of 64 bits.
    F64,
    /// bfloat16, the upper half of an f32.
    Bf16,
    /// IEEE floats of 16 bits.
    F16,
    /// Signed integers of 64 bits.
    I64,
    /// Signed integers of 32 bits.
    I32,
    /// Unsigned integers of 8 bits.
    U8,
}

impl Dtype {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::Bf16 | Self::F16 => 2,
            Self::U8 => 1,
        }
    }

    /// The same in LibTorch's words.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::F64 => Kind::Double,
            Self::Bf16 => Kind::BFloat16,
            Self::F16 => Kind::Half,
            Self::I64 => Kind::Int64,
            Self::I32 => Kind::Int,
            Self::U8 => Kind::Uint8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::U8 => "u8",
        })
    }
}

impl TryFrom<Kind> for Dtype {
    type Error = CollectiveError;
    fn try_from(kind: Kind) -> Result<Self, CollectiveError> {
        Ok(match kind {
            Kind::Float => Self::F32,
            Kind::Double => Self::F64,
            Kind::BFloat16 => Self::Bf16,
            Kind::Half => Self::F16,
            Kind::Int64 => Self::I64,
            Kind::Int => Self::I32,
            Kind::Uint8 => Self::U8,
            other => {
                return Err(CollectiveError::Dtype { kind: format!("{other:?}") });
            }
        })
    }
}

/// `count` elements at `ptr`, on the host or on the device of `stream`; borrowed for the call.
#[derive(Debug)]
pub struct Buffer<'a> {
    ptr: *mut c_void,
    count: usize,
    dtype: Dtype,
    stream: Option<Stream>,
    of_host: bool,
    _borrow: PhantomData<&'a mut ()>,
}

impl<'a> Buffer<'a> {
    /// The memory of a contiguous tensor of any shape, on the current stream of its device.
    ///
    /// # Errors
    /// Gaps in memory, a dtype that does not travel, or a device without a stream.
    pub fn of(tensor: &'a mut Tensor) -> Result<Self, CollectiveError> {
        if !tensor.is_contiguous() {
            return Err(CollectiveError::Strides { strides: tensor.stride() });
        }
        Ok(Self {
            ptr: tensor.data_ptr(),
            count: tensor.numel(),
            dtype: tensor.kind().try_into()?,
            stream: current_stream(tensor.device())?,
            of_host: false,
            _borrow: PhantomData,
        })
    }

    /// As [`Buffer::of`], of a tensor that is in host memory whatever the device is, since the host needs its numbers at once.
    ///
    /// # Errors
    /// As [`Buffer::of`].
    pub fn of_host(tensor: &'a mut Tensor) -> Result<Self, CollectiveError> {
        Ok(Self { of_host: true, ..Self::of(tensor)? })
    }

    /// Memory that is no tensor.
    ///
    /// # Safety
    /// `ptr` points to `count` elements of `dtype`, aligned, writable, not accessed by anyone else for `'a`; on the
    /// host when `stream` is `None`, else on the device of that stream.
    pub unsafe fn from_raw(ptr: *mut c_void, count: usize, dtype: Dtype, stream: Option<Stream>) -> Self {
        Self { ptr, count, dtype, stream, of_host: false, _borrow: PhantomData }
    }

    /// The address of the first element; may be null when `count` is 0.
    pub fn ptr(&self) -> *mut c_void {
        self.ptr
    }
    /// Number of elements in the buffer.
    pub fn count(&self) -> usize {
        self.count
    }
    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }
    /// The stream whose order the access follows; `None` on the host.
    pub fn stream(&self) -> Option<Stream> {
        self.stream
    }
    /// Whether it is in host memory on every device. Where it is not, a buffer without a stream is one of a run on a CPU.
    pub fn is_of_host(&self) -> bool {
        self.of_host
    }
    /// Length of the memory in bytes.
    pub fn bytes(&self) -> usize {
        self.count * self.dtype.size()
    }
}
