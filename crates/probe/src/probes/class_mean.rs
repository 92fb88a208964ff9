//! The nearest class mean: what is known when each class is one point.

use super::{Fit, Fold, Predicted, Probe};
use crate::ProbeError;

/// The class whose mean training row is nearest by Euclidean distance (scikit-learn's `NearestCentroid`); ties go to the smallest
/// class.
pub(super) fn predict(_: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let means = means(fold);
    let nearest = |row: &[f32]| {
        let distance = |mean: &[f64]| row.iter().zip(mean).map(|(&v, m)| (f64::from(v) - m).powi(2)).sum::<f64>();
        let distances = means.iter().map(|(class, mean)| (distance(mean), *class));
        distances.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map_or(0, |(_, class)| class)
    };
    let classes = fold.test.data().chunks_exact(fold.test.dim()).map(nearest).collect();
    Ok(Predicted { classes, probabilities: None, fit: Fit::default() })
}

/// The classes that the training rows hold, each with its mean.
fn means(fold: &Fold<'_>) -> Vec<(u32, Vec<f64>)> {
    let mut sums = vec![(0u64, vec![0.0; fold.train.dim()]); fold.classes];
    for (row, &label) in fold.train.data().chunks_exact(fold.train.dim()).zip(fold.labels) {
        let (count, sum) = &mut sums[label as usize];
        *count += 1;
        sum.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    let of_class = |(class, (count, mut sum)): (u32, (u64, Vec<f64>))| {
        sum.iter_mut().for_each(|sum| *sum /= count as f64);
        (count > 0).then_some((class, sum))
    };
    (0..).zip(sums).filter_map(of_class).collect()
}
