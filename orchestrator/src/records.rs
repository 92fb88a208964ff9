//! The records a sweep leaves in the store, and the keys they lie under.
//!
//! Every record is written once, under a key of its own, and never changed; a later attempt has a later number. So a
//! plain directory is store enough, and a stale orchestrator can overwrite nothing. Each record carries its own digest
//! ([`store::record`]), and a result names the digests of its rows, so that damage is noticed wherever it is read.
//!
//! ```text
//! sweeps/NAME/plans/<n>.json                              what is compared; the highest number is the newest
//!             <sweep digest>/invocations/<n>.json         who worked on it
//!                            ended.json                   every trial finished or failed
//!                            tables/<n>/{report.md, …}    what came out
//!                            waves/<w>/wave.json, …       job arrays on Slurm: see [`crate::slurm::job_batch`]
//! trials/<trial digest>/seed-<s>/config.json              the resolved config
//!                                run/…                    the worker's own: checkpoints, metrics
//!                                <probes>/attempt-<n>/    claim.json, started-<stage>.json, trained.json (Slurm),
//!                                                         predictions-<eval>.parquet, rows-<eval>.jsonl, log.txt, and at
//!                                                         its end result.json or failed.json; set-aside.json where
//!                                                         `verify --repair` put one
//! cards/<set digest>.json                                 what a shard set holds, for reports ([`crate::set_cards`])
//! atlases/<set digest>/atlas.json, sheet-<n>.jpg           small pictures of the cells of an evaluation set, for reports
//! leaks/<set digest>/<set digest>/near.json, …             what a training set and an evaluation set share ([`shards::leaks`])
//! ```
//! `<probes>` is the digest of how the trained model is measured: another split measures the same run anew, and does not
//! train it again. Baselines lie under `trials/` too: they are trials that train nothing.

use std::collections::{BTreeMap, BTreeSet};

use results::measures::{Evaluation, Primary};
use results::stats::verdict::Rules;
use results::table::Published;
use run_spec::config::{ArmConfig, Deltas, RecordedConfig};
use run_spec::ids::{Attempt, Digest, Seed};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::code::Code;
use crate::identity::Identity;
use crate::keys::{AttemptKey, AttemptsKey, TrialKey};

/// A shard set: where it was, and what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardRef {
    /// Where it was read; no part of any digest.
    pub(crate) uri: String,
    /// Digest of its manifest.
    pub(crate) digest: Digest,
}

/// One arm of a sweep, with everything that its trials need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arm {
    /// Name of the arm, unique in the sweep.
    pub(crate) name: String,
    /// What the sweep file changes in this arm alone.
    pub(crate) delta: Deltas,
    /// The resolved train config, without its seed.
    pub(crate) config: ArmConfig,
    /// What it trains on.
    pub(crate) shards: ShardRef,
    /// The file of `init.weights`, by content; absent where the weights are drawn from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init_weights: Option<Digest>,
    /// Digest of config, initial weights, shards and code.
    pub(crate) trial: Digest,
}

/// What a trained model is compared with on one evaluation set: features that no training made. It is scored once, and
/// all trials that it belongs to share its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Its place among the trials: name, config of the model, digest. It trains on nothing.
    pub(crate) arm: Arm,
    /// Seed of the weights; 0 for features that are not drawn.
    pub(crate) seed: Seed,
    /// The features that are scored: `random`, `histogram`, `shape`, or the name of released weights.
    pub(crate) features: String,
    /// The weights that are scored; `None` for random weights and the histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weights: Option<ReleasedWeights>,
    /// Name of the evaluation set.
    pub(crate) eval: String,
    /// Digest of how it is scored.
    pub(crate) probes: Digest,
    /// The trials it belongs to, by label.
    pub(crate) trials: Vec<String>,
}

/// A file of weights that others have trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleasedWeights {
    /// Where it was read; no part of any digest.
    pub(crate) uri: String,
    /// The layout that it must have, if one was named.
    pub(crate) layout: Option<String>,
    /// Side in pixels to which images are resized, if one was named.
    pub(crate) size: Option<u64>,
}

