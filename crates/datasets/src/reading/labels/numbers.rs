//! Places and sizes of images as the texts of label files give them: finite numbers, or a reason for the report.

use super::entry::{LabelEntry, StatedSize};
use crate::annotation::Geometry;
use crate::schema::PlaceColumns;
use crate::schema::text::shortened;

/// Whether a file that says of which size its image is means this one.
pub(super) fn of_this_size(said: StatedSize, (width, height): (f64, f64)) -> Result<(), String> {
    let upright = format!("the upright image is of {width}×{height}, so the place is not known");
    match said {
        Err(reason) => Err(format!("{reason}; {upright}")),
        Ok(None) => Ok(()),
        Ok(Some(said)) if said == (width, height) => Ok(()),
        Ok(Some((w, h))) => {
            let turned = if (w, h) == (height, width) { ", as the image lies before EXIF turns it" } else { "" };
            Err(format!("was drawn on an image of {w}×{h} px{turned}; {upright}"))
        }
    }
}

/// The size that two texts say; nothing where both are empty or 0, as some programs write them.
pub(crate) fn size_of(width: &str, height: &str) -> StatedSize {
    let bad = || format!("the size of its image is given as `{}` × `{}`", shortened(width), shortened(height));
    let side = |text: &str| match text.trim() {
        "" => Ok(0.0),
        text => text.parse::<f64>().ok().filter(|side| side.is_finite() && *side >= 0.0).ok_or_else(bad),
    };
    match (side(width)?, side(height)?) {
        (0.0, 0.0) => Ok(None),
        (0.0, _) | (_, 0.0) => Err(bad()),
        size => Ok(Some(size)),
    }
}

/// The size that two numbers say; nothing where both are 0.
pub(super) fn size_of_numbers(width: f64, height: f64) -> StatedSize {
    size_of(&width.to_string(), &height.to_string())
}

/// An entry whose coordinates count so many pixels each.
pub(super) fn scaled(mut entry: LabelEntry, (sx, sy): (f64, f64)) -> LabelEntry {
    entry.geometry = entry.geometry.map(|geometry| match geometry {
        Geometry::Point { x, y } => Geometry::Point { x: x * sx, y: y * sy },
        Geometry::Box { x0, y0, x1, y1 } => Geometry::Box { x0: x0 * sx, y0: y0 * sy, x1: x1 * sx, y1: y1 * sy },
    });
    entry.outline = entry.outline.map(|outline| outline.scaled((sx, sy)));
    if !entry.geometry.is_none_or(is_finite) {
        entry.label = Err(NO_NUMBERS.to_owned());
    }
    entry
}

/// Whether all coordinates are finite.
fn is_finite(geometry: Geometry) -> bool {
    match geometry {
        Geometry::Point { x, y } => x.is_finite() && y.is_finite(),
        Geometry::Box { x0, y0, x1, y1 } => [x0, y0, x1, y1].into_iter().all(f64::is_finite),
    }
}

/// The point at finite coordinates.
pub(super) fn point_at(x: f64, y: f64) -> Option<Geometry> {
    Some(Geometry::Point { x, y }).filter(|point| is_finite(*point))
}

/// The box from its left top corner and its sides, all finite.
pub(super) fn box_at([x, y, w, h]: [f64; 4]) -> Option<Geometry> {
    Some(Geometry::Box { x0: x, y0: y, x1: x + w, y1: y + h }).filter(|place| is_finite(*place))
}

/// The box between two corners in any order, all finite.
pub(super) fn box_between([ax, ay, bx, by]: [f64; 4]) -> Option<Geometry> {
    let place = Geometry::Box { x0: ax.min(bx), y0: ay.min(by), x1: ax.max(bx), y1: ay.max(by) };
    Some(place).filter(|place| is_finite(*place))
}

/// Why coordinates are not used.
pub(crate) const NO_NUMBERS: &str = "coordinates are not numbers, or not finite (a decimal point is `.`)";

/// The box that four texts describe.
pub(crate) fn box_of(corners: [&str; 4]) -> Option<Geometry> {
    let mut numbers = [0.0; 4];
    for (number, text) in numbers.iter_mut().zip(corners) {
        *number = text.trim().parse::<f64>().ok().filter(|value| value.is_finite())?;
    }
    let [x0, y0, x1, y1] = numbers;
    Some(Geometry::Box { x0, y0, x1, y1 })
}

/// The place that the texts of a table's columns give.
pub(super) fn place_of(columns: PlaceColumns<'_>, texts: &[String]) -> Option<Geometry> {
    let number = |text: &String| text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    let numbers: Vec<f64> = texts.iter().map(number).collect::<Option<_>>()?;
    match (columns, numbers.as_slice()) {
        (PlaceColumns::Corners(_), &[x0, y0, x1, y1]) => Some(Geometry::Box { x0, y0, x1, y1 }),
        (PlaceColumns::Sides(_), &[x, y, w, h]) => box_at([x, y, w, h]),
        (PlaceColumns::Centre(_), &[x, y, w, h]) => box_at([x - w / 2.0, y - h / 2.0, w, h]),
        (PlaceColumns::Point(_), &[x, y]) => point_at(x, y),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers_or_not_said() {
        for (width, height, said) in [
            ("320", " 200 ", Ok(Some((320.0, 200.0)))),
            ("", "", Ok(None)),
            ("0", "0", Ok(None)),
            ("-320", "200", Err(())),
            ("abc", "200", Err(())),
            ("320", "", Err(())),
            ("0", "200", Err(())),
            ("NaN", "inf", Err(())),
            (&"9".repeat(309), "1", Err(())),
        ] {
            let size = size_of(width, height);
            assert_eq!(size.as_ref().map_err(|_| ()).copied(), said, "{width} × {height}: {size:?}");
            assert!(size.is_ok() || size.expect_err("no size").len() < 400);
        }
    }

    #[test]
    fn a_box_of_endless_numbers_is_none_before_and_after_it_is_scaled() {
        for corner in [&"9".repeat(309), "inf", "NaN", "1,5", ""] {
            assert_eq!(box_of([corner, "0", "1", "1"]), None, "{corner}");
        }
        let place = box_of(["0", "0", "1e308", "1"]);
        let entry = LabelEntry { geometry: place, ..LabelEntry::new("line 2".into(), Ok("rbc".into())) };
        assert_eq!(scaled(entry, (640.0, 480.0)).label, Err(NO_NUMBERS.to_owned()));
    }
}
