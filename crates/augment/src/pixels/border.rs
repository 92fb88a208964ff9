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
    let (before, rest) = out.split_at_mut(left * 3);
    let (middle, after) = rest.split_at_mut(row.len());
    middle.iter_mut().zip(row).for_each(|(o, &v)| *o = T::from(v));
    let put = |out: &mut [T], x: isize| {
        let at = index(x, image.width) * 3;
        out.iter_mut().zip(&row[at..at + 3]).for_each(|(o, &v)| *o = T::from(v));
    };
    for (x, pixel) in before.chunks_exact_mut(3).enumerate() {
        put(pixel, x as isize - left as isize);
    }
    for (x, pixel) in after.chunks_exact_mut(3).take(right).enumerate() {
        put(pixel, (image.width + x) as isize);
    }
}
