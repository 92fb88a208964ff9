//! The description of one dataset: `configs/sources/NAME.yaml`, documented in `docs/sources.md`, `docs/source-details.md` and, key by key, `docs/reference/source.md`.
//!
//! The resolved description (defaults filled in) goes into the digest of the build's configuration, so two builds with
//! the same digest followed the same rules. The folder in which the dataset lies is not part of a description.

use std::collections::{BTreeMap, BTreeSet};

use run_spec::layer::ConfigError;
use run_spec::typed;
use run_spec::yaml::{FileKind, Yaml};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cut_rule::{CellRule, PatchRule};
use super::download::Download;
use super::error::RuleError;
use super::group_rule::GroupRule;
use super::images::Images;
use super::label_rule::LabelRule;
use super::pages::Pages;
use super::parts::{DatasetPart, PartMatcher, Parts};
use super::quality_rule::QualityRule;
use super::role::{Membership, Role};
use super::slide_rule::SlideRule;
use super::text;

/// One dataset, or one part of a dataset that is several sources.
///
/// ```
/// use datasets::schema::Source;
///
/// let yaml = "
/// name: smears
/// title: An example
/// home: https://example.org
/// licence: CC BY 4.0
/// citation: none
/// modality: bright field
/// membership: candidate
/// images: { include: ['**/*.jpg'] }
/// ";
/// let source = Source::parse(yaml, "smears.yaml")?;
/// assert_eq!((source.cells.size, source.role.name()), (80, "training"));
/// let error = Source::parse(&format!("{yaml}cells: {{ size: 0 }}"), "smears.yaml").expect_err("no cell has no side");
/// assert!(error.to_string().contains("`cells.size`: 0 px is outside 1 to 4096"));
/// # Ok::<(), run_spec::layer::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name in shards, tables and on the command line: lower-case letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Title as tables and the card of a set show it.
    pub title: String,
    /// Address of its home page.
    pub home: String,
    /// Licence of the images; copied into each row.
    pub licence: String,
    /// The publication to cite, for the card of a set.
    pub citation: String,
    /// Kind of microscopy and camera, and whatever else a reader should know of the images.
    pub modality: String,
    /// Stain of the smears, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stain: Option<String>,
    /// Magnification in words (`100x objective`, `1000x`), if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub magnification: Option<String>,
    /// Where the files can be downloaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downloads: Vec<Download>,
    /// Whether the dataset is one of the published RedDino's training sets; for images of your own: `own`.
    pub membership: Membership,
    /// Whether models are trained on it or evaluated on it.
    #[serde(default, skip_serializing_if = "Role::is_training")]
    pub role: Role,
    /// Micrometres of the specimen per pixel, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub um_per_px: Option<f64>,
    /// Which files are images.
    pub images: Images,
    /// How whole slides are read, where the images are slides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slides: Option<SlideRule>,
    /// Divides the dataset into several sources: which image belongs to which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// Which part of its dataset this source is; `None` in a description, and for a dataset that is one source.
    #[serde(skip)]
    pub part: Option<DatasetPart>,
    /// Which images belong together in a split.
    #[serde(default)]
    pub group: GroupRule,
    /// Where the labels of images or cells come from.
    #[serde(default)]
    pub label: LabelRule,
    /// Renames labels; where it is not empty it must name each label, and `null` drops one.
    #[serde(default)]
    pub labels: BTreeMap<String, Option<String>>,
    /// How fields of view are cut into patches.
    #[serde(default)]
    pub patches: PatchRule,
    /// How single cells are found and cut.
    #[serde(default)]
    pub cells: CellRule,
    /// Which rows are blank, out of focus or saturated, and what to do with them.
    #[serde(default, skip_serializing_if = "QualityRule::is_default")]
    pub quality: QualityRule,
    /// Images known to show the same field as an image elsewhere: they share its group.
    #[serde(default)]
    pub same_as: Vec<SameAs>,
}

/// An image that shows the same field as another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SameAs {
    /// Path inside this dataset.
    pub image: String,
    /// Name of the other dataset, or of this one.
    pub source: String,
    /// Path inside that dataset.
    pub of: String,
}

impl Source {
    /// Reads one description, as text or as the bytes of a file. `what` names the file in messages.
    ///
    /// # Errors
    /// Text that is not YAML, an unknown key (the nearest known one is named), a rule that cannot work; the message names the line.
    pub fn parse(text: &(impl AsRef<[u8]> + ?Sized), what: &str) -> Result<Self, ConfigError> {
        let Yaml { value, places } = Yaml::read(text.as_ref(), what)?;
        FileKind::Source.check(&value).map_err(|error| error.at(&places))?;
        let source: Self = typed::read(&value, what).map_err(|error| error.at(&places))?;
        source.check().map_err(|error| error.into_config().at(&places))?;
        Ok(source)
    }

