//! Pillow's antialiased resampling on 8 bits, to its bit (what torchvision does to a PIL image).

use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::simd;

/// A reconstruction filter of Pillow's resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// A triangle that reaches 1 source pixel to either side.
    Bilinear,
    /// Keys' cubic with a = -0.5, support 2.
    Bicubic,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            _ => 0.0,
        }
    }
}

/// Fraction bits of the weights.
const BITS: u32 = 22;

/// For each output position: first source index and its fixed-point weights.
fn windows(from: usize, to: usize, filter: Filter) -> Vec<(usize, Vec<i32>)> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    (0..to)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            let first = ((center - support + 0.5) as isize).max(0) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let weights: Vec<f64> =
                (first..end).map(|x| filter.weight((x as f64 - center + 0.5) * (1.0 / stretch))).collect();
            let total: f64 = weights.iter().sum();
            let fixed = |w: f64| {
                let w = if total == 0.0 { w } else { w / total } * f64::from(1 << BITS);
                (if w < 0.0 { w - 0.5 } else { w + 0.5 }) as i32
            };
            (first, weights.into_iter().map(fixed).collect())
        })
        .collect()
}

fn level(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Resizes as `PIL.Image.resize`: columns first, an 8-bit image between the passes.
pub(crate) fn resize(image: &PixelBuffer, height: usize, width: usize, filter: Filter) -> PixelBuffer {
    let mut across = PixelBuffer::empty(image.height, width);
    if width == image.width {
        across.data.extend_from_slice(&image.data);
    } else {
        let columns = windows(image.width, width, filter);
        for y in 0..image.height {
            let row = image.row(y);
            for (first, weights) in &columns {
                let mut sums = [1 << (BITS - 1); 3];
                for (pixel, &w) in row[first * 3..].chunks_exact(3).zip(weights) {
                    for c in 0..3 {
                        sums[c] += i32::from(pixel[c]) * w;
                    }
                }
                across.data.extend(sums.map(level));
            }
        }
    }
    if height == image.height {
        return across;
    }
    let stride = width * 3;
    let mut out = PixelBuffer::filled(height, width, 0);
    let mut sums = Buf::<i32>::zeroed(stride);
    for (y, (first, weights)) in windows(image.height, height, filter).iter().enumerate() {
        sums.fill(1 << (BITS - 1));
        for (dy, &w) in weights.iter().enumerate() {
            add_row(&mut sums, across.row(first + dy), w);
        }
        for (o, &s) in out.data[y * stride..(y + 1) * stride].iter_mut().zip(sums.iter()) {
            *o = level(s);
        }
    }
    out
}

simd::wide! {
    /// Adds one weighed source row: `sums += weight * row`.
    pub(crate) fn add_row(sums: &mut [i32], row: &[u8], weight: i32) = add_row_body;
}

#[inline(always)]
pub(super) fn add_row_body(sums: &mut [i32], row: &[u8], weight: i32) {
    sums.iter_mut().zip(row).for_each(|(s, &p)| *s += i32::from(p) * weight);
}
