//! Transforms that lose sharpness: box, Gaussian, median, glass, defocus.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::transform::Transform;
use super::values::{check_odd, check_range, every_second, whole};
use crate::image::PixelBuffer;
use crate::pixels::blur::{box_blur, gaussian_blur, gaussian_kernel, gaussian_side};
use crate::pixels::disc;
use crate::pixels::field::integers;
use crate::pixels::filter::{Kernel, filter2d};
use crate::pixels::median::median_blur;
use crate::pool::Buf;

/// The side of a square window in pixels.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Side {
    ksize: usize,
}

/// The mean over a square window (`cv2.blur`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Blur {
    blur_limit: [i64; 2],
}

impl Default for Blur {
    fn default() -> Self {
        Self { blur_limit: [3, 7] }
    }
}

impl Transform for Blur {
    type Params = Side;

    fn check(&self) -> Result<(), String> {
        check_range("blur_limit", self.blur_limit, 1, 255)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Side {
        Side { ksize: every_second(self.blur_limit, random) as usize }
    }

    fn apply(&self, params: &Side, image: PixelBuffer) -> PixelBuffer {
        box_blur(&image, params.ksize)
    }
}

/// Median of a square window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MedianBlur {
    blur_limit: [i64; 2],
}

impl Default for MedianBlur {
    fn default() -> Self {
        Self { blur_limit: [3, 7] }
    }
}

impl Transform for MedianBlur {
    type Params = Side;

    fn check(&self) -> Result<(), String> {
        check_odd("blur_limit", self.blur_limit, 15)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Side {
        Side { ksize: every_second(self.blur_limit, random) as usize }
    }

    fn apply(&self, params: &Side, image: PixelBuffer) -> PixelBuffer {
        median_blur(&image, params.ksize.min(15) | 1)
    }
}

/// Gaussian; an even side drawn is raised by one, so large windows are likelier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GaussianBlur {
    blur_limit: [i64; 2],
    sigma_limit: [f64; 2],
}

