//! The streams between which NCCL's work is put in order, as far as it must know them. LibTorch's are [`CudaStreams`];
//! a test gives its own.

use crate::{CollectiveError, Stream};
use std::{fmt::Debug, sync::Arc};
use tch::Device;
use torch_shim::{
    device::make_current,
    stream::{self, current_stream},
};

/// The streams of the device of one rank.
pub trait Streams: Send + Sync + Debug {
    /// Where tensors live that NCCL can reach.
    fn device(&self) -> Device;
    /// Makes that device the one that calls of this thread mean.
    ///
    /// # Errors
    /// The device is not there.
    fn enter(&self) -> Result<(), CollectiveError>;
    /// The stream on which LibTorch puts the work of this thread.
    ///
    /// # Errors
    /// The device has none.
    fn current(&self) -> Result<Stream, CollectiveError>;
    /// A stream beside it, for communication.
    ///
    /// # Errors
    /// The device has none.
    fn side(&self) -> Result<Stream, CollectiveError>;
    /// The present end of the work on `stream`.
    ///
    /// # Errors
    /// What the device refuses.
    fn record(&self, stream: &Stream) -> Result<Arc<dyn Event>, CollectiveError>;
}

/// A point in the work of a stream.
pub trait Event: Send + Sync + Debug {
    /// Lets later work on `stream` wait for this point, not the caller.
    ///
    /// # Errors
    /// What the device refuses.
    fn block(&self, stream: &Stream) -> Result<(), CollectiveError>;
    /// Whether the point is reached. It does not wait.
    ///
    /// # Errors
    /// Earlier work on the device failed.
    fn is_reached(&self) -> Result<bool, CollectiveError>;
}

/// LibTorch's streams of a CUDA device.
#[derive(Debug)]
pub struct CudaStreams {
    device: Device,
}

impl CudaStreams {
    /// Those of CUDA device `index`.
    pub const fn of(index: usize) -> Self {
        Self { device: Device::Cuda(index) }
    }
}

impl Streams for CudaStreams {
    fn device(&self) -> Device {
        self.device
    }
    fn enter(&self) -> Result<(), CollectiveError> {
        Ok(make_current(self.device)?)
    }
    fn current(&self) -> Result<Stream, CollectiveError> {
        let missing = || torch_shim::ShimError::NoStream { device: format!("{:?}", self.device) };
        Ok(current_stream(self.device)?.ok_or_else(missing)?)
    }
    fn side(&self) -> Result<Stream, CollectiveError> {
        Ok(Stream::of_pool(self.device)?)
    }
    fn record(&self, stream: &Stream) -> Result<Arc<dyn Event>, CollectiveError> {
        Ok(Arc::new(stream::Event::record(stream)?))
    }
}

impl Event for stream::Event {
    fn block(&self, stream: &Stream) -> Result<(), CollectiveError> {
        Ok(Self::block(self, stream)?)
    }
    fn is_reached(&self) -> Result<bool, CollectiveError> {
        Ok(Self::is_reached(self)?)
    }
}
