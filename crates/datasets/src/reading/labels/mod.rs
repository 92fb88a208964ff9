//! The labels of an image: what a folder, a pattern, a side file or a table says about it.
//!
//! A line that cannot be understood is not an error: it is an issue with its place, for the report.

mod cell_files;
mod coco;
mod cvat;
mod decimal;
mod entry;
#[cfg(test)]
mod folder_tests;
mod geojson;
mod json;
mod labelme;
mod numbers;
mod objects;
mod outline;
mod place;
mod points;
mod quotes;
mod runs;
mod table;
#[cfg(test)]
mod tests;
mod via;
mod voc;
mod yolo;

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use segmentation::MOST_STEPS;

use self::cell_files::{CellFiles, CellLabel};
use self::entry::LabelEntry;
use self::numbers::{of_this_size, scaled};
use self::table::LabelTable;
pub(crate) use self::table::{TableFile, texts};
use super::claims::{Claims, DatasetImages, row_of};
use super::root::Root;
use super::text;
use crate::annotation::{Annotation, ImageLabels, LabelIssue};
use crate::error::{DatasetError, TableError};
use crate::schema::text::plain;
use crate::schema::{ImageKey, LabelRule, Source, Units, compile_pattern, folder_of, path_of};

/// Largest label file that is read, in bytes.
const LABEL_FILE_LIMIT: u64 = 256 << 20;

/// The labels of one dataset, with its tables read once.
#[derive(Debug)]
pub(crate) struct LabelBook<'a> {
    rule: &'a LabelRule,
    map: &'a BTreeMap<String, Option<String>>,
    root: &'a Root,
    pattern: Option<Regex>,
    /// By place ([`Root::canonical`]); a table of its own for each folder may be missing.
    tables: BTreeMap<String, Result<LabelTable, String>>,
    key: ImageKey,
    /// By place, the names of the classes that files of labels number.
    names: BTreeMap<String, Result<Vec<String>, String>>,
    /// Files of single cells, where the description names them.
    cell_files: Option<CellFiles>,
    /// Side files, or rows of tables, by the images that they belong to.
    claims: Claims,
}

impl<'a> LabelBook<'a> {
    /// Reads the tables that the rule names. `images` are all to which labels may belong.
    ///
    /// # Errors
    /// A table that cannot be read or lacks a column.
    pub(crate) fn open(source: &'a Source, root: &'a Root, images: DatasetImages<'_>) -> Result<Self, DatasetError> {
        let mut book = Self {
            rule: &source.label,
            map: &source.labels,
            root,
            pattern: None,
            tables: BTreeMap::new(),
            key: ImageKey::Name,
            names: BTreeMap::new(),
            cell_files: None,
            claims: images.claims(source, |source, image| claim(&source.label, root, image)),
        };
        if let LabelRule::Pattern { pattern } = &source.label {
            book.pattern = Some(compile_pattern("label.pattern", pattern)?);
        }
        if let Some((file, key)) = source.label.table() {
            book.key = key.clone();
            for path in shared_files(file, root, images) {
                book.add_table(path, !file.contains('{'))?;
            }
        }
        if let LabelRule::CellFiles { files, pattern, name } = &source.label {
            let label = CellLabel::new(pattern.as_deref(), name.as_deref())?;
            book.cell_files = Some(CellFiles::open(root, files, label, images.described)?);
        }
        if let LabelRule::Yolo { names: Some(file), .. } = &source.label {
            for path in shared_files(file, root, images) {
                let read = root.read(&path, LABEL_FILE_LIMIT).and_then(|bytes| yolo::names(&bytes, &path));
                if let (Err(reason), false) = (&read, file.contains('{')) {
                    return Err(DatasetError::Table {
                        file: path,
                        error: TableError::Unreadable { reason: reason.clone() },
                    });
                }
                book.names.insert(path, read);
            }
        }
        Ok(book)
    }

