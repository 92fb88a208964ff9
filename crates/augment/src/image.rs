//! Plain pixels: what comes in ([`PixelBuffer`]) and what goes out ([`View`], [`Views`]).

use crate::error::AugmentError;
use crate::pool;

/// The pixels that transforms work on: 8 bits in three interleaved channels, of which order the caller knows. They go to the
/// thread's store of buffers when it is dropped. Images from files are `imaging::RgbImage`.
#[derive(Debug, PartialEq, Eq)]
pub struct PixelBuffer {
    /// Rows, at least 1.
    pub height: usize,
    /// Columns, at least 1.
    pub width: usize,
    /// `[height, width, 3]`, row-major; the channel order is the caller's.
    pub data: Vec<u8>,
}

impl PixelBuffer {
    /// Wraps `data` (`[height, width, 3]`).
    ///
    /// # Errors
    /// [`AugmentError::Shape`] when a side is 0 or the length does not fit.
    pub fn new(height: usize, width: usize, data: Vec<u8>) -> Result<Self, AugmentError> {
        if height == 0 || width == 0 || data.len() != height * width * 3 {
            return Err(AugmentError::Shape { height, width, length: data.len() });
        }
        Ok(Self { height, width, data })
    }

    /// An image of one value in all channels.
    pub(crate) fn filled(height: usize, width: usize, value: u8) -> Self {
        let mut image = Self::empty(height, width);
        image.data.resize(height * width * 3, value);
        image
    }

    /// An image whose pixels are still to be written over.
    pub(crate) fn unwritten(height: usize, width: usize) -> Self {
        Self { height, width, data: pool::take_any(height * width * 3) }
    }

    /// An image whose pixels are still to be pushed.
    pub(crate) fn empty(height: usize, width: usize) -> Self {
        Self { height, width, data: pool::take(height * width * 3) }
    }

    /// Bytes in a row.
    pub(crate) fn stride(&self) -> usize {
        self.width * 3
    }

    /// The bytes of row `y`.
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        let stride = self.stride();
        &self.data[y * stride..(y + 1) * stride]
    }

    /// Swaps channels 0 and 2 (RGB to BGR and back).
    pub fn swap_red_blue(mut self) -> Self {
        for pixel in self.data.chunks_exact_mut(3) {
            pixel.swap(0, 2);
        }
        self
    }
}

impl Clone for PixelBuffer {
    fn clone(&self) -> Self {
        let mut image = Self::empty(self.height, self.width);
        image.data.extend_from_slice(&self.data);
        image
    }
}

impl Drop for PixelBuffer {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.data));
    }
}

/// A normalised view, ready for the model.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Rows of the view in pixels.
    pub height: usize,
    /// Columns of the view in pixels.
    pub width: usize,
    /// `[3, height, width]`, row-major.
    pub data: Vec<f32>,
}

/// All views of one draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Views {
    /// The two global crops (views 0 and 1).
    pub global: [View; 2],
    /// The local crops (views 2, 3, …); empty when the recipe has none.
    pub local: Vec<View>,
}
