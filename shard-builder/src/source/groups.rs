//! Which images may not be parted by a split.
//!
//! The description's rule gives each image a group; images with the same bytes or the same pixels, and images known to
//! show the same field, then pull their groups together, across datasets too. The joined group bears the smallest name,
//! so the name depends on what is in the build and on nothing else.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use regex::Regex;

use super::beside::{Claims, Neighbour};
use super::describe::{GroupRule, ImageKey, Source};
use super::files::{Root, folder_of, inside};
use super::labels::{read, row_name, table_key};
use super::others::Others;
use super::{labels_csv, text};

/// The group rule of one dataset, with its table read once.
#[derive(Debug)]
pub(crate) struct GroupBook<'a> {
    source: &'a str,
    rule: &'a GroupRule,
    pattern: Option<Regex>,
    table: HashMap<String, Result<String, String>>,
    /// Place of the table.
    place: String,
    /// Rows of the table by the images that they belong to.
    claims: Claims,
}

impl<'a> GroupBook<'a> {
    /// Reads the table that the rule names. `images` are all that the description includes, so that a name of two of them is known, as
    /// are those of `neighbours`, and `others`.
    ///
    /// # Errors
    /// A table that cannot be read or lacks a column.
    pub(crate) fn open(
        source: &'a Source,
        root: &Root,
        images: &[String],
        neighbours: &[Neighbour<'_>],
        others: &Others<'_>,
    ) -> Result<Self> {
        let mut book = Self {
            source: &source.name,
            rule: &source.group,
            pattern: None,
            table: HashMap::new(),
            place: String::new(),
            claims: Claims::default(),
        };
        match &source.group {
            GroupRule::Pattern { pattern } => {
                book.pattern = Some(Regex::new(pattern).with_context(|| format!("pattern `{pattern}`"))?);
            }
            GroupRule::Csv { file, image, group, key } => {
                book.table = labels_csv::texts(&read(root, file)?, file, image, group, *key)?;
                let place = root.place(inside(file).unwrap_or_default());
                let claim = |image: &str, key: ImageKey| Some(row_name(&place, &table_key(image, key)?));
                book.claims = Claims::of(images, |image| claim(image, *key));
                for Neighbour { source, images } in neighbours {
                    if let GroupRule::Csv { file: other, key, .. } = &source.group
                        && inside(other) == inside(file)
                    {
                        book.claims.add(images, |image| claim(image, *key));
                    }
                }
                book.claims.add_others(others, |image| claim(image, *key));
                book.place = place;
            }
            _ => {}
        }
        Ok(book)
    }

    /// The group of an image, `dataset/value`. An image that the rule does not cover has none: taking it for a group of
    /// its own could part it from its patient, so it is not used. The error is that reason.
    pub(crate) fn group_of(&self, image: &str) -> Result<String, String> {
        let value = match self.rule {
            GroupRule::Image => image,
            GroupRule::Constant { value } => value,
            GroupRule::Folder { up } => folder_of(image, *up).ok_or("no folder that many levels up gives its group")?,
            GroupRule::Pattern { .. } => self
                .pattern
                .as_ref()
                .and_then(|pattern| pattern.captures(image))
                .and_then(|captures| captures.get(1))
                .ok_or("the group pattern does not match")?
                .as_str(),
            GroupRule::Csv { key, .. } => self.in_table(image, *key)?,
        };
        Ok(format!("{}/{value}", self.source))
    }

    fn in_table(&self, image: &str, key: ImageKey) -> Result<&str, String> {
        let key = table_key(image, key).filter(|key| self.table.contains_key(key));
        let key = key.ok_or("no row in the table of groups")?;
        if let Some(several) = self.claims.several(&row_name(&self.place, &key)) {
            let apart = "tell them apart by their paths (`key: path`)";
            return Err(format!("`{key}` in the table of groups may be any of {several}; {apart}"));
        }
        match &self.table[&key] {
            Ok(group) if group.is_empty() => Err("its row in the table of groups names none".to_owned()),
            Ok(group) => text::plain(group).map(|()| group.as_str()).map_err(|reason| format!("its group {reason}")),
            Err(reason) => Err(reason.clone()),
        }
    }
}

/// Joins groups that share anything. The order of joining does not matter.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    parent: BTreeMap<String, String>,
}

impl Joined {
    /// The smallest name among all groups joined with `group`.
    pub(crate) fn name<'a>(&'a self, group: &'a str) -> &'a str {
        let mut name = group;
        while let Some(parent) = self.parent.get(name) {
            name = parent;
        }
        name
    }

    /// Joins two groups.
    pub(crate) fn join(&mut self, a: &str, b: &str) {
        let (a, b) = (self.name(a).to_owned(), self.name(b).to_owned());
        match a.cmp(&b) {
            std::cmp::Ordering::Less => drop(self.parent.insert(b, a)),
            std::cmp::Ordering::Greater => drop(self.parent.insert(a, b)),
            std::cmp::Ordering::Equal => {}
        }
    }

    /// Joins the groups of all items that have the same key.
    pub(crate) fn join_equal<'a, K: std::hash::Hash + Eq>(&mut self, items: impl IntoIterator<Item = (K, &'a str)>) {
        let mut first: HashMap<K, &str> = HashMap::new();
        for (key, group) in items {
            match first.get(&key) {
                Some(before) => self.join(before, group),
                None => drop(first.insert(key, group)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_groups_bear_the_smallest_name_in_any_order() {
        let pairs = [("b", "c"), ("d", "e"), ("c", "e"), ("x", "y")];
        let mut names = Vec::new();
        for turn in 0..pairs.len() {
            let mut joined = Joined::default();
            let mut pairs = pairs;
            pairs.rotate_left(turn);
            for (a, b) in pairs {
                joined.join(b, a);
            }
            names.push(["b", "c", "d", "e", "x", "y", "z"].map(|group| joined.name(group).to_owned()));
        }
        assert!(names.iter().all(|row| *row == ["b", "b", "b", "b", "x", "x", "z"]), "{names:?}");
    }

    #[test]
    fn equal_keys_join() {
        let mut joined = Joined::default();
        joined.join_equal([(1, "q"), (2, "r"), (1, "p")]);
        assert_eq!((joined.name("q"), joined.name("r")), ("p", "r"));
    }
}
