//! Transforms that add noise, and JPEG.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Transform;
use super::values::{check_range, flat};
use crate::case::Arrays;
use crate::image::Image;
use crate::pixels::hls::{hls_to_rgb_pixel, rgb_to_hls_pixel};
use crate::pixels::jpeg;
use crate::pixels::lut;
use crate::pixels::round::{trunc_u8, trunc_u8_f32};

/// Independent normal noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GaussNoise {
    var_limit: [f64; 2],
    mean: f64,
    per_channel: bool,
}

impl Default for GaussNoise {
    fn default() -> Self {
        Self { var_limit: [10.0, 50.0], mean: 0.0, per_channel: true }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Field {
    /// `[height, width, 3]`, or `[height, width]` for all channels alike.
    #[serde(deserialize_with = "flat")]
    gauss: Vec<f64>,
}

impl Transform for GaussNoise {
    type Params = Field;

    fn check(&self) -> Result<(), String> {
        check_range("var_limit", self.var_limit, 0.0, 1e9)
    }

    fn draw(&self, image: &Image, random: &mut Stream) -> Field {
        let sigma = random.uniform(self.var_limit[0], self.var_limit[1]).sqrt();
        let count = image.height * image.width * if self.per_channel { 3 } else { 1 };
        Field { gauss: (0..count).map(|_| self.mean + sigma * random.normal()).collect() }
    }

    fn apply(&self, params: &Field, mut image: Image) -> Image {
        let each = if params.gauss.len() < image.data.len() { 3 } else { 1 };
        for (values, &noise) in image.data.chunks_mut(each).zip(&params.gauss) {
            values.iter_mut().for_each(|v| *v = trunc_u8(f64::from(*v) + noise));
        }
        image
    }
}

/// Shot noise of lightness and normal noise of hue, as of a camera at high sensitivity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IsoNoise {
    color_shift: [f64; 2],
    intensity: [f64; 2],
}

impl Default for IsoNoise {
    fn default() -> Self {
        Self { color_shift: [0.01, 0.05], intensity: [0.1, 0.5] }
    }
}

/// Noise fields `[height, width]`: lightness in levels, hue in degrees.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct IsoFields {
    #[serde(deserialize_with = "flat")]
    luminance_noise: Vec<f64>,
    #[serde(deserialize_with = "flat")]
    color_noise: Vec<f64>,
}

fn unit_hls(pixel: &[u8]) -> [f32; 3] {
    const UNIT: f32 = 1.0 / 255.0;
    rgb_to_hls_pixel([0, 1, 2].map(|c| f32::from(pixel[c]) * UNIT), 1.0)
}

impl Transform for IsoNoise {
    type Params = IsoFields;

    fn check(&self) -> Result<(), String> {
        check_range("color_shift", self.color_shift, 0.0, 1.0)?;
        check_range("intensity", self.intensity, 0.0, 1e3)
    }

    fn draw(&self, image: &Image, random: &mut Stream) -> IsoFields {
        let color_shift = random.uniform(self.color_shift[0], self.color_shift[1]);
        let intensity = random.uniform(self.intensity[0], self.intensity[1]);
        let n = (image.height * image.width) as f64;
        let (mut sum, mut squares) = (0.0, 0.0);
        for pixel in image.data.chunks_exact(3) {
            let l = f64::from(unit_hls(pixel)[1]);
            sum += l;
            squares += l * l;
        }
        let spread = (squares / n - (sum / n) * (sum / n)).max(0.0).sqrt();
        let shot = Poisson::new(spread * intensity * 255.0);
        let hue = color_shift * 360.0 * intensity;
        let count = image.height * image.width;
        IsoFields {
            luminance_noise: (0..count).map(|_| shot.draw(random)).collect(),
            color_noise: (0..count).map(|_| hue * random.normal()).collect(),
        }
    }

    fn apply(&self, params: &IsoFields, mut image: Image) -> Image {
        let noise = params.luminance_noise.iter().zip(&params.color_noise);
        for (pixel, (&shot, &turn)) in image.data.chunks_exact_mut(3).zip(noise) {
            let [h, l, s] = unit_hls(pixel);
            let mut h = (f64::from(h) + turn) as f32;
            if h < 0.0 {
                h += 360.0;
            }
            if h > 360.0 {
                h -= 360.0;
            }
            let l = (f64::from(l) + shot / 255.0 * f64::from(1.0 - l)) as f32;
            let rgb = hls_to_rgb_pixel([h, l, s], 6.0 / 360.0);
            pixel.copy_from_slice(&rgb.map(|v| trunc_u8_f32(v * 255.0)));
        }
        image
    }

    fn adopt(params: &mut Map<String, Value>, arrays: &Arrays) {
        for (name, field) in [("drawn_0_poisson", "luminance_noise"), ("drawn_1_normal", "color_noise")] {
            if let Some(array) = arrays.get(name) {
                params.insert(field.into(), array.data.clone().into());
            }
        }
    }
}

