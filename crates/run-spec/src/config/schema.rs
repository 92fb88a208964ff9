//! The JSON schema of a training configuration, for editors that complete and check keys while a person writes.
//!
//! `configs/schema/train.json` is this schema; a test keeps the file up to date. Rules that concern several keys at once are in
//! [`ResolvedConfig::from_yaml`](super::ResolvedConfig::from_yaml) alone.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{TrainConfig, ranges};

impl TrainConfig {
    /// The JSON schema (draft 2020-12) of a train config: every key with its documentation, default, words and range.
    pub fn schema() -> Value {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Self>().to_value();
        ranges::limit_all(&mut schema);
        schema
    }

    /// The JSON schema of changes to a train config: sections, or dotted keys such as `loss.koleo_weight`.
    pub fn delta_schema() -> Value {
        let schema = Self::schema();
        let mut keys = Map::new();
        flatten(&schema, "", &mut keys);
        json!({
            "type": ["object", "null"],
            "properties": keys,
            "additionalProperties": false,
        })
    }
}

/// Collects the properties of `schema` and of the sections in it, by their dotted keys.
fn flatten(schema: &Value, path: &str, keys: &mut Map<String, Value>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let key = crate::layer::join(path, name);
        flatten(property, &key, keys);
        keys.insert(key, property.clone());
    }
}

/// Transforms of `augmentation.ops`: a name, or a name with parameters. The names themselves are those of the crate `augment`.
pub(super) fn ops(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": {
            "anyOf": [
                { "type": "string" },
                { "type": "object", "minProperties": 1, "maxProperties": 1 },
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_words_ranges_defaults_and_documentation() {
        let schema = TrainConfig::schema();
        let loss = &schema["properties"]["loss"]["properties"];
        assert_eq!(loss["koleo_weight"]["minimum"], 0);
        assert_eq!(loss["koleo_weight"]["default"], 0.0);
        assert_eq!(loss["student_temp"]["exclusiveMinimum"], 0);
        assert!(loss["centering"].to_string().contains("sinkhorn_knopp"), "{}", loss["centering"]);
        assert!(loss["n_local"]["description"].as_str().is_some_and(|text| text.contains("Local crops")));
        assert_eq!(schema["properties"]["crops"]["properties"]["global_scale"]["items"]["maximum"], 1);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["model"]["additionalProperties"], false);
    }

    #[test]
    fn changes_may_be_sections_or_dotted_keys() {
        let schema = TrainConfig::delta_schema();
        assert_eq!(schema["properties"]["loss.koleo_weight"]["minimum"], 0);
        assert!(schema["properties"]["loss"]["properties"]["koleo_weight"].is_object());
    }
}
