//! `cv2.resize` on 8 bits: bilinear (11-bit fixed point), bicubic and nearest, without antialiasing.

use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::round::round_u8;
use crate::simd::{self, Columns};

/// Unit of the fixed-point weights.
const UNIT: f32 = 2048.0;

/// Where one output position reads: first source index (may be negative) and the weights from there on.
struct Taps<const N: usize> {
    first: isize,
    weights: [i32; N],
}

fn fixed(weight: f32) -> i32 {
    (weight * UNIT).round_ties_even() as i32
}

/// Source position of output `i`: whole part and fraction.
fn position(i: usize, scale: f64) -> (isize, f32) {
    let at = ((i as f64 + 0.5) * scale - 0.5) as f32;
    let floor = at.floor();
    (floor as isize, at - floor)
}

/// Copies source index `i` into `0..len`, edge repeated.
fn clip(i: isize, len: usize) -> usize {
    i.clamp(0, len as isize - 1) as usize
}

/// Bilinear resize as OpenCV's `INTER_LINEAR`.
pub(crate) fn bilinear(image: &PixelBuffer, height: usize, width: usize) -> PixelBuffer {
    if (image.height, image.width) == (height, width) {
        return image.clone();
    }
    if image.height == 2 * height && image.width == 2 * width {
        return halve(image);
    }
    let scale_x = 1.0 / (width as f64 / image.width as f64);
    let scale_y = 1.0 / (height as f64 / image.height as f64);
    // For each column: where its two source pixels start, and their weights.
    let column = |x| {
        let (mut first, mut fraction) = position(x, scale_x);
        if first < 0 {
            (first, fraction) = (0, 0.0);
        }
        if first >= image.width as isize - 1 {
            (first, fraction) = (image.width as isize - 1, 0.0);
        }
        let second = clip(first + 1, image.width);
        [first as i32 * 3, second as i32 * 3, fixed(1.0 - fraction), fixed(fraction)]
    };
    let columns = Columns::new(Buf::collect(width, (0..width).map(column)), image.stride());
    let stride = width * 3;
    let mut out = PixelBuffer::unwritten(height, width);
    let mut cache = RowCache::<2>::new(stride);
    for y in 0..height {
        let (first, fraction) = position(y, scale_y);
        let rows = [clip(first, image.height), clip(first + 1, image.height)];
        let slots = cache.rows(rows, |row, line| columns.blend(image.row(row), line));
        let (b0, b1) = (fixed(1.0 - fraction), fixed(fraction));
        let (s0, s1) = (&cache.lines[slots[0]], &cache.lines[slots[1]]);
        blend_rows(s0, s1, [b0, b1], &mut out.data[y * stride..(y + 1) * stride]);
    }
    out
}

simd::wide! {
    /// Two rows in fixed point to one of levels.
    pub(crate) fn blend_rows(upper: &[i32], lower: &[i32], weights: [i32; 2], out: &mut [u8]) = blend_rows_body;
}

#[inline(always)]
pub(super) fn blend_rows_body(upper: &[i32], lower: &[i32], [b0, b1]: [i32; 2], out: &mut [u8]) {
    for ((o, &p), &q) in out.iter_mut().zip(upper).zip(lower) {
        *o = ((((b0 * (p >> 4)) >> 16) + ((b1 * (q >> 4)) >> 16) + 2) >> 2).clamp(0, 255) as u8;
    }
}

/// Half size: OpenCV takes the mean of each 2 x 2 block here.
fn halve(image: &PixelBuffer) -> PixelBuffer {
    let (height, width) = (image.height / 2, image.width / 2);
    let mut half = PixelBuffer::empty(height, width);
    for y in 0..height {
        let (top, bottom) = (image.row(2 * y), image.row(2 * y + 1));
        for x in 0..width {
            for c in 0..3 {
                let (a, b) = (x * 6 + c, x * 6 + 3 + c);
                let sum = u16::from(top[a]) + u16::from(top[b]) + u16::from(bottom[a]) + u16::from(bottom[b]);
                half.data.push(((sum + 2) >> 2) as u8);
            }
        }
    }
    half
}

/// The last horizontally resized rows, by source row.
struct RowCache<const N: usize> {
    lines: [Buf<i32>; N],
    holds: [usize; N],
    next: usize,
}

