//! `cv2.resize` on 32-bit floats, every interpolation; the order of operations is OpenCV's (with Intel's library for 1 and 2).

use super::interpolate::{Interpolation, cubic, lanczos4};
use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::round::trunc_u8_f32;

/// RGB levels over 255 (`[height, width, 3]`).
pub(crate) struct Floats {
    height: usize,
    width: usize,
    data: Buf<f32>,
}

impl Floats {
    /// Levels divided by 255.
    pub(crate) fn of(image: &PixelBuffer) -> Self {
        let data = Buf::collect(image.data.len(), image.data.iter().map(|&v| f32::from(v) / 255.0));
        Self { height: image.height, width: image.width, data }
    }

    /// Levels cut to 0..1, times 255, cut towards zero.
    pub(crate) fn levels(&self) -> PixelBuffer {
        let mut image = PixelBuffer::unwritten(self.height, self.width);
        image.data.iter_mut().zip(self.data.iter()).for_each(|(to, v)| *to = trunc_u8_f32(v.clamp(0.0, 1.0) * 255.0));
        image
    }

    fn row(&self, y: usize) -> &[f32] {
        &self.data[y * self.width * 3..(y + 1) * self.width * 3]
    }
}

/// An output side, and source pixels per output pixel.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub(crate) len: usize,
    pub(crate) scale: f64,
}

/// Resizes; not for [`Interpolation::Nearest`], which needs no floats.
pub(crate) fn resize(image: &Floats, rows: Side, columns: Side, interpolation: Interpolation) -> Floats {
    match interpolation {
        Interpolation::Area if rows.scale >= 1.0 && columns.scale >= 1.0 => area(image, rows, columns),
        Interpolation::Area => {
            let taps = |side: Side, len| Buf::collect(side.len, (0..side.len).map(|i| area_linear(i, side.scale, len)));
            mix_two(image, &taps(rows, image.height), &taps(columns, image.width), |a, b, t| a * (1.0 - t) + b * t)
        }
        Interpolation::Nearest | Interpolation::Linear => {
            let taps = |side: Side, len| Buf::collect(side.len, (0..side.len).map(|i| linear(i, side.scale, len)));
            mix_two(image, &taps(rows, image.height), &taps(columns, image.width), |a, b, t| t.mul_add(b - a, a))
        }
        Interpolation::Cubic => {
            let place = |i: usize, scale: f64| {
                let at = (i as f64 + 0.5) * scale - 0.5;
                (at.floor() as isize - 1, cubic((at - at.floor()) as f32))
            };
            let sum = |v: [f32; 4], w: &[f32; 4]| v[1].mul_add(w[1], v[0] * w[0]) + v[3].mul_add(w[3], v[2] * w[2]);
            mix_many(image, rows, columns, place, sum, sum)
        }
        Interpolation::Lanczos4 => {
            let place = |i: usize, scale: f64| {
                let at = ((i as f64 + 0.5) * scale - 0.5) as f32;
                (at.floor() as isize - 3, lanczos4(at - at.floor()))
            };
            let forward = |v: [f32; 8], w: &[f32; 8]| (1..8).fold(v[0] * w[0], |sum, k| sum + v[k] * w[k]);
            let backward = |v: [f32; 8], w: &[f32; 8]| (0..7).rev().fold(v[7] * w[7], |sum, k| sum + v[k] * w[k]);
            mix_many(image, rows, columns, place, forward, backward)
        }
    }
}

/// First and second source index and the second's weight.
type Two = (usize, usize, f32);

/// At the edges the nearest pixel stands alone.
fn two(first: f64, fraction: f32, len: usize) -> Two {
    if first < 0.0 {
        (0, 1.min(len - 1), 0.0)
    } else if first >= (len - 1) as f64 {
        (len - 1, len - 1, 0.0)
    } else {
        (first as usize, first as usize + 1, fraction)
    }
}

fn linear(i: usize, scale: f64, len: usize) -> Two {
    let at = (i as f64 + 0.5) * scale - 0.5;
    two(at.floor(), (at - at.floor()) as f32, len)
}

/// Where [`Interpolation::Area`] takes a pixel of an image that grows.
fn area_linear(i: usize, scale: f64, len: usize) -> Two {
    let first = (i as f64 * scale).floor();
    let past = ((i as f64 + 1.0) - (first + 1.0) * (1.0 / scale)) as f32;
    two(first, if past <= 0.0 { 0.0 } else { past - past.floor() }, len)
}

fn mix_two(image: &Floats, rows: &[Two], columns: &[Two], mix: impl Fn(f32, f32, f32) -> f32) -> Floats {
    let (height, width) = (rows.len(), columns.len());
    let mut narrow = Buf::<f32>::any(image.height * width * 3);
    for (y, line) in narrow.chunks_exact_mut(width * 3).enumerate() {
        let row = image.row(y);
        for (to, &(a, b, t)) in line.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
            for (c, to) in to.iter_mut().enumerate() {
                *to = mix(row[a * 3 + c], row[b * 3 + c], t);
            }
        }
    }
    let mut data = Buf::<f32>::any(height * width * 3);
    for (out, &(a, b, t)) in data.chunks_exact_mut(width * 3).zip(rows) {
        let (a, b) = (&narrow[a * width * 3..][..width * 3], &narrow[b * width * 3..][..width * 3]);
        out.iter_mut().zip(a).zip(b).for_each(|((to, &a), &b)| *to = mix(a, b, t));
    }
    Floats { height, width, data }
}

