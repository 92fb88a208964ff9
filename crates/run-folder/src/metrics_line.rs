//! One line of a run's metrics (docs/metrics.md), as training writes it and everything else reads it.

use std::collections::BTreeMap;

use run_spec::ids::{Rank, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The outcome of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// Number of the step, from 0.
    pub step: Step,
    /// Its numbers, or why it was left out.
    #[serde(flatten)]
    pub outcome: StepOutcome,
}

/// What a step gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StepOutcome {
    /// It was left out.
    LeftOut {
        /// The number that was not finite: `loss.ibot`, `norm.backbone`.
        failed: String,
    },
    /// It was done, with these numbers.
    Done(Box<StepMetrics>),
}

/// The numbers of a step. What JSON cannot hold (NaN, infinity) is missing, as is what was not measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Total loss of the global batch, in nats.
    pub loss: Option<f64>,
    /// DINO loss of the global crops, in nats.
    pub dino_global: Option<f64>,
    /// DINO loss of the local crops, in nats.
    pub dino_local: Option<f64>,
    /// Loss of the masked patches, in nats.
    pub ibot: Option<f64>,
    /// KoLeo loss with its weight.
    pub koleo: Option<f64>,
    /// SIGReg loss with its weight, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigreg: Option<f64>,
    /// Learning rate of this step, before the factors of parameter groups.
    pub lr: Option<f64>,
    /// Learning rate of the last layer of the heads.
    pub last_layer_lr: Option<f64>,
    /// Weight decay of this step, before the factors of parameter groups.
    pub wd: Option<f64>,
    /// Momentum of the teacher.
    pub momentum: Option<f64>,
    /// Temperature of the teacher.
    pub teacher_temp: Option<f64>,
    /// Norm of each submodule's gradient before clipping.
    #[serde(default)]
    pub grad_norm: BTreeMap<String, Option<f64>>,
    /// Images per second over all ranks since the last line.
    pub images_per_s: Option<f64>,
    /// Share of the time since the last line that was spent waiting for data.
    pub data_wait: Option<f64>,
    /// Memory of rank 0's process, in mebibytes.
    pub memory_mb: Option<u64>,
    /// Energy that all ranks have used since the run began, in kilowatt hours: by counters where there are any, else estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kwh: Option<f64>,
    /// How much of it is an estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_kwh: Option<f64>,
    /// What that has emitted, in kilograms of CO2 equivalent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kg_co2e: Option<f64>,
    /// Seconds of summing gradients in this step; only with several ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_reduce_s: Option<f64>,
    /// Share of that time during which this rank computed; only with several ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_reduce_hidden: Option<f64>,
    /// How fast each rank was since the last line; only with several ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RankTimes>,
    /// Seconds that steps waited for checkpoints since the last line: for the copy of the state, and for the checkpoint before where
    /// that was not written yet. Only where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_stall_s: Option<f64>,
    /// Seconds of writing checkpoints, beside the steps, of those that ended since the last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_upload_s: Option<f64>,
    /// Mean entropy of the teacher's targets, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_entropy: Option<f64>,
    /// First letters of the digest of the global batch's samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<String>,
    /// Effective rank of the teacher's features, in dimensions; only every `log.collapse_every_steps` steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rankme: Option<f64>,
    /// Weighted F1 of the teacher after this step by each probe of the online probe; only every `log.probe_every_steps` steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probe: BTreeMap<String, Option<f64>>,
}

/// How fast each rank was, and which one the others waited for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RankTimes {
    /// The rank whose steps took longest without what it waited for others.
    pub slowest: Rank,
    /// Its host.
    pub host: String,
    /// Median seconds of its steps without what it waited for others.
    pub busy_s: f64,
    /// The same of the median rank.
    pub median_busy_s: f64,
    /// Median and 99th percentile of the seconds of a step, by rank. These lists are left out of large worlds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_s: Vec<[f64; 2]>,
    /// The same of the seconds in which a step waited for its batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_wait_s: Vec<[f64; 2]>,
    /// The same of the seconds in which a step waited for other ranks, as far as the host waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collective_wait_s: Vec<[f64; 2]>,
}

impl MetricsLine {
    /// The line of a step that was left out because `failed` was not finite.
    pub fn left_out(step: Step, failed: &str) -> Self {
        Self { step, outcome: StepOutcome::LeftOut { failed: failed.to_owned() } }
    }

    /// The numbers of a step that was done.
    pub fn done(&self) -> Option<&StepMetrics> {
        match &self.outcome {
            StepOutcome::Done(metrics) => Some(metrics),
            StepOutcome::LeftOut { .. } => None,
        }
    }
}

impl StepMetrics {
    /// All numbers by name: `loss`, `lr`, …, and `grad_norm/backbone` for one below another.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let mut out = Vec::new();
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else { return out };
        for (key, value) in fields {
            out.extend(value.as_f64().map(|number| (key.clone(), number)));
            for (below, value) in value.as_object().into_iter().flatten() {
                out.extend(value.as_f64().map(|number| (format!("{key}/{below}"), number)));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> MetricsLine {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_numbers_of_a_line_get_names() {
        let line = line(r#"{"step": 1, "loss": 2.0, "samples": "ab", "grad_norm": {"backbone": 3.0}, "koleo": null}"#);
        let names = [("grad_norm/backbone".to_owned(), 3.0), ("loss".to_owned(), 2.0)];
        let mut found = line.done().unwrap().scalars();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, names);
    }

    #[test]
    fn a_line_comes_back_as_it_was_written_but_for_what_json_cannot_hold() {
        let norms = BTreeMap::from([("backbone".to_owned(), Some(0.5)), ("head".to_owned(), None)]);
        let metrics =
            StepMetrics { loss: Some(1.0 / 3.0), grad_norm: norms, memory_mb: Some(7), ..StepMetrics::default() };
        let done = MetricsLine { step: 3.into(), outcome: StepOutcome::Done(Box::new(metrics)) };
        for written in [done, MetricsLine::left_out(4.into(), "loss.ibot")] {
            let text = serde_json::to_string(&written).unwrap();
            assert_eq!(line(&text), written, "{text}");
        }
        assert_eq!(
            serde_json::to_string(&MetricsLine::left_out(4.into(), "loss.ibot")).unwrap(),
            r#"{"step":4,"failed":"loss.ibot"}"#
        );
        let none = StepMetrics { loss: Some(f64::NAN), ..StepMetrics::default() };
        let text =
            serde_json::to_string(&MetricsLine { step: 0.into(), outcome: StepOutcome::Done(Box::new(none)) }).unwrap();
        assert_eq!(line(&text).done().unwrap().loss, None, "{text}");
    }

    #[test]
    fn lines_of_older_and_newer_versions_are_read() {
        assert_eq!(line(r#"{"step": 9}"#).done().unwrap(), &StepMetrics::default());
        assert_eq!(line(r#"{"step": 9, "loss": 2.5, "unheard_of": [1]}"#).done().unwrap().loss, Some(2.5));
    }
}
