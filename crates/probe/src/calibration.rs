//! Whether probabilities are true, and what a model may leave unanswered.
//!
//! Each cell has a probability for every class; its **confidence** is the largest, and its answer the class of that, the first of equals.
//! Checked against scikit-learn's `calibration_curve` and `brier_score_loss` and against loops in NumPy
//! (`tests/golden/make_evaluations.py`).

use crate::ProbeError;

/// Bins of equal width that confidences are sorted into for the expected calibration error.
const BINS: usize = results::measures::settings::CALIBRATION_BINS;

/// Answers, and how sure they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// Confidence of each cell, and whether its answer is right.
    of_cell: Vec<(f64, bool)>,
    /// Mean over cells of the summed squared differences between probabilities and truth, in `[0, 2]`.
    brier: f64,
}

impl Answers {
    /// From `probabilities` `[cells, classes]`, row-major, and the true class of each cell.
    ///
    /// # Errors
    /// [`ProbeError::Empty`] without cells, [`ProbeError::Mismatch`] unless there is one row of probabilities for each cell.
    pub fn new(probabilities: &[f32], classes: usize, truth: &[u32]) -> Result<Self, ProbeError> {
        if truth.is_empty() {
            return Err(ProbeError::Empty { what: "the list of probabilities".to_owned() });
        }
        if probabilities.len() != classes * truth.len() {
            let (expected, found) = (classes * truth.len(), probabilities.len());
            return Err(ProbeError::Mismatch { what: "probabilities", expected, found });
        }
        let mut brier = 0.0;
        let mut answer = |(row, &truth): (&[f32], &u32)| {
            let sure = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let class = row.iter().position(|&p| p == sure).unwrap_or(0);
            let target = |class: usize| if class == truth as usize { 1.0 } else { 0.0 };
            brier += row.iter().enumerate().map(|(class, &p)| (f64::from(p) - target(class)).powi(2)).sum::<f64>();
            (f64::from(sure), class == truth as usize)
        };
        let of_cell = probabilities.chunks_exact(classes).zip(truth).map(&mut answer).collect();
        Ok(Self { of_cell, brier: brier / truth.len() as f64 })
    }

    /// The Brier score: mean over cells of the squared differences between probabilities and truth, summed over classes; `[0, 2]`.
    pub fn brier(&self) -> f64 {
        self.brier
    }

    /// The expected calibration error: over 15 bins `(l, u]` of confidence, the mean distance between the share of right answers
    /// and the mean confidence, weighted by cells (Guo et al. 2017).
    pub fn calibration_error(&self) -> f64 {
        let mut bins = vec![(0.0, 0.0); BINS];
        for &(sure, right) in &self.of_cell {
            let bin = (1..BINS).find(|&upper| sure <= upper as f64 / BINS as f64).unwrap_or(BINS) - 1;
            bins[bin].0 += sure;
            bins[bin].1 += f64::from(u8::from(right));
        }
        bins.iter().map(|(sure, right)| (sure - right).abs()).sum::<f64>() / self.of_cell.len() as f64
    }

    /// The share of wrong answers among the 1, 2, … n surest cells; of equal confidences the earlier cell counts as surer.
    pub fn risks(&self) -> Vec<f64> {
        let mut order: Vec<usize> = (0..self.of_cell.len()).collect();
        order.sort_by(|&a, &b| self.of_cell[b].0.total_cmp(&self.of_cell[a].0).then(a.cmp(&b)));
        let mut wrong = 0.0;
        (1..)
            .zip(order)
            .map(|(taken, cell)| {
                wrong += f64::from(u8::from(!self.of_cell[cell].1));
                wrong / f64::from(taken)
            })
            .collect()
    }
}

/// The risk where `coverage` (a share in `(0, 1]`) of the cells are answered, the surest first: `ceil(coverage · n)` cells.
///
/// # Panics
/// Without risks.
pub fn risk_at(risks: &[f64], coverage: f64) -> f64 {
    // 0.9 · 10 is a little above 9 in floating point.
    let cells = (coverage * risks.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    risks[cells.min(risks.len()) - 1]
}

/// The area under the risk–coverage curve: the mean of all risks (Geifman & El-Yaniv 2017).
pub fn area(risks: &[f64]) -> f64 {
    risks.iter().sum::<f64>() / risks.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_as_often_right_as_they_say_are_calibrated() {
        // Ten cells answered with .8, of which eight are right.
        let truth: Vec<u32> = (0..10).map(|i| u32::from(i >= 8)).collect();
        let answers = Answers::new(&[0.8, 0.2].repeat(10), 2, &truth).unwrap();
        assert!(answers.calibration_error() < 1e-7);
        assert!((answers.brier() - (8.0 * 0.08 + 2.0 * 1.28) / 10.0).abs() < 1e-6);
        let sure = Answers::new(&[1.0, 0.0].repeat(10), 2, &truth).unwrap();
        assert!((sure.calibration_error() - 0.2).abs() < 1e-12);
    }

    #[test]
    fn risk_falls_where_the_unsure_answers_are_the_wrong_ones() {
        let probabilities = [0.9, 0.1, 0.6, 0.4, 0.8, 0.2, 0.55, 0.45];
        let risks = Answers::new(&probabilities, 2, &[0, 1, 0, 1]).unwrap().risks();
        assert_eq!(risks, [0.0, 0.0, 1.0 / 3.0, 0.5]);
        assert_eq!((risk_at(&risks, 0.5), risk_at(&risks, 0.51), risk_at(&risks, 1.0)), (0.0, 1.0 / 3.0, 0.5));
        assert!((area(&risks) - 5.0 / 24.0).abs() < 1e-12);
        assert_eq!(risk_at(&[0.0; 10], 0.9), 0.0);
    }

    #[test]
    fn equal_confidences_stand_in_the_order_of_the_cells() {
        let risks = Answers::new(&[0.7, 0.3, 0.7, 0.3], 2, &[1, 0]).unwrap().risks();
        assert_eq!(risks, [1.0, 0.5]);
    }
}
