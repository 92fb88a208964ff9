//! Pixels fetched from elsewhere (`cv2.remap`, `cv2.warpAffine` on 8 bits), and the smooth fields that say from where.

use super::border::{Border, pixel_at, short};
use super::interpolate::Interpolation;
use super::warp_wide::{fetch_row_cubic, fetch_row_lanczos};
use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::simd;

/// Steps within a pixel that OpenCV tells apart.
const STEPS: f32 = 32.0;

/// The image whose pixel (x, y) is taken from `places(y, xs, ys)`, which fills in where each pixel of a row comes from, in 1/32
/// pixels: the four (sixteen, sixty-four) around it, by distance, rounded half up. With [`Interpolation::Nearest`], places are
/// whole pixels.
pub(crate) fn fetch(
    image: &PixelBuffer,
    border: Border,
    interpolation: Interpolation,
    mut places: impl FnMut(usize, &mut [i32], &mut [i32]),
) -> PixelBuffer {
    let (height, width) = (image.height, image.width);
    let (mut xs, mut ys) = (Buf::<i32>::any(width), Buf::<i32>::any(width));
    let mut out = PixelBuffer::unwritten(height, width);
    for (y, row) in out.data.chunks_exact_mut(3 * width).enumerate() {
        places(y, &mut xs, &mut ys);
        match interpolation {
            Interpolation::Nearest => {
                for ((pixel, &x), &y) in row.as_chunks_mut::<3>().0.iter_mut().zip(&*xs).zip(&*ys) {
                    *pixel = pixel_at(image, border, short(x), short(y));
                }
            }
            Interpolation::Linear | Interpolation::Area => fetch_row(image, border, &xs, &ys, row),
            Interpolation::Cubic => fetch_row_cubic(image, border, &xs, &ys, row),
            Interpolation::Lanczos4 => fetch_row_lanczos(image, border, &xs, &ys, row),
        }
    }
    out
}

/// Pixels of a row that are mixed side by side.
const ABREAST: usize = 8;

simd::wide! {
    /// A row of [`fetch`] between pixels.
    pub(crate) fn fetch_row(image: &PixelBuffer, border: Border, xs: &[i32], ys: &[i32], out: &mut [u8]) = fetch_row_body;
}

#[inline(always)]
pub(super) fn fetch_row_body(image: &PixelBuffer, border: Border, xs: &[i32], ys: &[i32], out: &mut [u8]) {
    let (parts, rest) = out.as_chunks_mut::<{ 3 * ABREAST }>();
    let ((xs, last_xs), (ys, last_ys)) = (xs.as_chunks::<ABREAST>(), ys.as_chunks::<ABREAST>());
    for ((out, xs), ys) in parts.iter_mut().zip(xs).zip(ys) {
        if !fetch_inside(image, xs, ys, out) {
            fetch_anywhere(image, border, xs, ys, out);
        }
    }
    fetch_anywhere(image, border, last_xs, last_ys, rest);
}

/// Eight pixels, if all that they are mixed of lies inside the image.
#[inline(always)]
fn fetch_inside(image: &PixelBuffer, xs: &[i32; ABREAST], ys: &[i32; ABREAST], out: &mut [u8; 3 * ABREAST]) -> bool {
    let (stride, data) = (image.stride(), image.data.as_slice());
    // A negative position is a large number here, so two comparisons look at all four sides. Eight bytes hold the two pixels of
    // a row, but for the last two of the image.
    let (right, bottom) = ((image.width as u32).saturating_sub(1), (image.height as u32).saturating_sub(1));
    let end = data.len().saturating_sub(stride + 8);
    let (mut inside, mut at) = (true, [0usize; ABREAST]);
    for i in 0..ABREAST {
        let (left, top) = ((xs[i] >> 5) as u32, (ys[i] >> 5) as u32);
        at[i] = top as usize * stride + left as usize * 3;
        inside &= left < right && top < bottom && at[i] <= end;
    }
    if !inside || data.len() < stride + 8 {
        return false;
    }
    for ((to, &at), (x, y)) in out.as_chunks_mut::<3>().0.iter_mut().zip(&at).zip(xs.iter().zip(ys)) {
        let row = |start: usize| data[start..].first_chunk::<8>().map(|eight| u64::from_le_bytes(*eight));
        let (Some(upper), Some(lower)) = (row(at), row(at + stride)) else { return false };
        let (fx, fy) = (*x as u64 & 31, *y as u64 & 31);
        // The three levels of a pixel side by side in one number: their mixtures have 18 bits.
        let mixed = spread(upper) * ((32 - fx) * (32 - fy))
            + spread(upper >> 24) * (fx * (32 - fy))
            + spread(lower) * ((32 - fx) * fy)
            + spread(lower >> 24) * (fx * fy)
            + 512 * (1 | 1 << 20 | 1 << 40);
        *to = [(mixed >> 10) as u8, (mixed >> 30) as u8, (mixed >> 50) as u8];
    }
    true
}

