//! What features look like before any probe sees them: how wide, of how many dimensions, how close the cells of a class.
//!
//! A score says that an arm moves; these four numbers help to say why. Width alone changes what a penalty of fixed
//! strength does to a fit; effective rank shows collapse; alignment and uniformity (Wang, Isola, arXiv:2005.10242) are the
//! two things a contrastive loss trades. Checked against NumPy and PyTorch in `tests/golden/newton.json`.
//!
//! Alignment and uniformity are taken on the unit sphere: rows are divided by their norm, a row of zeros stays zero.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use run_spec::seed::stream;

use crate::{Features, ProbeError, logistic};

/// Rows handled at once; also what makes sums independent of the number of threads.
const BLOCK: usize = 512;

/// Rows among which [`uniformity`] takes all pairs; of more rows it draws this many, always the same.
pub const UNIFORMITY_ROWS: usize = 4096;

/// The shape of a set of features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Median over the features of their standard deviation over the rows (ddof 0), in the features' units.
    pub median_std: f64,
    /// How many dimensions are in use, see [`effective_rank`].
    pub effective_rank: f64,
    /// [`alignment`] of rows of the same class; `None` if no class has two rows.
    pub alignment: Option<f64>,
    /// [`uniformity`]; `None` for a single row.
    pub uniformity: Option<f64>,
}

impl Spread {
    /// Measures `features`, whose rows have these classes.
    ///
    /// # Errors
    /// [`ProbeError::Mismatch`] unless there is one label per row, [`ProbeError::Empty`] for no rows.
    pub fn of(features: &Features, labels: &[u32]) -> Result<Self, ProbeError> {
        if labels.len() != features.rows() {
            return Err(ProbeError::Mismatch { what: "labels", expected: features.rows(), found: labels.len() });
        }
        if labels.is_empty() {
            return Err(ProbeError::Empty { what: "the set of features".to_owned() });
        }
        Ok(Self {
            median_std: median_std(features),
            effective_rank: effective_rank(features),
            alignment: alignment(features, labels),
            uniformity: uniformity(features),
        })
    }
}

/// Median over the features of the standard deviation over the rows (ddof 0): the mean of the middle two for an even
/// number of features, 0 without rows.
pub fn median_std(features: &Features) -> f64 {
    if features.rows() == 0 {
        return 0.0;
    }
    let mut stds = logistic::wide(features).std_axis(Axis(0), 0.0).to_vec();
    stds.sort_by(f64::total_cmp);
    let middle = stds.len() / 2;
    if stds.len() % 2 == 1 { stds[middle] } else { 0.5 * (stds[middle - 1] + stds[middle]) }
}

/// RankMe (Garrido et al., arXiv:2210.02885): `exp` of the entropy of the singular values σ of the feature matrix, not
/// centred, normalised as pᵢ = σᵢ / (Σσ + 1e-12) + 1e-7. Between 1 (a line) and min(rows, features).
///
/// It is the formula by which training reports `rankme`. The singular values are roots of the eigenvalues of the smaller
/// Gram matrix in `f64`: exact to some 1e-8 of the largest, a tenth of the formula's own 1e-7.
pub fn effective_rank(features: &Features) -> f64 {
    let x = logistic::wide(features); // [n, D]
    let x = if x.nrows() < x.ncols() { x.reversed_axes().as_standard_layout().into_owned() } else { x };
    let gram = gram(x.view());
    let mut singular: Vec<f64> = eigenvalues(&gram).into_iter().map(|e| e.max(0.0).sqrt()).collect();
    singular.sort_by(|a, b| b.total_cmp(a));
    let sum: f64 = singular.iter().sum();
    let entropy = |s: &f64| {
        let p = s / (sum + 1e-12) + 1e-7;
        -p * p.ln()
    };
    singular.iter().map(entropy).sum::<f64>().exp()
}

/// Eigenvalues of a Gram matrix, in any order.
///
/// A feature that is zero in every row, as most bins of a colour histogram are, adds a zero. It is left out of the matrix
/// first: among rows of zeros the solver loses eigenvalues to NaN.
fn eigenvalues(gram: &Array2<f64>) -> Vec<f64> {
    let used: Vec<usize> = (0..gram.nrows()).filter(|&i| gram[[i, i]] > 0.0).collect();
    let mut values = vec![0.0; gram.nrows()];
    if !used.is_empty() {
        let matrix = DMatrix::from_fn(used.len(), used.len(), |i, j| gram[[used[i], used[j]]]);
        SymmetricEigen::new(matrix).eigenvalues.iter().zip(&mut values).for_each(|(found, value)| *value = *found);
    }
    values
}

