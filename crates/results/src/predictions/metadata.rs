//! What all lines of a file of predictions have in common, kept as JSON in its key-value metadata.

use run_spec::ids::{Digest, Seed, Step};
use serde::{Deserialize, Serialize};

use crate::{ResultRow, ResultsError};

/// Version of the file's layout.
pub const VERSION: u32 = 1;

/// The metadata of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of the layout, [`VERSION`].
    pub version: u32,
    /// What was predicted, and by which probes.
    pub task: Task,
    /// The sets of features that were probed, in the order of the lines.
    pub features: Vec<FeaturesRecord>,
}

/// What was to be predicted of a labelled shard set: classes, folds and probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Data set evaluated on, as a reader knows it.
    pub dataset: String,
    /// Name of the split.
    pub split: String,
    /// Digest of the file of the split.
    pub split_digest: Digest,
    /// Digest of the shard set evaluated on.
    pub shards_eval: Digest,
    /// Names of the classes, sorted; probabilities stand in this order.
    pub classes: Vec<String>,
    /// Names of the folds, sorted.
    pub folds: Vec<String>,
    /// The probes, in the order of their columns.
    pub probes: Vec<ProbeColumn>,
    /// Code that scored.
    pub code_probe: String,
}

/// A probe that left a column of predictions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeColumn {
    /// Name of the probe and of the column.
    pub name: String,
    /// Whether it left probabilities too.
    pub probabilities: bool,
}

impl ProbeColumn {
    /// Name of the column of probabilities.
    pub fn probability_column(&self) -> String {
        format!("{}_probability", self.name)
    }
}

/// A set of features: where it comes from, and what was fitted to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeaturesRecord {
    /// The value of the column `features`: [`TEACHER`](crate::TEACHER) or the name of a baseline.
    pub features: String,
    /// Where they come from.
    pub origin: Origin,
    /// Their shape, where it was measured.
    #[serde(default)]
    pub spread: Option<Spread>,
    /// The fits of each probe, in the order of [`Task::probes`].
    pub fits: Vec<ProbeFits>,
    /// What further evaluations found. Numbers only: what they predicted for single cells is not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<Measure>,
}

/// One number of a further evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Name of the evaluation, [`Evaluation::name`](crate::measures::Evaluation::name).
    pub evaluation: String,
    /// What was fitted, searched or drawn to get it.
    pub probe: String,
    /// What the number is.
    pub metric: String,
    /// The class that it is of; `None` for all classes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The share of the training cells or of the answered cells that it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// The number of labelled training cells of each class that it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_per_class: Option<u64>,
    /// Which of several draws it is of, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u64>,
    /// The held-out fold or source, or [`ALL_FOLDS`](crate::row::ALL_FOLDS).
    pub fold: String,
    /// The number.
    pub value: f64,
    /// Number of cells that it was measured on.
    pub n: u64,
    /// Number of cells that were fitted to.
    pub n_train: u64,
    /// What is worth knowing about it, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Where features come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the run that made them.
    pub run: String,
    /// Digest of the trial.
    pub trial: Digest,
    /// Seed of the trial.
    pub seed: Seed,
    /// Arm of the sweep; empty where nothing was trained.
    pub arm: String,
    /// Training steps behind them.
    pub step: Step,
    /// Digest of the checkpoint; `None` for features without one.
    #[serde(default)]
    pub checkpoint: Option<Digest>,
    /// Digest of the resolved config.
    pub config: Digest,
    /// Digest of the shard set trained on; of no bytes where nothing was trained.
    pub shards_train: Digest,
    /// Digest of the initial weights, where they come from a file.
    #[serde(default)]
    pub init_weights: Option<Digest>,
    /// Version of the code that trained.
    pub code: String,
    /// What trained, in words.
    pub device: String,
    /// Hours of training on that device.
    pub hours: f64,
    /// Energy measured, in kilowatt hours.
    #[serde(default)]
    pub kwh: Option<f64>,
    /// Whether training saw images of the evaluation set, as far as that is known.
    #[serde(default)]
    pub transductive: Option<bool>,
    /// The output of the model that was probed; `None` for the CLS token and for features without tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The shape of a set of features, see `probe::spread`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median over the features of their standard deviation over the cells.
    pub median_std: f64,
    /// How many dimensions are in use.
    pub effective_rank: f64,
    /// Mean squared distance of two cells of one class on the unit sphere; `None` if no class has two cells.
    pub alignment: Option<f64>,
    /// Logarithm of the mean Gaussian potential of two cells on the unit sphere; `None` for a single cell.
    pub uniformity: Option<f64>,
}

/// The fits of one probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeFits {
    /// Name of the probe.
    pub probe: String,
    /// One fit per fold, in the order of [`Task::folds`].
    pub folds: Vec<Fit>,
}

/// The fit that predicted the cells of one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Name of the fold.
    pub fold: String,
    /// Number of cells that it was fitted to.
    pub n_train: u64,
    /// What is worth knowing about it, or empty.
    pub note: String,
    /// Inverse strength of the penalty, of probes that have one.
    #[serde(default)]
    pub c: Option<f64>,
    /// How far it is from the optimum of its objective, where that was measured.
    #[serde(default)]
    pub optimum: Option<OptimumDistance>,
}

/// A fit beside the optimum of its objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OptimumDistance {
    /// (objective of the fit − optimum) / optimum, of the training cells.
    pub objective: f64,
    /// Share of the tested cells whose prediction the optimum changes.
    pub predictions: f64,
}

impl Task {
    /// Checks that `record` has a fit of every probe and fold. `what` names the file in messages.
    pub(super) fn verify(&self, record: &FeaturesRecord, what: &str) -> Result<(), ResultsError> {
        let folds = |of: &ProbeFits| of.folds.iter().map(|fit| &fit.fold).eq(&self.folds);
        let probes = record.fits.iter().map(|of| &of.probe).eq(self.probes.iter().map(|probe| &probe.name));
        if probes && record.fits.iter().all(folds) {
            return Ok(());
        }
        let why = format!("the fits of {} are not those of its probes and folds", record.features);
        Err(ResultsError::Predictions { what: what.to_owned(), why })
    }

    /// Position of the probe `name`.
    pub fn probe(&self, name: &str) -> Option<usize> {
        self.probes.iter().position(|probe| probe.name == name)
    }
}

impl Metadata {
    /// Reads the metadata of the file `what`.
    pub(super) fn from_json(json: &str, what: &str) -> Result<Self, ResultsError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let wrong = |why: String| ResultsError::Predictions { what: what.to_owned(), why };
        let Versioned { version } = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
        if version != VERSION {
            return Err(wrong(format!("its layout is version {version}, and this program reads version {VERSION}")));
        }
        let metadata: Self = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
        metadata.features.iter().try_for_each(|record| metadata.task.verify(record, what))?;
        Ok(metadata)
    }

    /// What all rows of the features `name` say: where they come from and what was evaluated, without probe, fold, metric and value. `None` for
    /// features that the file does not hold.
    pub fn row(&self, name: &str) -> Option<ResultRow> {
        let record = &self.features[self.features(name)?];
        let fit = Fit { fold: String::new(), n_train: 0, note: String::new(), c: None, optimum: None };
        Some(super::rows::of_fit(&self.task, record, "", &fit, &[]))
    }

    /// Position of the features `name`.
    pub fn features(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|record| record.features == name)
    }
}
