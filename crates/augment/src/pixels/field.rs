//! Fields of random numbers, one or more for each pixel, from a keyed stream.
//!
//! A field would take ChaCha longer than most transforms; so the stream gives the seed of eight xoshiro128++ generators
//! (Blackman and Vigna, 2019) that run side by side. Numbers depend on the stream alone, not on the processor.

use run_spec::seed::Stream;

use crate::pool::Buf;
use crate::round::trunc_u8_f32;
use crate::simd;

const WIDTH: usize = 8;

/// Eight xoshiro128++ generators that run side by side.
#[derive(Debug)]
pub(crate) struct Generators {
    state: [[u32; WIDTH]; 4],
}

impl Generators {
    /// Takes 16 numbers of `random` as the seed.
    pub(crate) fn new(random: &mut Stream) -> Self {
        let mut state = [[0; WIDTH]; 4];
        for word in state.as_flattened_mut().chunks_exact_mut(2) {
            let bits = random.next_u64();
            word.copy_from_slice(&[bits as u32, (bits >> 32) as u32]);
        }
        // The one state that xoshiro never leaves is all zeros.
        state[0].iter_mut().for_each(|s| *s |= 1);
        Self { state }
    }

    #[inline(always)]
    fn next(&mut self) -> [u32; WIDTH] {
        let [mut a, mut b, mut c, mut d] = self.state;
        let mut out = [0; WIDTH];
        for i in 0..WIDTH {
            out[i] = a[i].wrapping_add(d[i]).rotate_left(7).wrapping_add(a[i]);
            let shifted = b[i] << 9;
            c[i] ^= a[i];
            d[i] ^= b[i];
            b[i] ^= c[i];
            a[i] ^= d[i];
            c[i] ^= shifted;
            d[i] = d[i].rotate_left(11);
        }
        self.state = [a, b, c, d];
        out
    }
}

/// `count` independent normal numbers.
pub(crate) fn normals(random: &mut Stream, count: usize, mean: f64, spread: f64) -> Buf<f32> {
    let mut out = Buf::any(count);
    fill_normals(&mut Generators::new(random), mean as f32, spread as f32, &mut out);
    out
}

/// `count` independent uniform integers of `low..low + range`.
pub(crate) fn integers(random: &mut Stream, count: usize, low: i32, range: u32) -> Buf<i32> {
    let mut out = Buf::any(count);
    fill_integers(&mut Generators::new(random), low, range, &mut out);
    out
}

/// Box and Muller's transform of two words to two standard normals; within 6 standard deviations.
#[inline(always)]
fn normal_pair(a: u32, b: u32) -> (f32, f32) {
    // -2 ln of a number of (0, 1] with 24 bits; the logarithm by Cephes' polynomial on sqrt(1/2)..sqrt(2).
    let x = ((a >> 8) + 1) as f32 * (1.0 / 16_777_216.0);
    let bits = x.to_bits() as i32;
    let exponent = (bits - 0x3f35_04f3) >> 23;
    let f = f32::from_bits((bits - (exponent << 23)) as u32) - 1.0;
    let (z, e) = (f * f, exponent as f32);
    let mut p = 7.037_683_6e-2;
    for c in [
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p * f + c;
    }
    let log = f + (p * f * z - 2.121_944_4e-4 * e - 0.5 * z) + 0.693_359_4 * e;
    let square = -2.0 * log;
    let radius = if square > 0.0 { square } else { 0.0 }.sqrt();
    // A point of the unit circle: its height by the sine of a quarter turn to either side, its side by a coin.
    let t = (((b >> 8) as f32) * (1.0 / 16_777_216.0) - 0.5) * std::f32::consts::PI;
    let t2 = t * t;
    let mut s = -2.505_210_8e-8;
    for c in [2.755_731_9e-6, -1.984_127e-4, 8.333_333e-3, -1.666_666_7e-1, 1.0] {
        s = s * t2 + c;
    }
    let sine = s * t;
    let rest = 1.0 - sine * sine;
    let cosine = if rest > 0.0 { rest } else { 0.0 }.sqrt();
    let side = f32::from_bits(cosine.to_bits() | (b << 31));
    (radius * sine, radius * side)
}

simd::wide! {
    /// Fills `out` with normal numbers.
    pub(crate) fn fill_normals(generators: &mut Generators, mean: f32, spread: f32, out: &mut [f32]) = fill_normals_body;
}

