//! UMAP (McInnes, Healy and Melville, arXiv:1802.03426): a map on which neighbours in feature space stay neighbours.
//!
//! The method is umap-learn 0.5's for Euclidean distances and two dimensions, with its defaults, and differs where that one
//! depends on threads, on batches or on luck:
//!
//! * Neighbours are exact; umap-learn approximates them above 4,096 rows.
//! * The start is umap-learn's `init="pca"`, the first two principal components, not the spectral layout. Both keep the
//!   large-scale arrangement (Kobak and Linderman, doi:10.1038/s41587-020-00809-z); PCA needs no iterative solver, nor another
//!   method for groups of cells that no edge joins, and turns the maps of two seeds the same way. With umap-learn and here it
//!   costs 0.002 to 0.003 of continuity on a rolled-up plane, and less than 0.001 on digits.
//! * One thread moves the rows, always in the same order (`layout.rs`). umap-learn promises the same map for one thread only;
//!   here the work before and after, most of the time of wide features, is shared by threads without changing a bit.
//! * A new row's place depends on nothing but the row and the map ([`Umap::transform`]).
//!
//! `make measure-map` compares the maps of both, and `tests/golden/make_map.py` what they are made from.

mod curve;
mod forces;
#[cfg(test)]
mod golden;
mod graph;
mod layout;
mod reach;
mod start;
mod transform;

use crate::neighbours::nearest_others;
use crate::{MapError, Points};
use curve::Curve;
use forces::Forces;
use graph::Graph;
use layout::Rules;
use run_spec::seed::stream;

/// A place on a map, `[x, y]`; distances have no unit.
pub type Place = [f32; 2];

/// How a map is made; [`Settings::default`] has umap-learn's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Size of a neighbourhood, the row itself included: larger shows more of the whole and less of the detail.
    /// With fewer rows, a neighbourhood is all of them.
    pub neighbours: usize,
    /// How near to one another two rows may come on the map; from 0 to `spread`.
    pub min_dist: f64,
    /// Scale of the map.
    pub spread: f64,
    /// Rows that a row is pushed away from each time a neighbour attracts it.
    pub negatives: usize,
    /// Passes over the graph; `None` is 500 up to 10,000 rows and 200 above.
    pub epochs: Option<usize>,
    /// Chooses the random numbers.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { neighbours: 15, min_dist: 0.1, spread: 1.0, negatives: 5, epochs: None, seed: 0 }
    }
}

impl Settings {
    /// Fails for the first setting out of its range.
    fn check(&self) -> Result<(), MapError> {
        let fail = |what, value, range| Err(MapError::Setting { what, value, range });
        if self.neighbours < 2 {
            return fail("the size of a neighbourhood", self.neighbours as f64, "2 or more rows");
        }
        if !(self.spread > 0.0 && self.spread.is_finite()) {
            return fail("the spread of a map", self.spread, "a number above 0");
        }
        if !(0.0..=self.spread).contains(&self.min_dist) {
            return fail("the smallest distance on a map", self.min_dist, "0 to the spread");
        }
        if self.epochs == Some(0) {
            return fail("the number of epochs", 0.0, "1 or more");
        }
        Ok(())
    }

    fn epochs_for(&self, rows: usize) -> usize {
        self.epochs.unwrap_or(if rows <= 10_000 { 500 } else { 200 })
    }
}

/// A fitted map: the places of the rows it was made from, and what places new rows on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Umap {
    settings: Settings,
    curve: Curve,
    dim: usize,
    features: Vec<f32>,
    places: Vec<Place>,
}

/// Makes the map of `points` `[n, d]`.
///
/// Rows that are equal get places near one another, not one place. The map of a single row has it in the middle, `[0, 0]`.
///
/// # Errors
/// [`MapError::TooFewRows`] without rows, [`MapError::Setting`] for a setting out of its range.
pub fn fit(points: Points<'_>, settings: &Settings) -> Result<Umap, MapError> {
    settings.check()?;
    points.expect_rows("a map", 1)?;
    let curve = Curve::fit(settings.min_dist, settings.spread);
    let epochs = settings.epochs_for(points.rows());
    let k = settings.neighbours.min(points.rows());
    let graph = Graph::of(&nearest_others(points, k - 1)?).lasting(epochs);
    let mut positions = start::principal(points, settings.seed)?;
    let rules = Rules { forces: Forces::new(curve), epochs, negatives: settings.negatives, rate: 1.0 };
    layout::arrange(&mut positions, &graph, &rules, &mut stream(settings.seed, "feature-map/negatives", &[]));
    let places = positions.into_iter().map(|position| position.map(|v| v as f32)).collect();
    Ok(Umap { settings: *settings, curve, dim: points.dim(), features: points.data().to_vec(), places })
}

impl Umap {
    /// The places of the fitted rows, in their order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Places each row of `points` on the map, which does not change.
    ///
    /// A row's place depends on the row and the map alone, not on the other rows of `points`: it starts at the mean of its
    /// neighbours among the fitted rows, weighted by similarity, and is then attracted by these and pushed away from a
    /// sample of the others, the same sample for each row. A fitted row lands near its place on the map, not exactly there.
    ///
    /// # Errors
    /// [`MapError::Mismatch`] for rows of another width than the fitted ones.
    pub fn transform(&self, points: Points<'_>) -> Result<Vec<Place>, MapError> {
        transform::place(self, points)
    }

    fn fitted(&self) -> Points<'_> {
        Points::new(self.dim, &self.features).expect("checked when the map was made")
    }
}