impl Default for GaussianBlur {
    fn default() -> Self {
        Self { blur_limit: [3, 7], sigma_limit: [0.0, 0.0] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gauss {
    ksize: usize,
    #[serde(default)]
    sigma: f64,
}

impl Transform for GaussianBlur {
    type Params = Gauss;

    fn check(&self) -> Result<(), String> {
        check_odd("blur_limit", self.blur_limit, 255)?;
        check_range("sigma_limit", self.sigma_limit, 0.0, 40.0)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Gauss {
        let [lo, hi] = self.blur_limit;
        let side = random.int(lo, hi);
        let sigma = random.uniform(self.sigma_limit[0], self.sigma_limit[1]);
        Gauss { ksize: if side % 2 == 1 { side } else { side + 1 } as usize, sigma }
    }

    fn apply(&self, params: &Gauss, image: PixelBuffer) -> PixelBuffer {
        let side = if params.ksize == 0 { gaussian_side(params.sigma) } else { params.ksize | 1 };
        gaussian_blur(&image, side, params.sigma)
    }
}

/// Pixels swapped with near ones between two Gaussian blurs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GlassBlur {
    sigma: f64,
    max_delta: usize,
    iterations: usize,
    mode: SwapMode,
}

impl Default for GlassBlur {
    fn default() -> Self {
        Self { sigma: 0.7, max_delta: 4, iterations: 2, mode: SwapMode::Fast }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Displacements {
    /// `[pixels, iterations, 2]`: rows, then columns.
    #[serde(deserialize_with = "whole")]
    dxy: Buf<i32>,
}

impl Transform for GlassBlur {
    type Params = Displacements;

    fn check(&self) -> Result<(), String> {
        check_range("sigma", [0.0, self.sigma], 0.0, 40.0)?;
        check_range("max_delta", [1, self.max_delta], 1, 1000)?;
        check_range("iterations", [1, self.iterations], 1, 1000)
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Displacements {
        let inner = |side: usize| side.saturating_sub(2 * self.max_delta);
        let count = inner(image.height) * inner(image.width) * self.iterations * 2;
        let delta = self.max_delta as i32;
        Displacements { dxy: integers(random, count, -delta, 2 * delta as u32) }
    }

    fn apply(&self, params: &Displacements, image: PixelBuffer) -> PixelBuffer {
        let side = gaussian_side(self.sigma);
        let mut image = gaussian_blur(&image, side, self.sigma);
        let (height, width, delta) = (image.height, image.width, self.max_delta);
        // In the fast mode rows change fastest, from the far end down to just above `max_delta`; so pixels lie column by
        // column here.
        let mut pixels = Buf::<u32>::any(height * width);
        for (y, row) in image.data.chunks_exact(width * 3).enumerate() {
            for (p, out) in row.as_chunks::<3>().0.iter().zip(pixels[y..].iter_mut().step_by(height)) {
                *out = u32::from_le_bytes([p[0], p[1], p[2], 0]);
            }
        }
        // From the far ends down to just above `max_delta`.
        let inner = |side: usize| (delta + 1..=side.saturating_sub(delta)).rev();
        let mut places = Buf::<i32>::with_capacity(height * width);
        match self.mode {
            SwapMode::Fast => inner(width).for_each(|x| places.extend(inner(height).map(|y| (x * height + y) as i32))),
            SwapMode::Exact => inner(height).for_each(|y| places.extend(inner(width).map(|x| (x * height + y) as i32))),
        }
        let last = pixels.len() as i32 - 1;
        let mut swaps = Buf::<(u32, u32)>::any(places.len());
        for iteration in 0..self.iterations {
            let shifts = params.dxy.chunks_exact(2 * self.iterations);
            let mut count = 0;
            for ((swap, &here), shift) in swaps.iter_mut().zip(places.iter()).zip(shifts) {
                let (down, across) = (shift[2 * iteration], shift[2 * iteration + 1]);
                let there = here.wrapping_add(across.wrapping_mul(height as i32)).wrapping_add(down);
                *swap = (here.clamp(0, last) as u32, there.clamp(0, last) as u32);
                count += 1;
            }
            self.mode.swap(&mut pixels, &swaps[..count]);
        }
        for (y, row) in image.data.chunks_exact_mut(width * 3).enumerate() {
            for (p, from) in row.as_chunks_mut::<3>().0.iter_mut().zip(pixels[y..].iter().step_by(height)) {
                p.copy_from_slice(&from.to_le_bytes()[..3]);
            }
        }
        gaussian_blur(&image, side, self.sigma)
    }
}

/// How pixels of `GlassBlur` change places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SwapMode {
    /// All at once, as NumPy assigns arrays.
    Fast,
    /// One after the other.
    Exact,
}

impl SwapMode {
    fn swap(self, pixels: &mut Buf<u32>, swaps: &[(u32, u32)]) {
        match self {
            // All reads first, then two rounds of writes, the last one wins.
            Self::Fast => {
                let before = pixels.clone();
                for &(here, there) in swaps {
                    pixels[here as usize] = before[there as usize];
                }
                for &(here, there) in swaps {
                    pixels[there as usize] = before[here as usize];
                }
            }
            // The reference assigns views of one array: the second assignment reads what the first has written, so
            // that a pixel is copied, not swapped.
            Self::Exact => swaps.iter().for_each(|&(here, there)| pixels[here as usize] = pixels[there as usize]),
        }
    }
}

/// A disc slightly smoothed at its rim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Defocus {
    radius: [i64; 2],
    alias_blur: [f64; 2],
}

impl Default for Defocus {
    fn default() -> Self {
        Self { radius: [3, 10], alias_blur: [0.1, 0.5] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Disc {
    radius: i64,
    alias_blur: f64,
}

impl Transform for Defocus {
    type Params = Disc;

    fn check(&self) -> Result<(), String> {
        check_range("radius", self.radius, 1, 100)?;
        check_range("alias_blur", self.alias_blur, 0.0, 40.0)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Disc {
        let radius = random.int(self.radius[0], self.radius[1]);
        Disc { radius, alias_blur: random.uniform(self.alias_blur[0], self.alias_blur[1]) }
    }

    fn apply(&self, params: &Disc, image: PixelBuffer) -> PixelBuffer {
        let radius = params.radius.clamp(0, 1000);
        match gaussian_kernel(3, params.alias_blur)[..] {
            [a, b, c] if radius as usize <= disc::LARGEST => disc::blur_disc(&image, radius as usize, [a, b, c]),
            _ => filter2d(&image, &disc_kernel(radius, params.alias_blur)),
        }
    }
}

/// The disc on a grid of half side `max(8, radius)`, smoothed by a 3 x 3 or 5 x 5 Gaussian of width `sigma`.
fn disc_kernel(radius: i64, sigma: f64) -> Kernel {
    let half = radius.max(8);
    let side = (2 * half + 1) as usize;
    let inside = |y: i64, x: i64| x * x + y * y <= radius * radius;
    let grid = || (-half..=half).flat_map(|y| (-half..=half).map(move |x| (y, x)));
    let total = grid().filter(|&(y, x)| inside(y, x)).count() as f32;
    let flat = Buf::collect(side * side, grid().map(|(y, x)| if inside(y, x) { 1.0 / total } else { 0.0 }));
    let taps = gaussian_kernel(if radius <= 8 { 3 } else { 5 }, sigma);
    let reach = taps.len() as isize / 2;
    let at = |from: &[f32], y: isize, x: isize| {
        let index = |i: isize| crate::pixels::border::reflect_101(i, side);
        from[index(y) * side + index(x)]
    };
    let smooth = |from: &[f32], down: bool| -> Buf<f32> {
        let mut to = Buf::with_capacity(from.len());
        for y in 0..side as isize {
            for x in 0..side as isize {
                let tap = |(k, &w): (usize, &f64)| {
                    let shift = k as isize - reach;
                    w as f32 * if down { at(from, y + shift, x) } else { at(from, y, x + shift) }
                };
                to.push(taps.iter().enumerate().map(tap).sum());
            }
        }
        to
    };
    Kernel::square(side, smooth(&smooth(&flat, false), true))
}
