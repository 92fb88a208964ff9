//! One dataset that is several sources: a table says to which part each slide, camera or hospital belongs.
//!
//! A description with `parts` stands for one source for each part, with the same rules: `NAME.PART`. They are then as any sources: a
//! split leaves one out, weights name one. Each image is in one part, and one that the table does not place is reported by the
//! first part.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::describe::Source;

/// To which part an image belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parts {
    /// A regular expression with one capture group, on the path.
    pub(crate) pattern: String,
    /// What is captured, and the part that it belongs to.
    pub(crate) table: BTreeMap<String, String>,
}

impl Parts {
    /// # Errors
    /// A part whose name could not be that of a source.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            !self.table.is_empty(),
            "parts.table: names no part; write a line such as `7: camera-2` for each slide"
        );
        for part in self.table.values() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            ensure!(
                !part.is_empty() && part.chars().all(plain),
                "parts.table: `{part}` may hold lower-case letters, digits, `-` and `_` only, because it names a source"
            );
        }
        Ok(())
    }
}

/// Which part of a dataset a source is. No part of its description: it follows from its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The dataset, which names the folder.
    pub(crate) dataset: String,
    /// The part.
    pub(crate) name: String,
    /// Whether it reports what belongs to no part.
    pub(crate) first: bool,
}

/// What a part does with a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is its own.
    Own,
    /// It is another part's.
    Other,
    /// The table names no part for it, and this part is the one to say so.
    Nowhere(String),
}

/// The parts of a dataset ready to be asked.
#[derive(Debug)]
pub(crate) struct PartBook<'a> {
    parts: Option<(&'a Parts, &'a Part, Regex)>,
}

impl<'a> PartBook<'a> {
    /// # Errors
    /// A pattern that is none.
    pub(crate) fn open(source: &'a Source) -> Result<Self> {
        let (Some(parts), Some(part)) = (&source.parts, &source.part) else { return Ok(Self { parts: None }) };
        Ok(Self { parts: Some((parts, part, Regex::new(&parts.pattern)?)) })
    }

    /// Whether this source reports the files of the dataset that are no images.
    pub(crate) fn reports(&self) -> bool {
        self.parts.as_ref().is_none_or(|(_, part, _)| part.first)
    }

    /// Where an image belongs.
    pub(crate) fn place(&self, path: &str) -> Place {
        let Some((parts, part, pattern)) = &self.parts else { return Place::Own };
        let captured = pattern.captures(path).and_then(|found| found.get(1)).map(|found| found.as_str());
        match captured.and_then(|key| parts.table.get(key)) {
            Some(of) if *of == part.name => Place::Own,
            Some(_) => Place::Other,
            None if !part.first => Place::Other,
            None => Place::Nowhere(match captured {
                Some(key) => format!("parts.table names no part for `{key}`"),
                None => "its path does not match parts.pattern, so it is in no part".to_owned(),
            }),
        }
    }
}

/// The sources for which a description stands: itself, or one for each part.
pub(crate) fn split(source: Source) -> Vec<Source> {
    let Some(parts) = &source.parts else { return vec![source] };
    let names: BTreeSet<String> = parts.table.values().cloned().collect();
    let of = |(number, name): (usize, String)| Source {
        name: format!("{}.{name}", source.name),
        part: Some(Part { dataset: source.name.clone(), name, first: number == 0 }),
        ..source.clone()
    };
    names.into_iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(table: &str) -> Result<Vec<Source>> {
        let text = format!(
            "name: cells\ntitle: t\nhome: h\nlicence: MIT\ncitation: c\nmodality: m\nmembership: candidate\n\
             images: {{include: ['**/*.png']}}\nparts: {{pattern: 'Slide (\\d+)', table: {table}}}\n"
        );
        Source::parse(&text, "test").map(split)
    }

    #[test]
    fn each_image_is_in_one_part_and_what_is_in_none_is_told_once() {
        let sources = sources("{1: north, 2: south, 3: north}").expect("parts");
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["cells.north", "cells.south"]);
        let places = |path: &str| -> Vec<Place> {
            sources.iter().map(|source| PartBook::open(source).expect("a pattern").place(path)).collect()
        };
        assert_eq!(places("a/Slide 3 (1,2).png"), [Place::Own, Place::Other]);
        assert_eq!(places("a/Slide 2 (1,2).png"), [Place::Other, Place::Own]);
        for (path, words) in [("a/Slide 12.png", "`12`"), ("a/12.png", "does not match")] {
            let [Place::Nowhere(why), Place::Other] = &places(path)[..] else { panic!("{path}: {:?}", places(path)) };
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
