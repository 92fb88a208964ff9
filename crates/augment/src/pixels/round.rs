//! Rounding as OpenCV and NumPy do it.

/// Nearest integer, ties to even, as a float; exact for `|x| < 2^22`.
#[inline(always)]
pub(crate) fn rint(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves no fraction bits
    (x + MAGIC) - MAGIC
}

/// `saturate_cast<uchar>(float)`: nearest, ties to even, clipped to 0..=255.
#[inline(always)]
pub(crate) fn round_u8(x: f32) -> u8 {
    rint(x.clamp(-1.0, 256.0)).clamp(0.0, 255.0) as u8
}

/// Clips to 0..=255 and drops the fraction, as `np.clip(x, 0, 255).astype(np.uint8)`.
#[inline(always)]
pub(crate) fn trunc_u8(x: f64) -> u8 {
    x.clamp(0.0, 255.0) as u8
}

/// Clips to 0..=255 and drops the fraction.
#[inline(always)]
pub(crate) fn trunc_u8_f32(x: f32) -> u8 {
    x.clamp(0.0, 255.0) as u8
}
