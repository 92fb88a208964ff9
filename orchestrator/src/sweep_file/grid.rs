//! A grid: one arm for each combination of its values, counted before any is built, and named by a stated rule. Pure.
//!
//! An arm is called `key=value,key=value`. Of a key stand its last parts, as many as tell the axes apart; what a name may
//! not hold becomes `_`. A name that is too long is cut, and so is one that several combinations would have: then `-` and
//! eight digits of the digest of the arm's values follow. `grid_names` writes names another way.

use std::collections::BTreeMap;

use run_spec::ids::digest_json;
use run_spec::layer::{nearest, suggestion};
use serde_json::{Value, json};

use super::arms::{LONGEST_NAME, is_name_char};

/// One key of a grid, and its values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// Dotted key of the train config.
    pub(super) key: String,
    /// The values of that key, at least one.
    pub(super) values: Vec<Value>,
}

/// Dotted key → value, of one arm.
type Combination = BTreeMap<String, Value>;

/// How many arms the axes make; no axes make none.
pub(super) fn count(axes: &[Axis]) -> u64 {
    if axes.is_empty() {
        return 0;
    }
    axes.iter().fold(1, |count: u64, axis| count.saturating_mul(axis.values.len() as u64))
}

/// All combinations, each with its name.
///
/// # Errors
/// A sentence about the template: a key that is no axis, or names that several arms would have.
pub(super) fn named(axes: &[Axis], template: Option<&str>) -> Result<Vec<(String, Combination)>, String> {
    let template = match template {
        Some(text) => Template::parse(text, axes)?,
        None => Template::plain(axes),
    };
    let mut arms: Vec<(String, Combination)> =
        combinations(axes).into_iter().map(|arm| (template.name(&arm), arm)).collect();
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for (name, _) in &arms {
        *uses.entry(name.clone()).or_default() += 1;
    }
    for (name, arm) in &mut arms {
        if name.len() > LONGEST_NAME || uses[name.as_str()] > 1 {
            *name = shortened(name, arm);
        }
    }
    Ok(arms)
}

fn combinations(axes: &[Axis]) -> Vec<Combination> {
    if axes.is_empty() {
        return Vec::new();
    }
    axes.iter().fold(vec![Combination::new()], |so_far, axis| {
        so_far
            .into_iter()
            .flat_map(|arm| {
                axis.values.iter().map(move |value| {
                    let mut next = arm.clone();
                    next.insert(axis.key.clone(), value.clone());
                    next
                })
            })
            .collect()
    })
}

/// The beginning of a name and the digest of what it names, together no longer than a name may be.
fn shortened(name: &str, arm: &Combination) -> String {
    const DIGITS: usize = 8;
    let digest = digest_json(&json!(arm)).to_string();
    let kept: String = name.chars().take(LONGEST_NAME - DIGITS - 1).collect();
    format!("{kept}-{}", &digest[..DIGITS])
}

/// How names are written: text, and keys whose values stand there.
#[derive(Debug, PartialEq, Eq)]
struct Template(Vec<NamePart>);

#[derive(Debug, PartialEq, Eq)]
enum NamePart {
    Text(String),
    Key(String),
}

impl Template {
    /// The name that no `name` was written for: `label=value,label=value`.
    fn plain(axes: &[Axis]) -> Self {
        let parts = axes.iter().enumerate().flat_map(|(i, axis)| {
            let comma = if i > 0 { "," } else { "" };
            [NamePart::Text(format!("{comma}{}=", label(axis, axes))), NamePart::Key(axis.key.clone())]
        });
        Self(parts.collect())
    }

    /// `text{key}text{key}`, where a key is an axis's, or enough of its last parts.
    fn parse(text: &str, axes: &[Axis]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').ok_or("a `{` is never closed: write `{key}`")?;
            parts.push(NamePart::Text(before.to_owned()));
            parts.push(NamePart::Key(axis_of(word, axes)?.key.clone()));
            rest = after;
        }
        parts.push(NamePart::Text(rest.to_owned()));
        let template = Self(parts);
        match axes.iter().find(|axis| axis.values.len() > 1 && !template.shows(axis)) {
            Some(axis) => {
                let label = label(axis, axes);
                Err(format!(
                    "arms that differ only in `{}` would have the same name: write `{{{label}}}` in it",
                    axis.key
                ))
            }
            None => Ok(template),
        }
    }

    fn shows(&self, axis: &Axis) -> bool {
        self.0.contains(&NamePart::Key(axis.key.clone()))
    }

    fn name(&self, arm: &Combination) -> String {
        let text = |part: &NamePart| match part {
            NamePart::Text(text) => text.clone(),
            NamePart::Key(key) => match &arm[key] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
        };
        let name: String = self.0.iter().map(text).collect();
        name.chars().map(|c| if is_name_char(c) { c } else { '_' }).collect()
    }
}