/// The lower three bytes of a number, 20 bits apart.
#[inline(always)]
fn spread(bytes: u64) -> u64 {
    bytes & 0xff | (bytes & 0xff00) << 12 | (bytes & 0xff_0000) << 24
}

/// Pixels of which some may lie outside.
#[inline(never)]
fn fetch_anywhere(image: &PixelBuffer, border: Border, xs: &[i32], ys: &[i32], out: &mut [u8]) {
    for ((out, &sx), &sy) in out.as_chunks_mut::<3>().0.iter_mut().zip(xs).zip(ys) {
        let (left, top) = (short(sx >> 5), short(sy >> 5));
        let (fx, fy) = (sx as u32 & 31, sy as u32 & 31);
        let weights = [(32 - fx) * (32 - fy), fx * (32 - fy), (32 - fx) * fy, fx * fy];
        let corners = [(left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)];
        let corners = corners.map(|(x, y)| pixel_at(image, border, x, y));
        for (c, out) in out.iter_mut().enumerate() {
            let sum: u32 = corners.iter().zip(weights).map(|(corner, weight)| u32::from(corner[c]) * weight).sum();
            *out = ((sum + 512) >> 10) as u8;
        }
    }
}

/// Factor of a position of a map as [`fetch`] takes it.
fn unit(interpolation: Interpolation) -> f32 {
    if interpolation == Interpolation::Nearest { 1.0 } else { STEPS }
}

/// Positions of a map, as [`fetch`] takes them.
pub(crate) fn rounded(at: &[f32], interpolation: Interpolation) -> Buf<i32> {
    let places = at.iter().map(|at| (at * unit(interpolation)).round_ties_even() as i32);
    Buf::collect(at.len(), places)
}

simd::wide! {
    /// `first + i * step + shifts[i]` as [`fetch`] takes them.
    pub(crate) fn shifted_row(first: f64, step: f64, shifts: &[f64], unit: f32, out: &mut [i32]) = shifted_row_body;
}

#[inline(always)]
pub(super) fn shifted_row_body(first: f64, step: f64, shifts: &[f64], unit: f32, out: &mut [i32]) {
    for ((i, out), shift) in (0i32..).zip(out).zip(shifts) {
        *out = ((first + f64::from(i) * step + shift) as f32 * unit).round_ties_even() as i32;
    }
}

/// As [`shifted_row`], for positions that [`fetch`] takes.
pub(crate) fn shifted(first: f64, step: f64, shifts: &[f64], interpolation: Interpolation, out: &mut [i32]) {
    shifted_row(first, step, shifts, unit(interpolation), out);
}

/// A lens of `1 + k r² + k r⁴`, and what a row of pixels needs of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lens {
    /// Strength of the distortion; 0 changes nothing.
    pub(crate) k: f64,
    /// Width and height of the image.
    pub(crate) size: [f64; 2],
    /// The middle of the lens in pixels (x, y).
    pub(crate) middle: [f64; 2],
    /// Of the positions that [`fetch`] takes.
    pub(crate) interpolation: Interpolation,
}

simd::wide! {
    /// Where the pixels of a row come from that lies `y` from the middle, its pixels at `columns`, both over the size
    /// of the image.
    pub(crate) fn through_lens(lens: Lens, y: f64, columns: &[f64], xs: &mut [i32], ys: &mut [i32]) = through_lens_body;
}