#[inline(always)]
pub(super) fn fill_normals_body(generators: &mut Generators, mean: f32, spread: f32, out: &mut [f32]) {
    for part in out.chunks_mut(2 * WIDTH) {
        let (a, b) = (generators.next(), generators.next());
        let mut pairs = [0f32; 2 * WIDTH];
        let (first, second) = pairs.split_at_mut(WIDTH);
        for i in 0..WIDTH {
            let (x, y) = normal_pair(a[i], b[i]);
            first[i] = mean + spread * x;
            second[i] = mean + spread * y;
        }
        part.copy_from_slice(&pairs[..part.len()]);
    }
}

simd::wide! {
    /// Fills `out` with uniform words.
    pub(crate) fn fill_bits(generators: &mut Generators, out: &mut [u32]) = fill_bits_body;
}

#[inline(always)]
pub(super) fn fill_bits_body(generators: &mut Generators, out: &mut [u32]) {
    for part in out.chunks_mut(WIDTH) {
        let words = generators.next();
        part.copy_from_slice(&words[..part.len()]);
    }
}

simd::wide! {
    /// Fills `out` with integers of `low..low + count`; the bias is below `count` / 2^32.
    pub(crate) fn fill_integers(generators: &mut Generators, low: i32, count: u32, out: &mut [i32]) = fill_integers_body;
}

#[inline(always)]
pub(super) fn fill_integers_body(generators: &mut Generators, low: i32, count: u32, out: &mut [i32]) {
    for part in out.chunks_mut(WIDTH) {
        let words = generators.next().map(|word| ((u64::from(word) * u64::from(count)) >> 32) as i32 + low);
        part.copy_from_slice(&words[..part.len()]);
    }
}

simd::wide! {
    /// `data + noise`, clipped, the fraction dropped.
    pub(crate) fn add_noise(data: &mut [u8], noise: &[f32]) = add_noise_body;
}

#[inline(always)]
pub(super) fn add_noise_body(data: &mut [u8], noise: &[f32]) {
    for (v, &n) in data.iter_mut().zip(noise) {
        *v = trunc_u8_f32(f32::from(*v) + n);
    }
}

/// Numbers of a field: drawn here in f32, or recorded in f64.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Noise<'a> {
    /// Numbers drawn here, one for each pixel.
    Drawn(&'a [f32]),
    /// Numbers that a case recorded, one for each pixel.
    Recorded(&'a [f64]),
}

impl Noise<'_> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Drawn(values) => values.len(),
            Self::Recorded(values) => values.len(),
        }
    }

    /// `N` of them from `start` on, 0 behind the end.
    #[inline(always)]
    pub(crate) fn block<const N: usize>(&self, start: usize) -> [f64; N] {
        let mut out = [0.0; N];
        match self {
            Self::Drawn(values) => match values[start..].first_chunk::<N>() {
                Some(whole) => (0..N).for_each(|i| out[i] = f64::from(whole[i])),
                None => out.iter_mut().zip(&values[start..]).for_each(|(o, &v)| *o = f64::from(v)),
            },
            Self::Recorded(values) => out.iter_mut().zip(&values[start..]).for_each(|(o, &v)| *o = v),
        }
        out
    }
}

/// Many Poisson draws of one mean, by inverting the cumulative distribution: one word each.
#[derive(Debug)]
pub(crate) struct Poisson {
    /// Of 2^32 equally likely words, how many give at most the k-th value.
    cumulative: Buf<u32>,
    /// For the top bits of a word, the first value it may give.
    guide: Buf<u16>,
    /// The 0th value (the mass below underflows for large means).
    first: u64,
}

/// Top bits of a word that the guide looks at.
const GUIDE_BITS: u32 = 11;

