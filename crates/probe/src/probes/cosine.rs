//! The weighted vote of the nearest neighbours by cosine similarity, as DINOv2 evaluates its features.

use results::measures::settings::{COSINE_NEIGHBOURS as NEIGHBOURS, COSINE_TEMPERATURE as TEMPERATURE};

use super::{Fit, Fold, Predicted, Probe};
use crate::logistic::first_largest;
use crate::unit_sphere::{product, unit_rows};
use crate::{ProbeError, knn};

/// Rows are scaled to length one; each of the [`NEIGHBOURS`] nearest training rows votes with the weight exp(cosine / T), and the
/// votes, divided by their sum, are the probabilities (DINOv2, `eval/knn.py`). Ties go to the smallest class.
pub(super) fn predict(_: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let (train, test) = (unit_rows(fold.train), unit_rows(fold.test));
    let neighbours = knn::neighbours(&train, &test, NEIGHBOURS)?;
    let mut probabilities = Vec::with_capacity(test.rows() * fold.classes);
    let mut classes = Vec::with_capacity(test.rows());
    for i in 0..test.rows() {
        let mut votes = ndarray::Array1::<f64>::zeros(fold.classes);
        // Relative to the nearest, so that no weight is too large a number.
        let nearest = product(test.row(i), train.row(neighbours.of(i)[0] as usize));
        for &row in neighbours.of(i) {
            let weight = ((product(test.row(i), train.row(row as usize)) - nearest) / TEMPERATURE).exp();
            votes[fold.labels[row as usize] as usize] += weight;
        }
        votes /= votes.sum();
        classes.push(first_largest(votes.view()) as u32);
        probabilities.extend(votes.iter().map(|&p| p as f32));
    }
    Ok(Predicted { classes, probabilities: Some(probabilities), fit: Fit::default() })
}
