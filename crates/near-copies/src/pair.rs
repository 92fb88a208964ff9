//! What a search compares, and what it finds.

use run_spec::ids::Digest;

use crate::align::Registration;
use crate::fingerprint::Fingerprint;

/// An image that may have copies among others.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Digest of the file, and the page of it, numbered from 1.
    pub file: (Digest, u32),
    /// Digest of the upright pixels (`run_spec::ids::pixel_digest`).
    pub pixels: Digest,
    /// Its fingerprint; `None` where the image shows nothing. Without one only equal files and equal pixels are found.
    pub fingerprint: Option<Fingerprint>,
}

/// In which way two images are copies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CopyKind {
    /// The same page of equal files.
    Bytes,
    /// Equal pixels in different files.
    Pixels,
    /// The same field, photographed, resized, turned or compressed again; how one lies over the other.
    Near(Registration),
}

impl CopyKind {
    /// Its name in reports: `same bytes`, `same pixels` or `near`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bytes => "same bytes",
            Self::Pixels => "same pixels",
            Self::Near(_) => "near",
        }
    }

    /// Correlation of the fine detail, from -1 to 1; 1 for equal pixels.
    pub fn score(&self) -> f32 {
        if let Self::Near(registration) = self { registration.score } else { 1.0 }
    }
}

/// Two images that show the same, by their positions among the subjects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Position of the earlier one.
    pub a: usize,
    /// Position of the later one.
    pub b: usize,
    /// In which way the later one is a copy of the earlier one.
    pub kind: CopyKind,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoundCopies {
    /// All pairs of copies, sorted by position. Of several equal images each is paired with the first.
    pub pairs: Vec<Pair>,
    /// How many pairs have similar outlines and different pixels, and so are not copies.
    pub alike: usize,
}
