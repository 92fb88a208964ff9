//! Correlation with a small float kernel (`cv2.filter2D` on 8 bits), border `REFLECT_101`.

use super::border::{pad_row, reflect_101};
use super::round::round_u8;
use crate::image::Image;
use crate::pool::{Buf, Pooled};
use crate::simd::{self, LANES, ROWS, correlate, correlate_rows};

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

/// The last rows of an image, oldest first, as one slice.
pub(crate) struct Window<T: Pooled> {
    rows: Buf<T>,
    height: usize,
    /// Elements from one row to the next.
    pub(crate) pitch: usize,
    /// Rows in use, of three times `height` there is room for.
    used: usize,
}

impl<T: Pooled> Window<T> {
    /// Room for `height` rows of `length` elements, read in blocks of [`LANES`].
    pub(crate) fn new(height: usize, length: usize) -> Self {
        let pitch = length.next_multiple_of(LANES) + LANES;
        Self { rows: Buf::zeroed(3 * height * pitch), height, pitch, used: 0 }
    }

    /// Adds a row, which `fill` writes.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut [T])) {
        if self.used == 3 * self.height {
            let kept = self.height - 1;
            self.rows.copy_within((self.used - kept) * self.pitch.., 0);
            self.used = kept;
        }
        fill(&mut self.rows[self.used * self.pitch..][..self.pitch]);
        self.used += 1;
    }

    /// The last `height` rows.
    pub(crate) fn rows(&self) -> &[T] {
        &self.rows[(self.used - self.height) * self.pitch..self.used * self.pitch]
    }
}

/// Correlates every channel with `kernel`, rounding to nearest even.
///
/// Sums run over the weights in row order with fused multiply-adds, which is what OpenCV does for kernels below 130
/// weights; it takes a Fourier transform above, whose rounding noise this does not copy.
pub(crate) fn filter2d(image: &Image, kernel: &Kernel) -> Image {
    let (left, top) = (kernel.width / 2, kernel.height / 2);
    let right = kernel.width - 1 - left;
    let stride = image.stride();
    let padded = stride.next_multiple_of(LANES);
    let present = kernel.weights.iter().filter(|k| **k != 0.0).count();
    // With many weights, what is read of a row serves several rows of the result; a zero weight changes no sum.
    let together = if present > 30 { ROWS } else { 1 };
    let mut window = Window::new(kernel.height + together - 1, stride + (kernel.width - 1) * 3);
    let pitch = window.pitch;
    let (mut taps, mut taps_of_rows) = (Buf::with_capacity(0), Buf::with_capacity(0));
    for (y, x) in (0..kernel.height + together - 1).flat_map(|y| (0..kernel.width).map(move |x| (y, x))) {
        let weight = |row: usize| match y.checked_sub(row) {
            Some(y) if y < kernel.height => kernel.weights[y * kernel.width + x],
            _ => 0.0,
        };
        let (offset, weights) = (y * pitch + x * 3, std::array::from_fn(weight));
        match together {
            1 if weights[0] != 0.0 => taps.push((offset, weights[0])),
            ROWS if weights != [0.0; ROWS] => taps_of_rows.push((offset, weights)),
            _ => {}
        }
    }
    let mut next = -(top as isize);
    let mut push = |window: &mut Window<f32>, rows: usize| {
        for _ in 0..rows {
            window.push(|row| {
                let middle = image.row(reflect_101(next, image.height));
                simd::to_floats(middle, &mut row[left * 3..]);
                pad_row(image, next, (left, right), reflect_101, row);
            });
            next += 1;
        }
    };
    push(&mut window, kernel.height - 1);
    let mut out = Image::filled(image.height, image.width, 0);
    let mut sums = Buf::zeroed(together * padded);
    for lines in out.data.chunks_mut(together * stride) {
        push(&mut window, together);
        if together == 1 {
            correlate(&mut sums, window.rows(), &taps);
        } else {
            correlate_rows(&mut sums, window.rows(), &taps_of_rows);
        }
        for (line, sums) in lines.chunks_exact_mut(stride).zip(sums.chunks_exact(padded)) {
            simd::round_row(sums, line);
        }
    }
    out
}

/// Levels to floats, as many as there are levels.
#[inline(always)]
pub(crate) fn to_floats_body(levels: &[u8], out: &mut [f32]) {
    out.iter_mut().zip(levels).for_each(|(o, &v)| *o = f32::from(v));
}

/// Sums to levels, nearest even.
#[inline(always)]
pub(crate) fn round_row_body(sums: &[f32], out: &mut [u8]) {
    out.iter_mut().zip(sums).for_each(|(o, &s)| *o = round_u8(s));
}
