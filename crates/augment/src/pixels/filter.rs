//! Correlation with a small float kernel (`cv2.filter2D` on 8 bits), border `REFLECT_101`.

use super::border::{padded_row, reflect_101};
use super::round::round_u8;
use crate::image::Image;
use crate::pool::Buf;
use crate::simd::{self, LANES, correlate};

/// A kernel of `height` x `width` weights, anchored at its middle (`side / 2`).
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// Rows.
    pub(crate) height: usize,
    /// Columns.
    pub(crate) width: usize,
    /// `[height, width]`, row-major.
    pub(crate) weights: Buf<f32>,
}

impl Kernel {
    /// A square kernel.
    pub(crate) fn square(side: usize, weights: Buf<f32>) -> Self {
        debug_assert_eq!(weights.len(), side * side);
        Self { height: side, width: side, weights }
    }
}

/// The last rows of an image in floats, oldest first, as one slice.
pub(crate) struct Window {
    rows: Buf<f32>,
    height: usize,
    /// Floats from one row to the next.
    pub(crate) pitch: usize,
    next: usize,
}

impl Window {
    /// Room for `height` rows of `length` floats, read in blocks of [`LANES`].
    pub(crate) fn new(height: usize, length: usize) -> Self {
        let pitch = length.next_multiple_of(LANES) + LANES;
        Self { rows: Buf::zeroed(2 * height * pitch), height, pitch, next: 0 }
    }

    /// Adds a row, which `fill` writes. It is kept twice, so that any `height` successive rows lie in one piece.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut [f32])) {
        let (first, second) = self.rows.split_at_mut(self.height * self.pitch);
        let at = self.next * self.pitch;
        fill(&mut first[at..at + self.pitch]);
        second[at..at + self.pitch].copy_from_slice(&first[at..at + self.pitch]);
        self.next = (self.next + 1) % self.height;
    }

    /// The last `height` rows.
    pub(crate) fn rows(&self) -> &[f32] {
        &self.rows[self.next * self.pitch..]
    }
}

/// Correlates every channel with `kernel`, rounding to nearest even.
///
/// Sums run over the non-zero weights in row order with fused multiply-adds, which is what OpenCV does for kernels
/// below 130 weights; it takes a Fourier transform above, whose rounding noise this does not copy.
pub(crate) fn filter2d(image: &Image, kernel: &Kernel) -> Image {
    let (left, top) = (kernel.width / 2, kernel.height / 2);
    let right = kernel.width - 1 - left;
    let stride = image.stride();
    let mut window = Window::new(kernel.height, stride + (kernel.width - 1) * 3);
    let pitch = window.pitch;
    let mut taps = Buf::with_capacity(kernel.weights.len());
    for (i, &k) in kernel.weights.iter().enumerate().filter(|(_, k)| **k != 0.0) {
        taps.push((i / kernel.width * pitch + i % kernel.width * 3, k));
    }
    let push = |window: &mut Window, y: isize| {
        window.push(|row| padded_row(image, y, (left, right), reflect_101, row));
    };
    for y in 0..kernel.height - 1 {
        push(&mut window, y as isize - top as isize);
    }
    let mut out = Image::filled(image.height, image.width, 0);
    let mut acc = Buf::zeroed(stride.next_multiple_of(LANES));
    for (y, line) in out.data.chunks_exact_mut(stride).enumerate() {
        push(&mut window, (y + kernel.height - 1) as isize - top as isize);
        correlate(&mut acc, window.rows(), &taps);
        simd::round_row(&acc, line);
    }
    out
}

/// Sums to levels, nearest even.
#[inline(always)]
pub(crate) fn round_row_body(sums: &[f32], out: &mut [u8]) {
    out.iter_mut().zip(sums).for_each(|(o, &s)| *o = round_u8(s));
}
