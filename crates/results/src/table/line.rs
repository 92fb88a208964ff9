//! One line of a table, and its difference to the reference arm.

use run_spec::ids::Seed;

use super::published::is_published;
use crate::row::TEACHER;
use crate::stats::estimate::{Estimate, NoEstimate};
use crate::stats::power::{SeedsNeeded, Spread};
use crate::stats::sources::OverSources;
use crate::stats::verdict::Judgement;

/// One arm (or baseline) under one probe and metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Data set evaluated on.
    pub dataset: String,
    /// Split of the data set.
    pub split: String,
    /// Name of the metric, as in the rows.
    pub metric: String,
    /// Name of the probe, as in the rows.
    pub probe: String,
    /// Arm, or empty for a baseline that all arms share.
    pub arm: String,
    /// [`TEACHER`] for an arm, else the name of the baseline.
    pub features: String,
    /// Whether verdicts are about this probe and metric; all other lines are descriptive.
    pub is_primary: bool,
    /// Scores behind the line: seeds × folds.
    pub n: usize,
    /// Number of different seeds among them.
    pub seeds: usize,
    /// Mean over folds, then sources, then seeds, in the metric's unit.
    pub mean: f64,
    /// Standard deviation of the scores of the seeds, ddof 1; `None` for one seed.
    pub over_seeds: Option<f64>,
    /// Standard deviation of the folds, averaged over seeds first; `None` for one fold.
    pub over_folds: Option<f64>,
    /// Difference to the reference arm; `None` for the reference itself and where no seed is common.
    pub difference: Option<Difference>,
    /// Device hours of the trials behind the line.
    pub hours: f64,
    /// Energy of those trials in kWh; `None` unless all were measured.
    pub kwh: Option<f64>,
    /// Distinct notes of the rows.
    pub notes: Vec<String>,
    /// The score of each seed, for figures.
    pub by_seed: Vec<(Seed, f64)>,
}

impl Line {
    /// Name of the line: the arm, or the baseline with its arm where arms have different ones.
    pub fn name(&self) -> String {
        line_name(&self.features, &self.arm)
    }

    /// True for a score of a paper, which is quoted and not measured here.
    pub fn is_published(&self) -> bool {
        is_published(&self.features)
    }

    /// True for features other than a trained teacher's.
    pub fn is_baseline(&self) -> bool {
        self.features != TEACHER
    }
}

/// Name of the line of `features` and `arm`; [`Evaluated::counts`](super::Evaluated::counts) call arms and baselines so too.
pub fn line_name(features: &str, arm: &str) -> String {
    match (features, arm) {
        (TEACHER, arm) => arm.to_owned(),
        (quoted, _) if is_published(quoted) => quoted.to_owned(),
        (baseline, "") => format!("baseline: {baseline}"),
        (baseline, arm) => format!("baseline: {baseline} ({arm})"),
    }
}

/// An arm or baseline that a comparison leaves out, because its scores cannot be derived in the way of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Data set evaluated on.
    pub dataset: String,
    /// Split of the data set.
    pub split: String,
    /// Name of the metric, as in the rows.
    pub metric: String,
    /// Name of the probe, as in the rows.
    pub probe: String,
    /// Name of the line, as [`Line::name`].
    pub name: String,
}

impl LeftOut {
    pub(super) fn of((dataset, split, metric, probe): (&str, &str, &str, &str), name: String) -> Self {
        let [dataset, split, metric, probe] = [dataset, split, metric, probe].map(str::to_owned);
        Self { dataset, split, metric, probe, name }
    }

    /// Why it is left out, in a sentence.
    pub fn words(&self) -> String {
        format!(
            "{} has no score here: an older version probed it, kept no predictions, and averaged over folds that mix all sources; probe it again \
            to compare it",
            self.name
        )
    }
}

/// A paired difference: this line minus the reference arm, over the seeds that both have.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Number of common seeds.
    pub seeds: usize,
    /// Mean difference over them.
    pub mean: f64,
    /// The difference over new seeds and new groups of these sources, or why there is no interval.
    pub over_seeds_and_groups: Result<Estimate, Missing>,
    /// The difference over new seeds on these very cells, or why there is no interval.
    pub over_seeds: Result<Estimate, Missing>,
    /// The difference over new sources; `None` below three sources or three common seeds.
    pub over_sources: Option<SourcesDifference>,
    /// What the variance over seeds and groups is made of, where it was estimated.
    pub spread: Option<Spread>,
    /// The verdict, on primary lines of arms.
    pub judgement: Option<Judged>,
}

/// The difference over new sources, from `sources` of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourcesDifference {
    /// Number of sources.
    pub sources: usize,
    /// The estimate, and its exact test.
    pub estimate: OverSources,
}

/// A verdict, and what it would take to see more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Verdict, intervals and p values.
    pub judgement: Judgement,
    /// Further seeds that would decide it, if mean and spread stayed as they are.
    pub seeds_needed: SeedsNeeded,
    /// The smallest true difference that this design finds with probability [`POWER`](super::POWER), a fraction.
    pub detectable: Option<f64>,
}

/// Why a difference has no interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Only rows are known, which say nothing about groups.
    #[error(
        "no predictions are kept of some of these trials (an older version probed them), so groups cannot be counted"
    )]
    NoPredictions,
    /// The design allows none.
    #[error(transparent)]
    NoEstimate(#[from] NoEstimate),
}
