//! Exact nearest neighbours by Euclidean distance; of rows at the same distance the smaller index comes first.

use std::ops::Range;

use rayon::prelude::*;

use crate::distances::{Distances, blocks};
use crate::{MapError, Points};

/// The nearest rows of each query, nearest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    queries: usize,
    k: usize,
    /// `[queries, k]`.
    found: Vec<Neighbour>,
}

/// A row near a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Index of the row in the searched set, from 0.
    pub row: u32,
    /// Its Euclidean distance.
    pub distance: f64,
}

impl Neighbours {
    /// Number of rows whose neighbours were sought.
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// Number of neighbours of each query.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The neighbours `[k]` of query `i`, nearest first.
    ///
    /// # Panics
    /// If there is no such query.
    pub fn of(&self, i: usize) -> &[Neighbour] {
        &self.found[i * self.k..(i + 1) * self.k]
    }
}

/// The `k` rows of `train` `[n, d]` nearest to each row of `queries` `[m, d]`.
///
/// Which other queries there are changes nothing.
///
/// # Errors
/// [`MapError::Mismatch`] for queries of another width, [`MapError::TooFewRows`] if `train` has fewer than `k` rows.
pub fn nearest(train: Points<'_>, queries: Points<'_>, k: usize) -> Result<Neighbours, MapError> {
    queries.expect_dim(train.dim())?;
    train.expect_rows("a search for neighbours", k)?;
    Ok(Search { distances: &Distances::new(train), queries, k, itself: None }.run())
}

/// The `k` nearest other rows of each row of `points`; a copy of a row is another row.
///
/// # Errors
/// [`MapError::TooFewRows`] unless there are more than `k` rows.
pub fn nearest_others(points: Points<'_>, k: usize) -> Result<Neighbours, MapError> {
    points.expect_rows("a search for neighbours", k + 1)?;
    let itself: Vec<usize> = (0..points.rows()).collect();
    Ok(Search { distances: &Distances::new(points), queries: points, k, itself: Some(&itself) }.run())
}

/// What to search for, and in what.
pub(crate) struct Search<'a> {
    pub(crate) distances: &'a Distances<'a>,
    pub(crate) queries: Points<'a>,
    pub(crate) k: usize,
    /// Which searched row each query is, if it is one: a row is not its own neighbour.
    pub(crate) itself: Option<&'a [usize]>,
}

impl Search<'_> {
    pub(crate) fn run(&self) -> Neighbours {
        let found = if self.k == 0 {
            Vec::new()
        } else {
            blocks(self.queries.rows()).into_par_iter().flat_map_iter(|block| self.block(block)).collect()
        };
        Neighbours { queries: self.queries.rows(), k: self.k, found }
    }

    /// The neighbours of one block of queries, query after query.
    fn block(&self, block: Range<usize>) -> Vec<Neighbour> {
        let margin = |i| self.distances.margin(self.queries.row(i));
        let mut nearest: Vec<Candidates> = block.clone().map(|i| Candidates::new(self.k, margin(i))).collect();
        self.distances.cheap(self.queries, block.clone(), |query, first, distances| {
            let itself = self.itself.map(|rows| rows[block.start + query]);
            for (row, &distance) in (first..).zip(distances) {
                if distance <= nearest[query].limit && Some(row) != itself {
                    nearest[query].hold(distance, row as u32);
                }
            }
        });
        let decide = |(candidates, i): (Candidates, usize)| candidates.decide(self.distances, self.queries.row(i));
        nearest.into_iter().zip(block).flat_map(decide).collect()
    }
}

/// Rows that may be among the `k` nearest, by a squared distance that is off by at most `margin`.
struct Candidates {
    k: usize,
    margin: f64,
    /// Nothing above this can be among the nearest.
    limit: f64,
    held: Vec<(f64, u32)>,
    prune_at: usize,
}

impl Candidates {
    fn new(k: usize, margin: f64) -> Self {
        let prune_at = 4 * k + 32;
        Self { k, margin, limit: f64::INFINITY, held: Vec::with_capacity(prune_at), prune_at }
    }

    fn hold(&mut self, distance: f64, row: u32) {
        self.held.push((distance, row));
        if self.held.len() >= self.prune_at {
            self.prune();
        }
    }

