//! Correlation with a small float kernel (`cv2.filter2D` on 8 bits), border `REFLECT_101`.

use super::border::{padded_row, reflect_101};
use super::round::round_u8;
use crate::image::Image;
use crate::simd::correlate;

/// A kernel of `height` x `width` weights, anchored at its middle (`side / 2`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kernel {
    /// Rows.
    pub(crate) height: usize,
    /// Columns.
    pub(crate) width: usize,
    /// `[height, width]`, row-major.
    pub(crate) weights: Vec<f32>,
}

impl Kernel {
    /// A square kernel.
    pub(crate) fn square(side: usize, weights: Vec<f32>) -> Self {
        debug_assert_eq!(weights.len(), side * side);
        Self { height: side, width: side, weights }
    }
}

/// Correlates every channel with `kernel`, rounding to nearest even.
///
/// Sums run over the non-zero weights in row order with fused multiply-adds, which is what OpenCV does for kernels
/// below 130 weights; it takes a Fourier transform above, whose rounding noise this does not copy.
pub(crate) fn filter2d(image: &Image, kernel: &Kernel) -> Image {
    let (left, top) = (kernel.width / 2, kernel.height / 2);
    let (right, _) = (kernel.width - 1 - left, kernel.height - 1 - top);
    let taps: Vec<(usize, usize, f32)> = (0..kernel.height)
        .flat_map(|y| (0..kernel.width).map(move |x| (y, x)))
        .map(|(y, x)| (y, x * 3, kernel.weights[y * kernel.width + x]))
        .filter(|&(_, _, k)| k != 0.0)
        .collect();
    let mut out = Image::filled(image.height, image.width, 0);
    let stride = image.stride();
    // A ring of padded float rows: row y of the image lives in slot (y + top) % kernel.height.
    let mut ring: Vec<Vec<f32>> = vec![Vec::new(); kernel.height];
    let fill = |slot: &mut Vec<f32>, y: isize| padded_row(image, y, (left, right), reflect_101, slot);
    for (slot, row) in ring.iter_mut().enumerate().take(kernel.height - 1) {
        fill(row, slot as isize - top as isize);
    }
    let mut acc = vec![0f32; stride];
    for y in 0..image.height {
        let newest = y + kernel.height - 1;
        fill(&mut ring[newest % kernel.height], newest as isize - top as isize);
        let rows: Vec<&[f32]> = (0..kernel.height).map(|dy| ring[(y + dy) % kernel.height].as_slice()).collect();
        acc.fill(0.0);
        correlate(&mut acc, &rows, &taps);
        for (o, &a) in out.data[y * stride..(y + 1) * stride].iter_mut().zip(&acc) {
            *o = round_u8(a);
        }
    }
    out
}
