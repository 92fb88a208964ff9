//! OpenCV's 8-bit YCrCb, in fixed point with 14 fraction bits.

/// Rounds away the fraction bits.
fn whole(v: i32) -> i32 {
    (v + (1 << 13)) >> 14
}

fn level(v: i32) -> u8 {
    v.clamp(0, 255) as u8
}

/// OpenCV's `COLOR_RGB2YCrCb` of `[.., 3]` bytes, in place.
pub(crate) fn rgb_to_ycrcb(data: &mut [u8]) {
    for pixel in data.as_chunks_mut::<3>().0 {
        let [r, g, b] = pixel.map(i32::from);
        let y = whole(4899 * r + 9617 * g + 1868 * b);
        *pixel = [y, whole((r - y) * 11682 + (128 << 14)), whole((b - y) * 9241 + (128 << 14))].map(level);
    }
}

/// OpenCV's `COLOR_YCrCb2RGB` of `[.., 3]` bytes, in place.
pub(crate) fn ycrcb_to_rgb(data: &mut [u8]) {
    for pixel in data.as_chunks_mut::<3>().0 {
        let [y, cr, cb] = pixel.map(i32::from);
        let (cr, cb) = (cr - 128, cb - 128);
        *pixel = [y + whole(22987 * cr), y + whole(-5636 * cb - 11698 * cr), y + whole(29049 * cb)].map(level);
    }
}
