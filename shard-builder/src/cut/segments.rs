//! Cells with outlines, found by their looks or given as masks, and the labels that lie in them.

use segmentation::Cell;

use super::Cut;
use crate::cut::cells;
use crate::source::cut_rule::CellRule;
use crate::source::labels::{Issue, Known, Mark, Shape};

/// What was found in an image.
#[derive(Debug, Default)]
pub(crate) struct Segmented {
    /// Squares and the cells they are cut around, sorted by (y, x, w) of the square.
    pub(crate) cells: Vec<(Cut, Cell)>,
    /// Labels that went to no cell, and cells that are not used.
    pub(crate) issues: Vec<Issue>,
    /// How the cells agree with the labels.
    pub(crate) agreement: Agreement,
}

/// How found cells and labelled places agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// Images with labelled places.
    pub(crate) images: u64,
    /// Labelled places in the image.
    pub(crate) marks: u64,
    /// Of them, those in a cell.
    pub(crate) in_a_cell: u64,
    /// Of them, those that are alone in their cell.
    pub(crate) alone: u64,
    /// Cells of images with labelled places.
    pub(crate) cells: u64,
    /// Of them, those that hold a labelled place.
    pub(crate) marked: u64,
}

/// The rows of an image's cells.
///
/// A cell takes the label of the mark that lies in it; where several marks lie in it they must agree. A label of the whole image
/// goes to each cell. A cell without a mark has no label.
pub(crate) fn segments(cells: Vec<Cell>, (width, height): (u32, u32), known: &Known, rule: &CellRule) -> Segmented {
    let mut issues = Vec::new();
    let mut found: Vec<(Cell, Vec<&Mark>)> = cells.into_iter().map(|cell| (cell, Vec::new())).collect();
    let marks: &[Mark] = if let Known::Marks(marks) = known { marks } else { &[] };
    for mark in marks {
        if let Err(reason) = cells::plausible(width, height, mark.shape) {
            issues.push(Issue { at: mark.at.clone(), reason });
            continue;
        }
        match found.iter_mut().find(|(cell, _)| lies_in(mark, cell)) {
            Some((_, inside)) => inside.push(mark),
            None => issues.push(Issue { at: mark.at.clone(), reason: "lies in no cell that was found".to_owned() }),
        }
    }
    let agreement = Agreement {
        images: u64::from(!marks.is_empty()),
        marks: marks.len() as u64,
        in_a_cell: found.iter().map(|(_, inside)| inside.len() as u64).sum(),
        alone: found.iter().filter(|(_, inside)| inside.len() == 1).count() as u64,
        cells: if marks.is_empty() { 0 } else { found.len() as u64 },
        marked: found.iter().filter(|(_, inside)| !inside.is_empty()).count() as u64,
    };
    let mut cells: Vec<(Cut, Cell)> = Vec::with_capacity(found.len());
    for (cell, inside) in found {
        let label = match (known, inside.as_slice()) {
            (Known::Whole(label), _) => Some(label.clone()),
            (_, []) => None,
            (_, [first, rest @ ..]) if rest.iter().all(|mark| mark.label == first.label) => Some(first.label.clone()),
            (_, several) => {
                issues.extend(several.iter().map(|mark| Issue {
                    at: mark.at.clone(),
                    reason: format!("{} lies in one found cell with other labels", mark.label),
                }));
                None
            }
        };
        let corners = [cell.x, cell.y, cell.x + cell.w, cell.y + cell.h].map(f64::from);
        let shape = Shape::Box { x0: corners[0], y0: corners[1], x1: corners[2], y1: corners[3] };
        match cells::square(width, height, shape, rule) {
            Ok((x, y, side)) => {
                cells.push((Cut { x, y, w: side, h: side, label, fill: rule.pad, resample_to: None }, cell));
            }
            Err(reason) => issues.push(Issue { at: format!("found cell at ({}, {})", cell.x, cell.y), reason }),
        }
    }
    // Two cells whose squares are the same would have one id; the larger one is what the square shows.
    cells.sort_by(|(p, a), (q, b)| {
        (p.y, p.x, p.w).cmp(&(q.y, q.x, q.w)).then(b.area.cmp(&a.area)).then((a.y, a.x).cmp(&(b.y, b.x)))
    });
    cells.dedup_by(|(later, cell), (first, _)| {
        let same = (later.x, later.y, later.w) == (first.x, first.y, first.w);
        if same {
            let at = format!("found cell at ({}, {})", cell.x, cell.y);
            issues.push(Issue { at, reason: "its square is that of a larger cell".to_owned() });
        }
        same
    });
    Segmented { cells, issues, agreement }
}

impl std::ops::AddAssign for Agreement {
    fn add_assign(&mut self, other: Self) {
        self.images += other.images;
        self.marks += other.marks;
        self.in_a_cell += other.in_a_cell;
        self.alone += other.alone;
        self.cells += other.cells;
        self.marked += other.marked;
    }
}

/// Whether a point, or the middle of a box, lies in a cell.
fn lies_in(mark: &Mark, cell: &Cell) -> bool {
    let (x, y) = match mark.shape {
        Shape::Point { x, y } => (x, y),
        Shape::Box { x0, y0, x1, y1 } => (f64::midpoint(x0, x1), f64::midpoint(y0, y1)),
    };
    x >= 0.0 && y >= 0.0 && x < f64::from(u32::MAX) && y < f64::from(u32::MAX) && cell.contains(x as u32, y as u32)
}
