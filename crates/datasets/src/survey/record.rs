//! What a survey finds out about each image.

use near_copies::Fingerprint;
use run_spec::ids::Digest;
use segmentation::Cell;

use super::sink::KeptRow;
use crate::annotation::LabelIssue;
use crate::cutting::{Agreement, Cut};
use crate::quality::FlawedRow;

/// An image of a source, or a file that looked like one.
#[derive(Debug)]
pub struct ImageRecord {
    /// Position of its source among the surveyed sources.
    pub source: usize,
    /// Path inside the source; of a page after the first, the name of the page (`stack#2.tif`).
    pub image: String,
    /// Its content; `None` where it was not decoded.
    pub info: Option<ImageInfo>,
    /// The rows that it gives, or the reason for which it gives none.
    pub used: Result<UsedImage, String>,
    /// What a reader of the report should know of how it was read.
    pub notes: Vec<String>,
    /// Labels that are not used.
    pub issues: Vec<LabelIssue>,
    /// Rows with flaws, also those that are dropped.
    pub flawed: Vec<FlawedRow>,
    /// How well outlined cells agree with its labels; all 0 where cells have no outlines.
    pub agreement: Agreement,
}

/// The content of an image that was decoded.
#[derive(Debug, Clone)]
pub struct ImageInfo {
    /// File format: `jpeg`, `png` …
    pub format: &'static str,
    /// Width of the upright image, px.
    pub width: u32,
    /// Height of the upright image, px.
    pub height: u32,
    /// Digest of the bytes of the file.
    pub file: Digest,
    /// Page of the file, from 1.
    pub page: u32,
    /// Digest of the upright pixels.
    pub pixels: Digest,
    /// By which near-copies are found; `None` of an image that shows nothing, or where none was asked for.
    pub fingerprint: Option<Fingerprint>,
    /// Group by the source's own rule; `None` where the rule does not cover the image.
    pub group: Option<String>,
}

/// The rows that an image gives.
#[derive(Debug)]
pub struct UsedImage {
    /// Group by the source's own rule.
    pub group: String,
    /// Its rows, sorted by (y, x).
    pub cuts: Vec<Cut>,
    /// Pixels in no row; 0 for cells.
    pub unused_px: u64,
    /// The cell of each row, where cells have outlines; else empty.
    pub cells: Vec<Cell>,
    /// For each row, what the sink of rows returned; empty without a sink.
    pub kept: Vec<Option<KeptRow>>,
}

impl UsedImage {
    /// Rows without outlines, which no sink has kept.
    pub(super) fn of_cuts(group: String, cuts: Vec<Cut>) -> Self {
        Self { group, cuts, unused_px: 0, cells: Vec::new(), kept: Vec::new() }
    }
}

impl ImageRecord {
    /// A file of which nothing is known but that it is not used.
    pub(super) fn unused(source: usize, image: String, reason: String) -> Self {
        Self {
            source,
            image,
            info: None,
            used: Err(reason),
            notes: Vec::new(),
            issues: Vec::new(),
            flawed: Vec::new(),
            agreement: Agreement::default(),
        }
    }

    /// Its cuts; none where it is not used.
    pub fn cuts(&self) -> &[Cut] {
        self.used.as_ref().map_or(&[], |used| &used.cuts)
    }

    /// Takes out the rows for which `stays` says no; it is as long as [`Self::cuts`].
    pub(crate) fn keep_rows(&mut self, stays: &[bool]) {
        let Ok(used) = &mut self.used else { return };
        let kept = |place: usize| stays.get(place).copied().unwrap_or(true);
        let mut places = 0..;
        used.cuts.retain(|_| places.next().is_some_and(kept));
        let mut places = 0..;
        used.cells.retain(|_| places.next().is_some_and(kept));
        let mut places = 0..;
        used.kept.retain(|_| places.next().is_some_and(kept));
        if used.cuts.is_empty() {
            self.used = Err("none of its rows was drawn for the balanced set".to_owned());
        }
    }

    /// Handles of its rows that a sink has kept.
    pub fn kept_rows(&self) -> impl Iterator<Item = KeptRow> {
        self.used.iter().flat_map(|used| used.kept.iter().flatten().copied())
    }
}
