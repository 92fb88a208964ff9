//! What a folder, a pattern, a side file or a table says about an image.
//!
//! Nothing here stops a build: a line that cannot be understood is an issue with its place, for the report. Coordinates
//! are pixels of the upright image (EXIF rotation applied), origin at the top left.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, anyhow};
use regex::Regex;

use super::describe::{BoxColumns, ImageKey, LabelRule, Source, Units};
use super::files::{Root, folder_of, name_of, stem_of};
use super::{labels_csv, labels_voc};

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
    table: HashMap<String, Vec<Entry>>,
    key: ImageKey,
}

/// A row of a table about one image.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: String,
    pub(crate) place: Option<Shape>,
    pub(crate) label: Result<String, String>,
}

impl<'a> LabelBook<'a> {
    /// Reads the tables that the rule names.
    ///
    /// # Errors
    /// A table that cannot be read or lacks a column.
    pub(crate) fn open(source: &'a Source, root: &'a Root) -> Result<Self> {
        let mut book = Self {
            rule: &source.label,
            map: &source.labels,
            root,
            pattern: None,
            table: HashMap::new(),
            key: ImageKey::Name,
        };
        match &source.label {
            LabelRule::Pattern { pattern } => {
                book.pattern = Some(Regex::new(pattern).with_context(|| format!("pattern `{pattern}`"))?);
            }
            LabelRule::CsvBoxes { file, columns, units: _, key } => {
                book.key = *key;
                book.table = labels_csv::boxes(&read(root, file)?, file, columns, *key)?;
            }
            LabelRule::CsvClass { file, image, class, key } => {
                book.key = *key;
                book.table = labels_csv::classes(&read(root, file)?, file, image, class, *key)?;
            }
            _ => {}
        }
        Ok(book)
    }

    /// What is known of `image`, which is `width` × `height` pixels, and what could not be understood.
    pub(crate) fn look_up(&self, image: &str, width: u32, height: u32) -> (Known, Vec<Issue>) {
        match self.rule {
            LabelRule::None => (Known::Nothing("the source has no labels".to_owned()), Vec::new()),
            LabelRule::Folder { up } => self.whole(folder_of(image, *up), "the image lies in no such folder"),
            LabelRule::Pattern { .. } => {
                let found = self.pattern.as_ref().and_then(|pattern| pattern.captures(image)).and_then(|c| c.get(1));
                self.whole(found.map(|label| label.as_str()), "the label pattern does not match")
            }
            LabelRule::Points { file } => self.side_file(image, file, points),
            LabelRule::Voc { file } => self.side_file(image, file, labels_voc::boxes),
            LabelRule::CsvBoxes { units, .. } => {
                let scale = match units {
                    Units::Pixels => (1.0, 1.0),
                    Units::Fractions => (f64::from(width), f64::from(height)),
                };
                let rows = table_key(image, self.key).and_then(|key| self.table.get(&key));
                match rows {
                    None => (Known::Nothing("no row in the table".to_owned()), Vec::new()),
                    Some(rows) => {
                        self.marks(rows.iter().cloned().map(|row| scaled(row, scale)).collect(), "no usable row")
                    }
                }
            }
            LabelRule::CsvClass { .. } => {
                let rows = table_key(image, self.key).and_then(|key| self.table.get(&key));
                match rows.map(Vec::as_slice) {
                    None | Some([]) => (Known::Nothing("no row in the table".to_owned()), Vec::new()),
                    Some([row]) => match &row.label {
                        Ok(label) => self.whole(Some(label), ""),
                        Err(reason) => (Known::Nothing(reason.clone()), Vec::new()),
                    },
                    Some(rows) => (Known::Nothing(format!("{} rows in the table", rows.len())), Vec::new()),
                }
            }
        }
    }

    fn whole(&self, label: Option<&str>, missing: &str) -> (Known, Vec<Issue>) {
        match label.map(|label| self.mapped(label)) {
            None => (Known::Nothing(missing.to_owned()), Vec::new()),
            Some(Ok(label)) => (Known::Whole(label), Vec::new()),
            Some(Err(reason)) => (Known::Nothing(reason), Vec::new()),
        }
    }