/// `place` gives the first source index (it may lie outside: the edge is repeated) and the weights from there on.
fn mix_many<const N: usize>(
    image: &Floats,
    rows: Side,
    columns: Side,
    place: impl Fn(usize, f64) -> (isize, [f32; N]),
    across: impl Fn([f32; N], &[f32; N]) -> f32,
    down: impl Fn([f32; N], &[f32; N]) -> f32,
) -> Floats {
    let at = |first: isize, k: usize, len: usize| (first + k as isize).clamp(0, len as isize - 1) as usize;
    let (height, width) = (rows.len, columns.len);
    let mut narrow = Buf::<f32>::any(image.height * width * 3);
    for x in 0..width {
        let (first, weights) = place(x, columns.scale);
        for y in 0..image.height {
            let row = image.row(y);
            for c in 0..3 {
                let values = std::array::from_fn(|k| row[at(first, k, image.width) * 3 + c]);
                narrow[(y * width + x) * 3 + c] = across(values, &weights);
            }
        }
    }
    let mut data = Buf::<f32>::any(height * width * 3);
    for (y, out) in data.chunks_exact_mut(width * 3).enumerate() {
        let (first, weights) = place(y, rows.scale);
        for (i, to) in out.iter_mut().enumerate() {
            *to = down(std::array::from_fn(|k| narrow[at(first, k, image.height) * width * 3 + i]), &weights);
        }
    }
    Floats { height, width, data }
}

/// Means over the areas that become pixels.
fn area(image: &Floats, rows: Side, columns: Side) -> Floats {
    let whole = |side: Side| (side.scale - side.scale.round()).abs() < f64::EPSILON;
    if whole(rows) && whole(columns) {
        return blocks(image, (rows.len, rows.scale as usize), (columns.len, columns.scale as usize));
    }
    let (height, width) = (rows.len, columns.len);
    let mut narrow = Buf::<f32>::filled(image.height * width * 3, 0.0);
    for (y, line) in narrow.chunks_exact_mut(width * 3).enumerate() {
        let row = image.row(y);
        shares(columns, image.width, |to, from, weight| {
            for c in 0..3 {
                line[to * 3 + c] += row[from * 3 + c] * weight;
            }
        });
    }
    let mut data = Buf::<f32>::filled(height * width * 3, 0.0);
    shares(rows, image.height, |to, from, weight| {
        let (out, line) = (&mut data[to * width * 3..][..width * 3], &narrow[from * width * 3..][..width * 3]);
        out.iter_mut().zip(line).for_each(|(o, v)| *o += weight * v);
    });
    Floats { height, width, data }
}

/// Calls `put(to, from, weight)` for each source index of each output index, in order.
fn shares(side: Side, len: usize, mut put: impl FnMut(usize, usize, f32)) {
    /// A part of a pixel too small to count.
    const SLIVER: f64 = 1e-3;
    for to in 0..side.len {
        let start = to as f64 * side.scale;
        let end = start + side.scale;
        let cell = side.scale.min(len as f64 - start);
        let last = end.floor().min((len - 1) as f64);
        let first = start.ceil().min(last);
        if first - start > SLIVER {
            put(to, first as usize - 1, ((first - start) / cell) as f32);
        }
        for from in first as usize..last as usize {
            put(to, from, (1.0 / cell) as f32);
        }
        if end - last > SLIVER {
            put(to, last as usize, ((end - last).min(1.0).min(cell) / cell) as f32);
        }
    }
}

/// Means over blocks of whole pixels, four at a time; blocks cut by the edge are divided by what they hold.
fn blocks(image: &Floats, (height, down): (usize, usize), (width, across): (usize, usize)) -> Floats {
    let mut data = Buf::<f32>::filled(height * width * 3, 0.0);
    let share = 1.0 / (down * across) as f32;
    let mut values = Buf::<f32>::with_capacity(down * across);
    for (i, to) in data.iter_mut().enumerate() {
        let (y, x, c) = (i / (width * 3), i / 3 % width, i % 3);
        let (rows, columns) =
            (y * down..((y + 1) * down).min(image.height), x * across..((x + 1) * across).min(image.width));
        values.clear();
        for row in rows {
            values.extend(columns.clone().map(|column| image.row(row)[column * 3 + c]));
        }
        if values.len() < down * across {
            *to = values.iter().sum::<f32>() / values.len().max(1) as f32;
            continue;
        }
        // Two by two are added in one go, larger blocks in fours.
        let (fours, rest) = values.as_chunks::<4>();
        let mut sum = 0.0;
        for four in fours {
            sum += ((four[0] + four[1]) + four[2]) + four[3];
        }
        rest.iter().for_each(|v| sum += v);
        *to = sum * share;
    }
    Floats { height, width, data }
}
