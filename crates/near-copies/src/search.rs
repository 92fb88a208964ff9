//! The search: equal files and pixels by digest, near-copies by candidates, registration and a check of pixels.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use imaging::RgbImage;
use rayon::prelude::*;
use run_spec::ids::Digest;

use crate::align::Registration;
use crate::fingerprint::{Fingerprint, Fingerprinter, Frame, View};
use crate::judge::JudgedImage;
use crate::pair::{CopyKind, FoundCopies, Pair, Subject};
use crate::{candidates, index, pixel_check};

/// Images from which their likeliest copies are sought by short codes: all signatures of so many take some minutes to compare.
pub const INDEX_FROM: usize = 20_000;

/// What a search asks of its caller: pixels that it does not keep in memory, and a place to report progress.
pub trait SearchContext: Sync {
    /// The pixels of a subject, read again; `None` where they can no longer be read.
    fn pixels(&self, subject: usize) -> Option<RgbImage>;

    /// Calls `work`, a step named `step` of `parts` equal parts. `work` calls the function that it is given after each part, from any
    /// thread.
    fn run(&self, step: &str, parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync)));

    /// Images from which their likeliest copies are sought by short codes; fewer are compared by their signatures, all with all.
    fn index_from(&self) -> usize {
        INDEX_FROM
    }
}

/// Finds all copies among `subjects`, in the current rayon pool. The result does not depend on the number of threads.
///
/// `fingerprinter` must be one that made the fingerprints' views comparable: any [`Fingerprinter`] of this version.
pub fn find(subjects: &[Subject], fingerprinter: &Fingerprinter, context: &dyn SearchContext) -> FoundCopies {
    let mut pairs = Vec::new();
    let mut by_file: BTreeMap<(Digest, u32), usize> = BTreeMap::new();
    let mut by_pixels: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut firsts = Vec::new();
    for (b, subject) in subjects.iter().enumerate() {
        let same_pixels = by_pixels.get(&subject.pixels).copied();
        if let Some(a) = by_file.get(&subject.file).copied() {
            pairs.push(Pair { a, b, kind: CopyKind::Bytes });
        } else if let Some(a) = same_pixels {
            pairs.push(Pair { a, b, kind: CopyKind::Pixels });
        }
        by_file.entry(subject.file).or_insert(b);
        by_pixels.entry(subject.pixels).or_insert(b);
        if same_pixels.is_none()
            && let Some(fingerprint) = &subject.fingerprint
        {
            firsts.push((b, fingerprint));
        }
    }
    let search = Search { images: firsts, fingerprinter, context };
    let (near, alike) = search.near();
    pairs.extend(near);
    pairs.sort_by_key(|pair| (pair.a, pair.b));
    FoundCopies { pairs, alike }
}

/// The search for near-copies.
struct Search<'a> {
    /// Position among the subjects, and what is kept of the image.
    images: Vec<(usize, &'a Fingerprint)>,
    fingerprinter: &'a Fingerprinter,
    context: &'a dyn SearchContext,
}

impl Search<'_> {
    /// The pairs, and how many more were alike and no copies.
    fn near(&self) -> (Vec<Pair>, usize) {
        let candidates = self.candidates();
        let of_one: Vec<&[(usize, usize, Frame)]> = candidates.chunk_by(|p, q| p.0 == q.0).collect();
        let mut looked = Vec::new();
        self.context.run("compare likely copies", candidates.len(), &mut |tick| {
            // One image at a time: some have a hundred times the candidates of others.
            looked = of_one.par_iter().with_max_len(1).flat_map_iter(|of_one| self.look(of_one, tick)).collect();
        });
        let (pairs, others): (Vec<_>, Vec<_>) = looked.into_iter().partition(|(_, copies)| *copies);
        (pairs.into_iter().map(|(pair, _)| pair).collect(), others.len())
    }

    /// The pairs to look at: (first, second, what of them), sorted.
    fn candidates(&self) -> Vec<(usize, usize, Frame)> {
        let mut all = Vec::new();
        for frame in [Frame::Centre, Frame::Whole] {
            let views: Vec<(usize, &View)> =
                self.images.iter().enumerate().filter_map(|(at, (_, of))| Some((at, of.view(frame)?))).collect();
            let of = |view: usize| self.images[views[view].0].1;
            // Where two images have the same proportions, a view of the whole says nothing new.
            let wanted = |a: usize, b: usize| frame == Frame::Centre || of(a).differs_in_shape(of(b));
            let only: Vec<&View> = views.iter().map(|(_, view)| *view).collect();
            if frame == Frame::Whole && !(1..views.len()).any(|other| wanted(0, other)) {
                continue;
            }
            let is_indexed = only.len() >= self.context.index_from();
            let pieces = if is_indexed { index::pieces(only.len()) } else { candidates::pieces(only.len()) };
            self.context.run("compare signatures", pieces, &mut |tick| {
                let found = match is_indexed {
                    true => index::candidates(&only, wanted, tick),
                    false => candidates::candidates(&only, wanted, tick),
                };
                all.extend(found.into_iter().map(|(a, b)| (views[a].0, views[b].0, frame)));
            });
        }
        all.sort_unstable();
        all
    }

    /// The copies of one image among its candidates, and those that are only alike.
    fn look(&self, of_one: &[(usize, usize, Frame)], tick: &(dyn Fn() + Sync)) -> Vec<(Pair, bool)> {
        let Some(&(first, ..)) = of_one.first() else { return Vec::new() };
        let (position, fingerprint) = self.images[first];
        let image = JudgedImage::new(self.fingerprinter, fingerprint, of_one.iter().map(|(_, _, frame)| *frame));
        // Read when they are first needed.
        let pixels = LazyCell::new(|| self.context.pixels(position));
        let mut found = Vec::new();
        for views in of_one.chunk_by(|p, q| p.1 == q.1) {
            let (other, fingerprint) = self.images[views[0].1];
            let frames = views.iter().map(|(_, _, frame)| *frame);
            let same_pixels = |registration: &Registration| self.same_pixels(&pixels, other, registration);
            if let Some((registration, copies)) = image.judge(fingerprint, frames, same_pixels) {
                let pair = Pair { a: position, b: other, kind: CopyKind::Near(registration) };
                found.push((pair, copies));
            }
            views.iter().for_each(|_| tick());
        }
        found
    }

    /// Whether the second look says copies. Where a file has gone in the meantime, the first look decides: a group too large leaks
    /// nothing.
    fn same_pixels(&self, first: &Option<RgbImage>, second: usize, registration: &Registration) -> bool {
        let (Some(a), Some(b)) = (first, self.context.pixels(second)) else { return true };
        pixel_check::difference(a, &b, registration).is_some_and(|difference| difference.is_of_copies())
    }
}
