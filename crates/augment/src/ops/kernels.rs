//! Transforms that correlate with a drawn kernel: emboss, sharpen, motion blur, ringing.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::transform::Transform;
use super::values::{check_odd, check_range, every_second, kernel};
use crate::image::PixelBuffer;
use crate::pixels::draw::line;
use crate::pixels::filter::{Kernel, filter2d};
use crate::pool::Buf;

/// `(1 - alpha) * identity + alpha * effect` on 3 x 3, in f32.
fn mixed(alpha: f64, effect: [f64; 9]) -> Kernel {
    let weights = effect.iter().enumerate().map(|(i, &e)| {
        let identity = if i == 4 { 1.0f32 } else { 0.0 };
        (1.0 - alpha) as f32 * identity + alpha as f32 * e as f32
    });
    Kernel::square(3, Buf::collect(9, weights))
}

/// Relief along the diagonal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Emboss {
    alpha: [f64; 2],
    strength: [f64; 2],
}

impl Default for Emboss {
    fn default() -> Self {
        Self { alpha: [0.2, 0.5], strength: [0.2, 0.7] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct EmbossMatrix {
    #[serde(deserialize_with = "kernel")]
    emboss_matrix: Kernel,
}

impl Transform for Emboss {
    type Params = EmbossMatrix;

    fn check(&self) -> Result<(), String> {
        check_range("alpha", self.alpha, 0.0, 1.0)?;
        check_range("strength", self.strength, 0.0, f64::MAX)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> EmbossMatrix {
        let alpha = random.uniform(self.alpha[0], self.alpha[1]);
        let s = random.uniform(self.strength[0], self.strength[1]);
        let effect = [-1.0 - s, -s, 0.0, -s, 1.0, s, 0.0, s, 1.0 + s];
        EmbossMatrix { emboss_matrix: mixed(alpha, effect) }
    }

    fn apply(&self, params: &EmbossMatrix, image: PixelBuffer) -> PixelBuffer {
        filter2d(&image, &params.emboss_matrix)
    }
}

/// Sharpening by a Laplacian kernel, blended with the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sharpen {
    alpha: [f64; 2],
    lightness: [f64; 2],
}

impl Default for Sharpen {
    fn default() -> Self {
        Self { alpha: [0.2, 0.5], lightness: [0.5, 1.0] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct SharpenMatrix {
    #[serde(deserialize_with = "kernel")]
    sharpening_matrix: Kernel,
}

impl Transform for Sharpen {
    type Params = SharpenMatrix;

    fn check(&self) -> Result<(), String> {
        check_range("alpha", self.alpha, 0.0, 1.0)?;
        check_range("lightness", self.lightness, 0.0, f64::MAX)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> SharpenMatrix {
        let alpha = random.uniform(self.alpha[0], self.alpha[1]);
        let mut effect = [-1.0; 9];
        effect[4] = 8.0 + random.uniform(self.lightness[0], self.lightness[1]);
        SharpenMatrix { sharpening_matrix: mixed(alpha, effect) }
    }

    fn apply(&self, params: &SharpenMatrix, image: PixelBuffer) -> PixelBuffer {
        filter2d(&image, &params.sharpening_matrix)
    }
}

/// A correlation kernel as it was drawn.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DrawnKernel {
    #[serde(deserialize_with = "kernel")]
    kernel: Kernel,
}

/// Mean along a random line of the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MotionBlur {
    blur_limit: [i64; 2],
    allow_shifted: bool,
}

impl Default for MotionBlur {
    fn default() -> Self {
        Self { blur_limit: [3, 7], allow_shifted: true }
    }
}

impl Transform for MotionBlur {
    type Params = DrawnKernel;

    fn check(&self) -> Result<(), String> {
        check_odd("blur_limit", self.blur_limit, 255)?;
        check_range("blur_limit", self.blur_limit, 3, 255)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> DrawnKernel {
        let side = every_second(self.blur_limit, random);
        let (x1, x2) = (random.int(0, side - 1), random.int(0, side - 1));
        let y1 = random.int(0, side - 1);
        let y2 = if x1 == x2 {
            // A point would be no motion: the rows differ.
            (y1 + random.int(1, side - 1)) % side
        } else {
            random.int(0, side - 1)
        };
        let ((x1, x2), (y1, y2)) =
            if self.allow_shifted { ((x1, x2), (y1, y2)) } else { (centred(x1, x2, side), centred(y1, y2, side)) };
        let mut weights = Buf::<f32>::zeroed((side * side) as usize);
        line((side, side), (x1, y1), (x2, y2), |x, y| weights[y * side as usize + x] = 1.0);
        let total: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        DrawnKernel { kernel: Kernel::square(side as usize, weights) }
    }

    fn apply(&self, params: &DrawnKernel, image: PixelBuffer) -> PixelBuffer {
        filter2d(&image, &params.kernel)
    }
}

/// Two ends of an odd number of positions, moved to the middle of `side`. If they cannot be centred exactly, the larger end moves.
fn centred(mut a: i64, mut b: i64, side: i64) -> (i64, i64) {
    if (a - b) % 2 != 0 {
        if b > a { b -= 1 } else { a -= 1 }
    }
    let shift = (a + b) / 2 - side / 2;
    (a - shift, b - shift)
}

/// A sharp circular low-pass, which rings at edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RingingOvershoot {
    blur_limit: [i64; 2],
    cutoff: [f64; 2],
}

impl Default for RingingOvershoot {
    fn default() -> Self {
        use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
        Self { blur_limit: [7, 15], cutoff: [FRAC_PI_4, FRAC_PI_2] }
    }
}

impl Transform for RingingOvershoot {
    type Params = DrawnKernel;

    fn check(&self) -> Result<(), String> {
        check_odd("blur_limit", self.blur_limit, 15)?;
        check_range("cutoff", self.cutoff, 0.0, std::f64::consts::PI)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> DrawnKernel {
        let side = every_second(self.blur_limit, random);
        let cutoff = random.uniform(self.cutoff[0], self.cutoff[1]);
        DrawnKernel { kernel: low_pass(side as usize, cutoff) }
    }

    fn apply(&self, params: &DrawnKernel, image: PixelBuffer) -> PixelBuffer {
        filter2d(&image, &params.kernel)
    }
}

/// `cutoff * J1(cutoff r) / (2 pi r)`, scaled to sum 1.
fn low_pass(side: usize, cutoff: f64) -> Kernel {
    use std::f64::consts::PI;
    let middle = (side as f64 - 1.0) / 2.0;
    let weight = |i| {
        let r = ((i / side) as f64 - middle).hypot((i % side) as f64 - middle);
        if r == 0.0 { cutoff * cutoff / (4.0 * PI) } else { cutoff * bessel_j1(cutoff * r) / (2.0 * PI * r) }
    };
    // The four quarters mirror each other.
    let mirrored = |i: usize| i.min(side - 1 - i);
    let mut exact = Buf::<f64>::with_capacity(side * side);
    for i in 0..side * side {
        let twin = mirrored(i / side) * side + mirrored(i % side);
        let value = if twin < i { exact[twin] } else { weight(i) };
        exact.push(value);
    }
    let total: f64 = exact.iter().sum();
    let scale = if total == 0.0 { 1.0 } else { total as f32 };
    Kernel::square(side, Buf::collect(side * side, exact.iter().map(|&w| w as f32 / scale)))
}

/// Bessel's J1 by its power series; exact to 1e-8 for the arguments below 32 that kernels need.
fn bessel_j1(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let mut term = x / 2.0;
    let mut sum = term;
    for k in 1..80 {
        term *= -quarter / (k as f64 * (k as f64 + 1.0));
        sum += term;
        if term.abs() < 1e-18 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_matches_tabulated_values() {
        // Abramowitz & Stegun, table 9.1.
        for (x, j1) in
            [(1.0, 0.440_050_585_7), (5.0, -0.327_579_137_6), (10.0, 0.043_472_746_2), (15.0, 0.205_104_038_6)]
        {
            assert!((bessel_j1(x) - j1).abs() < 1e-9, "J1({x}) = {}", bessel_j1(x));
        }
    }

    #[test]
    fn a_blur_that_may_not_shift_keeps_its_middle() {
        let (image, op) = (PixelBuffer::filled(4, 4, 0), MotionBlur { blur_limit: [3, 9], allow_shifted: false });
        for key in 0..200 {
            let kernel = op.draw(&image, &mut run_spec::seed::stream(1, "test", &[key])).kernel;
            let middle = kernel.width / 2;
            let pull = |of: &dyn Fn(usize) -> usize| -> f32 {
                let arms = kernel.weights.iter().enumerate();
                arms.map(|(i, w)| w * (of(i) as f32 - middle as f32)).sum()
            };
            let (down, across) = (pull(&|i| i / kernel.width), pull(&|i| i % kernel.width));
            // A line of steps cannot be more even than half a pixel.
            assert!(down.abs() <= 0.5 && across.abs() <= 0.5, "{down}, {across}: {kernel:?}");
        }
    }

    #[test]
    fn drawn_kernels_sum_to_one() {
        for key in 0..50 {
            let mut random = run_spec::seed::stream(1, "test", &[key]);
            let image = PixelBuffer::filled(4, 4, 0);
            let motion = MotionBlur::default().draw(&image, &mut random).kernel;
            let ringing = RingingOvershoot::default().draw(&image, &mut random).kernel;
            for kernel in [motion, ringing] {
                let sum: f32 = kernel.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-5, "sum {sum} of {kernel:?}");
            }
        }
    }
}
