//! What baseline JPEG (4:2:0, libjpeg's integer transforms) does to pixels; entropy coding is lossless and left out.
//!
//! As `cv2.imencode` and `imdecode` with libjpeg-turbo: channel 0 is blue, chroma is box-averaged and comes back through
//! the triangle filter ("fancy upsampling").

use crate::image::PixelBuffer;
use crate::pool::Buf;
use crate::simd;

const LUMA: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99,
];

/// The image after one round through JPEG of `quality` 1..=100.
pub(crate) fn round_trip(image: &PixelBuffer, quality: u8) -> PixelBuffer {
    let (height, width) = (image.height, image.width);
    let mut planes: [Plane; 3] = std::array::from_fn(|_| Plane::new(height, width));
    let [y, cb, cr] = &mut planes;
    to_planes(&image.data, &mut y.data, &mut cb.data, &mut cr.data);
    let [y, cb, cr] = planes;
    let mut luma = y.padded(height.next_multiple_of(8), width.next_multiple_of(8));
    code_blocks(&mut luma.data, luma.width, &table(&LUMA, quality));
    let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
    let [cb, cr] = [cb, cr].map(|plane| {
        // libjpeg extends rows to the right before it halves, and columns downwards after.
        let half = plane.padded(rows * 2, columns.next_multiple_of(8) * 2).halved();
        let mut coded = half.padded(rows.next_multiple_of(8), half.width);
        code_blocks(&mut coded.data, coded.width, &table(&CHROMA, quality));
        coded.cut(rows, columns).doubled(height, width)
    });
    let mut out = PixelBuffer::unwritten(height, width);
    let luma = luma.cut(height, width);
    from_planes(&luma.data, &cb.data, &cr.data, &mut out.data);
    out
}

/// `jpeg_quality_scaling` applied to a base table.
fn table(base: &[u16; 64], quality: u8) -> [i32; 64] {
    let quality = i32::from(quality.clamp(1, 100));
    let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    base.map(|q| ((i32::from(q) * scale + 50) / 100).clamp(1, 255))
}

const fn fix(x: f64) -> i32 {
    (x * 65536.0 + 0.5) as i32
}

simd::wide! {
    /// Interleaved B, G, R to planes of Y, Cb, Cr.
    pub(crate) fn to_planes(bgr: &[u8], y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) = to_planes_body;
}

#[inline(always)]
pub(super) fn to_planes_body(bgr: &[u8], y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    const CHROMA: i32 = (128 << 16) + (1 << 15) - 1;
    for (((pixel, y), cb), cr) in bgr.chunks_exact(3).zip(y).zip(cb).zip(cr) {
        let (b, g, r) = (i32::from(pixel[0]), i32::from(pixel[1]), i32::from(pixel[2]));
        *y = ((fix(0.299) * r + fix(0.587) * g + fix(0.114) * b + (1 << 15)) >> 16) as u8;
        *cb = ((fix(0.5) * b - fix(0.16874) * r - fix(0.33126) * g + CHROMA) >> 16) as u8;
        *cr = ((fix(0.5) * r - fix(0.41869) * g - fix(0.08131) * b + CHROMA) >> 16) as u8;
    }
}

simd::wide! {
    /// Planes of Y, Cb, Cr to interleaved B, G, R.
    pub(crate) fn from_planes(y: &[u8], cb: &[u8], cr: &[u8], bgr: &mut [u8]) = from_planes_body;
}

#[inline(always)]
pub(super) fn from_planes_body(y: &[u8], cb: &[u8], cr: &[u8], bgr: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    for (((pixel, &y), &cb), &cr) in bgr.chunks_exact_mut(3).zip(y).zip(cb).zip(cr) {
        let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
        let r = y + ((fix(1.402) * cr + HALF) >> 16);
        let g = y + ((-fix(0.34414) * cb - fix(0.71414) * cr + HALF) >> 16);
        let b = y + ((fix(1.772) * cb + HALF) >> 16);
        pixel[0] = b.clamp(0, 255) as u8;
        pixel[1] = g.clamp(0, 255) as u8;
        pixel[2] = r.clamp(0, 255) as u8;
    }
}

/// One channel `[height, width]` of a JPEG.
struct Plane {
    height: usize,
    width: usize,
    data: Buf<u8>,
}

