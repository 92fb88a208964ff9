//! The geometric stages and normalisation, as a case names them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::image::PixelBuffer;
use crate::pixels::geometry::{crop, flip_horizontal, flip_vertical, rotate_90};
use crate::pixels::interpolate::Interpolation;
use crate::pixels::{normalize, resize};

/// What replaying a case gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Pixels, in the channel order of the input.
    Image(PixelBuffer),
    /// `Normalize`: floats, in the channel order the model sees (`bgr`: reversed).
    Float {
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
        /// `[height, width, 3]` in row order.
        data: Vec<f32>,
    },
}

#[derive(Debug, Clone)]
pub(super) enum Stage {
    HorizontalFlip,
    VerticalFlip,
    Rotate90(usize),
    Resize { height: usize, width: usize, interpolation: Interpolation },
    Crop { window: CropWindow, to: (usize, usize), interpolation: Interpolation },
    Normalize { mean: [f32; 3], std: [f32; 3], max: f64 },
}

/// A window in pixels and its place as a share of the room left.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CropWindow {
    crop_height: usize,
    crop_width: usize,
    h_start: f64,
    w_start: f64,
}

#[derive(Deserialize)]
struct Size {
    height: Option<usize>,
    width: Option<usize>,
    interpolation: Option<i64>,
}

#[derive(Deserialize)]
struct Turn {
    factor: i64,
}

#[derive(Deserialize)]
struct Moments {
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    max_pixel_value: Option<f64>,
}

fn read<T: DeserializeOwned>(map: &Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(map.clone())).map_err(|e| e.to_string())
}

impl Stage {
    /// The stage called `name`; `None` if there is none.
    pub(super) fn read(
        name: &str,
        params: &Map<String, Value>,
        init: &Map<String, Value>,
    ) -> Option<Result<Self, String>> {
        let sized = |prefix: &str| {
            let side: Option<usize> = match name.strip_prefix(prefix)? {
                "" => None,
                digits => Some(digits.parse().ok()?),
            };
            Some(read::<Size>(init).and_then(|size| {
                let of = |given: Option<usize>| given.or(side).filter(|s| *s > 0).ok_or("no size is given");
                let number = size.interpolation.unwrap_or(1);
                let interpolation = Interpolation::numbered(number)
                    .filter(|_| number <= 2)
                    .ok_or_else(|| format!("interpolation {number} is not built; 0, 1 and 2 are"))?;
                Ok((of(size.height)?, of(size.width)?, interpolation))
            }))
        };
        Some(match name {
            "HorizontalFlip" => Ok(Self::HorizontalFlip),
            "VerticalFlip" => Ok(Self::VerticalFlip),
            "RandomRotate90" => read::<Turn>(params).map(|turn| Self::Rotate90(turn.factor.rem_euclid(4) as usize)),
            "Normalize" => read::<Moments>(init).map(|given| Self::Normalize {
                mean: given.mean.unwrap_or(normalize::MEAN),
                std: given.std.unwrap_or(normalize::STD),
                max: given.max_pixel_value.unwrap_or(255.0),
            }),
            _ => {
                if let Some(size) = sized("RandomResizedCrop") {
                    size.and_then(|(height, width, interpolation)| {
                        Ok(Self::Crop { window: read(params)?, to: (height, width), interpolation })
                    })
                } else {
                    sized("Resize")?.map(|(height, width, interpolation)| Self::Resize { height, width, interpolation })
                }
            }
        })
    }

    pub(super) fn apply(&self, image: PixelBuffer) -> Result<Output, String> {
        Ok(Output::Image(match self {
            Self::HorizontalFlip => flip_horizontal(image),
            Self::VerticalFlip => flip_vertical(image),
            Self::Rotate90(quarters) => rotate_90(image, *quarters),
            Self::Resize { height, width, interpolation } => scaled(&image, *height, *width, *interpolation),
            Self::Crop { window, to, interpolation } => {
                let (h, w) = (window.crop_height, window.crop_width);
                if h == 0 || w == 0 || h > image.height || w > image.width {
                    return Err(format!("a crop of {h}x{w} does not fit {}x{}", image.height, image.width));
                }
                let start = |room: usize, share: f64| (((room + 1) as f64 * share) as usize).min(room);
                let top = start(image.height - h, window.h_start);
                let left = start(image.width - w, window.w_start);
                scaled(&crop(&image, top, left, h, w), to.0, to.1, *interpolation)
            }
            Self::Normalize { mean, std, max } => {
                let levels = normalize::levels(*mean, *std, *max);
                let data = image.data.iter().enumerate().map(|(i, &v)| levels.of(i % 3, v)).collect();
                return Ok(Output::Float { height: image.height, width: image.width, data });
            }
        }))
    }
}

fn scaled(image: &PixelBuffer, height: usize, width: usize, interpolation: Interpolation) -> PixelBuffer {
    match interpolation {
        Interpolation::Cubic => resize::bicubic(image, height, width),
        Interpolation::Nearest => {
            let step = |from: usize, to: usize| 1.0 / (to as f64 / from as f64);
            resize::nearest(image, (height, step(image.height, height)), (width, step(image.width, width)))
        }
        _ => resize::bilinear(image, height, width),
    }
}
