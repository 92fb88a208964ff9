//! RGB ↔ HLS, on 8 bits (`H` 0..180) and in floats (`H` 0..360, the rest 0..1), to OpenCV's bit with AVX2; and the noise
//! of `ISONoise` in between.
#![allow(clippy::needless_range_loop, reason = "one index runs through several lanes, which is what vectorises")]

use super::field::Noise;
use super::hsv::{BLOCK, by_blocks, by_sector};
use crate::round::{round_u8, trunc_u8_f32};
use crate::simd;

const UNIT: f32 = 1.0 / 255.0;

/// One RGB pixel (0..=1) to hue in degrees times `hue_scale`, lightness, saturation.
#[inline(always)]
fn rgb_to_hls_pixel([r, g, b]: [f32; 3], hue_scale: f32) -> [f32; 3] {
    let high = |a: f32, b: f32| if a > b { a } else { b };
    let low = |a: f32, b: f32| if a < b { a } else { b };
    let (max, min) = (high(high(r, g), b), low(low(r, g), b));
    let (diff, sum) = (max - min, max + min);
    let l = sum * 0.5;
    let colored = diff > f32::EPSILON;
    let range = if l < 0.5 { sum } else { 2.0 - sum };
    let s = diff / if colored { range } else { 1.0 };
    let per_sixth = 60.0 / if colored { diff } else { 1.0 };
    let (is_r, is_g) = (max == r, max == g);
    let side = if is_g { b - r } else { r - g };
    let side = if is_r { g - b } else { side };
    let start = if is_g { 120.0 } else { 240.0 };
    let start_r = if g < b { 360.0 } else { 0.0 };
    let start = if is_r { start_r } else { start };
    let h = side.mul_add(per_sixth, start) * hue_scale;
    [if colored { h } else { 0.0 }, l, if colored { s } else { 0.0 }]
}

/// One HLS pixel to RGB (0..=1); `hue_to_sixth` is 6 / (hue of a full turn).
#[inline(always)]
fn hls_to_rgb_pixel([h, l, s]: [f32; 3], hue_to_sixth: f32) -> [f32; 3] {
    let ls = l * s;
    let chroma = if l <= 0.5 { ls } else { s - ls };
    let sixth = h * hue_to_sixth;
    let whole = sixth as i32;
    let twice = 2.0 * (sixth - whole as f32);
    let (t0, t1) = (l + chroma, l - chroma);
    by_sector(whole, t0, t1, (-chroma).mul_add(twice, t0), chroma.mul_add(twice, t1))
}

simd::wide! {
    /// Converts `[.., 3]` 8-bit RGB to HLS in place.
    pub(crate) fn rgb_to_hls(data: &mut [u8]) = rgb_to_hls_body;
}

#[inline(always)]
pub(super) fn rgb_to_hls_body(data: &mut [u8]) {
    by_blocks!(data, |lanes| {
        for i in 0..BLOCK {
            let [h, l, s] = rgb_to_hls_pixel([0, 1, 2].map(|c| f32::from(lanes[c][i]) * UNIT), 0.5);
            lanes[0][i] = round_u8(h);
            lanes[1][i] = round_u8(l * 255.0);
            lanes[2][i] = round_u8(s * 255.0);
        }
    });
}

simd::wide! {
    /// Converts `[.., 3]` 8-bit HLS to RGB in place.
    pub(crate) fn hls_to_rgb(data: &mut [u8]) = hls_to_rgb_body;
}

#[inline(always)]
pub(super) fn hls_to_rgb_body(data: &mut [u8]) {
    by_blocks!(data, |lanes| {
        for i in 0..BLOCK {
            let [h, l, s] = [0, 1, 2].map(|c| f32::from(lanes[c][i]));
            let rgb = hls_to_rgb_pixel([h, l * UNIT, s * UNIT], 6.0 / 180.0);
            for c in 0..3 {
                lanes[c][i] = round_u8(rgb[c] * 255.0);
            }
        }
    });
}

simd::wide! {
    /// Shot noise on lightness (in levels) and a turn of the hue (in degrees), pixel by pixel.
    pub(crate) fn iso_noise(data: &mut [u8], shots: Noise<'_>, turns: Noise<'_>) = iso_noise_body;
}

#[inline(always)]
pub(super) fn iso_noise_body(data: &mut [u8], shots: Noise<'_>, turns: Noise<'_>) {
    let noisy = shots.len().min(turns.len()).min(data.len() / 3);
    let mut start = 0;
    by_blocks!(data[..noisy * 3], |lanes| {
        let (shot, turn) = (shots.block::<BLOCK>(start), turns.block::<BLOCK>(start));
        start += BLOCK;
        // Three loops: each is simple enough for wide registers.
        let mut hls = [[0f32; BLOCK]; 3];
        for i in 0..BLOCK {
            let pixel = rgb_to_hls_pixel([0, 1, 2].map(|c| f32::from(lanes[c][i]) * UNIT), 1.0);
            for c in 0..3 {
                hls[c][i] = pixel[c];
            }
        }
        for i in 0..BLOCK {
            let h = (f64::from(hls[0][i]) + turn[i]) as f32;
            let h = if h < 0.0 { h + 360.0 } else { h };
            hls[0][i] = if h > 360.0 { h - 360.0 } else { h };
            let l = hls[1][i];
            hls[1][i] = (f64::from(l) + shot[i] / 255.0 * f64::from(1.0 - l)) as f32;
        }
        for i in 0..BLOCK {
            let rgb = hls_to_rgb_pixel([hls[0][i], hls[1][i], hls[2][i]], 6.0 / 360.0);
            for c in 0..3 {
                lanes[c][i] = trunc_u8_f32(rgb[c] * 255.0);
            }
        }
    });
}

/// The standard deviation of lightness (0..=1).
pub(crate) fn lightness_spread(data: &[u8]) -> f64 {
    let (mut sum, mut squares, mut n) = (0u64, 0u64, 0u64);
    for part in data.chunks(3 << 14) {
        // Sums of 2^14 pixels stay in 32 bits: 510^2 * 2^14 < 2^32.
        let (mut part_sum, mut part_squares) = (0u32, 0u32);
        for pixel in part.chunks_exact(3) {
            let twice =
                u32::from(pixel[0].max(pixel[1]).max(pixel[2])) + u32::from(pixel[0].min(pixel[1]).min(pixel[2]));
            part_sum += twice;
            part_squares += twice * twice;
        }
        sum += u64::from(part_sum);
        squares += u64::from(part_squares);
        n += part.len() as u64 / 3;
    }
    let mean = sum as f64 / n as f64;
    (squares as f64 / n as f64 - mean * mean).max(0.0).sqrt() / 510.0
}