impl Plane {
    fn new(height: usize, width: usize) -> Self {
        Self { height, width, data: Buf::any(height * width) }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.width..(y + 1) * self.width]
    }

    /// Extended to the right and below by its last pixels.
    fn padded(&self, height: usize, width: usize) -> Self {
        let mut data = Buf::with_capacity(height * width);
        for y in 0..height {
            let row = self.row(y.min(self.height - 1));
            data.extend_from_slice(row);
            data.resize((y + 1) * width, row[self.width - 1]);
        }
        Self { height, width, data }
    }

    fn cut(&self, height: usize, width: usize) -> Self {
        let mut data = Buf::with_capacity(height * width);
        (0..height).for_each(|y| data.extend_from_slice(&self.row(y)[..width]));
        Self { height, width, data }
    }

    /// Means of 2 x 2 pixels (the sides are even), rounding down and up in turn along a row.
    fn halved(&self) -> Self {
        let mut half = Self::new(self.height / 2, self.width / 2);
        for (y, line) in half.data.chunks_exact_mut(half.width).enumerate() {
            let (top, bottom) = (self.row(2 * y).chunks_exact(2), self.row(2 * y + 1).chunks_exact(2));
            for (x, ((o, a), b)) in line.iter_mut().zip(top).zip(bottom).enumerate() {
                let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
                *o = ((sum + 1 + (x as u16 & 1)) >> 2) as u8;
            }
        }
        half
    }

    /// Back to full size through the triangle filter (weights 9, 3, 3, 1).
    fn doubled(&self, height: usize, width: usize) -> Self {
        let mut full = Self::new(height, width);
        let mut sums = Buf::<i32>::any(self.width);
        let last = self.width - 1;
        for (y, line) in full.data.chunks_exact_mut(width).enumerate() {
            let near = self.row(y / 2);
            if self.width <= 2 {
                line.iter_mut().enumerate().for_each(|(x, o)| *o = near[x / 2]);
                continue;
            }
            let far_y = if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(self.height - 1) };
            for ((s, &n), &f) in sums.iter_mut().zip(near).zip(self.row(far_y)) {
                *s = i32::from(n) * 3 + i32::from(f);
            }
            for (pair, three) in line[1..].chunks_exact_mut(2).zip(sums.windows(2)) {
                pair[0] = ((three[0] * 3 + three[1] + 7) >> 4) as u8;
                pair[1] = ((three[1] * 3 + three[0] + 8) >> 4) as u8;
            }
            line[0] = ((sums[0] * 4 + 8) >> 4) as u8;
            if width.is_multiple_of(2) {
                line[width - 1] = ((sums[last] * 4 + 7) >> 4) as u8;
            }
        }
        full
    }
}

/// Eight numbers that go through the same steps.
type Lane = [i32; 8];

#[inline(always)]
fn each(f: impl Fn(usize) -> i32) -> Lane {
    std::array::from_fn(f)
}

#[inline(always)]
fn transposed(v: &[Lane; 8]) -> [Lane; 8] {
    std::array::from_fn(|i| each(|j| v[j][i]))
}

simd::wide! {
    /// Every 8 x 8 block of a plane transformed, quantised and transformed back.
    pub(crate) fn code_blocks(plane: &mut [u8], width: usize, table: &[i32; 64]) = code_blocks_body;
}

#[inline(always)]
pub(super) fn code_blocks_body(plane: &mut [u8], width: usize, table: &[i32; 64]) {
    for band in plane.chunks_exact_mut(width * 8) {
        for left in (0..width).step_by(8) {
            let mut block: [Lane; 8] = [[0; 8]; 8];
            for (y, line) in block.iter_mut().enumerate() {
                let row = &band[y * width + left..][..8];
                *line = each(|x| i32::from(row[x]) - 128);
            }
            // Lanes run across the direction that is transformed.
            let across = forward(transposed(&block), false);
            let mut block = forward(transposed(&across), true);
            for (line, steps) in block.iter_mut().zip(table.chunks_exact(8)) {
                for (b, &q) in line.iter_mut().zip(steps) {
                    // (|b| + d / 2) / d for d = 8 q, cut: both are so small that the float quotient is exact.
                    let (divisor, size) = (q * 8, b.abs());
                    let level = ((size + divisor / 2) as f32 + 0.5) * (1.0 / divisor as f32);
                    let level = level as i32 * q;
                    *b = if *b < 0 { -level } else { level };
                }
            }
            let down = inverse(block, BITS - PASS_BITS);
            let block = transposed(&inverse(transposed(&down), BITS + PASS_BITS + 3));
            for (y, line) in block.iter().enumerate() {
                let row = &mut band[y * width + left..][..8];
                row.iter_mut().zip(line).for_each(|(o, &b)| *o = (b + 128).clamp(0, 255) as u8);
            }
        }
    }
}

