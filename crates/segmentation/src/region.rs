//! Regions of an image as label files draw them: polygons, run lengths, small pictures.
//!
//! Everything becomes runs of pixels counted down the columns, as COCO counts them, so a region takes as much memory as its outline is
//! long. Polygons are filled by the rule of pycocotools, to the pixel.

mod polygon;
mod rle;
mod rows;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::cell::{Cell, measure};

pub use rle::counts_of_text;
pub use rows::RunOrder;

/// Steps along outlines that one image may take: some hundred thousand cells.
pub const MOST_STEPS: u64 = 1 << 31;

/// The pixels of an image that belong to one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    width: u32,
    height: u32,
    /// First pixel and the one after the last of each run, counted down the columns; sorted, never empty, never touching.
    runs: Vec<(u64, u64)>,
}

/// Why an outline gives no region. The texts are reasons for a report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegionError {
    /// A polygon of fewer than three points.
    #[error("its outline has {0} points; at least three are needed")]
    FewPoints(usize),
    /// Coordinates that are not finite, or further from the image than an image is long.
    #[error("has points far outside the image of {0}×{1} pixels, or no numbers")]
    FarOutside(u32, u32),
    /// The outlines of the image are longer than any of cells.
    #[error("the outlines of the image are too long; those of cells are not")]
    TooLong,
    /// Run lengths of another number of pixels.
    #[error("its run lengths hold {found} pixels, the image {expected}")]
    OtherLength {
        /// Sum of the run lengths.
        found: u64,
        /// Pixels of the image.
        expected: u64,
    },
    /// Runs that end behind the last pixel.
    #[error("its runs end at pixel {end} of an image of {pixels}")]
    PastTheEnd {
        /// The pixel after the last one of the runs, from 0.
        end: u64,
        /// Pixels of the image.
        pixels: u64,
    },
    /// Runs that are not in their order, or of which two share a pixel.
    #[error("its runs overlap or are out of order")]
    Disorder,
    /// A compressed text that holds no run lengths.
    #[error("its run lengths are damaged at character {0}")]
    Damaged(usize),
    /// A part that reaches over the edge of the image.
    #[error("a mask of {w}×{h} pixels at ({x}, {y}) does not lie in the image")]
    Outside {
        /// Left edge of the part.
        x: u32,
        /// Top edge of the part.
        y: u32,
        /// Width of the part.
        w: u32,
        /// Height of the part.
        h: u32,
    },
    /// No pixel at all.
    #[error("holds no pixel of the image")]
    Empty,
}

impl Region {
    /// The region that a polygon encloses in an image of `size` (width, height), by the rule of pycocotools. `steps` are those that the
    /// outlines of the image may still take; begin with [`MOST_STEPS`].
    ///
    /// # Errors
    /// Fewer than three points, points far outside, an outline that is too long.
    pub fn of_polygon(points: &[[f64; 2]], size: (u32, u32), steps: &mut u64) -> Result<Self, RegionError> {
        polygon::filled(points, size, steps)
    }

    /// The region of COCO's run lengths: pixels outside, inside, outside …, down the columns of an image of `size` (width, height).
    ///
    /// # Errors
    /// Run lengths of another number of pixels.
    pub fn of_counts(counts: &[u64], (width, height): (u32, u32)) -> Result<Self, RegionError> {
        let expected = u64::from(width) * u64::from(height);
        let found = counts.iter().fold(0_u64, |sum, &count| sum.saturating_add(count));
        if found != expected {
            return Err(RegionError::OtherLength { found, expected });
        }
        let (mut at, mut runs) = (0, Vec::new());
        for (index, &count) in counts.iter().enumerate() {
            if index % 2 == 1 {
                runs.push((at, at + count));
            }
            at += count;
        }
        Ok(Self { width, height, runs: merged(runs) })
    }

    /// The region of a small picture `w` × `h`, row by row, whose top left corner is at (x, y) of an image of `size` (width, height).
    ///
    /// # Errors
    /// A picture that reaches over the edge, or of another number of pixels.
    pub fn of_part([x, y, w, h]: [u32; 4], inside: &[bool], (width, height): (u32, u32)) -> Result<Self, RegionError> {
        let expected = u64::from(w) * u64::from(h);
        if u64::from(x) + u64::from(w) > width.into() || u64::from(y) + u64::from(h) > height.into() {
            return Err(RegionError::Outside { x, y, w, h });
        }
        if inside.len() as u64 != expected {
            return Err(RegionError::OtherLength { found: inside.len() as u64, expected });
        }
        let mut runs = Vec::new();
        for column in 0..w {
            let first = u64::from(x + column) * u64::from(height) + u64::from(y);
            let is_inside = |row: u32| inside[row as usize * w as usize + column as usize];
            let mut row = 0;
            while row < h {
                let start = row;
                while row < h && is_inside(row) {
                    row += 1;
                }
                if row > start {
                    runs.push((first + u64::from(start), first + u64::from(row)));
                }
                row += 1;
            }
        }
        Ok(Self { width, height, runs: merged(runs) })
    }

