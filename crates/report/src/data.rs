//! What a page shows. All scores are fractions; the page prints percent.

use serde::{Deserialize, Serialize};

mod pictures;
mod run;

pub use pictures::{Atlas, Look, LookSheet, Map, Mistake, Mistakes, Sheet};
pub use run::{Card, CardCell, CardTable, Run, RunOfArm, Unscored};

/// Version of the layout.
pub const FORMAT: u32 = 1;

/// Heading of the section of risk–coverage curves.
pub(crate) const COVERAGE: &str = "Coverage";

/// A report. Lists that are empty and options that are `None` leave their section out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Version of the layout, [`FORMAT`].
    pub format: u32,
    /// Title of the page.
    pub title: String,
    /// A word that is visible at all times, such as `SYNTHETIC`.
    #[serde(default)]
    pub mark: Option<String>,
    /// What a reader must know before any number.
    pub notices: Vec<String>,
    /// The arm that others are compared with.
    pub reference: Option<String>,
    /// Confidence level of the intervals.
    pub level: f64,
    /// Half-width of the region of practical equivalence.
    pub margin: f64,
    /// What was found on each evaluation set.
    pub evaluations: Vec<Evaluation>,
    /// Curves and scatters.
    pub charts: Vec<Chart>,
    /// What models see in images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// What was run.
    pub run: Option<Run>,
    /// How the numbers are to be read.
    pub captions: Vec<String>,
    /// The methods, paragraph by paragraph.
    pub methods: Vec<String>,
    /// What made the report.
    pub made: String,
}

/// What was found on one evaluation set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Name of the set.
    pub name: String,
    /// Name of its split.
    pub split: String,
    /// What verdicts are about.
    pub primary: PrimaryScore,
    /// Arms and baselines under the primary comparison, in order.
    pub arms: Vec<Arm>,
    /// All scores.
    pub lines: Vec<Line>,
    /// Scores of each class.
    #[serde(default)]
    pub per_class: Option<PerClass>,
    /// Scores of each source.
    #[serde(default)]
    pub per_source: Option<PerSource>,
    /// What further evaluations found.
    #[serde(default)]
    pub measured: Vec<MeasuredTable>,
    /// What was taken for what.
    #[serde(default)]
    pub confusion: Option<Confusion>,
    /// Wrong predictions worth looking at.
    #[serde(default)]
    pub mistakes: Vec<Mistakes>,
    /// The features in two dimensions.
    #[serde(default)]
    pub map: Option<Map>,
    /// Pictures of the cells.
    #[serde(default)]
    pub atlas: Option<Atlas>,
}

/// The numbers of one further evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredTable {
    /// The evaluation in words.
    pub title: String,
    /// How to read it.
    pub how: String,
    /// What is to be known of the numbers.
    pub notes: Vec<String>,
    /// Its metrics in words, each with its unit.
    pub metrics: Vec<(String, Unit)>,
    /// Arms and baselines by probe and place.
    pub rows: Vec<MeasuredRow>,
}

/// The numbers of one arm or baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredRow {
    /// Name of the arm or baseline.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What was fitted, searched or drawn.
    pub probe: String,
    /// A class, share or source; empty for all cells.
    pub place: String,
    /// Mean of each metric over seeds; `None` for a metric without a value.
    pub means: Vec<Option<f64>>,
    /// Standard deviation of each metric over seeds.
    pub over_seeds: Vec<Option<f64>>,
}

/// A probe and a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrimaryScore {
    /// Name of the probe, as in the rows.
    pub probe: String,
    /// Name of the metric, as in the rows.
    pub metric: String,
    /// Both in words.
    pub words: String,
    /// Unit of the metric.
    pub unit: Unit,
}

/// How a number is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A fraction, shown in percent.
    Fraction,
    /// Any number, shown as it is.
    Number,
}

/// What a line of a table is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The arm that others are compared with.
    Reference,
    /// Another arm.
    Arm,
    /// Features that no training made.
    Baseline,
}

