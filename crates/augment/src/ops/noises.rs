//! Transforms that add noise, and JPEG.

use run_spec::seed::Stream;
use serde::{Deserialize, Deserializer, Serialize};

use super::transform::Transform;
use super::values::{check_range, flat};
use crate::image::PixelBuffer;
use crate::pixels::field::{Noise, Poisson, add_noise, normals};
use crate::pixels::hls::{iso_noise, lightness_spread};
use crate::pixels::jpeg;
use crate::pixels::lut;
use crate::pool::Buf;
use crate::round::{trunc_u8, trunc_u8_f32};

/// Normal noise, drawn for each value by itself.
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

/// A field of noise, drawn or recorded.
#[derive(Debug, Clone)]
pub(super) enum Field {
    Drawn(Buf<f32>),
    Recorded(Buf<f64>),
}

impl Field {
    fn noise(&self) -> Noise<'_> {
        match self {
            Self::Drawn(values) => Noise::Drawn(values),
            Self::Recorded(values) => Noise::Recorded(values),
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        flat(deserializer).map(Self::Recorded)
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gauss {
    /// `[height, width, 3]`, or `[height, width]` for all channels alike.
    gauss: Field,
}

impl Transform for GaussNoise {
    type Params = Gauss;

    fn check(&self) -> Result<(), String> {
        check_range("var_limit", self.var_limit, 0.0, 1e9)?;
        check_range("mean", [self.mean, self.mean], -1e6, 1e6)
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Gauss {
        let sigma = random.uniform(self.var_limit[0], self.var_limit[1]).sqrt();
        let count = image.height * image.width * if self.per_channel { 3 } else { 1 };
        Gauss { gauss: Field::Drawn(normals(random, count, self.mean, sigma)) }
    }

    fn apply(&self, params: &Gauss, mut image: PixelBuffer) -> PixelBuffer {
        let noise = params.gauss.noise();
        let each = if noise.len() < image.data.len() { 3 } else { 1 };
        match noise {
            Noise::Drawn(noise) if each == 1 => add_noise(&mut image.data, noise),
            Noise::Drawn(noise) => {
                for (pixel, &n) in image.data.chunks_exact_mut(3).zip(noise) {
                    pixel.iter_mut().for_each(|v| *v = trunc_u8_f32(f32::from(*v) + n));
                }
            }
            Noise::Recorded(noise) => {
                for (values, &n) in image.data.chunks_mut(each).zip(noise) {
                    values.iter_mut().for_each(|v| *v = trunc_u8(f64::from(*v) + n));
                }
            }
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
    luminance_noise: Field,
    color_noise: Field,
}

impl Transform for IsoNoise {
    type Params = IsoFields;

    fn check(&self) -> Result<(), String> {
        check_range("color_shift", self.color_shift, 0.0, 1.0)?;
        check_range("intensity", self.intensity, 0.0, 1e2)
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> IsoFields {
        let color_shift = random.uniform(self.color_shift[0], self.color_shift[1]);
        let intensity = random.uniform(self.intensity[0], self.intensity[1]);
        let shots = Poisson::new(lightness_spread(&image.data) * intensity * 255.0);
        let count = image.height * image.width;
        IsoFields {
            luminance_noise: Field::Drawn(shots.draw(random, count)),
            color_noise: Field::Drawn(normals(random, count, 0.0, color_shift * 360.0 * intensity)),
        }
    }

    fn apply(&self, params: &IsoFields, mut image: PixelBuffer) -> PixelBuffer {
        iso_noise(&mut image.data, params.luminance_noise.noise(), params.color_noise.noise());
        image
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
        if self.compression_type == 0 {
            Ok(())
        } else {
            Err(format!("compression_type {}: only 0 (JPEG) is built, not WebP", self.compression_type))
        }
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Quality {
        Quality { quality: random.int(self.quality_lower, self.quality_upper) }
    }

    fn apply(&self, params: &Quality, image: PixelBuffer) -> PixelBuffer {
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
    multiplier: Buf<f64>,
}

impl Transform for MultiplicativeNoise {
    type Params = Multipliers;

    fn check(&self) -> Result<(), String> {
        check_range("multiplier", self.multiplier, 0.0, 1e6)
    }

    fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Multipliers {
        let channels = if self.per_channel { 3 } else { 1 };
        let count = channels * if self.elementwise { image.height * image.width } else { 1 };
        let draw = |_| random.uniform(self.multiplier[0], self.multiplier[1]);
        Multipliers { multiplier: Buf::collect(count, (0..count).map(draw)) }
    }

    fn apply(&self, params: &Multipliers, mut image: PixelBuffer) -> PixelBuffer {
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