    fn prune(&mut self) {
        if self.held.len() < self.k {
            return;
        }
        let (_, kth, _) = self.held.select_nth_unstable_by(self.k - 1, |a, b| a.0.total_cmp(&b.0));
        self.limit = kth.0 + 2.0 * self.margin;
        self.held.retain(|c| c.0 <= self.limit);
        // Many rows at one distance (blank patches) may all have to stay.
        self.prune_at = (4 * self.k + 32).max(2 * self.held.len());
    }

    /// The `k` nearest by their exact distance.
    fn decide(mut self, distances: &Distances<'_>, x: &[f32]) -> Vec<Neighbour> {
        self.prune();
        let exact = |&(_, row): &(f64, u32)| (distances.exact(x, row as usize), row);
        let mut exact: Vec<(f64, u32)> = self.held.iter().map(exact).collect();
        exact.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        exact.iter().take(self.k).map(|&(square, row)| Neighbour { row, distance: square.sqrt() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    fn random(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
        let mut draws = stream(seed, "test", &[]);
        (0..rows * dim).map(|_| draws.normal() as f32).collect()
    }

    fn rows(neighbours: &Neighbours) -> Vec<u32> {
        neighbours.found.iter().map(|n| n.row).collect()
    }

    fn by_definition(train: Points<'_>, queries: Points<'_>, k: usize, without_itself: bool) -> Vec<u32> {
        let of = |i: usize| {
            let distance = |j: usize| -> f64 {
                queries.row(i).iter().zip(train.row(j)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
            };
            let mut all: Vec<(f64, u32)> =
                (0..train.rows()).filter(|&j| !(without_itself && i == j)).map(|j| (distance(j), j as u32)).collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all.into_iter().take(k).map(|c| c.1)
        };
        (0..queries.rows()).flat_map(of).collect()
    }

    #[test]
    fn blocks_find_what_the_definition_says() {
        for (n, m, dim, k) in [(1300, 300, 17, 20), (5, 1, 3, 5), (600, 513, 2, 1)] {
            let (train, queries) = (random(n, dim, 1), random(m, dim, 2));
            let (train, queries) = (Points::new(dim, &train).unwrap(), Points::new(dim, &queries).unwrap());
            assert_eq!(rows(&nearest(train, queries, k).unwrap()), by_definition(train, queries, k, false));
        }
        let points = random(700, 5, 3);
        let points = Points::new(5, &points).unwrap();
        assert_eq!(rows(&nearest_others(points, 14).unwrap()), by_definition(points, points, 14, true));
    }

    #[test]
    fn near_copies_keep_their_order_where_the_product_form_sees_none() {
        // Row i differs from row 0 by i steps of the last bit of one feature.
        let copy =
            |i: u32| (0..64).map(move |j| if j == 7 { f32::from_bits(27f32.to_bits() + i) } else { 20.0 + j as f32 });
        let data: Vec<f32> = (0..40).flat_map(copy).collect();
        let points = Points::new(64, &data).unwrap();
        let found = nearest_others(points, 20).unwrap();
        assert_eq!(found.of(0).iter().map(|n| n.row).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
        assert!(found.of(0).windows(2).all(|pair| pair[0].distance < pair[1].distance));
    }

    #[test]
    fn a_thousand_equal_rows_are_taken_in_order_and_none_is_its_own_neighbour() {
        let data = [0.1, 0.2, 0.3].repeat(1000);
        let found = nearest_others(Points::new(3, &data).unwrap(), 3).unwrap();
        assert_eq!(found.of(0).iter().map(|n| n.row).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(found.of(999).iter().map(|n| n.row).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(found.of(500).iter().all(|n| n.distance == 0.0));
    }

    #[test]
    fn too_few_rows_are_refused() {
        let data = [0.0f32; 6];
        let points = Points::new(2, &data).unwrap();
        assert!(matches!(nearest_others(points, 3), Err(MapError::TooFewRows { needed: 4, rows: 3, .. })));
        assert!(matches!(nearest(points, Points::new(3, &data).unwrap(), 1), Err(MapError::Mismatch { .. })));
        assert!(nearest_others(points, 2).is_ok());
    }
}
