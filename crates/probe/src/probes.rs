//! What is fitted to features: a name for result rows, and how classes are predicted. The next probe is a file in `probes/` and a
//! constant here.

mod class_mean;
mod cosine;
mod linear;
mod mlp;
mod nearest;
mod standardised;

use crate::knn::Neighbours;
use crate::optimum::Distance;
use crate::{Features, ProbeError};

/// A probe. Two are the same if their names are.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// The name in result rows, such as `linear` or `20nn`.
    pub name: &'static str,
    /// How many nearest training rows it looks at; 0 for a probe that does not.
    pub neighbours: usize,
    /// Whether it gives probabilities.
    pub probabilities: bool,
    /// Predicts the classes of the test rows of a fold.
    pub predict: fn(&Self, &Fold<'_>) -> Result<Predicted, ProbeError>,
}

impl Probe {
    /// Logistic regression with the published C.
    pub const LINEAR: Self = Self { name: "linear", neighbours: 0, probabilities: true, predict: linear::predict };
    /// The same, which also measures how far each fit is from the optimum of its objective.
    pub const LINEAR_WITH_OPTIMUM: Self = Self { predict: linear::predict_and_measure, ..Self::LINEAR };
    /// The class of the nearest neighbour.
    pub const ONE_NEAREST: Self = Self { name: "1nn", neighbours: 1, probabilities: false, predict: nearest::predict };
    /// The majority of the 20 nearest neighbours.
    pub const TWENTY_NEAREST: Self = Self { name: "20nn", neighbours: 20, ..Self::ONE_NEAREST };
    /// Logistic regression at its optimum on standardised features, C chosen on the training rows.
    pub const LINEAR_STANDARDISED: Self =
        Self { name: crate::standardised::NAME, neighbours: 0, probabilities: true, predict: standardised::predict };
    /// The weighted vote of the 20 nearest neighbours by cosine similarity, as DINOv2 evaluates.
    pub const KNN_COSINE: Self =
        Self { name: "knn_cosine", neighbours: 0, probabilities: true, predict: cosine::predict };
    /// The nearest class mean.
    pub const NEAREST_MEAN: Self =
        Self { name: "nearest_mean", neighbours: 0, probabilities: false, predict: class_mean::predict };
    /// A network with one hidden layer on standardised features.
    pub const MLP: Self = Self { name: "mlp", neighbours: 0, probabilities: true, predict: mlp::predict };
    /// The probes of the paper.
    pub const PUBLISHED: [Self; 3] = [Self::LINEAR, Self::ONE_NEAREST, Self::TWENTY_NEAREST];
    /// The probes of every evaluation.
    pub const ALL: [Self; 4] = [Self::LINEAR, Self::ONE_NEAREST, Self::TWENTY_NEAREST, Self::LINEAR_STANDARDISED];
}

impl PartialEq for Probe {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Probe {}

/// One fold, as a probe sees it.
#[derive(Debug, Clone, Copy)]
pub struct Fold<'a> {
    /// Features of the rows of all other folds.
    pub train: &'a Features,
    /// Classes `[n]` of the same rows, by number.
    pub labels: &'a [u32],
    /// Groups `[n]` of the same rows, by number; for choices within the training rows.
    pub groups: &'a [usize],
    /// Features of the rows of this fold.
    pub test: &'a Features,
    /// The number of classes of all folds together.
    pub classes: usize,
    /// The nearest training rows of each test row, at least as many as the probe looks at; none where it looks at none.
    pub neighbours: Option<&'a Neighbours>,
}

/// What a probe made of a fold.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// The class of each test row.
    pub classes: Vec<u32>,
    /// The probability of each class for each test row, `[rows, classes]` row-major; `None` for probes that give none.
    pub probabilities: Option<Vec<f32>>,
    /// How the fit came about.
    pub fit: Fit,
}

/// What is known of a fit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fit {
    /// What is worth knowing about it, or empty.
    pub note: String,
    /// Inverse strength of its penalty, if it has one.
    pub c: Option<f64>,
    /// How far it is from the optimum of its objective, where that was measured.
    pub optimum: Option<Distance>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluations;
    use results::measures::{Evaluation, ProbeName};

    #[test]
    fn sweep_files_name_the_probes_that_there_are() {
        let fitted: Vec<&str> = evaluations::probes(Evaluation::ALL).iter().map(|probe| probe.name).collect();
        assert_eq!(ProbeName::ALL.map(ProbeName::name), fitted[..]);
        // Those that no evaluation adds are in every trial.
        let always = ProbeName::ALL.into_iter().filter(|probe| probe.evaluation().is_none()).map(ProbeName::name);
        assert!(always.eq(Probe::ALL.map(|probe| probe.name)));
    }
}
