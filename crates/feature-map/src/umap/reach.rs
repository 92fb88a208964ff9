//! How far a row's neighbourhood reaches (umap-learn's `smooth_knn_dist`).

use crate::neighbours::Neighbour;

/// How near a sum of similarities must come to its target.
const TOLERANCE: f64 = 1e-8;
/// Steps of the search for the width.
const STEPS: usize = 128;
/// The smallest width, as a share of the mean distance.
const MIN_SHARE: f64 = 1e-3;

/// The range in which a row sees other rows as similar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reach {
    /// Distance up to which the similarity is 1: umap-learn's rho.
    nearest: f64,
    /// Distance beyond it at which the similarity is 1/e: umap-learn's sigma.
    width: f64,
}

impl Reach {
    /// The reach of a fitted row with its `neighbours` (without itself): similarities sum to log₂ of the size of the
    /// neighbourhood, and that of the nearest row that is not equal is 1.
    ///
    /// `mean` is the mean distance of all rows to their neighbours, the row itself included.
    pub(super) fn of_fitted(neighbours: &[Neighbour], mean: f64) -> Self {
        let distances = neighbours.iter().map(|n| n.distance);
        let nearest = distances.clone().find(|&d| d > 0.0).unwrap_or(0.0);
        let own_mean = distances.sum::<f64>() / (neighbours.len() + 1) as f64;
        let least = MIN_SHARE * if nearest > 0.0 { own_mean } else { mean };
        Self { nearest, width: width(neighbours, nearest, neighbours.len() + 1).max(least) }
    }

    /// The reach of a new row with its `neighbours` among the fitted ones. Like umap-learn's `transform`, it has no distance
    /// of certain similarity, and the nearest row does not count in the sum; the smallest width comes from the row's own mean
    /// distance instead of that of all rows transformed together.
    pub(super) fn of_new(neighbours: &[Neighbour]) -> Self {
        if let [only] = neighbours {
            return Self { nearest: only.distance, width: 0.0 };
        }
        let mean = neighbours.iter().map(|n| n.distance).sum::<f64>() / neighbours.len() as f64;
        Self { nearest: 0.0, width: width(&neighbours[1..], 0.0, neighbours.len()).max(MIN_SHARE * mean) }
    }

    /// The similarity, from 0 to 1, of a row at `distance`.
    pub(super) fn similarity(self, distance: f64) -> f64 {
        similarity(distance, self.nearest, self.width)
    }
}

fn similarity(distance: f64, nearest: f64, width: f64) -> f64 {
    if distance <= nearest || width == 0.0 {
        return 1.0;
    }
    libm::exp(-(distance - nearest) / width)
}

/// The width at which the similarities of `neighbours` sum to log₂ `size`, by bisection; 0 if they are more at any width.
fn width(neighbours: &[Neighbour], nearest: f64, size: usize) -> f64 {
    let target = libm::log2(size as f64);
    let farthest = neighbours.last().map_or(0.0, |n| n.distance);
    let (mut low, mut high, mut width) = (0.0, f64::INFINITY, farthest);
    for _ in 0..STEPS {
        let sum: f64 = neighbours.iter().map(|n| similarity(n.distance, nearest, width)).sum();
        if width == 0.0 || (sum - target).abs() < TOLERANCE {
            break;
        }
        if sum > target {
            high = width;
        } else {
            low = width;
        }
        width = if high.is_finite() { (low + high) / 2.0 } else { 2.0 * width };
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(distances: &[f64]) -> Vec<Neighbour> {
        distances.iter().map(|&distance| Neighbour { row: 0, distance }).collect()
    }

    fn sum(reach: Reach, neighbours: &[Neighbour]) -> f64 {
        neighbours.iter().map(|n| reach.similarity(n.distance)).sum()
    }

    #[test]
    fn similarities_sum_to_the_logarithm_at_any_scale() {
        for scale in [1e-30, 1.0, 1e30] {
            let near = neighbours(&[1.0, 1.5, 2.0, 4.0, 4.5, 5.0, 9.0].map(|d| d * scale));
            let reach = Reach::of_fitted(&near, scale);
            assert_eq!(reach.similarity(scale), 1.0);
            assert!((sum(reach, &near) - 3.0).abs() < 1e-7, "{}", sum(reach, &near));
            let new = Reach::of_new(&near);
            assert!((sum(new, &near[1..]) - 7f64.log2()).abs() < 1e-7, "{}", sum(new, &near[1..]));
        }
    }

    #[test]
    fn copies_are_wholly_similar() {
        let copies = neighbours(&[0.0; 14]);
        for reach in [Reach::of_fitted(&copies, 0.0), Reach::of_fitted(&copies, 2.0), Reach::of_new(&copies)] {
            assert_eq!(sum(reach, &copies), 14.0);
        }
        // With more copies than log₂ 15 the width is the smallest allowed, and other rows are not similar.
        let mut near = [0.0; 14];
        near[12..].copy_from_slice(&[1.0, 7.0]);
        let reach = Reach::of_fitted(&neighbours(&near), 1.0);
        assert_eq!(reach.similarity(1.0), 1.0);
        assert!(reach.similarity(7.0) < 1e-6);
    }
}
