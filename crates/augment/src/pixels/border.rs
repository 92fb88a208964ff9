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

/// Copies row `y` (any integer) of `image` into `out` with `left` and `right` more pixels, through `index`.
pub(crate) fn padded_row<T: Copy + From<u8>>(
    image: &Image,
    y: isize,
    (left, right): (usize, usize),
    index: fn(isize, usize) -> usize,
    out: &mut Vec<T>,
) {
    let row = image.row(index(y, image.height));
    out.clear();
    let mut push = |x: isize| {
        let at = index(x, image.width) * 3;
        out.extend(row[at..at + 3].iter().map(|&v| T::from(v)));
    };
    for x in 0..left {
        push(x as isize - left as isize);
    }
    out.extend(row.iter().map(|&v| T::from(v)));
    let mut push = |x: isize| {
        let at = index(x, image.width) * 3;
        out.extend(row[at..at + 3].iter().map(|&v| T::from(v)));
    };
    for x in 0..right {
        push((image.width + x) as isize);
    }
}
