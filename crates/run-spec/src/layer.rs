//! Configuration as layers: defaults < file < `--set key=value`. A key that the defaults do not have is refused.
//!
//! The defaults are the schema. Where a default is `null` or an array, what a person writes there is taken whole; where it is
//! an empty mapping, any key may be written there and layers are joined key by key. Whoever reads it checks it.

use serde_json::{Map, Value};

use crate::typed::{shown, unknown_key};
use crate::yaml::{Places, Yaml};

/// Why a configuration was refused. Each message names the file and the key, and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not YAML, or a key given twice; the message names the key where there is one.
    #[error("{what}: {message}")]
    Syntax {
        /// File and line, or argument.
        what: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A key that does not exist.
    #[error("{what}: unknown key `{key}`{remedy}")]
    UnknownKey {
        /// File and line, or argument.
        what: String,
        /// Dotted path of the key.
        key: String,
        /// What may be meant, or the keys that exist; begins with `; `.
        remedy: String,
    },
    /// A value of the wrong kind or outside its range.
    #[error("{what}: {}{message}", quoted(.key))]
    BadValue {
        /// File and line, or argument.
        what: String,
        /// Dotted path of the key; empty for the whole.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

fn quoted(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("`{key}`: ") }
}

impl ConfigError {
    /// The key that the error concerns; empty where it concerns the whole.
    pub fn key(&self) -> &str {
        match self {
            Self::Syntax { .. } => "",
            Self::UnknownKey { key, .. } | Self::BadValue { key, .. } => key,
        }
    }

    /// The same error, of `what`.
    #[must_use]
    pub fn of(mut self, what: impl Into<String>) -> Self {
        match &mut self {
            Self::Syntax { what: slot, .. }
            | Self::UnknownKey { what: slot, .. }
            | Self::BadValue { what: slot, .. } => {
                *slot = what.into();
            }
        }
        self
    }

    /// The same error, with the file and the line in which its key stands.
    #[must_use]
    pub fn at(self, places: &Places) -> Self {
        let what = places.at(self.key());
        self.of(what)
    }

    /// The same error of a value that is `section` of a larger one: its keys begin with `section`.
    #[must_use]
    pub fn below(mut self, section: &str) -> Self {
        match &mut self {
            Self::Syntax { .. } => {}
            Self::UnknownKey { key, remedy, .. } => {
                *key = join(section, key);
                if let Some(near) = remedy.strip_prefix(MEANT) {
                    *remedy = format!("{MEANT}{}", join(section, near));
                }
            }
            Self::BadValue { key, .. } => *key = join(section, key),
        }
        self
    }
}

const MEANT: &str = "; did you mean `";
/// Begins the remedy that lists the keys of a section, where none of them is near.
pub(crate) const NEIGHBOURS: &str = "; the keys here are ";

/// The half sentence that names what may be meant.
pub fn suggestion(near: impl AsRef<str>) -> String {
    format!("{MEANT}{}`?", near.as_ref())
}

/// Parses YAML text that holds no more than a value; [`Yaml::parse`] knows the lines too.
///
/// # Errors
/// [`ConfigError::Syntax`].
pub fn parse_yaml(text: &str, what: &str) -> Result<Value, ConfigError> {
    Yaml::parse(text, what).map(|yaml| yaml.value)
}

/// Lays `user` over `defaults`, which are the schema too.
///
/// # Errors
/// [`ConfigError::UnknownKey`] with the nearest known key; [`ConfigError::BadValue`] where a section is given a value.
pub fn layer(defaults: &Value, user: Value, what: &str) -> Result<Value, ConfigError> {
    layer_over(defaults, defaults.clone(), user, what)
}

/// Lays `user` over `base`, which lies over the defaults `schema`.
///
/// # Errors
/// As [`layer`].
pub fn layer_over(schema: &Value, base: Value, user: Value, what: &str) -> Result<Value, ConfigError> {
    let mut out = base;
    merge(schema, &mut out, user, what, "").map_err(|error| elsewhere(schema, error))?;
    Ok(out)
}

fn merge(schema: &Value, base: &mut Value, user: Value, what: &str, path: &str) -> Result<(), ConfigError> {
    match (schema, user) {
        // An empty file, or a section whose keys are all commented out, changes nothing.
        (Value::Object(_), Value::Null) => Ok(()),
        (Value::Object(known), Value::Object(user)) => {
            let Value::Object(base) = base else {
                *base = Value::Object(user);
                return Ok(());
            };
            for (key, value) in user {
                let slot = base.entry(key.clone()).or_insert(Value::Null);
                match known.get(&key) {
                    Some(schema) => merge(schema, slot, value, what, &join(path, &key))?,
                    None if known.is_empty() => *slot = value,
                    None => return Err(unknown_key(path, &key, known.keys().map(String::as_str), what)),
                }
            }
            Ok(())
        }
        (Value::Object(known), user) if !known.is_empty() => {
            Err(BadSection { known, path, found: &user }.refused(what))
        }
        (_, user) => {
            *base = user;
            Ok(())
        }
    }
}

/// Something else where a section with keys is expected.
struct BadSection<'a> {
    known: &'a Map<String, Value>,
    path: &'a str,
    found: &'a Value,
}

