//! What a folder, a pattern, a side file or a table says about an image.
//!
//! Nothing here stops a build: a line that cannot be understood is an issue with its place, for the report. Coordinates
//! are pixels of the upright image (EXIF rotation applied), origin at the top left.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail};
use regex::Regex;

use super::beside::{Claims, Neighbour, path_of};
use super::describe::{ImageKey, LabelRule, Source, Units};
use super::files::{Root, folder_of, name_of, stem_of};
use super::labels_csv::Table;
use super::labels_place::{Said, of_this_size, scaled};
use super::labels_points::points;
use super::others::Others;
use super::{labels_voc, text};

/// Largest label file that is read, in bytes.
pub(crate) const LABEL_FILE_LIMIT: u64 = 256 << 20;

/// Where a mark lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// A point, about the centre of a cell.
    Point {
        /// Column, px.
        x: f64,
        /// Row, px.
        y: f64,
    },
    /// A box around a cell.
    Box {
        /// Left edge, px.
        x0: f64,
        /// Top edge, px.
        y0: f64,
        /// Right edge, px.
        x1: f64,
        /// Bottom edge, px.
        y1: f64,
    },
}

/// A labelled place in an image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// Where.
    pub(crate) shape: Shape,
    /// What, after the label map.
    pub(crate) label: String,
    /// Where the label stands: `line 3`, `object 2`.
    pub(crate) at: String,
}

/// A label that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    /// Where the label stands.
    pub(crate) at: String,
    /// The reason, for the report.
    pub(crate) reason: String,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known {
    /// Nothing, for this reason.
    Nothing(String),
    /// A label for the whole image.
    Whole(String),
    /// Labelled places; never empty.
    Marks(Vec<Mark>),
}

/// The labels of one dataset, with its tables read once.
#[derive(Debug)]
pub(crate) struct LabelBook<'a> {
    rule: &'a LabelRule,
    map: &'a BTreeMap<String, Option<String>>,
    root: &'a Root,
    pattern: Option<Regex>,
    /// By place ([`Root::place`]); a table of its own for each folder may be missing.
    tables: BTreeMap<String, Result<Table, String>>,
    key: ImageKey,
    /// Side files, or rows of tables, by the images that they belong to.
    claims: Claims,
}

/// A label as a file has it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where it stands.
    pub(crate) at: String,
    pub(crate) place: Option<Shape>,
    pub(crate) label: Result<String, String>,
    /// The size of the image, where the file says it.
    pub(crate) size: Said,
}