/// A verdict on an arm, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It scores above the reference.
    Better,
    /// It scores below the reference.
    Worse,
    /// It is not further from the reference than the margin.
    Equivalent,
    /// The design cannot tell.
    Undecided,
    /// Something is missing that a verdict needs.
    None,
}

/// One arm or baseline under the primary comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// The arm as the sweep file names it, or the baseline as tables do.
    pub name: String,
    /// Arm, reference or baseline.
    pub kind: Kind,
    /// Its difference to the reference.
    pub difference: Option<Difference>,
    /// The verdict; `None` for the reference and for baselines.
    pub verdict: Option<Outcome>,
    /// The verdict as a sentence.
    pub sentence: String,
}

/// A difference to the reference with its intervals, which are `[low, high]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The mean difference.
    pub mean: f64,
    /// Interval over new seeds and new groups.
    pub interval: Option<[f64; 2]>,
    /// The interval that must lie within the margin for equivalence.
    pub equivalence_interval: Option<[f64; 2]>,
    /// Interval over new seeds on these very cells.
    pub seeds_interval: Option<[f64; 2]>,
    /// Why there is no interval over seeds and groups.
    pub missing: Option<String>,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Name of the arm or baseline.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Name of the probe.
    pub probe: String,
    /// Name of the metric.
    pub metric: String,
    /// The metric in words.
    pub words: String,
    /// Unit of the metric.
    pub unit: Unit,
    /// Number of seeds.
    pub seeds: usize,
    /// Mean score.
    pub mean: f64,
    /// Standard deviation over seeds.
    pub over_seeds: Option<f64>,
    /// Standard deviation over folds.
    pub over_folds: Option<f64>,
    /// Difference to the reference.
    pub difference: Option<Difference>,
    /// p after Holm's correction; primary lines of arms only.
    pub p_holm: Option<f64>,
    /// The verdict; primary lines of arms only.
    pub verdict: Option<Outcome>,
    /// What is to be known of the scores.
    pub notes: Vec<String>,
}

/// Scores of the classes under the primary probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerClass {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Cells of each class.
    pub support: Vec<u64>,
    /// The arms.
    pub arms: Vec<ClassScores>,
}

/// Scores of one arm on each class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassScores {
    /// Name of the arm.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Precision of each class, mean over seeds.
    pub precision: Vec<f64>,
    /// Recall of each class.
    pub recall: Vec<f64>,
    /// F1 of each class.
    pub f1: Vec<f64>,
}

/// The primary score on each source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerSource {
    /// Names of the sources.
    pub sources: Vec<String>,
    /// Cells of each source.
    pub cells: Vec<u64>,
    /// The arms.
    pub arms: Vec<SourceScores>,
}

/// Scores of one arm on each source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceScores {
    /// Name of the arm.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The score on each source, mean over seeds.
    pub scores: Vec<f64>,
}

/// Confusion matrices under the primary probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The arms.
    pub arms: Vec<ConfusionOfArm>,
}

/// The confusions of one arm, summed over its seeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfusionOfArm {
    /// Name of the arm.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Cells by `[true class][predicted class]`.
    pub counts: Vec<Vec<u64>>,
}

/// Curves or points; charts of one group share a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// Heading of the section.
    pub group: String,
    /// What the chart shows.
    pub title: String,
    /// How to read it.
    pub how: String,
    /// Lines or points.
    pub kind: ChartKind,
    /// What runs from left to right.
    pub x: String,
    /// What runs upwards.
    pub y: String,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// The curves.
    pub series: Vec<Series>,
}

/// How a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChartKind {
    /// Points of a series are joined.
    Line,
    /// They are not.
    Points,
}

/// One curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Name in the legend; series that share it share a colour.
    pub name: String,
    /// What tells it apart from others of that name.
    #[serde(default)]
    pub detail: Option<String>,
    /// Horizontal positions.
    pub x: Vec<f64>,
    /// Values; `None` for a step without one.
    pub y: Vec<Option<f64>>,
    /// Lower ends of the intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lo: Option<Vec<f64>>,
    /// Upper ends of the intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hi: Option<Vec<f64>>,
}