    fn check(&self) -> Result<(), RuleError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(plain) || self.name.starts_with('.') {
            let why = "may hold lower-case letters, digits, `-`, `_` and `.` only, because it names folders";
            return Err(RuleError::new("name", format!("`{}` {why}", self.name)));
        }
        for (key, text) in [("licence", &self.licence), ("title", &self.title), ("citation", &self.citation)] {
            if text.trim().is_empty() {
                return Err(RuleError::new(key, "empty; write `unknown` if it cannot be found out"));
            }
        }
        if self.um_per_px.is_some_and(|um| !(0.001..=100.0).contains(&um)) {
            let um = self.um_per_px.unwrap_or_default();
            return Err(RuleError::new("um_per_px", format!("{um} µm is outside 0.001 to 100")));
        }
        if self.images.pages == Pages::All && self.cells.masks.is_some() {
            let why = "a file of masks is of one image; with cells.masks, pages must be `first`";
            return Err(RuleError::new("images.pages", why));
        }
        self.check_label_names()?;
        self.check_slides()?;
        self.images.check()?;
        self.cells.check()?;
        self.quality.check()?;
        self.downloads.iter().try_for_each(Download::check)?;
        self.parts.as_ref().map_or(Ok(()), Parts::check)?;
        self.group.check()?;
        self.label.check()
    }

    /// Checks the key `slides`, and refuses keys that cannot be used beside it.
    fn check_slides(&self) -> Result<(), RuleError> {
        let Some(rule) = &self.slides else { return Ok(()) };
        let beside = [
            (self.images.pages == Pages::All, "images.pages", "the pages of a slide are its levels; take this out"),
            (self.images.bits.is_some(), "images.bits", "slides are read with 8 bits a value; take this out"),
            (self.cells.masks.is_some(), "cells.masks", "masks of slides are not read; segment their fields instead"),
            (
                self.cells.drawn,
                "cells.drawn",
                "outlines on slides are not read; take this out to cut around their boxes",
            ),
        ];
        if let Some((_, key, why)) = beside.into_iter().find(|(is_said, ..)| *is_said) {
            return Err(RuleError::new(key, why));
        }
        rule.check()
    }

    /// Checks the names to which labels are mapped.
    fn check_label_names(&self) -> Result<(), RuleError> {
        for name in self.labels.values().flatten() {
            text::plain(name)
                .map_err(|reason| RuleError::new("labels", format!("the name {reason}; write it in one line")))?;
            if name.trim().is_empty() {
                return Err(RuleError::new("labels", "a name is empty; write `null` to drop a label"));
            }
        }
        Ok(())
    }

    /// Whether a glob, a path or a pattern of the description begins with this folder.
    pub fn names_folder(&self, folder: &str) -> bool {
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

    /// The name of its folder and of its archive: the dataset's, of which it may be a part.
    pub fn dataset(&self) -> &str {
        self.part.as_ref().map_or(&self.name, |part| &part.dataset)
    }

    /// The sources for which a description stands: itself, or one for each part.
    pub fn split(self) -> Vec<Self> {
        let Some(parts) = &self.parts else { return vec![self] };
        let names: BTreeSet<String> = parts.table.values().cloned().collect();
        let of = |(number, name): (usize, String)| Self {
            name: format!("{}.{name}", self.name),
            part: Some(DatasetPart { dataset: self.name.clone(), name, is_first: number == 0 }),
            ..self.clone()
        };
        names.into_iter().enumerate().map(of).collect()
    }

    /// Which of the images that it includes are its own, where its dataset is several sources.
    ///
    /// # Errors
    /// A pattern that is not a regular expression.
    pub(crate) fn part_matcher(&self) -> Result<PartMatcher<'_>, RuleError> {
        PartMatcher::new(self.parts.as_ref().zip(self.part.as_ref()))
    }
}

/// The shortest description that is valid.
#[cfg(test)]
pub(crate) const LEAST_YAML: &str = "name: a\ntitle: A\nhome: h\nlicence: MIT\ncitation: c\nmodality: m\nmembership: candidate\nimages: {include: ['*.png']}\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::cut_rule::{Border, Fill, Small};

    const LEAST: &str = LEAST_YAML;

    #[test]
    fn the_least_description_gets_stated_defaults() {
        let source = Source::parse(LEAST, "a.yaml").expect("valid");
        assert_eq!(source.patches.border, Border::Drop);
        assert_eq!(source.patches.small, Small::Pad);
        assert_eq!((source.cells.size, source.cells.pad), (80, Fill::Reflect));
        assert_eq!(source.group, GroupRule::Image);
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
