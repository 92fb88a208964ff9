//! Patterns that take what names an image out of a path or a text: regular expressions with a group `(?<image>…)`.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::RuleError;
use super::pattern;

/// The group that a pattern must have.
const GROUP: &str = "image";

/// A regular expression with a group `(?<image>…)`, compiled when it is first used. In a file it is a text.
#[derive(Debug, Clone)]
pub struct NamedPattern(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl NamedPattern {
    /// What the group takes out of a text; nothing where the pattern does not match.
    pub(crate) fn take(&self, text: &str) -> Option<String> {
        let compiled = self.0.compiled.get_or_init(|| Regex::new(&self.0.text).ok());
        let taken = compiled.as_ref()?.captures(text)?.name(GROUP)?.as_str();
        Some(taken.to_owned()).filter(|taken| !taken.is_empty())
    }

    /// Checks the pattern, the value of `key`.
    ///
    /// # Errors
    /// What is not a regular expression, or has no such group.
    pub(crate) fn check(&self, key: &str) -> Result<(), RuleError> {
        let compiled = pattern::compile(key, &self.0.text)?;
        if compiled.capture_names().flatten().any(|name| name == GROUP) {
            return Ok(());
        }
        let why = format!("`{}` has no group `(?<{GROUP}>…)` around what names the image", self.0.text);
        Err(RuleError::new(key, why))
    }
}

impl PartialEq for NamedPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for NamedPattern {}

impl Serialize for NamedPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NamedPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::new(Inner { text: String::deserialize(deserializer)?, compiled: OnceLock::new() })))
    }
}

impl JsonSchema for NamedPattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NamedPattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
