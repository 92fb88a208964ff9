//! Which images show the same field: copies by bytes, by pixels, and near-copies that were turned, mirrored, compressed
//! again, resized or trimmed.
//!
//! Near-copies are found in three steps. The signature of each image's spectrum names its few likeliest copies; each is then laid
//! over the image, and goes on if their fine detail correlates by at least [`SAME`]. A field of cells is a copy if it is alike
//! everywhere ([`align::spread`]), also where its pixels differ: it was photographed twice, or its colours were changed. A single cell
//! is not: it is small, or its outline also fits itself when turned, and says little. There a second look compares the pixels of both
//! images, laid corner on corner ([`second_look`]). What this does not find: a copy that shows less than about three quarters of the
//! width of the other, copies of images that show nothing (blank fields have no fingerprint), and of single cells copies with other
//! colours, turned by odd angles or trimmed.

mod align;
mod candidates;
mod fft;
mod fingerprint;
mod plane;
mod second_look;

use std::cell::LazyCell;
use std::collections::BTreeMap;

use image::RgbImage;
use rayon::prelude::*;
use run_spec::ids::Digest;
use rustfft::num_complex::Complex32;

pub(crate) use align::Overlay;
pub(crate) use fingerprint::{Fingerprint, Frame, Maker};
use fingerprint::{Prepared, View};

/// Correlation of detail from which two images may be copies of each other.
const SAME: f32 = 0.7;
/// Short side, px, from which outlines may say by themselves that two images are copies.
const TELLING: u32 = 200;
/// Correlation of detail in the blocks of two copies, all but the worst tenth: copies have .89 and more.
const SPREAD: f32 = 0.75;
/// The same where all lies in the same place: what is alike there may be the dust of the sensor. Copies have .97 and more.
const SPREAD_IN_PLACE: f32 = 0.9;
/// Ratio of the sizes of what two copies show, at most.
const MOST_SCALE: f32 = 1.25;
/// A picture that correlates so well with itself, turned or mirrored, says nothing by its outlines.
const ITSELF: f32 = 0.5;

/// An image that may have copies.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Digest of the file, and which page of it.
    pub(crate) file: (Digest, u32),
    /// Digest of the upright pixels.
    pub(crate) pixels: Digest,
    /// Its fingerprint; none where it shows nothing.
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// How two images are copies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Likeness {
    /// The files are the same.
    Bytes,
    /// The pixels are the same, the files are not.
    Pixels,
    /// The same field, seen again.
    Near(Overlay),
}

/// Two images that show the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair {
    /// Position of the earlier one.
    pub(crate) a: usize,
    /// Position of the later one.
    pub(crate) b: usize,
    /// How.
    pub(crate) how: Likeness,
}

impl Likeness {
    /// Its name in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Bytes => "same bytes",
            Self::Pixels => "same pixels",
            Self::Near(_) => "near",
        }
    }

    /// Correlation of the detail; 1 for equal pixels.
    pub(crate) fn score(&self) -> f32 {
        if let Self::Near(overlay) = self { overlay.score } else { 1.0 }
    }
}

/// What a search needs of the program around it.
pub(crate) trait Surroundings: Sync {
    /// The pixels of a subject, read again; nothing where they cannot be read any more.
    fn pixels(&self, subject: usize) -> Option<RgbImage>;

    /// Runs a step of so many parts, which calls what it is given after each part.
    fn run(&self, step: &str, parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync)));
}

/// What a search has found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Found {
    /// All pairs of copies, sorted by position. Of several equal images each is paired with the first.
    pub(crate) pairs: Vec<Pair>,
    /// Pairs whose outlines are alike and whose pixels are not: no copies.
    pub(crate) alike: usize,
}

/// Finds all copies. The result does not depend on the number of threads.
pub(crate) fn find(subjects: &[Subject], maker: &Maker, around: &dyn Surroundings) -> Found {
    let mut pairs = Vec::new();
    let mut by_file: BTreeMap<(Digest, u32), usize> = BTreeMap::new();
    let mut by_pixels: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut firsts = Vec::new();
    for (b, subject) in subjects.iter().enumerate() {
        let same_pixels = by_pixels.get(&subject.pixels).copied();
        if let Some(a) = by_file.get(&subject.file).copied() {
            pairs.push(Pair { a, b, how: Likeness::Bytes });
        } else if let Some(a) = same_pixels {
            pairs.push(Pair { a, b, how: Likeness::Pixels });
        }
        by_file.entry(subject.file).or_insert(b);
        by_pixels.entry(subject.pixels).or_insert(b);
        if same_pixels.is_none()
            && let Some(fingerprint) = &subject.fingerprint
        {
            firsts.push((b, fingerprint));
        }
    }
    let search = Search { images: firsts, maker, around };
    let (near, alike) = search.near();
    pairs.extend(near);
    pairs.sort_by_key(|pair| (pair.a, pair.b));
    Found { pairs, alike }
}

