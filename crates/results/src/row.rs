//! One score of one probe on one fold, with everything needed to find out where it came from.
//!
//! Rows travel as JSON lines: one record a line, so that a killed writer loses at most its last line and files can be
//! concatenated. Every number is checked to be finite on the way in and on the way out.

use run_spec::ids::{Digest, Seed, Step};
use serde::{Deserialize, Serialize};

use crate::ResultsError;

/// The value of [`ResultRow::features`] for the trained model: the EMA teacher's normed CLS token.
pub const TEACHER: &str = "teacher";

/// The value of [`ResultRow::features`] for random weights of the same model, drawn from the seed of the trial.
pub const RANDOM: &str = "random";

/// The value of [`ResultRow::features`] for colour histograms, which no seed changes.
pub const HISTOGRAM: &str = "histogram";

/// The value of [`ResultRow::probe`] in rows about the features themselves; their fold is [`ALL_FOLDS`], their metrics are
/// `median_std`, `effective_rank`, `alignment` and `uniformity`.
pub const PROBE_OF_FEATURES: &str = "features";

/// The value of [`ResultRow::fold`] in rows about all cells together.
pub const ALL_FOLDS: &str = "all";

/// The metric that says how far a fit is from the optimum of its objective, relative to the optimum.
pub const OPTIMUM_DISTANCE: &str = "optimum_distance";

/// The metric that says of which share of the cells the optimum changes the prediction.
pub const OPTIMUM_CHANGES: &str = "optimum_changes";

/// One score. Everything a table cell can be traced to: run, config, shards, code, data, split, probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultRow {
    /// Name of the run that made the features.
    pub run: String,
    /// Digest of the trial (config without seed, training shards, code version).
    pub trial: Digest,
    /// Seed of the trial.
    pub seed: Seed,
    /// Arm of the sweep the trial belongs to.
    pub arm: String,
    /// What was probed: [`TEACHER`], or a baseline such as `random` (random weights of the same model) or `histogram`.
    pub features: String,
    /// Training step of the checkpoint probed; 0 for untrained features.
    pub step: Step,
    /// Digest of the resolved config.
    pub config: Digest,
    /// Digest of the shard set trained on.
    pub shards_train: Digest,
    /// Digest of the shard set evaluated on.
    pub shards_eval: Digest,
    /// Digest of the file of initial weights (`init.weights`); `None` for weights drawn from the seed, and in rows of
    /// older versions.
    #[serde(default)]
    pub init_weights: Option<Digest>,
    /// Code that trained: crate version and commit, `-dirty` appended where the tree was not clean. A run that several
    /// versions trained has all of them, separated by `, `.
    pub code: String,
    /// Code that scored; `None` in rows of older versions.
    #[serde(default)]
    pub code_probe: Option<String>,
    /// Data set evaluated on, as a reader knows it.
    pub dataset: String,
    /// Name of the split.
    pub split: String,
    /// Digest of the file of the split; `None` in rows of older versions.
    #[serde(default)]
    pub split_digest: Option<Digest>,
    /// Name of the held-out fold.
    pub fold: String,
    /// `linear`, `1nn`, `20nn`, `linear_standardised`, or [`PROBE_OF_FEATURES`].
    pub probe: String,
    /// `accuracy`, `balanced_accuracy`, `weighted_f1`, …
    pub metric: String,
    /// The class that the score is of; `None` for a score of all classes together, and in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The further evaluation that the number is of ([`Evaluation`](crate::measures::Evaluation)); `None` for the protocol's own
    /// scores, and in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<String>,
    /// The share that the number is at, in `(0, 1]`: of the training cells, or of the cells that are answered (coverage).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// The number of labelled training cells of each class that the number is at; `None` where it is at no such number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_per_class: Option<u64>,
    /// Which of several draws the number is of, from 0; `None` where nothing is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u64>,
    /// The output of the model that was probed: `mean` (of the patch tokens) or `both`; `None` for the CLS token, features without
    /// tokens, and in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The score, a fraction in `[0, 1]` for the metrics above.
    pub value: f64,
    /// Number of samples that the probe was tested on.
    pub n: u64,
    /// Samples the probe was fitted to.
    pub n_train: u64,
    /// The device that trained, in words.
    pub device: String,
    /// Hours that device was held for this trial.
    pub hours: f64,
    /// Energy of the training, in kilowatt hours: by counters where the node has any, else estimated, as the run's final record says.
    /// Null where nothing was trained, and for runs of older versions.
    pub kwh: Option<f64>,
    /// Whether the training set contained images of the evaluation set: the same shard set, images of the same source and
    /// path, or the same pixels. `None` where the training set could not be compared, and in rows of older versions.
    #[serde(default)]
    pub transductive: Option<bool>,
    /// Anything else a reader must know about this score (`linear probe did not converge`), or empty.
    pub note: String,
}

