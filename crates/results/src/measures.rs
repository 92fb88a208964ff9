//! What can be asked for by name before anything is measured: probes, the primary comparison of an evaluation set, further
//! evaluations.
//!
//! The names are those of result rows and of sweep files. A further evaluation is one more line in the list of [`Evaluation`] and a
//! file in `crates/probe/src/evaluations/`.

pub mod settings;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stats::score::Metric;

/// A probe of result rows, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProbeName {
    /// Logistic regression with the published C.
    #[serde(rename = "linear")]
    Linear,
    /// The nearest neighbour.
    #[serde(rename = "1nn")]
    OneNearest,
    /// The majority of the 20 nearest neighbours.
    #[serde(rename = "20nn")]
    TwentyNearest,
    /// Logistic regression at its optimum on standardised features.
    #[serde(rename = "linear_standardised")]
    LinearStandardised,
    /// The weighted vote of neighbours by cosine similarity; of the evaluation `knn`.
    #[serde(rename = "knn_cosine")]
    KnnCosine,
    /// The nearest class mean; of the evaluation `nearest_mean`.
    #[serde(rename = "nearest_mean")]
    NearestMean,
    /// A network with one hidden layer; of the evaluation `mlp`.
    #[serde(rename = "mlp")]
    Mlp,
}

impl ProbeName {
    /// All probes, the published ones first.
    pub const ALL: [Self; 7] = [
        Self::Linear,
        Self::OneNearest,
        Self::TwentyNearest,
        Self::LinearStandardised,
        Self::KnnCosine,
        Self::NearestMean,
        Self::Mlp,
    ];

    /// The name in result rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::OneNearest => "1nn",
            Self::TwentyNearest => "20nn",
            Self::LinearStandardised => "linear_standardised",
            Self::KnnCosine => "knn_cosine",
            Self::NearestMean => "nearest_mean",
            Self::Mlp => "mlp",
        }
    }

    /// The evaluation that measures it; `None` for the probes that every trial has.
    pub fn evaluation(self) -> Option<Evaluation> {
        match self {
            Self::Linear | Self::OneNearest | Self::TwentyNearest | Self::LinearStandardised => None,
            Self::KnnCosine => Some(Evaluation::Knn),
            Self::NearestMean => Some(Evaluation::NearestMean),
            Self::Mlp => Some(Evaluation::Mlp),
        }
    }
}

/// The comparison of an evaluation set that verdicts are about, named before results are seen. All others are descriptive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primary {
    /// The probe that is compared.
    pub probe: ProbeName,
    /// The metric that is compared.
    pub metric: Metric,
}

impl Default for Primary {
    /// The linear probe on standardised features, weighted F1.
    fn default() -> Self {
        Self { probe: ProbeName::LinearStandardised, metric: Metric::WeightedF1 }
    }
}

/// Makes [`Evaluation`] from one entry an evaluation: doc, variant, name, help, how to read it, settings that its results depend on.
macro_rules! evaluations {
    ($($(#[$doc:meta])* $variant:ident: $name:literal, $about:literal, $how:literal, $settings:expr;)+) => {
        /// What a trial is measured by only where it is asked for, since it takes longer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Evaluation {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl Evaluation {
            /// All evaluations that can be asked for.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in sweep files, on command lines and in result rows.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it is, for `--help`.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)+ }
            }

            /// How its numbers are to be read, as a sentence; empty where it adds a probe, whose scores are read as all others.
            pub fn how_to_read(self) -> &'static str {
                match self { $(Self::$variant => $how,)+ }
            }

            /// The settings that its results depend on; null if they depend on none.
            pub fn settings(self) -> Value {
                match self { $(Self::$variant => $settings,)+ }
            }
        }
    };
}

