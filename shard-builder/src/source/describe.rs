//! The description of one dataset: `configs/sources/NAME.yaml`, documented key by key in `docs/sources.md`.
//!
//! The resolved description (defaults filled in) goes into the digest of the build's configuration, so two builds with
//! the same digest followed the same rules. The folder in which the dataset lies is given on the command line instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use imaging::{DecodeError, DecodeLimits, DecodeOptions, DecodedImage};
use run_spec::layer::ConfigError;
use run_spec::typed;
use run_spec::yaml::{Places, Yaml};
use serde::{Deserialize, Serialize};

use super::beside;
use super::cut_rule::{CellRule, PatchRule};
use super::download::Download;
use super::page::Pages;
use super::parts::{self, Part, Parts};
use super::quality_rule::QualityRule;
pub(crate) use super::standing::{Membership, Role};

/// One dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// Name in shards, tables and on the command line: lower-case letters, digits, `-`, `_`, `.`.
    pub(crate) name: String,
    /// Title for people.
    pub(crate) title: String,
    /// Home page.
    pub(crate) home: String,
    /// Licence of the images; copied into each row.
    pub(crate) licence: String,
    /// How to cite it.
    pub(crate) citation: String,
    /// Kind of microscopy and camera, and the rest in words.
    pub(crate) modality: String,
    /// Stain, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stain: Option<String>,
    /// Magnification in words (`100x objective`, `1000x`), where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) magnification: Option<String>,
    /// What is to be fetched, where known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) downloads: Vec<Download>,
    /// Standing in the published list of training sets.
    pub(crate) membership: Membership,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Role::is_training")]
    pub(crate) role: Role,
    /// Micrometres of the specimen to a pixel, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) um_per_px: Option<f64>,
    /// Which files are images.
    pub(crate) images: Images,
    /// Where the dataset is several sources: which image belongs to which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parts: Option<Parts>,
    /// Which of them this is; none in a description.
    #[serde(skip)]
    pub(crate) part: Option<Part>,
    /// Which images belong together in a split.
    #[serde(default)]
    pub(crate) group: GroupRule,
    /// Where labels come from.
    #[serde(default)]
    pub(crate) label: LabelRule,
    /// Renames labels; where it is not empty it must name each label, and `null` drops one.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, Option<String>>,
    /// How fields of view are cut.
    #[serde(default)]
    pub(crate) patches: PatchRule,
    /// How cells are cut.
    #[serde(default)]
    pub(crate) cells: CellRule,
    /// When a row shows nothing or shows it badly, and what becomes of it.
    #[serde(default, skip_serializing_if = "QualityRule::is_default")]
    pub(crate) quality: QualityRule,
    /// Images known to show the same field as an image elsewhere: they share its group.
    #[serde(default)]
    pub(crate) same_as: Vec<SameAs>,
}

/// Which files are images. Globs see the path inside the dataset; `*` stays in one folder, `**` crosses folders, and
/// case does not matter. What an image is made of (JPEG, PNG …) is read from its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Images {
    /// Globs of images.
    pub(crate) include: Vec<String>,
    /// Globs of what is not an image although it looks like one; stronger than `include`.
    #[serde(default)]
    pub(crate) exclude: Vec<Exclude>,
    /// What is read of a TIFF of several pages.
    #[serde(default, skip_serializing_if = "Pages::is_first")]
    pub(crate) pages: Pages,
    /// Bits of 16-bit values that the camera uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bits: Option<u8>,
}

impl Images {
    /// A page of a file that was read. The error is a reason for the report.
    pub(crate) fn decode(&self, bytes: &[u8], page: u32, limits: DecodeLimits) -> Result<DecodedImage, DecodeError> {
        let page = (self.pages == Pages::All).then_some(page);
        imaging::decode_with(bytes, DecodeOptions { limits, page, bits: self.bits })
    }
}

/// A glob of files that are no images, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exclude {
    /// The glob.
    pub(crate) glob: String,
    /// The reason that the report gives.
    pub(crate) why: String,
    /// No label, group or mask of this description is of these files, whatever they are called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unlabelled: bool,
}

/// Which images may not be parted by a split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum GroupRule {
    /// Each image stands alone.
    #[default]
    Image,
    /// Images of one folder; `up` = 1 is the folder that holds the image, 2 the one above.
    Folder {
        /// How many folders up.
        #[serde(default = "one")]
        up: u32,
    },
    /// The first capture of a pattern on the path.
    Pattern {
        /// A regular expression with one capture group.
        pattern: String,
    },
    /// One group for the whole dataset.
    Constant {
        /// Its name.
        value: String,
    },
    /// A column of a table.
    Csv {
        /// Path of the table inside the dataset.
        file: String,
        /// Column that names the image.
        image: String,
        /// Column that names the group.
        group: String,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
    },
}

