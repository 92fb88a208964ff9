//! Correlation with a disc whose rim is smoothed by a Gaussian of 3 x 3, as two steps: exact sums over the disc, from running
//! sums along the rows, then the Gaussian over these sums. As one kernel of 17 x 17 (see [`super::filter`]) it is several times the work.

use super::border::{padded_row, reflect_101};
use super::filter::RowWindow;
use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::round::round_u8;
use crate::simd;

/// The largest radius. The kernels of the reference reach 8 places, and what the Gaussian brings to their edge it
/// mirrors there: larger discs are not the same in two steps. (Sums over them would not fit 16 bits either.)
pub(crate) const LARGEST: usize = 6;
/// Rows of the largest disc.
const ROWS: usize = 2 * LARGEST + 1;
/// Sums that are worked on at once; what is read and written is a multiple of this.
const BLOCK: usize = 64;

/// `image` correlated with the disc of `radius` (all places at most that far away, alike), smoothed by `taps` along both
/// directions. Border `REFLECT_101`, rounded to nearest even.
///
/// # Panics
/// If `radius` is above [`LARGEST`].
pub(crate) fn blur_disc(image: &PixelBuffer, radius: usize, taps: [f64; 3]) -> PixelBuffer {
    assert!(radius <= LARGEST, "larger discs are kernels");
    let (stride, margin) = (image.stride(), radius + 1);
    // Half the width of the disc in each of its rows, and where its running sums begin and end.
    let mut spans = [(0, 0); ROWS];
    let mut count = 0;
    for (row, span) in spans.iter_mut().take(2 * radius + 1).enumerate() {
        let away = row.abs_diff(radius);
        let reach = (0..=radius).take_while(|x| x * x + away * away <= radius * radius).count() - 1;
        *span = (3 * (radius - reach), 3 * (radius + reach + 1));
        count += 2 * reach + 1;
    }
    let spans = &spans[..2 * radius + 1];
    // Sums are taken one place beyond the image on all sides, for the Gaussian.
    let sums = (stride + 6).next_multiple_of(BLOCK);
    let padded = stride + 6 * margin;
    let mut levels = Buf::<u16>::any(padded);
    let mut running = RowWindow::<u16>::new(spans.len(), padded + 3 + BLOCK);
    let mut discs = RowWindow::<u16>::new(3, sums);
    let mut down = Buf::<f32>::any(sums);
    let weights = [taps[0] as f32, taps[1] as f32];
    let scale = 1.0 / count as f32;
    let mut out = PixelBuffer::unwritten(image.height, image.width);
    for y in 0..image.height + 2 * margin {
        padded_row(image, y as isize - margin as isize, (margin, margin), reflect_101, &mut levels);
        running.push(|row| run(&levels, row));
        if y < 2 * radius {
            continue;
        }
        discs.push(|row| disc_row(running.rows(), running.pitch, spans, row));
        if let Some(line) = y.checked_sub(2 * margin) {
            disc_rim(discs.rows(), weights, scale, &mut down, &mut out.data[line * stride..][..stride]);
        }
    }
    out
}

/// Running sums of each channel along a row, modulo 2^16: element `3 i + c` is the sum of the `i` pixels before.
fn run(levels: &[u16], out: &mut [u16]) {
    let mut sums = [0_u16; 3];
    let (before, last) = out[..levels.len() + 3].split_at_mut(levels.len());
    for (out, pixel) in before.as_chunks_mut::<3>().0.iter_mut().zip(levels.as_chunks::<3>().0) {
        *out = sums;
        sums.iter_mut().zip(pixel).for_each(|(sum, level)| *sum = sum.wrapping_add(*level));
    }
    last.copy_from_slice(&sums);
}

simd::wide! {
    /// Sums over the disc: for each of its rows the running sum at its end less that at its begin.
    pub(crate) fn disc_row(running: &[u16], pitch: usize, spans: &[(usize, usize)], out: &mut [u16]) = disc_row_body;
}

#[inline(always)]
pub(super) fn disc_row_body(running: &[u16], pitch: usize, spans: &[(usize, usize)], out: &mut [u16]) {
    for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let mut sums = [0_u16; BLOCK];
        for (row, &(begin, end)) in running.chunks_exact(pitch).zip(spans) {
            let begin = &row[begin + block * BLOCK..][..BLOCK];
            let end = &row[end + block * BLOCK..][..BLOCK];
            for ((sum, begin), end) in sums.iter_mut().zip(begin).zip(end) {
                *sum = sum.wrapping_add(end.wrapping_sub(*begin));
            }
        }
        *out = sums;
    }
}

simd::wide! {
    /// The Gaussian over three rows of sums, times `scale`: `weights` are those of a neighbour and of the middle.
    pub(crate) fn disc_rim(rows: &[u16], weights: [f32; 2], scale: f32, down: &mut [f32], out: &mut [u8]) = disc_rim_body;
}

#[inline(always)]
pub(super) fn disc_rim_body(rows: &[u16], weights: [f32; 2], scale: f32, down: &mut [f32], out: &mut [u8]) {
    let [side, middle] = weights;
    let length = down.len();
    let (above, rest) = rows.split_at(length);
    let (here, below) = rest.split_at(length);
    for (((down, above), here), below) in down.iter_mut().zip(above).zip(here).zip(below) {
        *down = side * (f32::from(*above) + f32::from(*below)) + middle * f32::from(*here);
    }
    for (at, out) in out.iter_mut().enumerate() {
        *out = round_u8(scale * (side * (down[at] + down[at + 6]) + middle * down[at + 3]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::filter::{Kernel, filter2d};

    /// An image without a pattern, by its seed.
    fn picture(height: usize, width: usize, seed: u32) -> PixelBuffer {
        let mut image = PixelBuffer::unwritten(height, width);
        let mut state = seed;
        image.data.iter_mut().for_each(|level| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *level = (state >> 24) as u8;
        });
        image
    }

    #[test]
    fn two_steps_are_the_one_kernel() {
        let taps = [0.2, 0.6, 0.2];
        for (height, width) in [(1, 1), (1, 9), (7, 2), (40, 57), (64, 64)] {
            let image = picture(height, width, 7);
            for radius in 0..=LARGEST {
                let side = 2 * radius + 3;
                let reach = radius as isize + 1;
                let inside = |y: isize, x: isize| x * x + y * y <= (radius * radius) as isize;
                let places = || (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (y, x)));
                let count = places().filter(|&(y, x)| inside(y, x)).count() as f64;
                let weights = places().map(|(y, x)| {
                    let near = (0..9).filter(|k| inside(y + k / 3 - 1, x + k % 3 - 1));
                    (near.map(|k| taps[k as usize / 3] * taps[k as usize % 3]).sum::<f64>() / count) as f32
                });
                let whole = filter2d(&image, &Kernel::square(side, Buf::collect(side * side, weights)));
                let steps = blur_disc(&image, radius, taps);
                let apart = whole.data.iter().zip(&steps.data).map(|(a, b)| a.abs_diff(*b));
                let (most, differ) = (apart.clone().max().unwrap_or(0), apart.filter(|by| *by > 0).count());
                assert!(
                    most <= 1 && differ * 1000 <= whole.data.len(),
                    "{height} x {width}, {radius}: {differ} differ by {most}"
                );
            }
        }
    }
}
