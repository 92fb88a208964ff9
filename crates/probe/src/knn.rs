//! k nearest neighbours: Euclidean distance, every neighbour one vote, ties to the smallest class (scikit-learn's
//! `KNeighborsClassifier(k)`; features are neither scaled nor normalised).
//!
//! The search is that of [`feature_map::neighbours`]: the distances that decide are summed feature by feature, so equal rows
//! have equal distances, the smaller row wins, and neither the number of threads nor the processor's vector width changes a vote.
//!
//! So near distances are never taken from ‖a‖² + ‖b‖² − 2a·b, which in `f32` is exactly 0 for near-copies and then orders
//! them by chance. The published `1nn` and `20nn` have always been decided by the direct distances: where scikit-learn's
//! brute force, which does take the product form (in `f64` blocks), ranks two near-copies otherwise, the direct
//! distance is the rule.

use feature_map::Points;
use feature_map::neighbours::nearest;

use crate::{Features, ProbeError};

/// The nearest training rows of each test row, nearest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    k: usize,
    /// Neighbours `[test rows, k]`, nearest first, as rows of the training set.
    rows: Vec<u32>,
}

impl Neighbours {
    /// The training rows nearest to test row `i`, nearest first.
    ///
    /// # Panics
    /// If there is no such test row.
    pub fn of(&self, i: usize) -> &[u32] {
        &self.rows[i * self.k..(i + 1) * self.k]
    }

    /// The majority class among the first `k` neighbours of each test row; ties go to the smallest class.
    ///
    /// `labels` holds the class of each training row.
    ///
    /// # Panics
    /// If `k` is 0 or more neighbours than were looked for, or a training row has no label.
    pub fn vote(&self, labels: &[u32], k: usize) -> Vec<u32> {
        assert!(k >= 1 && k <= self.k, "{k} of {} neighbours", self.k);
        let classes = labels.iter().max().map_or(0, |&c| c as usize + 1);
        let mut votes = vec![0u32; classes];
        let winner = |neighbours: &[u32]| {
            votes.fill(0);
            for &row in &neighbours[..k] {
                votes[labels[row as usize] as usize] += 1;
            }
            let most = votes.iter().max().copied().unwrap_or(0);
            votes.iter().position(|&v| v == most).unwrap_or(0) as u32
        };
        self.rows.chunks_exact(self.k).map(winner).collect()
    }
}

/// The `k` rows of `train` `[n, d]` nearest to each row of `test` `[m, d]`; of rows at the same distance the smaller
/// index comes first.
///
/// # Errors
/// [`ProbeError::Mismatch`] for features of another width, [`ProbeError::TooFewRows`] if `train` has fewer than `k` rows,
/// [`ProbeError::Empty`] for `k` = 0.
pub fn neighbours(train: &Features, test: &Features, k: usize) -> Result<Neighbours, ProbeError> {
    if train.dim() != test.dim() {
        return Err(ProbeError::Mismatch { what: "test features per row", expected: train.dim(), found: test.dim() });
    }
    if k == 0 {
        return Err(ProbeError::Empty { what: "the set of neighbours (k = 0)".to_owned() });
    }
    if train.rows() < k {
        return Err(ProbeError::TooFewRows { k, rows: train.rows() });
    }
    let found = nearest(points(train), points(test), k).expect("the rows are as many and as wide as asked for");
    let rows = (0..test.rows()).flat_map(|i| found.of(i)).map(|neighbour| neighbour.row).collect();
    Ok(Neighbours { k, rows })
}

/// Predicts the class of each row of `test` `[m, d]` from its `k` nearest rows of `train`, whose classes are `labels`.
///
/// # Errors
/// As [`neighbours`], and [`ProbeError::Mismatch`] unless there is one label for each training row.
pub fn knn(train: &Features, labels: &[u32], test: &Features, k: usize) -> Result<Vec<u32>, ProbeError> {
    if labels.len() != train.rows() {
        return Err(ProbeError::Mismatch { what: "labels", expected: train.rows(), found: labels.len() });
    }
    Ok(neighbours(train, test, k)?.vote(labels, k))
}

