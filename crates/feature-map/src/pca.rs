//! Principal component analysis: the directions in which features vary most, with the signs of scikit-learn's `PCA`.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, s};
use rayon::prelude::*;

use crate::{MapError, Points};

/// Rows added to the covariance at once.
const ROW_BLOCK: usize = 1024;
/// Rows of the covariance that one thread makes.
const TILE: usize = 64;

/// Fitted principal components.
///
/// Components are centred on the mean of the fitted rows and not whitened. The sign of a component is such that its entry of
/// largest absolute value, the first if there are several, is positive (scikit-learn's `svd_flip` by V), so that the same
/// features always give the same map, and never its mirror image.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    dim: usize,
    mean: Vec<f64>,
    /// `[components, dim]`, row-major.
    components: Vec<f64>,
    explained_variance: Vec<f64>,
    total_variance: f64,
}

impl Pca {
    /// Fits `components` directions to the rows of `points` `[n, d]`.
    ///
    /// # Errors
    /// [`MapError::TooFewRows`] without rows, [`MapError::Setting`] unless `components` is from 1 to d. (More components than
    /// rows have variance 0.)
    pub fn fit(points: Points<'_>, components: usize) -> Result<Self, MapError> {
        points.expect_rows("PCA", 1)?;
        let dim = points.dim();
        if components == 0 || components > dim {
            let range = "1 to the number of features";
            return Err(MapError::Setting { what: "the number of components", value: components as f64, range });
        }
        let mean = mean(points);
        let covariance = covariance(points, &mean);
        let total_variance = (0..dim).map(|j| covariance[(j, j)]).sum();
        let mut axes = axes(&covariance);
        axes.sort_by(|a, b| b.variance.total_cmp(&a.variance));
        axes.truncate(components);
        Ok(Self {
            dim,
            mean,
            explained_variance: axes.iter().map(|axis| axis.variance.max(0.0)).collect(),
            components: axes.into_iter().flat_map(|axis| signed(axis.direction)).collect(),
            total_variance,
        })
    }

    /// Coordinates `[rows, components]` of the rows of `points`, row-major; each depends on its own row alone.
    ///
    /// # Errors
    /// [`MapError::Mismatch`] for rows of another width.
    pub fn transform(&self, points: Points<'_>) -> Result<Vec<f64>, MapError> {
        points.expect_dim(self.dim)?;
        Ok((0..points.rows()).into_par_iter().flat_map_iter(|i| self.place(points.row(i))).collect())
    }

    /// Coordinates `[components]` of one row.
    fn place<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let along = move |component: &[f64]| {
            row.iter().zip(&self.mean).zip(component).map(|((&x, mean), c)| (f64::from(x) - mean) * c).sum()
        };
        self.components.chunks_exact(self.dim).map(along)
    }

    /// The mean `[d]` of the fitted rows.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Unit vectors `[components, d]`, row-major, of falling variance.
    pub fn components(&self) -> &[f64] {
        &self.components
    }

    /// Variance along each component, with n − 1 in the denominator (0 for a single row).
    pub fn explained_variance(&self) -> &[f64] {
        &self.explained_variance
    }

    /// Share of the variance that each component explains, from 0 to 1; 0 where features do not vary at all.
    pub fn explained_variance_ratio(&self) -> Vec<f64> {
        let share = |v: &f64| if self.total_variance > 0.0 { v / self.total_variance } else { 0.0 };
        self.explained_variance.iter().map(share).collect()
    }
}

