//! A first description of a folder that no one has described: what was recognised, what was guessed, and what is not known.
//!
//! Nothing is guessed twice: rules that could be right are tried on a sample of the images, by the same code that reads the
//! set later, and the one that gives most of them labels is written.

mod candidates;
mod files;
mod folders;
mod groups;
mod licence;
mod sheet;
mod slides;
mod tables;
mod trial;
mod yaml;

use std::path::Path;

use imaging::picture_table::Tile;
use imaging::{DecodeLimits, RgbImage};

use crate::annotation::ImageLabels;
use crate::error::DatasetError;
use crate::reading::{LocatedSource, Root, SlideShelf};
use crate::schema::Source;

/// Images that are looked at.
const SAMPLE: usize = 40;
/// Pictures on the contact sheet.
const TILES: usize = 16;

/// A first description, checked, and pictures to check it by.
#[derive(Debug)]
pub struct Draft {
    /// The description with comments, as it is to be written.
    pub yaml: String,
    /// What it says once it is read back.
    pub source: Source,
    /// Whether labels were found, so that the images can be cut into cells.
    pub has_labels: bool,
    /// Some images with the labels that were found drawn into them, and lines that say which image and which labels.
    pub tiles: Vec<Tile>,
}

/// Describes the folder or archive at `path`; a tar.gz may inflate to `max_inflated` bytes.
///
/// # Errors
/// Nothing there, or nothing that is an image.
pub fn describe(path: &Path, limits: DecodeLimits, max_inflated: u64) -> Result<Draft, DatasetError> {
    let name = yaml::name_of_folder(path);
    let bare = yaml::bare(&name)?;
    let root = Root::open(path, max_inflated, &bare)?;
    let listing = root.list()?;
    let mut found = files::Found::of(&root, &listing);
    if let Some(slides) = slides::FoundSlides::of(&root, &found.images, limits) {
        found.divide(slides);
    }
    if found.images.is_empty() {
        return Err(DatasetError::NoImages { folder: path.to_owned() });
    }
    let mut source = bare;
    source.images.include.clone_from(&found.include);
    source.images.exclude.clone_from(&found.exclude);
    let licence = licence::stated(&root, &listing);
    if let Some(slides) = &found.slides {
        let yaml = yaml::written((&name, licence), &listing, &found, &[], 0);
        let source = Source::parse(&yaml, "the description")?;
        return Ok(Draft { source, has_labels: false, tiles: slides.tiles(&root, limits), yaml });
    }
    let located = LocatedSource { source, root, path: path.to_owned(), slides: SlideShelf::default() };
    let step = found.images.len().div_ceil(SAMPLE).max(1);
    let mut sample = Vec::new();
    for image in found.images.iter().step_by(step) {
        if let Ok(rgb) = located.rgb(image, limits) {
            sample.push((image.clone(), rgb));
        }
    }
    let tried = trial::best(&located, &listing, &found, &sample);
    let yaml = yaml::written((&name, licence), &listing, &found, &tried, sample.len());
    let source = Source::parse(&yaml, "the description")?;
    let has_labels = !tried.is_empty();
    let labels = tried.into_iter().next().map(|best| best.labels).unwrap_or_default();
    let labels = labels.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
    let tile =
        |((image, rgb), labels): ((String, RgbImage), Option<ImageLabels>)| sheet::tile(&image, rgb, labels.as_ref());
    let tiles = sample.into_iter().zip(labels).take(TILES).map(tile).collect();
    Ok(Draft { yaml, source, has_labels, tiles })
}
