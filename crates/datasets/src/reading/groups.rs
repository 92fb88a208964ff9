//! Which images belong together in a split, by the rule of their description.

use std::collections::HashMap;

use regex::Regex;

use super::claims::{Claims, DatasetImages, row_of};
use super::labels::{TableFile, read_table, texts};
use super::root::Root;
use crate::error::DatasetError;
use crate::schema::{GroupRule, ImageKey, Source, compile_pattern, folder_of, inside, text};

/// The group rule of one dataset, with its table read once.
#[derive(Debug)]
pub(crate) struct GroupBook<'a> {
    source: &'a str,
    rule: &'a GroupRule,
    pattern: Option<Regex>,
    table: HashMap<String, Result<String, String>>,
    /// Path of the table, with links followed.
    table_path: String,
    /// Rows of the table by the images that they belong to.
    claims: Claims,
}

impl<'a> GroupBook<'a> {
    /// Reads the table that the rule names. `images` are all to which its rows may belong.
    ///
    /// # Errors
    /// A table that cannot be read or lacks a column.
    pub(crate) fn open(source: &'a Source, root: &Root, images: DatasetImages<'_>) -> Result<Self, DatasetError> {
        let mut book = Self {
            source: &source.name,
            rule: &source.group,
            pattern: None,
            table: HashMap::new(),
            table_path: String::new(),
            claims: Claims::default(),
        };
        match &source.group {
            GroupRule::Pattern { pattern } => book.pattern = Some(compile_pattern("group.pattern", pattern)?),
            GroupRule::Csv { file, image, group, key, table: form, also } => {
                for path in also.iter().chain([file]) {
                    let table = TableFile { bytes: &read_table(root, path)?, path, form };
                    let table = texts(table, [image, group], key);
                    book.add(table.map_err(|error| DatasetError::Table { file: path.clone(), error })?, path);
                }
                book.claims = images.claims(source, |source, image| claim(source, root, image));
                book.table_path = root.canonical(inside(file).unwrap_or_default());
            }
            _ => {}
        }
        Ok(book)
    }

    /// Adds the rows of a table at `path`. Tables that contradict each other give no group.
    fn add(&mut self, table: HashMap<String, Result<String, String>>, path: &str) {
        for (key, group) in table {
            let before = self.table.get(&key).filter(|before| **before != group);
            let contradiction =
                before.map(|_| Err(format!("{path} and another table contradict each other about `{key}`")));
            self.table.insert(key, contradiction.unwrap_or(group));
        }
    }

    /// The row of a table that names the first characters of a file name. The longest of several counts, and none that ends within a
    /// number: `P1` does not name `P12_3.png`.
    fn prefix_of(&self, name: &str) -> Option<&str> {
        let is_digit = |character: Option<char>| character.is_some_and(|character| character.is_ascii_digit());
        let ends = name.char_indices().map(|(at, _)| at).skip(1).collect::<Vec<_>>();
        let whole =
            |at: &&usize| !(is_digit(name[..**at].chars().next_back()) && is_digit(name[**at..].chars().next()));
        let known = |at: &usize| self.table.get_key_value(&name[..*at]).map(|(key, _)| key.as_str());
        ends.iter().rev().filter(whole).find_map(known)
    }

    /// The group of an image, `dataset/value`. An image that the rule does not cover has none and is not used: as a group of its
    /// own it could land in another fold than its patient. The error is that reason.
    pub(crate) fn group_of(&self, image: &str) -> Result<String, String> {
        let value = match self.rule {
            GroupRule::Image => image,
            GroupRule::Constant { value } => value,
            GroupRule::Folder { up } => folder_of(image, *up).ok_or_else(|| no_folder(*up))?,
            GroupRule::Pattern { .. } => self
                .pattern
                .as_ref()
                .and_then(|pattern| pattern.captures(image))
                .and_then(|captures| captures.get(1))
                .ok_or("the group pattern does not match")?
                .as_str(),
            GroupRule::Csv { key, .. } => self.in_table(image, key)?,
        };
        Ok(format!("{}/{value}", self.source))
    }

    fn in_table(&self, image: &str, key: &ImageKey) -> Result<&str, String> {
        let name = key.of_image(image);
        let key = match key {
            ImageKey::Prefix => name.and_then(|name| self.prefix_of(&name).map(str::to_owned)),
            _ => name.filter(|name| self.table.contains_key(name)),
        };
        let key = key.ok_or("no row in the table of groups")?;
        if let Some(several) = self.claims.several(&row_of(&self.table_path, &key)) {
            let apart = "tell them apart by their paths (`key: path`)";
            return Err(format!("`{key}` in the table of groups could be any of {several}; {apart}"));
        }
        match &self.table[&key] {
            Ok(group) if group.is_empty() => Err("its row in the table of groups has no group".to_owned()),
            Ok(group) => text::plain(group).map(|()| group.as_str()).map_err(|reason| format!("its group {reason}")),
            Err(reason) => Err(reason.clone()),
        }
    }
}

/// Why an image has no group by the folder `up` levels above it.
fn no_folder(up: u32) -> String {
    let rule = format!("`group: {{ by: folder, up: {up} }}` gives it no group");
    let image = "if each image may stand alone, write `group: { by: image }`";
    match up {
        1 => {
            format!("it is in no folder, so {rule}: put the images of each patient or slide into a folder, or, {image}")
        }
        _ => format!("it has fewer than {up} folders above it, so {rule}: choose a smaller `up`, or, {image}"),
    }
}

/// The row of a table of groups that an image claims as its own.
fn claim(source: &Source, root: &Root, image: &str) -> Option<String> {
    let GroupRule::Csv { file, key, .. } = &source.group else { return None };
    if *key == ImageKey::Prefix {
        // Many images are meant by one row.
        return None;
    }
    Some(row_of(&root.canonical(inside(file).unwrap_or_default()), &key.of_image(image)?))
}
