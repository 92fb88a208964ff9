//! From a value to a type, with errors that name the key, what was found and what is expected.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::layer::{ConfigError, NEIGHBOURS, join, nearest, suggestion};

/// Reads `value` as a `T`; `what` names the file in messages.
///
/// # Errors
/// [`ConfigError::UnknownKey`] or [`ConfigError::BadValue`] with the dotted path of the key.
pub fn read<T: DeserializeOwned>(value: &Value, what: &str) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let steps = steps(error.path());
        let reason = Reason::of(&error.inner().to_string());
        refusal(&reason, &Place { root: value, steps }, what, |other| {
            serde_path_to_error::deserialize::<_, T>(other).err().map(|error| error.inner().to_string())
        })
    })
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

/// Where in a value an error was met.
#[derive(Debug)]
struct Place<'a> {
    root: &'a Value,
    steps: Vec<Step>,
}

fn steps(path: &Path) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Item(*index)),
            // The tag of an enum is no key, and what cannot be told is left out.
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

impl Place<'_> {
    fn key(&self) -> String {
        self.steps.iter().fold(String::new(), |path, step| match step {
            Step::Key(key) => join(&path, key),
            Step::Item(index) => format!("{path}[{index}]"),
        })
    }

    fn value(&self) -> &Value {
        self.steps.iter().fold(self.root, |value, step| match step {
            Step::Key(key) => &value[key.as_str()],
            Step::Item(index) => &value[*index],
        })
    }

    /// The whole value, with `other` in this place.
    fn with(&self, other: Value) -> Value {
        let mut whole = self.root.clone();
        let slot = self.steps.iter().fold(&mut whole, |value, step| match step {
            Step::Key(key) => &mut value[key.as_str()],
            Step::Item(index) => &mut value[*index],
        });
        *slot = other;
        whole
    }

    /// A rule that is chosen by a word is read twice, and its errors name the rule alone: the key is the one whose value was
    /// found.
    fn refined(&self, found: &str) -> Self {
        let mut place = Place { root: self.root, steps: self.steps.clone() };
        if let Value::Object(map) = self.value()
            && !found.starts_with("map")
        {
            let mut keys = map.iter().filter(|(_, value)| is_said(value, found)).map(|(key, _)| key.clone());
            if let (Some(key), None) = (keys.next(), keys.next()) {
                place.steps.push(Step::Key(key));
            }
        }
        place
    }
}

/// Whether serde means `value` by `found`: `string "x"`, `` integer `3` ``.
fn is_said(value: &Value, found: &str) -> bool {
    match value {
        Value::Null => found.starts_with("unit") || found.starts_with("null"),
        Value::Bool(truth) => found == format!("boolean `{truth}`"),
        Value::Number(number) => {
            found == format!("integer `{number}`") || found == format!("floating point `{number}`")
        }
        Value::String(text) => found == format!("string {text:?}"),
        Value::Array(_) => found.starts_with("sequence"),
        Value::Object(_) => found.starts_with("map"),
    }
}

/// What serde says, taken apart.
#[derive(Debug, PartialEq, Eq)]
enum Reason {
    /// A value of another kind, or outside the range of its type.
    Kind { found: String, expected: String },
    /// A word that is not one of a closed set.
    Word { word: String, words: Vec<String> },
    /// A key that does not exist; the known ones.
    Key { key: String, known: Vec<String> },
    /// A key that must be given.
    Missing { key: String },
    /// A sentence of our own.
    Own(String),
}

impl Reason {
    fn of(text: &str) -> Self {
        let quoted = || text.split('`').skip(1).step_by(2).map(str::to_owned);
        let first = || quoted().next().unwrap_or_default();
        let rest = || quoted().skip(1).collect();
        if text.starts_with("unknown field") {
            return Self::Key { key: first(), known: rest() };
        }
        if text.starts_with("unknown variant") {
            return Self::Word { word: first(), words: rest() };
        }
        if text.starts_with("missing field") {
            return Self::Missing { key: first() };
        }
        let kinds = ["invalid type: ", "invalid value: ", "invalid length "];
        let told =
            kinds.iter().find_map(|kind| text.strip_prefix(kind)).and_then(|rest| rest.rsplit_once(", expected "));
        match told {
            Some((found, expected)) => Self::Kind { found: found.to_owned(), expected: expected.to_owned() },
            None => Self::Own(text.to_owned()),
        }
    }
}

