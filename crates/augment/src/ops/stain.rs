//! Stain: jitter of the amounts of dye, and two normalisations that make slides look alike.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::tones::Nothing;
use super::transform::Transform;
use super::values::check_range;
use crate::image::PixelBuffer;
use crate::pixels::stain::{Macenko, jitter_hed, macenko, reinhard};

/// More or less of each dye (Tellez and others, 2018).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HedJitter {
    scale_limit: [f64; 2],
    shift_limit: [f64; 2],
    cut_negative: bool,
}

impl Default for HedJitter {
    fn default() -> Self {
        Self { scale_limit: [-0.05, 0.05], shift_limit: [-0.01, 0.01], cut_negative: false }
    }
}

/// Factor and addend for haematoxylin, eosin and DAB.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Amounts {
    scale: [f64; 3],
    shift: [f64; 3],
}

impl Transform for HedJitter {
    type Params = Amounts;

    fn check(&self) -> Result<(), String> {
        check_range("scale_limit", self.scale_limit, -1.0, 100.0)?;
        check_range("shift_limit", self.shift_limit, -1.0, 1.0)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Amounts {
        let mut each = |[low, high]: [f64; 2]| std::array::from_fn(|_| random.uniform(low, high));
        Amounts { scale: each(self.scale_limit).map(|s: f64| 1.0 + s), shift: each(self.shift_limit) }
    }

    fn apply(&self, params: &Amounts, mut image: PixelBuffer) -> PixelBuffer {
        jitter_hed(&mut image, params.scale, params.shift, self.cut_negative);
        image
    }
}

/// Two dyes found and replaced by given ones (Macenko and others, 2009).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MacenkoNormalize {
    light: f64,
    alpha: f64,
    beta: f64,
    target_stains: [[f64; 3]; 2],
    target_max: [f64; 2],
}

impl Default for MacenkoNormalize {
    fn default() -> Self {
        // The target that the method's published implementations share.
        Self {
            light: 240.0,
            alpha: 1.0,
            beta: 0.15,
            target_stains: [[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]],
            target_max: [1.9705, 1.0308],
        }
    }
}

impl Transform for MacenkoNormalize {
    type Params = Nothing;

    fn check(&self) -> Result<(), String> {
        check_range("light", [self.light; 2], 1.0, 1e4)?;
        check_range("alpha", [self.alpha; 2], 0.0, 50.0)?;
        check_range("beta", [self.beta; 2], -10.0, 10.0)?;
        let [first, second] = self.target_max;
        check_range("target_max", [first.min(second), first.max(second)], 0.0, 1e3)
    }

    fn draw(&self, _: &PixelBuffer, _: &mut Stream) -> Nothing {
        Nothing {}
    }

    fn apply(&self, _: &Nothing, mut image: PixelBuffer) -> PixelBuffer {
        let (light, alpha, beta) = (self.light, self.alpha, self.beta);
        macenko(&mut image, &Macenko { light, alpha, beta, stains: self.target_stains, most: self.target_max });
        image
    }
}

/// Mean and spread of each axis of lαβ made those of a target (Reinhard and others, 2001).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReinhardNormalize {
    target_mean: [f64; 3],
    target_std: [f64; 3],
}

impl Default for ReinhardNormalize {
    fn default() -> Self {
        // A May-Grünwald-Giemsa smear: means over 160 images of Acevedo and others (2020, CC BY 4.0), 20 of each class.
        Self { target_mean: [3.945, 0.0159, 0.0106], target_std: [0.188, 0.0693, 0.0056] }
    }
}

impl Transform for ReinhardNormalize {
    type Params = Nothing;

    fn check(&self) -> Result<(), String> {
        let [a, b, c] = self.target_std;
        check_range("target_std", [a.min(b).min(c), a.max(b).max(c)], 0.0, 100.0)?;
        let [a, b, c] = self.target_mean;
        check_range("target_mean", [a.min(b).min(c), a.max(b).max(c)], -100.0, 100.0)
    }

    fn draw(&self, _: &PixelBuffer, _: &mut Stream) -> Nothing {
        Nothing {}
    }

    fn apply(&self, _: &Nothing, mut image: PixelBuffer) -> PixelBuffer {
        reinhard(&mut image, self.target_mean, self.target_std);
        image
    }
}
