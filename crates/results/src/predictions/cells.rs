//! Reading single cells: what one probe said of each, with its probability.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;

use super::Predictions;
use super::columns::{FEATURES, FOLD, GROUP, SOURCE, TRUTH};
use super::read::{Names, positions};
use crate::ResultsError;

/// What a probe said of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeenCell<'a> {
    /// Source of the cell.
    pub source: &'a str,
    /// Its image, slide or patient.
    pub group: &'a str,
    /// The fold that tests it.
    pub fold: &'a str,
    /// Its class, as a position in the metadata.
    pub truth: usize,
    /// The predicted class.
    pub predicted: usize,
    /// Probability of the predicted class, of probes that leave probabilities.
    pub probability: Option<f32>,
}

impl Predictions {
    /// Shows `each` what `probe` said of the cells from `features`, in the order of the shard set.
    ///
    /// # Errors
    /// As [`Self::add_counts`].
    pub fn cells(
        &self,
        (features, probe): (&str, &str),
        mut each: impl FnMut(SeenCell<'_>),
    ) -> Result<(), ResultsError> {
        let (wanted, probe) = self.find(features, probe)?;
        let task = &self.metadata().task;
        let probe = &task.probes[probe];
        let probability = probe.probabilities.then(|| probe.probability_column());
        let all_features = positions(self.metadata().features.iter().map(|record| record.features.as_str()));
        let (folds, classes) =
            (positions(task.folds.iter().map(String::as_str)), positions(task.classes.iter().map(String::as_str)));
        let columns = [FEATURES, SOURCE, GROUP, FOLD, TRUTH, &probe.name].into_iter().chain(probability.as_deref());
        let mut names = Names::default();
        for batch in self.batches(columns)? {
            let batch = batch?;
            let of_features = self.numbers(&batch, FEATURES, |value| all_features.get(value).copied())?;
            let of_fold = self.numbers(&batch, FOLD, |value| folds.get(value).copied())?;
            let of_truth = self.numbers(&batch, TRUTH, |value| classes.get(value).copied())?;
            let of_probe = self.numbers(&batch, &probe.name, |value| classes.get(value).copied())?;
            let of_source = self.numbers(&batch, SOURCE, |value| Some(names.number(value)))?;
            let of_group = self.numbers(&batch, GROUP, |value| Some(names.number(value)))?;
            let probabilities = match &probability {
                Some(name) => Some(self.probabilities(&batch, name)?),
                None => None,
            };
            for i in (0..batch.num_rows()).filter(|&i| of_features.at(i) as usize == wanted) {
                let predicted = of_probe.at(i) as usize;
                each(SeenCell {
                    source: names.name(of_source.at(i)),
                    group: names.name(of_group.at(i)),
                    fold: &task.folds[of_fold.at(i) as usize],
                    truth: of_truth.at(i) as usize,
                    predicted,
                    probability: probabilities.and_then(|of| of.get(i * task.classes.len() + predicted).copied()),
                });
            }
        }
        Ok(())
    }

    /// The probabilities of a block, `[cell][class]` row-major.
    fn probabilities<'a>(&self, batch: &'a RecordBatch, name: &str) -> Result<&'a [f32], ResultsError> {
        let list = batch.column_by_name(name).and_then(|array| array.as_fixed_size_list_opt());
        let values = list.and_then(|list| list.values().as_primitive_opt::<Float32Type>());
        values.map(|values| &values.values()[..]).ok_or_else(|| self.wrong_column(name))
    }
}
