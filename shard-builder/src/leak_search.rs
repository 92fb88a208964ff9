//! The search for images that two sets share: equal bytes, equal pixels, near-copies, and equal names.
//!
//! Memory holds the names and digests of both sets, and of the evaluation set the fingerprints of [`CHUNK`] images at a time; those of
//! the training set come a file at a time.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use near_copies::{Fingerprint, Fingerprinter, LEAST_SIDE, LikelyCopies, LikelyPair, look_across};
use rayon::prelude::*;
use run_spec::ids::Digest;
use shards::fingerprints::{ImagePrint, PrintParts};
use shards::leaks::LeakKind;

use crate::compared_set::ComparedSet;
use crate::fingerprints::of_print;
use crate::progress::Progress;

/// Images of the evaluation set that are compared at a time: some 300 MB of fingerprints.
const CHUNK: usize = 8192;

/// A training image and an evaluation image that show the same, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SharedImage {
    /// In which way.
    pub(crate) kind: LeakKind,
    /// Correlation of the fine detail; 1 for equal pixels.
    pub(crate) score: f32,
    /// Number of the training image.
    pub(crate) train: usize,
    /// Number of the evaluation image.
    pub(crate) evaluation: usize,
}

/// How many images of a set were compared for near-copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NearImages {
    /// Those that were.
    pub(crate) compared: u64,
    /// Those that are too small for it.
    pub(crate) small: u64,
}

impl NearImages {
    fn add(&mut self, print: &ImagePrint) {
        let shows = print.centre.is_some() || print.whole.is_some();
        self.compared += u64::from(shows && is_large(print));
        self.small += u64::from(!is_large(print));
    }
}

/// Images by the digests of their files and pixels.
#[derive(Debug, Default)]
struct Digests {
    files: HashMap<(Digest, u32), Vec<usize>>,
    pixels: HashMap<Digest, Vec<usize>>,
}

impl Digests {
    /// The images that equal one, and in which way.
    fn of(&mut self, print: &ImagePrint) -> Option<(LeakKind, &mut Vec<usize>)> {
        match self.files.get_mut(&(print.file, print.page)) {
            Some(found) => Some((LeakKind::Bytes, found)),
            None => self.pixels.get_mut(&print.pixels).map(|found| (LeakKind::Pixels, found)),
        }
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The pairs: of each training image at most one by bytes or pixels, and its near-copies where it has none of these.
    pub(crate) pairs: Vec<SharedImage>,
    /// Pairs that are alike and cannot be called copies.
    pub(crate) alike: u64,
    /// Of the training set and of the evaluation set.
    pub(crate) near: [NearImages; 2],
}

/// A search between two sets.
pub(crate) struct LeakSearch<'a> {
    train: &'a ComparedSet,
    evaluation: &'a ComparedSet,
    fingerprinter: Fingerprinter,
}

/// The fingerprints of some images, with their numbers, and where each lies.
struct Prints {
    fingerprints: Vec<(usize, Fingerprint)>,
    places: HashMap<usize, usize>,
}

impl Prints {
    fn new(fingerprints: Vec<(usize, Fingerprint)>) -> Self {
        let places = fingerprints.iter().enumerate().map(|(place, (number, _))| (*number, place)).collect();
        Self { fingerprints, places }
    }

    fn of(&self, number: usize) -> Option<&Fingerprint> {
        self.places.get(&number).map(|place| &self.fingerprints[*place].1)
    }

    fn positioned(&self) -> Vec<(usize, &Fingerprint)> {
        self.fingerprints.iter().map(|(number, fingerprint)| (*number, fingerprint)).collect()
    }
}

impl<'a> LeakSearch<'a> {
    /// Prepares a search.
    pub(crate) fn new(train: &'a ComparedSet, evaluation: &'a ComparedSet) -> Self {
        Self { train, evaluation, fingerprinter: Fingerprinter::new() }
    }