#[inline(always)]
pub(super) fn through_lens_body(lens: Lens, y: f64, columns: &[f64], xs: &mut [i32], ys: &mut [i32]) {
    let unit = unit(lens.interpolation);
    let ([width, height], [cx, cy], k) = (lens.size, lens.middle, lens.k);
    for ((x, to_x), to_y) in columns.iter().zip(xs).zip(ys) {
        let r2 = x * x + y * y;
        let stretch = 1.0 + (k * r2 + k) * r2;
        *to_x = ((width * (x * stretch) + cx) as f32 * unit).round_ties_even() as i32;
        *to_y = ((height * (y * stretch) + cy) as f32 * unit).round_ties_even() as i32;
    }
}

/// `cv2.warpAffine`: pixel (x, y) of `image` moves to `matrix` (rows x and y, each `[a, b, shift]`) times it.
pub(crate) fn warp_affine(
    image: &PixelBuffer,
    matrix: [[f64; 3]; 2],
    border: Border,
    interpolation: Interpolation,
) -> PixelBuffer {
    /// Unit of OpenCV's fixed-point positions.
    const UNIT: f64 = 1024.0;
    let [[a, b, c], [d, e, f]] = matrix;
    let determinant = a * e - b * d;
    let scale = if determinant == 0.0 { 0.0 } else { 1.0 / determinant };
    let (a, b, d, e) = (e * scale, b * -scale, d * -scale, a * scale);
    let (c, f) = (-a * c - b * f, -d * c - e * f);
    let fixed = |v: f64| (v * UNIT).round_ties_even() as i64;
    // Half of the last step kept, so that shifting rounds.
    let (half, shift) = if interpolation == Interpolation::Nearest { (512, 10) } else { (16, 5) };
    let columns = Buf::collect(image.width, (0..image.width).map(|x| (fixed(a * x as f64), fixed(d * x as f64))));
    let narrow = |v: i64| (v >> shift).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    fetch(image, border, interpolation, |y, xs, ys| {
        let row = (fixed(b * y as f64 + c) + half, fixed(e * y as f64 + f) + half);
        for ((column, x), y) in columns.iter().zip(xs).zip(ys) {
            (*x, *y) = (narrow(row.0 + column.0), narrow(row.1 + column.1));
        }
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
            add_pair(sums, upper, lower, weights[radius - reach]);
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
            add_pair(sums, left, right, weights[radius - reach]);
        }
    }
}

simd::wide! {
    /// `sums += weight * (a + b)`.
    pub(crate) fn add_pair(sums: &mut [f64], a: &[f64], b: &[f64], weight: f64) = add_pair_body;
}

#[inline(always)]
pub(super) fn add_pair_body(sums: &mut [f64], a: &[f64], b: &[f64], weight: f64) {
    for ((s, &a), &b) in sums.iter_mut().zip(a).zip(b) {
        *s += (a + b) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetching_each_pixel_from_its_own_place_changes_nothing() {
        let image =
            PixelBuffer::new(3, 5, (0..45).map(|i| (i * 37) as u8).collect()).expect("45 bytes are 3 x 5 pixels");
        let by = |shift: i32| {
            move |y: usize, xs: &mut [i32], ys: &mut [i32]| {
                (0..).zip(xs).for_each(|(x, place)| *place = x * 32 + shift);
                ys.fill(y as i32 * 32);
            }
        };
        assert_eq!(fetch(&image, Border::Wrap, Interpolation::Linear, by(0)), image);
        let shifted = fetch(&image, Border::Constant([9; 3]), Interpolation::Linear, by(32));
        assert_eq!(shifted.row(1)[..12], image.row(1)[3..]);
        assert_eq!(shifted.row(1)[12..], [9; 3]);
        // A quarter of the way to the right neighbour, and far outside.
        let quarter = fetch(&image, Border::Replicate, Interpolation::Linear, by(8));
        let mixed = |c: usize| ((u32::from(image.row(1)[c]) * 24 + u32::from(image.row(1)[c + 3]) * 8 + 16) >> 5) as u8;
        assert_eq!(quarter.row(1)[..12], (0..12).map(mixed).collect::<Vec<_>>());
        let far = fetch(&image, Border::Constant([9; 3]), Interpolation::Linear, |_, xs, ys| {
            xs.fill(i32::MAX);
            ys.fill(i32::MIN);
        });
        assert!(far.data.iter().all(|&level| level == 9));
    }
}