    /// The region of runs of pixels, first pixel and length, counted from 0 in `order` in an image of `size` (width, height). `steps` are
    /// those that the outlines of the image may still take.
    ///
    /// # Errors
    /// Runs that leave the image, overlap or are out of order; too many of them.
    pub fn of_runs(
        starts: &[(u64, u64)],
        order: RunOrder,
        size: (u32, u32),
        steps: &mut u64,
    ) -> Result<Self, RegionError> {
        rows::of_runs(starts, order, size, steps)
    }

    /// The region of pieces of rows: row, first column and the one after the last. `steps` are those that the outlines of the image may
    /// still take.
    ///
    /// # Errors
    /// Pieces that reach over the edge; regions of too many pixels.
    pub fn of_rows(rows: &[(u32, u32, u32)], size: (u32, u32), steps: &mut u64) -> Result<Self, RegionError> {
        rows::of_rows(rows, size, steps)
    }

    /// The pixels of this region and of another one of the same image.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.runs.extend(&other.runs);
        Self { runs: merged(self.runs), ..self }
    }

    /// The pixels of this region that are not in another one of the same image.
    #[must_use]
    pub fn without(self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut holes = other.runs.iter().peekable();
        for (mut start, end) in self.runs {
            while holes.peek().is_some_and(|hole| hole.1 <= start) {
                holes.next();
            }
            let mut inner = holes.clone();
            while let Some(&&(from, to)) = inner.peek().filter(|hole| hole.0 < end) {
                left.push((start, from.max(start)));
                start = to.min(end);
                inner.next();
            }
            left.push((start, end));
        }
        Self { runs: merged(left), ..self }
    }

    /// Left, top, width and height of the smallest box around it; `None` of an empty region.
    pub fn bounds(&self) -> Option<[u32; 4]> {
        let height = u64::from(self.height);
        let first = self.runs.first()?.0 / height;
        let last = (self.runs.last()?.1 - 1) / height;
        let (mut top, mut bottom) = (height, 0);
        for &(start, end) in &self.runs {
            let crosses = start / height != (end - 1) / height;
            top = top.min(if crosses { 0 } else { start % height });
            bottom = bottom.max(if crosses { height - 1 } else { (end - 1) % height });
        }
        Some([first, top, last - first + 1, bottom - top + 1].map(|number| number as u32))
    }

    /// How many pixels it has.
    pub fn area(&self) -> u64 {
        self.runs.iter().map(|(start, end)| end - start).sum()
    }

    /// Its run lengths, as COCO counts them.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = Vec::with_capacity(2 * self.runs.len() + 1);
        let mut at = 0;
        for &(start, end) in &self.runs {
            counts.extend([start - at, end - start]);
            at = end;
        }
        let pixels = u64::from(self.width) * u64::from(self.height);
        if at < pixels || counts.is_empty() {
            counts.push(pixels - at);
        }
        counts
    }

    /// The region as a cell with its measures; `None` of an empty one.
    pub fn cell(&self) -> Option<Cell> {
        let [x, y, w, h] = self.bounds()?;
        let (wide, height) = (w as usize, u64::from(self.height));
        let mut basin = vec![0; wide * h as usize];
        for at in self.runs.iter().flat_map(|&(start, end)| start..end) {
            let (column, row) = ((at / height) as usize - x as usize, (at % height) as usize - y as usize);
            basin[row * wide + column] = 1;
        }
        let mut cell = measure(&basin, wide, h as usize, 1).pop()?;
        cell.centre = (cell.centre.0 + f64::from(x), cell.centre.1 + f64::from(y));
        cell.at_edge = x == 0 || y == 0 || x + w == self.width || y + h == self.height;
        (cell.x, cell.y) = (x, y);
        Some(cell)
    }
}

/// Runs in their order, those that touch as one.
fn merged(mut runs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    runs.retain(|(start, end)| start < end);
    runs.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(runs.len());
    for (start, end) in runs {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}
