//! Cells cut around labels.
//!
//! A point gives a square of the description's `cells.size`; a box gives a square around its centre, its longer side plus
//! a margin, or `cells.size` where `cells.fixed` is set. Pixels are never enlarged. An image that has one label as a whole
//! is one cell. Two annotations at the same place are one cell: with the same label the first is used, with different labels
//! none is, because which is true cannot be known; either is reported.

use std::collections::BTreeMap;

use super::cut::{Cut, LONGEST_SIDE};
use crate::annotation::{Annotation, Geometry, ImageLabels, LabelIssue};
use crate::schema::CellRule;

/// Shortest side of a box that shows a cell, px.
const LEAST_BOX: f64 = 3.0;
/// Least share of a box that lies in the image: others are of another image, or of another scale.
const LEAST_INSIDE: f64 = 0.25;

/// The cells of an image of `width` × `height` pixels, sorted by (y, x, w), and the labels from which no cell was cut.
///
/// # Errors
/// The reason for which the image is not used.
pub(crate) fn around_labels(
    (width, height): (u32, u32),
    labels: ImageLabels,
    rule: &CellRule,
) -> Result<(Vec<Cut>, Vec<LabelIssue>), String> {
    match labels {
        ImageLabels::Missing(reason) => Err(reason),
        ImageLabels::Whole(_) if width.max(height) > LONGEST_SIDE => {
            Err(format!("{width}×{height} px are too large for a cell of at most {LONGEST_SIDE} px a side"))
        }
        ImageLabels::Whole(label) => Ok((
            vec![Cut { x: 0, y: 0, w: width, h: height, label: Some(label), fill: rule.pad, resample_to: None }],
            Vec::new(),
        )),
        ImageLabels::Annotations(annotations) => Ok(around(width, height, annotations, rule)),
    }
}

fn around(width: u32, height: u32, annotations: Vec<Annotation>, rule: &CellRule) -> (Vec<Cut>, Vec<LabelIssue>) {
    let mut issues = Vec::new();
    let mut places: BTreeMap<(i32, i32, u32), Vec<Annotation>> = BTreeMap::new();
    for annotation in annotations {
        let geometry = annotation.geometry;
        match plausible(width, height, geometry).and_then(|()| square(width, height, geometry, rule)) {
            Ok((x, y, side)) => places.entry((y, x, side)).or_default().push(annotation),
            Err(reason) => issues.push(LabelIssue { at: annotation.at, reason }),
        }
    }
    let mut cuts = Vec::with_capacity(places.len());
    for ((y, x, side), annotations) in places {
        let same = annotations.iter().all(|annotation| annotation.label == annotations[0].label);
        for (index, annotation) in annotations.iter().enumerate() {
            if same && index == 0 {
                let label = Some(annotation.label.clone());
                cuts.push(Cut { x, y, w: side, h: side, label, fill: rule.pad, resample_to: None });
            } else {
                let other =
                    annotations.iter().find(|other| same || other.label != annotation.label).unwrap_or(annotation);
                let reason = if same { "repeats" } else { "contradicts" };
                let reason = format!("{} at the same place {reason} {} ({})", annotation.label, other.at, other.label);
                issues.push(LabelIssue { at: annotation.at.clone(), reason });
            }
        }
    }
    (cuts, issues)
}

/// Whether a annotation can be that of a cell in an image of `width` × `height`. What is drawn by hand may reach over the edge by a little.
pub(super) fn plausible(width: u32, height: u32, geometry: Geometry) -> Result<(), String> {
    let (w, h) = (f64::from(width), f64::from(height));
    let Geometry::Box { x0, y0, x1, y1 } = geometry else { return Ok(()) };
    let (across, down) = (x1.min(w) - x0.max(0.0), y1.min(h) - y0.max(0.0));
    let name = format!("box ({x0}, {y0}) to ({x1}, {y1})");
    if x1 <= x0 || y1 <= y0 {
        return Err(format!("{name} has no width or no height"));
    }
    if across <= 0.0 || down <= 0.0 || across / (x1 - x0) * (down / (y1 - y0)) < LEAST_INSIDE {
        return Err(format!("{name} lies mostly outside the image of {width}×{height}"));
    }
    if across.min(down) < LEAST_BOX {
        return Err(format!("{name} holds less than {LEAST_BOX} px across or down of the image of {width}×{height}"));
    }
    Ok(())
}