/// A labelled shard set that every trained model is probed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EvalSet {
    /// Short name of the set, unique in the sweep.
    pub(crate) name: String,
    /// The shard set with its images.
    pub(crate) shards: ShardRef,
    /// Name of the split.
    pub(crate) split: String,
    /// Digest of the split's file: a manifest does not cover it.
    pub(crate) split_digest: Digest,
    /// The sweep file says that the arms train on images of this set. Whether they do is found when they are probed.
    #[serde(default)]
    pub(crate) transductive: bool,
    /// The comparison that verdicts are about; it changes the table alone, so it is in no trial's digest.
    #[serde(default)]
    pub(crate) primary: Primary,
    /// Scores of papers on this set, quoted in the table alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) published: Vec<Published>,
}

/// `plans/<n>.json`: everything that is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Name of the sweep.
    pub(crate) name: String,
    /// Digest of the sweep: of its trials, seeds and probes.
    pub(crate) digest: Digest,
    /// The code that runs the trials.
    pub(crate) code: Code,
    /// Number of this run; counts only where the code's results are not reusable.
    pub(crate) run: u32,
    /// The arm that others are compared with.
    pub(crate) reference: String,
    /// False: a smoke test and no evidence.
    pub(crate) evidence: bool,
    /// Seeds that all arms share.
    pub(crate) seeds: Vec<Seed>,
    /// The arms, with the reference first.
    pub(crate) arms: Vec<Arm>,
    /// What all arms are compared with; empty in plans of older versions, whose probes scored baselines too.
    #[serde(default)]
    pub(crate) baselines: Vec<Baseline>,
    /// The evaluation sets that every trained model is probed on.
    pub(crate) evals: Vec<EvalSet>,
    /// Further options of the probe.
    pub(crate) probe_options: BTreeMap<String, Value>,
    /// Further evaluations of every trial, in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) evaluations: Vec<Evaluation>,
    /// Half-width of the region of practical equivalence, a fraction; it changes the table alone.
    #[serde(default = "default_equivalence")]
    pub(crate) equivalence: f64,
    /// Digest of evaluation sets, splits, probe options and further evaluations.
    pub(crate) probes: Digest,
    /// Number of trials that may run at once.
    pub(crate) slots: usize,
    /// Seconds that one attempt may take.
    pub(crate) time_limit_s: Option<u64>,
}

fn default_equivalence() -> f64 {
    Rules::default().margin
}

/// One cell of the matrix, or a baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trial<'a> {
    /// The arm that the trial is of, or that of the baseline.
    pub(crate) arm: &'a Arm,
    /// The seed of the trial.
    pub(crate) seed: Seed,
    /// Digest of how it is measured.
    pub(crate) probes: Digest,
    /// Set where this is a baseline: it trains nothing.
    pub(crate) baseline: Option<&'a Baseline>,
}

impl<'a> From<&'a Baseline> for Trial<'a> {
    fn from(baseline: &'a Baseline) -> Self {
        Self { arm: &baseline.arm, seed: baseline.seed, probes: baseline.probes, baseline: Some(baseline) }
    }
}

impl Trial<'_> {
    /// Where it lies in every store.
    pub(crate) fn key(&self) -> TrialKey {
        TrialKey { digest: self.arm.trial, seed: self.seed }
    }

    /// Where its attempts lie.
    pub(crate) fn attempts_key(&self) -> AttemptsKey {
        AttemptsKey { trial: self.key(), probes: self.probes.short() }
    }

    /// Where the records of one attempt lie.
    pub(crate) fn attempt_key(&self, number: Attempt) -> AttemptKey {
        self.attempts_key().attempt(number)
    }

    /// The config of arm and seed: what the worker reads and what lies beside the run.
    pub(crate) fn config(&self) -> RecordedConfig {
        self.arm.config.with_seed(self.seed)
    }

    /// `arm/seed-3`, for people and globs.
    pub(crate) fn label(&self) -> String {
        format!("{}/seed-{}", self.arm.name, self.seed)
    }
}

