//! Logistic regression at its optimum on standardised features.

use super::{Fold, Predicted, Probe};
use crate::ProbeError;
use crate::standardised::{self, Strength};

/// Predictions, and a note if C lies at an end of its grid.
pub(super) fn predict(_: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let fit = standardised::fit(fold.train, fold.labels, fold.groups, Strength::Chosen)?;
    Ok(Predicted { classes: fit.model.predict(fold.test)?, note: fit.note() })
}