impl<const N: usize> RowCache<N> {
    fn new(stride: usize) -> Self {
        Self { lines: std::array::from_fn(|_| Buf::any(stride)), holds: [usize::MAX; N], next: 0 }
    }

    /// Slots that hold `rows` (ascending), filled where missing.
    fn rows(&mut self, rows: [usize; N], mut fill: impl FnMut(usize, &mut [i32])) -> [usize; N] {
        rows.map(|row| {
            if let Some(slot) = self.holds.iter().position(|&held| held == row) {
                return slot;
            }
            // Rows come in ascending order, so the slot after the newest holds the oldest row.
            let slot = (self.next..self.next + N)
                .map(|s| s % N)
                .find(|&s| !rows.contains(&self.holds[s]))
                .unwrap_or(self.next);
            self.next = (slot + 1) % N;
            self.holds[slot] = row;
            fill(row, &mut self.lines[slot]);
            slot
        })
    }
}

/// The four bicubic weights (a = -0.75) at `fraction` behind the second tap.
fn cubic_weights(x: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let w0 = ((A * (x + 1.0) - 5.0 * A) * (x + 1.0) + 8.0 * A) * (x + 1.0) - 4.0 * A;
    let w1 = ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let w2 = ((A + 2.0) * (1.0 - x) - (A + 3.0)) * (1.0 - x) * (1.0 - x) + 1.0;
    [w0, w1, w2, 1.0 - w0 - w1 - w2]
}

/// Bicubic resize (`INTER_CUBIC`); within one level of OpenCV, which may hand this to another library.
pub(crate) fn bicubic(image: &PixelBuffer, height: usize, width: usize) -> PixelBuffer {
    if (image.height, image.width) == (height, width) {
        return image.clone();
    }
    let taps = |i: usize, scale: f64| {
        let (floor, fraction) = position(i, scale);
        Taps { first: floor - 1, weights: cubic_weights(fraction).map(fixed) }
    };
    let scale_x = 1.0 / (width as f64 / image.width as f64);
    let scale_y = 1.0 / (height as f64 / image.height as f64);
    let columns: Vec<Taps<4>> = (0..width).map(|x| taps(x, scale_x)).collect();
    let stride = width * 3;
    let mut out = PixelBuffer::unwritten(height, width);
    let mut cache = RowCache::<4>::new(stride);
    for y in 0..height {
        let row = taps(y, scale_y);
        let rows = [0, 1, 2, 3].map(|k| clip(row.first + k, image.height));
        let slots = cache.rows(rows, |row, line| {
            let source = image.row(row);
            for (x, taps) in columns.iter().enumerate() {
                for c in 0..3 {
                    line[x * 3 + c] = (0..4)
                        .map(|k| {
                            let at = clip(taps.first + k as isize, image.width) * 3 + c;
                            i32::from(source[at]) * taps.weights[k]
                        })
                        .sum();
                }
            }
        });
        let weights = row.weights.map(|w| w as f32 * (1.0 / (UNIT * UNIT)));
        let lines = slots.map(|slot| cache.lines[slot].as_slice());
        for (i, o) in out.data[y * stride..(y + 1) * stride].iter_mut().enumerate() {
            let at = |k: usize| lines[k][i] as f32 * weights[k];
            *o = round_u8(at(0) + (at(1) + (at(2) + at(3))));
        }
    }
    out
}

/// Nearest neighbour (`INTER_NEAREST`): output `i` reads source `floor(i * step)`.
pub(crate) fn nearest(
    image: &PixelBuffer,
    (height, step_y): (usize, f64),
    (width, step_x): (usize, f64),
) -> PixelBuffer {
    let column = |x| ((x as f64 * step_x).floor() as usize).min(image.width - 1) * 3;
    let columns = Buf::collect(width, (0..width).map(column));
    let mut out = PixelBuffer::unwritten(height, width);
    let stride = width * 3;
    let mut last = usize::MAX;
    for y in 0..height {
        let from = ((y as f64 * step_y).floor() as usize).min(image.height - 1);
        if from == last {
            out.data.copy_within((y - 1) * stride..y * stride, y * stride);
            continue;
        }
        last = from;
        let (row, line) = (image.row(from), &mut out.data[y * stride..][..stride]);
        for (pixel, &at) in line.as_chunks_mut::<3>().0.iter_mut().zip(columns.iter()) {
            pixel.copy_from_slice(&row[at..at + 3]);
        }
    }
    out
}
