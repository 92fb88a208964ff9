//! Resolution lost: an image made smaller and larger again.

use run_spec::seed::Stream;
use serde::{Deserialize, Serialize};

use super::transform::Transform;
use super::values::check_range;
use crate::image::PixelBuffer;
use crate::pixels::interpolate::Interpolation;
use crate::pixels::resize::nearest;
use crate::pixels::resize_float::{Floats, Side, resize};

/// Smaller and larger again, by default without interpolation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Downscale {
    scale_min: f64,
    scale_max: f64,
    interpolation: Option<Ways>,
}

impl Default for Downscale {
    fn default() -> Self {
        Self { scale_min: 0.25, scale_max: 0.25, interpolation: None }
    }
}

/// OpenCV's number of an interpolation, one for both directions or one for each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Ways {
    Both(i64),
    Each(EachWay),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EachWay {
    downscale: i64,
    upscale: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Scale {
    scale: f64,
}

impl Downscale {
    /// Interpolation of the way down and of the way back up.
    fn ways(&self) -> Result<[Interpolation; 2], String> {
        let numbers = match self.interpolation {
            None => [0, 0],
            Some(Ways::Both(number)) => [number; 2],
            Some(Ways::Each(each)) => [each.downscale, each.upscale],
        };
        let [down, up] = numbers.map(Interpolation::numbered);
        down.zip(up).map(|(down, up)| [down, up]).ok_or_else(|| {
            format!("interpolation {numbers:?}: 0 (nearest), 1 (linear), 2 (cubic), 3 (area) and 4 (Lanczos) are known")
        })
    }
}

impl Transform for Downscale {
    type Params = Scale;

    fn check(&self) -> Result<(), String> {
        check_range("scale_min and scale_max", [self.scale_min, self.scale_max], 0.001, 0.999)?;
        self.ways().map(drop)
    }

    fn draw(&self, _: &PixelBuffer, random: &mut Stream) -> Scale {
        Scale { scale: random.uniform(self.scale_min, self.scale_max) }
    }

    fn apply(&self, params: &Scale, image: PixelBuffer) -> PixelBuffer {
        let Ok([down, up]) = self.ways() else { return image };
        let scale = params.scale.clamp(0.001, 1.0);
        let small = |side: usize| ((side as f64 * scale).round_ties_even() as usize).max(1);
        let smaller = [image.height, image.width].map(|side| Side { len: small(side), scale: 1.0 / scale });
        let larger =
            [image.height, image.width].map(|side| Side { len: side, scale: 1.0 / (side as f64 / small(side) as f64) });
        let gather = |image: &PixelBuffer, [rows, columns]: [Side; 2]| {
            nearest(image, (rows.len, rows.scale), (columns.len, columns.scale))
        };
        if (down, up) == (Interpolation::Nearest, Interpolation::Nearest) {
            return gather(&gather(&image, smaller), larger);
        }
        // Between the two, levels are kept as floats; without interpolation they stay what they are.
        let shrunk = if down == Interpolation::Nearest {
            Floats::of(&gather(&image, smaller))
        } else {
            resize(&Floats::of(&image), smaller[0], smaller[1], down)
        };
        if up == Interpolation::Nearest {
            return gather(&shrunk.levels(), larger);
        }
        resize(&shrunk, larger[0], larger[1], up).levels()
    }
}
