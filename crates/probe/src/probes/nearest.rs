//! The majority of the nearest neighbours.

use super::{Fit, Fold, Predicted, Probe};
use crate::ProbeError;

/// The vote of as many neighbours as the probe looks at.
pub(super) fn predict(probe: &Probe, fold: &Fold<'_>) -> Result<Predicted, ProbeError> {
    let none = || ProbeError::Empty { what: "the set of neighbours (k = 0)".to_owned() };
    let neighbours = fold.neighbours.filter(|_| probe.neighbours > 0).ok_or_else(none)?;
    let classes = neighbours.vote(fold.labels, probe.neighbours);
    Ok(Predicted { classes, probabilities: None, fit: Fit::default() })
}
