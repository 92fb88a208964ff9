//! Transforms that lose sharpness: box, Gaussian, median, glass, defocus, downscale.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::Transform;
use super::values::{check_odd, check_range, every_second, flat};
use crate::image::Image;
use crate::pixels::blur::{box_blur, gaussian_blur, gaussian_kernel, gaussian_side, median_blur};
use crate::pixels::filter::{Kernel, filter2d};
use crate::pixels::resize::nearest;

/// A window side.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Side {
    ksize: usize,
}

/// Box mean.
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

    fn draw(&self, _: &Image, random: &mut Stream) -> Side {
        Side { ksize: every_second(self.blur_limit, random) as usize }
    }

    fn apply(&self, params: &Side, image: Image) -> Image {
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

    fn draw(&self, _: &Image, random: &mut Stream) -> Side {
        Side { ksize: every_second(self.blur_limit, random) as usize }
    }

    fn apply(&self, params: &Side, image: Image) -> Image {
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

    fn draw(&self, _: &Image, random: &mut Stream) -> Gauss {
        let [lo, hi] = self.blur_limit;
        let side = random.int(lo, hi);
        let sigma = random.uniform(self.sigma_limit[0], self.sigma_limit[1]);
        Gauss { ksize: if side % 2 == 1 { side } else { side + 1 } as usize, sigma }
    }

    fn apply(&self, params: &Gauss, image: Image) -> Image {
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
    mode: String,
}

impl Default for GlassBlur {
    fn default() -> Self {
        Self { sigma: 0.7, max_delta: 4, iterations: 2, mode: "fast".into() }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Displacements {
    /// `[pixels, iterations, 2]`: rows, then columns.
    #[serde(deserialize_with = "flat")]
    dxy: Vec<f64>,
}

impl Transform for GlassBlur {
    type Params = Displacements;

    fn check(&self) -> Result<(), String> {
        check_range("sigma", [0.0, self.sigma], 0.0, 40.0)?;
        check_range("iterations", [1, self.iterations], 1, 1000)?;
        if self.mode == "fast" { Ok(()) } else { Err(format!("mode {:?} is not built, \"fast\" is", self.mode)) }
    }

    fn draw(&self, image: &Image, random: &mut Stream) -> Displacements {
        let inner = |side: usize| side.saturating_sub(2 * self.max_delta);
        let delta = self.max_delta as i64;
        let count = inner(image.height) * inner(image.width) * self.iterations * 2;
        let draw = |_| if delta == 0 { 0.0 } else { random.int(-delta, delta - 1) as f64 };
        Displacements { dxy: (0..count).map(draw).collect() }
    }

    fn apply(&self, params: &Displacements, image: Image) -> Image {
        let side = gaussian_side(self.sigma);
        let mut image = gaussian_blur(&image, side, self.sigma);
        let (height, width, delta) = (image.height, image.width, self.max_delta);
        // Rows change fastest, both from the far end down to just above `max_delta`.
        let places: Vec<(usize, usize)> = (delta + 1..=width.saturating_sub(delta))
            .rev()
            .flat_map(|x| (delta + 1..=height.saturating_sub(delta)).rev().map(move |y| (y, x)))
            .collect();
        for iteration in 0..self.iterations {
            let before = image.data.clone();
            let moves: Vec<(usize, usize)> = places
                .iter()
                .zip(params.dxy[..].chunks_exact(2).skip(iteration).step_by(self.iterations))
                .map(|(&(y, x), d)| {
                    let shifted = |at: usize, by: f64, side: usize| {
                        ((at as i64 + by as i64).clamp(0, side as i64 - 1) as usize, at.min(side - 1))
                    };
                    let (to_y, y) = shifted(y, d[0], height);
                    let (to_x, x) = shifted(x, d[1], width);
                    ((y * width + x) * 3, (to_y * width + to_x) * 3)
                })
                .collect();
            // As the reference's simultaneous assignment: all reads first, then two rounds of writes, the last one wins.
            for &(here, there) in &moves {
                image.data[here..here + 3].copy_from_slice(&before[there..there + 3]);
            }
            for &(here, there) in &moves {
                image.data[there..there + 3].copy_from_slice(&before[here..here + 3]);
            }
        }
        gaussian_blur(&image, side, self.sigma)
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

    fn draw(&self, _: &Image, random: &mut Stream) -> Disc {
        let radius = random.int(self.radius[0], self.radius[1]);
        Disc { radius, alias_blur: random.uniform(self.alias_blur[0], self.alias_blur[1]) }
    }

    fn apply(&self, params: &Disc, image: Image) -> Image {
        filter2d(&image, &disc_kernel(params.radius.clamp(0, 1000), params.alias_blur))
    }
}

/// The disc on a grid of half side `max(8, radius)`, smoothed by a 3 x 3 or 5 x 5 Gaussian of width `sigma`.
fn disc_kernel(radius: i64, sigma: f64) -> Kernel {
    let half = radius.max(8);
    let side = (2 * half + 1) as usize;
    let inside = |y: i64, x: i64| x * x + y * y <= radius * radius;
    let grid = || (-half..=half).flat_map(|y| (-half..=half).map(move |x| (y, x)));
    let total = grid().filter(|&(y, x)| inside(y, x)).count() as f32;
    let flat: Vec<f32> = grid().map(|(y, x)| if inside(y, x) { 1.0 / total } else { 0.0 }).collect();
    let taps: Vec<f32> = gaussian_kernel(if radius <= 8 { 3 } else { 5 }, sigma).iter().map(|&w| w as f32).collect();
    let reach = taps.len() as isize / 2;
    let at = |from: &[f32], y: isize, x: isize| {
        let index = |i: isize| crate::pixels::border::reflect_101(i, side);
        from[index(y) * side + index(x)]
    };
    let smooth = |from: &[f32], down: bool| -> Vec<f32> {
        let mut to = Vec::with_capacity(from.len());
        for y in 0..side as isize {
            for x in 0..side as isize {
                let tap = |(k, &w): (usize, &f32)| {
                    let shift = k as isize - reach;
                    w * if down { at(from, y + shift, x) } else { at(from, y, x + shift) }
                };
                to.push(taps.iter().enumerate().map(tap).sum());
            }
        }
        to
    };
    Kernel::square(side, smooth(&smooth(&flat, false), true))
}

/// Nearest-neighbour shrinking and growing back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Downscale {
    scale_min: f64,
    scale_max: f64,
}

impl Default for Downscale {
    fn default() -> Self {
        Self { scale_min: 0.25, scale_max: 0.25 }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Scale {
    scale: f64,
}

impl Transform for Downscale {
    type Params = Scale;

    fn check(&self) -> Result<(), String> {
        check_range("scale_min and scale_max", [self.scale_min, self.scale_max], 0.001, 0.999)
    }

    fn draw(&self, _: &Image, random: &mut Stream) -> Scale {
        Scale { scale: random.uniform(self.scale_min, self.scale_max) }
    }

    fn apply(&self, params: &Scale, image: Image) -> Image {
        let scale = params.scale.clamp(0.001, 1.0);
        let small = |side: usize| ((side as f64 * scale).round_ties_even() as usize).max(1);
        let (height, width) = (small(image.height), small(image.width));
        let shrunk = nearest(&image, (height, 1.0 / scale), (width, 1.0 / scale));
        let step = |from: usize, to: usize| 1.0 / (to as f64 / from as f64);
        nearest(&shrunk, (image.height, step(height, image.height)), (image.width, step(width, image.width)))
    }
}