/// The word with which older versions began the note of a transductive row.
const TRANSDUCTIVE: &str = "transductive";

impl ResultRow {
    /// Whether the row says that the training set contained images of the evaluation set, in its column or, as older
    /// versions wrote it, in its note.
    pub fn is_transductive(&self) -> bool {
        self.transductive.unwrap_or_else(|| self.note.split("; ").any(|part| part == TRANSDUCTIVE))
    }

    /// Whether the row is a score of all classes together on one fold, which arms are compared by. Rows about one class, about
    /// the features themselves, about the distance to the optimum or of a further evaluation are not.
    pub fn is_score(&self) -> bool {
        let about_the_fit = [OPTIMUM_DISTANCE, OPTIMUM_CHANGES].contains(&self.metric.as_str());
        self.class.is_none() && self.evaluation.is_none() && self.probe != PROBE_OF_FEATURES && !about_the_fit
    }

    /// Refuses a row with a number that is not finite.
    ///
    /// # Errors
    /// [`ResultsError::NotFinite`], naming the number.
    pub fn verify(&self) -> Result<(), ResultsError> {
        let (kwh, fraction) = (self.kwh.unwrap_or(0.0), self.fraction.unwrap_or(0.0));
        for (name, value) in [("value", self.value), ("hours", self.hours), ("kwh", kwh), ("fraction", fraction)] {
            if !value.is_finite() {
                return Err(ResultsError::NotFinite { subject: format!("{name} of {}", self.subject()), value });
            }
        }
        Ok(())
    }

    /// The row in words, for messages.
    pub fn subject(&self) -> String {
        let Self { arm, seed, features, dataset, split, fold, probe, metric, step, .. } = self;
        let part =
            |before: &str, value: Option<String>| value.map(|value| format!("{before}{value}")).unwrap_or_default();
        let class = part(" of class ", self.class.clone());
        let evaluation = part(", evaluation ", self.evaluation.clone());
        let fraction = part(" at ", self.fraction.map(|fraction| fraction.to_string()));
        let labels = part(" at labels ", self.labels_per_class.map(|labels| labels.to_string()));
        let repeat = part(" repeat ", self.repeat.map(|repeat| repeat.to_string()));
        format!(
            "{probe} {metric}{class} of {features} on {dataset}/{split}, fold {fold}{evaluation}{fraction}{labels}{repeat}, arm {arm}, seed {seed}, \
             step {step}"
        )
    }
}

/// Why a trial has no scores yet, or never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unscored {
    /// Nothing has started it.
    NotRun,
    /// It is being trained or probed.
    Running,
    /// It was stopped from outside and can be continued.
    CutOff,
    /// It ended with an error of its own.
    Failed,
    /// A record of it in the store is damaged.
    Damaged,
}

impl Unscored {
    /// The state as tables print it.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotRun => "not run yet",
            Self::Running => "running",
            Self::CutOff => "cut off",
            Self::Failed => "failed",
            Self::Damaged => "damaged",
        }
    }

    /// Whether a person has to do something about it.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Damaged)
    }
}

/// A trial without scores. Tables list it, so that a missing number is never an unseen one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnscoredTrial {
    /// Arm of the sweep, or the name of a baseline.
    pub arm: String,
    /// Seed of the trial.
    pub seed: Seed,
    /// Digest of the trial.
    pub trial: Digest,
    /// What state the trial is in.
    pub state: Unscored,
    /// The reason in one line; empty where the state says it all.
    pub reason: String,
}

impl UnscoredTrial {
    /// State and reason in one line.
    pub fn words(&self) -> String {
        let state = self.state.words();
        if self.reason.is_empty() { state.to_owned() } else { format!("{state}: {}", self.reason) }
    }
}

/// Rows as JSON lines, each ended by a newline.
///
/// # Errors
/// [`ResultsError::NotFinite`] for a number that JSON cannot carry.
pub fn to_json_lines(rows: &[ResultRow]) -> Result<String, ResultsError> {
    let mut text = String::new();
    for (line, row) in rows.iter().enumerate() {
        row.verify()?;
        let json = serde_json::to_string(row).map_err(|source| ResultsError::Json {
            what: row.subject(),
            line: line + 1,
            source,
        })?;
        text.push_str(&json);
        text.push('\n');
    }
    Ok(text)
}

