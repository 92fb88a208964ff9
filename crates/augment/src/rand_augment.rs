//! RandAugment (Cubuk and others, 2019) as torchvision applies it to Pillow images: a few of fourteen operations at one
//! strength.

use run_spec::seed::Stream;
use serde::Deserialize;
use serde_json::Value;

use crate::error::AugmentError;
use crate::image::PixelBuffer;
use crate::pixels::{lut, pil_color, pil_ops};

/// The operations, in torchvision's order.
const OPERATIONS: [&str; 14] = [
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
];

/// How many, how strong; torchvision's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RandAugment {
    num_ops: usize,
    magnitude: usize,
    num_magnitude_bins: usize,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { num_ops: 2, magnitude: 9, num_magnitude_bins: 31 }
    }
}

impl RandAugment {
    /// From `augmentation.ops` of a `hema` pipeline: empty, or `{RandAugment: {…}}` alone.
    pub(crate) fn from_config(ops: &[Value]) -> Result<Self, AugmentError> {
        let wrong = |reason: String| AugmentError::Arguments { name: "RandAugment".into(), reason };
        let chosen: Self = match ops {
            [] => Self::default(),
            [Value::String(name)] if name == "RandAugment" => Self::default(),
            [Value::Object(map)] if map.len() == 1 && map.contains_key("RandAugment") => {
                serde_json::from_value(map["RandAugment"].clone()).map_err(|e| wrong(e.to_string()))?
            }
            _ => {
                return Err(AugmentError::Recipe {
                    reason: "pipeline hema takes no `ops` but {RandAugment: {num_ops, magnitude, num_magnitude_bins}}"
                        .into(),
                });
            }
        };
        if chosen.num_magnitude_bins < 2 || chosen.magnitude >= chosen.num_magnitude_bins {
            let (at, of) = (chosen.magnitude, chosen.num_magnitude_bins);
            return Err(wrong(format!("magnitude {at} is not one of {of} bins (at least 2), which count from 0")));
        }
        Ok(chosen)
    }

    /// Draws and applies the operations.
    pub(crate) fn apply(self, mut image: PixelBuffer, random: &mut Stream) -> PixelBuffer {
        for _ in 0..self.num_ops {
            let name = OPERATIONS[random.below(OPERATIONS.len() as u64) as usize];
            let magnitude = self.magnitude(name, (image.height, image.width));
            let signed = !matches!(name, "Identity" | "Posterize" | "Solarize" | "AutoContrast" | "Equalize");
            let negative = signed && random.chance(0.5);
            image = operate(name, if negative { -magnitude } else { magnitude }, image);
        }
        image
    }

    /// The strength of an operation on an image of `(height, width)`; kept in f32, as there.
    fn magnitude(self, name: &str, (height, width): (usize, usize)) -> f64 {
        let shift = |side: usize| (150.0 / 331.0 * side as f64) as f32;
        let (from, to) = match name {
            "ShearX" | "ShearY" => (0.0, 0.3),
            "TranslateX" => (0.0, shift(width)),
            "TranslateY" => (0.0, shift(height)),
            "Rotate" => (0.0, 30.0),
            "Brightness" | "Color" | "Contrast" | "Sharpness" => (0.0, 0.9),
            "Solarize" => (1.0, 0.0),
            "Posterize" => {
                let quarter = (self.num_magnitude_bins - 1) as f32 / 4.0;
                return f64::from((8.0 - self.magnitude as f32 / quarter).round_ties_even());
            }
            _ => return 0.0,
        };
        // As torch.linspace: from either end to the middle.
        let (bins, at) = (self.num_magnitude_bins, self.magnitude);
        let step: f32 = (to - from) / (bins - 1) as f32;
        f64::from(if at < bins / 2 { from + step * at as f32 } else { to - step * (bins - 1 - at) as f32 })
    }
}

