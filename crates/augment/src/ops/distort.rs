//! Elastic, grid and optical distortion: pixels move, and are mixed where they land between others.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::transform::Transform;
use super::values::{check_range, flat};
use crate::image::PixelBuffer;
use crate::pixels::border::Border;
use crate::pixels::field::{Generators, fill_bits};
use crate::pixels::interpolate::Interpolation;
use crate::pixels::warp::{self, fetch, gaussian, rounded, shifted, smooth, through_lens, warp_affine};
use crate::pool::Buf;

/// OpenCV's number of bilinear interpolation.
const LINEAR: i64 = 1;
/// OpenCV's number of the border that mirrors without repeating the edge.
const REFLECT_101: i64 = 4;

/// How the three fetch pixels, under the reference's names; `mask_value` concerns masks, which there are none of here.
macro_rules! fetching {
    ($type:ty) => {
        impl $type {
            fn border(&self) -> Option<Border> {
                let value = match &self.value {
                    None => [0; 3],
                    // OpenCV takes one number for the first channel's.
                    Some(Value::Number(one)) => [one.as_u64().and_then(|v| u8::try_from(v).ok())?, 0, 0],
                    Some(each) => serde_json::from_value(each.clone()).ok()?,
                };
                Border::numbered(self.border_mode, value)
            }

            fn check_fetching(&self) -> Result<(), String> {
                if self.border().is_none() {
                    let (mode, value) = (self.border_mode, &self.value);
                    return Err(format!(
                        "border_mode {mode} with value {value:?}: modes are 0 to 4, a value is a level or three"
                    ));
                }
                match Interpolation::numbered(self.interpolation) {
                    Some(_) => Ok(()),
                    None => Err(format!("interpolation {}: numbers are 0 to 4", self.interpolation)),
                }
            }
        }
    };
}
fetching!(ElasticTransform);
fetching!(GridDistortion);
fetching!(OpticalDistortion);

/// A random affine map of three points, then smooth random shifts (Simard, Steinkraus and Platt, 2003).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ElasticTransform {
    alpha: f64,
    sigma: f64,
    alpha_affine: f64,
    interpolation: i64,
    border_mode: i64,
    value: Option<Value>,
    mask_value: Option<Value>,
    approximate: bool,
    same_dxdy: bool,
}

impl Default for ElasticTransform {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            sigma: 50.0,
            alpha_affine: 50.0,
            interpolation: LINEAR,
            border_mode: REFLECT_101,
            value: None,
            mask_value: None,
            approximate: false,
            same_dxdy: false,
        }
    }
}

/// Shifts of the three points in pixels (`x, y` each), and the two fields of 0..1 before smoothing (the second is empty
/// where one serves both directions).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Shifts {
    #[serde(deserialize_with = "flat")]
    points: Buf<f64>,
    #[serde(deserialize_with = "flat")]
    across: Buf<f64>,
    #[serde(deserialize_with = "flat", default = "no_field")]
    down: Buf<f64>,
}

fn no_field() -> Buf<f64> {
    Buf::with_capacity(0)
}

impl ElasticTransform {
    /// Shifts in pixels from a field of 0..1, cut or filled to the size of the image.
    fn shifts(&self, field: &[f64], (height, width): (usize, usize)) -> Buf<f64> {
        let count = height * width;
        let drawn = field.iter().map(|&v| v * 2.0 - 1.0).chain(std::iter::repeat(0.0)).take(count);
        let mut shifts = Buf::collect(count, drawn);
        let (radius, border) = if self.approximate {
            (8, Border::Reflect101)
        } else {
            ((4.0 * self.sigma + 0.5) as usize, Border::Reflect)
        };
        if self.sigma > 0.0 {
            smooth(&mut shifts, (height, width), &gaussian(radius, self.sigma), border);
        }
        shifts.iter_mut().for_each(|v| *v = f64::from((*v * self.alpha) as f32));
        shifts
    }
}

impl Transform for ElasticTransform {
    type Params = Shifts;

