//! Scores of predictions, all computed from one confusion matrix, with scikit-learn's semantics.
//!
//! A confusion matrix counts how often each pair occurs, so the bootstrap resamples counts instead of predictions.

/// Counts of (true class, predicted class) over some samples; entries may be weighted by how often a group was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Counts `[true, predicted]` of samples, row-major.
    counts: Vec<u64>,
}

/// A score of predictions; all are fractions in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Share of correct predictions.
    Accuracy,
    /// Mean recall over the classes that occur in the truth.
    BalancedAccuracy,
    /// F1 of each class, averaged with the number of its true samples as weight.
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

    /// The score of a confusion matrix; 0 for one without samples.
    pub fn of(self, confusion: &Confusion) -> f64 {
        match self {
            Self::Accuracy => confusion.accuracy(),
            Self::BalancedAccuracy => confusion.balanced_accuracy(),
            Self::WeightedF1 => confusion.weighted_f1(),
            Self::MacroF1 => confusion.macro_f1(),
        }
    }
}

impl Confusion {
    /// A matrix without samples.
    pub fn empty(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts `truth` against `predicted`, pair by pair.
    ///
    /// # Panics
    /// If the lengths differ or a class is not below `classes`.
    pub fn new(classes: usize, truth: &[u32], predicted: &[u32]) -> Self {
        assert_eq!(truth.len(), predicted.len(), "one prediction for each sample");
        let mut confusion = Self::empty(classes);
        for (&t, &p) in truth.iter().zip(predicted) {
            confusion.add(t, p, 1);
        }
        confusion
    }

    /// Counts `times` samples of true class `truth` predicted as `predicted`.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn add(&mut self, truth: u32, predicted: u32, times: u64) {
        assert!((predicted as usize) < self.classes, "class {predicted} of {}", self.classes);
        self.counts[truth as usize * self.classes + predicted as usize] += times;
    }

    /// Number of samples that were counted.
    pub fn samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Samples of true class `truth` predicted as `predicted`.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes + predicted]
    }

    /// Samples that truly are of class `class`.
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class * self.classes..(class + 1) * self.classes].iter().sum()
    }

    /// Number of classes that the matrix tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Samples predicted as `class`.
    pub fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }

    /// Recall of class `class`; `None` if the truth has no sample of it.
    pub fn recall(&self, class: usize) -> Option<f64> {
        let support = self.support(class);
        (support > 0).then(|| self.count(class, class) as f64 / support as f64)
    }

    /// F1 of class `class`, 0 where precision and recall are undefined (scikit-learn's `zero_division=0`).
    pub fn f1(&self, class: usize) -> f64 {
        let both = self.support(class) + self.predicted(class);
        if both == 0 { 0.0 } else { 2.0 * self.count(class, class) as f64 / both as f64 }
    }

    fn accuracy(&self) -> f64 {
        let correct: u64 = (0..self.classes).map(|c| self.count(c, c)).sum();
        correct as f64 / self.samples().max(1) as f64
    }

    fn balanced_accuracy(&self) -> f64 {
        mean((0..self.classes).filter_map(|c| self.recall(c)))
    }

    fn weighted_f1(&self) -> f64 {
        let weighted: f64 = (0..self.classes).map(|c| self.support(c) as f64 * self.f1(c)).sum();
        weighted / self.samples().max(1) as f64
    }

    fn macro_f1(&self) -> f64 {
        let occurs = |&c: &usize| self.support(c) + self.predicted(c) > 0;
        mean((0..self.classes).filter(occurs).map(|c| self.f1(c)))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0u32);
    for value in values {
        sum += value;
        n += 1;
    }
    sum / f64::from(n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_absent_from_the_truth_counts_only_where_it_should() {
        // Truth 0 0 1, predicted 0 2 1, class 3 nowhere.
        let confusion = Confusion::new(4, &[0, 0, 1], &[0, 2, 1]);
        assert_eq!(Metric::Accuracy.of(&confusion), 2.0 / 3.0);
        assert_eq!(Metric::BalancedAccuracy.of(&confusion), 0.75);
        assert_eq!(Metric::MacroF1.of(&confusion), (2.0 / 3.0 + 1.0 + 0.0) / 3.0);
        assert_eq!(confusion.recall(2), None);
    }

    #[test]
    fn a_sample_drawn_twice_counts_twice() {
        let mut drawn = Confusion::new(2, &[1], &[1]);
        drawn.add(0, 1, 2);
        assert_eq!(drawn, Confusion::new(2, &[1, 0, 0], &[1, 1, 1]));
        assert_eq!(drawn.samples(), 3);
    }
}
