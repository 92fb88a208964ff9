//! Labels that are pictures: one of classes beside each image, or a file for each cell.

use std::collections::HashMap;

use imaging::DecodeLimits;
use rayon::prelude::*;
use regex::Regex;
use segmentation::{ClassParts, MOST_STEPS, cell_of_file, parts_of_classes};

use super::LABEL_FILE_LIMIT;
use super::entry::LabelEntry;
use super::outline::Outline;
use crate::error::DatasetError;
use crate::reading::root::Root;
use crate::schema::{RuleError, compile_pattern, glob_matcher, path_with};

/// The cells in the class mask at `path` of an image of `size` px: connected parts of one class, without the background and without parts that are too small.
///
/// # Errors
/// The reason for the report.
pub(super) fn class_entries(
    bytes: &[u8],
    path: &str,
    size: (u32, u32),
    kept: (&[u32], u32),
) -> Result<Vec<LabelEntry>, String> {
    let ClassParts { parts, small } =
        parts_of_classes(bytes, size, kept, DecodeLimits::default()).map_err(|error| error.to_string())?;
    let mut entries: Vec<LabelEntry> = Vec::with_capacity(parts.len() + 1);
    for (index, (class, region)) in parts.into_iter().enumerate() {
        let entry = LabelEntry::new(format!("{path} part {}", index + 1), Ok(class.to_string()));
        entries.push(entry.with_outline(Outline::Pixels(region)));
    }
    if small > 0 {
        let reason = format!("{small} parts of fewer than {} px are left out (label.least_px)", kept.1);
        entries.push(LabelEntry::unusable(path.to_owned(), reason));
    }
    Ok(entries)
}

/// What labels a cell that has a file of its own.
#[derive(Debug)]
pub(super) enum CellLabel {
    /// The capture of a pattern on the path of the file.
    Pattern(Regex),
    /// The same label for all.
    Name(String),
}

impl CellLabel {
    /// # Errors
    /// A pattern that is not a regular expression.
    pub(super) fn new(pattern: Option<&str>, name: Option<&str>) -> Result<Self, RuleError> {
        match pattern {
            Some(pattern) => Ok(Self::Pattern(compile_pattern("label.pattern", pattern)?)),
            None => Ok(Self::Name(name.unwrap_or_default().to_owned())),
        }
    }

    fn of(&self, file: &str) -> Result<String, String> {
        match self {
            Self::Name(name) => Ok(name.clone()),
            Self::Pattern(pattern) => {
                let capture = pattern.captures(file).and_then(|captures| captures.get(1));
                capture
                    .map(|label| label.as_str().to_owned())
                    .ok_or_else(|| "the label pattern does not match".to_owned())
            }
        }
    }
}

/// The files of single cells of a dataset.
#[derive(Debug)]
pub(super) struct CellFiles {
    template: String,
    label: CellLabel,
    /// All files of the dataset, sorted.
    files: Vec<String>,
    /// How many images a file may be of, where it is more than one.
    shared: HashMap<String, usize>,
}

impl CellFiles {
    /// Lists the files, and finds those that several of `images` would claim.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub(super) fn open(root: &Root, template: &str, label: CellLabel, images: &[String]) -> Result<Self, DatasetError> {
        let files = root.list()?.files;
        let mut found = Self { template: template.to_owned(), label, files, shared: HashMap::new() };
        let of_image = |image: &String| found.glob_of(image).map_or_else(|_| Vec::new(), |glob| found.matching(&glob));
        let all: Vec<Vec<usize>> = images.par_iter().map(of_image).collect();
        let mut counts: HashMap<usize, usize> = HashMap::new();
        all.into_iter().flatten().for_each(|file| *counts.entry(file).or_default() += 1);
        counts.retain(|_, count| *count > 1);
        found.shared = counts.into_iter().map(|(file, count)| (found.files[file].clone(), count)).collect();
        Ok(found)
    }

    /// The glob of the files of an image.
    ///
    /// # Errors
    /// The reason for the report, where it leads out of the dataset.
    pub(super) fn glob_of(&self, image: &str) -> Result<String, String> {
        glob_of(&self.template, image)
    }

    /// Positions of the files that a glob names, in their order.
    fn matching(&self, glob: &str) -> Vec<usize> {
        let Ok(matcher) = glob_matcher("label.files", glob) else { return Vec::new() };
        // The folders before the first wildcard must have the names that they have in the dataset, which narrows the search.
        let start = glob.find(['*', '?', '[', '{', '\\']).map_or(glob, |at| &glob[..at]);
        let folder = start.rfind('/').map_or("", |slash| &start[..=slash]);
        let first = self.files.partition_point(|file| file.as_str() < folder);
        let within = self.files[first..].iter().take_while(|file| file.starts_with(folder)).enumerate();
        within.filter(|(_, file)| matcher.is_match(file)).map(|(at, _)| first + at).collect()
    }

    /// The cells of the files that a glob names, of an image of `size`.
    pub(super) fn entries(&self, root: &Root, glob: &str, size: (u32, u32)) -> Vec<LabelEntry> {
        let mut steps = MOST_STEPS;
        let mut entry = |file: &String| {
            if let Some(count) = self.shared.get(file) {
                return Err(format!("could belong to any of {count} images"));
            }
            let label = self.label.of(file)?;
            let bytes = root.read(file, LABEL_FILE_LIMIT)?;
            let region = cell_of_file(&bytes, size, &mut steps, DecodeLimits::default());
            let region = region.map_err(|error| error.to_string())?;
            Ok(LabelEntry::new(file.clone(), Ok(label)).with_outline(Outline::Pixels(region)))
        };
        let files = self.matching(glob).into_iter().map(|at| &self.files[at]);
        files.map(|file| entry(file).unwrap_or_else(|reason| LabelEntry::unusable(file.clone(), reason))).collect()
    }
}

/// The glob of the files of an image: parts of its own path stand for themselves.
///
/// # Errors
/// The reason for the report, where it leads out of the dataset.
pub(super) fn glob_of(template: &str, image: &str) -> Result<String, String> {
    path_with(template, image, globset::escape)
}