fn points(features: &Features) -> Points<'_> {
    Points::new(features.dim(), features.data()).expect("features are whole rows of finite numbers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    fn random(rows: usize, dim: usize, seed: u64) -> Features {
        let mut draws = stream(seed, "test", &[]);
        Features::new(dim, (0..rows * dim).map(|_| draws.normal() as f32).collect()).unwrap()
    }

    fn by_definition(train: &Features, test: &Features, k: usize) -> Vec<u32> {
        let of = |i: usize| {
            let distance = |j: usize| -> f64 {
                test.row(i).iter().zip(train.row(j)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
            };
            let mut all: Vec<(f64, u32)> = (0..train.rows()).map(|j| (distance(j), j as u32)).collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all.into_iter().take(k).map(|c| c.1)
        };
        (0..test.rows()).flat_map(of).collect()
    }

    #[test]
    fn blocks_find_what_the_definition_says() {
        for (train, test, dim, k) in [(1300, 300, 17, 20), (5, 1, 3, 5), (600, 513, 2, 1)] {
            let (train, test) = (random(train, dim, 1), random(test, dim, 2));
            assert_eq!(neighbours(&train, &test, k).unwrap().rows, by_definition(&train, &test, k));
        }
    }

    #[test]
    fn rows_far_from_the_origin_do_not_lose_their_neighbours_to_rounding() {
        // Distances of 1e-3 at 1e4 from the origin: the product form alone is off by far more than the differences.
        let far = |f: Features| Features::new(8, f.data().iter().map(|v| 1e4 + v * 1e-2).collect()).unwrap();
        let (train, test) = (far(random(700, 8, 3)), far(random(50, 8, 4)));
        assert_eq!(neighbours(&train, &test, 3).unwrap().rows, by_definition(&train, &test, 3));
    }

    #[test]
    fn near_copies_keep_their_order_where_the_product_form_sees_none() {
        // 40 rows that differ from the tested one in the last bits of one feature, the nearest last.
        let row: Vec<f32> = (0..64).map(|j| 20.0 + j as f32).collect();
        let test = Features::new(64, row.clone()).unwrap();
        let copy = |i: usize| {
            let mut row = row.clone();
            row[7] = f32::from_bits(row[7].to_bits() + 40 - i as u32);
            row
        };
        let train = Features::new(64, (0..40).flat_map(copy).collect()).unwrap();
        let square = |row: &[f32]| row.iter().map(|v| v * v).sum::<f32>();
        let product = |i: usize| test.row(0).iter().zip(train.row(i)).map(|(a, b)| a * b).sum::<f32>();
        let expanded = |i: usize| square(test.row(0)) + square(train.row(i)) - 2.0 * product(i);
        assert!((0..40).filter(|&i| expanded(i) <= 0.0).count() > 10, "the product form in f32 has lost them");
        let nearest: Vec<u32> = (20..40).rev().collect();
        assert_eq!(neighbours(&train, &test, 20).unwrap().of(0), nearest);
    }

    #[test]
    fn a_thousand_equal_rows_are_taken_in_order() {
        let train = Features::new(3, [0.1, 0.2, 0.3].repeat(1000)).unwrap();
        let test = Features::new(3, vec![0.1, 0.2, 0.4]).unwrap();
        assert_eq!(neighbours(&train, &test, 20).unwrap().of(0), (0..20).collect::<Vec<u32>>());
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (train, test) = (random(900, 33, 5), random(700, 33, 6));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| neighbours(&train, &test, 20).unwrap())
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn a_tied_vote_goes_to_the_smallest_class() {
        let train = Features::new(1, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        let test = Features::new(1, vec![1.4]).unwrap();
        assert_eq!(knn(&train, &[5, 3, 3, 5], &test, 4).unwrap(), [3]);
        assert_eq!(knn(&train, &[5, 9, 3, 5], &test, 2).unwrap(), [3]);
        assert_eq!(knn(&train, &[5, 9, 3, 5], &test, 1).unwrap(), [9]);
        assert!(matches!(knn(&train, &[0; 4], &test, 5), Err(ProbeError::TooFewRows { .. })));
    }
}
