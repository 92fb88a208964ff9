//! Places of new rows on a fitted map.

use rayon::prelude::*;
use run_spec::seed::stream;

use super::forces::Forces;
use super::graph::Edge;
use super::layout::{Position, Rules, arrange_one};
use super::reach::Reach;
use super::{Place, Umap};
use crate::neighbours::{Neighbour, nearest};
use crate::{MapError, Points};

/// Epochs in which a new row moves, unless the map's are given: umap-learn's for up to 10,000 rows.
const EPOCHS: usize = 100;
/// Length of its first steps, as a share of a fitted row's.
const RATE: f64 = 0.25;

/// See [`Umap::transform`].
pub(super) fn place(map: &Umap, points: Points<'_>) -> Result<Vec<Place>, MapError> {
    let fitted = map.fitted();
    let k = map.settings.neighbours.min(fitted.rows());
    let neighbours = nearest(fitted, points, k)?;
    let others: Vec<Position> = map.places.iter().map(|place| place.map(f64::from)).collect();
    let rules = Rules {
        forces: Forces::new(map.curve),
        epochs: map.settings.epochs.map_or(EPOCHS, |epochs| (epochs / 3).max(1)),
        negatives: map.settings.negatives,
        rate: RATE,
    };
    let row = |i| place_row(neighbours.of(i), &others, &rules, map.settings.seed).map(|v| v as f32);
    Ok((0..points.rows()).into_par_iter().map(row).collect())
}

/// Places a row with its `neighbours` among the fitted rows.
fn place_row(neighbours: &[Neighbour], fitted: &[Position], rules: &Rules, seed: u64) -> Position {
    let reach = Reach::of_new(neighbours);
    let edge = |n: &Neighbour| Edge { to: n.row, similarity: reach.similarity(n.distance) };
    let mut edges: Vec<Edge> = neighbours.iter().map(edge).collect();
    let largest = edges.iter().map(|edge| edge.similarity).fold(0.0, f64::max);
    let start = mean(&edges, fitted);
    edges.retain(|edge| edge.similarity >= largest / rules.epochs as f64);
    // One stream for all rows: rows that differ little are pushed by the same others, and stay together.
    arrange_one(start, &edges, fitted, rules, &mut stream(seed, "feature-map/transform", &[]))
}

/// The mean place of the neighbours by similarity, or that of the first one that is wholly similar.
fn mean(edges: &[Edge], fitted: &[Position]) -> Position {
    if let Some(equal) = edges.iter().find(|edge| edge.similarity == 1.0) {
        return fitted[equal.to as usize];
    }
    let sum: f64 = edges.iter().map(|edge| edge.similarity).sum();
    let along = |axis| edges.iter().map(|edge| edge.similarity / sum * fitted[edge.to as usize][axis]).sum();
    std::array::from_fn(along)
}
