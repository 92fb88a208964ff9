//! Logistic regression at its optimum on standardised features.

use super::{Fit, Fold, Predicted, Probe};
use crate::ProbeError;
use crate::standardised::{self, Strength};

/// Predictions, and a note if C lies at an end of its grid.
pub(super) fn predict(_: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let fit = standardised::fit(fold.train, fold.labels, fold.groups, Strength::Chosen)?;
    let (classes, probabilities) = fit.model.predict_with_probabilities(fold.test, fold.classes)?;
    let fit = Fit { note: fit.note(), c: Some(fit.c), optimum: None };
    Ok(Predicted { classes, probabilities: Some(probabilities), fit })
}