impl<'a> LabelBook<'a> {
    /// Reads the tables that the rule names. `images` are all that the description includes, so that a name of two of them is known, as
    /// are those of `neighbours`, and `others`.
    ///
    /// # Errors
    /// A table that cannot be read or lacks a column.
    pub(crate) fn open(
        source: &'a Source,
        root: &'a Root,
        images: &[String],
        neighbours: &[Neighbour<'_>],
        others: &Others<'_>,
    ) -> Result<Self> {
        let mut book = Self {
            rule: &source.label,
            map: &source.labels,
            root,
            pattern: None,
            tables: BTreeMap::new(),
            key: ImageKey::Name,
            claims: Claims::default(),
        };
        book.claims = Claims::of(images, |image| claim(&source.label, root, image));
        for Neighbour { source, images } in neighbours {
            book.claims.add(images, |image| claim(&source.label, root, image));
        }
        book.claims.add_others(others, |image| claim(&source.label, root, image));
        match &source.label {
            LabelRule::Pattern { pattern } => {
                book.pattern = Some(Regex::new(pattern).with_context(|| format!("pattern `{pattern}`"))?);
            }
            LabelRule::CsvBoxes { file, key, .. } | LabelRule::CsvClass { file, key, .. } => {
                book.key = *key;
                let named = !file.contains('{');
                let of_images = images.iter().filter_map(|image| place(file, root, image));
                let own = named.then(|| place(file, root, "")).flatten();
                for path in of_images.chain(own).collect::<BTreeSet<_>>() {
                    book.read_table(path, named)?;
                }
            }
            LabelRule::None | LabelRule::Folder { .. } | LabelRule::Points { .. } | LabelRule::Voc { .. } => {}
        }
        Ok(book)
    }

    /// Reads the table at `path`. One that the description names must be there; one of a folder may be missing.
    fn read_table(&mut self, path: String, named: bool) -> Result<()> {
        let bytes = match self.root.read(&path, LABEL_FILE_LIMIT) {
            Ok(bytes) => bytes,
            Err(reason) if named => bail!("table {path}: {reason}; put it there or change the source description"),
            Err(reason) => {
                self.tables.insert(path, Err(reason));
                return Ok(());
            }
        };
        let table = match self.rule {
            LabelRule::CsvBoxes { columns, .. } => Table::boxes(&bytes, &path, columns, self.key)?,
            LabelRule::CsvClass { image, class, .. } => Table::classes(&bytes, &path, image, class, self.key)?,
            _ => return Ok(()),
        };
        self.tables.insert(path, Ok(table));
        Ok(())
    }

    /// The rows of tables that are about no image, by what they call it.
    pub(crate) fn strays(&self) -> BTreeMap<String, Vec<Issue>> {
        let mut strays: BTreeMap<String, Vec<Issue>> = BTreeMap::new();
        for (path, table) in &self.tables {
            for (name, issue) in
                table.iter().flat_map(|table| table.strays(|key| self.claims.holds(&row_name(path, key))))
            {
                strays.entry(name).or_default().push(issue);
            }
        }
        strays
    }

    /// What is known of `image`, which is `width` × `height` pixels, and what could not be understood.
    pub(crate) fn look_up(&self, image: &str, width: u32, height: u32) -> (Known, Vec<Issue>) {
        let size = (f64::from(width), f64::from(height));
        match self.rule {
            LabelRule::None => nothing("the source has no labels"),
            LabelRule::Folder { up } => self.whole(folder_of(image, *up), "the image lies in no such folder"),
            LabelRule::Pattern { .. } => {
                let found = self.pattern.as_ref().and_then(|pattern| pattern.captures(image)).and_then(|c| c.get(1));
                self.whole(found.map(|label| label.as_str()), "the label pattern does not match")
            }
            LabelRule::Points { file } => self.side_file(image, file, size, points),
            LabelRule::Voc { file } => self.side_file(image, file, size, labels_voc::boxes),
            LabelRule::CsvBoxes { file, units, .. } => {
                let scale = match units {
                    Units::Pixels => (1.0, 1.0),
                    Units::Fractions => size,
                };
                match self.rows(image, file) {
                    Err(unknown) => unknown,
                    Ok(rows) => {
                        let rows = rows.iter().cloned().map(|row| scaled(row, scale)).collect();
                        self.marks(rows, size, "the table")
                    }
                }
            }
            LabelRule::CsvClass { file, .. } => match self.rows(image, file) {
                Err(unknown) => unknown,
                Ok(rows) => self.class(rows),
            },
        }
    }

    /// The rows of a table that are about `image` and about no other.
    fn rows(&self, image: &str, file: &str) -> Result<&[Entry], (Known, Vec<Issue>)> {
        let path = path_of(file, image).map_err(|reason| nothing(&format!("table {reason}")))?;
        let path = self.root.place(path);
        let table = match self.tables.get(&path) {
            Some(Ok(table)) => table,
            Some(Err(reason)) => return Err(nothing(&format!("table {path}: {reason}"))),
            None => return Err(nothing("no table")),
        };
        let Some(key) = table_key(image, self.key) else { return Err(nothing("its name is no number")) };
        let rows = table.of(&key);
        if rows.is_empty() {
            return Err(nothing("no row in the table"));
        }
        let Some(several) = self.claims.several(&row_name(&path, &key)) else { return Ok(rows) };
        let reason =
            format!("the table's `{key}` may be any of {several}; tell them apart by their paths (`key: path`)");
        let issues = rows.iter().map(|row| Issue { at: row.at.clone(), reason: reason.clone() }).collect();
        Err((Known::Nothing(reason), issues))
    }

    /// The label of an image from its rows, which must agree.
    fn class(&self, rows: &[Entry]) -> (Known, Vec<Issue>) {
        let mapped = |row: &Entry| row.label.clone().and_then(|label| self.mapped(&label));
        let first = rows.first().map_or_else(|| Err("no row in the table".to_owned()), mapped);
        let other = rows.iter().find(|row| mapped(row) != first);
        let issue = |row: &Entry, reason: String| Issue { at: row.at.clone(), reason };
        match (first, other) {
            (Ok(label), None) => {
                let repeats = rows.iter().skip(1).map(|row| issue(row, format!("repeats {}", rows[0].at)));
                (Known::Whole(label), repeats.collect())
            }
            (Err(reason), None) => {
                let unused = rows.iter().map(|row| issue(row, reason.clone())).collect();
                (Known::Nothing(reason), unused)
            }
            (_, Some(other)) => {
                let reason = format!("{} and {} contradict each other", rows[0].at, other.at);
                (Known::Nothing(reason.clone()), rows.iter().map(|row| issue(row, reason.clone())).collect())
            }
        }
    }

    fn whole(&self, label: Option<&str>, missing: &str) -> (Known, Vec<Issue>) {
        match label.map(|label| self.mapped(label)) {
            None => nothing(missing),
            Some(Ok(label)) => (Known::Whole(label), Vec::new()),
            Some(Err(reason)) => {
                let issue = Issue { at: "its path".to_owned(), reason: reason.clone() };
                (Known::Nothing(reason), vec![issue])
            }
        }
    }

    fn side_file(&self, image: &str, file: &str, size: (f64, f64), parse: Parse) -> (Known, Vec<Issue>) {
        let path = match path_of(file, image) {
            Ok(path) => path,
            Err(reason) => return nothing(&format!("label file {reason}")),
        };
        let unread = |reason: String| nothing(&format!("label file {path}: {reason}"));
        let bytes = match self.root.read(&path, LABEL_FILE_LIMIT) {
            Ok(bytes) => bytes,
            Err(reason) => return unread(reason),
        };
        if let Some(several) = self.claims.several(&self.root.place(path.clone())) {
            let reason = format!("may be of any of {several}; name it by `{{folder}}` or `{{name}}`");
            let issue = Issue { at: path.clone(), reason: reason.clone() };
            return (Known::Nothing(format!("label file {path} {reason}")), vec![issue]);
        }
        match text::labels(&bytes).and_then(|text| parse(&text)) {
            Ok(entries) => self.marks(entries, size, &format!("label file {path}")),
            Err(reason) => unread(reason),
        }
    }

    /// Labelled places of an image of `size`, from a file called `what`.
    fn marks(&self, entries: Vec<Entry>, size: (f64, f64), what: &str) -> (Known, Vec<Issue>) {
        let mut marks = Vec::new();
        let mut issues = Vec::new();
        for entry in entries {
            let label = entry.label.and_then(|label| self.mapped(&label));
            match (label.and_then(|label| of_this_size(entry.size, size).map(|()| label)), entry.place) {
                (Ok(label), Some(shape)) => marks.push(Mark { shape, label, at: entry.at }),
                (Ok(_), None) => issues.push(Issue { at: entry.at, reason: "has no place".to_owned() }),
                (Err(reason), _) => issues.push(Issue { at: entry.at, reason }),
            }
        }
        match issues.first() {
            _ if !marks.is_empty() => (Known::Marks(marks), issues),
            Some(first) => (Known::Nothing(format!("{what} gives no cell: {}", first.reason)), issues),
            None => (Known::Nothing(format!("{what} names no cell")), issues),
        }
    }

    fn mapped(&self, label: &str) -> Result<String, String> {
        if label.contains(text::UNREADABLE) {
            return Err(format!("label `{label}` holds bytes that are not UTF-8"));
        }
        text::plain(label).map_err(|reason| format!("label {reason}"))?;
        if self.map.is_empty() {
            return if label.is_empty() { Err("empty label".to_owned()) } else { Ok(label.to_owned()) };
        }
        match self.map.get(label) {
            Some(Some(name)) => Ok(name.clone()),
            Some(None) => Err(format!("label `{label}` is dropped by the label map")),
            None => Err(format!("label `{label}` is not in the label map")),
        }
    }
}

/// What reads a side file.
type Parse = fn(&str) -> Result<Vec<Entry>, String>;

fn nothing(reason: &str) -> (Known, Vec<Issue>) {
    (Known::Nothing(reason.to_owned()), Vec::new())
}

/// The place of the file that a template names for an image.
fn place(file: &str, root: &Root, image: &str) -> Option<String> {
    path_of(file, image).ok().map(|path| root.place(path))
}

/// The side file, or the rows of a table, that an image claims as its own by a rule.
fn claim(rule: &LabelRule, root: &Root, image: &str) -> Option<String> {
    match rule {
        LabelRule::Points { file } | LabelRule::Voc { file } => place(file, root, image),
        LabelRule::CsvBoxes { file, key, .. } | LabelRule::CsvClass { file, key, .. } => {
            Some(row_name(&place(file, root, image)?, &table_key(image, *key)?))
        }
        LabelRule::None | LabelRule::Folder { .. } | LabelRule::Pattern { .. } => None,
    }
}

/// What a table at `path` calls an image, among all tables.
pub(super) fn row_name(path: &str, key: &str) -> String {
    format!("{path}\n{key}")
}

/// The key under which a table files `image`.
pub(crate) fn table_key(image: &str, key: ImageKey) -> Option<String> {
    match key {
        ImageKey::Name => Some(name_of(image).to_owned()),
        ImageKey::Stem => Some(stem_of(image).to_owned()),
        ImageKey::Path => Some(image.to_owned()),
        ImageKey::Number => number_key(stem_of(image)),
    }
}

/// The key under which a table's own image column is filed.
pub(crate) fn column_key(text: &str, key: ImageKey) -> Option<String> {
    match key {
        ImageKey::Number => number_key(text),
        _ => Some(text.to_owned()).filter(|text| !text.is_empty()),
    }
}

fn number_key(text: &str) -> Option<String> {
    text.trim().parse::<u64>().ok().map(|number| number.to_string())
}

/// Reads a table inside a dataset whole.
///
/// # Errors
/// One sentence naming the table.
pub(crate) fn read(root: &Root, file: &str) -> Result<Vec<u8>> {
    root.read(file, LABEL_FILE_LIMIT)
        .map_err(|reason| anyhow!("table {file}: {reason}; put it there or change the source description"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_an_image_with_leading_zeros() {
        assert_eq!(table_key("Dataset 1/007.bmp", ImageKey::Number), column_key("7", ImageKey::Number));
        assert_eq!(table_key("a/x.bmp", ImageKey::Number), None);
    }
}
