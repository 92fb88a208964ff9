//! Pillow's operations that RandAugment needs beyond those of colour: affine moves, sharpness, histograms.

use super::lut;
use super::pil_color::blend;
use crate::image::PixelBuffer;

/// `Image.transform` with an affine matrix and nearest neighbour: pixel (x, y) comes from
/// `(a x + b y + c, d x + e y + f)`, black where that lies outside. Pillow works in fixed point with 16 fraction bits.
pub(crate) fn affine(image: &PixelBuffer, [a, b, c, d, e, f]: [f64; 6]) -> PixelBuffer {
    let fixed = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
    // Positions are those of pixel centres.
    let (first_x, first_y) = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
    let (a, b, d, e) = (fixed(a), fixed(b), fixed(d), fixed(e));
    let mut out = PixelBuffer::filled(image.height, image.width, 0);
    for (at, pixel) in out.data.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = ((at % image.width) as i64, (at / image.width) as i64);
        let (from_x, from_y) = ((first_x + a * x + b * y) >> 16, (first_y + d * x + e * y) >> 16);
        if (0..image.width as i64).contains(&from_x) && (0..image.height as i64).contains(&from_y) {
            pixel.copy_from_slice(&image.row(from_y as usize)[from_x as usize * 3..][..3]);
        }
    }
    out
}

/// The matrix of `Image.rotate`: counter-clockwise around the middle.
pub(crate) fn rotation(image: &PixelBuffer, degrees: f64) -> [f64; 6] {
    let angle = -(degrees.rem_euclid(360.0)).to_radians();
    let rounded = |v: f64| (v * 1e15).round() / 1e15;
    let (cos, sin, back) = (rounded(angle.cos()), rounded(angle.sin()), rounded(-angle.sin()));
    let (x, y) = (image.width as f64 / 2.0, image.height as f64 / 2.0);
    [cos, sin, cos * -x + sin * -y + x, back, cos, back * -x + cos * -y + y]
}

/// `ImageEnhance.Sharpness`: away from the smoothed image; the rim is not smoothed.
pub(crate) fn sharpness(image: &PixelBuffer, factor: f64) -> PixelBuffer {
    let (stride, mut out) = (image.stride(), image.clone());
    for y in 1..image.height.saturating_sub(1) {
        for at in y * stride + 3..(y + 1) * stride - 3 {
            let three = |at: usize| [at - 3, at, at + 3].map(|at| u32::from(image.data[at])).iter().sum::<u32>();
            let own = image.data[at];
            let sum = three(at - stride) + three(at) + three(at + stride) + 4 * u32::from(own);
            out.data[at] = blend(((2 * sum + 13) / 26) as u8, own, factor as f32);
        }
    }
    out
}

fn histogram(data: &[u8], c: usize) -> [u32; 256] {
    let mut counts = [0; 256];
    data[c..].iter().step_by(3).for_each(|&v| counts[v as usize] += 1);
    counts
}

/// `ImageOps.autocontrast`: each channel stretched to the whole range.
pub(crate) fn autocontrast(image: &mut PixelBuffer) {
    for c in 0..3 {
        let counts = histogram(&image.data, c);
        let low = counts.iter().position(|&n| n > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&n| n > 0).unwrap_or(0);
        if high > low {
            let scale = 255.0 / (high - low) as f64;
            let offset = -(low as f64) * scale;
            let table = lut::table(|v| (v as f64 * scale + offset).clamp(0.0, 255.0) as u8);
            lut::apply_channel(&mut image.data, c, &table);
        }
    }
}

/// `ImageOps.equalize` on channel `c`: steps of equally many pixels.
pub(crate) fn equalize_channel(data: &mut [u8], c: usize) {
    let counts = histogram(data, c);
    let Some(last) = counts.iter().rposition(|&n| n > 0) else { return };
    let step = counts[..last].iter().sum::<u32>() / 255;
    if step == 0 {
        return;
    }
    let mut sum = step / 2;
    let table = lut::table(|v| {
        let level = (sum / step).min(255) as u8;
        sum += counts[v];
        level
    });
    lut::apply_channel(data, c, &table);
}
