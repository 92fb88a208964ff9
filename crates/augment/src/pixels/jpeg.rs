//! What baseline JPEG (4:2:0, libjpeg's integer transforms) does to pixels; entropy coding is lossless and left out.
//!
//! As `cv2.imencode` and `imdecode` with libjpeg-turbo: channel 0 is blue, chroma is box-averaged and comes back through
//! the triangle filter ("fancy upsampling").

use crate::image::Image;

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
pub(crate) fn round_trip(image: &Image, quality: u8) -> Image {
    let (height, width) = (image.height, image.width);
    let mut planes: [Plane; 3] = std::array::from_fn(|_| Plane { height, width, data: vec![0; height * width] });
    for (i, bgr) in image.data.chunks_exact(3).enumerate() {
        let ycc = to_ycc([bgr[2], bgr[1], bgr[0]]);
        (0..3).for_each(|k| planes[k].data[i] = ycc[k]);
    }
    let [y, cb, cr] = planes;
    let luma = y.padded(height.next_multiple_of(8), width.next_multiple_of(8)).coded(&table(&LUMA, quality));
    let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
    let [cb, cr] = [cb, cr].map(|plane| {
        // libjpeg extends rows to the right before it halves, and columns downwards after.
        let half = plane.padded(rows * 2, columns.next_multiple_of(8) * 2).halved();
        let across = half.width;
        let coded = half.padded(rows.next_multiple_of(8), across).coded(&table(&CHROMA, quality));
        coded.cut(rows, columns).doubled(height, width)
    });
    let mut out = Image::filled(height, width, 0);
    for (i, bgr) in out.data.chunks_exact_mut(3).enumerate() {
        let (y, x) = (i / width, i % width);
        let [r, g, b] = to_rgb(luma.data[y * luma.width + x], cb.data[i], cr.data[i]);
        bgr.copy_from_slice(&[b, g, r]);
    }
    out
}

/// `jpeg_quality_scaling` applied to a base table.
fn table(base: &[u16; 64], quality: u8) -> [i32; 64] {
    let quality = i32::from(quality.clamp(1, 100));
    let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    base.map(|q| ((i32::from(q) * scale + 50) / 100).clamp(1, 255))
}

fn fix(x: f64) -> i32 {
    (x * 65536.0 + 0.5) as i32
}

fn to_ycc([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let chroma = (128 << 16) + (1 << 15) - 1;
    let y = fix(0.299) * r + fix(0.587) * g + fix(0.114) * b + (1 << 15);
    let cb = fix(0.5) * b - fix(0.16874) * r - fix(0.33126) * g + chroma;
    let cr = fix(0.5) * r - fix(0.41869) * g - fix(0.08131) * b + chroma;
    [y, cb, cr].map(|v| (v >> 16) as u8)
}

fn to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let half = 1 << 15;
    [
        y + ((fix(1.402) * cr + half) >> 16),
        y + ((-fix(0.34414) * cb - fix(0.71414) * cr + half) >> 16),
        y + ((fix(1.772) * cb + half) >> 16),
    ]
    .map(|v| v.clamp(0, 255) as u8)
}

/// One channel.
struct Plane {
    height: usize,
    width: usize,
    data: Vec<u8>,
}

