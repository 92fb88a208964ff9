//! Which files of a dataset are images: globs of files that are included and excluded.

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;
use super::pages::Pages;

/// Which files are images. Globs see the path inside the dataset; `*` stays in one folder, `**` crosses folders, and
/// case does not matter. What an image is made of (JPEG, PNG …) is read from its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// Globs of the files that are images.
    pub include: Vec<String>,
    /// Globs of files that are not images although they look like one; stronger than `include`.
    #[serde(default)]
    pub exclude: Vec<Exclude>,
    /// What is read of a TIFF of several pages.
    #[serde(default, skip_serializing_if = "Pages::is_first")]
    pub pages: Pages,
    /// Bits of 16-bit values that the camera uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u8>,
}

/// A glob of files that are not images of the dataset, and the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    /// The glob, of paths inside the dataset.
    pub glob: String,
    /// The reason that the report gives.
    pub why: String,
    /// No label, group or mask of this description is of these files, whatever they are called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlabelled: bool,
}

impl Images {
    /// # Errors
    /// No glob, a glob that cannot be read, bits that no camera uses.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        if self.include.is_empty() {
            return Err(RuleError::new("images.include", "names no file; write a glob such as `**/*.jpg`"));
        }
        if let Some(bits) = self.bits.filter(|bits| !(9..=16).contains(bits)) {
            let why = format!("{bits} is outside 9 to 16, the bits of a 16-bit value that a camera uses");
            return Err(RuleError::new("images.bits", why));
        }
        Globs::new(self).map(drop)
    }

    /// The images among the files of a dataset, in their order: all that the description includes, of which a source may be a part.
    ///
    /// # Errors
    /// A glob that cannot be read.
    pub fn among(&self, files: &[String]) -> Result<Vec<String>, RuleError> {
        let globs = Globs::new(self)?;
        let is_image = |path: &&String| globs.judge(path) == GlobMatch::Image && !self.pages.reserves(path);
        Ok(files.iter().filter(is_image).cloned().collect())
    }
}

/// The globs of a description, compiled, which tell images from other files.
#[derive(Debug)]
pub struct Globs {
    include: GlobSet,
    exclude: GlobSet,
    /// For each glob of `exclude`, the reason for the report.
    why: Vec<String>,
    /// For each glob of `exclude`, whether no label is of its files.
    unlabelled: Vec<bool>,
}

/// What the globs of a description say of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum GlobMatch<'a> {
    /// An image of the dataset.
    Image,
    /// Not an image of the dataset, for this reason.
    Excluded(&'a str),
    /// No glob names it.
    Unnamed,
}

impl Globs {
    /// Compiles the globs of a description.
    ///
    /// # Errors
    /// A glob that cannot be read.
    pub fn new(images: &Images) -> Result<Self, RuleError> {
        Ok(Self {
            include: compile("images.include", images.include.iter())?,
            exclude: compile("images.exclude", images.exclude.iter().map(|exclude| &exclude.glob))?,
            why: images
                .exclude
                .iter()
                .map(|exclude| format!("{} (excluded by `{}`)", exclude.why, exclude.glob))
                .collect(),
            unlabelled: images.exclude.iter().map(|exclude| exclude.unlabelled).collect(),
        })
    }

    /// Whether the description says that none of its labels, groups and masks is of this file.
    pub fn is_unlabelled(&self, path: &str) -> bool {
        self.exclude.matches(path).into_iter().any(|glob| self.unlabelled[glob])
    }

    /// Whether a path inside the dataset is an image. `exclude` is stronger than `include`.
    pub fn judge(&self, path: &str) -> GlobMatch<'_> {
        match self.exclude.matches(path).first() {
            Some(&glob) => GlobMatch::Excluded(&self.why[glob]),
            None if self.include.is_match(path) => GlobMatch::Image,
            None => GlobMatch::Unnamed,
        }
    }
}

/// Compiles one glob of files, as the globs of images are.
///
/// # Errors
/// A glob that cannot be read.
pub(crate) fn glob_matcher(key: &str, glob: &str) -> Result<GlobMatcher, RuleError> {
    let built = GlobBuilder::new(glob).literal_separator(true).case_insensitive(true).build();
    let built = built.map_err(|error| RuleError::new(key, format!("glob `{glob}`: {}", error.kind())))?;
    Ok(built.compile_matcher())
}

/// Compiles the globs under `key`: `*` stays in its folder, and case does not matter.
fn compile<'a>(key: &str, globs: impl Iterator<Item = &'a String>) -> Result<GlobSet, RuleError> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let built = GlobBuilder::new(glob).literal_separator(true).case_insensitive(true).build();
        set.add(built.map_err(|error| RuleError::new(key, format!("glob `{glob}`: {}", error.kind())))?);
    }
    set.build().map_err(|error| RuleError::new(key, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_folder_and_exclude_wins() {
        let globs = Globs::new(&Images {
            include: vec!["a/*.bmp".into(), "**/*.png".into()],
            exclude: vec![Exclude { glob: "a/*.png".into(), why: "mask".into(), unlabelled: false }],
            pages: Pages::First,
            bits: None,
        })
        .expect("globs");
        assert_eq!(globs.judge("a/1.BMP"), GlobMatch::Image);
        assert_eq!(globs.judge("a/b/1.bmp"), GlobMatch::Unnamed);
        assert_eq!(globs.judge("a/1.png"), GlobMatch::Excluded("mask (excluded by `a/*.png`)"));
        assert_eq!(globs.judge("c/1.png"), GlobMatch::Image);
        assert_eq!(globs.judge("top.png"), GlobMatch::Image);
    }
}