impl BadSection<'_> {
    fn refused(&self, what: &str) -> ConfigError {
        let mut keys: Vec<&str> = self.known.keys().map(String::as_str).take(5).collect();
        if self.known.len() > keys.len() {
            keys.push("…");
        }
        let thing = if self.path.is_empty() { "keys with their values are" } else { "a section is" };
        let message = format!("{thing} expected (`key: value`, with {}), not {}", keys.join(", "), shown(self.found));
        ConfigError::BadValue { what: what.to_owned(), key: self.path.to_owned(), message }
    }
}

/// A key that exists in another place is what is meant, however near another one may be.
fn elsewhere(schema: &Value, error: ConfigError) -> ConfigError {
    let ConfigError::UnknownKey { what, key, remedy } = error else { return error };
    let remedy = match full_paths(schema).iter().find(|path| **path == key) {
        Some(path) => {
            let (section, last) = path.rsplit_once('.').unwrap_or(("", path));
            format!("; write it in its section: `{}: {{{last}: …}}`", section.replace('.', ": {"))
        }
        None => {
            let (paths, last) = (full_paths(schema), our_name(last_part(&key)));
            let named = |name: &str| paths.iter().find(|path| last_part(path) == name);
            let unlike_its_neighbours = remedy.starts_with(NEIGHBOURS);
            let near = nearest(last, paths.iter().map(|path| last_part(path))).filter(|_| unlike_its_neighbours);
            named(last).or_else(|| near.and_then(named)).map_or(remedy, suggestion)
        }
    };
    ConfigError::UnknownKey { what, key, remedy }
}

/// Names that other programs give to keys of a training configuration, with ours.
const OTHER_NAMES: [(&str, &str); 8] = [
    ("learning_rate", "lr"),
    ("weight_decay", "wd"),
    ("num_epochs", "epochs"),
    ("batch", "batch_size"),
    ("patch_size", "patch"),
    ("embed_dim", "dim"),
    ("num_heads", "heads"),
    ("drop_path_rate", "drop_path"),
];

/// The name that a key has here, where other programs call it `name`.
fn our_name(name: &str) -> &str {
    OTHER_NAMES.iter().find(|(other, _)| *other == name).map_or(name, |&(_, ours)| ours)
}

/// The name of a key without the sections above it.
fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The dotted paths of all keys of `schema`, sections included.
fn full_paths(schema: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    for (key, value) in schema.as_object().into_iter().flatten() {
        paths.push(key.clone());
        paths.extend(full_paths(value).into_iter().map(|below| join(key, &below)));
    }
    paths
}

pub(crate) fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (false, true) => path.to_owned(),
        (false, false) => format!("{path}.{key}"),
    }
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

