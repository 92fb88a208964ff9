//! Box and Gaussian blur on 8 bits, to OpenCV's bit.

use super::border::{padded_row, reflect_101};
use super::filter::{RowWindow, pitch};
use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::round::round_u8;
use crate::simd;

/// `cv2.blur` with a `k` x `k` box (anchor `k / 2`), border `REFLECT_101`; `k` is at most 255.
pub(crate) fn box_blur(image: &PixelBuffer, k: usize) -> PixelBuffer {
    if k <= 1 {
        return image.clone();
    }
    let (before, after) = (k / 2, k - 1 - k / 2);
    let stride = image.stride();
    let mut padded = Buf::<u8>::zeroed(stride + (k - 1) * 3);
    let mut row_sums = |y: usize, out: &mut [u16]| {
        padded_row(image, y as isize - before as isize, (before, after), reflect_101, &mut padded);
        box_row(&padded, k, out);
    };
    // Sums of k values fit 16 bits. The ring holds the last k rows; a slot is zero until its first row comes.
    let mut ring = Buf::<u16>::zeroed(k * stride);
    let mut newest = Buf::<u16>::zeroed(stride);
    let mut sum = Buf::<u32>::zeroed(stride);
    let mut out = PixelBuffer::unwritten(image.height, image.width);
    for y in 0..image.height + k - 1 {
        row_sums(y, &mut newest);
        let slot = &mut ring[y % k * stride..][..stride];
        box_slide(&mut sum, &newest, slot);
        slot.copy_from_slice(&newest);
        if y + 1 >= k {
            box_mean(&sum, (k * k) as u32, &mut out.data[(y + 1 - k) * stride..][..stride]);
        }
    }
    out
}

simd::wide! {
    /// `out[i] = Σ padded[i + 3 j]` over `j` of `0..k`.
    pub(crate) fn box_row(padded: &[u8], k: usize, out: &mut [u16]) = box_row_body;
}

#[inline(always)]
pub(super) fn box_row_body(padded: &[u8], k: usize, out: &mut [u16]) {
    if k <= 16 {
        out.iter_mut().zip(padded).for_each(|(o, &p)| *o = u16::from(p));
        for j in 1..k {
            out.iter_mut().zip(&padded[3 * j..]).for_each(|(o, &p)| *o += u16::from(p));
        }
        return;
    }
    let mut running = [0u16; 3];
    for j in 0..k - 1 {
        (0..3).for_each(|c| running[c] += u16::from(padded[3 * j + c]));
    }
    for (x, pixel) in out.chunks_exact_mut(3).enumerate() {
        (0..3).for_each(|c| running[c] += u16::from(padded[(x + k - 1) * 3 + c]));
        pixel.copy_from_slice(&running);
        (0..3).for_each(|c| running[c] -= u16::from(padded[x * 3 + c]));
    }
}

simd::wide! {
    /// Moves column sums down by one row: `sum += newest - oldest`.
    pub(crate) fn box_slide(sum: &mut [u32], newest: &[u16], oldest: &[u16]) = box_slide_body;
}

#[inline(always)]
pub(super) fn box_slide_body(sum: &mut [u32], newest: &[u16], oldest: &[u16]) {
    for ((s, &n), &o) in sum.iter_mut().zip(newest).zip(oldest) {
        *s = *s + u32::from(n) - u32::from(o);
    }
}

simd::wide! {
    /// `out = sum / area`, rounded the way OpenCV rounds: fixed point up to 256 pixels, float above.
    pub(crate) fn box_mean(sum: &[u32], area: u32, out: &mut [u8]) = box_mean_body;
}

#[inline(always)]
pub(super) fn box_mean_body(sum: &[u32], area: u32, out: &mut [u8]) {
    if area <= 256 {
        const SHIFT: u32 = 23;
        let exact = f64::from(1u32 << SHIFT) / f64::from(area);
        let whole = exact.floor();
        let (delta, scale) =
            if exact - whole < 0.5 { (area / 2 + 1, whole as u32) } else { (area / 2, whole as u32 + 1) };
        // (s * scale) >> 23 in 32 bits: s has 16 bits, the scale 21.
        let (high, low) = (scale >> 16, scale & 0xffff);
        for (o, &s) in out.iter_mut().zip(sum) {
            let s = s + delta;
            *o = ((s * high + ((s * low) >> 16)) >> (SHIFT - 16)).min(255) as u8;
        }
    } else {
        let scale = (1.0 / f64::from(area)) as f32;
        out.iter_mut().zip(sum).for_each(|(o, &s)| *o = round_u8(s as f32 * scale));
    }
}