    /// Searches, in the current rayon pool.
    ///
    /// # Errors
    /// A store that cannot be read, damaged fingerprints.
    pub(crate) fn run(&self) -> Result<Shared> {
        let (evaluation, of_evaluation) = self.evaluation_digests()?;
        let (pairs, of_train) = self.exact(evaluation)?;
        let is_near = self.train.has_fingerprints() && self.evaluation.has_fingerprints();
        let near = if is_near { [of_train, of_evaluation] } else { Default::default() };
        let mut shared = Shared { pairs, alike: 0, near };
        let mut paired: HashSet<(usize, usize)> =
            shared.pairs.iter().map(|pair| (pair.train, pair.evaluation)).collect();
        let rows = self.rows()?;
        shared.pairs.extend(rows.into_iter().filter(|pair| paired.insert((pair.train, pair.evaluation))));
        if is_near {
            self.near(&mut shared)?;
        }
        paired.extend(shared.pairs.iter().map(|pair| (pair.train, pair.evaluation)));
        let names = self.names();
        shared.pairs.extend(names.into_iter().filter(|pair| !paired.contains(&(pair.train, pair.evaluation))));
        Ok(shared)
    }

    /// The evaluation images by their digests, and how many can be compared for near-copies.
    fn evaluation_digests(&self) -> Result<(Digests, NearImages)> {
        let (mut digests, mut near) = (Digests::default(), NearImages::default());
        for number in 0..self.evaluation.blocks() {
            for (image, print) in self.evaluation.block(number, PrintParts::Signatures)? {
                near.add(&print);
                digests.files.entry((print.file, print.page)).or_default().push(image);
                digests.pixels.entry(print.pixels).or_default().push(image);
            }
        }
        Ok((digests, near))
    }

    /// Pairs of images with equal bytes or pixels: each image of either set that has one in the other is in a pair. Counts the training
    /// images that can be compared for near-copies on the way.
    fn exact(&self, mut evaluation: Digests) -> Result<(Vec<SharedImage>, NearImages)> {
        let (mut pairs, mut near) = (Vec::new(), NearImages::default());
        for number in 0..self.train.blocks() {
            for (train, print) in self.train.block(number, PrintParts::Signatures)? {
                near.add(&print);
                let Some((kind, found)) = evaluation.of(&print) else { continue };
                pairs.extend(found.iter().map(|&evaluation| SharedImage { kind, score: 1.0, train, evaluation }));
                // The next image with this content needs but one partner.
                found.truncate(1);
            }
        }
        Ok((pairs, near))
    }

    /// Pairs of images of which a patch or cell has equal pixels. What is of one colour is equal to all such, and counts for nothing.
    fn rows(&self) -> Result<Vec<SharedImage>> {
        let evaluation = &self.evaluation.set;
        let mut pixels: HashMap<Digest, (u64, usize)> = HashMap::new();
        for (row, meta) in (0u64..).zip(evaluation.metas()) {
            if let Some(image) = self.evaluation.number(&(meta.source, meta.image)) {
                pixels.entry(meta.pixel_digest).or_insert((row, image));
            }
        }
        let (mut pairs, mut checked) = (HashSet::new(), HashSet::new());
        for meta in self.train.set.metas() {
            let Some(&(row, evaluation_image)) = pixels.get(&meta.pixel_digest) else { continue };
            if checked.insert(meta.pixel_digest) && is_of_one_colour(&evaluation.rgb(row)?) {
                pixels.remove(&meta.pixel_digest);
                continue;
            }
            pairs.extend(self.train.number(&(meta.source, meta.image)).map(|train| (train, evaluation_image)));
        }
        let mut pairs: Vec<(usize, usize)> = pairs.into_iter().collect();
        pairs.sort_unstable();
        let kind = LeakKind::Pixels;
        Ok(pairs.into_iter().map(|(train, evaluation)| SharedImage { kind, score: 1.0, train, evaluation }).collect())
    }

