//! The search between two collections of which one is too large for memory: its images come block by block, twice, and never as
//! pixels.
//!
//! [`LikelyCopies`] gathers, over all blocks, the likeliest copies that the images of one collection have in the other; [`look_across`]
//! then looks at those of a block. Without pixels the second look compares the stored pictures, so images below [`LEAST_SIDE`] are not
//! compared at all: of two small ones a picture does not tell whether they are copies.

use rayon::prelude::*;

use crate::align::Registration;
use crate::candidates::TopMatches;
use crate::fingerprint::{Fingerprint, Fingerprinter, Frame, SIDE, View};
use crate::judge::{JudgedImage, TELLING};
use crate::pair::{CopyKind, Pair};
use crate::{index, pixel_check};

/// Shorter side, px, from which near-copies can be recognised without the images.
pub const LEAST_SIDE: u32 = TELLING;
/// Images of the first collection that one thread compares at a time.
const PIECE: usize = 64;
/// Pairs of images from which those that may be copies are sought by short codes: comparing the signatures of so many takes some minutes.
const INDEX_FROM: usize = 200_000_000;

/// Two images that may be copies: the first, the second, and the view by which they are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LikelyPair {
    /// Position in the first collection.
    pub a: usize,
    /// Position in the second collection.
    pub b: usize,
    /// The part of both images that is alike.
    pub frame: Frame,
}

/// The likeliest copies of each image, gathered block by block.
#[derive(Debug)]
pub struct LikelyCopies {
    /// By [`Frame`], of each image.
    of_a: [Vec<TopMatches>; 2],
    of_b: [Vec<TopMatches>; 2],
    is_indexed: bool,
}

