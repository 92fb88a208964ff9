//! Regions from runs of pixels: down the columns, as COCO counts them, or across the rows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Region, RegionError, merged};

/// In which order the pixels of an image are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunOrder {
    /// Down the first column, then down the next, as COCO and most competitions of Kaggle count.
    Columns,
    /// Across the first row, then across the next.
    Rows,
}

/// See [`Region::of_runs`].
pub(super) fn of_runs(
    starts: &[(u64, u64)],
    order: RunOrder,
    (width, height): (u32, u32),
    steps: &mut u64,
) -> Result<Region, RegionError> {
    let pixels = u64::from(width) * u64::from(height);
    let (mut runs, mut at) = (Vec::with_capacity(starts.len()), 0);
    for &(start, length) in starts {
        if start < at {
            return Err(RegionError::Disorder);
        }
        at = start.saturating_add(length);
        runs.push((start, at));
    }
    if at > pixels {
        return Err(RegionError::PastTheEnd { end: at, pixels });
    }
    match order {
        RunOrder::Columns => Ok(Region { width, height, runs: merged(runs) }),
        RunOrder::Rows => of_rows(&pieces(&merged(runs), width), (width, height), steps),
    }
}

/// Runs across the rows of an image of this width, cut at its edges.
fn pieces(runs: &[(u64, u64)], width: u32) -> Vec<(u32, u32, u32)> {
    let mut pieces = Vec::with_capacity(runs.len());
    let wide = u64::from(width);
    for &(mut start, end) in runs {
        while start < end {
            let row = start / wide;
            let stop = end.min((row + 1) * wide);
            pieces.push((row as u32, (start - row * wide) as u32, (stop - row * wide) as u32));
            start = stop;
        }
    }
    pieces
}

/// See [`Region::of_rows`].
pub(super) fn of_rows(
    rows: &[(u32, u32, u32)],
    (width, height): (u32, u32),
    steps: &mut u64,
) -> Result<Region, RegionError> {
    let rows = || rows.iter().filter(|(_, start, end)| start < end);
    let Some(&(first, mut left, _)) = rows().next() else { return Ok(Region { width, height, runs: Vec::new() }) };
    let (mut top, mut bottom, mut right) = (first, first, 0);
    for &(row, start, end) in rows() {
        (top, bottom) = (top.min(row), bottom.max(row));
        (left, right) = (left.min(start), right.max(end));
    }
    if bottom >= height || right > width {
        let (w, h) = (right - left, bottom.saturating_sub(top).saturating_add(1));
        return Err(RegionError::Outside { x: left, y: top, w, h });
    }
    let (w, h) = (right - left, bottom - top + 1);
    let area = u64::from(w) * u64::from(h);
    *steps = steps.checked_sub(area).ok_or(RegionError::TooLong)?;
    let mut inside = vec![false; area as usize];
    for &(row, start, end) in rows() {
        let line = (row - top) as usize * w as usize;
        inside[line + (start - left) as usize..line + (end - left) as usize].fill(true);
    }
    Region::of_part([left, top, w, h], &inside, (width, height))
}
