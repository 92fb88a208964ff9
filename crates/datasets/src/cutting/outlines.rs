//! Cells cut around outlines that were found in the pixels or given as masks, and the labels that lie in them.

use segmentation::{Cell, Region};

use super::cells::{plausible, square};
use super::cut::Cut;
use crate::annotation::{Annotation, Geometry, ImageLabels, LabelIssue};
use crate::schema::CellRule;

/// The rows of an image around outlined cells.
#[derive(Debug, Default)]
pub(crate) struct OutlinedCells {
    /// Squares and the cells they are cut around, sorted by (y, x, w) of the square.
    pub(crate) cells: Vec<(Cut, Cell)>,
    /// Labels that belong to no cell, and cells that are not used.
    pub(crate) issues: Vec<LabelIssue>,
    /// How the cells agree with the labels.
    pub(crate) agreement: Agreement,
}

/// How well outlined cells and labelled places agree, in counts that can be added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Images with labelled places.
    pub images: u64,
    /// Labelled places in the image.
    pub annotations: u64,
    /// Of them, those in a cell.
    pub in_a_cell: u64,
    /// Of them, those that are alone in their cell.
    pub alone: u64,
    /// Cells of images with labelled places.
    pub cells: u64,
    /// Of them, those that hold a labelled place.
    pub labelled: u64,
}

/// The rows of an image of `size` around `cells`.
///
/// A cell takes the label of the annotation that lies in it; where several lie in it they must agree. A label of the whole image
/// goes to each cell. A cell without an annotation has no label.
pub(crate) fn around_outlines(
    cells: Vec<Cell>,
    size: (u32, u32),
    labels: &ImageLabels,
    rule: &CellRule,
) -> OutlinedCells {
    let mut issues = Vec::new();
    let annotations: &[Annotation] = if let ImageLabels::Annotations(annotations) = labels { annotations } else { &[] };
    let found = assign(cells, size, annotations, &mut issues);
    let agreement = agreement(&found, annotations.len());
    let mut cells: Vec<(Cut, Cell)> = Vec::with_capacity(found.len());
    for (cell, inside) in found {
        let label = label_of(labels, &inside, &mut issues);
        match square(size.0, size.1, box_of(&cell), rule) {
            Ok(place) => cells.push((cut(place, label, rule), cell)),
            Err(reason) => issues.push(LabelIssue { at: place_of(&cell), reason }),
        }
    }
    sort_and_merge(&mut cells, &mut issues);
    OutlinedCells { cells, issues, agreement }
}

/// The rows of an image of `size` around the outlines that its labels draw. A label without an outline is an issue.
pub(crate) fn around_drawn(annotations: Vec<Annotation>, size: (u32, u32), rule: &CellRule) -> OutlinedCells {
    let mut found = OutlinedCells::default();
    for Annotation { region, label, at, .. } in annotations {
        let Some(cell) = region.as_ref().and_then(Region::cell) else {
            let reason =
                "has a place but no outline; without `cells: { drawn: true }` a cell is cut around it".to_owned();
            found.issues.push(LabelIssue { at, reason });
            continue;
        };
        let place = plausible(size.0, size.1, box_of(&cell));
        match place.and_then(|()| square(size.0, size.1, box_of(&cell), rule)) {
            Ok(place) => found.cells.push((cut(place, Some(label), rule), cell)),
            Err(reason) => found.issues.push(LabelIssue { at, reason }),
        }
    }
    sort_and_merge(&mut found.cells, &mut found.issues);
    found
}

fn box_of(cell: &Cell) -> Geometry {
    let [x0, y0, x1, y1] = [cell.x, cell.y, cell.x + cell.w, cell.y + cell.h].map(f64::from);
    Geometry::Box { x0, y0, x1, y1 }
}

/// The square (x, y, side) as a row.
fn cut((x, y, side): (i32, i32, u32), label: Option<String>, rule: &CellRule) -> Cut {
    Cut { x, y, w: side, h: side, label, fill: rule.pad, resample_to: None }
}

