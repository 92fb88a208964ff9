//! Which of our three kinds of YAML file a value is, for people who give one in place of another.

use serde_json::Value;

use crate::layer::ConfigError;

/// A kind of file that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// How a model is trained (`configs/train`).
    Training,
    /// Which arms are compared (`configs/sweeps`).
    Sweep,
    /// Where the images and labels of a dataset are (`configs/sources`).
    Source,
}

impl FileKind {
    /// The kind that `value` looks like, and the keys that say so. Keys of several kinds, or of none, say nothing.
    fn of(value: &Value) -> Option<(Self, &'static str)> {
        let has = |key: &&str| value.get(key).is_some();
        let all = |keys: &[&str]| keys.iter().all(has);
        match () {
            () if all(&["base", "shards"]) => Some((Self::Sweep, "`base` and `shards`")),
            () if all(&["images", "licence"]) => Some((Self::Source, "`images` and `licence`")),
            () if ["name", "base", "arms", "shards"].iter().any(has) => None,
            () => {
                let sections =
                    ["`model`", "`loss`", "`optim`", "`train`", "`teacher`", "`crops`", "`augmentation`"].into_iter();
                let found = sections.into_iter().find(|key| has(&key.trim_matches('`')))?;
                Some((Self::Training, found))
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Training => "a training configuration",
            Self::Sweep => "a sweep file",
            Self::Source => "the description of a source",
        }
    }

    /// Refuses a value of another kind.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] without a key: what is expected, what this is, and what to do with it where that is known.
    pub fn check(self, value: &Value) -> Result<(), ConfigError> {
        let Some((found, keys)) = Self::of(value).filter(|(found, _)| *found != self) else { return Ok(()) };
        let remedy = match (self, found) {
            (Self::Sweep, Self::Training) => ": name it as `base` of a sweep file",
            _ => "",
        };
        let message = format!("{} is expected, and this is {} (it has {keys}){remedy}", self.name(), found.name());
        Err(ConfigError::BadValue { what: String::new(), key: String::new(), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_is_told_from_the_others() {
        let files = [
            (FileKind::Training, json!({"model": {"dim": 96}, "seed": 1})),
            (FileKind::Sweep, json!({"name": "s", "base": "b.yaml", "shards": {}})),
            (FileKind::Source, json!({"name": "bccd", "images": {}, "licence": "MIT"})),
        ];
        for (kind, value) in &files {
            for (expected, _) in &files {
                assert_eq!(expected.check(value).is_ok(), expected == kind, "{value} where {expected:?} is expected");
            }
        }
        let error = FileKind::Source.check(&files[0].1).expect_err("a training configuration").to_string();
        assert!(
            error.contains(
                "the description of a source is expected, and this is a training configuration (it has `model`)"
            ),
            "{error}"
        );
        // What has nothing of any kind is left to the check of its keys.
        for value in [json!({}), json!({"colour": 1}), json!({"name": "s", "loss": {}}), json!([1]), json!(null)] {
            assert!(FileKind::Training.check(&value).is_ok() && FileKind::Source.check(&value).is_ok(), "{value}");
        }
    }
}
