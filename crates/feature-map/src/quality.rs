//! How far a map can be trusted (Venna and Kaski, doi:10.1007/3-540-44668-0_68): trustworthiness asks whether neighbours on
//! the map are neighbours in feature space, continuity whether neighbours in feature space are neighbours on the map.
//!
//! Each of the k nearest costs what its rank in the other space exceeds k by. 1 is perfect, and a random map has about 0.5.
//! Ranks are exact: among all rows, by distances summed feature by feature, ties by index. Tests compare with scikit-learn's
//! `trustworthiness` and zadu's `trustworthiness_continuity`.

use std::cmp::Ordering;
use std::ops::Range;

use rayon::prelude::*;
use run_spec::seed::stream;

use crate::distances::{Distances, blocks};
use crate::neighbours::{Neighbour, Neighbours, Search};
use crate::umap::Place;
use crate::{MapError, Points};

/// How quality is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Size k of a neighbourhood, the row itself not included; less than half the rows.
    pub neighbours: usize,
    /// With more rows than this, only so many are asked about their neighbours; these are still sought among all rows.
    pub at_most: usize,
    /// Chooses the rows that are asked.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { neighbours: 15, at_most: 20_000, seed: 0 }
    }
}

/// How far neighbourhoods on a map are those of the features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// From 0 to 1: low where the map shows neighbours that are far apart in feature space.
    pub trustworthiness: f64,
    /// From 0 to 1: low where the map tears neighbours apart.
    pub continuity: f64,
    /// The number of rows that were asked: all, or `at_most`.
    pub rows: usize,
}

/// Measures the map `places` of the rows of `points`.
///
/// # Errors
/// [`MapError::Mismatch`] unless each row has a place, [`MapError::NotFinite`] for a place that is not finite,
/// [`MapError::Setting`] unless `neighbours` is at least 1 and less than half the number of rows, and `at_most` at least 1.
pub fn measure(points: Points<'_>, places: &[Place], settings: &Settings) -> Result<Quality, MapError> {
    let (n, k) = (points.rows(), settings.neighbours);
    if places.len() != n {
        return Err(MapError::Mismatch { what: "places on the map", expected: n, found: places.len() });
    }
    if k == 0 || 2 * k >= n {
        let range = "1 or more and less than half the number of rows";
        return Err(MapError::Setting { what: "the size of a neighbourhood", value: k as f64, range });
    }
    if settings.at_most == 0 {
        return Err(MapError::Setting { what: "the number of rows to ask", value: 0.0, range: "1 or more" });
    }
    let map = Points::new(2, places.as_flattened())?;
    let asked = asked(n, settings);
    let gathered = [points, map].map(|of| asked.iter().flat_map(|&i| of.row(i)).copied().collect::<Vec<f32>>());
    let features = Space::new(points, Points::new(points.dim(), &gathered[0])?, &asked, k);
    let map = Space::new(map, Points::new(2, &gathered[1])?, &asked, k);
    Ok(Quality {
        trustworthiness: agreement(&features, &map.neighbours),
        continuity: agreement(&map, &features.neighbours),
        rows: asked.len(),
    })
}

/// The rows that are asked about their neighbours, by rising index.
fn asked(rows: usize, settings: &Settings) -> Vec<usize> {
    if rows <= settings.at_most {
        return (0..rows).collect();
    }
    let mut asked = stream(settings.seed, "feature-map/quality", &[]).permutation(rows);
    asked.truncate(settings.at_most);
    asked.sort_unstable();
    asked
}

/// One of the two spaces: all rows, and the rows that are asked with their neighbours.
struct Space<'a> {
    distances: Distances<'a>,
    queries: Points<'a>,
    itself: &'a [usize],
    neighbours: Neighbours,
}

impl<'a> Space<'a> {
    fn new(all: Points<'a>, queries: Points<'a>, itself: &'a [usize], k: usize) -> Self {
        let distances = Distances::new(all);
        let neighbours = Search { distances: &distances, queries, k, itself: Some(itself) }.run();
        Self { distances, queries, itself, neighbours }
    }
}

/// 1, less what the ranks in one space of the neighbours `shown` in the other exceed k by, as a share of the worst case.
fn agreement(ranked: &Space<'_>, shown: &Neighbours) -> f64 {
    let (n, k, asked) = (ranked.distances.rows(), shown.k(), shown.queries());
    let sum: u64 = blocks(asked).into_par_iter().map(|block| ranks_beyond_k(ranked, shown, block)).sum();
    1.0 - sum as f64 * 2.0 / ((asked * k) as f64 * (2 * n - 3 * k - 1) as f64)
}

/// What ranks exceed k by, summed over the neighbours of one block of rows.
fn ranks_beyond_k(ranked: &Space<'_>, shown: &Neighbours, block: Range<usize>) -> u64 {
    let mut ranks: Vec<Ranks> = block.clone().map(|i| Ranks::new(ranked, shown, i)).collect();
    ranked.distances.cheap(ranked.queries, block.clone(), |query, first, distances| {
        let (ranks, i) = (&mut ranks[query], block.start + query);
        for (row, &distance) in (first..).zip(distances) {
            if distance <= ranks.limit && row != ranked.itself[i] {
                ranks.count(distance, row as u32, || ranked.distances.exact(ranked.queries.row(i), row));
            }
        }
    });
    ranks.iter().map(|ranks| ranks.beyond(shown.k())).sum()
}

/// Some rows, and how many of all rows are nearer to a query than each.
struct Ranks {
    /// Squared distances and rows, nearest first.
    ranked: Vec<(f64, u32)>,
    /// Rows that come with or before this one but after the one before.
    between: Vec<u64>,
    margin: f64,
    /// No row at a cheap distance above this can be nearer than the last.
    limit: f64,
}

