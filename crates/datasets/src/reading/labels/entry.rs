//! One label as its file has it, before the label map.

use super::outline::Outline;
use crate::annotation::Geometry;

/// Width and height in px that a file states of its image; `None` where it states none. The error is why what it states cannot be used.
pub(crate) type StatedSize = Result<Option<(f64, f64)>, String>;

/// A label as its file has it.
#[derive(Debug, Clone)]
pub(crate) struct LabelEntry {
    /// Where its file has it: `line 3`, `object 2`.
    pub(crate) at: String,
    /// The labelled place; `None` for a label of the whole image.
    pub(crate) geometry: Option<Geometry>,
    /// Its outline, where the file draws one.
    pub(crate) outline: Option<Outline>,
    /// The label, or why the entry cannot be used.
    pub(crate) label: Result<String, String>,
    /// The size of the image on which the place was drawn, where the file states it.
    pub(crate) size: StatedSize,
}

impl LabelEntry {
    /// An entry without a place or a size, which may be given it later.
    pub(crate) fn new(at: String, label: Result<String, String>) -> Self {
        Self { at, geometry: None, outline: None, label, size: Ok(None) }
    }

    /// An entry that cannot be used.
    pub(crate) fn unusable(at: String, reason: impl Into<String>) -> Self {
        Self::new(at, Err(reason.into()))
    }

    /// The entry with a place.
    pub(crate) fn at_place(self, geometry: Geometry) -> Self {
        Self { geometry: Some(geometry), ..self }
    }

    /// The entry with an outline.
    pub(crate) fn with_outline(self, outline: Outline) -> Self {
        Self { outline: Some(outline), ..self }
    }
}
