//! What is fitted to features: a name for result rows, and how classes are predicted. The next probe is a file in `probes/` and a
//! constant here.

mod linear;
mod nearest;
mod standardised;

use crate::knn::Neighbours;
use crate::{Features, ProbeError};

/// A probe. Two are the same if their names are.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// The name in result rows: `linear`, `1nn`, `20nn`, `linear_standardised`.
    pub name: &'static str,
    /// How many nearest training rows it looks at; 0 for a probe that does not.
    pub neighbours: usize,
    /// Predicts the classes of the test rows of a fold.
    pub predict: fn(&Self, &Fold<'_>) -> Result<Predicted, ProbeError>,
}

impl Probe {
    /// Logistic regression with the published C.
    pub const LINEAR: Self = Self { name: "linear", neighbours: 0, predict: linear::predict };
    /// The class of the nearest neighbour.
    pub const ONE_NEAREST: Self = Self { name: "1nn", neighbours: 1, predict: nearest::predict };
    /// The majority of the 20 nearest neighbours.
    pub const TWENTY_NEAREST: Self = Self { name: "20nn", neighbours: 20, predict: nearest::predict };
    /// Logistic regression at its optimum on standardised features, C chosen on the training rows.
    pub const LINEAR_STANDARDISED: Self =
        Self { name: crate::standardised::NAME, neighbours: 0, predict: standardised::predict };
    /// The probes of the paper.
    pub const PUBLISHED: [Self; 3] = [Self::LINEAR, Self::ONE_NEAREST, Self::TWENTY_NEAREST];
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
    /// The nearest training rows of each test row, at least as many as the probe looks at; none where it looks at none.
    pub neighbours: Option<&'a Neighbours>,
}

/// What a probe made of a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicted {
    /// The class of each test row.
    pub classes: Vec<u32>,
    /// What is worth knowing about the fit, or empty.
    pub note: String,
}
