//! The grid of patches of a field of view: squares that do not overlap, from the top left corner unless centred.

use super::cut::Cut;
use crate::schema::{Border, Fill, PatchRule, Small};

/// The patches of an image and the pixels that none of them holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Sorted by (y, x).
    pub(crate) cuts: Vec<Cut>,
    /// Pixels in no patch.
    pub(crate) unused_px: u64,
}

/// Cuts an image of `width` × `height` pixels into patches of `size` × `size`.
///
/// # Errors
/// The reason for which the image is not used.
pub(crate) fn grid(width: u32, height: u32, size: u32, rule: &PatchRule, label: Option<&str>) -> Result<Grid, String> {
    let short = width.min(height);
    let (side, resample_to) = match rule.small {
        Small::Skip if short < size => return Err(format!("{width}×{height} is smaller than a patch of {size}")),
        Small::Upscale if short < size => (short, Some(size)),
        _ => (size, None),
    };
    let columns = starts(width, side, rule.border);
    let rows = starts(height, side, rule.border);
    let mut cuts = Vec::with_capacity(columns.len() * rows.len());
    for &y in &rows {
        for &x in &columns {
            let label = label.map(str::to_owned);
            cuts.push(Cut { x, y, w: side, h: side, label, fill: Fill::Reflect, resample_to });
        }
    }
    let used = covered(width, side, columns.len()) * covered(height, side, rows.len());
    Ok(Grid { cuts, unused_px: u64::from(width) * u64::from(height) - used })
}

/// Where patches begin along one side.
fn starts(length: u32, size: u32, border: Border) -> Vec<i32> {
    let at = |pixel: u32| i32::try_from(pixel).unwrap_or(i32::MAX);
    if length < size {
        return vec![-at((size - length) / 2)];
    }
    let whole = length / size;
    let first = match border {
        Border::Centre => length % size / 2,
        Border::Drop | Border::Pad | Border::Shift => 0,
    };
    let mut starts: Vec<i32> = (0..whole).map(|index| at(first + index * size)).collect();
    if !length.is_multiple_of(size) {
        match border {
            Border::Drop | Border::Centre => {}
            Border::Pad => starts.push(at(whole * size)),
            Border::Shift => starts.push(at(length - size)),
        }
    }
    starts
}

fn covered(length: u32, size: u32, patches: usize) -> u64 {
    u64::from(length).min(u64::from(size) * patches as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(width: u32, height: u32, rule: &PatchRule) -> Vec<(i32, i32, u32)> {
        let grid = grid(width, height, 224, rule, None).expect("used");
        grid.cuts.iter().map(|cut| (cut.x, cut.y, cut.w)).collect()
    }

    #[test]
    fn the_border_is_dropped_padded_or_shifted() {
        let rule = |border| PatchRule { border, small: Small::Pad };
        assert_eq!(places(640, 480, &rule(Border::Drop)), [(0, 0, 224), (224, 0, 224), (0, 224, 224), (224, 224, 224)]);
        assert_eq!(places(640, 224, &rule(Border::Pad)), [(0, 0, 224), (224, 0, 224), (448, 0, 224)]);
        assert_eq!(places(640, 224, &rule(Border::Shift)), [(0, 0, 224), (224, 0, 224), (416, 0, 224)]);
        assert_eq!(places(360, 363, &rule(Border::Centre)), [(68, 69, 224)]);
        assert_eq!(places(640, 224, &rule(Border::Centre)), [(96, 0, 224), (320, 0, 224)]);
        let dropped = grid(640, 480, 224, &rule(Border::Drop), None).expect("used");
        assert_eq!(dropped.unused_px, 640 * 480 - 448 * 448);
        assert_eq!(grid(640, 480, 224, &rule(Border::Pad), None).expect("used").unused_px, 0);
        assert_eq!(grid(448, 448, 224, &rule(Border::Pad), None).expect("used").cuts.len(), 4);
    }

    #[test]
    fn a_small_image_is_centred_enlarged_or_skipped() {
        let rule = |small| PatchRule { border: Border::Drop, small };
        assert_eq!(places(120, 116, &rule(Small::Pad)), [(-52, -54, 224)]);
        assert_eq!(places(800, 150, &rule(Small::Pad)), [(0, -37, 224), (224, -37, 224), (448, -37, 224)]);
        assert_eq!(places(250, 120, &rule(Small::Upscale)), [(0, 0, 120), (120, 0, 120)]);
        assert_eq!(grid(250, 120, 224, &rule(Small::Upscale), None).expect("used").cuts[0].resample_to, Some(224));
        assert!(grid(223, 900, 224, &rule(Small::Skip), None).is_err());
    }
}