/// Where labels come from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum LabelRule {
    /// There are none.
    #[default]
    None,
    /// A folder's name labels the whole image; `up` = 1 is the folder that holds it.
    Folder {
        /// How many folders up.
        #[serde(default = "one")]
        up: u32,
    },
    /// The first capture of a pattern on the path labels the whole image.
    Pattern {
        /// A regular expression with one capture group.
        pattern: String,
    },
    /// A side file of `x y class` lines, in pixels.
    Points {
        /// Its path; `{stem}` stands for the image's file name without its ending, `{name}` for its file name, `{folder}` for its folder.
        file: String,
    },
    /// A Pascal VOC file of boxes, in pixels.
    Voc {
        /// Its path, with `{stem}`, `{name}` or `{folder}`.
        file: String,
    },
    /// A table with one box a row.
    CsvBoxes {
        /// Path of the table, or with `{folder}` of one in each folder.
        file: String,
        /// Names of its columns.
        columns: BoxColumns,
        /// What the coordinates count.
        units: Units,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
    },
    /// A table with one image a row.
    CsvClass {
        /// Path of the table, or with `{folder}` of one in each folder.
        file: String,
        /// Column that names the image.
        image: String,
        /// Column with the class.
        class: String,
        /// How the image column names the image.
        #[serde(default)]
        key: ImageKey,
    },
}

/// Columns of a table of boxes; `width` and `height` are those of the image on which the box was drawn, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is named for the column it names")]
pub(crate) struct BoxColumns {
    pub(crate) image: String,
    pub(crate) xmin: String,
    pub(crate) ymin: String,
    pub(crate) xmax: String,
    pub(crate) ymax: String,
    pub(crate) label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) height: Option<String>,
}

/// What coordinates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Units {
    /// Pixels of the upright image.
    Pixels,
    /// Fractions of its width and height, 0 to 1.
    Fractions,
}

/// How a table names an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ImageKey {
    /// By file name, with its ending.
    #[default]
    Name,
    /// By file name without its ending.
    Stem,
    /// By the file name without its ending, read as a number: `7` names `007.bmp`.
    Number,
    /// By the path inside the dataset.
    Path,
}

/// An image that shows the same field as another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SameAs {
    /// Path inside this dataset.
    pub(crate) image: String,
    /// Name of the other dataset, or of this one.
    pub(crate) source: String,
    /// Path inside that dataset.
    pub(crate) of: String,
}

fn one() -> u32 {
    1
}

impl Source {
    /// Whether a glob, a path or a pattern of the description begins with this folder.
    pub(crate) fn names_folder(&self, folder: &str) -> bool {
        let path = format!("{}/", folder.to_lowercase());
        let mut values = vec![serde_json::to_value(self).unwrap_or_default()];
        while let Some(value) = values.pop() {
            match value {
                serde_json::Value::String(text) if text.to_lowercase().trim_start_matches('^').starts_with(&path) => {
                    return true;
                }
                serde_json::Value::Array(inner) => values.extend(inner),
                serde_json::Value::Object(inner) => values.extend(inner.into_iter().map(|(_, value)| value)),
                _ => {}
            }
        }
        false
    }

    /// Reads one description, as text or as the bytes of a file. `what` names the file in messages.
    ///
    /// # Errors
    /// Text that is no YAML, an unknown key (the nearest known one is named), a rule that cannot work.
    pub(crate) fn parse(text: &(impl AsRef<[u8]> + ?Sized), what: &str) -> Result<Self> {
        let Yaml { value, places } = Yaml::read(text.as_ref(), what)?;
        let source: Self = typed::read(&value, what).map_err(|error| error.at(&places))?;
        source.check().map_err(|error| placed(&error, &places))?;
        Ok(source)
    }

    fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        ensure!(
            !self.name.is_empty() && self.name.chars().all(plain) && !self.name.starts_with('.'),
            "name: `{}` may hold lower-case letters, digits, `-`, `_` and `.` only, because it names folders",
            self.name
        );
        for (key, text) in [("licence", &self.licence), ("title", &self.title), ("citation", &self.citation)] {
            ensure!(!text.trim().is_empty(), "{key}: empty; write `unknown` if it cannot be found out");
        }
        ensure!(!self.images.include.is_empty(), "images.include: names no file; write a glob such as `**/*.jpg`");
        if let Some(bits) = self.images.bits {
            ensure!(
                (9..=16).contains(&bits),
                "images.bits: {bits} is outside 9 to 16, the bits of a 16-bit value that a camera uses"
            );
        }
        for name in self.labels.values().flatten() {
            super::text::plain(name)
                .map_err(|reason| anyhow::anyhow!("labels: the name {reason}; write it in one line"))?;
            ensure!(!name.trim().is_empty(), "labels: a name is empty; write `null` to drop a label");
        }
        self.cells.check()?;
        self.quality.check()?;
        self.parts.as_ref().map_or(Ok(()), Parts::check)?;
        self.downloads.iter().try_for_each(Download::check)?;
        if let Some(um) = self.um_per_px {
            ensure!((0.001..=100.0).contains(&um), "um_per_px: {um} µm is outside 0.001 to 100");
        }
        super::files::Globs::new(&self.images)?;
        ensure!(
            self.images.pages == Pages::First || self.cells.masks.is_none(),
            "images.pages: a file of masks is of one image; with cells.masks, pages must be `first`"
        );
        for (key, pattern) in self.patterns() {
            let regex = regex::Regex::new(pattern)
                .map_err(|error| anyhow::anyhow!("{key}: `{pattern}` is not a regular expression: {}", why(&error)))?;
            ensure!(
                regex.captures_len() == 2,
                "{key}: `{pattern}` has {} capture groups, ( ), and needs one: (?: ) groups without capturing",
                regex.captures_len() - 1
            );
        }
        match &self.label {
            LabelRule::Points { file } | LabelRule::Voc { file } => beside::check_own("label.file", file),
            LabelRule::CsvBoxes { file, columns, .. } => {
                ensure!(
                    columns.width.is_some() == columns.height.is_some(),
                    "label.columns: the size of an image needs both `width` and `height`"
                );
                beside::check("label.file", file)
            }
            LabelRule::CsvClass { file, .. } => beside::check("label.file", file),
            LabelRule::None | LabelRule::Folder { .. } | LabelRule::Pattern { .. } => Ok(()),
        }
    }

    fn patterns(&self) -> Vec<(&str, &str)> {
        let mut patterns = Vec::new();
        if let GroupRule::Pattern { pattern } = &self.group {
            patterns.push(("group.pattern", pattern.as_str()));
        }
        if let LabelRule::Pattern { pattern } = &self.label {
            patterns.push(("label.pattern", pattern.as_str()));
        }
        patterns.extend(self.parts.as_ref().map(|parts| ("parts.pattern", parts.pattern.as_str())));
        patterns
    }

    /// The name of its folder and of its archive: the dataset's, of which it may be a part.
    pub(crate) fn dataset(&self) -> &str {
        self.part.as_ref().map_or(&self.name, |part| &part.dataset)
    }
}

/// Reads one description, or all `*.yaml` of a folder, sorted by dataset name.
///
/// # Errors
/// A file that cannot be read or used, an empty folder, a name that occurs twice.
pub(crate) fn read_sources(path: &Path) -> Result<Vec<Source>> {
    let mut files: Vec<PathBuf> = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
            let file = entry.with_context(|| format!("list {}", path.display()))?.path();
            if file.extension().is_some_and(|end| end == "yaml" || end == "yml") {
                files.push(file);
            }
        }
        files.sort();
        ensure!(!files.is_empty(), "{} holds no *.yaml; give a source description or a folder of them", path.display());
    } else {
        files.push(path.to_path_buf());
    }
    let mut sources = Vec::new();
    for file in &files {
        let bytes = std::fs::read(file).with_context(|| format!("read the source description {}", file.display()))?;
        sources.extend(parts::split(Source::parse(&bytes, &file.display().to_string())?));
    }
    sources.sort_by(|a: &Source, b: &Source| a.name.cmp(&b.name));
    for pair in sources.windows(2) {
        ensure!(pair[0].name != pair[1].name, "two descriptions are named `{}`; rename one", pair[0].name);
    }
    Ok(sources)
}

/// The complaint of a check begins with its key, `cells.size: …`, whose line is looked up.
fn placed(error: &anyhow::Error, places: &Places) -> ConfigError {
    let text = format!("{error:#}");
    let (key, message) = match text.split_once(": ") {
        Some((key, message)) if !key.contains([' ', '`']) => (key.to_owned(), message.to_owned()),
        _ => (String::new(), text),
    };
    ConfigError::BadValue { what: String::new(), key, message }.at(places)
}

