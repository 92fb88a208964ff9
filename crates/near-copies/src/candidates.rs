//! The likeliest copies of each image, by comparing all signatures with all: exact, in memory that grows with the number of images.
//!
//! CopyKind goes both ways, so each pair is compared once: the images are cut into blocks, and each pair of blocks is one piece of
//! work, small enough for a processor's cache.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::fingerprint::View;

/// TopMatches copies of an image that are laid over it.
const MOST: usize = 8;
/// Signatures so alike do not crowd each other out: frames of one video are all alike, and a copy of one is among them.
const CLOSE: f32 = 0.8;
/// TopMatches copies of an image, where so many are [`CLOSE`].
const MOST_CLOSE: usize = 24;
/// Signatures less alike are never candidates.
const LEAST_LIKENESS: f32 = 0.05;
/// Images in a block: some 0.6 MB of signatures.
const BLOCK: usize = 256;

/// The likeliest copies of one image, the likeliest first; among equals the earlier one.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopMatches(Vec<(f32, usize)>);

impl TopMatches {
    /// The images, the likeliest first.
    pub(crate) fn images(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().map(|(_, image)| *image)
    }

    /// The images with their likeness, the likeliest first.
    pub(crate) fn with_likeness(&self) -> impl Iterator<Item = (f32, usize)> + '_ {
        self.0.iter().copied()
    }

    /// Adds an image, if it is among the likeliest and not there yet.
    pub(crate) fn add(&mut self, likeness: f32, image: usize) {
        let last = self.0.last().map_or(f32::MIN, |last| last.0);
        let room = if likeness >= CLOSE { MOST_CLOSE } else { MOST };
        if likeness <= LEAST_LIKENESS || self.0.len() >= room && likeness < last {
            return;
        }
        if self.0.iter().any(|&(_, there)| there == image) {
            return;
        }
        let before = |&(other, earlier): &(f32, usize)| other > likeness || other == likeness && earlier < image;
        let place = self.0.partition_point(before);
        self.0.insert(place, (likeness, image));
        let close = self.0.partition_point(|(likeness, _)| *likeness >= CLOSE);
        self.0.truncate(close.clamp(MOST, MOST_CLOSE));
    }
}

/// Images that may be copies of each other, by position in `images`: for each its likeliest, sorted. Only pairs that `wanted`
/// accepts are compared; `tick` is called after each of the pieces of work that [`pieces`] counts.
pub(crate) fn candidates(
    images: &[&View],
    wanted: impl Fn(usize, usize) -> bool + Sync,
    tick: impl Fn() + Sync,
) -> Vec<(usize, usize)> {
    let blocks: Vec<&[&View]> = images.chunks(BLOCK).collect();
    let found: Vec<Mutex<Vec<TopMatches>>> =
        blocks.iter().map(|block| Mutex::new(vec![TopMatches::default(); block.len()])).collect();
    let pieces: Vec<(usize, usize)> = (0..blocks.len()).flat_map(|a| (a..blocks.len()).map(move |b| (a, b))).collect();
    pieces.into_par_iter().with_max_len(1).for_each(|(a, b)| {
        let mut of_a = vec![TopMatches::default(); blocks[a].len()];
        let mut of_b = vec![TopMatches::default(); blocks[b].len()];
        for (i, one) in blocks[a].iter().enumerate() {
            let first = if a == b { i + 1 } else { 0 };
            for (j, other) in blocks[b].iter().enumerate().skip(first) {
                let (one_at, other_at) = (a * BLOCK + i, b * BLOCK + j);
                if wanted(one_at, other_at) {
                    let likeness = one.likeness(other);
                    of_a[i].add(likeness, other_at);
                    of_b[j].add(likeness, one_at);
                }
            }
        }
        tick();
        // The order in which pieces end does not matter: the likeliest of all are the likeliest of the likeliest.
        for (block, new) in [(a, of_a), (b, of_b)] {
            let mut kept = found[block].lock().unwrap_or_else(PoisonError::into_inner);
            for (kept, new) in kept.iter_mut().zip(new) {
                new.0.into_iter().for_each(|(likeness, image)| kept.add(likeness, image));
            }
        }
    });
    let of_block = |(block, found): (usize, Mutex<Vec<TopMatches>>)| {
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let of_image = move |(at, likeliest): (usize, TopMatches)| {
            let image = block * BLOCK + at;
            likeliest.0.into_iter().map(move |(_, other)| (image.min(other), image.max(other)))
        };
        found.into_iter().enumerate().flat_map(of_image)
    };
    let mut pairs: Vec<(usize, usize)> = found.into_iter().enumerate().flat_map(of_block).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Pieces of work in a search among so many images.
pub(crate) fn pieces(images: usize) -> usize {
    let blocks = images.div_ceil(BLOCK);
    blocks * (blocks + 1) / 2
}

#[cfg(test)]
mod tests {
    use run_spec::seed::stream;

    use super::*;

    fn random(count: usize) -> Vec<View> {
        let mut random = stream(0, "copies-many", &[]);
        (0..count).map(|_| View::random(&mut random)).collect()
    }

    #[test]
    fn blocks_find_what_comparing_one_by_one_finds() {
        let mut fingerprints = random(2 * BLOCK + 9);
        // Equals, in one block and in two.
        for (from, to) in [(3, 5), (7, BLOCK + 1), (BLOCK, 2 * BLOCK)] {
            fingerprints[to] = fingerprints[from].clone();
        }
        let images: Vec<&View> = fingerprints.iter().collect();
        let mut expected = Vec::new();
        for a in 0..images.len() {
            let others = (0..images.len()).filter(|&b| b != a);
            let mut likely: Vec<(f32, usize)> = others.map(|b| (images[a].likeness(images[b]), b)).collect();
            likely.retain(|(likeness, _)| *likeness > LEAST_LIKENESS);
            likely.sort_by(|p, q| q.0.total_cmp(&p.0).then(p.1.cmp(&q.1)));
            expected.extend(likely.into_iter().take(MOST).map(|(_, b)| (a.min(b), a.max(b))));
        }
        expected.sort_unstable();
        expected.dedup();
        assert!(expected.contains(&(7, BLOCK + 1)));
        assert_eq!(candidates(&images, |_, _| true, || ()), expected);
    }

    /// Prints what a pair costs.
    #[test]
    fn how_long_it_takes_to_compare_all_with_all() {
        if std::env::var_os("REDDINO_MEASURE_COPIES").is_none() {
            #[allow(clippy::print_stderr, reason = "a skipped test must be seen and counted")]
            {
                eprintln!("SKIPPED: what comparing a pair costs; `make measure-copies` measures it");
            }
            return;
        }
        let fingerprints = random(8000);
        let images: Vec<&View> = fingerprints.iter().collect();
        let start = std::time::Instant::now();
        let found = candidates(&images, |_, _| true, || ()).len();
        assert!(found > images.len(), "noise has as many candidates as may be kept");
        let (seconds, threads) = (start.elapsed().as_secs_f64(), rayon::current_num_threads());
        let each = 1e6 * seconds * threads as f64 * 2.0 / (images.len() * images.len()) as f64;
        #[allow(clippy::print_stdout, reason = "a measurement is printed")]
        {
            let count = images.len();
            println!(
                "{count} images, {found} candidates: {seconds:.1} s on {threads} threads, {each:.2} µs of one a pair"
            );
        }
    }
}
