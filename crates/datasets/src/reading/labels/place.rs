//! The place of a label in its image, from what its file draws: a point, a box, an outline, or a box and an outline.

use segmentation::Region;

use super::outline::Outline;
use crate::annotation::Geometry;

/// Least overlap (intersection over union) of a box with that of the outline which its file draws for the same cell.
const LEAST_OVERLAP: f64 = 0.5;

/// The place and, where it is outlined, the pixels of a label in an image of `size` (width, height). The box of an outline is that of its
/// pixels, as by pycocotools.
///
/// # Errors
/// The reason for the report: no place, an outline of no pixel, a box and an outline of different places.
pub(super) fn of(
    geometry: Option<Geometry>,
    outline: Option<Outline>,
    size: (f64, f64),
    steps: &mut u64,
) -> Result<(Geometry, Option<Region>), String> {
    let Some(outline) = outline else { return Ok((geometry.ok_or("has no place")?, None)) };
    let region = outline.region((size.0 as u32, size.1 as u32), steps)?;
    let [x, y, w, h] = region.bounds().ok_or("holds no pixel of the image")?.map(f64::from);
    let drawn = Geometry::Box { x0: x, y0: y, x1: x + w, y1: y + h };
    match geometry {
        Some(said) if overlap(said, drawn) < LEAST_OVERLAP => {
            Err("its box and its outline are of different places".to_owned())
        }
        Some(said) => Ok((said, Some(region))),
        None => Ok((drawn, Some(region))),
    }
}

/// Intersection over union of two boxes; 1 with a point.
fn overlap(a: Geometry, b: Geometry) -> f64 {
    let (Geometry::Box { x0, y0, x1, y1 }, Geometry::Box { x0: u0, y0: v0, x1: u1, y1: v1 }) = (a, b) else {
        return 1.0;
    };
    let shared = (x1.min(u1) - x0.max(u0)).max(0.0) * (y1.min(v1) - y0.max(v0)).max(0.0);
    shared / ((x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - shared)
}
