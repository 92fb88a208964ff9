//! Borders of neighbourhood operations, as OpenCV extends an image.

use crate::image::Image;

/// The source index of position `p` outside `0..len` under `REFLECT_101` (`gfedcb|abcdefgh|gfedcba`).
pub(crate) fn reflect_101(mut p: isize, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let last = len as isize - 1;
    while p < 0 || p > last {
        p = if p < 0 { -p } else { 2 * last - p };
    }
    p as usize
}

/// The source index of position `p` when the edge pixel is repeated.
pub(crate) fn replicate(p: isize, len: usize) -> usize {
    p.clamp(0, len as isize - 1) as usize
}

/// Copies row `y` (any integer) of `image` to the start of `out` with `left` and `right` more pixels, through `index`.
pub(crate) fn padded_row<T: Copy + From<u8>>(
    image: &Image,
    y: isize,
    (left, right): (usize, usize),
    index: fn(isize, usize) -> usize,
    out: &mut [T],
) {
    let row = image.row(index(y, image.height));
    out[left * 3..].iter_mut().zip(row).for_each(|(o, &v)| *o = T::from(v));
    pad_row(image, y, (left, right), index, out);
}

/// Only the `left` and `right` pixels of [`padded_row`].
pub(crate) fn pad_row<T: Copy + From<u8>>(
    image: &Image,
    y: isize,
    (left, right): (usize, usize),
    index: fn(isize, usize) -> usize,
    out: &mut [T],
) {
    let row = image.row(index(y, image.height));
    let after = (left + image.width)..(left + image.width + right);
    for x in (0..left).chain(after) {
        let from = index(x as isize - left as isize, image.width) * 3;
        out[x * 3..x * 3 + 3].iter_mut().zip(&row[from..from + 3]).for_each(|(o, &v)| *o = T::from(v));
    }
}