/// xᵀ·x, in blocks of rows.
fn gram(x: ArrayView2<'_, f64>) -> Array2<f64> {
    let blocks: Vec<_> = x.axis_chunks_iter(Axis(0), BLOCK).collect();
    // A handful of sums at a time, added in order: memory stays flat and the threads change nothing.
    let mut sum = Array2::zeros((x.ncols(), x.ncols()));
    for some in blocks.chunks(8) {
        let parts: Vec<Array2<f64>> = some.par_iter().map(|block| block.t().dot(block)).collect();
        parts.iter().for_each(|part| sum += part);
    }
    sum
}

/// Alignment of classes: the mean of ‖x − y‖² over positive pairs, on the unit sphere; 0 if each class is a point, 2 if
/// its rows are at right angles.
///
/// The paper's positive pairs are two views of an image; frozen features of labelled cells have one view each, so here a
/// pair is **two different cells of the same class**: a cell drawn at random among those that have a fellow, then one of
/// its fellows. A class thus counts by its number of cells, not of pairs. For two views see [`alignment_of_views`].
///
/// `None` if no class has two rows.
///
/// # Panics
/// If a row has no label.
pub fn alignment(features: &Features, labels: &[u32]) -> Option<f64> {
    let unit = unit_rows(features);
    let classes = labels.iter().max().map_or(0, |&c| c as usize + 1);
    let mut rows = vec![0usize; classes];
    let mut sums = Array2::<f64>::zeros((classes, features.dim()));
    let mut squares = vec![0.0; classes];
    for (row, &class) in unit.rows().into_iter().zip(labels) {
        let class = class as usize;
        rows[class] += 1;
        squares[class] += row.dot(&row);
        sums.row_mut(class).scaled_add(1.0, &row);
    }
    let (mut total, mut cells) = (0.0, 0.0);
    for (class, sum) in sums.rows().into_iter().enumerate().filter(|&(class, _)| rows[class] > 1) {
        // Σ over ordered pairs of ‖x − y‖² = 2m·Σ‖x‖² − 2‖Σx‖²; a cell has m − 1 fellows.
        let m = rows[class] as f64;
        total += 2.0 * (m * squares[class] - sum.dot(&sum)).max(0.0) / (m - 1.0);
        cells += m;
    }
    (cells > 0.0).then(|| total / cells)
}

/// Alignment of views: the mean of ‖x − y‖² on the unit sphere, row i of one with row i of the other.
///
/// # Errors
/// [`ProbeError::Mismatch`] for views of other rows or features, [`ProbeError::Empty`] for none.
pub fn alignment_of_views(one: &Features, other: &Features) -> Result<f64, ProbeError> {
    if one.dim() != other.dim() {
        return Err(ProbeError::Mismatch { what: "features per row", expected: one.dim(), found: other.dim() });
    }
    if one.rows() != other.rows() {
        return Err(ProbeError::Mismatch { what: "rows of features", expected: one.rows(), found: other.rows() });
    }
    if one.rows() == 0 {
        return Err(ProbeError::Empty { what: "the set of features".to_owned() });
    }
    let apart = unit_rows(one) - unit_rows(other);
    Ok(apart.iter().map(|v| v * v).sum::<f64>() / one.rows() as f64)
}

/// Uniformity: ln of the mean of exp(−2‖x − y‖²) over all pairs of different rows, on the unit sphere. 0 if all rows are
/// the same, lower the more evenly they cover the sphere, about −4 at best.
///
/// Of more than [`UNIFORMITY_ROWS`] rows that many are drawn without replacement, the same for every set of that many
/// rows, so arms are compared on the same cells. `None` for fewer than two rows.
pub fn uniformity(features: &Features) -> Option<f64> {
    let n = features.rows();
    let drawn = if n > UNIFORMITY_ROWS {
        let mut rows = stream(0, "probe/uniformity", &[n as u64]).permutation(n);
        rows.truncate(UNIFORMITY_ROWS);
        rows.sort_unstable();
        unit_rows(&features.select(&rows))
    } else {
        unit_rows(features)
    };
    let n = drawn.nrows();
    if n < 2 {
        return None;
    }
    let squares: Array1<f64> = drawn.map_axis(Axis(1), |row| row.dot(&row));
    let starts: Vec<usize> = (0..n).step_by(BLOCK).collect();
    let sums: Vec<f64> = starts.into_par_iter().map(|first| potential_below(&drawn, &squares, first)).collect();
    let pairs = n as f64 * (n - 1) as f64 / 2.0;
    Some((sums.iter().sum::<f64>() / pairs).ln())
}

/// Sum of exp(−2‖x − y‖²) over the rows x of the block that begins at `first` and the rows y before x.
fn potential_below(unit: &Array2<f64>, squares: &Array1<f64>, first: usize) -> f64 {
    let last = (first + BLOCK).min(unit.nrows());
    let mut products = Array2::zeros((last - first, last));
    general_mat_mul(1.0, &unit.slice(s![first..last, ..]), &unit.slice(s![..last, ..]).t(), 0.0, &mut products);
    let mut sum = 0.0;
    for (i, row) in products.rows().into_iter().enumerate() {
        let x = first + i;
        for (y, product) in row.iter().enumerate().take(x) {
            sum += (-2.0 * (squares[x] + squares[y] - 2.0 * product).max(0.0)).exp();
        }
    }
    sum
}

