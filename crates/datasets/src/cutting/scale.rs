//! One scale for all sources: rows that show as many micrometres to a pixel, whatever their source has.
//!
//! A row keeps its place in source pixels; only its own pixels are resampled.

use super::cut::Cut;

/// Side in source pixels of what becomes `size` pixels at `target` µm a pixel. Without a known scale nothing is resampled.
pub(crate) fn source_side(size: u32, um_per_px: Option<f64>, target: f64) -> u32 {
    um_per_px.map_or(size, |um| rounded(f64::from(size) * target / um))
}

/// Has every patch resampled to `size`.
pub(crate) fn patches_to(cuts: &mut [Cut], size: u32) {
    for cut in cuts {
        cut.resample_to = (cut.w != size).then_some(size);
    }
}

/// Has every cell resampled from the source's scale to `target`.
pub(crate) fn cells_to_scale(cuts: &mut [Cut], um_per_px: Option<f64>, target: f64) {
    let Some(um) = um_per_px else { return };
    for cut in cuts {
        let side = rounded(f64::from(cut.w) * um / target);
        cut.resample_to = (cut.w != side).then_some(side);
    }
}

/// At least a pixel, at most what a shard can hold.
fn rounded(side: f64) -> u32 {
    side.round().clamp(1.0, f64::from(super::cut::LONGEST_SIDE)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Fill;

    #[test]
    fn a_source_of_twice_the_scale_gives_squares_of_twice_the_side() {
        assert_eq!(source_side(224, Some(0.05), 0.1), 448);
        assert_eq!(source_side(224, Some(0.2), 0.1), 112);
        assert_eq!(source_side(224, None, 0.1), 224);
        assert_eq!(source_side(224, Some(100.0), 0.001), 1);
    }

    #[test]
    fn cells_are_resampled_and_stay_in_their_places() {
        let cut = |w, h| Cut { x: -3, y: 5, w, h, label: None, fill: Fill::Reflect, resample_to: None };
        let mut cuts = [cut(80, 80), cut(1, 1)];
        cells_to_scale(&mut cuts, Some(0.05), 0.1);
        assert_eq!(
            cuts.each_ref().map(|cut| (cut.x, cut.y, cut.w, cut.resample_to)),
            [(-3, 5, 80, Some(40)), (-3, 5, 1, None)]
        );
        patches_to(&mut cuts, 80);
        assert_eq!(cuts.map(|cut| cut.resample_to), [None, Some(80)]);
    }
}