impl Ranks {
    fn new(space: &Space<'_>, shown: &Neighbours, i: usize) -> Self {
        let x = space.queries.row(i);
        let place = |n: &Neighbour| (space.distances.exact(x, n.row as usize), n.row);
        let mut ranked: Vec<(f64, u32)> = shown.of(i).iter().map(place).collect();
        ranked.sort_by(order);
        let margin = space.distances.margin(x);
        let limit = ranked.last().map_or(f64::NEG_INFINITY, |last| last.0 + margin);
        Self { between: vec![0; ranked.len()], ranked, margin, limit }
    }

    /// Counts a row at a `cheap` squared distance; `exact` is asked where that does not decide.
    fn count(&mut self, cheap: f64, row: u32, exact: impl FnOnce() -> f64) {
        let mut place = self.ranked.partition_point(|one| one.0 < cheap - self.margin);
        if self.ranked.get(place).is_some_and(|one| one.0 <= cheap + self.margin) {
            let exact = (exact(), row);
            place = self.ranked.partition_point(|one| order(one, &exact).is_lt());
        }
        if let Some(between) = self.between.get_mut(place) {
            *between += 1;
        }
    }

    /// What ranks, counted from 1, exceed `k` by, summed.
    fn beyond(&self, k: usize) -> u64 {
        let ranks = self.between.iter().scan(0, |rank, between| {
            *rank += between;
            Some(*rank)
        });
        ranks.map(|rank: u64| rank.saturating_sub(k as u64)).sum()
    }
}

fn order(a: &(f64, u32), b: &(f64, u32)) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
        let mut draws = stream(seed, "test", &[]);
        (0..rows * dim).map(|_| draws.normal() as f32).collect()
    }

    fn places(values: &[f32]) -> Vec<Place> {
        values.chunks_exact(2).map(|place| [place[0], place[1]]).collect()
    }

    /// Rows other than `i` by their distance to it.
    fn sorted(points: Points<'_>, i: usize) -> Vec<usize> {
        let distance = |j: usize| -> f64 {
            points.row(i).iter().zip(points.row(j)).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        let mut rows: Vec<usize> = (0..points.rows()).filter(|&j| j != i).collect();
        rows.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
        rows
    }

    fn by_definition(ranked: Points<'_>, shown: Points<'_>, rows: &[usize], k: usize) -> f64 {
        let mut sum = 0;
        for &i in rows {
            let (ranked, shown) = (sorted(ranked, i), sorted(shown, i));
            for row in &shown[..k] {
                let rank = 1 + ranked.iter().position(|other| other == row).unwrap();
                sum += rank.saturating_sub(k);
            }
        }
        1.0 - sum as f64 * 2.0 / ((rows.len() * k) as f64 * (2 * ranked.rows() - 3 * k - 1) as f64)
    }

    #[test]
    fn ranks_are_those_of_the_definition_for_all_rows_and_for_some() {
        // Whole numbers: many rows are at the same distance, and some are equal.
        let whole = |values: Vec<f32>| values.iter().map(|v| (v * 2.0).round()).collect::<Vec<f32>>();
        for (data, map) in
            [(random(600, 7, 1), random(600, 2, 2)), (whole(random(600, 3, 3)), whole(random(600, 2, 4)))]
        {
            let points = Points::new(data.len() / 600, &data).unwrap();
            let flat = Points::new(2, &map).unwrap();
            for at_most in [600, 300] {
                let settings = Settings { neighbours: 9, at_most, seed: 5 };
                let found = measure(points, &places(&map), &settings).unwrap();
                let rows = asked(600, &settings);
                assert_eq!(found.rows, at_most);
                assert!((found.trustworthiness - by_definition(points, flat, &rows, 9)).abs() < 1e-12);
                assert!((found.continuity - by_definition(flat, points, &rows, 9)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_map_that_is_the_features_is_perfect_and_a_random_one_worth_half() {
        let data = random(1000, 2, 1);
        let points = Points::new(2, &data).unwrap();
        let perfect = measure(points, &places(&data), &Settings::default()).unwrap();
        assert_eq!((perfect.trustworthiness, perfect.continuity, perfect.rows), (1.0, 1.0, 1000));
        let chance = measure(points, &places(&random(1000, 2, 2)), &Settings::default()).unwrap();
        assert!((chance.trustworthiness - 0.5).abs() < 0.02 && (chance.continuity - 0.5).abs() < 0.02, "{chance:?}");
    }

    #[test]
    fn equal_rows_on_an_equal_map_are_perfect() {
        let data = vec![0.3f32; 80];
        let map = vec![[1.0f32, 2.0]; 40];
        let found = measure(Points::new(2, &data).unwrap(), &map, &Settings::default()).unwrap();
        assert_eq!((found.trustworthiness, found.continuity), (1.0, 1.0));
    }

    #[test]
    fn impossible_measurements_are_refused() {
        let data = random(31, 2, 1);
        let (points, map) = (Points::new(2, &data).unwrap(), places(&data));
        let with = |neighbours, at_most| measure(points, &map, &Settings { neighbours, at_most, seed: 0 });
        assert!(with(15, 31).is_ok());
        assert!(matches!(with(16, 31), Err(MapError::Setting { .. })));
        assert!(matches!(with(0, 31), Err(MapError::Setting { .. })));
        assert!(matches!(with(15, 0), Err(MapError::Setting { .. })));
        assert!(matches!(measure(points, &map[1..], &Settings::default()), Err(MapError::Mismatch { .. })));
        let mut lost = map.clone();
        lost[3][1] = f32::NAN;
        assert!(matches!(
            measure(points, &lost, &Settings::default()),
            Err(MapError::NotFinite { row: 3, column: 1, .. })
        ));
    }
}