    fn side_file(&self, image: &str, file: &str, parse: fn(&str) -> Result<Vec<Entry>, String>) -> (Known, Vec<Issue>) {
        let path = file.replace("{stem}", stem_of(image));
        let bytes = match self.root.read(&path, LABEL_FILE_LIMIT) {
            Ok(bytes) => bytes,
            Err(reason) => return (Known::Nothing(format!("label file {path}: {reason}")), Vec::new()),
        };
        match parse(&String::from_utf8_lossy(&bytes)) {
            Ok(entries) => self.marks(entries, &format!("label file {path} names no cell")),
            Err(reason) => (Known::Nothing(format!("label file {path}: {reason}")), Vec::new()),
        }
    }

    fn marks(&self, entries: Vec<Entry>, empty: &str) -> (Known, Vec<Issue>) {
        let mut marks = Vec::new();
        let mut issues = Vec::new();
        for entry in entries {
            match (entry.label.and_then(|label| self.mapped(&label)), entry.place) {
                (Ok(label), Some(shape)) => marks.push(Mark { shape, label, at: entry.at }),
                (Ok(_), None) => issues.push(Issue { at: entry.at, reason: "has no place".to_owned() }),
                (Err(reason), _) => issues.push(Issue { at: entry.at, reason }),
            }
        }
        if marks.is_empty() { (Known::Nothing(empty.to_owned()), issues) } else { (Known::Marks(marks), issues) }
    }

    fn mapped(&self, label: &str) -> Result<String, String> {
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
        _ => Some(text.to_owned()),
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

fn scaled(mut entry: Entry, (sx, sy): (f64, f64)) -> Entry {
    if let Some(Shape::Box { x0, y0, x1, y1 }) = entry.place {
        entry.place = Some(Shape::Box { x0: x0 * sx, y0: y0 * sy, x1: x1 * sx, y1: y1 * sy });
    }
    entry
}

/// Lines of `x y class`. Empty lines are passed over.
fn points(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = format!("line {}", index + 1);
        let number = |word: &str| word.parse::<f64>().ok().filter(|value| value.is_finite());
        match words.as_slice() {
            [] => {}
            [x, y, class] => match (number(x), number(y)) {
                (Some(x), Some(y)) => {
                    entries.push(Entry { at, place: Some(Shape::Point { x, y }), label: Ok((*class).to_owned()) });
                }
                _ => entries.push(Entry { at, place: None, label: Err("coordinates are no numbers".to_owned()) }),
            },
            _ => entries.push(Entry { at, place: None, label: Err("not of the form `x y class`".to_owned()) }),
        }
    }
    Ok(entries)
}

/// The box that four texts describe.
pub(crate) fn box_of(corners: [&str; 4]) -> Option<Shape> {
    let mut numbers = [0.0; 4];
    for (number, text) in numbers.iter_mut().zip(corners) {
        *number = text.trim().parse::<f64>().ok().filter(|value| value.is_finite())?;
    }
    let [x0, y0, x1, y1] = numbers;
    Some(Shape::Box { x0, y0, x1, y1 })
}

/// The columns of a box, in the order that [`box_of`] takes, then image and label.
pub(crate) fn box_columns(columns: &BoxColumns) -> [&str; 6] {
    [&columns.xmin, &columns.ymin, &columns.xmax, &columns.ymax, &columns.image, &columns.label]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_points_keep_their_place_in_the_file() {
        let entries = points("1 2 0\n\nx 2 0\n1 2\n 5.5 6 burr \n").expect("points");
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[0].place, Some(Shape::Point { x: 1.0, y: 2.0 }));
        assert_eq!((entries[1].at.as_str(), entries[1].label.is_err()), ("line 3", true));
        assert!(entries[2].label.is_err());
        assert_eq!((entries[3].at.as_str(), entries[3].label.as_deref()), ("line 5", Ok("burr")));
    }

    #[test]
    fn a_number_names_an_image_with_leading_zeros() {
        assert_eq!(table_key("Dataset 1/007.bmp", ImageKey::Number), column_key("7", ImageKey::Number));
        assert_eq!(table_key("a/x.bmp", ImageKey::Number), None);
    }
}
