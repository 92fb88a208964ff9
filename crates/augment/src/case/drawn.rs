//! Fields that the reference draws while it applies a transform: they stand in `arrays.npz` by the order of drawing, not
//! among the parameters.

use serde_json::{Map, Value};

use crate::arrays::Arrays;

/// Of each such transform: the recorded array, and the parameter that takes it.
const FIELDS: &[(&str, &[(&str, &str)])] = &[
    ("ElasticTransform", &[("drawn_0_uniform", "points"), ("drawn_1_rand", "across"), ("drawn_2_rand", "down")]),
    ("ISONoise", &[("drawn_0_poisson", "luminance_noise"), ("drawn_1_normal", "color_noise")]),
];

/// The recorded `params` of `transform` with the fields that `arrays` holds for it, each a list in row order.
pub(super) fn with_fields(transform: &str, mut params: Map<String, Value>, arrays: &Arrays) -> Map<String, Value> {
    let fields = FIELDS.iter().filter(|(name, _)| *name == transform).flat_map(|(_, fields)| *fields);
    for &(recorded, parameter) in fields {
        if let Some(array) = arrays.get(recorded) {
            params.insert(parameter.to_owned(), array.data.clone().into());
        }
    }
    params
}