/// The last parts of an axis's key, as many as no other axis ends in.
fn label<'a>(axis: &'a Axis, axes: &[Axis]) -> &'a str {
    let starts = axis.key.rmatch_indices('.').map(|(dot, _)| dot + 1).chain([0]);
    let mut suffixes = starts.map(|start| &axis.key[start..]);
    suffixes.find(|suffix| axes.iter().filter(|other| ends_in(&other.key, suffix)).count() == 1).unwrap_or(&axis.key)
}

/// Whether `suffix` is the last parts of `key`, or all of it.
fn ends_in(key: &str, suffix: &str) -> bool {
    key.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn axis_of<'a>(word: &str, axes: &'a [Axis]) -> Result<&'a Axis, String> {
    let mut meant = axes.iter().filter(|axis| ends_in(&axis.key, word));
    match (axes.iter().find(|axis| axis.key == word), meant.next(), meant.next()) {
        (Some(axis), ..) | (None, Some(axis), None) => Ok(axis),
        (None, Some(one), Some(other)) => {
            Err(format!("`{{{word}}}` may be `{}` or `{}`: write the whole key", one.key, other.key))
        }
        (None, None, _) => {
            let keys = axes.iter().flat_map(|axis| [axis.key.as_str(), label(axis, axes)]);
            let hint = nearest(word, keys).map(suggestion).unwrap_or_default();
            Err(format!("`{{{word}}}` is not a key of the grid{hint}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(written: Value) -> Vec<Axis> {
        let axis =
            |(key, values): (&String, &Value)| Axis { key: key.clone(), values: values.as_array().unwrap().clone() };
        written.as_object().unwrap().iter().map(axis).collect()
    }

    fn names(written: Value, template: Option<&str>) -> Vec<String> {
        named(&axes(written), template).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_key_is_shortened_as_far_as_axes_stay_apart() {
        let one = json!({"loss.n_local": [0, 8], "optim.lr": [0.001]});
        assert_eq!(names(one, None), ["n_local=0,lr=0.001", "n_local=8,lr=0.001"]);
        let same = json!({"head.hidden": [1], "a.b.size": [2], "c.b.size": [3], "size": [4]});
        assert_eq!(names(same, None), ["a.b.size=2,c.b.size=3,hidden=1,size=4"]);
    }

    #[test]
    fn long_names_and_names_of_several_arms_end_in_a_digest() {
        let long: Value = (0..7)
            .map(|i| (format!("section.some_rather_long_key_{i}"), json!([1, 2])))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let all = names(long.clone(), None);
        assert_eq!(all.len(), 128);
        assert!(
            all.iter().all(|name| name.len() == LONGEST_NAME && name.starts_with("some_rather_long_key_0=")),
            "{}",
            all[0]
        );
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 128);
        assert_eq!(all, names(long, None));

        let alike = names(json!({"init.weights": ["a/b", "a:b", "c"]}), None);
        assert!(alike[0].starts_with("weights=a_b-") && alike[1].starts_with("weights=a_b-"), "{alike:?}");
        assert!(alike[0] != alike[1] && alike[2] == "weights=c", "{alike:?}");
    }

    #[test]
    fn a_template_names_the_arms() {
        let grid = json!({"loss.n_local": [0, 8], "optim.lr": [0.001], "optim.wd": [0.1, 0.2]});
        let all = names(grid.clone(), Some("L{n_local}-wd{optim.wd}"));
        assert_eq!(all, ["L0-wd0.1", "L0-wd0.2", "L8-wd0.1", "L8-wd0.2"]);
        for (template, message) in [
            ("L{n_local}", "arms that differ only in `optim.wd` would have the same name: write `{wd}` in it"),
            ("L{n_locl}-{wd}", "`{n_locl}` is not a key of the grid; did you mean `n_local`?"),
            ("L{n_local", "a `{` is never closed: write `{key}`"),
        ] {
            assert_eq!(named(&axes(grid.clone()), Some(template)).unwrap_err(), message);
        }
        let two = axes(json!({"a.size": [1], "b.size": [2]}));
        let error = named(&two, Some("{size}")).unwrap_err();
        assert_eq!(error, "`{size}` may be `a.size` or `b.size`: write the whole key");
    }

    #[test]
    fn a_grid_is_counted_without_building_it() {
        let hundred: Vec<u32> = (0..100).collect();
        let four = axes(json!({"a": hundred, "b": hundred, "c": hundred, "d": hundred}));
        assert_eq!(count(&four), 100_000_000);
        let many: Vec<Axis> = (0..12).flat_map(|_| four.clone()).collect();
        assert_eq!((count(&many), count(&[])), (u64::MAX, 0));
    }
}
