//! Transforms of levels alone: tables, histograms, tone curves.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::transform::Transform;
use super::values::check_range;
use crate::image::PixelBuffer;
use crate::pixels::contrast::{clahe_channel, equalize_channel};
use crate::pixels::lab::{lab_to_rgb, rgb_to_lab};
use crate::pixels::lut::{self, keep_and_fill};
use crate::pixels::pil_ops;
use crate::pixels::ycrcb::{rgb_to_ycrcb, ycrcb_to_rgb};
use crate::round::{trunc_u8, trunc_u8_f32};

/// The parameters of transforms that draw nothing.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Nothing {}

/// Contrast-limited adaptive equalisation of L in Lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Clahe {
    clip_limit: [f64; 2],
    tile_grid_size: [usize; 2],
}

impl Default for Clahe {
    fn default() -> Self {
        Self { clip_limit: [1.0, 4.0], tile_grid_size: [8, 8] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ClipLimit {
    clip_limit: f64,
}

impl Transform for Clahe {
    type Params = ClipLimit;

    fn check(&self) -> Result<(), String> {
        check_range("clip_limit", self.clip_limit, 0.0, f64::MAX)?;
        let [x, y] = self.tile_grid_size;
        check_range("tile_grid_size", [x.min(y), x.max(y)], 1, 64)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> ClipLimit {
        ClipLimit { clip_limit: random.uniform(self.clip_limit[0], self.clip_limit[1]) }
    }

    fn apply(&self, params: &ClipLimit, mut image: PixelBuffer) -> PixelBuffer {
        rgb_to_lab(&mut image.data);
        let size = (image.height, image.width);
        clahe_channel(&mut image.data, size, params.clip_limit, self.tile_grid_size.into());
        lab_to_rgb(&mut image.data);
        image
    }
}

/// Histogram equalisation of each channel, or of Y in YCrCb.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Equalize {
    mode: String,
    by_channels: bool,
    mask: Option<()>,
    mask_params: Vec<()>,
}

impl Default for Equalize {
    fn default() -> Self {
        Self { mode: "cv".into(), by_channels: true, mask: None, mask_params: Vec::new() }
    }
}

impl Transform for Equalize {
    type Params = Nothing;

    fn check(&self) -> Result<(), String> {
        match self.mode.as_str() {
            "cv" | "pil" => Ok(()),
            other => Err(format!("mode {other:?} is neither cv nor pil")),
        }
    }

    fn draw(&self, _: &PixelBuffer, _: &mut Stream) -> Nothing {
        Nothing {}
    }

    fn apply(&self, _: &Nothing, mut image: PixelBuffer) -> PixelBuffer {
        let equalize = if self.mode == "pil" { pil_ops::equalize_channel } else { equalize_channel };
        if self.by_channels {
            (0..3).for_each(|c| equalize(&mut image.data, c));
        } else {
            rgb_to_ycrcb(&mut image.data);
            equalize(&mut image.data, 0);
            ycrcb_to_rgb(&mut image.data);
        }
        image
    }
}

/// 255 less the level.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InvertImg {}

impl Transform for InvertImg {
    type Params = Nothing;

    fn draw(&self, _: &PixelBuffer, _: &mut Stream) -> Nothing {
        Nothing {}
    }

    fn apply(&self, _: &Nothing, mut image: PixelBuffer) -> PixelBuffer {
        image.data.iter_mut().for_each(|v| *v = 255 - *v);
        image
    }
}

/// The high bits of each level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Posterize {
    num_bits: [i64; 2],
}

impl Default for Posterize {
    fn default() -> Self {
        Self { num_bits: [4, 4] }
    }
}

/// One number for all channels or one for each.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum PerChannel {
    All(i64),
    Each([i64; 3]),
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Bits {
    num_bits: PerChannel,
}

impl Transform for Posterize {
    type Params = Bits;

    fn check(&self) -> Result<(), String> {
        check_range("num_bits", self.num_bits, 0, 8)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Bits {
        Bits { num_bits: PerChannel::All(random.int(self.num_bits[0], self.num_bits[1])) }
    }

    fn apply(&self, params: &Bits, mut image: PixelBuffer) -> PixelBuffer {
        let mask = |bits: i64| ((0xff00u32 >> bits.clamp(0, 8)) & 0xff) as u8;
        let masks = match params.num_bits {
            PerChannel::All(bits) => [mask(bits); 3],
            PerChannel::Each(bits) => bits.map(mask),
        };
        keep_and_fill(&mut image.data, masks, [0; 3]);
        image
    }
}

/// Linear change of contrast (`alpha`) and brightness (`beta`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RandomBrightnessContrast {
    brightness_limit: [f64; 2],
    contrast_limit: [f64; 2],
    brightness_by_max: bool,
}

impl Default for RandomBrightnessContrast {
    fn default() -> Self {
        Self { brightness_limit: [-0.2, 0.2], contrast_limit: [-0.2, 0.2], brightness_by_max: true }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Linear {
    alpha: f64,
    beta: f64,
}

impl Transform for RandomBrightnessContrast {
    type Params = Linear;

    fn check(&self) -> Result<(), String> {
        check_range("brightness_limit", self.brightness_limit, -1e6, 1e6)?;
        check_range("contrast_limit", self.contrast_limit, -1e6, 1e6)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Linear {
        Linear {
            alpha: 1.0 + random.uniform(self.contrast_limit[0], self.contrast_limit[1]),
            beta: random.uniform(self.brightness_limit[0], self.brightness_limit[1]),
        }
    }

    fn apply(&self, params: &Linear, mut image: PixelBuffer) -> PixelBuffer {
        let shift = if self.brightness_by_max {
            params.beta * 255.0
        } else {
            let sum: u64 = image.data.iter().map(|&v| u64::from(v)).sum();
            params.alpha * params.beta * (sum as f64 / image.data.len() as f64)
        };
        let table = lut::table(|i| trunc_u8_f32(i as f32 * params.alpha as f32 + shift as f32));
        lut::apply(&mut image.data, &table);
        image
    }
}

/// `255 (v / 255)^gamma`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RandomGamma {
    gamma_limit: [f64; 2],
    eps: Option<f64>,
}

impl Default for RandomGamma {
    fn default() -> Self {
        Self { gamma_limit: [80.0, 120.0], eps: None }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gamma {
    gamma: f64,
}

impl Transform for RandomGamma {
    type Params = Gamma;

    fn check(&self) -> Result<(), String> {
        check_range("gamma_limit", self.gamma_limit, 0.0, 1e6)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Gamma {
        Gamma { gamma: random.uniform(self.gamma_limit[0], self.gamma_limit[1]) / 100.0 }
    }

    fn apply(&self, params: &Gamma, mut image: PixelBuffer) -> PixelBuffer {
        let table = lut::table(|i| trunc_u8((i as f64 * (1.0 / 255.0)).powf(params.gamma) * 255.0));
        lut::apply(&mut image.data, &table);
        image
    }
}

/// A Bézier tone curve whose two inner points move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RandomToneCurve {
    scale: f64,
}

impl Default for RandomToneCurve {
    fn default() -> Self {
        Self { scale: 0.1 }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Curve {
    low_y: f64,
    high_y: f64,
}

impl Transform for RandomToneCurve {
    type Params = Curve;

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Curve {
        let mut near = |middle: f64| (middle + self.scale * random.normal()).clamp(0.0, 1.0);
        Curve { low_y: near(0.25), high_y: near(0.75) }
    }

    fn apply(&self, params: &Curve, mut image: PixelBuffer) -> PixelBuffer {
        let table = lut::table(|i| {
            let t = if i == 255 { 1.0 } else { i as f64 * (1.0 / 255.0) };
            let back = 1.0 - t;
            let y = 3.0 * (back * back) * t * params.low_y + 3.0 * back * (t * t) * params.high_y + t * t * t;
            (y * 255.0).round_ties_even().clamp(0.0, 255.0) as u8
        });
        lut::apply(&mut image.data, &table);
        image
    }
}

/// Levels from `threshold` up, inverted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Solarize {
    threshold: [f64; 2],
}

impl Default for Solarize {
    fn default() -> Self {
        Self { threshold: [128.0, 128.0] }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Threshold {
    threshold: f64,
}

impl Transform for Solarize {
    type Params = Threshold;

    fn check(&self) -> Result<(), String> {
        check_range("threshold", self.threshold, -1e6, 1e6)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Threshold {
        Threshold { threshold: random.uniform(self.threshold[0], self.threshold[1]) }
    }

    fn apply(&self, params: &Threshold, mut image: PixelBuffer) -> PixelBuffer {
        let table = lut::table(|i| if (i as f64) < params.threshold { i as u8 } else { 255 - i as u8 });
        lut::apply(&mut image.data, &table);
        image
    }
}