/// Rows from JSON lines; empty lines are passed over. `what` names the text in messages.
///
/// # Errors
/// [`ResultsError::Json`] for the first line that is not a record, [`ResultsError::NotFinite`] as when writing.
pub fn from_json_lines(text: &str, what: &str) -> Result<Vec<ResultRow>, ResultsError> {
    let mut rows = Vec::new();
    for (line, json) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let row: ResultRow = serde_json::from_str(json).map_err(|source| ResultsError::Json {
            what: what.to_owned(),
            line: line + 1,
            source,
        })?;
        row.verify()?;
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row of arm `arm` with the rest filled in.
    pub(crate) fn row(arm: &str, seed: u64, fold: &str, value: f64) -> ResultRow {
        ResultRow {
            run: format!("{arm}-{seed}"),
            trial: Digest::of(arm.as_bytes()),
            seed: seed.into(),
            arm: arm.to_owned(),
            features: TEACHER.to_owned(),
            step: 600.into(),
            config: Digest::of(b"config"),
            shards_train: Digest::of(b"train"),
            shards_eval: Digest::of(b"eval"),
            init_weights: None,
            code: "0.1.0+abc".to_owned(),
            code_probe: Some("0.1.0+abc".to_owned()),
            dataset: "chula-rbc-12".to_owned(),
            split: "grouped-5".to_owned(),
            split_digest: Some(Digest::of(b"split")),
            fold: fold.to_owned(),
            probe: "1nn".to_owned(),
            metric: "weighted_f1".to_owned(),
            class: None,
            evaluation: None,
            fraction: None,
            labels_per_class: None,
            repeat: None,
            token: None,
            value,
            n: 120,
            n_train: 480,
            device: "2 cores of a \"CPU\", née x86".to_owned(),
            hours: 0.1,
            kwh: None,
            transductive: Some(false),
            note: String::new(),
        }
    }

    #[test]
    fn rows_survive_json_lines() {
        let rows = vec![
            row("base", u64::MAX, "0", 0.1 + 0.2),
            ResultRow { class: Some("é".into()), ..row("base", 0, "0", 1.0) },
            ResultRow {
                evaluation: Some("label_efficiency".into()),
                fraction: Some(0.05),
                labels_per_class: Some(10),
                repeat: Some(2),
                token: Some("both".into()),
                ..row("base", 0, "0", 1.0)
            },
            ResultRow { kwh: Some(1.5e-7), note: "line\nbreak".into(), ..row("koleo", 0, "left out: é", 5e-324) },
        ];
        let text = to_json_lines(&rows).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert!(!text.lines().next().unwrap().contains("fraction"), "rows of the protocol are written as before");
        assert_eq!(from_json_lines(&text, "rows").unwrap(), rows);
    }

    #[test]
    fn rows_of_older_versions_are_read_with_what_they_do_not_say_left_open() {
        let old = ResultRow { note: "transductive; linear probe did not converge".into(), ..row("base", 0, "0", 0.5) };
        let mut value = serde_json::to_value(&old).unwrap();
        for key in ["init_weights", "code_probe", "split_digest", "transductive"] {
            value.as_object_mut().unwrap().remove(key).unwrap();
        }
        let read = &from_json_lines(&value.to_string(), "old").unwrap()[0];
        assert_eq!((read.transductive, &read.code_probe, read.split_digest), (None, &None, None));
        assert!(read.is_transductive() && !row("base", 0, "0", 0.5).is_transductive());
        let new = ResultRow { transductive: Some(true), ..row("base", 0, "0", 0.5) };
        assert!(new.is_transductive());
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused() {
        let error = to_json_lines(&[row("base", 0, "0", f64::NAN)]).unwrap_err().to_string();
        assert!(error.starts_with("value of 1nn weighted_f1") && error.contains("fold 0"), "{error}");
    }

    #[test]
    fn a_cut_line_is_named() {
        let mut text = to_json_lines(&[row("base", 0, "0", 0.5), row("base", 0, "1", 0.5)]).unwrap();
        text.truncate(text.len() - 20);
        let error = from_json_lines(&text, "results/a.jsonl").unwrap_err().to_string();
        assert!(error.starts_with("line 2 of results/a.jsonl"), "{error}");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let text = to_json_lines(&[row("base", 0, "0", 0.5)]).unwrap().replace("\"kwh\"", "\"kWh\"");
        assert!(from_json_lines(&text, "x").is_err());
    }
}
