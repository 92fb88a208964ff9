//! How a table names an image: `key` of a rule that reads a table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use super::named_pattern::NamedPattern;
use super::paths::{name_of, stem_of};

/// How a table names an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ImageKey {
    /// By file name, with its ending.
    #[default]
    Name,
    /// By file name without its ending.
    Stem,
    /// By the file name without its ending, read as a number: `7` names `007.bmp`.
    Number,
    /// By the path inside the dataset.
    Path,
    /// By the file name at the end of a path, whatever folders it has there: `C:\smears\7.png` names `7.png`.
    Base,
    /// By the first characters of the file name, which may be those of many images: `P3C1` names `P3C1_cell_9.png`, and not
    /// `P3C10_cell_9.png`. The longest of several counts. For groups alone.
    Prefix,
    /// By what a pattern takes out of the path and, if need be, another one out of the table's text.
    Pattern {
        /// A regular expression on the path inside the dataset, with a group `(?<image>…)`.
        path: NamedPattern,
        /// The same on the table's text, where it is not the same as it stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cell: Option<NamedPattern>,
    },
}

impl ImageKey {
    /// What a table calls the image at this path; `None` where the path has no such name.
    pub fn of_image(&self, image: &str) -> Option<String> {
        match self {
            Self::Name | Self::Base | Self::Prefix => Some(name_of(image).to_owned()),
            Self::Stem => Some(stem_of(image).to_owned()),
            Self::Path => Some(image.to_owned()),
            Self::Number => number(stem_of(image)),
            Self::Pattern { path, .. } => path.take(image),
        }
    }

    /// What a cell of the table's image column calls an image, in the form of [`Self::of_image`]; `None` where it names none.
    pub fn of_cell(&self, text: &str) -> Option<String> {
        match self {
            Self::Number => number(text),
            Self::Base => Some(name_of(&text.replace('\\', "/")).to_owned()).filter(|name| !name.is_empty()),
            Self::Pattern { cell: Some(cell), .. } => cell.take(text),
            _ => Some(text.to_owned()).filter(|text| !text.is_empty()),
        }
    }

    /// Checks the key, the value of `key`.
    ///
    /// # Errors
    /// A pattern that cannot work.
    pub(crate) fn check(&self, key: &str) -> Result<(), RuleError> {
        let Self::Pattern { path, cell } = self else { return Ok(()) };
        path.check(&format!("{key}.pattern.path"))?;
        cell.as_ref().map_or(Ok(()), |cell| cell.check(&format!("{key}.pattern.cell")))
    }
}

fn number(text: &str) -> Option<String> {
    text.trim().parse::<u64>().ok().map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_an_image_with_leading_zeros() {
        assert_eq!(ImageKey::Number.of_image("Dataset 1/007.bmp"), ImageKey::Number.of_cell("7"));
        assert_eq!(ImageKey::Number.of_image("a/x.bmp"), None);
    }

    #[test]
    fn patterns_find_what_a_path_and_a_table_have_in_common() {
        let key: ImageKey = serde_json::from_str(
            r#"{"pattern": {"path": "S(?<image>\\d+_F\\d+)\\.png$", "cell": "^slide (?<image>.*)$"}}"#,
        )
        .expect("a key");
        assert_eq!(key.of_image("x/S7_F3.png").as_deref(), Some("7_F3"));
        assert_eq!(key.of_cell("slide 7_F3").as_deref(), Some("7_F3"));
        assert_eq!((key.of_image("x/7.png"), key.of_cell("7_F3")), (None, None));
        key.check("label.key").expect("it works");
        assert!(serde_json::from_str::<ImageKey>(r#"{"pattern": {"cell": "x"}}"#).is_err());
        for (wrong, why) in [("(", "not a regular expression"), ("S(\\d+)", "`(?<image>…)`")] {
            let json = serde_json::json!({"pattern": {"path": wrong}});
            let key: ImageKey = serde_json::from_value(json).expect("a key");
            let error = key.check("label.key").expect_err("refused").to_string();
            assert!(error.contains("label.key.pattern.path") && error.contains(why), "{error}");
            assert_eq!(key.of_image("S7.png"), None);
        }
        assert_eq!(serde_json::to_string(&ImageKey::Base).expect("JSON"), "\"base\"");
    }
}
