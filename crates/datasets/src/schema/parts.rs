//! One dataset that is several sources: a table says to which part each slide, camera or hospital belongs.
//!
//! A description with `parts` stands for one source for each part, with the same rules: `NAME.PART`. They are sources like any other: a
//! split leaves one out, weights name one. Each image is in one part; the first part reports the images that the table puts in none.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use super::pattern;

/// To which part of the dataset an image belongs: `parts` of a description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// A regular expression with one capture group, on the path.
    pub pattern: String,
    /// Name of the part for each captured text.
    #[serde(default)]
    pub table: BTreeMap<String, String>,
    /// Instead of `table`: a CSV file beside the description, with a header and two columns, the captured text and the part. It is read
    /// with the description, which then holds its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
}

impl Parts {
    /// # Errors
    /// A pattern that cannot work, no part, a part whose name could not be that of a source.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        let wrong = |message: String| Err(RuleError::new("parts.table", message));
        if self.csv.is_some() {
            return match self.table.is_empty() {
                true => pattern::check("parts.pattern", &self.pattern),
                false => wrong("cannot be combined with `csv`; leave one out".to_owned()),
            };
        }
        if self.table.is_empty() {
            return wrong("names no part; write a line such as `7: camera-2` for each slide".to_owned());
        }
        for part in self.table.values() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            if part.is_empty() || !part.chars().all(plain) {
                let why = "may hold lower-case letters, digits, `-` and `_` only, because it names a source";
                return wrong(format!("`{part}` {why}"));
            }
        }
        pattern::check("parts.pattern", &self.pattern)
    }

    /// Takes the table out of `text`, the content of `csv`.
    ///
    /// # Errors
    /// A row without two columns, a text that stands in two rows, a table that cannot be used.
    pub(crate) fn fill(&mut self, text: &str) -> Result<(), RuleError> {
        let wrong = |message: String| RuleError::new("parts.csv", message);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let (Some(key), Some(part), 2) = (record.get(0), record.get(1), record.len()) else {
                return Err(wrong(format!("line {line}: two columns are expected, as in `7,camera-2`")));
            };
            if self.table.insert(key.to_owned(), part.to_owned()).is_some() {
                return Err(wrong(format!("line {line}: `{key}` stands in the table twice")));
            }
        }
        self.csv = None;
        self.check()
    }
}

/// Which part of a dataset a source is. A description does not hold it: it follows from the table of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetPart {
    /// Name of the dataset, which is that of its folder.
    pub dataset: String,
    /// Name of the part.
    pub name: String,
    /// Whether it reports what belongs to no part.
    pub is_first: bool,
}

/// To which part of a dataset a file belongs, as one part sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PartMatch {
    /// It is a file of this part.
    Own,
    /// It is a file of another part, or of none and another part reports it.
    Other,
    /// It is a file of no part, for this reason, and this part reports it.
    Nowhere(String),
}

/// Tells the files of a source from those of the other parts of its dataset.
#[derive(Debug)]
pub(crate) struct PartMatcher<'a> {
    parts: Option<(&'a Parts, &'a DatasetPart, Regex)>,
}

impl<'a> PartMatcher<'a> {
    /// For a part, given with the table of parts; for a dataset that is one source, to which all its files belong, `None`.
    ///
    /// # Errors
    /// A pattern that is not a regular expression.
    pub(crate) fn new(part: Option<(&'a Parts, &'a DatasetPart)>) -> Result<Self, RuleError> {
        let Some((parts, part)) = part else { return Ok(Self { parts: None }) };
        Ok(Self { parts: Some((parts, part, pattern::compile("parts.pattern", &parts.pattern)?)) })
    }

    /// Whether this source reports the files of the dataset that are not images.
    pub(crate) fn reports(&self) -> bool {
        self.parts.as_ref().is_none_or(|(_, part, _)| part.is_first)
    }

    /// To which part the image at `path` belongs.
    pub(crate) fn judge(&self, path: &str) -> PartMatch {
        let Some((parts, part, pattern)) = &self.parts else { return PartMatch::Own };
        let captured = pattern.captures(path).and_then(|found| found.get(1)).map(|found| found.as_str());
        match captured.and_then(|key| parts.table.get(key)) {
            Some(of) if *of == part.name => PartMatch::Own,
            Some(_) => PartMatch::Other,
            None if !part.is_first => PartMatch::Other,
            None => PartMatch::Nowhere(match captured {
                Some(key) => format!("parts.table names no part for `{key}`"),
                None => "its path does not match parts.pattern, so it is in no part".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::source::Source;

    fn sources(table: &str) -> Result<Vec<Source>, run_spec::layer::ConfigError> {
        let text = format!(
            "name: cells\ntitle: t\nhome: h\nlicence: MIT\ncitation: c\nmodality: m\nmembership: candidate\n\
             images: {{include: ['**/*.png']}}\nparts: {{pattern: 'Slide (\\d+)', table: {table}}}\n"
        );
        Source::parse(&text, "test").map(Source::split)
    }

    #[test]
    fn each_image_is_in_one_part_and_what_is_in_none_is_told_once() {
        let sources = sources("{1: north, 2: south, 3: north}").expect("parts");
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["cells.north", "cells.south"]);
        let matches = |path: &str| -> Vec<PartMatch> {
            sources.iter().map(|source| source.part_matcher().expect("a pattern").judge(path)).collect()
        };
        assert_eq!(matches("a/Slide 3 (1,2).png"), [PartMatch::Own, PartMatch::Other]);
        assert_eq!(matches("a/Slide 2 (1,2).png"), [PartMatch::Other, PartMatch::Own]);
        for (path, words) in [("a/Slide 12.png", "`12`"), ("a/12.png", "does not match")] {
            let [PartMatch::Nowhere(why), PartMatch::Other] = &matches(path)[..] else {
                panic!("{path}: {:?}", matches(path))
            };
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn parts_that_cannot_be_sources_are_refused() {
        for (table, words) in [("{}", "names no part"), ("{1: 'North Wing'}", "lower-case")] {
            let error = format!("{:#}", sources(table).expect_err("refused"));
            assert!(error.contains(words), "{error}");
        }
    }
}
