//! Pixels fetched by bicubic and Lanczos interpolation (`cv2.remap` on 8 bits): weights from a table of 32 x 32 places.

use std::sync::LazyLock;

use super::border::{Border, pixel_at, short};
use super::interpolate::{cubic, lanczos4};
use crate::image::PixelBuffer;

/// Unit of the weights; each place's sum to it.
const UNIT: i32 = 1 << 15;

/// Weights of `N` by `N` pixels for each place within a pixel, rows first.
type Table<const N: usize> = Vec<[[i16; N]; N]>;

static CUBIC: LazyLock<Table<4>> = LazyLock::new(|| table(cubic));
static LANCZOS: LazyLock<Table<8>> = LazyLock::new(|| table(lanczos4));

fn table<const N: usize>(weights: fn(f32) -> [f32; N]) -> Table<N> {
    let lines: [[f32; N]; 32] = std::array::from_fn(|i| weights(i as f32 / 32.0));
    let place = |down: &[f32; N], across: &[f32; N]| {
        let fixed = |v: f32| (v * UNIT as f32).round_ties_even().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16;
        let mut weights = down.map(|y| across.map(|x| fixed(y * x)));
        let over = weights.iter().flatten().map(|&w| i32::from(w)).sum::<i32>() - UNIT;
        if over != 0 {
            // What rounding left goes to the largest of the four behind the middle, or is taken from the smallest.
            let half = N / 2;
            let (mut largest, mut smallest) = ((half, half), (half, half));
            for at in [(half, half), (half, half + 1), (half + 1, half), (half + 1, half + 1)] {
                if weights[at.0][at.1] < weights[smallest.0][smallest.1] {
                    smallest = at;
                } else if weights[at.0][at.1] > weights[largest.0][largest.1] {
                    largest = at;
                }
            }
            let (row, column) = if over < 0 { largest } else { smallest };
            weights[row][column] = (i32::from(weights[row][column]) - over) as i16;
        }
        weights
    };
    lines.iter().flat_map(|down| lines.iter().map(move |across| place(down, across))).collect()
}

/// A row of pixels from `xs`, `ys` (1/32 pixels), of four by four each.
pub(crate) fn fetch_row_cubic(image: &PixelBuffer, border: Border, xs: &[i32], ys: &[i32], out: &mut [u8]) {
    fetch_row(image, border, &CUBIC, xs, ys, out);
}

/// A row of pixels from `xs`, `ys` (1/32 pixels), of eight by eight each.
pub(crate) fn fetch_row_lanczos(image: &PixelBuffer, border: Border, xs: &[i32], ys: &[i32], out: &mut [u8]) {
    fetch_row(image, border, &LANCZOS, xs, ys, out);
}

fn fetch_row<const N: usize>(
    image: &PixelBuffer,
    border: Border,
    table: &Table<N>,
    xs: &[i32],
    ys: &[i32],
    out: &mut [u8],
) {
    let before = N as i64 / 2 - 1;
    for ((out, &x), &y) in out.as_chunks_mut::<3>().0.iter_mut().zip(xs).zip(ys) {
        let weights = &table[(y & 31) as usize * 32 + (x & 31) as usize];
        let (left, top) = (short(x >> 5) - before, short(y >> 5) - before);
        let mut sums = [UNIT / 2; 3];
        for (row, weights) in (top..).zip(weights) {
            for (column, &weight) in (left..).zip(weights) {
                let pixel = pixel_at(image, border, column, row);
                sums.iter_mut().zip(pixel).for_each(|(s, v)| *s += i32::from(v) * i32::from(weight));
            }
        }
        *out = sums.map(|s| (s >> 15).clamp(0, 255) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_weights_that_sum_to_the_unit() {
        let sum = |weights: &[i16]| weights.iter().map(|&w| i32::from(w)).sum::<i32>();
        // The place on a pixel alone is one short: its single weight is cut at the largest 16-bit number and mended from a neighbour.
        assert!(CUBIC.iter().all(|w| sum(w.as_flattened()) == UNIT));
        assert!(LANCZOS.iter().all(|w| sum(w.as_flattened()) == UNIT));
    }
}
