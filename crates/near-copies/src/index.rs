//! The likeliest copies of each image of a large collection, by short codes first.
//!
//! An index that skips whole regions of the space misses copies at these correlations (docs/adr/0027), so every pair is looked at, by 40
//! numbers at a time and in blocks that a matrix product takes: some 28 ns a pair where comparing signatures costs 2 µs. What passes is
//! compared by its low harmonics and then by its signature, as without an index.

use std::sync::{Mutex, PoisonError};

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::candidates::TopMatches;
use crate::codes::{CODE, LEAST_PRODUCT, LowHarmonics, Mean, SCALES, code};
use crate::fingerprint::View;

/// Images whose codes at all changes of scale are multiplied at a time.
const QUERIES: usize = 32;
/// Images that they are multiplied with at a time: the products stay in a processor's cache.
const BLOCK: usize = 512;

/// Views with their short codes.
#[derive(Debug)]
pub(crate) struct Indexed<'a> {
    views: &'a [&'a View],
    low: Vec<LowHarmonics>,
    /// The codes of no change of scale, a row a view.
    codes: Array2<f32>,
}

impl<'a> Indexed<'a> {
    /// Makes the codes of views from which `mean` is taken away.
    pub(crate) fn new(views: &'a [&'a View], mean: &Mean) -> Self {
        let low = views.par_iter().map(|view| LowHarmonics::new(view, mean)).collect();
        let codes: Vec<f32> = views.par_iter().flat_map_iter(|view| code(view, SCALES / 2, mean)).collect();
        let codes = Array2::from_shape_vec((views.len(), CODE), codes).unwrap_or_default();
        Self { views, low, codes }
    }
}