/// The last line of what the regex crate says: the others draw the place.
fn why(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::cut_rule::{Border, Fill, Small};

    const LEAST: &str = "name: a\ntitle: A\nhome: h\nlicence: MIT\ncitation: c\nmodality: m\nmembership: candidate\nimages: {include: ['*.png']}\n";

    #[test]
    fn the_least_description_gets_stated_defaults() {
        let source = Source::parse(LEAST, "a.yaml").expect("valid");
        assert_eq!(source.patches.border, Border::Drop);
        assert_eq!(source.patches.small, Small::Pad);
        assert_eq!((source.cells.size, source.cells.pad), (80, Fill::Reflect));
        assert_eq!(source.group, GroupRule::Image);
    }

    #[test]
    fn every_description_of_this_repository_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("configs/sources");
        for (below, files) in [("", 8), ("published", 12), ("evaluation", 2)] {
            let sources = read_sources(&folder.join(below)).unwrap();
            assert_eq!(sources.len(), files, "{below}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_and_the_nearest_named() {
        let error = Source::parse(&format!("{LEAST}licens: x\n"), "a.yaml").expect_err("refused").to_string();
        assert!(error.contains("a.yaml") && error.contains("licens") && error.contains("mean `licence`"), "{error}");
        let nested = Source::parse(&format!("{LEAST}cells: {{sise: 3}}\n"), "a.yaml").expect_err("refused").to_string();
        assert!(nested.contains("line 9: unknown key `cells.sise`; did you mean `cells.size`?"), "{nested}");
        let tagged = Source::parse(&format!("{LEAST}group: {{by: folder, upp: 3}}\n"), "a.yaml").expect_err("refused");
        assert!(tagged.to_string().contains("mean `group.up`"), "{tagged}");
        let variant = Source::parse(&format!("{LEAST}group: {{by: folders}}\n"), "a.yaml").expect_err("refused");
        assert!(variant.to_string().contains("`group.by`: one of image, folder, pattern, constant, csv is expected, not the text \"folders\"; did you mean `folder`?"), "{variant}");
    }

    #[test]
    fn rules_that_cannot_work_are_refused_at_once() {
        for wrong in [
            "group: {by: pattern, pattern: '('}",
            "group: {by: pattern, pattern: 'no-capture'}",
            "label: {from: points, file: Label/all.txt}",
            "cells: {size: 0}",
            "cells: {margin: -1}",
            "label: {from: voc, file: '{dir}/{stem}.xml'}",
            "label: {from: csv-class, file: '{stam}.csv', image: a, class: b}",
            "label: {from: csv-boxes, file: a.csv, units: pixels, columns: {image: a, xmin: b, ymin: c, xmax: d, ymax: e, label: f, width: g}}",
            "cells: {masks: {file: '{stem}.npy', flow_threshold: -1}}",
        ] {
            assert!(Source::parse(&format!("{LEAST}{wrong}\n"), "a.yaml").is_err(), "{wrong}");
        }
        let all = LEAST.replace("png']", "tif'], pages: all");
        assert!(Source::parse(&all, "a.yaml").is_ok());
        assert!(Source::parse(&format!("{all}cells: {{masks: {{file: '{{stem}}.npy'}}}}\n"), "a.yaml").is_err());
        assert!(Source::parse(&LEAST.replace("png']", "png'], bits: 12"), "a.yaml").is_ok());
        assert!(Source::parse(&LEAST.replace("png']", "png'], bits: 8"), "a.yaml").is_err());
        assert!(Source::parse(&LEAST.replace("name: a", "name: ../a"), "a.yaml").is_err());
        assert!(Source::parse(&LEAST.replace("'*.png'", "'[*.png'"), "a.yaml").is_err());
    }

    #[test]
    fn a_rule_that_cannot_work_is_named_with_its_line() {
        let told = |text: &str| Source::parse(text, "a.yaml").expect_err("refused").to_string();
        for (wrong, message) in [
            ("cells:\n  size: 0", "line 10: `cells.size`: 0 px is outside 1 to 4096"),
            (
                "group: {by: pattern, pattern: '('}",
                "line 9: `group.pattern`: `(` is not a regular expression: unclosed group",
            ),
            (
                "label: {from: pattern, pattern: x}",
                "line 9: `label.pattern`: `x` has 0 capture groups, ( ), and needs one: (?: ) groups without capturing",
            ),
            (
                "cells: {size: big}",
                "line 9: `cells.size`: a whole number from 0 to 4294967295 is expected, not the text \"big\"",
            ),
            ("name: b", "line 9: `name`: the key is given twice, first on line 1: keep one"),
        ] {
            assert_eq!(told(&format!("{LEAST}{wrong}\n")), format!("a.yaml {message}"));
        }
        assert_eq!(told("name: a\n"), "a.yaml: `title`: it is missing: write it");
        assert!(
            Source::parse(&[0xff, 0xfe, b'n', 0], "a.yaml").unwrap_err().to_string().contains("save the file as UTF-8")
        );
    }

    #[test]
    fn numbers_can_be_label_names() {
        let source = Source::parse(&format!("{LEAST}labels: {{0: normal, '1': null}}\n"), "a.yaml").expect("valid");
        assert_eq!(source.labels["0"], Some("normal".to_owned()));
        assert_eq!(source.labels["1"], None);
    }
}
