//! Pixels fetched from elsewhere (`cv2.remap`, `cv2.warpAffine` on 8 bits), and the smooth fields that say from where.

use crate::image::Image;
use crate::pool::Buf;

/// Steps within a pixel that OpenCV tells apart.
const STEPS: i64 = 32;

/// What lies outside an image, by OpenCV's names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Border {
    /// One colour.
    Constant([u8; 3]),
    /// `aaa|abcd|ddd`.
    Replicate,
    /// `cba|abcd|dcb`.
    Reflect,
    /// `bcd|abcd|abc`.
    Wrap,
    /// `dcb|abcd|cba`.
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
    fn index(self, p: i64, len: i64) -> Option<usize> {
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

/// The image whose pixel (x, y) is taken from `place(x, y)`, given in 1/32 pixels: the four around it, by distance, rounded
/// half up. With `nearest`, `place` gives whole pixels.
pub(crate) fn fetch(
    image: &Image,
    border: Border,
    nearest: bool,
    mut place: impl FnMut(usize, usize) -> (i64, i64),
) -> Image {
    let (height, width, stride) = (image.height as i64, image.width as i64, image.stride());
    let outside = if let Border::Constant(value) = border { value } else { [0; 3] };
    let pixel = |x: i64, y: i64| match (border.index(x, width), border.index(y, height)) {
        (Some(x), Some(y)) => {
            let at = y * stride + x * 3;
            [image.data[at], image.data[at + 1], image.data[at + 2]]
        }
        _ => outside,
    };
    // OpenCV keeps whole positions in 16 bits.
    let short = |v: i64| v.clamp(i64::from(i16::MIN), i64::from(i16::MAX));
    let mut out = Image::empty(image.height, image.width);
    for y in 0..image.height {
        for x in 0..image.width {
            let (sx, sy) = place(x, y);
            if nearest {
                out.data.extend(pixel(short(sx), short(sy)));
                continue;
            }
            let (left, top) = (short(sx.div_euclid(STEPS)), short(sy.div_euclid(STEPS)));
            let (fx, fy) = (sx.rem_euclid(STEPS) as u32, sy.rem_euclid(STEPS) as u32);
            let (gx, gy) = (32 - fx, 32 - fy);
            let weights = [gx * gy, fx * gy, gx * fy, fx * fy];
            let corners = if left >= 0 && left + 1 < width && top >= 0 && top + 1 < height {
                let at = top as usize * stride + left as usize * 3;
                let (upper, lower) = (&image.data[at..at + 6], &image.data[at + stride..at + stride + 6]);
                [
                    [upper[0], upper[1], upper[2]],
                    [upper[3], upper[4], upper[5]],
                    [lower[0], lower[1], lower[2]],
                    [lower[3], lower[4], lower[5]],
                ]
            } else {
                [pixel(left, top), pixel(left + 1, top), pixel(left, top + 1), pixel(left + 1, top + 1)]
            };
            out.data.extend((0..3).map(|c| {
                let sum: u32 = corners.iter().zip(weights).map(|(corner, w)| u32::from(corner[c]) * w).sum();
                ((sum + 512) >> 10) as u8
            }));
        }
    }
    out
}

/// A position of a map as [`fetch`] takes it.
pub(crate) fn rounded(at: f32, nearest: bool) -> i64 {
    (if nearest { at } else { at * STEPS as f32 }).round_ties_even() as i64
}

/// `cv2.warpAffine`: pixel (x, y) of `image` moves to `matrix` (rows x and y, each `[a, b, shift]`) times it.
pub(crate) fn warp_affine(image: &Image, matrix: [[f64; 3]; 2], border: Border, nearest: bool) -> Image {
    /// Unit of OpenCV's fixed-point positions.
    const UNIT: f64 = 1024.0;
    let [[a, b, c], [d, e, f]] = matrix;
    let determinant = a * e - b * d;
    let scale = if determinant == 0.0 { 0.0 } else { 1.0 / determinant };
    let (a, b, d, e) = (e * scale, b * -scale, d * -scale, a * scale);
    let (c, f) = (-a * c - b * f, -d * c - e * f);
    let fixed = |v: f64| (v * UNIT).round_ties_even() as i64;
    // Half of the last step kept, so that shifting rounds.
    let (half, shift) = if nearest { (512, 10) } else { (16, 5) };
    fetch(image, border, nearest, |x, y| {
        let (x, y) = (x as f64, y as f64);
        let at_x = fixed(b * y + c) + half + fixed(a * x);
        let at_y = fixed(e * y + f) + half + fixed(d * x);
        (at_x >> shift, at_y >> shift)
    })
}

/// A Gaussian window of `2 radius + 1` weights that sum to 1.
pub(crate) fn gaussian(radius: usize, sigma: f64) -> Buf<f64> {
    let side = 2 * radius + 1;
    let mut weights = Buf::collect(
        side,
        (0..side).map(|i| {
            let x = i as f64 - radius as f64;
            (-0.5 / (sigma * sigma) * x * x).exp()
        }),
    );
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    weights
}

/// Smooths `field` (`[height, width]`) with a symmetric window, columns first, then rows (`scipy.ndimage.gaussian_filter`
/// with [`Border::Reflect`], its default).
pub(crate) fn smooth(field: &mut Buf<f64>, (height, width): (usize, usize), weights: &[f64], border: Border) {
    let radius = weights.len() / 2;
    let index = |p: i64, len: usize| border.index(p, len as i64).unwrap_or(0);
    let mut down = Buf::<f64>::zeroed(height * width);
    for y in 0..height {
        let sums = &mut down[y * width..(y + 1) * width];
        sums.iter_mut().zip(&field[y * width..]).for_each(|(s, &v)| *s = v * weights[radius]);
        for reach in (1..=radius).rev() {
            let upper = &field[index(y as i64 - reach as i64, height) * width..][..width];
            let lower = &field[index(y as i64 + reach as i64, height) * width..][..width];
            crate::simd::add_pair(sums, upper, lower, weights[radius - reach]);
        }
    }
    let mut line = Buf::<f64>::zeroed(width + 2 * radius);
    for (sums, row) in field.chunks_exact_mut(width).zip(down.chunks_exact(width)) {
        for (i, v) in line.iter_mut().enumerate() {
            *v = row[index(i as i64 - radius as i64, width)];
        }
        sums.iter_mut().zip(row).for_each(|(s, &v)| *s = v * weights[radius]);
        for reach in (1..=radius).rev() {
            let (left, right) = (&line[radius - reach..][..width], &line[radius + reach..][..width]);
            crate::simd::add_pair(sums, left, right, weights[radius - reach]);
        }
    }
}

/// `sums += weight * (a + b)`.
#[inline(always)]
pub(crate) fn add_pair_body(sums: &mut [f64], a: &[f64], b: &[f64], weight: f64) {
    for ((s, &a), &b) in sums.iter_mut().zip(a).zip(b) {
        *s += (a + b) * weight;
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

    #[test]
    fn fetching_each_pixel_from_its_own_place_changes_nothing() {
        let image = Image::new(3, 5, (0..45).map(|i| (i * 37) as u8).collect()).expect("45 bytes are 3 x 5 pixels");
        let same = fetch(&image, Border::Wrap, false, |x, y| (x as i64 * 32, y as i64 * 32));
        assert_eq!(same, image);
        let shifted = fetch(&image, Border::Constant([9; 3]), false, |x, y| (x as i64 * 32 + 32, y as i64 * 32));
        assert_eq!(shifted.row(1)[..12], image.row(1)[3..]);
        assert_eq!(shifted.row(1)[12..], [9; 3]);
    }
}
