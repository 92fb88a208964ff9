//! RGB ↔ HSV and grey on 8 bits (`H` 0..180), to OpenCV's bit on processors with AVX2.
//!
//! "RGB" is what the transforms believe the channels to be; with `channel_order: bgr` they are B, G, R.

use std::sync::LazyLock;

/// Fixed-point reciprocals (12 bits): `255 / v` and `180 / (6 diff)`.
static TABLES: LazyLock<[[i32; 256]; 2]> = LazyLock::new(|| {
    let of = |numerator: f64| {
        let mut table = [0; 256];
        for (i, t) in table.iter_mut().enumerate().skip(1) {
            *t = (numerator * 4096.0 / i as f64).round_ties_even() as i32;
        }
        table
    };
    [of(255.0), of(30.0)]
});

/// Converts `[.., 3]` RGB to HSV in place.
pub(crate) fn rgb_to_hsv(data: &mut [u8]) {
    let [saturation, hue] = &*TABLES;
    for pixel in data.chunks_exact_mut(3) {
        let (r, g, b) = (i32::from(pixel[0]), i32::from(pixel[1]), i32::from(pixel[2]));
        let v = r.max(g).max(b);
        let diff = v - r.min(g).min(b);
        let s = (diff * saturation[v as usize] + 2048) >> 12;
        let sector = if v == r {
            g - b
        } else if v == g {
            b - r + 2 * diff
        } else {
            r - g + 4 * diff
        };
        let mut h = (sector * hue[diff as usize] + 2048) >> 12;
        if h < 0 {
            h += 180;
        }
        pixel[0] = h.clamp(0, 255) as u8;
        pixel[1] = s as u8;
        pixel[2] = v as u8;
    }
}

/// Converts `[height, width, 3]` HSV to RGB in place; `width` in pixels.
///
/// OpenCV truncates in its blocks of 32 pixels and rounds in the rest of a row; so do we.
pub(crate) fn hsv_to_rgb(data: &mut [u8], width: usize) {
    const UNIT: f32 = 1.0 / 255.0;
    let wide = width / 32 * 32;
    for row in data.chunks_exact_mut(width * 3) {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let rgb = hsv_pixel(f32::from(pixel[0]), f32::from(pixel[1]) * UNIT, f32::from(pixel[2]) * UNIT);
            for (out, value) in pixel.iter_mut().zip(rgb) {
                let scaled = value * 255.0;
                *out = if x < wide { scaled as u8 } else { super::round::round_u8(scaled) };
            }
        }
    }
}

/// `a * b + c` rounded once.
#[inline(always)]
pub(super) fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

/// One pixel: `h` in 0..=180 and above, `s` and `v` in 0..=1.
#[inline(always)]
fn hsv_pixel(h: f32, s: f32, v: f32) -> [f32; 3] {
    let sixth = h * (6.0 / 180.0);
    let sector = sixth as i32;
    let h = sixth - sector as f32;
    let t1 = v * (1.0 - s);
    let t2 = v * fused(-s, h, 1.0);
    let t3 = v * fused(-s, 1.0 - h, 1.0);
    by_sector(sector, v, t1, t2, t3)
}

/// Which of the four levels each channel takes in each sixth of the hue circle.
#[inline(always)]
pub(super) fn by_sector(sector: i32, t0: f32, t1: f32, t2: f32, t3: f32) -> [f32; 3] {
    match sector % 6 {
        0 => [t0, t3, t1],
        1 => [t2, t0, t1],
        2 => [t1, t0, t3],
        3 => [t1, t2, t0],
        4 => [t3, t1, t0],
        _ => [t0, t1, t2],
    }
}

/// `cv2.cvtColor(RGB2GRAY)` of one pixel (15-bit weights).
#[inline(always)]
pub(crate) fn gray(pixel: &[u8]) -> u8 {
    ((u32::from(pixel[0]) * 9798 + u32::from(pixel[1]) * 19235 + u32::from(pixel[2]) * 3735 + (1 << 14)) >> 15) as u8
}
