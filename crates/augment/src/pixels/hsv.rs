//! RGB ↔ HSV and grey on 8 bits (`H` 0..180), to OpenCV's bit on processors with AVX2.
//!
//! "RGB" is what the transforms believe the channels to be; with `channel_order: bgr` they are B, G, R. Pixels go
//! through in blocks, one array for each channel, without branches.
#![allow(clippy::needless_range_loop, reason = "one index runs through several lanes, which is what vectorises")]

use crate::round::{rint_i32, round_u8, trunc_u8_f32};
use crate::simd;

/// Pixels of a block.
pub(crate) const BLOCK: usize = 32;

/// One value for each pixel of a block.
pub(crate) type Lane<T> = [T; BLOCK];

/// Runs a block of code over `[.., 3]` data in blocks of pixels, as one array for each channel; the last block is filled up
/// with zeros. A macro, as a closure would be compiled for the narrow processor only.
macro_rules! by_blocks {
    ($data:expr, |$lanes:ident| $code:block) => {
        for block in $data.chunks_mut(3 * $crate::pixels::hsv::BLOCK) {
            let mut lanes = $crate::pixels::hsv::lanes_of(block);
            {
                let $lanes = &mut lanes;
                $code
            }
            $crate::pixels::hsv::put_lanes(&lanes, block);
        }
    };
}
pub(crate) use by_blocks;

/// The channels of up to [`BLOCK`] pixels.
#[inline(always)]
pub(crate) fn lanes_of(block: &[u8]) -> [Lane<u8>; 3] {
    let mut lanes = [[0; BLOCK]; 3];
    if let Ok(whole) = <&[u8; 3 * BLOCK]>::try_from(block) {
        for i in 0..BLOCK {
            for c in 0..3 {
                lanes[c][i] = whole[3 * i + c];
            }
        }
    } else {
        block.iter().enumerate().for_each(|(i, &v)| lanes[i % 3][i / 3] = v);
    }
    lanes
}

/// The channels back among each other.
#[inline(always)]
pub(crate) fn put_lanes(lanes: &[Lane<u8>; 3], block: &mut [u8]) {
    if let Ok(whole) = <&mut [u8; 3 * BLOCK]>::try_from(&mut *block) {
        for i in 0..BLOCK {
            for c in 0..3 {
                whole[3 * i + c] = lanes[c][i];
            }
        }
    } else {
        block.iter_mut().enumerate().for_each(|(i, v)| *v = lanes[i % 3][i / 3]);
    }
}

simd::wide! {
    /// Converts `[.., 3]` RGB to HSV in place.
    pub(crate) fn rgb_to_hsv(data: &mut [u8]) = rgb_to_hsv_body;
}

#[inline(always)]
pub(super) fn rgb_to_hsv_body(data: &mut [u8]) {
    by_blocks!(data, |lanes| {
        for i in 0..BLOCK {
            let [r, g, b] = [0, 1, 2].map(|c| i32::from(lanes[c][i]));
            let v = r.max(g).max(b);
            let diff = v - r.min(g).min(b);
            // OpenCV's tables of 255 / v and 180 / (6 diff) in 12 fraction bits, nearest even; no quotient of these is
            // so near to a tie that rounding it to f32 first would move it there.
            let (v_float, diff_float) = (v as f32, diff as f32);
            let saturation = rint_i32(255.0 * 4096.0 / if v > 0 { v_float } else { 1.0 });
            let hue = rint_i32(30.0 * 4096.0 / if diff > 0 { diff_float } else { 1.0 });
            let s = (diff * saturation + 2048) >> 12;
            let from_green = if v == g { b - r + 2 * diff } else { r - g + 4 * diff };
            let sector = if v == r { g - b } else { from_green };
            let h = (sector * hue + 2048) >> 12;
            let h = if h < 0 { h + 180 } else { h };
            lanes[0][i] = h.clamp(0, 255) as u8;
            lanes[1][i] = s as u8;
            lanes[2][i] = v as u8;
        }
    });
}

simd::wide! {
    /// OpenCV truncates in its blocks of 32 pixels and rounds in the rest of a row; so do we.
    pub(crate) fn hsv_to_rgb(data: &mut [u8], width: usize) = hsv_to_rgb_body;
}

#[inline(always)]
pub(super) fn hsv_to_rgb_body(data: &mut [u8], width: usize) {
    const UNIT: f32 = 1.0 / 255.0;
    let wide = width / BLOCK * BLOCK * 3;
    for row in data.chunks_exact_mut(width * 3) {
        let (blocks, rest) = row.split_at_mut(wide);
        by_blocks!(blocks, |lanes| {
            for i in 0..BLOCK {
                let [h, s, v] = [0, 1, 2].map(|c| f32::from(lanes[c][i]));
                let rgb = hsv_pixel(h, s * UNIT, v * UNIT);
                for c in 0..3 {
                    lanes[c][i] = trunc_u8_f32(rgb[c] * 255.0);
                }
            }
        });
        for pixel in rest.chunks_exact_mut(3) {
            let rgb = hsv_pixel(f32::from(pixel[0]), f32::from(pixel[1]) * UNIT, f32::from(pixel[2]) * UNIT);
            pixel.iter_mut().zip(rgb).for_each(|(out, value)| *out = round_u8(value * 255.0));
        }
    }
}

/// One pixel: `h` in 0..=180 and above, `s` and `v` in 0..=1.
#[inline(always)]
fn hsv_pixel(h: f32, s: f32, v: f32) -> [f32; 3] {
    let sixth = h * (6.0 / 180.0);
    let sector = sixth as i32;
    let h = sixth - sector as f32;
    let t1 = v * (1.0 - s);
    let t2 = v * (-s).mul_add(h, 1.0);
    let t3 = v * (-s).mul_add(1.0 - h, 1.0);
    by_sector(sector, v, t1, t2, t3)
}

/// Which of the four levels each channel takes in each sixth of the hue circle.
#[inline(always)]
pub(super) fn by_sector(sector: i32, t0: f32, t1: f32, t2: f32, t3: f32) -> [f32; 3] {
    let sector = sector % 6;
    [
        pick(sector, [t0, t2, t1, t1, t3, t0]),
        pick(sector, [t3, t0, t0, t2, t1, t1]),
        pick(sector, [t1, t1, t3, t0, t0, t2]),
    ]
}

/// The level of a sector; the last one stands for all other sectors.
#[inline(always)]
fn pick(sector: i32, levels: [f32; 6]) -> f32 {
    let level = if sector == 4 { levels[4] } else { levels[5] };
    let level = if sector == 3 { levels[3] } else { level };
    let level = if sector == 2 { levels[2] } else { level };
    let level = if sector == 1 { levels[1] } else { level };
    if sector == 0 { levels[0] } else { level }
}

simd::wide! {
    /// `cv2.cvtColor(RGB2GRAY)` of `[n, 3]` data into `out` (15-bit weights).
    pub(crate) fn gray(data: &[u8], out: &mut [u8]) = gray_body;
}

#[inline(always)]
pub(super) fn gray_body(data: &[u8], out: &mut [u8]) {
    for (o, pixel) in out.iter_mut().zip(data.chunks_exact(3)) {
        let sum = u32::from(pixel[0]) * 9798 + u32::from(pixel[1]) * 19235 + u32::from(pixel[2]) * 3735;
        *o = ((sum + (1 << 14)) >> 15) as u8;
    }
}