    /// Pairs of images of one source and path.
    fn names(&self) -> Vec<SharedImage> {
        let pair = |(train, name)| {
            let evaluation = self.evaluation.number(name)?;
            Some(SharedImage { kind: LeakKind::Name, score: 0.0, train, evaluation })
        };
        self.train.images.iter().enumerate().filter_map(pair).collect()
    }

    /// Pairs of near-copies, of training images that are in no pair yet.
    fn near(&self, shared: &mut Shared) -> Result<()> {
        let known: HashSet<usize> = shared.pairs.iter().map(|pair| pair.train).collect();
        let open = |image: usize| !known.contains(&image);
        let mut chunk = Vec::new();
        for number in 0..self.evaluation.blocks() {
            chunk.extend(large(self.evaluation.block(number, PrintParts::All)?));
            if chunk.len() >= CHUNK || number + 1 == self.evaluation.blocks() {
                let evaluation = Prints::new(std::mem::take(&mut chunk));
                let likely = self.likely(&evaluation, &open)?;
                let (pairs, alike) = self.look(&evaluation, &likely)?;
                shared.pairs.extend(pairs);
                shared.alike += alike;
            }
        }
        Ok(())
    }

    /// The pairs of likely copies, sorted by the training image.
    fn likely(&self, evaluation: &Prints, open: &dyn Fn(usize) -> bool) -> Result<Vec<LikelyPair>> {
        let mut likely = LikelyCopies::new(self.train.images.len(), self.evaluation.images.len());
        let progress = Progress::start("compare signatures", self.train.blocks() as u64);
        let positioned = evaluation.positioned();
        for number in 0..self.train.blocks() {
            let mut train = large(self.train.block(number, PrintParts::Signatures)?);
            train.retain(|(image, _)| open(*image));
            likely.compare(&Prints::new(train).positioned(), &positioned);
            progress.tick();
        }
        progress.end();
        Ok(likely.pairs())
    }

    /// The copies among likely pairs, and how many more are alike.
    fn look(&self, evaluation: &Prints, likely: &[LikelyPair]) -> Result<(Vec<SharedImage>, u64)> {
        let progress = Progress::start("compare likely copies", likely.len() as u64);
        let (mut pairs, mut alike) = (Vec::new(), 0);
        let of_image: BTreeMap<usize, &[LikelyPair]> =
            likely.chunk_by(|p, q| p.a == q.a).map(|of_one| (of_one[0].a, of_one)).collect();
        for number in 0..self.train.blocks() {
            let mut train = large(self.train.block(number, PrintParts::All)?);
            train.retain(|(image, _)| of_image.contains_key(image));
            let looked: Vec<_> = train
                .par_iter()
                .map(|(image, fingerprint)| {
                    let of_one = of_image.get(image).copied().unwrap_or_default();
                    let found = look_across(&self.fingerprinter, fingerprint, of_one, |other| evaluation.of(other));
                    of_one.iter().for_each(|_| progress.tick());
                    found
                })
                .collect();
            for (found, others) in looked {
                alike += others;
                pairs.extend(found.into_iter().map(|pair| SharedImage {
                    kind: LeakKind::Near,
                    score: (pair.kind.score() * 1000.0).round() / 1000.0,
                    train: pair.a,
                    evaluation: pair.b,
                }));
            }
        }
        progress.end();
        Ok((pairs, alike))
    }
}

/// The fingerprints of the images that are large enough.
fn large(prints: Vec<(usize, ImagePrint)>) -> Vec<(usize, Fingerprint)> {
    let large = prints.into_iter().filter(|(_, print)| is_large(print));
    large.filter_map(|(image, print)| Some((image, of_print(&print)?))).collect()
}

fn is_large(print: &ImagePrint) -> bool {
    print.width.min(print.height) >= LEAST_SIDE
}

/// `rgb` is `[height × width × 3]`.
fn is_of_one_colour(rgb: &[u8]) -> bool {
    rgb.chunks_exact(3).all(|pixel| pixel == &rgb[..3])
}
