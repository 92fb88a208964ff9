//! Borders of neighbourhood operations, as OpenCV extends an image.

use crate::image::PixelBuffer;

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
    image: &PixelBuffer,
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
    image: &PixelBuffer,
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

/// What lies outside an image when pixels are fetched from anywhere, by OpenCV's names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Border {
    /// One colour everywhere outside the image.
    Constant([u8; 3]),
    /// The edge pixel repeated: `aaa|abcd|ddd`.
    Replicate,
    /// A mirror at the edge: `cba|abcd|dcb`.
    Reflect,
    /// The image again, as on a torus: `bcd|abcd|abc`.
    Wrap,
    /// A mirror at the middle of the edge pixel: `dcb|abcd|cba`.
    Reflect101,
}

impl Border {
    /// OpenCV's number (0 to 4); `value` fills a constant border.
    pub(crate) fn numbered(number: i64, value: [u8; 3]) -> Option<Self> {
        [Self::Constant(value), Self::Replicate, Self::Reflect, Self::Wrap, Self::Reflect101]
            .get(usize::try_from(number).ok()?)
            .copied()
    }

    /// The index within `0..len` that stands for `p`; none where a constant does.
    #[inline]
    pub(super) fn index(self, p: i64, len: i64) -> Option<usize> {
        if (0..len).contains(&p) {
            return Some(p as usize);
        }
        let inside = match self {
            Self::Constant(_) => return None,
            Self::Replicate => p.clamp(0, len - 1),
            Self::Wrap => p.rem_euclid(len),
            Self::Reflect => {
                let q = p.rem_euclid(2 * len);
                q.min(2 * len - 1 - q)
            }
            Self::Reflect101 => {
                let turn = (2 * len - 2).max(1);
                let q = p.rem_euclid(turn);
                q.min(turn - q).min(len - 1)
            }
        };
        Some(inside as usize)
    }
}

/// OpenCV keeps whole positions in 16 bits.
#[inline]
pub(super) fn short(v: i32) -> i64 {
    i64::from(v.clamp(i32::from(i16::MIN), i32::from(i16::MAX)))
}

/// The pixel `[3]` at column `x` and row `y`, inside or outside of `image`.
#[inline]
pub(super) fn pixel_at(image: &PixelBuffer, border: Border, x: i64, y: i64) -> [u8; 3] {
    match (border.index(x, image.width as i64), border.index(y, image.height as i64)) {
        (Some(x), Some(y)) => {
            let at = y * image.stride() + x * 3;
            [image.data[at], image.data[at + 1], image.data[at + 2]]
        }
        _ => match border {
            Border::Constant(value) => value,
            _ => [0; 3],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_continue_an_image_as_their_names_say() {
        let border = |number| Border::numbered(number, [7; 3]).unwrap_or_else(|| panic!("{number} is a border"));
        let around = |b: Border| (-4..8).map(|p| b.index(p, 4)).collect::<Vec<_>>();
        let letters = |word: &str| word.bytes().map(|b| Some((b - b'a') as usize)).collect::<Vec<_>>();
        assert_eq!(around(border(1)), letters("aaaaabcddddd"));
        assert_eq!(around(border(2)), letters("dcbaabcddcba"));
        assert_eq!(around(border(3)), letters("abcdabcdabcd"));
        assert_eq!(around(border(4)), letters("cdcbabcdcbab"));
        assert_eq!((border(0).index(-1, 4), border(0).index(3, 4)), (None, Some(3)));
        assert!((1..5).all(|n| border(n).index(-9, 1) == Some(0)));
        assert_eq!(Border::numbered(5, [0; 3]), None);
    }
}
