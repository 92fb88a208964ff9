//! Connected parts of a picture of classes, and the one cell of a file of its own.

use super::labels::Labels;
use crate::error::MaskError;
use crate::region::{MOST_STEPS, Region};

/// Parts of an image beyond which a file holds noise and no classes.
const MOST_PARTS: usize = 1_000_000;

/// What a picture of classes holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClassParts {
    /// The class of each part and its pixels, in the order in which parts appear from the top left.
    pub parts: Vec<(u32, Region)>,
    /// Parts that were too small.
    pub small: usize,
}

/// A piece of a row of one class.
#[derive(Debug, Clone, Copy)]
struct Piece {
    row: usize,
    start: usize,
    end: usize,
    class: u32,
}

/// The parts of each class but those in `background`.
pub(super) fn parts(labels: &Labels, background: &[u32], least_px: u32) -> Result<ClassParts, MaskError> {
    let pieces = pieces(labels, |class| !background.contains(&class));
    let mut of_part: Vec<Vec<(u32, u32, u32)>> = Vec::new();
    let mut classes = Vec::new();
    let firsts = joined(&pieces);
    let mut numbers = vec![usize::MAX; pieces.len()];
    for (piece, &first) in pieces.iter().zip(&firsts) {
        if numbers[first] == usize::MAX {
            numbers[first] = of_part.len();
            of_part.push(Vec::new());
            classes.push(piece.class);
        }
        of_part[numbers[first]].push((piece.row as u32, piece.start as u32, piece.end as u32));
    }
    if of_part.len() > MOST_PARTS {
        return Err(MaskError::TooManyParts { parts: of_part.len(), most: MOST_PARTS });
    }
    let size = (labels.width as u32, labels.height as u32);
    let (mut found, mut steps) = (ClassParts::default(), MOST_STEPS);
    for (class, rows) in classes.into_iter().zip(of_part) {
        if rows.iter().map(|(_, start, end)| end - start).sum::<u32>() < least_px {
            found.small += 1;
            continue;
        }
        found.parts.push((class, Region::of_rows(&rows, size, &mut steps)?));
    }
    Ok(found)
}

/// All pixels that are not 0, which must have one number.
pub(super) fn only(labels: &Labels, steps: &mut u64) -> Result<Region, MaskError> {
    let pieces = pieces(labels, |number| number != 0);
    if let Some(pair) = pieces.windows(2).find(|pair| pair[0].class != pair[1].class) {
        return Err(MaskError::SeveralNumbers(pair[0].class, pair[1].class));
    }
    let rows: Vec<_> = pieces.iter().map(|piece| (piece.row as u32, piece.start as u32, piece.end as u32)).collect();
    Ok(Region::of_rows(&rows, (labels.width as u32, labels.height as u32), steps)?)
}

/// The pieces of all rows whose class is `wanted`, from the top left.
fn pieces(labels: &Labels, wanted: impl Fn(u32) -> bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (row, numbers) in labels.numbers.chunks_exact(labels.width).enumerate() {
        let mut start = 0;
        for run in numbers.chunk_by(|a, b| a == b) {
            let (class, end) = (run[0], start + run.len());
            if wanted(class) {
                pieces.push(Piece { row, start, end, class });
            }
            start = end;
        }
    }
    pieces
}

/// For each piece the position of the first one of its part.
fn joined(pieces: &[Piece]) -> Vec<usize> {
    let mut firsts: Vec<usize> = (0..pieces.len()).collect();
    let mut above = 0;
    for (at, piece) in pieces.iter().enumerate() {
        // Pieces above that end before this one begins touch no later one either.
        let ends_before =
            |other: &Piece| other.row + 1 < piece.row || other.row + 1 == piece.row && other.end < piece.start;
        while above < at && ends_before(&pieces[above]) {
            above += 1;
        }
        let touches = |other: &&Piece| other.row + 1 == piece.row && other.start <= piece.end;
        for (offset, other) in pieces[above..at].iter().take_while(|other| touches(other)).enumerate() {
            if other.class == piece.class {
                join(&mut firsts, above + offset, at);
            }
        }
    }
    (0..pieces.len()).map(|at| first(&mut firsts, at)).collect()
}

/// The first piece of the part of a piece; the way there gets shorter.
fn first(firsts: &mut [usize], mut at: usize) -> usize {
    while firsts[at] != at {
        firsts[at] = firsts[firsts[at]];
        at = firsts[at];
    }
    at
}

fn join(firsts: &mut [usize], a: usize, b: usize) {
    let (a, b) = (first(firsts, a), first(firsts, b));
    firsts[a.max(b)] = a.min(b);
}
