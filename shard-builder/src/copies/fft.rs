//! The discrete Fourier transform of lengths that are powers of two: radix 2, in place, single precision.

/// A transform of one length, with its tables.
#[derive(Debug)]
pub(super) struct Fft {
    n: usize,
    reversed: Vec<usize>,
    twiddles: Vec<(f32, f32)>,
}

impl Fft {
    /// Tables for length `n`, a power of two.
    pub(super) fn new(n: usize) -> Self {
        debug_assert!(n.is_power_of_two() && n > 1);
        let bits = n.trailing_zeros();
        let reversed = (0..n).map(|index| index.reverse_bits() >> (usize::BITS - bits)).collect();
        let twiddles = (0..n / 2)
            .map(|k| {
                let angle = -std::f64::consts::TAU * k as f64 / n as f64;
                (angle.cos() as f32, angle.sin() as f32)
            })
            .collect();
        Self { n, reversed, twiddles }
    }

    /// Transforms `re + i·im` in place, without scaling. Called with the two exchanged it is `n` times the inverse.
    pub(super) fn forward(&self, re: &mut [f32], im: &mut [f32]) {
        for (index, &other) in self.reversed.iter().enumerate() {
            if index < other {
                re.swap(index, other);
                im.swap(index, other);
            }
        }
        let mut half = 1;
        while half < self.n {
            let stride = self.n / (2 * half);
            for start in (0..self.n).step_by(2 * half) {
                for offset in 0..half {
                    let (cos, sin) = self.twiddles[offset * stride];
                    let (low, high) = (start + offset, start + offset + half);
                    let (r, i) = (re[high] * cos - im[high] * sin, re[high] * sin + im[high] * cos);
                    (re[high], im[high]) = (re[low] - r, im[low] - i);
                    re[low] += r;
                    im[low] += i;
                }
            }
            half *= 2;
        }
    }

    /// Transforms an `n` × `n` picture, row by row in memory. Exchanged parts give `n²` times the inverse.
    pub(super) fn forward_2d(&self, re: &mut [f32], im: &mut [f32]) {
        let rows = |re: &mut [f32], im: &mut [f32]| {
            for (re, im) in re.chunks_exact_mut(self.n).zip(im.chunks_exact_mut(self.n)) {
                self.forward(re, im);
            }
        };
        rows(re, im);
        transpose(re, self.n);
        transpose(im, self.n);
        rows(re, im);
        transpose(re, self.n);
        transpose(im, self.n);
    }
}

fn transpose(picture: &mut [f32], n: usize) {
    for y in 0..n {
        for x in 0..y {
            picture.swap(y * n + x, x * n + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sum_that_defines_it_and_comes_back() {
        let n = 16;
        let mut random = run_spec::seed::stream(1, "fft", &[]);
        let mut value = || random.below(2001) as f32 / 1000.0 - 1.0;
        let (re, im): (Vec<f32>, Vec<f32>) = (0..n * n).map(|_| (value(), value())).unzip();
        let (mut seen_re, mut seen_im) = (re.clone(), im.clone());
        let fft = Fft::new(n);
        fft.forward_2d(&mut seen_re, &mut seen_im);
        for (v, u) in [(0, 0), (3, 5), (15, 1), (8, 8)] {
            let (mut sum_re, mut sum_im) = (0.0_f64, 0.0_f64);
            for (at, (&a, &b)) in re.iter().zip(&im).enumerate() {
                let angle = -std::f64::consts::TAU * ((at % n * u + at / n * v) % n) as f64 / n as f64;
                sum_re += f64::from(a) * angle.cos() - f64::from(b) * angle.sin();
                sum_im += f64::from(a) * angle.sin() + f64::from(b) * angle.cos();
            }
            let at = v * n + u;
            assert!((f64::from(seen_re[at]) - sum_re).abs() < 1e-4 && (f64::from(seen_im[at]) - sum_im).abs() < 1e-4);
        }
        fft.forward_2d(&mut seen_im, &mut seen_re);
        let most = seen_re.iter().zip(&re).map(|(back, was)| (back / (n * n) as f32 - was).abs()).fold(0.0, f32::max);
        assert!(most < 1e-5, "{most}");
    }
}