impl Reason {
    fn expected(self) -> Option<String> {
        match self {
            Self::Kind { expected, .. } => Some(expected),
            _ => None,
        }
    }
}

/// `again` reads another whole value and returns serde's complaint.
fn refusal(reason: &Reason, place: &Place<'_>, what: &str, again: impl Fn(&Value) -> Option<String>) -> ConfigError {
    let bad = |key: String, message: String| ConfigError::BadValue { what: what.to_owned(), key, message };
    match reason {
        Reason::Key { key, known } => {
            let mut section = place.key();
            // The path of an unknown key may end in the key itself.
            if place.steps.last() == Some(&Step::Key(key.clone())) {
                section.truncate(section.len() - key.len());
                section.truncate(section.trim_end_matches('.').len());
            }
            unknown_key(&section, key, known.iter().map(String::as_str), what)
        }
        Reason::Missing { key } => bad(join(&place.key(), key), "it is missing: write it".to_owned()),
        Reason::Word { word, words } => {
            let place = place.refined(&format!("string {word:?}"));
            bad(place.key(), not_a_word(&place, words))
        }
        Reason::Kind { found, expected } => {
            let place = place.refined(found);
            // A closed set of words says its words only to a word.
            let words = match again(&place.with(Value::String("\u{1}".to_owned()))).map(|text| Reason::of(&text)) {
                Some(Reason::Word { words, .. }) => words,
                _ => Vec::new(),
            };
            // How long a list must be is said of one that is too short.
            let expected = match expected.starts_with("fewer elements") {
                true => again(&place.with(Value::Array(Vec::new()))).and_then(|text| Reason::of(&text).expected()),
                false => Some(expected.clone()),
            };
            let expected = expected.unwrap_or_else(|| "a shorter list".to_owned());
            let message =
                if words.is_empty() { of_another_kind(&place, &expected) } else { not_a_word(&place, &words) };
            bad(place.key(), message)
        }
        Reason::Own(text) => bad(place.key(), text.clone()),
    }
}

/// A key of `section` that does not exist.
pub(crate) fn unknown_key<'a>(
    section: &str,
    key: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    what: &str,
) -> ConfigError {
    if let Some(invisible) =
        key.chars().find(|c| !c.is_ascii() && (c.is_whitespace() || c.is_control() || *c == '\u{200b}'))
    {
        return ConfigError::UnknownKey {
            what: what.to_owned(),
            key: join(section, key),
            remedy: format!("; it holds the invisible character U+{:04X}: write a space instead", u32::from(invisible)),
        };
    }
    let remedy = match nearest(key, known.clone()) {
        Some(near) => suggestion(join(section, near)),
        None => format!("{NEIGHBOURS}{}", known.collect::<Vec<_>>().join(", ")),
    };
    ConfigError::UnknownKey { what: what.to_owned(), key: join(section, key), remedy }
}

fn not_a_word(place: &Place<'_>, words: &[String]) -> String {
    let hint = place.value().as_str().and_then(|word| nearest(word, words.iter().map(String::as_str)));
    let hint = hint.map(suggestion).unwrap_or_default();
    format!("one of {} is expected, not {}{hint}", words.join(", "), shown(place.value()))
}

fn of_another_kind(place: &Place<'_>, expected: &str) -> String {
    let found = place.value();
    let remedy = match (found, expected) {
        (Value::Null, _) => "; write a value, or leave the key out",
        (Value::Number(_) | Value::Bool(_), "a string") => "; put it between quotes",
        (Value::String(_), "a sequence") => "; write it between brackets: [a]",
        _ => "",
    };
    let expected = kind(expected);
    if place.steps.is_empty() {
        return format!("keys with their values are expected, such as `name: value`, not {}", shown(found));
    }
    format!("{expected} is expected, not {}{remedy}", shown(found))
}

