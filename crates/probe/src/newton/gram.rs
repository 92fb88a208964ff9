//! Weighted Gram matrices Xᵀ·diag(h)·X, tile by tile, and the whole Hessian made of them.
//!
//! Every tile sums the blocks of rows in their order by itself, so nothing depends on the number of threads.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Axis, s};
use rayon::prelude::*;

use super::problem::{Point, Problem, uncertainty};

/// Columns of a tile, about.
const TILE: usize = 160;

/// A rectangle of a Gram matrix: where it begins and what it holds.
struct Tile {
    pair: (usize, usize),
    row: usize,
    column: usize,
    values: Array2<f64>,
}

/// The Hessian `[M·P, M·P]` at a point; parameter (a, j) of `v` `[M, P]` is number a·P + j.
pub(super) fn hessian(problem: &Problem, point: &Point) -> Array2<f64> {
    let (m, p) = problem.shape();
    let means: Vec<Array2<f64>> = point.probabilities.iter().map(|p| p.dot(&problem.basis)).collect(); // [rows, M]
    let pairs: Vec<(usize, usize)> = (0..m).flat_map(|a| (0..=a).map(move |b| (a, b))).collect();
    let curvature = |(a, b): (usize, usize), block: usize| {
        let both = &problem.basis.column(a) * &problem.basis.column(b);
        let means = &means[block];
        point.probabilities[block].dot(&both) - &means.column(a) * &means.column(b)
    };
    let mut hessian = Array2::zeros((m * p, m * p));
    for tile in tiles(problem, &pairs, curvature) {
        let (a, b) = (tile.pair.0 * p, tile.pair.1 * p);
        let (row, column) = (tile.row, tile.column);
        let (height, width) = tile.values.dim();
        hessian.slice_mut(s![a + row..a + row + height, b + column..b + column + width]).assign(&tile.values);
        hessian.slice_mut(s![a + column..a + column + width, b + row..b + row + height]).assign(&tile.values.t());
    }
    hessian /= problem.rows as f64;
    for (i, entry) in hessian.diag_mut().iter_mut().enumerate() {
        *entry += if i % p == p - 1 { 0.0 } else { problem.penalty };
    }
    hessian
}

/// Xᵀ·diag(h)·X `[P, P]`, where h is how uncertain each row is, scaled so that h sums to 1; `None` if no row is.
pub(super) fn uncertain_gram(problem: &Problem, point: &Point) -> Option<Array2<f64>> {
    let (_, p) = problem.shape();
    let weights: Vec<Array1<f64>> = point.probabilities.iter().map(|p| p.map_axis(Axis(1), uncertainty)).collect();
    let total: f64 = weights.iter().map(Array1::sum).sum();
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    let mut gram = Array2::zeros((p, p));
    for tile in tiles(problem, &[(0, 0)], |_, block| &weights[block] / total) {
        let (height, width) = tile.values.dim();
        gram.slice_mut(s![tile.row..tile.row + height, tile.column..tile.column + width]).assign(&tile.values);
    }
    Some(gram)
}

/// The tiles on and below the diagonal of each pair's Gram matrix; `weight` gives a pair's weights of a block of rows.
fn tiles<W>(problem: &Problem, pairs: &[(usize, usize)], weight: W) -> Vec<Tile>
where
    W: Fn((usize, usize), usize) -> Array1<f64> + Sync,
{
    let (_, p) = problem.shape();
    let width = p.div_ceil(p.div_ceil(TILE));
    let mut tiles: Vec<Tile> = Vec::new();
    for &pair in pairs {
        for row in (0..p).step_by(width) {
            for column in (0..=row).step_by(width) {
                let shape = (width.min(p - row), width.min(p - column));
                tiles.push(Tile { pair, row, column, values: Array2::zeros(shape) });
            }
        }
    }
    tiles.par_iter_mut().for_each(|tile| {
        let (height, width) = tile.values.dim();
        for (i, block) in problem.blocks.iter().enumerate() {
            let weights = weight(tile.pair, i).insert_axis(Axis(1));
            let left = block.x.slice(s![.., tile.row..tile.row + height]);
            let right = &block.x.slice(s![.., tile.column..tile.column + width]) * &weights;
            general_mat_mul(1.0, &left.t(), &right, 1.0, &mut tile.values);
        }
    });
    tiles
}
