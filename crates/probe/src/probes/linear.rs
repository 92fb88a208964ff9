//! Multinomial logistic regression.

use super::{Fit, Fold, Predicted, Probe};
use crate::logistic::{Model, Options};
use crate::{ProbeError, logistic, optimum};

/// Predictions, and a note if the fit did not converge.
pub(super) fn predict(_: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let (model, options) = fit(fold)?;
    predicted(fold, &model, &options)
}

/// The same, with the distance of the fit to the optimum of its objective.
pub(super) fn predict_and_measure(_: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let (model, options) = fit(fold)?;
    let distance = optimum::distance(&model, options.c, (fold.train, fold.labels), fold.test)?;
    let predicted = predicted(fold, &model, &options)?;
    Ok(Predicted { fit: Fit { optimum: Some(distance), ..predicted.fit }, ..predicted })
}

fn fit(fold: &Fold<'_>) -> Result<(Model, Options), ProbeError> {
    let mut classes = fold.labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let options = Options::published(fold.train.dim(), classes.len());
    Ok((logistic::fit(fold.train, fold.labels, &options)?, options))
}

fn predicted(fold: &Fold<'_>, model: &Model, options: &Options) -> Result<Predicted, ProbeError> {
    let outcome = model.outcome();
    let note = if outcome.stop.converged() {
        String::new()
    } else {
        format!("linear probe did not converge in {} steps", outcome.steps)
    };
    let (classes, probabilities) = model.predict_with_probabilities(fold.test, fold.classes)?;
    let fit = Fit { note, c: Some(options.c), optimum: None };
    Ok(Predicted { classes, probabilities: Some(probabilities), fit })
}