const BITS: u32 = 13;
const PASS_BITS: u32 = 2;
const F_0_298: i32 = 2446;
const F_0_390: i32 = 3196;
const F_0_541: i32 = 4433;
const F_0_765: i32 = 6270;
const F_0_899: i32 = 7373;
const F_1_175: i32 = 9633;
const F_1_501: i32 = 12299;
const F_1_847: i32 = 15137;
const F_1_961: i32 = 16069;
const F_2_053: i32 = 16819;
const F_2_562: i32 = 20995;
const F_3_072: i32 = 25172;

#[inline(always)]
fn descale(x: i32, bits: u32) -> i32 {
    (x + (1 << (bits - 1))) >> bits
}

/// One direction of libjpeg's slow integer forward transform (Loeffler, Ligtenberg, Moschytz) for eight lines at once;
/// after both, results are 8 times too large.
#[inline(always)]
fn forward(v: [Lane; 8], second: bool) -> [Lane; 8] {
    let mut out = [[0; 8]; 8];
    let shift = if second { BITS + PASS_BITS } else { BITS - PASS_BITS };
    for i in 0..8 {
        let sum = |k: usize| v[k][i] + v[7 - k][i];
        let diff = |k: usize| v[k][i] - v[7 - k][i];
        let (t0, t1, t2, t3) = (sum(0), sum(1), sum(2), sum(3));
        let (t7, t6, t5, t4) = (diff(0), diff(1), diff(2), diff(3));
        let (t10, t13, t11, t12) = (t0 + t3, t0 - t3, t1 + t2, t1 - t2);
        let even = |x: i32| if second { descale(x, PASS_BITS) } else { x << PASS_BITS };
        out[0][i] = even(t10 + t11);
        out[4][i] = even(t10 - t11);
        let z1 = (t12 + t13) * F_0_541;
        out[2][i] = descale(z1 + t13 * F_0_765, shift);
        out[6][i] = descale(z1 - t12 * F_1_847, shift);
        let (z1, z2, z3, z4) = (t4 + t7, t5 + t6, t4 + t6, t5 + t7);
        let z5 = (z3 + z4) * F_1_175;
        let (t4, t5, t6, t7) = (t4 * F_0_298, t5 * F_2_053, t6 * F_3_072, t7 * F_1_501);
        let (z1, z2) = (-z1 * F_0_899, -z2 * F_2_562);
        let (z3, z4) = (-z3 * F_1_961 + z5, -z4 * F_0_390 + z5);
        out[7][i] = descale(t4 + z1 + z3, shift);
        out[5][i] = descale(t5 + z2 + z4, shift);
        out[3][i] = descale(t6 + z2 + z3, shift);
        out[1][i] = descale(t7 + z1 + z4, shift);
    }
    out
}

/// One direction of libjpeg's slow integer inverse transform for eight lines at once.
#[inline(always)]
fn inverse(v: [Lane; 8], shift: u32) -> [Lane; 8] {
    let mut out = [[0; 8]; 8];
    for i in 0..8 {
        let z1 = (v[2][i] + v[6][i]) * F_0_541;
        let (t2, t3) = (z1 - v[6][i] * F_1_847, z1 + v[2][i] * F_0_765);
        let (t0, t1) = ((v[0][i] + v[4][i]) << BITS, (v[0][i] - v[4][i]) << BITS);
        let (t10, t13, t11, t12) = (t0 + t3, t0 - t3, t1 + t2, t1 - t2);
        let (t0, t1, t2, t3) = (v[7][i], v[5][i], v[3][i], v[1][i]);
        let (z1, z2, z3, z4) = (t0 + t3, t1 + t2, t0 + t2, t1 + t3);
        let z5 = (z3 + z4) * F_1_175;
        let (t0, t1, t2, t3) = (t0 * F_0_298, t1 * F_2_053, t2 * F_3_072, t3 * F_1_501);
        let (z1, z2) = (-z1 * F_0_899, -z2 * F_2_562);
        let (z3, z4) = (-z3 * F_1_961 + z5, -z4 * F_0_390 + z5);
        let (t0, t1, t2, t3) = (t0 + z1 + z3, t1 + z2 + z4, t2 + z2 + z3, t3 + z1 + z4);
        let pairs = [(t10, t3), (t11, t2), (t12, t1), (t13, t0)];
        for (k, (even, odd)) in pairs.into_iter().enumerate() {
            out[k][i] = descale(even + odd, shift);
            out[7 - k][i] = descale(even - odd, shift);
        }
    }
    out
}