/// One operation at a strength of torchvision's scale.
pub(crate) fn operate(name: &str, magnitude: f64, mut image: PixelBuffer) -> PixelBuffer {
    match name {
        "ShearX" => return pil_ops::affine(&image, [1.0, magnitude, 0.0, 0.0, 1.0, 0.0]),
        "ShearY" => return pil_ops::affine(&image, [1.0, 0.0, 0.0, magnitude, 1.0, 0.0]),
        "TranslateX" => return pil_ops::affine(&image, [1.0, 0.0, -magnitude.trunc(), 0.0, 1.0, 0.0]),
        "TranslateY" => return pil_ops::affine(&image, [1.0, 0.0, 0.0, 0.0, 1.0, -magnitude.trunc()]),
        "Rotate" => return pil_ops::affine(&image, pil_ops::rotation(&image, magnitude)),
        "Sharpness" => return pil_ops::sharpness(&image, 1.0 + magnitude),
        "Brightness" => pil_color::brightness(&mut image, 1.0 + magnitude),
        "Color" => pil_color::saturation(&mut image, 1.0 + magnitude),
        "Contrast" => pil_color::contrast(&mut image, 1.0 + magnitude),
        "Posterize" => {
            let mask = (0xff00u32 >> (magnitude as u32).min(8)) as u8;
            lut::apply(&mut image.data, &lut::table(|v| v as u8 & mask));
        }
        "Solarize" => {
            let threshold = 255.0 * magnitude;
            lut::apply(&mut image.data, &lut::table(|v| if (v as f64) < threshold { v as u8 } else { 255 - v as u8 }));
        }
        "AutoContrast" => pil_ops::autocontrast(&mut image),
        "Equalize" => (0..3).for_each(|c| pil_ops::equalize_channel(&mut image.data, c)),
        _ => {}
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::{Array, parse_npz};

    fn image(array: &Array) -> PixelBuffer {
        PixelBuffer::new(array.shape[0], array.shape[1], array.data.iter().map(|&v| v as u8).collect())
            .expect("three channels")
    }

    #[test]
    fn operations_are_those_of_pillow() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/augment/rand_augment.npz");
        let arrays = parse_npz(&std::fs::read(path).expect("the golden file is there")).expect("an archive");
        let input = image(&arrays["input"]);
        let mut seen = std::collections::BTreeSet::new();
        for (key, want) in arrays.iter().filter(|(key, _)| *key != "input") {
            let (name, magnitude) = key.split_once(' ').expect("name and magnitude");
            let got = operate(name, magnitude.parse().expect("a number"), input.clone());
            let want = image(want);
            let differing = got.data.iter().zip(&want.data).filter(|(a, b)| a != b).count();
            assert_eq!(differing, 0, "{key}: of {} values", want.data.len());
            seen.insert(name.to_owned());
        }
        let missing: Vec<_> = OPERATIONS[1..].iter().filter(|name| !seen.contains(**name)).collect();
        assert!(missing.is_empty(), "no array of {missing:?}");
    }

    #[test]
    fn strengths_are_those_of_the_published_scale() {
        let published = RandAugment::default();
        let near = |name: &str, want: f64| {
            let got = published.magnitude(name, (224, 98));
            assert!((got - want).abs() < 1e-5, "{name}: {got}, not {want}");
        };
        near("ShearX", 0.09);
        near("TranslateX", 0.3 * 98.0 * 150.0 / 331.0);
        near("TranslateY", 0.3 * 224.0 * 150.0 / 331.0);
        near("Rotate", 9.0);
        near("Color", 0.27);
        near("Posterize", 7.0);
        near("Solarize", 0.7);
    }

    #[test]
    fn arguments_that_cannot_be_are_refused() {
        let read = |ops: Value| RandAugment::from_config(ops.as_array().expect("a list")).map_err(|e| e.to_string());
        assert_eq!(read(serde_json::json!([])), Ok(RandAugment::default()));
        let three = read(serde_json::json!([{"RandAugment": {"num_ops": 3}}]));
        assert_eq!(three, Ok(RandAugment { num_ops: 3, ..RandAugment::default() }));
        assert!(read(serde_json::json!(["Blur"])).is_err_and(|e| e.contains("hema")));
        assert!(read(serde_json::json!([{"RandAugment": {"magnitude": 31}}])).is_err_and(|e| e.contains("31 bins")));
        assert!(read(serde_json::json!([{"RandAugment": {"strength": 3}}])).is_err_and(|e| e.contains("num_ops")));
    }
}
