//! Correlation with a small float kernel (`cv2.filter2D` on 8 bits), border `REFLECT_101`.

use super::border::{pad_row, padded_row, reflect_101};
use crate::image::PixelBuffer;
use crate::pool::{Buf, Pooled};
use crate::round::round_u8;
use crate::simd::{self, Groups, LANES, ROWS, RowTaps, STRIP, correlate, correlate_levels, correlate_rows};

/// A kernel of `height` x `width` weights, anchored at its middle (`side / 2`).
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// Rows of the kernel.
    pub(crate) height: usize,
    /// Columns of the kernel.
    pub(crate) width: usize,
    /// Weights `[height, width]`, row-major.
    pub(crate) weights: Buf<f32>,
}

impl Kernel {
    /// A kernel of `side` rows and columns.
    pub(crate) fn square(side: usize, weights: Buf<f32>) -> Self {
        debug_assert_eq!(weights.len(), side * side);
        Self { height: side, width: side, weights }
    }
}

/// The last rows of an image, oldest first, as one slice.
pub(crate) struct RowWindow<T: Pooled> {
    rows: Buf<T>,
    height: usize,
    /// Elements from one row to the next.
    pub(crate) pitch: usize,
    /// Rows in use, of three times `height` there is room for.
    used: usize,
}

impl<T: Pooled> RowWindow<T> {
    /// Room for `height` rows, `pitch` elements each.
    pub(crate) fn new(height: usize, pitch: usize) -> Self {
        Self { rows: Buf::zeroed(3 * height * pitch), height, pitch, used: 0 }
    }

    /// Forgets all rows, so that the next one is the first.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
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
/// OpenCV sums over the weights in row order with fused multiply-adds for kernels below 130 weights and takes a Fourier
/// transform above. Sums here are in f32 too, in three orders: weights of few sizes are grouped, large kernels whose left
/// mirrors their right are folded, the rest goes in row order. What another order rounds differently is some 1e-5 levels.
pub(crate) fn filter2d(image: &PixelBuffer, kernel: &Kernel) -> PixelBuffer {
    let (height, width) = (kernel.height, kernel.width);
    let present = kernel.weights.iter().filter(|k| **k != 0.0).count();
    if present > 30 && is_mirrored(kernel) {
        return filter_folded(image, kernel);
    }
    let (left, right, stride) = (width / 2, width - 1 - width / 2, image.stride());
    let length = stride + (width - 1) * 3;
    let pitch = pitch(length);
    let mut taps = Buf::with_capacity(present);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        if kernel.weights[y * width + x] != 0.0 {
            taps.push((y * pitch + x * 3, kernel.weights[y * width + x]));
        }
    }
    let mut out = PixelBuffer::unwritten(image.height, image.width);
    let source = |y: usize| y as isize - (height / 2) as isize;
    if let Some(groups) = Groups::new(&taps) {
        let mut window = RowWindow::<u8>::new(height, pitch);
        for y in 0..image.height + height - 1 {
            window.push(|row| padded_row(image, source(y), (left, right), reflect_101, row));
            if let Some(line) = (y + 1).checked_sub(height) {
                correlate_levels(&mut out.data[line * stride..][..stride], window.rows(), &groups);
            }
        }
        return out;
    }
    let mut window = RowWindow::<f32>::new(height, pitch);
    let mut sums = Buf::any(stride.next_multiple_of(LANES));
    for y in 0..image.height + height - 1 {
        window.push(|row| {
            to_floats(image.row(reflect_101(source(y), image.height)), &mut row[left * 3..]);
            pad_row(image, source(y), (left, right), reflect_101, row);
        });
        if let Some(line) = (y + 1).checked_sub(height) {
            correlate(&mut sums, window.rows(), &taps);
            round_row(&sums, &mut out.data[line * stride..][..stride]);
        }
    }
    out
}

/// Elements from row to row of a window whose rows have `length` and are read in blocks of [`LANES`].
pub(crate) fn pitch(length: usize) -> usize {
    length.next_multiple_of(LANES) + LANES
}

/// Whether a kernel's left half mirrors its right, as far as f32 goes.
fn is_mirrored(kernel: &Kernel) -> bool {
    let largest = kernel.weights.iter().fold(0f32, |max, w| max.max(w.abs()));
    let same = |row: &[f32]| row.iter().zip(row.iter().rev()).all(|(a, b)| (a - b).abs() <= 1e-6 * largest);
    kernel.width % 2 == 1 && kernel.weights.chunks_exact(kernel.width).all(same)
}

