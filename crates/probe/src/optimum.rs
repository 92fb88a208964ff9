//! How far a fit of the linear probe is from the optimum of its own objective.
//!
//! The published probe stops where its reference does, which is not where the objective ends. How far away that is
//! depends on the features, so two sets of features may be compared at unequal distances; these numbers say by how much.

use ndarray::{Array1, Array2};

use crate::newton::{self, Options};
use crate::{Features, ProbeError, logistic};

/// A fit beside the optimum of its objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// (objective of the fit − optimum) / optimum, of the training rows.
    pub objective: f64,
    /// Share of the tested rows whose prediction the optimum changes.
    pub predictions: f64,
}

/// Compares `model`, fitted to `train` and `labels` with this `c`, with the optimum, on predictions of `test`.
///
/// # Errors
/// As [`newton::fit`]; [`ProbeError::Mismatch`] for a model of other features or classes.
pub fn distance(
    model: &logistic::Model,
    c: f64,
    (train, labels): (&Features, &[u32]),
    test: &Features,
) -> Result<Distance, ProbeError> {
    let (classes, targets) = logistic::targets(train, labels)?;
    if model.classes() != classes {
        let (expected, found) = (classes.len(), model.classes().len());
        return Err(ProbeError::Mismatch { what: "classes of the model", expected, found });
    }
    let published = model.predict(test)?;
    let weights = Array2::from_shape_vec((classes.len(), train.dim()), model.weights().collect())
        .map_err(|_| ProbeError::Mismatch { what: "features per row", expected: train.dim(), found: test.dim() })?;
    let intercepts: Array1<f64> = model.intercepts().collect();

    let mut problem = newton::prepare(logistic::wide(train).view(), &targets, classes.len());
    let (start, _) = newton::coordinates(&problem, &weights, &intercepts);
    let optimum = newton::solve(&mut problem, &Options::converged(c), Some(&start))?;
    let (v, common) = newton::coordinates(&problem, &weights, &intercepts);
    let objective = problem.at(v).objective + common;
    let best = optimum.certificate.objective;

    let at_optimum = optimum.model(classes).predict(test)?;
    let changed = published.iter().zip(&at_optimum).filter(|(a, b)| a != b).count();
    Ok(Distance {
        objective: ((objective - best) / best).max(0.0),
        predictions: changed as f64 / published.len().max(1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_spec::seed::stream;

    #[test]
    fn a_fit_cut_short_is_further_away_than_a_tight_one() {
        let mut draws = stream(5, "test", &[]);
        let labels: Vec<u32> = (0..400).map(|i| i % 4).collect();
        let data = (0..400).flat_map(|i| (0..8).map(move |j| if i % 4 == j { 1.0 } else { 0.0 }));
        let features = Features::new(8, data.map(|v| (v + draws.normal()) as f32).collect()).unwrap();
        let at = |max_steps, tol| {
            let options = logistic::Options { c: 0.32, max_steps, tol };
            let model = logistic::fit(&features, &labels, &options).unwrap();
            distance(&model, 0.32, (&features, &labels), &features).unwrap()
        };
        let (short, published, tight) = (at(2, 1e-4), at(1000, 1e-4), at(5000, 1e-9));
        assert!(short.objective > 1e-2 && short.predictions > 0.01, "{short:?}");
        assert!(published.objective < 1e-4 && published.predictions < 0.02, "{published:?}");
        assert!(tight.objective < 2e-8 && tight.predictions == 0.0, "{tight:?}");
    }
}
