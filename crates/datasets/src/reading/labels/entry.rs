//! One label as its file has it, before the label map.

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
    /// The label, or why the entry cannot be used.
    pub(crate) label: Result<String, String>,
    /// The size of the image on which the place was drawn, where the file states it.
    pub(crate) size: StatedSize,
}