/// As [`filter2d`] for a mirrored kernel. Pixels at one distance to the left and to the right are added first, once for
/// each row they stand in, which halves the products. The image goes by in strips so narrow that a window of sums stays in
/// the nearest cache.
fn filter_folded(image: &PixelBuffer, kernel: &Kernel) -> PixelBuffer {
    let (height, half, stride) = (kernel.height, kernel.width / 2, image.stride());
    let pitch = (half + 1) * STRIP;
    let mut taps = Buf::with_capacity((height + ROWS) * (half + 1));
    for (y, arm) in (0..height + ROWS - 1).flat_map(|y| (0..=half).map(move |arm| (y, arm))) {
        let weights: [f32; ROWS] = std::array::from_fn(|row| match y.checked_sub(row) {
            Some(y) if y < height => {
                let middle = y * kernel.width + half;
                0.5 * (kernel.weights[middle - arm] + kernel.weights[middle + arm])
            }
            _ => 0.0,
        });
        if weights != [0.0; ROWS] {
            taps.push((y * pitch + arm * STRIP, weights));
        }
    }
    let taps = RowTaps::new(taps);
    // Rows of floats with their borders; a few too many, so that the last strip and the last rows are whole.
    let across = stride.next_multiple_of(STRIP) + 6 * half;
    let rows = image.height.next_multiple_of(ROWS) + height - 1;
    let mut padded = Buf::<f32>::any(rows * across);
    for (y, row) in padded.chunks_exact_mut(across).enumerate() {
        let from = y as isize - (height / 2) as isize;
        to_floats(image.row(reflect_101(from, image.height)), &mut row[half * 3..]);
        pad_row(image, from, (half, half), reflect_101, row);
    }
    let mut out = PixelBuffer::unwritten(image.height, image.width);
    let mut window = RowWindow::<f32>::new(height + ROWS - 1, pitch);
    let (mut sums, mut levels) = ([0f32; ROWS * STRIP], [0u8; ROWS * STRIP]);
    for left in (0..stride).step_by(STRIP) {
        window.clear();
        let count = STRIP.min(stride - left);
        for (y, row) in padded.chunks_exact(across).enumerate() {
            window.push(|sums| fold(&row[left..][..STRIP + 6 * half], half, sums));
            if let Some(top) = (y + 2).checked_sub(height + ROWS)
                && top.is_multiple_of(ROWS)
            {
                correlate_rows(&mut sums, window.rows(), &taps);
                round_row(&sums, &mut levels);
                let lines = out.data.chunks_exact_mut(stride).skip(top);
                for (line, levels) in lines.zip(levels.chunks_exact(STRIP)) {
                    line[left..left + count].copy_from_slice(&levels[..count]);
                }
            }
        }
    }
    out
}

simd::wide! {
    /// A strip of a row, and for each distance up to `half` pixels the sums of what lies left and right of it by that much.
    pub(crate) fn fold(padded: &[f32], half: usize, out: &mut [f32]) = fold_body;
}

#[inline(always)]
pub(super) fn fold_body(padded: &[f32], half: usize, out: &mut [f32]) {
    for (arm, part) in out.as_chunks_mut::<STRIP>().0.iter_mut().enumerate() {
        let right = &padded[3 * (half + arm)..][..STRIP];
        if arm == 0 {
            part.copy_from_slice(right);
        } else {
            let left = &padded[3 * (half - arm)..][..STRIP];
            part.iter_mut().zip(left).zip(right).for_each(|((p, l), r)| *p = l + r);
        }
    }
}

simd::wide! {
    /// Levels to floats, as many as there are levels.
    pub(crate) fn to_floats(levels: &[u8], out: &mut [f32]) = to_floats_body;
}

#[inline(always)]
pub(super) fn to_floats_body(levels: &[u8], out: &mut [f32]) {
    out.iter_mut().zip(levels).for_each(|(o, &v)| *o = f32::from(v));
}

simd::wide! {
    /// Sums to levels, nearest even.
    pub(crate) fn round_row(sums: &[f32], out: &mut [u8]) = round_row_body;
}

#[inline(always)]
pub(super) fn round_row_body(sums: &[f32], out: &mut [u8]) {
    out.iter_mut().zip(sums).for_each(|(o, &s)| *o = round_u8(s));
}
