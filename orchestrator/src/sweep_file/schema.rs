//! The JSON schema of a sweep file, for editors that complete and check keys while a person writes.
//!
//! `configs/schema/sweep.json` is this schema; a test keeps the file up to date. Rules that concern several keys at once are in
//! [`SweepFile::parse`] alone.

use results::measures::{Evaluation, ProbeName};
use results::stats::score::Metric;
use run_spec::config::TrainConfig;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::released::{LAYOUTS, ReleasedModel};
use super::{Eval, SweepFile, defaults};
use crate::slurm::section;

/// Keys of a sweep file that have no default.
const REQUIRED: [&str; 3] = ["name", "base", "shards"];

impl SweepFile {
    /// The JSON schema (draft 2020-12) of a sweep file. What an arm changes is checked against the schema of a train config.
    pub(crate) fn schema() -> Value {
        let mut schema = of::<Self>();
        schema["$defs"] = json!({ "changes": changes(), "arm": arm(), "values": values() });
        schema["required"] = json!(REQUIRED);
        let defaults = defaults();
        for (key, default) in
            defaults.as_object().into_iter().flatten().filter(|(key, _)| !REQUIRED.contains(&key.as_str()))
        {
            schema["properties"][key]["default"] = default.clone();
        }
        schema["properties"]["probe"]["required"] = json!([]);
        schema
    }
}

/// The schema of `T` with all its parts in place.
fn of<T: schemars::JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Changes to the train config, without seeds: all arms share them.
fn changes() -> Value {
    let mut schema = TrainConfig::delta_schema();
    if let Value::Object(keys) = &mut schema["properties"] {
        keys.remove("seed");
        keys.remove("init.seed");
    }
    schema
}

/// Every key of [`changes`] as a reference to its schema there.
fn references() -> Value {
    let mut schema = changes();
    if let Value::Object(keys) = &mut schema["properties"] {
        for (key, property) in keys {
            *property = json!({ "$ref": format!("#/$defs/changes/properties/{key}") });
        }
    }
    schema
}

/// What an arm may change: the train config, the pixels, and what its jobs ask of Slurm.
fn arm() -> Value {
    let mut schema = references();
    let train = json!({ "type": "string", "description": "URI of the shard set that this arm trains on" });
    let keys = &mut schema["properties"];
    keys["shards.train"] = train.clone();
    keys["shards"] = json!({ "type": "object", "properties": { "train": train }, "additionalProperties": false });
    let slurm = section::schema();
    for (key, property) in slurm["properties"].as_object().into_iter().flatten() {
        if !section::OF_THE_SWEEP.contains(&key.as_str()) {
            keys[format!("slurm.{key}")] = property.clone();
        }
    }
    keys["slurm"] = slurm;
    schema
}

/// The axes of a grid: for each key a list of what the key takes; sections hold such lists.
fn values() -> Value {
    let (mut schema, changes) = (references(), changes());
    let Value::Object(keys) = &mut schema["properties"] else { return schema };
    for (key, property) in keys {
        let inner = changes["properties"][key]["properties"].as_object();
        *property = match inner {
            None => list(property.clone()),
            Some(inner) => {
                let lists: Map<String, Value> = inner
                    .keys()
                    .map(|name| {
                        (name.clone(), list(json!({ "$ref": format!("#/$defs/changes/properties/{key}.{name}") })))
                    })
                    .collect();
                json!({ "type": "object", "properties": lists, "additionalProperties": false })
            }
        };
    }
    schema
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": items })
}

/// `set`: changes common to all arms.
pub(super) fn set(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/changes" })
}

/// `arms`: a name, and what the arm changes.
pub(super) fn arms(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/arm" } })
}

/// `grid`: a key, and its values.
pub(super) fn grid(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/values" })
}

/// `slurm`: what a trial asks of a cluster.
pub(super) fn slurm(_: &mut SchemaGenerator) -> Schema {
    let mut schema = section::schema();
    schema["type"] = json!(["object", "null"]);
    Schema::try_from(schema).unwrap_or_default()
}

/// `baselines`: released weights, each with at least a name and a URI.
pub(super) fn baselines(_: &mut SchemaGenerator) -> Schema {
    let mut entry = of::<ReleasedModel>();
    entry["required"] = json!(["name", "weights"]);
    json_schema!({ "type": "array", "items": entry })
}

/// `baselines[].layout`: whose names the tensors have.
pub(super) fn layout(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<Value> = LAYOUTS.iter().map(|name| json!(name)).chain([Value::Null]).collect();
    json_schema!({ "enum": names })
}

/// `evaluations`: what a trial is measured by only where it is asked for.
pub(super) fn evaluations(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = Evaluation::ALL.iter().map(|evaluation| evaluation.name()).collect();
    json_schema!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "enum": names } })
}

/// `primary`: one probe and one metric; what is left out is the default, or the sweep's.
pub(super) fn primary(_: &mut SchemaGenerator) -> Schema {
    let (probes, metrics) = (ProbeName::ALL.map(ProbeName::name), Metric::ALL.map(Metric::name));
    json_schema!({
        "type": "object",
        "properties": {
            "probe": { "type": "string", "description": "The probe that is compared.", "enum": probes },
            "metric": { "type": "string", "description": "The metric that is compared.", "enum": metrics },
        },
        "additionalProperties": false,
    })
}

/// `equivalence`: a fraction above 0.
pub(super) fn equivalence(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": super::WIDEST_EQUIVALENCE })
}

/// `shards.eval`: labelled shard sets, each with at least a name and a URI.
pub(super) fn eval(_: &mut SchemaGenerator) -> Schema {
    let mut entry = of::<Eval>();
    entry["required"] = json!(["name", "uri"]);
    json_schema!({ "type": "array", "minItems": 1, "items": entry })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_sweep_file_is_in_its_schema() {
        let schema = SweepFile::schema();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&schema["properties"]), keys(&defaults()));
        assert!(schema["properties"]["grid_names"]["description"].is_string());
    }

    #[test]
    fn arms_share_their_seeds_and_may_ask_slurm_for_something_else() {
        let arm = &SweepFile::schema()["$defs"]["arm"]["properties"];
        assert!(arm["seed"].is_null() && arm["init.seed"].is_null());
        assert_eq!(arm["loss.koleo_weight"]["$ref"], "#/$defs/changes/properties/loss.koleo_weight");
        assert!(arm["slurm.nodes"].is_object() && arm["slurm.poll_s"].is_null());
    }
}