/// The search for near-copies.
struct Search<'a> {
    /// Position among the subjects, and what is kept of the image.
    images: Vec<(usize, &'a Fingerprint)>,
    maker: &'a Maker,
    around: &'a dyn Surroundings,
}

/// A view made ready, and its transform under the window.
struct Laid {
    view: Prepared,
    spectrum: Vec<Complex32>,
}

impl Laid {
    fn new(maker: &Maker, view: &View) -> Self {
        let view = maker.prepare(view);
        let spectrum = maker.windowed(&view.detail);
        Self { view, spectrum }
    }
}

/// An image whose candidates are looked at.
struct Looked<'a, F: FnOnce() -> Option<RgbImage>> {
    fingerprint: &'a Fingerprint,
    /// Its views, by [`Frame`], where they are asked for.
    laid: [Option<Laid>; 2],
    /// Its pixels, read when they are first needed.
    pixels: LazyCell<Option<RgbImage>, F>,
}

impl Search<'_> {
    /// The pairs, and how many more were alike and no copies.
    fn near(&self) -> (Vec<Pair>, usize) {
        let candidates = self.candidates();
        let of_one: Vec<&[(usize, usize, Frame)]> = candidates.chunk_by(|p, q| p.0 == q.0).collect();
        let mut looked = Vec::new();
        self.around.run("look at likely copies", candidates.len(), &mut |tick| {
            looked = of_one.par_iter().flat_map_iter(|of_one| self.look(of_one, tick)).collect();
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
            self.around.run("compare signatures", candidates::pieces(only.len()), &mut |tick| {
                let found = candidates::candidates(&only, wanted, tick);
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
        let laid = [Frame::Centre, Frame::Whole].map(|frame| {
            let looked_at = of_one.iter().any(|(_, _, of)| *of == frame);
            fingerprint.view(frame).filter(|_| looked_at).map(|view| Laid::new(self.maker, view))
        });
        let image = Looked { fingerprint, laid, pixels: LazyCell::new(|| self.around.pixels(position)) };
        let mut found = Vec::new();
        for views in of_one.chunk_by(|p, q| p.1 == q.1) {
            let second = views[0].1;
            let frames = views.iter().map(|(_, _, frame)| *frame);
            if let Some((overlay, copies)) = self.judge(&image, second, frames) {
                let pair = Pair { a: position, b: self.images[second].0, how: Likeness::Near(overlay) };
                found.push((pair, copies));
            }
            views.iter().for_each(|_| tick());
        }
        found
    }

    /// How another image lies over one, and whether it is a copy; nothing where the two are not even alike.
    fn judge<F: FnOnce() -> Option<RgbImage>>(
        &self,
        image: &Looked<'_, F>,
        second: usize,
        frames: impl Iterator<Item = Frame>,
    ) -> Option<(Overlay, bool)> {
        let (position, other) = self.images[second];
        let mut best = None;
        for frame in frames {
            let (Some(a), Some(view)) = (&image.laid[frame as usize], other.view(frame)) else { continue };
            let b = self.maker.prepare(view);
            let overlay = align::overlay(self.maker, (&a.view, &a.spectrum), &b, frame);
            let near = |overlay: &Overlay| overlay.scale.max(overlay.scale.recip()) <= MOST_SCALE;
            let Some(overlay) = overlay.filter(|overlay| overlay.score >= SAME && near(overlay)) else { continue };
            let tells = || {
                let large = image.fingerprint.short.min(other.short) >= TELLING;
                let least = if overlay.stays() { SPREAD_IN_PLACE } else { SPREAD };
                let alike = || align::spread(self.maker, &a.view.detail, &b.detail, &overlay.map) >= least;
                // What is alike everywhere tells as much as either of both.
                large && alike() && (self.tells(a) || self.tells(&Laid::new(self.maker, view)))
            };
            if self.same_pixels(&image.pixels, position, &overlay) || tells() {
                return Some((overlay, true));
            }
            best = Some((overlay, false));
        }
        best
    }

    /// Whether outlines alone say which image a view is of.
    fn tells(&self, laid: &Laid) -> bool {
        align::likeness_to_itself(self.maker, (&laid.view, &laid.spectrum)) < ITSELF
    }

    /// Whether the second look says copies. Where a file has gone in the meantime, the first look decides: a group too large leaks
    /// nothing.
    fn same_pixels(&self, first: &Option<RgbImage>, second: usize, overlay: &Overlay) -> bool {
        let (Some(a), Some(b)) = (first, self.around.pixels(second)) else { return true };
        second_look::difference(a, &b, overlay).is_some_and(|difference| difference.is_of_copies())
    }
}

#[cfg(test)]
mod tests;