impl Plane {
    fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.width..(y + 1) * self.width]
    }

    /// Extended to the right and below by its last pixels.
    fn padded(&self, height: usize, width: usize) -> Self {
        let mut data = Vec::with_capacity(height * width);
        for y in 0..height {
            let row = self.row(y.min(self.height - 1));
            data.extend_from_slice(row);
            data.resize((y + 1) * width, row[self.width - 1]);
        }
        Self { height, width, data }
    }

    fn cut(&self, height: usize, width: usize) -> Self {
        let data = (0..height).flat_map(|y| self.row(y)[..width].iter().copied()).collect();
        Self { height, width, data }
    }

    /// Means of 2 x 2 pixels (the sides are even), rounding down and up in turn along a row.
    fn halved(&self) -> Self {
        let (height, width) = (self.height / 2, self.width / 2);
        let mut data = Vec::with_capacity(height * width);
        for y in 0..height {
            let (top, bottom) = (self.row(2 * y), self.row(2 * y + 1));
            for x in 0..width {
                let at = |row: &[u8], i: usize| u16::from(row[i]);
                let sum = at(top, 2 * x) + at(top, 2 * x + 1) + at(bottom, 2 * x) + at(bottom, 2 * x + 1);
                data.push(((sum + 1 + (x as u16 & 1)) >> 2) as u8);
            }
        }
        Self { height, width, data }
    }

    /// Back to full size through the triangle filter (weights 9, 3, 3, 1).
    fn doubled(&self, height: usize, width: usize) -> Self {
        let mut data = vec![0; height * width];
        for y in 0..height {
            let near = self.row(y / 2);
            if self.width <= 2 {
                (0..width).for_each(|x| data[y * width + x] = near[x / 2]);
                continue;
            }
            let far_y = if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(self.height - 1) };
            let far = self.row(far_y);
            let column = |x: usize| i32::from(near[x]) * 3 + i32::from(far[x]);
            for x in 0..width {
                let (here, last) = (column(x / 2), self.width - 1);
                let sum = match x {
                    0 => here * 4 + 8,
                    _ if x % 2 == 0 => here * 3 + column(x / 2 - 1) + 8,
                    _ if x / 2 == last => here * 4 + 7,
                    _ => here * 3 + column(x / 2 + 1) + 7,
                };
                data[y * width + x] = (sum >> 4) as u8;
            }
        }
        Self { height, width, data }
    }

    /// Every 8 x 8 block transformed, quantised and transformed back.
    fn coded(mut self, table: &[i32; 64]) -> Self {
        for by in (0..self.height).step_by(8) {
            for bx in (0..self.width).step_by(8) {
                let mut block = [0i32; 64];
                for (i, b) in block.iter_mut().enumerate() {
                    *b = i32::from(self.data[(by + i / 8) * self.width + bx + i % 8]) - 128;
                }
                forward(&mut block);
                for (b, &q) in block.iter_mut().zip(table) {
                    let divisor = q * 8;
                    let level = (b.abs() + divisor / 2) / divisor;
                    *b = level * b.signum() * q;
                }
                inverse(&mut block);
                for (i, &b) in block.iter().enumerate() {
                    self.data[(by + i / 8) * self.width + bx + i % 8] = (b + 128).clamp(0, 255) as u8;
                }
            }
        }
        self
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

fn descale(x: i32, bits: u32) -> i32 {
    (x + (1 << (bits - 1))) >> bits
}

/// The slow integer forward transform of libjpeg (Loeffler, Ligtenberg, Moschytz); results are 8 times too large.
fn forward(block: &mut [i32; 64]) {
    for y in 0..8 {
        forward_1d(block, y * 8, 1, false);
    }
    for x in 0..8 {
        forward_1d(block, x, 8, true);
    }
}

fn forward_1d(block: &mut [i32; 64], start: usize, step: usize, second: bool) {
    let at = |k: usize| start + k * step;
    let sum = |k: usize| block[at(k)] + block[at(7 - k)];
    let diff = |k: usize| block[at(k)] - block[at(7 - k)];
    let (t0, t1, t2, t3) = (sum(0), sum(1), sum(2), sum(3));
    let (t7, t6, t5, t4) = (diff(0), diff(1), diff(2), diff(3));
    let (t10, t13, t11, t12) = (t0 + t3, t0 - t3, t1 + t2, t1 - t2);
    let shift = if second { BITS + PASS_BITS } else { BITS - PASS_BITS };
    let even = |x: i32| if second { descale(x, PASS_BITS) } else { x << PASS_BITS };
    block[at(0)] = even(t10 + t11);
    block[at(4)] = even(t10 - t11);
    let z1 = (t12 + t13) * F_0_541;
    block[at(2)] = descale(z1 + t13 * F_0_765, shift);
    block[at(6)] = descale(z1 - t12 * F_1_847, shift);
    let (z1, z2, z3, z4) = (t4 + t7, t5 + t6, t4 + t6, t5 + t7);
    let z5 = (z3 + z4) * F_1_175;
    let (t4, t5, t6, t7) = (t4 * F_0_298, t5 * F_2_053, t6 * F_3_072, t7 * F_1_501);
    let (z1, z2) = (-z1 * F_0_899, -z2 * F_2_562);
    let (z3, z4) = (-z3 * F_1_961 + z5, -z4 * F_0_390 + z5);
    block[at(7)] = descale(t4 + z1 + z3, shift);
    block[at(5)] = descale(t5 + z2 + z4, shift);
    block[at(3)] = descale(t6 + z2 + z3, shift);
    block[at(1)] = descale(t7 + z1 + z4, shift);
}

/// The slow integer inverse transform of libjpeg, to levels around 0.
fn inverse(block: &mut [i32; 64]) {
    for x in 0..8 {
        inverse_1d(block, x, 8, BITS - PASS_BITS);
    }
    for y in 0..8 {
        inverse_1d(block, y * 8, 1, BITS + PASS_BITS + 3);
    }
}

fn inverse_1d(block: &mut [i32; 64], start: usize, step: usize, shift: u32) {
    let v: [i32; 8] = std::array::from_fn(|k| block[start + k * step]);
    let z1 = (v[2] + v[6]) * F_0_541;
    let (t2, t3) = (z1 - v[6] * F_1_847, z1 + v[2] * F_0_765);
    let (t0, t1) = ((v[0] + v[4]) << BITS, (v[0] - v[4]) << BITS);
    let (t10, t13, t11, t12) = (t0 + t3, t0 - t3, t1 + t2, t1 - t2);
    let (t0, t1, t2, t3) = (v[7], v[5], v[3], v[1]);
    let (z1, z2, z3, z4) = (t0 + t3, t1 + t2, t0 + t2, t1 + t3);
    let z5 = (z3 + z4) * F_1_175;
    let (t0, t1, t2, t3) = (t0 * F_0_298, t1 * F_2_053, t2 * F_3_072, t3 * F_1_501);
    let (z1, z2) = (-z1 * F_0_899, -z2 * F_2_562);
    let (z3, z4) = (-z3 * F_1_961 + z5, -z4 * F_0_390 + z5);
    let (t0, t1, t2, t3) = (t0 + z1 + z3, t1 + z2 + z4, t2 + z2 + z3, t3 + z1 + z4);
    let pairs = [(t10, t3), (t11, t2), (t12, t1), (t13, t0)];
    for (k, (even, odd)) in pairs.into_iter().enumerate() {
        block[start + k * step] = descale(even + odd, shift);
        block[start + (7 - k) * step] = descale(even - odd, shift);
    }
}