    /// Reads the table at `path`. One that the description names must be there; one of a folder may be missing.
    fn add_table(&mut self, path: String, is_named: bool) -> Result<(), DatasetError> {
        let bytes = match self.root.read(&path, LABEL_FILE_LIMIT) {
            Ok(bytes) => bytes,
            Err(reason) if is_named => {
                return Err(DatasetError::Table { file: path, error: TableError::Unreadable { reason } });
            }
            Err(reason) => {
                self.tables.insert(path, Err(reason));
                return Ok(());
            }
        };
        let table = match self.rule {
            LabelRule::CsvBoxes { columns, table: form, .. } => {
                LabelTable::boxes(TableFile { bytes: &bytes, path: &path, form }, columns, &self.key)
            }
            LabelRule::CsvClass { image, class, table: form, .. } => {
                LabelTable::classes(TableFile { bytes: &bytes, path: &path, form }, [image, class], &self.key)
            }
            LabelRule::CsvRuns { columns, order, first, name, table: form, .. } => {
                let file = TableFile { bytes: &bytes, path: &path, form };
                LabelTable::runs(file, columns, (*order, *first, name.as_deref()), &self.key)
            }
            LabelRule::Coco { key, .. } => filed(&bytes, key, |text| coco::entries(text, &path)),
            LabelRule::Cvat { key, .. } => filed(&bytes, key, |text| cvat::entries(text, &path)),
            LabelRule::Json { images, objects, columns, key, .. } => {
                let paths = objects::ObjectPaths { images, objects, columns };
                filed(&bytes, key, |text| objects::entries(text, &path, paths))
            }
            LabelRule::Via { attribute, key, .. } => filed(&bytes, key, |text| via::entries(text, &path, attribute)),
            _ => return Ok(()),
        };
        let table = table.map_err(|error| DatasetError::Table { file: path.clone(), error })?;
        self.tables.insert(path, Ok(table));
        Ok(())
    }

    /// The rows of tables that are about no image, by what they call it.
    pub(crate) fn strays(&self) -> BTreeMap<String, Vec<LabelIssue>> {
        let mut strays: BTreeMap<String, Vec<LabelIssue>> = BTreeMap::new();
        for (path, table) in &self.tables {
            for (name, issue) in
                table.iter().flat_map(|table| table.strays(|key| self.claims.holds(&row_of(path, key))))
            {
                strays.entry(name).or_default().push(issue);
            }
        }
        strays
    }