/// Each cell with the annotations that lie in it. Those that lie in none, or cannot be of a cell, are issues.
fn assign<'a>(
    cells: Vec<Cell>,
    (width, height): (u32, u32),
    annotations: &'a [Annotation],
    issues: &mut Vec<LabelIssue>,
) -> Vec<(Cell, Vec<&'a Annotation>)> {
    let mut found: Vec<(Cell, Vec<&Annotation>)> = cells.into_iter().map(|cell| (cell, Vec::new())).collect();
    for annotation in annotations {
        if let Err(reason) = plausible(width, height, annotation.geometry) {
            issues.push(LabelIssue { at: annotation.at.clone(), reason });
            continue;
        }
        match found.iter_mut().find(|(cell, _)| lies_in(annotation, cell)) {
            Some((_, inside)) => inside.push(annotation),
            None => issues.push(LabelIssue {
                at: annotation.at.clone(),
                reason: "is not inside any cell that was found".to_owned(),
            }),
        }
    }
    found
}

fn agreement(found: &[(Cell, Vec<&Annotation>)], annotations: usize) -> Agreement {
    Agreement {
        images: u64::from(annotations > 0),
        annotations: annotations as u64,
        in_a_cell: found.iter().map(|(_, inside)| inside.len() as u64).sum(),
        alone: found.iter().filter(|(_, inside)| inside.len() == 1).count() as u64,
        cells: if annotations == 0 { 0 } else { found.len() as u64 },
        labelled: found.iter().filter(|(_, inside)| !inside.is_empty()).count() as u64,
    }
}

/// The label of a cell in which some annotations lie. Annotations that contradict each other are issues.
fn label_of(labels: &ImageLabels, inside: &[&Annotation], issues: &mut Vec<LabelIssue>) -> Option<String> {
    match (labels, inside) {
        (ImageLabels::Whole(label), _) => Some(label.clone()),
        (_, []) => None,
        (_, [first, rest @ ..]) if rest.iter().all(|other| other.label == first.label) => Some(first.label.clone()),
        (_, several) => {
            issues.extend(several.iter().map(|annotation| LabelIssue {
                at: annotation.at.clone(),
                reason: format!("{} is in the same found cell as other labels", annotation.label),
            }));
            None
        }
    }
}

/// Sorts the squares. Two cells whose squares are the same would have one id: the larger one is what the square shows.
fn sort_and_merge(cells: &mut Vec<(Cut, Cell)>, issues: &mut Vec<LabelIssue>) {
    cells.sort_by(|(p, a), (q, b)| {
        (p.y, p.x, p.w).cmp(&(q.y, q.x, q.w)).then(b.area.cmp(&a.area)).then((a.y, a.x).cmp(&(b.y, b.x)))
    });
    cells.dedup_by(|(later, cell), (first, _)| {
        let same = (later.x, later.y, later.w) == (first.x, first.y, first.w);
        if same {
            issues.push(LabelIssue { at: place_of(cell), reason: "its square is that of a larger cell".to_owned() });
        }
        same
    });
}

fn place_of(cell: &Cell) -> String {
    format!("found cell at ({}, {})", cell.x, cell.y)
}

impl std::ops::AddAssign for Agreement {
    fn add_assign(&mut self, other: Self) {
        self.images += other.images;
        self.annotations += other.annotations;
        self.in_a_cell += other.in_a_cell;
        self.alone += other.alone;
        self.cells += other.cells;
        self.labelled += other.labelled;
    }
}

/// Whether a point, or the middle of a box, lies in a cell.
fn lies_in(annotation: &Annotation, cell: &Cell) -> bool {
    let (x, y) = match annotation.geometry {
        Geometry::Point { x, y } => (x, y),
        Geometry::Box { x0, y0, x1, y1 } => (f64::midpoint(x0, x1), f64::midpoint(y0, y1)),
    };
    x >= 0.0 && y >= 0.0 && x < f64::from(u32::MAX) && y < f64::from(u32::MAX) && cell.contains(x as u32, y as u32)
}