/// The weights of OpenCV's bit-exact 8-bit Gaussian, in units of 1/256; `side` is odd.
fn gaussian_weights(side: usize, sigma: f64) -> Buf<u16> {
    let fixed: &[u16] = match side {
        1 => &[256],
        3 => &[64, 128, 64],
        5 => &[16, 64, 96, 64, 16],
        7 => &[8, 28, 56, 72, 56, 28, 8],
        _ => &[],
    };
    if sigma <= 0.0 && !fixed.is_empty() {
        return Buf::collect(side, fixed.iter().copied());
    }
    let exact = gaussian_kernel(side, sigma);
    // Error diffusion from the rim inwards; the centre takes what is left of 256.
    let mut weights = Buf::<u16>::zeroed(side);
    let (mut error, mut sum) = (0.0, 0);
    for i in 0..side / 2 {
        let wanted = exact[i] * 256.0 + error;
        let given = wanted.round_ties_even();
        error = wanted - given;
        weights[i] = given as u16;
        weights[side - 1 - i] = given as u16;
        sum += 2 * given as u16;
    }
    weights[side / 2] = 256 - sum;
    weights
}

/// `cv2.getGaussianKernel(side, sigma)`: sums to 1; `sigma <= 0` stands for `0.3 * ((side - 1) / 2 - 1) + 0.8`.
pub(crate) fn gaussian_kernel(side: usize, sigma: f64) -> Buf<f64> {
    let sigma = if sigma > 0.0 { sigma } else { 0.15 * side as f64 + 0.35 };
    let scale = -0.125 / (sigma * sigma);
    let weight = |i| {
        let x = 2.0 * i as f64 + 1.0 - side as f64;
        (x * x * scale).exp()
    };
    let mut weights = Buf::collect(side, (0..side).map(weight));
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    weights
}

/// The side OpenCV picks for an 8-bit Gaussian when only `sigma` is given.
pub(crate) fn gaussian_side(sigma: f64) -> usize {
    ((sigma * 6.0 + 1.0).round_ties_even() as usize) | 1
}

/// `cv2.GaussianBlur` on 8 bits with a `side` x `side` window (odd), border `REFLECT_101`.
pub(crate) fn gaussian_blur(image: &PixelBuffer, side: usize, sigma: f64) -> PixelBuffer {
    let weights = gaussian_weights(side, sigma);
    let (half, stride) = (side / 2, image.stride());
    // A row's sums are at most 255 * 256 and fit 16 bits.
    let mut padded = Buf::<u8>::zeroed(stride + (side - 1) * 3);
    let mut window = RowWindow::<u16>::new(side, pitch(stride));
    let mut push = |window: &mut RowWindow<u16>, y: isize| {
        padded_row(image, y, (half, half), reflect_101, &mut padded);
        window.push(|row| weigh_across(&padded, &weights, &mut row[..stride]));
    };
    for y in 0..side - 1 {
        push(&mut window, y as isize - half as isize);
    }
    let mut out = PixelBuffer::unwritten(image.height, image.width);
    for (y, line) in out.data.chunks_exact_mut(stride).enumerate() {
        push(&mut window, (y + side - 1) as isize - half as isize);
        weigh_down(window.rows(), window.pitch, &weights, line);
    }
    out
}

simd::wide! {
    /// `out[i] = Σ weights[j] · padded[i + 3 j]`.
    pub(crate) fn weigh_across(padded: &[u8], weights: &[u16], out: &mut [u16]) = weigh_across_body;
}

#[inline(always)]
pub(super) fn weigh_across_body(padded: &[u8], weights: &[u16], out: &mut [u16]) {
    for (block, part) in out.chunks_mut(64).enumerate() {
        let mut sums = [0u16; 64];
        for (j, &w) in weights.iter().enumerate() {
            let source = &padded[block * 64 + 3 * j..][..part.len()];
            sums.iter_mut().zip(source).for_each(|(s, &p)| *s = s.wrapping_add(u16::from(p) * w));
        }
        part.copy_from_slice(&sums[..part.len()]);
    }
}

simd::wide! {
    /// `out[i] = Σ weights[j] · rows[i + j pitch] / 65536`, half up.
    pub(crate) fn weigh_down(rows: &[u16], pitch: usize, weights: &[u16], out: &mut [u8]) = weigh_down_body;
}

#[inline(always)]
pub(super) fn weigh_down_body(rows: &[u16], pitch: usize, weights: &[u16], out: &mut [u8]) {
    for (block, part) in out.chunks_mut(32).enumerate() {
        let mut sums = [0x8000u32; 32];
        for (j, &w) in weights.iter().enumerate() {
            let source = &rows[j * pitch + block * 32..][..32];
            sums.iter_mut().zip(source).for_each(|(s, &r)| *s += u32::from(r) * u32::from(w));
        }
        part.iter_mut().zip(&sums).for_each(|(o, &s)| *o = (s >> 16) as u8);
    }
}
