//! Scores of predictions, all computed from one confusion matrix, with scikit-learn's semantics.
//!
//! A confusion matrix counts how often each pair occurs, so the bootstrap resamples counts instead of predictions. The scores
//! themselves are those of [`results`], from three numbers for each class.

use results::stats::score::ClassCounts;
pub use results::stats::score::Metric;

/// Counts of (true class, predicted class) over some samples; entries may be weighted by how often a group was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Counts `[true, predicted]` of samples, row-major.
    counts: Vec<u64>,
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
        self.class_counts(class).f1()
    }

    /// The score of the matrix, in `[0, 1]`; 0 without samples.
    pub fn score(&self, metric: Metric) -> f64 {
        metric.of((0..self.classes).map(|class| self.class_counts(class)))
    }

    fn class_counts(&self, class: usize) -> ClassCounts {
        ClassCounts {
            support: self.support(class),
            predicted: self.predicted(class),
            correct: self.count(class, class),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_absent_from_the_truth_counts_only_where_it_should() {
        // Truth 0 0 1, predicted 0 2 1, class 3 nowhere.
        let confusion = Confusion::new(4, &[0, 0, 1], &[0, 2, 1]);
        assert_eq!(confusion.score(Metric::Accuracy), 2.0 / 3.0);
        assert_eq!(confusion.score(Metric::BalancedAccuracy), 0.75);
        assert_eq!(confusion.score(Metric::MacroF1), (2.0 / 3.0 + 1.0 + 0.0) / 3.0);
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
