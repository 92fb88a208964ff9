//! Which images show the same field: copies by bytes, by pixels, and near-copies that were turned, mirrored, compressed
//! again, resized or trimmed.
//!
//! Near-copies are found in two steps. The signature of each image's spectrum names its few likeliest copies; each is then
//! laid over the image, and the two are copies if their fine detail correlates by at least [`SAME`]. What this does
//! not find: a copy that shows less than about three quarters of the width of the other, and copies of images that show
//! nothing (blank fields have no fingerprint).

mod align;
mod candidates;
mod fft;
mod fingerprint;

use std::collections::BTreeMap;

use rayon::prelude::*;
use run_spec::ids::Digest;

pub(crate) use align::Overlay;
pub(crate) use fingerprint::{Fingerprint, Maker};

/// Correlation of detail from which two images are copies of each other.
pub(crate) const SAME: f32 = 0.7;

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

/// All pairs of copies, sorted by position. Of several equal images each is paired with the first. The result does not
/// depend on the number of threads.
pub(crate) fn find(subjects: &[Subject], maker: &Maker) -> Vec<Pair> {
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
    pairs.extend(near(&firsts, maker));
    pairs.sort_by_key(|pair| (pair.a, pair.b));
    pairs
}

fn near(images: &[(usize, &Fingerprint)], maker: &Maker) -> Vec<Pair> {
    let fingerprints: Vec<&Fingerprint> = images.iter().map(|(_, fingerprint)| *fingerprint).collect();
    candidates::candidates(&fingerprints)
        .chunk_by(|p, q| p.0 == q.0)
        .collect::<Vec<_>>()
        .into_par_iter()
        .flat_map_iter(|of_one| {
            let a = maker.prepare(fingerprints[of_one[0].0]);
            let spectrum = maker.windowed(&a.detail);
            of_one
                .iter()
                .filter_map(|&(first, second)| {
                    let overlay = align::overlay(maker, (&a, &spectrum), &maker.prepare(fingerprints[second]))?;
                    let pair = Pair { a: images[first].0, b: images[second].0, how: Likeness::Near(overlay) };
                    (overlay.score >= SAME).then_some(pair)
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests;
