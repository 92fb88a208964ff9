//! The pixel transforms by their Albumentations names (version 1.3.1), each in two halves.
//!
//! `draw` takes random numbers and gives parameters; `apply` takes parameters and pixels and gives pixels. The
//! constructor arguments of a transform are the fields of its type here, with Albumentations' names and defaults.

mod blurs;
mod colors;
mod distort;
mod downscale;
mod kernels;
mod light;
mod noises;
mod stain;
mod tones;
mod transform;
mod values;
mod weather;

use run_spec::layer::nearest;
use run_spec::seed::Stream;
use serde_json::{Map, Value};

use crate::error::AugmentError;
use crate::image::PixelBuffer;
use transform::Transform;

macro_rules! ops {
    ($($name:ident => $type:ty),+; $($more:ident => $more_type:ty),+ $(,)?) => {
        /// Every pixel transform of RedDino's augmentation, in the order of the published code.
        pub const ALL_33: [&str; 33] = [$(stringify!($name)),+];

        /// Transforms that a configuration may name besides [`ALL_33`]; an empty list of `ops` does not hold them.
        pub const FURTHER: &[&str] = &[$(stringify!($more)),+];

        transforms! { $($name => $type,)+ $($more => $more_type),+ }
    };
}

macro_rules! transforms {
    ($($name:ident => $type:ty),+) => {
        /// A pixel transform with its constructor arguments.
        #[allow(clippy::upper_case_acronyms, reason = "the names are those of Albumentations")]
        #[derive(Debug, Clone, PartialEq)]
        enum AnyTransform { $($name($type)),+ }

        /// AnyParams parameters of a transform.
        #[allow(clippy::upper_case_acronyms, reason = "the names are those of Albumentations")]
        #[derive(Debug, Clone)]
        enum AnyParams { $($name(<$type as Transform>::Params)),+ }

        impl AnyTransform {
            fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name)),+ }
            }

            fn parse(name: &str, arguments: Value) -> Option<Result<Self, String>> {
                match name {
                    $(stringify!($name) => Some(
                        serde_json::from_value::<$type>(arguments).map_err(|e| e.to_string())
                            .and_then(|op| op.check().map(|()| Self::$name(op)))
                    ),)+
                    _ => None,
                }
            }

            fn arguments(&self) -> serde_json::Result<Value> {
                match self { $(Self::$name(op) => serde_json::to_value(op)),+ }
            }

            fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> AnyParams {
                match self { $(Self::$name(op) => AnyParams::$name(op.draw(image, random))),+ }
            }

            fn params(&self, params: Map<String, Value>) -> Result<AnyParams, String> {
                match self {
                    $(Self::$name(_) => {
                        serde_json::from_value(Value::Object(params)).map(AnyParams::$name).map_err(|e| e.to_string())
                    }),+
                }
            }

            fn apply(&self, drawn: &AnyParams, image: PixelBuffer) -> PixelBuffer {
                match (self, drawn) {
                    $((Self::$name(op), AnyParams::$name(params)) => op.apply(params, image),)+
                    _ => unreachable!("parameters are only made by the transform that takes them"),
                }
            }
        }
    };
}

ops! {
    Blur => blurs::Blur,
    CLAHE => tones::Clahe,
    ChannelShuffle => colors::ChannelShuffle,
    ChannelDropout => colors::ChannelDropout,
    ColorJitter => colors::ColorJitter,
    Defocus => blurs::Defocus,
    Downscale => downscale::Downscale,
    Emboss => kernels::Emboss,
    Equalize => tones::Equalize,
    FancyPCA => colors::FancyPca,
    GaussNoise => noises::GaussNoise,
    GaussianBlur => blurs::GaussianBlur,
    GlassBlur => blurs::GlassBlur,
    HueSaturationValue => colors::HueSaturationValue,
    ISONoise => noises::IsoNoise,
    ImageCompression => noises::ImageCompression,
    InvertImg => tones::InvertImg,
    MedianBlur => blurs::MedianBlur,
    MotionBlur => kernels::MotionBlur,
    MultiplicativeNoise => noises::MultiplicativeNoise,
    Posterize => tones::Posterize,
    RandomBrightnessContrast => tones::RandomBrightnessContrast,
    RGBShift => colors::RgbShift,
    RandomGamma => tones::RandomGamma,
    RandomRain => weather::RandomRain,
    RandomShadow => light::RandomShadow,
    RandomSnow => weather::RandomSnow,
    RandomSunFlare => light::RandomSunFlare,
    RandomToneCurve => tones::RandomToneCurve,
    RandomFog => weather::RandomFog,
    RingingOvershoot => kernels::RingingOvershoot,
    Sharpen => kernels::Sharpen,
    Solarize => tones::Solarize;
    ElasticTransform => distort::ElasticTransform,
    GridDistortion => distort::GridDistortion,
    OpticalDistortion => distort::OpticalDistortion,
    HEDJitter => stain::HedJitter,
    MacenkoNormalize => stain::MacenkoNormalize,
    ReinhardNormalize => stain::ReinhardNormalize,
}

