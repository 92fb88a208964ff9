//! Configuration as layers: defaults < file < `--set key=value`. A key that the defaults do not have is refused.
//!
//! The defaults are the schema. Where a default is `null`, an array or an empty mapping, what a person writes there is
//! taken whole and checked by whoever reads it.

use serde_json::{Map, Value};

/// Why a configuration was refused. Each message names the file and the key, and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not YAML, or a key given twice; the message carries line and column.
    #[error("{what}: {message}")]
    Syntax {
        /// File or argument.
        what: String,
        /// The parser's words.
        message: String,
    },
    /// A key that does not exist.
    #[error("{what}: unknown key `{key}`{}", suggestion(.nearest))]
    UnknownKey {
        /// File or argument.
        what: String,
        /// Dotted path of the key.
        key: String,
        /// The nearest key that does exist.
        nearest: Option<String>,
    },
    /// A value of the wrong kind or outside its range.
    #[error("{what}: `{key}`: {message}")]
    BadValue {
        /// File or argument.
        what: String,
        /// Dotted path of the key.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    match nearest {
        Some(key) => format!("; did you mean `{key}`?"),
        None => String::new(),
    }
}

/// Parses YAML text. `what` names the file in messages. Duplicate keys are refused; `yes`, `no`, `on` stay words.
///
/// # Errors
/// [`ConfigError::Syntax`].
pub fn parse_yaml(text: &str, what: &str) -> Result<Value, ConfigError> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| ConfigError::Syntax { what: what.to_owned(), message: error.to_string() })
}

/// Lays `user` over `defaults`.
///
/// # Errors
/// [`ConfigError::UnknownKey`] with the nearest known key; [`ConfigError::BadValue`] where a section is given a value.
pub fn layer(defaults: &Value, user: Value, what: &str) -> Result<Value, ConfigError> {
    let mut out = defaults.clone();
    merge(&mut out, user, what, "")?;
    Ok(out)
}

fn merge(base: &mut Value, user: Value, what: &str, path: &str) -> Result<(), ConfigError> {
    match (base, user) {
        // An empty file, or a section whose keys are all commented out, changes nothing.
        (Value::Object(base), Value::Null) if !base.is_empty() => Ok(()),
        (Value::Object(base), Value::Object(user)) if !base.is_empty() => {
            for (key, value) in user {
                let full = join(path, &key);
                match base.get_mut(&key) {
                    Some(slot) => merge(slot, value, what, &full)?,
                    None => {
                        return Err(ConfigError::UnknownKey {
                            what: what.to_owned(),
                            nearest: nearest_key(base, &key).map(|near| join(path, &near)),
                            key: full,
                        });
                    }
                }
            }
            Ok(())
        }
        (Value::Object(base), user) if !base.is_empty() => Err(ConfigError::BadValue {
            what: what.to_owned(),
            key: path.to_owned(),
            message: format!(
                "a section with keys {} is expected, not {user}",
                base.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
        }),
        (slot, user) => {
            *slot = user;
            Ok(())
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn nearest_key(section: &Map<String, Value>, key: &str) -> Option<String> {
    nearest(key, section.keys().map(String::as_str)).map(str::to_owned)
}

/// The candidate nearest to `word`, if any is near enough to be worth naming.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity > 0.7)
        // On a tie the first candidate wins, so that the message does not depend on the order of evaluation.
        .fold(None, |best: Option<(f64, &str)>, this| match best {
            Some(best) if best.0 >= this.0 => Some(best),
            _ => Some(this),
        })
        .map(|(_, candidate)| candidate)
}

/// Puts one `a.b.c=value` into `user`, making sections as needed; the value is read as YAML.
///
/// # Errors
/// [`ConfigError::Syntax`] when there is no `=` or the value is not YAML.
pub fn set_key(user: &mut Value, assignment: &str) -> Result<(), ConfigError> {
    let syntax =
        |message: &str| ConfigError::Syntax { what: format!("--set {assignment}"), message: message.to_owned() };
    let (key, text) = assignment.split_once('=').ok_or_else(|| syntax("key=value is expected"))?;
    let value = parse_yaml(text, &format!("--set {assignment}"))?;
    put(user, key.trim(), value).map_err(|message| syntax(&message))
}

/// Puts `value` under the dotted `key`, making sections as needed.
///
/// # Errors
/// A sentence, when the key is empty or runs through something that is not a section.
pub fn put(user: &mut Value, key: &str, value: Value) -> Result<(), String> {
    if key.split('.').any(str::is_empty) {
        return Err(format!("`{key}` is not a key: names separated by dots are expected"));
    }
    let mut slot = user;
    for part in key.split('.') {
        if slot.is_null() {
            *slot = Value::Object(Map::new());
        }
        slot = slot
            .as_object_mut()
            .ok_or_else(|| format!("`{key}` runs through a value that is not a section"))?
            .entry(part)
            .or_insert(Value::Null);
    }
    *slot = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn defaults() -> Value {
        json!({"loss": {"koleo_weight": 0.0, "centering": "sinkhorn_knopp"}, "seed": 0, "ops": [], "extra": null})
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_nearest_one() {
        let user = parse_yaml("loss: {koleo_wieght: 0.1}", "a.yaml").unwrap();
        let error = layer(&defaults(), user, "a.yaml").unwrap_err();
        assert_eq!(error.to_string(), "a.yaml: unknown key `loss.koleo_wieght`; did you mean `loss.koleo_weight`?");
    }

    #[test]
    fn layers_and_sets_change_only_what_they_name() {
        let mut user = parse_yaml("loss: {koleo_weight: 1e-1}\nops: [Blur]\nextra: {free: 1}", "a.yaml").unwrap();
        set_key(&mut user, "loss.centering=centering").unwrap();
        set_key(&mut user, "seed=3").unwrap();
        let out = layer(&defaults(), user, "a.yaml").unwrap();
        let expected = json!({"loss": {"koleo_weight": 0.1, "centering": "centering"}, "seed": 3, "ops": ["Blur"], "extra": {"free": 1}});
        assert_eq!(out, expected);
    }

    #[test]
    fn empty_files_and_empty_sections_are_the_defaults() {
        assert_eq!(layer(&defaults(), Value::Null, "a").unwrap(), defaults());
        assert_eq!(layer(&defaults(), parse_yaml("loss:\n", "a").unwrap(), "a").unwrap(), defaults());
    }

    #[test]
    fn a_value_in_place_of_a_section_is_refused() {
        let error = layer(&defaults(), json!({"loss": 3}), "a.yaml").unwrap_err();
        assert!(error.to_string().starts_with("a.yaml: `loss`: a section with keys"), "{error}");
    }

    #[test]
    fn duplicate_keys_are_refused_and_words_stay_words() {
        assert!(parse_yaml("a: 1\na: 2", "a.yaml").unwrap_err().to_string().contains("a.yaml"));
        assert_eq!(parse_yaml("a: off\nb: true", "a").unwrap(), json!({"a": "off", "b": true}));
    }
}