fn mean(points: Points<'_>) -> Vec<f64> {
    let mut sum = vec![0.0; points.dim()];
    for i in 0..points.rows() {
        sum.iter_mut().zip(points.row(i)).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    sum.iter().map(|sum| sum / points.rows() as f64).collect()
}

/// The covariance `[d, d]`. Threads share its rows, never a sum, so their number changes nothing.
fn covariance(points: Points<'_>, mean: &[f64]) -> DMatrix<f64> {
    let dim = points.dim();
    let mut tiles: Vec<(usize, Array2<f64>)> =
        (0..dim).step_by(TILE).map(|first| (first, Array2::zeros((TILE.min(dim - first), dim)))).collect();
    for first in (0..points.rows()).step_by(ROW_BLOCK) {
        let mut x = points.wide(first..(first + ROW_BLOCK).min(points.rows()));
        for mut row in x.rows_mut() {
            row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
        }
        tiles.par_iter_mut().for_each(|(first, tile)| {
            let columns = x.slice(s![.., *first..*first + tile.nrows()]);
            general_mat_mul(1.0, &columns.t(), &x, 1.0, tile);
        });
    }
    let scale = 1.0 / (points.rows().max(2) - 1) as f64;
    DMatrix::from_fn(dim, dim, |i, j| {
        let (i, j) = (i.min(j), i.max(j));
        tiles[i / TILE].1[(i % TILE, j)] * scale
    })
}

/// An eigenvector of a covariance.
struct Axis {
    /// Its eigenvalue.
    variance: f64,
    /// `[d]`, of length 1.
    direction: Vec<f64>,
}

/// All axes of a covariance `[d, d]`, in no order.
///
/// A feature that does not vary is an axis of its own. It is left out of what is decomposed: among rows of zeros the
/// solver loses eigenvalues to NaN.
fn axes(covariance: &DMatrix<f64>) -> Vec<Axis> {
    let dim = covariance.nrows();
    let (varying, constant): (Vec<usize>, Vec<usize>) = (0..dim).partition(|&i| covariance[(i, i)] > 0.0);
    let unit = |i: usize| (0..dim).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
    let mut axes: Vec<Axis> = constant.into_iter().map(|i| Axis { variance: 0.0, direction: unit(i) }).collect();
    if varying.is_empty() {
        return axes;
    }
    let matrix = DMatrix::from_fn(varying.len(), varying.len(), |i, j| covariance[(varying[i], varying[j])]);
    let eigen = SymmetricEigen::new(matrix);
    for (&variance, column) in eigen.eigenvalues.iter().zip(eigen.eigenvectors.column_iter()) {
        let mut direction = vec![0.0; dim];
        varying.iter().zip(column.iter()).for_each(|(&i, &v)| direction[i] = v);
        axes.push(Axis { variance, direction });
    }
    axes
}

/// The direction or its opposite, whichever has a positive entry of largest absolute value.
fn signed(mut direction: Vec<f64>) -> Vec<f64> {
    let largest =
        direction.iter().copied().fold(0.0f64, |largest, v| if v.abs() > largest.abs() { v } else { largest });
    if largest < 0.0 {
        direction.iter_mut().for_each(|v| *v = -*v);
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    #[test]
    fn the_longest_direction_comes_first_and_points_up() {
        // (1, −2)/√5 with standard deviation 3, (2, 1)/√5 with 1.
        let mut draws = stream(1, "test", &[]);
        let row = |_: usize| {
            let (u, v) = (3.0 * draws.normal(), draws.normal());
            [(5.0 + (u + 2.0 * v) / 5f64.sqrt()) as f32, ((-2.0 * u + v) / 5f64.sqrt()) as f32]
        };
        let data: Vec<f32> = (0..20_000).flat_map(row).collect();
        let pca = Pca::fit(Points::new(2, &data).unwrap(), 2).unwrap();
        let expected = [-1.0 / 5f64.sqrt(), 2.0 / 5f64.sqrt(), 2.0 / 5f64.sqrt(), 1.0 / 5f64.sqrt()];
        assert!(pca.components().iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.02), "{:?}", pca.components());
        assert!((pca.explained_variance()[0] / 9.0 - 1.0).abs() < 0.05, "{:?}", pca.explained_variance());
        assert!((pca.explained_variance_ratio().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let places = pca.transform(Points::new(2, &data).unwrap()).unwrap();
        assert!(places.iter().sum::<f64>().abs() / 40_000.0 < 1e-9, "centred");
    }

    #[test]
    fn features_that_do_not_vary_have_no_variance() {
        for rows in [1, 2, 50] {
            let data = [3.0, -1.0, 0.5].repeat(rows);
            let points = Points::new(3, &data).unwrap();
            let pca = Pca::fit(points, 2).unwrap();
            assert_eq!(pca.explained_variance(), [0.0, 0.0]);
            assert_eq!(pca.explained_variance_ratio(), [0.0, 0.0]);
            assert!(pca.transform(points).unwrap().iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn bins_that_no_image_fills_cost_no_component() {
        let data: Vec<f32> = (0..600 * 512).map(|i| if i % 512 == (i / 512 % 60) * 7 { 0.01 } else { 0.0 }).collect();
        let pca = Pca::fit(Points::new(512, &data).unwrap(), 64).unwrap();
        // 60 bins that are filled in turn span 59 directions of equal variance around their mean.
        let variance = 1e-4 * 10.0 / 599.0;
        assert!(pca.explained_variance()[..59].iter().all(|v| (v / variance - 1.0).abs() < 1e-6));
        assert!(pca.explained_variance()[59..].iter().all(|&v| v < 1e-9 * variance));
        assert!(pca.components().iter().all(|v| v.is_finite()));
    }

    #[test]
    fn impossible_fits_are_refused() {
        let data = [1.0, 2.0, 3.0, 4.0];
        let points = Points::new(2, &data).unwrap();
        assert!(matches!(Pca::fit(points, 3), Err(MapError::Setting { .. })));
        assert!(matches!(Pca::fit(points, 0), Err(MapError::Setting { .. })));
        assert!(matches!(Pca::fit(Points::new(2, &[]).unwrap(), 1), Err(MapError::TooFewRows { .. })));
        let pca = Pca::fit(points, 2).unwrap();
        assert!(matches!(pca.transform(Points::new(4, &data).unwrap()), Err(MapError::Mismatch { .. })));
    }
}
