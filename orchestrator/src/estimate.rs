//! What the trials of a sweep will take together: `worker estimate` of each kind of trial, summed. Nothing is trained.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use run_spec::ids::digest_json;
use serde::Deserialize;

use crate::records::Trial;

/// From least to most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
struct Span {
    least: f64,
    most: f64,
}

impl Span {
    fn plus(self, other: Self, times: f64) -> Self {
        Self { least: self.least + times * other.least, most: self.most + times * other.most }
    }

    fn text(self, unit: &str) -> String {
        format!("{} to {} {unit}", short(self.least), short(self.most))
    }
}

fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 1.0 => format!("{number:.1}"),
        n if n >= 0.001 || n == 0.0 => format!("{number:.3}"),
        _ => format!("{number:.0e}"),
    }
}

/// What `worker estimate --json` prints of one run, as far as it is summed.
#[derive(Debug, Clone, Deserialize)]
struct Answer {
    gpus: u64,
    fits: bool,
    hours: Span,
    kwh: Span,
    kg_co2e: Span,
}

/// Ranks of a trial: nodes, and GPUs of each.
pub(crate) type Ranks = (u32, u32);

/// What all trials take.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    trials: usize,
    gpu_hours: Span,
    /// Of the longest trial.
    hours: f64,
    kwh: Span,
    kg_co2e: Span,
    /// Arms whose trials do not fit.
    too_large: Vec<String>,
}

/// Asks the worker about one trial of each kind and sums over all that train. `ranks_of` says how many ranks a trial has.
pub(crate) fn sum(
    worker: &Path,
    gpu: &str,
    trials: &[Trial<'_>],
    ranks_of: impl Fn(&Trial<'_>) -> Ranks,
) -> Result<Sum> {
    let (mut known, mut sum) = (BTreeMap::new(), Sum::default());
    for trial in trials.iter().filter(|trial| trial.baseline.is_none()) {
        let ranks = ranks_of(trial);
        let kind = (digest_json(trial.arm.config.value()), ranks);
        let answer = match known.get(&kind) {
            Some(answer) => answer,
            None => known.entry(kind).or_insert(ask(worker, gpu, trial, ranks)?),
        };
        sum.add(&trial.arm.name, answer);
    }
    Ok(sum)
}

impl Sum {
    fn add(&mut self, arm: &str, answer: &Answer) {
        self.trials += 1;
        self.gpu_hours = self.gpu_hours.plus(answer.hours, answer.gpus as f64);
        self.hours = self.hours.max(answer.hours.most);
        self.kwh = self.kwh.plus(answer.kwh, 1.0);
        self.kg_co2e = self.kg_co2e.plus(answer.kg_co2e, 1.0);
        if !answer.fits && self.too_large.last().is_none_or(|last| last != arm) {
            self.too_large.push(arm.to_owned());
        }
    }

    /// The sums, for people.
    pub(crate) fn text(&self, gpu: &str) -> String {
        let what = if gpu == "cpu" { "hours of this machine" } else { "GPU hours" };
        let mut text = format!(
            "Training {} trials on {gpu} takes {}, {} and {}; the longest of them up to {} hours (counted, not measured; probes come on top).",
            self.trials,
            self.gpu_hours.text(what),
            self.kwh.text("kWh"),
            self.kg_co2e.text("kg CO2e"),
            short(self.hours)
        );
        if !self.too_large.is_empty() {
            let arms = self.too_large.join("`, `");
            // Writing to a String does not fail.
            let _ = write!(text, " Not enough memory: `{arms}`; `worker estimate` says what helps.");
        }
        text
    }

    /// Arms whose trials cannot fit.
    pub(crate) fn too_large(&self) -> &[String] {
        &self.too_large
    }
}

fn ask(worker: &Path, gpu: &str, trial: &Trial<'_>, (nodes, gpus): Ranks) -> Result<Answer> {
    let config = tempfile::NamedTempFile::with_suffix(".json").context("cannot make a temporary file for a config")?;
    std::fs::write(config.path(), trial.config().value().to_string()).context("cannot write a temporary config")?;
    let output = Command::new(worker)
        .arg("estimate")
        .arg(config.path())
        .args(["--json", "--gpu", gpu, "--nodes", &nodes.to_string(), "--gpus-per-node", &gpus.to_string()])
        .stdin(Stdio::null())
        .output();
    let output = output.with_context(|| format!("run {} estimate", worker.display()))?;
    // It ends with 1 where the run does not fit, and prints all the same.
    if let Ok(answer) = serde_json::from_slice(&output.stdout) {
        return Ok(answer);
    }
    let said = crate::log::plain(&String::from_utf8_lossy(&output.stderr));
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
    bail!("arm `{}`: worker estimate: {}", trial.arm.name, last.split_once("ERROR ").map_or(last, |(_, said)| said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_summed_and_what_does_not_fit_is_named_once() {
        let answer = |hours, fits| Answer {
            gpus: 2,
            fits,
            hours: Span { least: hours, most: 2.0 * hours },
            kwh: Span { least: 1.0, most: 2.0 },
            kg_co2e: Span { least: 0.5, most: 1.0 },
        };
        let mut sum = Sum::default();
        for (arm, hours, fits) in [("a", 1.0, true), ("b", 2.0, false), ("b", 2.0, false)] {
            sum.add(arm, &answer(hours, fits));
        }
        assert_eq!((sum.gpu_hours, sum.hours), (Span { least: 10.0, most: 20.0 }, 4.0));
        assert_eq!(sum.too_large(), ["b"]);
        let text = sum.text("h100");
        assert!(text.contains("3 trials on h100 takes 10.0 to 20.0 GPU hours, 3.0 to 6.0 kWh"), "{text}");
        assert!(text.contains("Not enough memory: `b`"), "{text}");
    }
}