impl Poisson {
    /// Tables for one mean.
    pub(crate) fn new(mean: f64) -> Self {
        let reach = 10.0 * mean.sqrt() + 20.0;
        let first = (mean - reach).max(0.0) as u64;
        let last = (mean + reach) as u64;
        // Relative to the mode, then scaled: no term underflows before it is negligible.
        let mut log = 0.0;
        let log_mean = mean.max(f64::MIN_POSITIVE).ln();
        let mut masses = Buf::<f64>::with_capacity((last - first + 1) as usize);
        for k in first..=last {
            if k > first {
                log += log_mean - (k as f64).ln();
            }
            masses.push(log);
        }
        let top = masses.iter().copied().fold(f64::MIN, f64::max);
        masses.iter_mut().for_each(|m| *m = (*m - top).exp());
        let total: f64 = masses.iter().sum();
        let mut sum = 0.0;
        let cumulative = Buf::collect(
            masses.len(),
            masses.iter().map(|m| {
                sum += m / total;
                (sum * 4_294_967_296.0) as u32
            }),
        );
        let mut guide = Buf::with_capacity(1 << GUIDE_BITS);
        let mut k = 0;
        for cell in 0..1u32 << GUIDE_BITS {
            while k + 1 < cumulative.len() && cumulative[k] <= cell << (32 - GUIDE_BITS) {
                k += 1;
            }
            guide.push(k.min(usize::from(u16::MAX)) as u16);
        }
        Self { cumulative, guide, first }
    }

    fn at(&self, word: u32) -> f32 {
        let mut k = usize::from(self.guide[(word >> (32 - GUIDE_BITS)) as usize]);
        while k + 1 < self.cumulative.len() && self.cumulative[k] <= word {
            k += 1;
        }
        (self.first + k as u64) as f32
    }

    /// `count` draws that are independent of one another.
    pub(crate) fn draw(&self, random: &mut Stream, count: usize) -> Buf<f32> {
        let mut words = Buf::<u32>::any(count);
        fill_bits(&mut Generators::new(random), &mut words);
        Buf::collect(count, words.iter().map(|&word| self.at(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_by_table_has_the_right_moments() {
        for mean in [0.0, 0.3, 4.0, 30.0, 2000.0, 50_000.0] {
            let mut random = run_spec::seed::stream(5, "test", &[mean as u64]);
            let drawn = Poisson::new(mean).draw(&mut random, 40_000);
            let average = drawn.iter().map(|&d| f64::from(d)).sum::<f64>() / 40_000.0;
            let variance = drawn.iter().map(|&d| (f64::from(d) - average).powi(2)).sum::<f64>() / 40_000.0;
            let tolerance = 4.0 * (mean / 40_000.0).sqrt();
            assert!((average - mean).abs() <= tolerance, "mean {average} for {mean}");
            assert!((variance - mean).abs() <= 0.05 * mean, "variance {variance} for {mean}");
        }
    }

    #[test]
    fn normals_have_the_shares_of_the_bell_curve() {
        let mut random = run_spec::seed::stream(6, "test", &[]);
        let n = 400_000;
        let drawn = normals(&mut random, n, 0.0, 1.0);
        // Abramowitz & Stegun, table 26.1: P(x).
        for (x, share) in
            [(-3.0, 0.001_35), (-2.0, 0.022_75), (-1.0, 0.158_66), (0.0, 0.5), (0.5, 0.691_46), (2.5, 0.993_79)]
        {
            let below = drawn.iter().filter(|&&d| d < x).count() as f64 / n as f64;
            let tolerance = 4.5 * (share * (1.0 - share) / n as f64).sqrt();
            assert!((below - share).abs() < tolerance, "P({x}) = {below}, not {share}");
        }
        let moment = |power: i32| drawn.iter().map(|&d| f64::from(d).powi(power)).sum::<f64>() / n as f64;
        assert!(moment(1).abs() < 0.007 && (moment(2) - 1.0).abs() < 0.01 && (moment(4) - 3.0).abs() < 0.07);
        let together = drawn.chunks_exact(16).flat_map(|c| (0..8).map(|i| f64::from(c[i] * c[8 + i]))).sum::<f64>();
        assert!((together / (n as f64 / 2.0)).abs() < 0.01, "the two numbers of a pair are uncorrelated");
    }

    #[test]
    fn integers_reach_both_ends_equally_often() {
        let drawn = integers(&mut run_spec::seed::stream(6, "test", &[1]), 80_000, -4, 8);
        for value in -4..4 {
            let count = drawn.iter().filter(|&&d| d == value).count() as f64;
            assert!((count - 10_000.0).abs() < 450.0, "{value}: {count} of 80000");
        }
        assert!(drawn.iter().all(|d| (-4..4).contains(d)));
    }
}
