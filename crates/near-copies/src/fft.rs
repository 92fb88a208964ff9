//! Fourier transforms of rings and of square pictures, by rustfft without vector units: a score is the same on every machine.

use std::sync::Arc;

use rustfft::FftPlanner;
use rustfft::num_complex::Complex32;

/// A transform of one length and its inverse.
pub(crate) struct Fft {
    n: usize,
    forward: Arc<dyn rustfft::Fft<f32>>,
    inverse: Arc<dyn rustfft::Fft<f32>>,
}

impl Fft {
    /// Plans transforms of length `n`.
    pub(crate) fn new(n: usize) -> Self {
        let mut planner = FftPlanner::new();
        Self { n, forward: planner.plan_fft_forward(n), inverse: planner.plan_fft_inverse(n) }
    }

    /// Transforms each run of `n` values in place, without scaling.
    pub(crate) fn forward(&self, values: &mut [Complex32]) {
        self.forward.process(values);
    }

    /// `n` times the inverse of [`Fft::forward`].
    pub(crate) fn inverse(&self, values: &mut [Complex32]) {
        self.inverse.process(values);
    }

    /// Transforms an `n` × `n` picture, row by row in memory, and leaves it transposed, without scaling.
    pub(crate) fn forward_2d(&self, picture: &mut [Complex32]) {
        self.forward.process(picture);
        self.transpose(picture);
        self.forward.process(picture);
    }

    /// `n²` times the inverse of [`Fft::forward_2d`].
    pub(crate) fn inverse_2d(&self, picture: &mut [Complex32]) {
        self.inverse.process(picture);
        self.transpose(picture);
        self.inverse.process(picture);
    }

    fn transpose(&self, picture: &mut [Complex32]) {
        for y in 0..self.n {
            for x in 0..y {
                picture.swap(y * self.n + x, x * self.n + y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_comes_back_and_its_spectrum_lies_transposed() {
        let n = 16;
        let wave = |at: usize| Complex32::new((std::f32::consts::TAU * 3.0 * (at % n) as f32 / n as f32).cos(), 0.0);
        let picture: Vec<Complex32> = (0..n * n).map(wave).collect();
        let mut seen = picture.clone();
        let fft = Fft::new(n);
        fft.forward_2d(&mut seen);
        for (at, value) in seen.iter().enumerate() {
            // Three periods along a row: the spectrum is at column frequency 3 and 13, row frequency 0.
            let expected = if at == 3 * n || at == 13 * n { (n * n) as f32 / 2.0 } else { 0.0 };
            assert!((value.norm() - expected).abs() < 1e-3, "{at}: {value}");
        }
        fft.inverse_2d(&mut seen);
        for (before, after) in picture.iter().zip(&seen) {
            assert!((before * (n * n) as f32 - after).norm() < 1e-3);
        }
    }
}
