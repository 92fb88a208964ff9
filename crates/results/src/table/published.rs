//! Scores that a paper prints, beside ours: quoted and not measured here, and marked so wherever they stand.

use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::{Line, TableOptions};
use crate::ResultsError;

/// What the features of a published line are called before the name of its model.
const PUBLISHED: &str = "published: ";

/// One score of a paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Data set that it is about, as this project calls it.
    pub dataset: String,
    /// The paper's name of the model.
    pub model: String,
    /// Name of the probe, as in the rows.
    pub probe: String,
    /// Name of the metric, as in the rows.
    pub metric: String,
    /// The score, a fraction.
    pub mean: f64,
    /// Its standard deviation over held-out sources or folds, a fraction; `None` where the paper prints none.
    pub std: Option<f64>,
}

/// A row of a file of published scores, in percent as papers print them.
#[derive(Debug, Deserialize)]
struct Row {
    model: String,
    probe: String,
    metric: String,
    mean: f64,
    std: Option<f64>,
}

impl Published {
    /// Reads scores on `dataset` from CSV with the columns `model`, `probe`, `metric`, `mean` and `std`, the last two in percent; lines that
    /// begin with `#` are comments. `what` names the file in messages.
    ///
    /// # Errors
    /// A row that cannot be read, or a score outside 0 to 100.
    pub fn from_csv(text: &str, what: &str, dataset: &str) -> Result<Vec<Self>, ResultsError> {
        let mut reader =
            csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(text.as_bytes());
        let mut out = Vec::new();
        for row in reader.deserialize::<Row>() {
            let refused = |why: String| ResultsError::Published { what: what.to_owned(), why };
            let Row { model, probe, metric, mean, std } = row.map_err(|error| refused(error.to_string()))?;
            if !(0.0..=100.0).contains(&mean) {
                return Err(refused(format!("{model}, {probe}: a score of 0 to 100 percent is expected, not {mean}")));
            }
            let (dataset, std) = (dataset.to_owned(), std.map(|std| std / 100.0));
            out.push(Self { dataset, model, probe, metric, mean: mean / 100.0, std });
        }
        Ok(out)
    }

    fn line(&self, split: &str, options: &TableOptions) -> Line {
        let primary = options.primary_of(&self.dataset);
        Line {
            dataset: self.dataset.clone(),
            split: split.to_owned(),
            metric: self.metric.clone(),
            probe: self.probe.clone(),
            arm: String::new(),
            features: format!("{PUBLISHED}{}", self.model),
            is_primary: (self.probe.as_str(), self.metric.as_str()) == (primary.probe.name(), primary.metric.name()),
            n: 0,
            seeds: 0,
            mean: self.mean,
            over_seeds: None,
            over_folds: self.std,
            difference: None,
            hours: 0.0,
            kwh: None,
            notes: vec!["quoted from a paper, not measured here; \u{b1} over its held-out parts".to_owned()],
            by_seed: Vec::new(),
        }
    }
}

/// The published lines of a comparison, in the order of their file.
pub(super) fn lines((dataset, split, metric, probe): Comparison<'_>, options: &TableOptions) -> Vec<Line> {
    let wanted = |of: &&Published| (&*of.dataset, &*of.metric, &*of.probe) == (dataset, metric, probe);
    options.published.iter().filter(wanted).map(|of| of.line(split, options)).collect()
}

/// Whether `features` are those of a published line.
pub(super) fn is_published(features: &str) -> bool {
    features.starts_with(PUBLISHED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_of_a_paper_become_fractions_and_mistakes_are_named() {
        let read = |rows: &str| {
            Published::from_csv(&format!("# a paper\nmodel,probe,metric,mean,std\n{rows}"), "p.csv", "cells")
        };
        let found = read("DINOv2 large,linear,weighted_f1,86.0,5.6\nother,1nn,accuracy,50,\n").unwrap();
        assert_eq!((found[0].mean, found[1].std), (0.86, None));
        assert!((found[0].std.unwrap() - 0.056).abs() < 1e-12);
        assert_eq!((found[0].dataset.as_str(), found[0].model.as_str()), ("cells", "DINOv2 large"));
        for (rows, why) in [("a,linear,accuracy,860,1\n", "0 to 100 percent"), ("a,linear,accuracy,x,1\n", "invalid")] {
            let error = read(rows).unwrap_err().to_string();
            assert!(error.starts_with("p.csv") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_committed_numbers_can_be_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/published/elsafty.csv");
        let found = Published::from_csv(&std::fs::read_to_string(path).unwrap(), path, "elsafty").unwrap();
        assert_eq!(found.len(), 15);
        assert!(found.iter().all(|of| of.std.is_some() && of.metric == "weighted_f1"));
    }
}