impl Plan {
    /// The trials of the arms, seed by seed, so that pairs with the reference are complete early.
    pub(crate) fn trials(&self) -> Vec<Trial<'_>> {
        let cell = |seed| self.arms.iter().map(move |arm| Trial { arm, seed, probes: self.probes, baseline: None });
        self.seeds.iter().flat_map(|seed| cell(*seed)).collect()
    }

    /// The baselines that any of `trials` is compared with, then `trials` themselves: all that is to be run for them. A plan without
    /// arms is of its baselines alone.
    pub(crate) fn with_baselines<'a>(&'a self, trials: Vec<Trial<'a>>) -> Vec<Trial<'a>> {
        let labels: BTreeSet<String> = trials.iter().map(Trial::label).collect();
        let wanted = self
            .baselines
            .iter()
            .filter(|b| self.arms.is_empty() || b.trials.iter().any(|label| labels.contains(label)));
        wanted.map(Trial::from).chain(trials).collect()
    }

    /// The baselines that a trial is compared with.
    pub(crate) fn baselines_of(&self, trial: &Trial<'_>) -> impl Iterator<Item = Trial<'_>> {
        let label = trial.label();
        self.baselines.iter().filter(move |baseline| baseline.trials.contains(&label)).map(Trial::from)
    }

    /// The trial of an arm or baseline by name and seed.
    pub(crate) fn trial(&self, arm: &str, seed: Seed) -> Option<Trial<'_>> {
        let baseline = self.baselines.iter().find(|baseline| baseline.arm.name == arm && baseline.seed == seed);
        let of_arm = |arm| Trial { arm, seed, probes: self.probes, baseline: None };
        baseline.map(Trial::from).or_else(|| self.arms.iter().find(|known| known.name == arm).map(of_arm))
    }

    /// The evaluation sets that a trial is measured on.
    pub(crate) fn evals_of<'a>(&'a self, trial: &Trial<'a>) -> impl Iterator<Item = &'a EvalSet> {
        let only = trial.baseline.map(|baseline| baseline.eval.as_str());
        self.evals.iter().filter(move |eval| only.is_none_or(|name| name == eval.name))
    }

    /// Key of the sweep's folder in the store: `sweeps/NAME/<digest>`.
    pub(crate) fn key(&self) -> String {
        format!("sweeps/{}/{}", self.name, self.digest)
    }
}

/// `invocations/<n>.json`: one start of the orchestrator on this plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invocation {
    /// The process of the orchestrator.
    pub(crate) holder: Identity,
    /// When it began, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// `claim.json`: who works on this attempt. Whoever creates it has the attempt; nobody can create it twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// The process of the orchestrator that holds the attempt.
    pub(crate) holder: Identity,
    /// The sweep it works for.
    pub(crate) sweep: String,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
    /// Key of the batch that runs it on Slurm; absent where the holder itself runs it. With a batch it is Slurm that knows
    /// whether the attempt lives, not the holder, which may go and come back.
    #[serde(rename = "wave", default, skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<String>,
}

/// `started-<stage>.json`: the process group of one stage, so that a restarted orchestrator can end processes that are still running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    /// Leader of the process group.
    pub(crate) leader: Identity,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
}

/// What one stage took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageReport {
    /// Name of the stage: `train` or `probe-<eval>`.
    pub(crate) name: String,
    /// Seconds of wall time that it took.
    pub(crate) seconds: f64,
    /// Exit code; null when a signal ended it.
    pub(crate) exit_code: Option<i32>,
}

/// `trained.json`: a Slurm task has trained; the probe of the same attempt, another job, may begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trained {
    /// The stages that ran, in order.
    pub(crate) stages: Vec<StageReport>,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// A file of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenRowsRef")]
