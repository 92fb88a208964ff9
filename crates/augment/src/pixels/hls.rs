//! RGB ↔ HLS, on 8 bits (`H` 0..180) and in floats (`H` 0..360, the rest 0..1), to OpenCV's bit with AVX2.

use super::hsv::{by_sector, fused};
use super::round::round_u8;

/// One RGB pixel (0..=1) to hue in degrees times `hue_scale`, lightness, saturation.
#[inline(always)]
pub(crate) fn rgb_to_hls_pixel([r, g, b]: [f32; 3], hue_scale: f32) -> [f32; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let (diff, sum) = (max - min, max + min);
    let l = sum * 0.5;
    if diff <= f32::EPSILON {
        return [0.0, l, 0.0];
    }
    let s = diff / if l < 0.5 { sum } else { 2.0 - sum };
    let (side, start) = if max == r {
        (g - b, if g < b { 360.0 } else { 0.0 })
    } else if max == g {
        (b - r, 120.0)
    } else {
        (r - g, 240.0)
    };
    [fused(side, 60.0 / diff, start) * hue_scale, l, s]
}

/// One HLS pixel to RGB (0..=1); `hue_to_sixth` is 6 / (hue of a full turn).
#[inline(always)]
pub(crate) fn hls_to_rgb_pixel([h, l, s]: [f32; 3], hue_to_sixth: f32) -> [f32; 3] {
    let ls = l * s;
    let chroma = if l <= 0.5 { ls } else { s - ls };
    let sixth = h * hue_to_sixth;
    let whole = sixth as i32;
    let twice = 2.0 * (sixth - whole as f32);
    let (t0, t1) = (l + chroma, l - chroma);
    by_sector(whole, t0, t1, fused(-chroma, twice, t0), fused(chroma, twice, t1))
}

/// Converts `[.., 3]` 8-bit RGB to HLS in place.
pub(crate) fn rgb_to_hls(data: &mut [u8]) {
    const UNIT: f32 = 1.0 / 255.0;
    for pixel in data.chunks_exact_mut(3) {
        let rgb = [0, 1, 2].map(|c| f32::from(pixel[c]) * UNIT);
        let [h, l, s] = rgb_to_hls_pixel(rgb, 0.5);
        pixel.copy_from_slice(&[round_u8(h), round_u8(l * 255.0), round_u8(s * 255.0)]);
    }
}

/// Converts `[.., 3]` 8-bit HLS to RGB in place.
pub(crate) fn hls_to_rgb(data: &mut [u8]) {
    const UNIT: f32 = 1.0 / 255.0;
    for pixel in data.chunks_exact_mut(3) {
        let hls = [f32::from(pixel[0]), f32::from(pixel[1]) * UNIT, f32::from(pixel[2]) * UNIT];
        let rgb = hls_to_rgb_pixel(hls, 6.0 / 180.0);
        pixel.copy_from_slice(&rgb.map(|v| round_u8(v * 255.0)));
    }
}
