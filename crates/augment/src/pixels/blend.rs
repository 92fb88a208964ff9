//! Two images mixed.

use crate::round::round_u8;
use crate::simd;

/// `base = alpha * over + beta * base`, rounded to nearest even (`cv2.addWeighted` on 8 bits).
pub(crate) fn add_weighted(over: &[u8], alpha: f64, base: &mut [u8], beta: f64) {
    blend(over, alpha as f32, base, beta as f32);
}

simd::wide! {
    /// [`add_weighted`] with its factors in f32, as OpenCV computes.
    fn blend(over: &[u8], alpha: f32, base: &mut [u8], beta: f32) = blend_body;
}

#[inline(always)]
pub(super) fn blend_body(over: &[u8], alpha: f32, base: &mut [u8], beta: f32) {
    for (b, &o) in base.iter_mut().zip(over) {
        *b = round_u8(f32::from(o).mul_add(alpha, f32::from(*b) * beta));
    }
}
