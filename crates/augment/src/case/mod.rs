//! Replay of a recorded application of a transform: parameters from JSON and arrays, no randomness.
//!
//! A case is `params.json` (`transform`, `params`, `init`, …) with its arrays, as described in `docs/augment-ops.md`.
//! Besides [`ALL_33`](crate::ALL_33), cases may name the geometric stages: `Resize224`, `RandomResizedCrop224`,
//! `RandomResizedCrop98`, `HorizontalFlip`, `VerticalFlip`, `RandomRotate90`, `Normalize`.

mod drawn;
mod stage;

use run_spec::config::ChannelOrder;
use serde::Deserialize;
use serde_json::{Map, Value};

pub use crate::arrays::{Array, Arrays, parse_npy, parse_npz};
use crate::error::AugmentError;
use crate::image::PixelBuffer;
use crate::ops::{Op, Params};
pub use stage::Output;
use stage::Stage;

/// A transform with the parameters of one application.
#[derive(Debug, Clone)]
pub struct Case {
    name: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Op(Op, Params),
    Stage(Stage),
}

#[derive(Deserialize)]
struct Recorded {
    transform: String,
    #[serde(default)]
    params: Map<String, Value>,
    #[serde(default)]
    init: Map<String, Value>,
}

impl Case {
    /// Reads `params.json` and the arrays that stand beside it.
    ///
    /// # Errors
    /// [`AugmentError::Case`] for JSON of another form, a missing array or parameter; [`AugmentError::UnknownOp`] and
    /// [`AugmentError::Arguments`] for a transform or constructor argument that does not exist.
    pub fn from_params(params_json: &str, arrays: &Arrays) -> Result<Self, AugmentError> {
        let recorded: Recorded = serde_json::from_str(params_json)
            .map_err(|e| AugmentError::Case { reason: format!("params.json: {e}") })?;
        let mut params = Map::new();
        for (key, value) in recorded.params {
            params.insert(key, resolved(value, arrays)?);
        }
        Self::build(recorded.transform, params, recorded.init, arrays)
    }

    /// The short form `{"Blur": {"ksize": 5}}`: parameters by their recorded names, default constructor arguments.
    ///
    /// # Errors
    /// As [`Case::from_params`].
    pub fn from_short(op: &Value) -> Result<Self, AugmentError> {
        let wrong = || AugmentError::Case { reason: format!("{op} is not of the form {{Name: {{parameter: value}}}}") };
        let (name, params) = match op {
            Value::String(name) => (name.clone(), Map::new()),
            Value::Object(map) if map.len() == 1 => {
                let (name, params) = map.iter().next().ok_or_else(wrong)?;
                (name.clone(), params.as_object().ok_or_else(wrong)?.clone())
            }
            _ => return Err(wrong()),
        };
        Self::build(name, params, Map::new(), &Arrays::new())
    }

    fn build(
        name: String,
        params: Map<String, Value>,
        init: Map<String, Value>,
        arrays: &Arrays,
    ) -> Result<Self, AugmentError> {
        let what = match Stage::read(&name, &params, &init) {
            Some(stage) => What::Stage(
                stage.map_err(|reason| AugmentError::Case { reason: format!("parameters of {name}: {reason}") })?,
            ),
            None => {
                let op = Op::with_arguments(&name, Value::Object(init))?;
                let params = op.params(drawn::with_fields(&name, params, arrays))?;
                What::Op(op, params)
            }
        };
        Ok(Self { name, what })
    }

    /// The transform's name as the case gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Applies the case to an RGB image. With `bgr` the transform sees the channels reversed, as in the published
    /// training, and pixels come back as RGB.
    ///
    /// # Errors
    /// [`AugmentError::Case`] for a crop that does not fit the image.
    pub fn apply(&self, rgb: &PixelBuffer, order: ChannelOrder) -> Result<Output, AugmentError> {
        let reversed = order == ChannelOrder::Bgr;
        let seen = if reversed { rgb.clone().swap_red_blue() } else { rgb.clone() };
        let output = match &self.what {
            What::Op(op, params) => Output::Image(op.apply(params, seen)),
            What::Stage(stage) => {
                stage.apply(seen).map_err(|reason| AugmentError::Case { reason: format!("{}: {reason}", self.name) })?
            }
        };
        Ok(match output {
            Output::Image(image) if reversed => Output::Image(image.swap_red_blue()),
            other => other,
        })
    }
}

/// Applies a transform in its short form (`{"Blur": {"ksize": 5}}`) to `image` as it stands.
///
/// # Errors
/// As [`Case::from_short`] and [`Case::apply`].
pub fn apply_named(op: &Value, image: &PixelBuffer) -> Result<Output, AugmentError> {
    Case::from_short(op)?.apply(image, ChannelOrder::Rgb)
}

/// Puts arrays in the place of `{"array": …}` and `{"npz": NAME}`, also within lists.
fn resolved(value: Value, arrays: &Arrays) -> Result<Value, AugmentError> {
    match value {
        Value::Object(mut map) => {
            if let Some(array) = map.remove("array") {
                return Ok(array);
            }
            let Some(Value::String(name)) = map.get("npz") else { return Ok(Value::Object(map)) };
            let array = arrays.get(name).ok_or_else(|| AugmentError::Case {
                reason: format!("arrays.npz lacks {name:?}, which params.json names"),
            })?;
            Ok(array.data.clone().into())
        }
        Value::Array(items) => items.into_iter().map(|item| resolved(item, arrays)).collect(),
        other => Ok(other),
    }
}