/// Images by their positions in their collection; those that are too small or too plain to be recognised are left out.
pub type Positioned<'a> = &'a [(usize, &'a Fingerprint)];

impl LikelyCopies {
    /// Nothing compared yet, of `a` images in the first collection and `b` in the second.
    pub fn new(a: usize, b: usize) -> Self {
        let of = |images: usize| [vec![TopMatches::default(); images], vec![TopMatches::default(); images]];
        Self { of_a: of(a), of_b: of(b), is_indexed: a.saturating_mul(b) >= INDEX_FROM }
    }

    /// By short codes, whatever the number of images.
    #[must_use]
    pub fn indexed(self) -> Self {
        Self { is_indexed: true, ..self }
    }

    /// Compares the signatures of a block of the first collection with those of a block of the second, in the current rayon pool.
    pub fn compare(&mut self, a: Positioned<'_>, b: Positioned<'_>) {
        for frame in [Frame::Centre, Frame::Whole] {
            let found: Vec<(f32, usize, usize)> = match self.is_indexed {
                true => compare_codes(a, b, frame),
                false => a.par_chunks(PIECE).flat_map_iter(|piece| compare_piece(piece, b, frame)).collect(),
            };
            for (likeness, a, b) in found {
                self.of_a[frame as usize][a].add(likeness, b);
                self.of_b[frame as usize][b].add(likeness, a);
            }
        }
    }

    /// All pairs to be looked at, sorted.
    pub fn pairs(&self) -> Vec<LikelyPair> {
        let mut pairs = Vec::new();
        for frame in [Frame::Centre, Frame::Whole] {
            for (a, matches) in self.of_a[frame as usize].iter().enumerate() {
                pairs.extend(matches.images().map(|b| LikelyPair { a, b, frame }));
            }
            for (b, matches) in self.of_b[frame as usize].iter().enumerate() {
                pairs.extend(matches.images().map(|a| LikelyPair { a, b, frame }));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

/// What is likely between two blocks by their short codes.
fn compare_codes<'a>(a: Positioned<'a>, b: Positioned<'a>, frame: Frame) -> Vec<(f32, usize, usize)> {
    let with_view = |images: Positioned<'_>| -> Vec<usize> {
        (0..images.len()).filter(|&at| images[at].1.view(frame).is_some()).collect()
    };
    let (of_a, of_b) = (with_view(a), with_view(b));
    let views = |images: Positioned<'a>, places: &[usize]| -> Vec<&'a View> {
        places.iter().filter_map(|&at| images[at].1.view(frame)).collect()
    };
    let wanted = |one: usize, other: usize| frame == Frame::Centre || a[of_a[one]].1.differs_in_shape(b[of_b[other]].1);
    let found = index::across(&views(a, &of_a), &views(b, &of_b), wanted);
    found.into_iter().map(|(likeness, one, other)| (likeness, a[of_a[one]].0, b[of_b[other]].0)).collect()
}

/// What is likely between some images of the first collection and all of a block of the second: no more than can be among the
/// likeliest of either.
fn compare_piece(piece: Positioned<'_>, others: Positioned<'_>, frame: Frame) -> Vec<(f32, usize, usize)> {
    let mut of_a = vec![TopMatches::default(); piece.len()];
    let mut of_b = vec![TopMatches::default(); others.len()];
    for (i, (_, one)) in piece.iter().enumerate() {
        let Some(view) = one.view(frame) else { continue };
        for (j, (_, other)) in others.iter().enumerate() {
            // Where two images have the same proportions, a view of the whole says nothing new.
            let is_wanted = frame == Frame::Centre || one.differs_in_shape(other);
            if let Some(second) = other.view(frame).filter(|_| is_wanted) {
                let likeness = view.likeness(second);
                of_a[i].add(likeness, j);
                of_b[j].add(likeness, i);
            }
        }
    }
    let by_a = of_a.iter().enumerate().flat_map(|(i, found)| found.with_likeness().map(move |(l, j)| (l, i, j)));
    let by_b = of_b.iter().enumerate().flat_map(|(j, found)| found.with_likeness().map(move |(l, i)| (l, i, j)));
    let mut found: Vec<(f32, usize, usize)> = by_a.chain(by_b).collect();
    found.sort_by_key(|&(_, i, j)| (i, j));
    found.dedup_by_key(|&mut (_, i, j)| (i, j));
    found.into_iter().map(|(likeness, i, j)| (likeness, piece[i].0, others[j].0)).collect()
}

/// The copies of one image among its likely ones, and how many more are alike and cannot be called copies. `pairs` are all of the
/// one image; `other` finds the image at a position of the second collection, with its pictures.
pub fn look_across<'a>(
    fingerprinter: &Fingerprinter,
    image: &Fingerprint,
    pairs: &[LikelyPair],
    other: impl Fn(usize) -> Option<&'a Fingerprint>,
) -> (Vec<Pair>, u64) {
    let judged = JudgedImage::new(fingerprinter, image, pairs.iter().map(|pair| pair.frame));
    let (mut copies, mut alike) = (Vec::new(), 0);
    for of_other in pairs.chunk_by(|p, q| p.b == q.b) {
        let LikelyPair { a, b, .. } = of_other[0];
        let Some(second) = other(b) else { continue };
        let same_pixels = |registration: &Registration| same_pictures(image, second, registration);
        match judged.judge(second, of_other.iter().map(|pair| pair.frame), same_pixels) {
            Some((registration, true)) => copies.push(Pair { a, b, kind: CopyKind::Near(registration) }),
            Some((_, false)) => alike += 1,
            None => {}
        }
    }
    (copies, alike)
}

/// The second look at stored pictures, where one lies on the other corner on corner.
fn same_pictures(a: &Fingerprint, b: &Fingerprint, registration: &Registration) -> bool {
    let (Some(a), Some(b)) = (a.view(registration.frame), b.view(registration.frame)) else { return false };
    let pictures = picture(a).zip(picture(b));
    let difference = pictures.and_then(|(a, b)| pixel_check::difference(&a, &b, registration));
    difference.is_some_and(|difference| difference.is_of_copies())
}

/// The stored picture as an image.
fn picture(view: &View) -> Option<imaging::RgbImage> {
    let side = SIDE as u32;
    let values = view.grey.iter().flat_map(|&grey| [grey; 3]).collect();
    imaging::RgbImage::from_raw(side, side, values)
}