/// Many Poisson draws of one mean, by inverting the cumulative distribution: one uniform number each.
struct Poisson {
    cumulative: Vec<f64>,
    /// Number below which the table is not kept (its mass underflows for large means).
    first: u64,
}

impl Poisson {
    fn new(mean: f64) -> Self {
        let reach = 10.0 * mean.sqrt() + 20.0;
        let first = (mean - reach).max(0.0) as u64;
        let last = (mean + reach) as u64;
        // Relative to the mode, then scaled: no term underflows before it is negligible.
        let mut log = 0.0;
        let mut logs = Vec::new();
        for k in first..=last {
            if k > first {
                log += (mean / k as f64).max(f64::MIN_POSITIVE).ln();
            }
            logs.push(log);
        }
        let top = logs.iter().copied().fold(f64::MIN, f64::max);
        let total: f64 = logs.iter().map(|l| (l - top).exp()).sum();
        let mut sum = 0.0;
        let cumulative = logs
            .iter()
            .map(|l| {
                sum += (l - top).exp() / total;
                sum
            })
            .collect();
        Self { cumulative, first }
    }

    fn draw(&self, random: &mut Stream) -> f64 {
        let u = random.unit();
        let at = self.cumulative.partition_point(|&c| c <= u).min(self.cumulative.len() - 1);
        (self.first + at as u64) as f64
    }
}

/// JPEG at a drawn quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ImageCompression {
    quality_lower: i64,
    quality_upper: i64,
    compression_type: i64,
}

impl Default for ImageCompression {
    fn default() -> Self {
        Self { quality_lower: 99, quality_upper: 100, compression_type: 0 }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Quality {
    quality: i64,
}

impl Transform for ImageCompression {
    type Params = Quality;

    fn check(&self) -> Result<(), String> {
        check_range("quality_lower and quality_upper", [self.quality_lower, self.quality_upper], 0, 100)?;
        if self.compression_type == 0 { Ok(()) } else { Err("only compression_type 0 (JPEG) is built".into()) }
    }

    fn draw(&self, _: &Image, random: &mut Stream) -> Quality {
        Quality { quality: random.int(self.quality_lower, self.quality_upper) }
    }

    fn apply(&self, params: &Quality, image: Image) -> Image {
        jpeg::round_trip(&image, params.quality.clamp(1, 100) as u8)
    }
}

/// All levels times one number (or one for each channel or value).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MultiplicativeNoise {
    multiplier: [f64; 2],
    per_channel: bool,
    elementwise: bool,
}

impl Default for MultiplicativeNoise {
    fn default() -> Self {
        Self { multiplier: [0.9, 1.1], per_channel: false, elementwise: false }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Multipliers {
    #[serde(deserialize_with = "flat")]
    multiplier: Vec<f64>,
}

impl Transform for MultiplicativeNoise {
    type Params = Multipliers;

    fn check(&self) -> Result<(), String> {
        check_range("multiplier", self.multiplier, 0.0, 1e6)
    }

    fn draw(&self, image: &Image, random: &mut Stream) -> Multipliers {
        let channels = if self.per_channel { 3 } else { 1 };
        let count = channels * if self.elementwise { image.height * image.width } else { 1 };
        let draw = |_| random.uniform(self.multiplier[0], self.multiplier[1]);
        Multipliers { multiplier: (0..count).map(draw).collect() }
    }

    fn apply(&self, params: &Multipliers, mut image: Image) -> Image {
        match params.multiplier[..] {
            [] => {}
            // One factor meets the table in f32, several in f64.
            [m] => lut::apply(&mut image.data, &lut::table(|i| trunc_u8_f32(i as f32 * m as f32))),
            [r, g, b] if image.data.len() > 3 => {
                for (c, m) in [r, g, b].into_iter().enumerate() {
                    lut::apply_channel(&mut image.data, c, &lut::table(|i| trunc_u8_f32((i as f64 * m) as f32)));
                }
            }
            ref each => {
                let spread = if each.len() < image.data.len() { 3 } else { 1 };
                for (values, &m) in image.data.chunks_mut(spread).zip(each) {
                    values.iter_mut().for_each(|v| *v = trunc_u8(f64::from(*v) * m));
                }
            }
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_by_table_has_the_right_moments() {
        for mean in [0.0, 0.3, 4.0, 30.0, 2000.0] {
            let shot = Poisson::new(mean);
            let mut random = run_spec::seed::stream(5, "test", &[mean as u64]);
            let drawn: Vec<f64> = (0..40_000).map(|_| shot.draw(&mut random)).collect();
            let average = drawn.iter().sum::<f64>() / 40_000.0;
            let variance = drawn.iter().map(|d| (d - average).powi(2)).sum::<f64>() / 40_000.0;
            let tolerance = 4.0 * (mean / 40_000.0).sqrt();
            assert!((average - mean).abs() <= tolerance, "mean {average} for {mean}");
            assert!((variance - mean).abs() <= 0.05 * mean, "variance {variance} for {mean}");
        }
    }
}
