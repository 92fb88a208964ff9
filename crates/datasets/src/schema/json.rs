//! The JSON schema of a description, for editors that complete and check keys while a person writes.
//!
//! `configs/schema/source.json` is this schema; a test keeps the file up to date. Rules that concern several keys at once are in
//! [`Source::parse`] alone.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Source;

impl Source {
    /// The JSON schema (draft 2020-12) of a description: every key with its documentation, default and words.
    pub fn json_schema() -> Value {
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Self>().to_value()
    }
}
