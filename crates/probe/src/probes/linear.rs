//! Multinomial logistic regression.

use super::{Fold, Predicted, Probe};
use crate::{ProbeError, logistic};

/// Predictions, and a note if the fit did not converge.
pub(super) fn predict(_: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let mut classes = fold.labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let options = logistic::Options::published(fold.train.dim(), classes.len());
    let model = logistic::fit(fold.train, fold.labels, &options)?;
    let outcome = model.outcome();
    let note = if outcome.stop.converged() {
        String::new()
    } else {
        format!("linear probe did not converge in {} steps", outcome.steps)
    };
    Ok(Predicted { classes: model.predict(fold.test)?, note })
}