/// Takes `a.b.c=value` apart; the value is read as YAML.
///
/// # Errors
/// As [`set_key`].
pub fn assigned(assignment: &str) -> Result<(String, Value), ConfigError> {
    let what = format!("--set {assignment}");
    let Some((key, text)) = assignment.split_once('=') else {
        return Err(ConfigError::Syntax {
            what,
            message: "`key=value` is expected, such as `optim.lr=0.001`".to_owned(),
        });
    };
    Ok((key.trim().to_owned(), parse_yaml(text, &what)?))
}

/// Puts one `a.b.c=value` into `user`, making sections as needed; the value is read as YAML.
///
/// # Errors
/// [`ConfigError::Syntax`] when there is no `=` or the value is not YAML.
pub fn set_key(user: &mut Value, assignment: &str) -> Result<(), ConfigError> {
    let (key, value) = assigned(assignment)?;
    let what = format!("--set {assignment}");
    put(user, &key, value).map_err(|message| ConfigError::Syntax { what, message })
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
        json!({"loss": {"koleo_weight": 0.0, "centering": "sinkhorn_knopp"}, "seed": 0, "ops": [], "extra": null, "free": {}})
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
        let expected = json!({"loss": {"koleo_weight": 0.1, "centering": "centering"}, "seed": 3, "ops": ["Blur"], "extra": {"free": 1}, "free": {}});
        assert_eq!(out, expected);
    }

    #[test]
    fn empty_files_and_empty_sections_are_the_defaults() {
        assert_eq!(layer(&defaults(), Value::Null, "a").unwrap(), defaults());
        assert_eq!(layer(&defaults(), parse_yaml("loss:\n", "a").unwrap(), "a").unwrap(), defaults());
    }

    #[test]
    fn a_value_in_place_of_a_section_is_refused() {
        let error = layer(&defaults(), json!({"loss": 3}), "a.yaml").unwrap_err().to_string();
        assert_eq!(error, "a.yaml: `loss`: a section is expected (`key: value`, with centering, koleo_weight), not 3");
    }

    #[test]
    fn a_key_of_another_section_is_named_in_full() {
        let said = |user: Value| layer(&defaults(), user, "a").unwrap_err().to_string();
        assert_eq!(
            said(json!({"koleo_weight": 1})),
            "a: unknown key `koleo_weight`; did you mean `loss.koleo_weight`?"
        );
        let misspelt = said(json!({"koleo_wieght": 1}));
        assert_eq!(misspelt, "a: unknown key `koleo_wieght`; did you mean `loss.koleo_weight`?");
        let dotted = said(json!({"loss.koleo_weight": 1}));
        assert_eq!(dotted, "a: unknown key `loss.koleo_weight`; write it in its section: `loss: {koleo_weight: …}`");
        assert_eq!(said(json!({"zzz": 1})), "a: unknown key `zzz`; the keys here are extra, free, loss, ops, seed");
        let invisible = said(json!({"\u{a0}seed": 1}));
        assert!(invisible.ends_with("; it holds the invisible character U+00A0: write a space instead"), "{invisible}");
    }

    #[test]
    fn a_free_section_is_joined_key_by_key() {
        let one = layer(&defaults(), json!({"free": {"a": 1}}), "a").unwrap();
        let two = layer_over(&defaults(), one, json!({"free": {"b": {"c": 2}}}), "b").unwrap();
        assert_eq!(two["free"], json!({"a": 1, "b": {"c": 2}}));
        assert_eq!(layer_over(&defaults(), two.clone(), json!({"free": null}), "c").unwrap(), two);
    }

    #[test]
    fn an_error_can_be_moved_to_a_section_of_a_file() {
        let places = Places::of("a: 1\nslurm:\n  see: 2\n", "s.yaml");
        let error = layer(&defaults(), json!({"see": 2}), "").unwrap_err().below("slurm").at(&places);
        assert_eq!(error.to_string(), "s.yaml line 3: unknown key `slurm.see`; did you mean `slurm.seed`?");
    }

    #[test]
    fn duplicate_keys_are_refused_and_words_stay_words() {
        assert!(parse_yaml("a: 1\na: 2", "a.yaml").unwrap_err().to_string().contains("a.yaml"));
        assert_eq!(parse_yaml("a: off\nb: true", "a").unwrap(), json!({"a": "off", "b": true}));
    }
}