    fn check(&self) -> Result<(), String> {
        check_range("alpha", [self.alpha; 2], -1e4, 1e4)?;
        check_range("sigma", [self.sigma; 2], 0.0, 1e3)?;
        check_range("alpha_affine", [self.alpha_affine; 2], 0.0, 1e4)?;
        self.check_fetching()
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Shifts {
        let reach = self.alpha_affine;
        let points = Buf::collect(6, (0..6).map(|_| f64::from(random.uniform(-reach, reach) as f32)));
        let count = image.height * image.width;
        let mut generators = Generators::new(random);
        let mut field = |count: usize| {
            let mut words = Buf::<u32>::zeroed(count);
            fill_bits(&mut generators, &mut words);
            Buf::collect(count, words.iter().map(|&word| f64::from(word) / 4_294_967_296.0))
        };
        Shifts { points, across: field(count), down: field(if self.same_dxdy { 0 } else { count }) }
    }

    fn apply(&self, params: &Shifts, image: PixelBuffer) -> PixelBuffer {
        let Some((border, interpolation)) = self.border().zip(Interpolation::numbered(self.interpolation)) else {
            return image;
        };
        let image = match three_points((image.height, image.width), &params.points) {
            Some(matrix) => warp_affine(&image, matrix, border, interpolation),
            None => image,
        };
        let size = (image.height, image.width);
        let across = self.shifts(&params.across, size);
        let own = (!self.same_dxdy).then(|| self.shifts(&params.down, size));
        let down = own.as_ref().unwrap_or(&across);
        fetch(&image, border, interpolation, |y, xs, ys| {
            let row = y * size.1..(y + 1) * size.1;
            shifted(0.0, 1.0, &across[row.clone()], interpolation, xs);
            shifted(y as f64, 0.0, &down[row], interpolation, ys);
        })
    }
}

/// The affine map that moves three points around the middle by `shifts`; none for an image too small for three points.
///
/// The reference takes (rows, columns) of the middle for (x, y), which matters where the image is not square.
fn three_points((height, width): (usize, usize), shifts: &[f64]) -> Option<[[f64; 3]; 2]> {
    let side = (height.min(width) / 3) as f64;
    let (x, y) = ((height / 2) as f64, (width / 2) as f64);
    if side == 0.0 || shifts.len() != 6 {
        return None;
    }
    let from = [(x + side, y + side), (x + side, y - side), (x - side, y - side)];
    // Points are kept in f32.
    let to = |i: usize, axis: usize| {
        let base = if axis == 0 { from[i].0 } else { from[i].1 };
        f64::from(base as f32 + shifts[2 * i + axis] as f32)
    };
    Some([0, 1].map(|axis| {
        let by_y = (to(0, axis) - to(1, axis)) / (2.0 * side);
        let by_x = (to(1, axis) - to(2, axis)) / (2.0 * side);
        [by_x, by_y, to(1, axis) - by_x * from[1].0 - by_y * from[1].1]
    }))
}

/// Rows and columns stretched and squeezed in steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GridDistortion {
    num_steps: usize,
    distort_limit: [f64; 2],
    interpolation: i64,
    border_mode: i64,
    value: Option<Value>,
    mask_value: Option<Value>,
    normalized: bool,
}

impl Default for GridDistortion {
    fn default() -> Self {
        Self {
            num_steps: 5,
            distort_limit: [-0.3, 0.3],
            interpolation: LINEAR,
            border_mode: REFLECT_101,
            value: None,
            mask_value: None,
            normalized: false,
        }
    }
}

/// Widths of the steps relative to equal ones, one more than there are.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Steps {
    #[serde(deserialize_with = "flat")]
    stepsx: Buf<f64>,
    #[serde(deserialize_with = "flat")]
    stepsy: Buf<f64>,
}

impl GridDistortion {
    /// Widths that keep the image inside itself: the last one counts by what is left for it.
    fn normalize(&self, steps: &mut [f64], side: usize) {
        let step = side / self.num_steps;
        let Some(last) = steps.last_mut().filter(|_| step > 0) else { return };
        let rest = side.min((self.num_steps + 1) * step) - self.num_steps * step;
        *last *= rest as f64 / step as f64;
        let total: f64 = steps.iter().sum();
        let scale = side as f64 / step as f64 / total;
        steps.iter_mut().for_each(|s| *s *= scale);
    }