pub(crate) struct RowsRef {
    /// Key of the file in the store.
    pub(crate) key: String,
    /// Digest of its bytes; absent in records of older versions.
    pub(crate) digest: Option<Digest>,
}

/// [`RowsRef`] as this version and as older versions wrote it.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenRowsRef {
    Key(String),
    KeyAndDigest { key: String, digest: Option<Digest> },
}

impl From<WrittenRowsRef> for RowsRef {
    fn from(written: WrittenRowsRef) -> Self {
        match written {
            WrittenRowsRef::Key(key) => Self { key, digest: None },
            WrittenRowsRef::KeyAndDigest { key, digest } => Self { key, digest },
        }
    }
}

/// A file of predictions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PredictionsRef {
    /// Key of the file in the store.
    pub(crate) key: String,
    /// Digest of its bytes.
    pub(crate) digest: Digest,
}

/// What the probes of an attempt left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Measured {
    /// A file of rows for each evaluation set.
    pub(crate) rows: Vec<RowsRef>,
    /// The predictions behind them.
    pub(crate) predictions: Vec<PredictionsRef>,
}

/// `result.json`: the trial is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// The stages that ran, in order.
    pub(crate) stages: Vec<StageReport>,
    /// The rows that the probes wrote.
    pub(crate) rows: Vec<RowsRef>,
    /// The predictions that the rows are derived from. Workers of older versions left none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) predictions: Vec<PredictionsRef>,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
}

impl Finished {
    /// The record of an attempt that ended at `unix_s`, seconds since 1970.
    pub(crate) fn at(unix_s: u64, stages: Vec<StageReport>, Measured { rows, predictions }: Measured) -> Self {
        Self { stages, rows, predictions, unix_s }
    }
}

/// Why an attempt ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The worker ended with an error.
    Exit,
    /// It ran past `time_limit_s`.
    TimeLimit,
    /// It could not be started.
    Start,
    /// It ended well, but its rows are missing, unreadable, or of something else than was planned.
    Rows,
    /// The worker, a shard set, a split or the initial weights are no longer what was planned.
    Changed,
    /// The store is full, could not be reached, or refused the credentials.
    Store,
    /// The orchestrator was asked to stop.
    Interrupted,
    /// The orchestrator died, or the job vanished with its node.
    Lost,
    /// Slurm refused the job.
    Refused,
}

impl Cause {
    /// Whether the trial itself is to blame. One that was merely cut off is tried again unasked.
    pub(crate) fn blames_the_trial(self) -> bool {
        !matches!(self, Self::Interrupted | Self::Lost | Self::Refused | Self::Changed | Self::Store)
    }
}

/// `set-aside.json`: the attempt no longer counts, because a record of it is damaged. Nothing of it is moved or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetAside {
    /// What is damaged, one sentence each.
    pub(crate) because: Vec<String>,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// `failed.json`: the attempt ended without a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// What kind of failure it was.
    pub(crate) cause: Cause,
    /// The stage that failed.
    pub(crate) stage: String,
    /// One line for the table.
    pub(crate) message: String,
    /// The stages that ran, in order, with the one that failed.
    pub(crate) stages: Vec<StageReport>,
    /// When, seconds since 1970.
    pub(crate) unix_s: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_older_versions_name_rows_without_digests() {
        let old = r#"{"stages": [], "rows": ["trials/a/rows.jsonl"], "unix_s": 1}"#;
        let record: Finished = serde_json::from_str(old).unwrap();
        assert_eq!(record.rows, [RowsRef { key: "trials/a/rows.jsonl".into(), digest: None }]);
        assert_eq!(record.predictions, []);
        let rows = vec![RowsRef { key: "k".into(), digest: Some(Digest::of(b"rows")) }];
        let text = serde_json::to_string(&Finished { rows: rows.clone(), ..record }).unwrap();
        assert_eq!(serde_json::from_str::<Finished>(&text).unwrap().rows, rows);
    }
}