/// Rows divided by their norm; a row of zeros stays as it is.
fn unit_rows(features: &Features) -> Array2<f64> {
    let mut rows = logistic::wide(features);
    for mut row in rows.rows_mut() {
        let norm = row.dot(&row).sqrt();
        if norm > 0.0 {
            row /= norm;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(rows: usize, dim: usize) -> Features {
        let mut draws = stream(9, "test", &[]);
        Features::new(dim, (0..rows * dim).map(|_| draws.normal() as f32).collect()).unwrap()
    }

    #[test]
    fn extremes_are_what_the_definitions_say() {
        let axes = Features::new(4, (0..16).map(|i| if i % 5 == 0 { 3.0 } else { 0.0 }).collect()).unwrap();
        assert!((effective_rank(&axes) - 4.0).abs() < 1e-4);
        assert!((alignment(&axes, &[1; 4]).unwrap() - 2.0).abs() < 1e-12);
        assert!((uniformity(&axes).unwrap() + 4.0).abs() < 1e-12);
        let point = Features::new(3, [1.0, 2.0, 3.0].repeat(50)).unwrap();
        let spread = Spread::of(&point, &[0; 50]).unwrap();
        assert!(spread.median_std == 0.0 && spread.effective_rank < 1.001);
        assert!(spread.alignment.unwrap() < 1e-12 && spread.uniformity.unwrap().abs() < 1e-12);
        assert_eq!(alignment(&axes, &[0, 1, 2, 3]), None);
        // Bins of a histogram that no image fills: dimensions that are not in use, and no NaN.
        let sparse = (0..600 * 512).map(|i| if i % 512 == (i / 512 % 60) * 7 { 0.01 } else { 0.0 }).collect();
        assert!((effective_rank(&Features::new(512, sparse).unwrap()) - 60.0).abs() < 0.1);
        assert!(effective_rank(&Features::new(3, vec![0.0; 9]).unwrap()).is_finite());
        let (even, odd) = (vec![0.0, 5.0, 2.0, 9.0], vec![0.0, 5.0, 1.0, 2.0, 9.0, 1.0]);
        assert_eq!(median_std(&Features::new(2, even).unwrap()), 1.5);
        assert_eq!(median_std(&Features::new(3, odd).unwrap()), 1.0);
    }

    #[test]
    fn sums_over_pairs_are_those_of_the_definition() {
        let (features, labels) = (normal(700, 5), (0..700).map(|i| (i * i % 7) as u32).collect::<Vec<_>>());
        let unit = unit_rows(&features);
        let apart = |i: usize, j: usize| (&unit.row(i) - &unit.row(j)).mapv(|v| v * v).sum();
        let (mut of_cells, mut cells, mut potential) = (0.0, 0.0, 0.0);
        for i in 0..700 {
            let fellows: Vec<usize> = (0..700).filter(|&j| j != i && labels[j] == labels[i]).collect();
            if !fellows.is_empty() {
                of_cells += fellows.iter().map(|&j| apart(i, j)).sum::<f64>() / fellows.len() as f64;
                cells += 1.0;
            }
            potential += (0..i).map(|j| f64::exp(-2.0 * apart(i, j))).sum::<f64>();
        }
        assert!((alignment(&features, &labels).unwrap() - of_cells / cells).abs() < 1e-10);
        let pairs = 700.0 * 699.0 / 2.0;
        assert!((uniformity(&features).unwrap() - (potential / pairs).ln()).abs() < 1e-10);
    }

    #[test]
    fn views_are_paired_row_by_row() {
        let (one, scaled) = (normal(30, 4), normal(30, 4).data().iter().map(|v| 3.0 * v).collect());
        assert!(alignment_of_views(&one, &Features::new(4, scaled).unwrap()).unwrap() < 1e-12);
        let opposite = Features::new(4, one.data().iter().map(|v| -v).collect()).unwrap();
        assert!((alignment_of_views(&one, &opposite).unwrap() - 4.0).abs() < 1e-12);
        assert!(alignment_of_views(&one, &normal(29, 4)).is_err());
    }

    #[test]
    fn the_number_of_threads_changes_no_bit_and_the_draw_is_fixed() {
        let features = normal(UNIFORMITY_ROWS + 500, 6);
        let labels: Vec<u32> = (0..features.rows() as u32).map(|i| i % 3).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Spread::of(&features, &labels).unwrap())
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn more_features_than_rows_have_the_rank_of_the_rows() {
        assert!(effective_rank(&normal(5, 40)) <= 5.001);
    }
}