/// What serde expects, in words.
fn kind(expected: &str) -> String {
    let words = match expected {
        "f32" | "f64" => "a number",
        "i64" | "isize" | "i32" => "a whole number",
        "u64" | "usize" => "a whole number from 0",
        "u32" => "a whole number from 0 to 4294967295",
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "a boolean" => "true or false",
        "a string" | "string" | "a character" | "variant identifier" | "string or map" => "text",
        "a sequence" => "a list",
        "a map" | "map" => "a section",
        other if other.starts_with("struct ") || other.contains("tagged enum") || other.starts_with("internally") => {
            "a section"
        }
        other => match other.strip_prefix("an array of length ") {
            Some(n) => return format!("a list of {n}"),
            None => other,
        },
    };
    words.to_owned()
}

/// A value as a message shows it: short, and marked so that it is not read as words of the message.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() > 60 => {
            format!("the text {:?}", text.chars().take(57).chain("…".chars()).collect::<String>())
        }
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(map) if map.is_empty() => "an empty section".to_owned(),
        Value::Object(map) => format!("a section with {}", map.keys().take(5).cloned().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Whole {
        name: String,
        #[serde(default)]
        rule: Option<Rule>,
        #[serde(default)]
        list: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    enum Rule {
        Folder { up: u8 },
        Pattern { pattern: String },
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Item {
        share: f64,
    }

    fn told(mut value: Value) -> String {
        value["name"] = value.get("name").cloned().unwrap_or(json!("n"));
        read::<Whole>(&value, "a.yaml").unwrap_err().to_string()
    }

    #[test]
    fn every_error_names_its_key() {
        for (value, message) in [
            (json!({"name": 3}), "`name`: text is expected, not 3; put it between quotes"),
            (json!({"nam": 3}), "unknown key `nam`; did you mean `name`?"),
            (json!({"list": {"share": 1}}), "`list`: a list is expected, not a section with share"),
            (
                json!({"list": [{"share": 1}, {"share": "x"}]}),
                "`list[1].share`: a number is expected, not the text \"x\"",
            ),
            (json!({"list": [{"shar": 1}]}), "unknown key `list[0].shar`; did you mean `list[0].share`?"),
            (json!({"list": [{}]}), "`list[0].share`: it is missing: write it"),
            (json!({"list": [3]}), "`list[0]`: a section is expected, not 3"),
        ] {
            assert_eq!(told(value), format!("a.yaml: {message}"));
        }
        assert_eq!(
            read::<Whole>(&json!({}), "a.yaml").unwrap_err().to_string(),
            "a.yaml: `name`: it is missing: write it"
        );
        let empty = read::<Whole>(&Value::Null, "a.yaml").unwrap_err().to_string();
        assert_eq!(empty, "a.yaml: keys with their values are expected, such as `name: value`, not nothing");
    }

    #[test]
    fn a_rule_that_is_chosen_by_a_word_names_its_keys_too() {
        for (rule, message) in [
            (
                json!({"by": "folders", "up": 1}),
                "`rule.by`: one of folder, pattern is expected, not the text \"folders\"; did you mean `folder`?",
            ),
            (json!({"by": "folder", "upp": 1}), "unknown key `rule.upp`; did you mean `rule.up`?"),
            (
                json!({"by": "folder", "up": "x"}),
                "`rule.up`: a whole number from 0 to 255 is expected, not the text \"x\"",
            ),
            (json!({"by": "folder", "up": 300}), "`rule.up`: a whole number from 0 to 255 is expected, not 300"),
            (json!({"by": "folder"}), "`rule.up`: it is missing: write it"),
            (json!({"up": 1}), "`rule.by`: it is missing: write it"),
            (json!("folder"), "`rule`: a section is expected, not the text \"folder\""),
        ] {
            assert_eq!(told(json!({"rule": rule})), format!("a.yaml: {message}"));
        }
    }
}
