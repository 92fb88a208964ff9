//! A small network on standardised features, its training ended by held-out groups.

use super::{Fit, Fold, Predicted, Probe};
use crate::{ProbeError, mlp};

/// Predictions, and after how many steps training ended.
pub(super) fn predict(_: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let fitted = mlp::fit(fold.train, fold.labels, fold.groups)?;
    let (classes, probabilities) = fitted.predict_with_probabilities(fold.test, fold.classes)?;
    let note = format!("mlp: {} steps", fitted.steps());
    Ok(Predicted { classes, probabilities: Some(probabilities), fit: Fit { note, ..Fit::default() } })
}
