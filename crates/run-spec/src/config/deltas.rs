//! What is laid over a configuration: single values with whoever gave them, and the changes of an arm of a sweep.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ConfigError;
use crate::layer::{assigned, join, put};

/// One value laid over a configuration, and who gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    /// Who gave it, for messages: an argument, or a line of a file.
    pub what: String,
    /// The key with all sections above it: `a.b`.
    pub key: String,
    /// The value that replaces the one under that key.
    pub value: Value,
}

impl Delta {
    /// An argument `--set a.b=value`; the value is read as YAML.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] when there is no `=` or the value is not YAML.
    pub fn set(assignment: &str) -> Result<Self, ConfigError> {
        let (key, value) = assigned(assignment)?;
        Ok(Self { what: format!("--set {assignment}"), key, value })
    }

    /// Whether this delta gives `key`, all of its section, or a part of it.
    pub(super) fn concerns(&self, key: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        within(key, &self.key) || within(&self.key, key)
    }

    /// The sections that hold this delta alone.
    pub(super) fn alone(&self) -> Result<Value, ConfigError> {
        let mut sections = Value::Null;
        put(&mut sections, &self.key, self.value.clone())
            .map_err(|message| ConfigError::Syntax { what: self.what.clone(), message })?;
        Ok(sections)
    }
}

/// Changes by their dotted keys, in the order of the keys: what an arm, or a whole sweep, lays over the base.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Deltas(BTreeMap<String, Value>);

impl Deltas {
    /// Reads a section of a file. Nested sections become dotted keys, so that `{loss: {n_local: 8}}` and
    /// `{loss.n_local: 8}` are the same change.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] without a file: where no section stands, and for a key that is given twice.
    pub fn read(section: &Value) -> Result<Self, ConfigError> {
        match section {
            Value::Null => Ok(Self::default()),
            Value::Object(map) => Self::of(map.iter().map(|(key, value)| (key.clone(), value.clone()))),
            _ => Err(bad("", "a section is expected: names with their values")),
        }
    }

    /// The changes in `pairs`, whose values may be sections.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for a key that is given twice.
    pub fn of(pairs: impl IntoIterator<Item = (String, Value)>) -> Result<Self, ConfigError> {
        let mut deltas = Self::default();
        for (key, value) in pairs {
            deltas.insert(key, value)?;
        }
        Ok(deltas)
    }

    fn insert(&mut self, key: String, value: Value) -> Result<(), ConfigError> {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                inner.into_iter().try_for_each(|(below, value)| self.insert(join(&key, &below), value))
            }
            _ if self.0.contains_key(&key) => Err(bad(&key, "it is given twice, dotted and nested: keep one")),
            value => {
                self.0.insert(key, value);
                Ok(())
            }
        }
    }

    /// Takes out one change.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    /// Takes out the changes of a section; their keys begin below it.
    pub fn take_section(&mut self, section: &str) -> Self {
        let below = |key: &str| key.strip_prefix(section)?.strip_prefix('.').map(str::to_owned);
        let taken = self.0.extract_if(.., |key, _| below(key).is_some());
        Self(taken.filter_map(|(key, value)| Some((below(&key)?, value))).collect())
    }

    /// The keys with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The dotted keys of all changed values, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Deltas {
    /// `loss.n_local=8 optim.lr=0.001`, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, value)) in self.iter().enumerate() {
            let space = if i > 0 { " " } else { "" };
            match value {
                Value::String(text) => write!(f, "{space}{key}={text}")?,
                other => write!(f, "{space}{key}={other}")?,
            }
        }
        Ok(())
    }
}

fn bad(key: &str, message: &str) -> ConfigError {
    ConfigError::BadValue { what: String::new(), key: key.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_and_dotted_keys_are_the_same_change_and_none_counts_twice() {
        let read = |section: Value| Deltas::read(&section);
        assert_eq!(read(json!({"loss": {"n_local": 8}})).unwrap(), read(json!({"loss.n_local": 8})).unwrap());
        assert!(read(Value::Null).unwrap().is_empty());
        let twice = read(json!({"loss": {"n_local": 8}, "loss.n_local": 0})).unwrap_err();
        assert_eq!(twice.key(), "loss.n_local");
        assert!(read(json!(3)).is_err());
    }

    #[test]
    fn a_section_is_taken_out_by_its_whole_name() {
        let mut deltas = Deltas::read(&json!({"slurm": {"nodes": 2}, "slurmy.x": 1, "loss.n_local": 0})).unwrap();
        let slurm = deltas.take_section("slurm");
        assert_eq!(slurm.iter().collect::<Vec<_>>(), [("nodes", &json!(2))]);
        assert_eq!(deltas.to_string(), "loss.n_local=0 slurmy.x=1");
        assert_eq!(deltas.take("slurmy.x"), Some(json!(1)));
    }
}
