//! What each source of a survey gave, in numbers.

use super::record::ImageRecord;

/// What one source gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Images that give rows.
    pub used: u64,
    /// Images that give none.
    pub unused: u64,
    /// Rows of all images.
    pub rows: u64,
    /// Labels that are not used.
    pub labels_unused: u64,
    /// Pixels of used images.
    pub pixels: u64,
    /// Of them, those in no row.
    pub pixels_unused: u64,
}

impl std::ops::AddAssign for SourceCounts {
    fn add_assign(&mut self, other: Self) {
        self.used += other.used;
        self.unused += other.unused;
        self.rows += other.rows;
        self.labels_unused += other.labels_unused;
        self.pixels += other.pixels;
        self.pixels_unused += other.pixels_unused;
    }
}

/// What each of so many sources gave, in their order.
pub fn count_by_source(sources: usize, images: &[ImageRecord]) -> Vec<SourceCounts> {
    let mut all = vec![SourceCounts::default(); sources];
    for image in images {
        let counts = &mut all[image.source];
        counts.labels_unused += image.issues.len() as u64;
        match (&image.used, &image.info) {
            (Ok(used), Some(info)) => {
                counts.used += 1;
                counts.rows += used.cuts.len() as u64;
                counts.pixels += u64::from(info.width) * u64::from(info.height);
                counts.pixels_unused += used.unused_px;
            }
            _ => counts.unused += 1,
        }
    }
    all
}