    /// The labels of `image`, which is `width` × `height` pixels, and what could not be understood.
    pub(crate) fn look_up(&self, image: &str, width: u32, height: u32) -> (ImageLabels, Vec<LabelIssue>) {
        let size = wide((width, height));
        match self.rule {
            LabelRule::None => nothing("the source has no labels"),
            LabelRule::Folder { up } => {
                self.whole(folder_of(image, *up), "it is in no folder whose name could be its label")
            }
            LabelRule::Pattern { .. } => {
                let found = self.pattern.as_ref().and_then(|pattern| pattern.captures(image)).and_then(|c| c.get(1));
                self.whole(found.map(|label| label.as_str()), "the label pattern does not match")
            }
            LabelRule::Points { file } => self.side_file(image, file, size, &points::points),
            LabelRule::Voc { file } => self.side_file(image, file, size, &voc::boxes),
            LabelRule::Labelme { file } => self.side_file(image, file, size, &labelme::shapes),
            LabelRule::Geojson { file } => self.side_file(image, file, size, &geojson::objects),
            LabelRule::Yolo { file, names } => match self.class_names(image, names.as_deref()) {
                Ok(names) => self.side_file(image, file, size, &|text: &str| yolo::lines(text, names, size)),
                Err(reason) => nothing(&reason),
            },
            LabelRule::ClassMask { file, background, least_px } => {
                self.class_mask(image, file, (width, height), (background, *least_px))
            }
            LabelRule::CellFiles { .. } => self.cells_of_files(image, (width, height)),
            LabelRule::Coco { file, .. }
            | LabelRule::Cvat { file, .. }
            | LabelRule::CsvRuns { file, .. }
            | LabelRule::Via { file, .. } => match self.rows(image, file) {
                Err(unknown) => unknown,
                Ok(rows) => self.annotations(rows.to_vec(), size, "the file of labels"),
            },
            LabelRule::CsvBoxes { file, units, .. } | LabelRule::Json { file, units, .. } => {
                let scale = match units {
                    Units::Pixels => (1.0, 1.0),
                    Units::Fractions => size,
                };
                match self.rows(image, file) {
                    Err(unknown) => unknown,
                    Ok(rows) => {
                        let rows = rows.iter().cloned().map(|row| scaled(row, scale)).collect();
                        self.annotations(rows, size, "the table")
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
    fn rows(&self, image: &str, file: &str) -> Result<&[LabelEntry], (ImageLabels, Vec<LabelIssue>)> {
        let path = path_of(file, image).map_err(|reason| nothing(&format!("table {reason}")))?;
        let path = self.root.canonical(path);
        let table = match self.tables.get(&path) {
            Some(Ok(table)) => table,
            Some(Err(reason)) => return Err(nothing(&format!("table {path}: {reason}"))),
            None => return Err(nothing("no table")),
        };
        let Some(key) = self.key.of_image(image) else { return Err(nothing("its name is not a number")) };
        let rows = table.of(&key);
        if rows.is_empty() {
            return Err(nothing("no row in the table"));
        }
        let Some(several) = self.claims.several(&row_of(&path, &key)) else { return Ok(rows) };
        let reason =
            format!("the table's `{key}` could be any of {several}; tell them apart by their paths (`key: path`)");
        let issues = rows.iter().map(|row| LabelIssue { at: row.at.clone(), reason: reason.clone() }).collect();
        Err((ImageLabels::Missing(reason), issues))
    }

    /// The label of an image from its rows, which must agree.
    fn class(&self, rows: &[LabelEntry]) -> (ImageLabels, Vec<LabelIssue>) {
        let mapped = |row: &LabelEntry| row.label.clone().and_then(|label| self.mapped(&label));
        let first = rows.first().map_or_else(|| Err("no row in the table".to_owned()), mapped);
        let other = rows.iter().find(|row| mapped(row) != first);
        let issue = |row: &LabelEntry, reason: String| LabelIssue { at: row.at.clone(), reason };
        match (first, other) {
            (Ok(label), None) => {
                let repeats = rows.iter().skip(1).map(|row| issue(row, format!("repeats {}", rows[0].at)));
                (ImageLabels::Whole(label), repeats.collect())
            }
            (Err(reason), None) => {
                let unused = rows.iter().map(|row| issue(row, reason.clone())).collect();
                (ImageLabels::Missing(reason), unused)
            }
            (_, Some(other)) => {
                let reason = format!("{} and {} contradict each other", rows[0].at, other.at);
                (ImageLabels::Missing(reason.clone()), rows.iter().map(|row| issue(row, reason.clone())).collect())
            }
        }
    }

    fn whole(&self, label: Option<&str>, missing: &str) -> (ImageLabels, Vec<LabelIssue>) {
        match label.map(|label| self.mapped(label)) {
            None => nothing(missing),
            Some(Ok(label)) => (ImageLabels::Whole(label), Vec::new()),
            Some(Err(reason)) => {
                let issue = LabelIssue { at: "its path".to_owned(), reason: reason.clone() };
                (ImageLabels::Missing(reason), vec![issue])
            }
        }
    }

    fn side_file(
        &self,
        image: &str,
        file: &str,
        size: (f64, f64),
        parse: ParseSideFile<'_>,
    ) -> (ImageLabels, Vec<LabelIssue>) {
        let (path, bytes) = match self.own_file(image, file) {
            Ok(found) => found,
            Err(unknown) => return unknown,
        };
        match text::labels(&bytes).and_then(|text| parse(&text)) {
            Ok(entries) => self.annotations(entries, size, &format!("label file {path}")),
            Err(reason) => nothing(&format!("label file {path}: {reason}")),
        }
    }

    /// The path and the bytes of the label file that is of `image` and of no other.
    fn own_file(&self, image: &str, file: &str) -> Result<(String, Vec<u8>), (ImageLabels, Vec<LabelIssue>)> {
        let path = path_of(file, image).map_err(|reason| nothing(&format!("label file {reason}")))?;
        let bytes = self.root.read(&path, LABEL_FILE_LIMIT);
        let bytes = bytes.map_err(|reason| nothing(&format!("label file {path}: {reason}")))?;
        let Some(several) = self.claims.several(&self.root.canonical(path.clone())) else { return Ok((path, bytes)) };
        let reason = format!("could belong to any of {several}; name it by `{{folder}}` or `{{name}}`");
        let issue = LabelIssue { at: path.clone(), reason: reason.clone() };
        Err((ImageLabels::Missing(format!("label file {path} {reason}")), vec![issue]))
    }

    /// The parts of the picture of classes that belongs to an image.
    fn class_mask(
        &self,
        image: &str,
        file: &str,
        size: (u32, u32),
        kept: (&[u32], u32),
    ) -> (ImageLabels, Vec<LabelIssue>) {
        let (path, bytes) = match self.own_file(image, file) {
            Ok(found) => found,
            Err(unknown) => return unknown,
        };
        match cell_files::class_entries(&bytes, &path, size, kept) {
            Ok(entries) => self.annotations(entries, wide(size), &format!("label file {path}")),
            Err(reason) => nothing(&format!("label file {path}: {reason}")),
        }
    }

    /// The cells of the files that belong to an image.
    fn cells_of_files(&self, image: &str, size: (u32, u32)) -> (ImageLabels, Vec<LabelIssue>) {
        let Some(files) = &self.cell_files else { return nothing("no files of cells") };
        let glob = match files.glob_of(image) {
            Ok(glob) => glob,
            Err(reason) => return nothing(&format!("label.files {reason}")),
        };
        if let Some(several) = self.claims.several(&glob) {
            return nothing(&format!(
                "files of cells {glob}: could belong to any of {several}; name them by `{{folder}}` or `{{stem}}`"
            ));
        }
        self.annotations(files.entries(self.root, &glob, size), wide(size), &format!("no file {glob}"))
    }

    /// Labelled places of an image of `size`, from a file called `what`.
    fn annotations(&self, entries: Vec<LabelEntry>, size: (f64, f64), what: &str) -> (ImageLabels, Vec<LabelIssue>) {
        let mut annotations = Vec::new();
        let mut issues = Vec::new();
        let mut steps = MOST_STEPS;
        for LabelEntry { at, geometry, outline, label, size: stated } in entries {
            let label = label.and_then(|label| self.mapped(&label));
            let label = label.and_then(|label| of_this_size(stated, size).map(|()| label));
            match label.and_then(|label| Ok((label, place::of(geometry, outline, size, &mut steps)?))) {
                Ok((label, (geometry, region))) => annotations.push(Annotation { geometry, region, label, at }),
                Err(reason) => issues.push(LabelIssue { at, reason }),
            }
        }
        match issues.first() {
            _ if !annotations.is_empty() => (ImageLabels::Annotations(annotations), issues),
            Some(first) => (ImageLabels::Missing(format!("{what} gives no cell: {}", first.reason)), issues),
            None => (ImageLabels::Missing(format!("{what} names no cell")), issues),
        }
    }

    /// The names of the classes of the label file of an image; none where the description names no file of them.
    fn class_names(&self, image: &str, file: Option<&str>) -> Result<Option<&[String]>, String> {
        let Some(file) = file else { return Ok(None) };
        let path = canonical(file, self.root, image).ok_or("the file of class names is outside the dataset")?;
        match self.names.get(&path) {
            Some(Ok(names)) => Ok(Some(names)),
            Some(Err(reason)) => Err(format!("names of classes {path}: {reason}")),
            None => Err("no names of classes".to_owned()),
        }
    }

    fn mapped(&self, label: &str) -> Result<String, String> {
        if label.contains(text::UNREADABLE) {
            return Err(format!("label `{label}` holds bytes that are not UTF-8"));
        }
        plain(label).map_err(|reason| format!("label {reason}"))?;
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

/// Reads the text of a side file. The error is a reason for the report.
type ParseSideFile<'a> = &'a dyn Fn(&str) -> Result<Vec<LabelEntry>, String>;

fn wide((width, height): (u32, u32)) -> (f64, f64) {
    (f64::from(width), f64::from(height))
}

fn nothing(reason: &str) -> (ImageLabels, Vec<LabelIssue>) {
    (ImageLabels::Missing(reason.to_owned()), Vec::new())
}

/// The path, with links followed, of the file that a template names for an image.
fn canonical(file: &str, root: &Root, image: &str) -> Option<String> {
    path_of(file, image).ok().map(|path| root.canonical(path))
}

/// The side file, or the rows of a table, that an image claims as its own by a rule.
fn claim(rule: &LabelRule, root: &Root, image: &str) -> Option<String> {
    if let Some(file) = rule.side_file() {
        return canonical(file, root, image);
    }
    if let LabelRule::CellFiles { files, .. } = rule {
        return cell_files::glob_of(files, image).ok();
    }
    let (file, key) = rule.table()?;
    Some(row_of(&canonical(file, root, image)?, &key.of_image(image)?))
}

/// The files, one for all images or one for each folder, that a template names for the images of a description.
fn shared_files(file: &str, root: &Root, images: DatasetImages<'_>) -> BTreeSet<String> {
    let of_images = images.described.iter().filter_map(|image| canonical(file, root, image));
    let own = (!file.contains('{')).then(|| canonical(file, root, "")).flatten();
    of_images.chain(own).collect()
}

/// The labels of a file about many images, filed by image.
fn filed(
    bytes: &[u8],
    key: &ImageKey,
    entries: impl Fn(&str) -> Result<Vec<(String, LabelEntry)>, String>,
) -> Result<LabelTable, TableError> {
    let entries = text::labels(bytes).and_then(|text| entries(&text));
    entries.map(|entries| LabelTable::of_entries(entries, key)).map_err(|reason| TableError::NotATable { reason })
}

/// Reads a table that a description names, whole.
///
/// # Errors
/// A file that is missing, too large or outside the dataset.
pub(crate) fn read_table(root: &Root, file: &str) -> Result<Vec<u8>, DatasetError> {
    let read = root.read(file, LABEL_FILE_LIMIT);
    read.map_err(|reason| DatasetError::Table { file: file.to_owned(), error: TableError::Unreadable { reason } })
}
