//! Rounding as OpenCV and NumPy do it, in forms that compilers turn into wide instructions.

/// 1.5 * 2^23: a float plus this has no fraction bits, and its lowest bits are the integer.
const MAGIC: f32 = 12_582_912.0;

/// Nearest integer, ties to even, as a float; exact for `|x| < 2^22`.
#[inline(always)]
pub(crate) fn rint(x: f32) -> f32 {
    (x + MAGIC) - MAGIC
}

/// Nearest integer, ties to even, for `0 <= x < 2^22`.
#[inline(always)]
pub(crate) fn rint_i32(x: f32) -> i32 {
    (x + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()) as i32
}

/// Cuts `x` to 0..=255.
#[inline(always)]
fn clipped(x: f32) -> f32 {
    let x = if x > 0.0 { x } else { 0.0 };
    if x < 255.0 { x } else { 255.0 }
}

/// `saturate_cast<uchar>(float)`: nearest, ties to even, clipped to 0..=255.
#[inline(always)]
pub(crate) fn round_u8(x: f32) -> u8 {
    (clipped(x) + MAGIC).to_bits() as u8
}

/// Clips to 0..=255 and drops the fraction, as `np.clip(x, 0, 255).astype(np.uint8)`.
#[inline(always)]
pub(crate) fn trunc_u8(x: f64) -> u8 {
    x.clamp(0.0, 255.0) as u8
}

/// Clips to 0..=255 and drops the fraction.
#[inline(always)]
pub(crate) fn trunc_u8_f32(x: f32) -> u8 {
    let x = clipped(x);
    let near = rint(x);
    let low = near - if near > x { 1.0 } else { 0.0 };
    (low + MAGIC).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_plain_conversions() {
        for i in -2000..140_000 {
            let x = i as f32 * 0.002;
            assert_eq!(trunc_u8_f32(x), x.clamp(0.0, 255.0) as u8, "{x} cut");
            assert_eq!(round_u8(x), x.clamp(0.0, 255.0).round_ties_even() as u8, "{x} rounded");
        }
        assert_eq!((rint_i32(2.5), rint_i32(3.5), rint_i32(1_044_480.0)), (2, 4, 1_044_480));
        assert_eq!((round_u8(f32::NAN), trunc_u8_f32(1e30), trunc_u8_f32(-1e30)), (0, 255, 0));
    }
}