/// Whether a label may be that of a cell: a box as by [`plausible`], a point in the image.
pub(crate) fn may_be_a_cell((width, height): (u32, u32), geometry: Geometry) -> Result<(), String> {
    plausible(width, height, geometry)?;
    square(width, height, geometry, &CellRule::default()).map(|_| ())
}

/// The square (x, y, side) around a annotation in an image of `width` × `height`.
pub(super) fn square(width: u32, height: u32, geometry: Geometry, rule: &CellRule) -> Result<(i32, i32, u32), String> {
    let (w, h) = (f64::from(width), f64::from(height));
    let (x, y, side) = match geometry {
        Geometry::Point { x, y } => {
            if !(0.0..w).contains(&x) || !(0.0..h).contains(&y) {
                return Err(format!("point ({x}, {y}) is outside the image of {width}×{height}"));
            }
            (x, y, rule.size)
        }
        Geometry::Box { x0, y0, x1, y1 } => {
            let (x0, y0, x1, y1) = (x0.clamp(0.0, w), y0.clamp(0.0, h), x1.clamp(0.0, w), y1.clamp(0.0, h));
            let longer = (x1 - x0).max(y1 - y0);
            if longer * (1.0 + 2.0 * rule.margin) > f64::from(LONGEST_SIDE) {
                return Err(format!("box of {longer} px is too large for a cell of at most {LONGEST_SIDE} px"));
            }
            let side = if rule.fixed { rule.size } else { (longer * (1.0 + 2.0 * rule.margin)).ceil() as u32 };
            (f64::midpoint(x0, x1), f64::midpoint(y0, y1), side)
        }
    };
    let start = |centre: f64| (centre - f64::from(side) / 2.0).round() as i32;
    Ok((start(x), start(y), side))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64, label: &str, line: u32) -> Annotation {
        Annotation { geometry: Geometry::Point { x, y }, region: None, label: label.into(), at: format!("line {line}") }
    }

    fn boxed(corners: [f64; 4], label: &str) -> Annotation {
        let [x0, y0, x1, y1] = corners;
        Annotation {
            geometry: Geometry::Box { x0, y0, x1, y1 },
            region: None,
            label: label.into(),
            at: "object 1".into(),
        }
    }

    #[test]
    fn a_point_is_the_centre_of_its_square() {
        let (cuts, issues) =
            around_labels((640, 480), ImageLabels::Annotations(vec![point(100.0, 3.0, "a", 1)]), &CellRule::default())
                .expect("used");
        assert_eq!((cuts[0].x, cuts[0].y, cuts[0].w, cuts[0].h), (60, -37, 80, 80));
        assert!(issues.is_empty());
    }

    #[test]
    fn points_outside_repeated_and_contradictory_are_reported() {
        let annotations = vec![
            point(640.0, 1.0, "a", 1),
            point(5.0, 5.0, "a", 2),
            point(5.0, 5.0, "a", 3),
            point(9.0, 9.0, "a", 4),
            point(9.0, 9.0, "b", 5),
        ];
        let (cuts, issues) =
            around_labels((640, 480), ImageLabels::Annotations(annotations), &CellRule::default()).expect("used");
        assert_eq!(cuts.len(), 1);
        let ats: Vec<&str> = issues.iter().map(|issue| issue.at.as_str()).collect();
        assert_eq!(ats, ["line 1", "line 3", "line 4", "line 5"]);
        assert!(issues[1].reason.contains("repeats line 2"), "{}", issues[1].reason);
        assert!(issues[2].reason.contains("contradicts line 5 (b)"), "{}", issues[2].reason);
    }

    #[test]
    fn a_box_gives_a_square_with_margin_and_an_empty_box_none() {
        let rule = CellRule { margin: 0.25, ..CellRule::default() };
        let annotations = vec![boxed([100.0, 100.0, 140.0, 120.0], "rbc"), boxed([7.0, 3.0, 7.0, 9.0], "rbc")];
        let (cuts, issues) = around_labels((640, 480), ImageLabels::Annotations(annotations), &rule).expect("used");
        assert_eq!((cuts[0].x, cuts[0].y, cuts[0].w), (90, 80, 60));
        assert!(issues[0].reason.contains("no width"), "{}", issues[0].reason);
        let fixed = CellRule { fixed: true, ..rule };
        let (cuts, _) = around_labels(
            (640, 480),
            ImageLabels::Annotations(vec![boxed([600.0, 440.0, 700.0, 500.0], "wbc")]),
            &fixed,
        )
        .expect("used");
        assert_eq!(
            (cuts[0].x, cuts[0].y, cuts[0].w),
            (580, 420, 80),
            "clamped to the image before its centre is taken"
        );
    }

    #[test]
    fn boxes_that_no_cell_has_are_reported() {
        for (corners, words) in [
            ([10.0, 10.0, 12.0, 90.0], "less than 3 px"),
            ([639.0, 10.0, 700.0, 90.0], "mostly outside"),
            ([-2000.0, -2000.0, 3000.0, 3000.0], "mostly outside"),
            ([700.0, 10.0, 800.0, 90.0], "mostly outside"),
            ([90.0, 10.0, 20.0, 90.0], "no width"),
            ([f64::MIN, f64::MIN, f64::MAX, f64::MAX], "mostly outside"),
        ] {
            let (cuts, issues) =
                around_labels((640, 480), ImageLabels::Annotations(vec![boxed(corners, "rbc")]), &CellRule::default())
                    .expect("used");
            assert!(cuts.is_empty() && issues[0].reason.contains(words), "{corners:?}: {issues:?}");
        }
        let over_the_edge = boxed([-20.0, -5.0, 40.0, 50.0], "rbc");
        let (cuts, issues) =
            around_labels((640, 480), ImageLabels::Annotations(vec![over_the_edge]), &CellRule::default())
                .expect("used");
        assert_eq!((cuts.len(), issues.len()), (1, 0));
    }

    #[test]
    fn a_labelled_image_that_no_row_can_hold_is_a_reason() {
        for (width, height) in [(8193, 10), (10, 8193)] {
            let reason = around_labels((width, height), ImageLabels::Whole("a".into()), &CellRule::default())
                .expect_err("too large");
            assert!(reason.contains("8192"), "{reason}");
        }
        assert!(around_labels((8192, 8192), ImageLabels::Whole("a".into()), &CellRule::default()).is_ok());
    }

    #[test]
    fn numbers_no_image_has_do_not_overflow() {
        for value in [f64::MAX, -f64::MAX, 1e300, f64::MIN_POSITIVE] {
            let annotations = vec![
                boxed([value, value, value * 2.0, 1e308], "a"),
                boxed([-1e300, -1e300, 1e300, 1e300], "b"),
                point(value, 1.0, "c", 1),
            ];
            drop(around_labels((640, 480), ImageLabels::Annotations(annotations), &CellRule::default()));
        }
    }

    #[test]
    fn a_labelled_image_is_one_cell_and_an_unlabelled_none() {
        let (cuts, _) =
            around_labels((360, 363), ImageLabels::Whole("monocyte".into()), &CellRule::default()).expect("used");
        assert_eq!((cuts[0].x, cuts[0].w, cuts[0].h, cuts[0].label.as_deref()), (0, 360, 363, Some("monocyte")));
        assert_eq!(
            around_labels((9, 9), ImageLabels::Missing("no".into()), &CellRule::default()),
            Err("no".to_owned())
        );
    }
}