evaluations! {
    /// How far the probe `linear` is from the optimum of its own objective.
    Optimum: "optimum", "How far the probe linear is from the optimum of its own objective",
        "The distance is (objective of the fit − optimum) / optimum, over the training cells; the changes are the share of the tested cells whose \
         prediction the optimum changes. Differences between arms that are smaller than the changes may come from the fit.",
        Value::Null;
    /// The probe `knn_cosine`.
    Knn: "knn", "The probe knn_cosine: weighted votes of neighbours by cosine similarity, as DINOv2 evaluates", "", settings::knn();
    /// The probe `nearest_mean`.
    NearestMean: "nearest_mean", "The probe nearest_mean: the class whose mean is nearest", "", Value::Null;
    /// The probe `mlp`.
    Mlp: "mlp", "The probe mlp: a network with one hidden layer", "", settings::mlp();
    /// Whether probabilities are true.
    Calibration: "calibration", "Calibration error, Brier score, risk and coverage of each probe with probabilities",
        "Calibration error: the mean distance between confidence and share of correct answers; Brier: from 0 to 2; AURC: the share of wrong \
         answers, averaged over how many of the cells are answered, the most certain first. Lower is better in all three.",
        settings::calibration();
    /// Scores from fewer labels.
    LabelEfficiency: "label_efficiency", "Scores of linear_standardised from 1 to 100 % of the training cells, whole groups at a time",
        "The score if only a share of the training cells is labelled, whole images at a time (a single image may be more than a small share). An \
         arm that is higher at small shares needs fewer labels.",
        settings::label_efficiency();
    /// Scores from a number of labels of each class.
    LabelsPerClass: "labels_per_class", "Scores of linear_standardised from 1 to 100 labelled cells of each class, image by image",
        "The score if only so many training cells of each class are labelled, taken image by image (all cells of a class that has fewer). An arm \
         that is higher at small numbers needs fewer labels.",
        settings::labels_per_class();
    /// Scores on a source that no fit has seen.
    LeaveOneSourceOut: "leave_one_source_out", "Scores of linear_standardised on each source, fitted to all others",
        "The score on each source if the probe has seen no cell of it. The worst of them shows what a new laboratory may get.", Value::Null;
    /// Anomalies found from normal cells alone.
    Anomaly: "anomaly", "How well distances to normal cells find each other class (--normal CLASS: which one is normal)",
        "AUROC: how often a cell of the class lies farther from normal cells than a normal cell does; 50 % is chance. Compare AUPR with \
         the prevalence, which is its value by chance.",
        settings::anomaly();
    /// What features say of the source of a cell.
    Robustness: "robustness", "How well the source of a cell can be predicted from its features, and whether neighbours share class or source",
        "source: how well the source is predicted from the features, beside prediction from the class alone (source_by_class) and from features \
         minus the mean of their class (source_within_class); lower is more robust. Biology index: 1 if neighbours share the class, 0 if they share the source.",
        settings::robustness();
    /// What features cost.
    Cost: "cost", "Parameters, operations for one image, and images per second of the network that gives the features",
        "Parameters and operations of the features alone, without heads, counted; a multiplication and its addition are two operations. Images \
         per second are those of the network on its device, without reading and decoding; they depend on the machine and on what else ran on it.",
        Value::Null;
    /// What a score means nothing without.
    Controls: "controls", "Shuffled labels, the class by source alone, and the largest class",
        "What is reached without looking at cells, or with labels that mean nothing: a score counts only as far as it is above these.", Value::Null;
}

impl Evaluation {
    /// What stands for it in a digest of what is measured: with other settings it is another measurement.
    pub fn resume_key(self) -> Value {
        match self.settings() {
            Value::Null => json!(self.name()),
            settings => json!({ self.name(): settings }),
        }
    }

    /// The evaluation called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|evaluation| evaluation.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_files_hold() {
        let written = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        for probe in ProbeName::ALL {
            assert_eq!(written(serde_json::to_value(probe).unwrap()), probe.name());
        }
        for metric in Metric::ALL {
            assert_eq!(written(serde_json::to_value(metric).unwrap()), metric.name());
        }
        for &evaluation in Evaluation::ALL {
            assert_eq!(written(serde_json::to_value(evaluation).unwrap()), evaluation.name());
            assert_eq!(Evaluation::named(evaluation.name()), Some(evaluation));
        }
    }

    #[test]
    fn an_evaluation_without_settings_is_its_name_in_digests_as_it_has_always_been() {
        assert_eq!(Evaluation::Optimum.resume_key(), "optimum");
        let key = Evaluation::LabelEfficiency.resume_key();
        assert_eq!(key["label_efficiency"]["fractions"][0], settings::LABEL_FRACTIONS[0]);
    }
}
