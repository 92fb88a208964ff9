//! Scores of each class, and their macro and weighted means: what a weighted figure hides of rare classes.
//!
//! scikit-learn's `precision_recall_fscore_support` with `zero_division=0`: a precision without predictions and a recall
//! without samples are 0. Checked against it in `tests/golden/newton.json`.

use crate::metrics::Confusion;

/// Scores of one class; all are fractions in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScore {
    /// Share of the predictions of this class that are right; 0 without predictions.
    pub precision: f64,
    /// Share of this class's samples that are found; 0 without samples.
    pub recall: f64,
    /// Harmonic mean of the two; 0 where both are 0.
    pub f1: f64,
    /// Samples that truly are of this class.
    pub support: u64,
}

/// Precision, recall and F1, averaged over classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Averages {
    /// Mean precision over the classes.
    pub precision: f64,
    /// Mean recall over the classes.
    pub recall: f64,
    /// Mean F1 over the classes.
    pub f1: f64,
}

impl Confusion {
    /// The scores of each class, in the order of their codes.
    pub fn class_scores(&self) -> Vec<ClassScore> {
        (0..self.classes()).map(|class| self.class_score(class)).collect()
    }

    /// Means with equal weight over the classes that occur in the truth or the predictions.
    ///
    /// The mean recall counts a class that is predicted but never true as 0, as scikit-learn does; balanced accuracy
    /// ([`Metric::BalancedAccuracy`](crate::metrics::Metric)) leaves such a class out.
    pub fn macro_average(&self) -> Averages {
        let occurs = |&class: &usize| self.support(class) + self.predicted(class) > 0;
        average((0..self.classes()).filter(occurs).map(|class| (self.class_score(class), 1.0)))
    }

    /// Means weighted by the number of true samples of each class.
    pub fn weighted_average(&self) -> Averages {
        average(self.class_scores().into_iter().map(|score| (score, score.support as f64)))
    }

    fn class_score(&self, class: usize) -> ClassScore {
        let right = self.count(class, class) as f64;
        let predicted = self.predicted(class);
        ClassScore {
            precision: if predicted == 0 { 0.0 } else { right / predicted as f64 },
            recall: self.recall(class).unwrap_or(0.0),
            f1: self.f1(class),
            support: self.support(class),
        }
    }
}

/// Weighted means; 0 without weight.
fn average(scores: impl Iterator<Item = (ClassScore, f64)>) -> Averages {
    let (mut sum, mut total) = (Averages { precision: 0.0, recall: 0.0, f1: 0.0 }, 0.0);
    for (score, weight) in scores {
        sum.precision += weight * score.precision;
        sum.recall += weight * score.recall;
        sum.f1 += weight * score.f1;
        total += weight;
    }
    let total = if total > 0.0 { total } else { 1.0 };
    Averages { precision: sum.precision / total, recall: sum.recall / total, f1: sum.f1 / total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_divided_is_zero() {
        // Truth 0 0 1, predicted 0 2 1, class 3 nowhere.
        let confusion = Confusion::new(4, &[0, 0, 1], &[0, 2, 1]);
        let scores = confusion.class_scores();
        assert_eq!((scores[0].precision, scores[0].recall, scores[0].support), (1.0, 0.5, 2));
        assert_eq!(scores[2], ClassScore { precision: 0.0, recall: 0.0, f1: 0.0, support: 0 });
        assert_eq!(scores[3], scores[2]);
        assert_eq!(confusion.macro_average().recall, 0.5);
        assert_eq!(confusion.weighted_average().recall, 2.0 / 3.0);
        assert_eq!(Confusion::empty(3).macro_average(), Averages { precision: 0.0, recall: 0.0, f1: 0.0 });
    }

    #[test]
    fn the_macro_and_weighted_f1_are_those_of_the_metrics() {
        use crate::metrics::Metric;
        let confusion = Confusion::new(4, &[0, 0, 1, 2, 2, 2, 1], &[0, 2, 1, 2, 0, 3, 1]);
        assert!((confusion.macro_average().f1 - confusion.score(Metric::MacroF1)).abs() < 1e-15);
        assert!((confusion.weighted_average().f1 - confusion.score(Metric::WeightedF1)).abs() < 1e-15);
        assert!((confusion.weighted_average().recall - confusion.score(Metric::Accuracy)).abs() < 1e-15);
    }
}