/// Gives `found` each pair of a view of `a`, from `first` on at most [`QUERIES`], and a view of `b`, from `from` on, that may be copies,
/// with their likeness.
pub(crate) fn likely(
    (a, first): (&Indexed<'_>, usize),
    (b, from): (&Indexed<'_>, usize),
    mean: &Mean,
    wanted: &(impl Fn(usize, usize) -> bool + Sync),
    mut found: impl FnMut(f32, usize, usize),
) {
    let queries = &a.views[first..a.views.len().min(first + QUERIES)];
    let codes: Vec<f32> =
        queries.iter().flat_map(|view| (0..SCALES).flat_map(|scale| code(view, scale, mean))).collect();
    let Ok(codes) = ArrayView2::from_shape((queries.len() * SCALES, CODE), &codes) else { return };
    let mut products = Array2::<f32>::zeros((queries.len() * SCALES, BLOCK));
    let mut best = [0.0_f32; BLOCK];
    for start in (from..b.views.len()).step_by(BLOCK) {
        let count = BLOCK.min(b.views.len() - start);
        let block = b.codes.slice(ndarray::s![start..start + count, ..]);
        let mut products = products.slice_mut(ndarray::s![.., ..count]);
        general_mat_mul(1.0, &codes, &block.t(), 0.0, &mut products);
        for query in 0..queries.len() {
            best[..count].fill(f32::MIN);
            for scale in 0..SCALES {
                let row = products.row(query * SCALES + scale);
                best.iter_mut().zip(row).for_each(|(best, product)| *best = best.max(*product));
            }
            for other in (0..count).filter(|&other| best[other] >= LEAST_PRODUCT) {
                let (one, other) = (first + query, start + other);
                if wanted(one, other) && a.low[one].may_be_a_copy(&b.low[other], mean) {
                    found(a.views[one].likeness(b.views[other]), one, other);
                }
            }
        }
    }
}

/// As [`candidates`](crate::candidates::candidates), by short codes; `tick` is called after each of the pieces of work that [`pieces`]
/// counts.
pub(crate) fn candidates(
    views: &[&View],
    wanted: impl Fn(usize, usize) -> bool + Sync,
    tick: impl Fn() + Sync,
) -> Vec<(usize, usize)> {
    let mean = Mean::of(views);
    let indexed = Indexed::new(views, &mean);
    let matches: Vec<Mutex<TopMatches>> = views.iter().map(|_| Mutex::default()).collect();
    let add = |to: usize, likeness: f32, other: usize| {
        matches[to].lock().unwrap_or_else(PoisonError::into_inner).add(likeness, other);
    };
    (0..views.len()).into_par_iter().step_by(QUERIES).for_each(|first| {
        let later = |one: usize, other: usize| one < other && wanted(one, other);
        likely((&indexed, first), (&indexed, first), &mean, &later, |likeness, one, other| {
            add(one, likeness, other);
            add(other, likeness, one);
        });
        tick();
    });
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (one, matches) in matches.into_iter().enumerate() {
        let matches = matches.into_inner().unwrap_or_else(PoisonError::into_inner);
        pairs.extend(matches.images().map(|other| (one.min(other), one.max(other))));
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// The pairs of views of two collections that may be copies, with their likeness, in the order of the views. `a` and `b` are never both
/// empty.
pub(crate) fn across(
    a: &[&View],
    b: &[&View],
    wanted: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<(f32, usize, usize)> {
    let mean = Mean::of(&[a, b].concat());
    let (a, b) = (Indexed::new(a, &mean), Indexed::new(b, &mean));
    let of_piece = |first: usize| {
        let mut found = Vec::new();
        likely((&a, first), (&b, 0), &mean, &wanted, |likeness, one, other| found.push((likeness, one, other)));
        found
    };
    let found: Vec<Vec<(f32, usize, usize)>> =
        (0..a.views.len()).into_par_iter().step_by(QUERIES).map(of_piece).collect();
    found.into_iter().flatten().collect()
}

/// Pieces of work in a search among so many views.
pub(crate) fn pieces(views: usize) -> usize {
    views.div_ceil(QUERIES)
}

#[cfg(test)]
mod tests {
    use run_spec::seed::stream;

    use super::*;
    use crate::candidates;

    /// Signatures of `count` unrelated pictures with what all have in common, and of each of the last `copies` of them one more, that of a
    /// copy with so much of something else in it.
    fn signatures(count: usize, copies: usize, other: f64) -> Vec<View> {
        let mut random = stream(3, "copies-index", &[]);
        let common = View::random(&mut random);
        let mix = |a: &View, b: &View, share: f64| {
            let value = |(&a, &b): (&i16, &i16)| ((1.0 - share) * f64::from(a) + share * f64::from(b)).round() as i16;
            View { grey: Vec::new(), signature: a.signature.iter().zip(&b.signature).map(value).collect() }
        };
        let mut views: Vec<View> = (0..count).map(|_| mix(&common, &View::random(&mut random), 0.5)).collect();
        for of in count - copies..count {
            let copy = mix(&views[of], &mix(&common, &View::random(&mut random), 0.5), other);
            views.push(copy);
        }
        views
    }

    #[test]
    fn copies_are_among_the_candidates_and_others_hardly_ever() {
        let (count, copies) = (1500, 40);
        let views = signatures(count, copies, 0.4);
        let views: Vec<&View> = views.iter().collect();
        let found = candidates(&views, |_, _| true, || ());
        let made: Vec<(usize, usize)> = (0..copies).map(|at| (count - copies + at, count + at)).collect();
        assert_eq!(found, made);
        let none = candidates(&views, |_, _| false, || ());
        assert!(none.is_empty());
        // What is found across two collections is what is found in one.
        let (first, second) = views.split_at(count);
        let found = across(first, second, |_, _| true);
        let places: Vec<(usize, usize)> = found.iter().map(|(_, one, other)| (*one, count + other)).collect();
        assert_eq!(places, made);
    }

    /// Prints what a pair costs, and how the time grows.
    #[test]
    fn how_long_the_index_takes() {
        let Some(most) = std::env::var("REDDINO_MEASURE_INDEX").ok().and_then(|most| most.parse::<usize>().ok()) else {
            #[allow(clippy::print_stderr, reason = "a skipped test must be seen and counted")]
            {
                eprintln!("SKIPPED: how the index grows; `make measure-index` measures it");
            }
            return;
        };
        let mut count = 10_000;
        while count <= most {
            let copies = count / 100;
            let views = signatures(count, copies, 0.4);
            let views: Vec<&View> = views.iter().collect();
            let start = std::time::Instant::now();
            let found = candidates(&views, |_, _| true, || ());
            let (seconds, threads) = (start.elapsed().as_secs_f64(), rayon::current_num_threads());
            let made = (0..copies).filter(|at| found.binary_search(&(count - copies + at, count + at)).is_ok()).count();
            let pairs = views.len() as f64 * views.len() as f64 / 2.0;
            #[allow(clippy::print_stdout, reason = "a measurement is printed")]
            {
                println!(
                    "{count} images: {seconds:.1} s on {threads} threads, {:.1} ns of one a pair; {made} of {copies} copies among {} candidates",
                    1e9 * seconds * threads as f64 / pairs,
                    found.len()
                );
            }
            count *= 3;
        }
    }

    #[test]
    fn blocks_and_queries_that_are_not_full_leave_no_pair_out() {
        let views = signatures(BLOCK + QUERIES + 3, 9, 0.1);
        let views: Vec<&View> = views.iter().collect();
        let exact = candidates::candidates(&views, |_, _| true, || ());
        let found = candidates(&views, |_, _| true, || ());
        assert!(found.len() == 9 && found.iter().all(|pair| exact.contains(pair)), "{found:?}");
    }
}
