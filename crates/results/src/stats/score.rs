//! Scores of summed counts: what a resample of groups needs of the predictions, and nothing more.
//!
//! Accuracy, balanced accuracy and both F1 averages depend on a confusion matrix only through three numbers for each
//! class. They add up over groups, so the score of any collection of groups follows from sums. Semantics are
//! scikit-learn's with `zero_division=0`, as in the result rows.

use serde::{Deserialize, Serialize};

/// One class in some set of cells: row sum, column sum and diagonal entry of the confusion matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassCounts {
    /// Cells that truly are of this class.
    pub support: u64,
    /// Cells predicted to be of this class.
    pub predicted: u64,
    /// Cells of this class predicted as such.
    pub correct: u64,
}

impl ClassCounts {
    /// Adds the counts of other cells.
    pub fn add(&mut self, other: Self) {
        self.support += other.support;
        self.predicted += other.predicted;
        self.correct += other.correct;
    }

    /// The counts without those of `part`, which must be contained in them.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        Self {
            support: self.support - part.support,
            predicted: self.predicted - part.predicted,
            correct: self.correct - part.correct,
        }
    }

    /// Share of the cells predicted to be of the class that are; 0 without such predictions.
    pub fn precision(self) -> f64 {
        share(self.correct, self.predicted)
    }

    /// Share of the cells of the class that are predicted as such; 0 without cells.
    pub fn recall(self) -> f64 {
        share(self.correct, self.support)
    }

    /// F1 of the class, 0 where precision and recall are undefined (scikit-learn's `zero_division=0`).
    pub fn f1(self) -> f64 {
        let both = self.support + self.predicted;
        if both == 0 { 0.0 } else { 2.0 * self.correct as f64 / both as f64 }
    }
}

/// A score of predictions; all are fractions in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of correct predictions.
    Accuracy,
    /// Mean recall over the classes that occur in the truth.
    BalancedAccuracy,
    /// F1 of each class, averaged with the number of its true cells as weight.
    WeightedF1,
    /// F1 of each class that occurs in the truth or the predictions, averaged with equal weight.
    MacroF1,
}

impl Metric {
    /// All metrics, in the order of the result rows.
    pub const ALL: [Self; 4] = [Self::Accuracy, Self::BalancedAccuracy, Self::WeightedF1, Self::MacroF1];

    /// The name in result rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::WeightedF1 => "weighted_f1",
            Self::MacroF1 => "macro_f1",
        }
    }

    /// The metric of a name in result rows; `None` for another word.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// The score of counts, one entry for each class; 0 without cells.
    pub fn of(self, classes: impl Iterator<Item = ClassCounts>) -> f64 {
        match self {
            Self::Accuracy => {
                let (correct, all) = sums(classes.map(|c| (c.correct as f64, c.support as f64)));
                correct / all.max(1.0)
            }
            Self::BalancedAccuracy => {
                let present = classes.filter(|c| c.support > 0);
                let (recalls, n) = sums(present.map(|c| (c.correct as f64 / c.support as f64, 1.0)));
                recalls / n.max(1.0)
            }
            Self::WeightedF1 => {
                let (weighted, all) = sums(classes.map(|c| (c.support as f64 * c.f1(), c.support as f64)));
                weighted / all.max(1.0)
            }
            Self::MacroF1 => {
                let present = classes.filter(|c| c.support + c.predicted > 0);
                let (f1s, n) = sums(present.map(|c| (c.f1(), 1.0)));
                f1s / n.max(1.0)
            }
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn sums(pairs: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    pairs.fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_confusion_matrix() {
        // Truth 0 0 1, predicted 0 2 1, class 3 nowhere.
        let counts = |support, predicted, correct| ClassCounts { support, predicted, correct };
        let classes = [counts(2, 1, 1), counts(1, 1, 1), counts(0, 1, 0), counts(0, 0, 0)];
        let of = |metric: Metric| metric.of(classes.into_iter());
        assert_eq!((classes[0].precision(), classes[0].recall()), (1.0, 0.5));
        assert_eq!((classes[2].precision(), classes[2].recall()), (0.0, 0.0));
        assert_eq!(of(Metric::Accuracy), 2.0 / 3.0);
        assert_eq!(of(Metric::BalancedAccuracy), 0.75);
        assert_eq!(of(Metric::WeightedF1), (2.0 * (2.0 / 3.0) + 1.0) / 3.0);
        assert_eq!(of(Metric::MacroF1), (2.0 / 3.0 + 1.0) / 3.0);
        assert_eq!(Metric::named("macro_f1"), Some(Metric::MacroF1));
        assert!(Metric::ALL.iter().all(|m| m.of(std::iter::empty()) == 0.0 && Metric::named(m.name()) == Some(*m)));
    }
}
