//! Plain pixels: what comes in ([`Image`]) and what goes out ([`View`], [`Views`]).

use crate::error::AugmentError;

/// An 8-bit image of three interleaved channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Rows, at least 1.
    pub height: usize,
    /// Columns, at least 1.
    pub width: usize,
    /// `[height, width, 3]`, row-major; the channel order is the caller's.
    pub data: Vec<u8>,
}

impl Image {
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
        Self { height, width, data: vec![value; height * width * 3] }
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

/// A normalised view, ready for the model.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Rows.
    pub height: usize,
    /// Columns.
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
