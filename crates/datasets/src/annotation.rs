//! What is known of an image: a label of the whole, or labelled places in it.
//!
//! Coordinates are pixels of the upright image (EXIF rotation applied), origin at the top left.

use segmentation::Region;

/// The place of a label in an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Geometry {
    /// A point, about the centre of a cell.
    Point {
        /// Distance from the left edge of the image, px.
        x: f64,
        /// Distance from the top edge of the image, px.
        y: f64,
    },
    /// A box around a cell.
    Box {
        /// Left edge of the box, px.
        x0: f64,
        /// Top edge of the box, px.
        y0: f64,
        /// Right edge of the box, px.
        x1: f64,
        /// Bottom edge of the box, px.
        y1: f64,
    },
}

/// A labelled place in an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// The place that is labelled.
    pub geometry: Geometry,
    /// Its pixels, where its file outlines it.
    pub region: Option<Region>,
    /// The label, after the description's label map.
    pub label: String,
    /// Where its file has it: `line 3`, `object 2`.
    pub at: String,
}

/// A label that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelIssue {
    /// Where its file has it: `line 3`, `object 2`, or the file itself.
    pub at: String,
    /// The reason, for the report.
    pub reason: String,
}

/// The labels of an image.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageLabels {
    /// There are none, for this reason.
    Missing(String),
    /// One label for the whole image.
    Whole(String),
    /// Labelled places; never empty.
    Annotations(Vec<Annotation>),
}
