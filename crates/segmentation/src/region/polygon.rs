//! Fills a polygon as pycocotools does: its outline is walked in fifths of a pixel, and where it passes the middle of a column the column
//! changes from outside to inside or back.

use super::{Region, RegionError};

/// Steps to a pixel.
const SCALE: f64 = 5.0;

pub(super) fn filled(points: &[[f64; 2]], size: (u32, u32), steps: &mut u64) -> Result<Region, RegionError> {
    if points.len() < 3 {
        return Err(RegionError::FewPoints(points.len()));
    }
    let (width, height) = (f64::from(size.0), f64::from(size.1));
    let near = |[x, y]: &[f64; 2]| (-width..=2.0 * width).contains(x) && (-height..=2.0 * height).contains(y);
    if !points.iter().all(near) {
        return Err(RegionError::FarOutside(size.0, size.1));
    }
    let scaled = |[x, y]: &[f64; 2]| ((SCALE * x + 0.5) as i64, (SCALE * y + 0.5) as i64);
    let corners: Vec<(i64, i64)> = points.iter().map(scaled).collect();
    let mut crossings = Vec::new();
    let mut last = None;
    for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        let length = (from.0 - to.0).abs().max((from.1 - to.1).abs()) as u64 + 1;
        *steps = steps.checked_sub(length).ok_or(RegionError::TooLong)?;
        walk(*from, *to, |point| {
            if let Some(before) = last.replace(point) {
                crossings.extend(crossing(before, point, (width, height)));
            }
        });
    }
    crossings.sort_unstable();
    let mut counts: Vec<u64> = Vec::with_capacity(crossings.len() + 1);
    let mut at = 0;
    for crossing in crossings.into_iter().chain([u64::from(size.0) * u64::from(size.1)]) {
        counts.push(crossing - at);
        at = crossing;
    }
    Region::of_counts(&counts, size)
}

/// The points from one corner to the next, both with them, one step apart in the longer direction.
fn walk((xs, ys): (i64, i64), (xe, ye): (i64, i64), mut visit: impl FnMut((i64, i64))) {
    let (dx, dy) = ((xe - xs).abs(), (ye - ys).abs());
    let flat = dx >= dy;
    let flip = if flat { xs > xe } else { ys > ye };
    // The line between two corners is the same in both directions.
    let ((xs, ys), (xe, ye)) = if flip { ((xe, ye), (xs, ys)) } else { ((xs, ys), (xe, ye)) };
    let length = if flat { dx } else { dy };
    let slope = if length == 0 { 0.0 } else { (if flat { ye - ys } else { xe - xs }) as f64 / length as f64 };
    for step in 0..=length {
        let step = if flip { length - step } else { step };
        let across = |start: i64| (start as f64 + slope * step as f64 + 0.5) as i64;
        visit(if flat { (xs + step, across(ys)) } else { (across(xs), ys + step) });
    }
}

/// Where the outline passes the middle of a column: the place of the first pixel below it, counted down the columns.
fn crossing(before: (i64, i64), at: (i64, i64), (width, height): (f64, f64)) -> Option<u64> {
    if at.0 == before.0 {
        return None;
    }
    let x = if at.0 < before.0 { at.0 } else { at.0 - 1 };
    let x = (x as f64 + 0.5) / SCALE - 0.5;
    if x.floor() != x || x < 0.0 || x > width - 1.0 {
        return None;
    }
    let y = (at.1.min(before.1) as f64 + 0.5) / SCALE - 0.5;
    let y = y.clamp(0.0, height).ceil();
    Some(x as u64 * height as u64 + y as u64)
}

#[cfg(test)]
mod tests {
    use super::super::MOST_STEPS;
    use super::*;

    #[test]
    fn polygons_of_no_image_are_reasons_and_take_no_time() {
        let fill = |points: &[[f64; 2]]| filled(points, (100, 80), &mut { MOST_STEPS });
        assert_eq!(fill(&[[1.0, 1.0], [2.0, 2.0]]), Err(RegionError::FewPoints(2)));
        for far in [f64::NAN, f64::INFINITY, -1e300, 1e300, 201.0] {
            assert_eq!(fill(&[[1.0, 1.0], [far, 2.0], [5.0, 5.0]]), Err(RegionError::FarOutside(100, 80)), "{far}");
        }
        let long: Vec<[f64; 2]> = (0..3000).map(|at| [f64::from(at % 2) * 99.0, 1.0]).collect();
        assert_eq!(filled(&long, (100, 80), &mut 100_000), Err(RegionError::TooLong));
        assert_eq!(fill(&[[5.0, 5.0]; 4]).expect("a point").area(), 0);
    }

    #[test]
    fn a_square_holds_the_pixels_whose_middles_it_holds() {
        let square = filled(&[[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]], (6, 5), &mut { MOST_STEPS });
        let square = square.expect("a square");
        assert_eq!((square.area(), square.bounds()), (6, Some([1, 1, 3, 2])));
    }
}