    /// Where each position of a side comes from.
    fn places(&self, side: usize, steps: &[f64]) -> Buf<f32> {
        let step = side / self.num_steps;
        let mut places = Buf::<f32>::zeroed(side);
        let mut before = 0.0;
        for (i, width) in steps.iter().take(self.num_steps + 1).enumerate() {
            let (start, mut end) = (i * step, (i + 1) * step);
            let mut after = before + step as f64 * width;
            if end > side {
                (end, after) = (side, side as f64);
            }
            let count = end - start;
            let each = (after - before) / count.saturating_sub(1) as f64;
            for (k, place) in places[start..end].iter_mut().enumerate() {
                *place = match k {
                    0 => before,
                    k if k + 1 == count => after,
                    k => k as f64 * each + before,
                } as f32;
            }
            before = after;
        }
        places
    }
}

impl Transform for GridDistortion {
    type Params = Steps;

    fn check(&self) -> Result<(), String> {
        check_range("num_steps", [1, self.num_steps], 1, 10_000)?;
        check_range("distort_limit", self.distort_limit, -1.0, 100.0)?;
        self.check_fetching()
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Steps {
        let [low, high] = self.distort_limit;
        let mut steps = |side: usize| {
            let count = self.num_steps + 1;
            let mut steps = Buf::collect(count, (0..count).map(|_| 1.0 + random.uniform(low, high)));
            if self.normalized {
                self.normalize(&mut steps, side);
            }
            steps
        };
        Steps { stepsx: steps(image.width), stepsy: steps(image.height) }
    }

    fn apply(&self, params: &Steps, image: PixelBuffer) -> PixelBuffer {
        let Some((border, interpolation)) = self.border().zip(Interpolation::numbered(self.interpolation)) else {
            return image;
        };
        let places = |side: usize, steps: &[f64]| rounded(&self.places(side, steps), interpolation);
        let (across, down) = (places(image.width, &params.stepsx), places(image.height, &params.stepsy));
        fetch(&image, border, interpolation, |y, xs, ys| {
            xs.copy_from_slice(&across);
            ys.fill(down[y]);
        })
    }
}

/// Barrel and pincushion distortion by a lens of `1 + k r² + k r⁴`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OpticalDistortion {
    distort_limit: [f64; 2],
    shift_limit: [f64; 2],
    interpolation: i64,
    border_mode: i64,
    value: Option<Value>,
    mask_value: Option<Value>,
}

impl Default for OpticalDistortion {
    fn default() -> Self {
        Self {
            distort_limit: [-0.05, 0.05],
            shift_limit: [-0.05, 0.05],
            interpolation: LINEAR,
            border_mode: REFLECT_101,
            value: None,
            mask_value: None,
        }
    }
}

/// Strength, and the middle's shift in whole pixels.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Lens {
    k: f64,
    dx: f64,
    dy: f64,
}

impl Transform for OpticalDistortion {
    type Params = Lens;

    fn check(&self) -> Result<(), String> {
        check_range("distort_limit", self.distort_limit, -100.0, 100.0)?;
        check_range("shift_limit", self.shift_limit, -1e4, 1e4)?;
        self.check_fetching()
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Lens {
        let k = random.uniform(self.distort_limit[0], self.distort_limit[1]);
        // Rounded to whole pixels, so that the default limits never shift.
        let mut shift = || random.uniform(self.shift_limit[0], self.shift_limit[1]).round_ties_even();
        Lens { k, dx: shift(), dy: shift() }
    }

    fn apply(&self, params: &Lens, image: PixelBuffer) -> PixelBuffer {
        let Some((border, interpolation)) = self.border().zip(Interpolation::numbered(self.interpolation)) else {
            return image;
        };
        let (width, height) = (image.width as f64, image.height as f64);
        let middle = |side: f64, shift: f64| f64::from((side * 0.5 + shift) as f32);
        let (cx, cy) = (middle(width, params.dx), middle(height, params.dy));
        let k = f64::from(params.k as f32);
        let lens = warp::Lens { k, size: [width, height], middle: [cx, cy], interpolation };
        // The rectified camera looks at the middle of the pixels, whatever the lens's own middle.
        let over = |at: usize, side: f64| (at as f64 - (side - 1.0) * 0.5) / side;
        let columns = Buf::collect(image.width, (0..image.width).map(|x| over(x, width)));
        fetch(&image, border, interpolation, |y, xs, ys| through_lens(lens, over(y, height), &columns, xs, ys))
    }
}
