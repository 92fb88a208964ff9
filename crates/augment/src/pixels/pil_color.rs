//! Colour operations of torchvision on PIL images, as DINOv2's augmentation uses them.

use super::lut;
use crate::image::PixelBuffer;
use crate::pool::Buf;

/// Pillow's conversion to grey ("L").
fn luma(pixel: &[u8]) -> u8 {
    ((u32::from(pixel[0]) * 19595 + u32::from(pixel[1]) * 38470 + u32::from(pixel[2]) * 7471 + 0x8000) >> 16) as u8
}

/// `Image.blend`: from `a` (factor 0) to `b` (factor 1) and beyond; the fraction is cut.
pub(crate) fn blend(a: u8, b: u8, factor: f32) -> u8 {
    let value = f32::from(a) + factor * (f32::from(b) - f32::from(a));
    value.clamp(0.0, 255.0) as u8
}

/// torchvision's `adjust_brightness` on a Pillow image.
pub(crate) fn brightness(image: &mut PixelBuffer, factor: f64) {
    lut::apply(&mut image.data, &lut::table(|v| blend(0, v as u8, factor as f32)));
}

/// `adjust_contrast`: away from the rounded mean grey.
pub(crate) fn contrast(image: &mut PixelBuffer, factor: f64) {
    let sum: u64 = image.data.chunks_exact(3).map(|p| u64::from(luma(p))).sum();
    let mean = (sum as f64 / (image.height * image.width) as f64 + 0.5) as u8;
    lut::apply(&mut image.data, &lut::table(|v| blend(mean, v as u8, factor as f32)));
}

/// `adjust_saturation`: away from each pixel's grey.
pub(crate) fn saturation(image: &mut PixelBuffer, factor: f64) {
    for pixel in image.data.chunks_exact_mut(3) {
        let grey = luma(pixel);
        pixel.iter_mut().for_each(|v| *v = blend(grey, *v, factor as f32));
    }
}

/// `adjust_hue`: the hue circle has 256 steps; `factor` is a share of a turn.
pub(crate) fn hue(image: &mut PixelBuffer, factor: f64) {
    let shift = (factor * 255.0) as i32 as u8;
    for pixel in image.data.chunks_exact_mut(3) {
        let [h, s, v] = to_hsv([pixel[0], pixel[1], pixel[2]]);
        pixel.copy_from_slice(&from_hsv([h.wrapping_add(shift), s, v]));
    }
}

/// `to_grayscale` with three channels.
pub(crate) fn grayscale(image: &mut PixelBuffer) {
    for pixel in image.data.chunks_exact_mut(3) {
        let grey = luma(pixel);
        pixel.fill(grey);
    }
}

/// Pillow's RGB to HSV on bytes.
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max == min {
        return [0, 0, max];
    }
    let range = f32::from(max - min);
    let share = |v: u8| f32::from(max - v) / range;
    let (rc, gc, bc) = (share(r), share(g), share(b));
    let h = if r == max {
        bc - gc
    } else if g == max {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    // The turn before lies in 0..2, so one subtraction is the remainder by 1.
    let turn = f64::from(h) / 6.0 + 1.0;
    let h = if turn >= 1.0 { turn - 1.0 } else { turn } as f32;
    let s = range / f32::from(max);
    [(f64::from(h) * 255.0) as u8, (f64::from(s) * 255.0) as u8, max]
}

/// Pillow's HSV to RGB on bytes.
fn from_hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let sixth = f64::from(f32::from(h)) * 6.0 / 255.0;
    let sector = sixth as i32;
    let f = (sixth - f64::from(sector)) as f32;
    let fs = (f64::from(s) / 255.0) as f32;
    let (f, fs, value) = (f64::from(f), f64::from(fs), f64::from(v));
    // Half up, which is half away from zero: no value is negative.
    let level = |x: f64| (x + 0.5).clamp(0.0, 255.0) as u8;
    let p = level(value * (1.0 - fs));
    let q = level(value * (1.0 - fs * f));
    let t = level(value * (1.0 - fs * (1.0 - f)));
    match sector % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

/// torchvision's `gaussian_blur` with a 9 x 9 window: floats, border `REFLECT_101`, rounded to nearest even.
pub(crate) fn gaussian_blur_9(image: &PixelBuffer, sigma: f64) -> PixelBuffer {
    let pdf: [f32; 9] = std::array::from_fn(|i| (-0.5 * ((i as f32 - 4.0) / sigma as f32).powi(2)).exp());
    let total: f32 = pdf.iter().sum();
    let taps = pdf.map(|w| w / total);
    let stride = image.stride();
    let mut across = Buf::<f32>::zeroed(image.height * stride);
    let mut padded = Buf::<f32>::zeroed(stride + 8 * 3);
    for (y, row) in across.chunks_exact_mut(stride).enumerate() {
        super::border::padded_row(image, y as isize, (4, 4), super::border::reflect_101, &mut padded);
        for (k, &w) in taps.iter().enumerate() {
            row.iter_mut().zip(&padded[k * 3..]).for_each(|(o, &p)| *o += p * w);
        }
    }
    let mut out = PixelBuffer::filled(image.height, image.width, 0);
    let mut acc = Buf::<f32>::zeroed(stride);
    for (y, line) in out.data.chunks_exact_mut(stride).enumerate() {
        acc.fill(0.0);
        for (k, &w) in taps.iter().enumerate() {
            let row = super::border::reflect_101(y as isize + k as isize - 4, image.height);
            acc.iter_mut().zip(&across[row * stride..]).for_each(|(a, &r)| *a += r * w);
        }
        line.iter_mut().zip(acc.iter()).for_each(|(o, &a)| *o = crate::round::round_u8(a));
    }
    out
}