/// Names of all transforms: [`ALL_33`], then [`FURTHER`].
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL_33.iter().chain(FURTHER).copied()
}

/// A pixel transform with its constructor arguments, chosen by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Op(AnyTransform);

/// Parameters of one application of an [`Op`].
#[derive(Debug, Clone)]
pub struct Params(AnyParams);

impl Op {
    /// The transform `name` with its default arguments.
    ///
    /// # Errors
    /// [`AugmentError::UnknownOp`] for a name that is none of [`names`].
    pub fn named(name: &str) -> Result<Self, AugmentError> {
        Self::with_arguments(name, Value::Object(Map::new()))
    }

    /// The transform `name` with some of its constructor arguments set (`{"blur_limit": [3, 5]}`).
    ///
    /// # Errors
    /// [`AugmentError::UnknownOp`], naming the nearest; [`AugmentError::Arguments`] for one it does not have.
    pub fn with_arguments(name: &str, arguments: Value) -> Result<Self, AugmentError> {
        match AnyTransform::parse(name, arguments) {
            Some(Ok(kind)) => Ok(Self(kind)),
            Some(Err(reason)) => Err(AugmentError::Arguments { name: name.into(), reason }),
            None => Err(AugmentError::UnknownOp { name: name.into(), nearest: nearest(name, names()) }),
        }
    }

    /// An entry of `augmentation.ops`: a name, or `{Name: {argument: value}}`.
    ///
    /// # Errors
    /// As [`Op::with_arguments`], and [`AugmentError::Recipe`] for an entry of another form.
    pub fn from_config(entry: &Value) -> Result<Self, AugmentError> {
        match entry {
            Value::String(name) => Self::named(name),
            Value::Object(map) if map.len() == 1 => {
                let (name, arguments) = map.iter().next().expect("the guard counted one entry");
                let arguments = if arguments.is_null() { Value::Object(Map::new()) } else { arguments.clone() };
                Self::with_arguments(name, arguments)
            }
            other => Err(AugmentError::Recipe {
                reason: format!("`ops` holds {other}; write a transform's name or {{Name: {{argument: value}}}}"),
            }),
        }
    }

    /// The transform's name in Albumentations.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// The constructor arguments by name, all of them.
    pub fn arguments(&self) -> Map<String, Value> {
        match self.0.arguments() {
            Ok(Value::Object(arguments)) => arguments,
            other => unreachable!("arguments are numbers, words and lists of them, by name: {other:?}"),
        }
    }

    /// Draws parameters for one application to `image` (shape and, for `ISONoise`, its lightness decide how many).
    pub fn draw(&self, image: &PixelBuffer, random: &mut Stream) -> Params {
        Params(self.0.draw(image, random))
    }

    /// The parameters of one application from their values by name, arrays as (nested) lists of numbers.
    ///
    /// # Errors
    /// [`AugmentError::Case`] when one is missing or has another form.
    pub fn params(&self, params: Map<String, Value>) -> Result<Params, AugmentError> {
        self.0
            .params(params)
            .map(Params)
            .map_err(|reason| AugmentError::Case { reason: format!("parameters of {}: {reason}", self.name()) })
    }

    /// Applies drawn or recorded parameters. `params` must come from the same kind of transform.
    ///
    /// Every result has the shape of `image`. Recorded parameters that do not fit the image (an array of another
    /// size, a channel that does not exist) act where they fit.
    pub fn apply(&self, params: &Params, image: PixelBuffer) -> PixelBuffer {
        self.0.apply(&params.0, image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_transform_once() {
        let all: Vec<_> = names().collect();
        for (i, name) in all.iter().enumerate() {
            assert_eq!(Op::named(name).map(|op| op.name()).ok(), Some(*name));
            assert!(!all[..i].contains(name), "{name} is there twice");
        }
    }

    #[test]
    fn a_wrong_name_is_refused_with_the_nearest() {
        let error = Op::named("GausianBlur").unwrap_err();
        assert!(error.to_string().contains("GaussianBlur"), "{error}");
        let error = Op::named("clahe").unwrap_err();
        assert!(error.to_string().contains("CLAHE"), "{error}");
    }

    #[test]
    fn a_wrong_argument_is_refused() {
        let error = Op::with_arguments("Blur", serde_json::json!({"radius": 3})).unwrap_err();
        assert!(error.to_string().contains("blur_limit"), "{error}");
        assert!(Op::with_arguments("Blur", serde_json::json!({"blur_limit": [5, 3]})).is_err());
    }
}
