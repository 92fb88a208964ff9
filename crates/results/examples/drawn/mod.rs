//! A large file of predictions that are drawn: four sources, five folds, four probes, right for two cells in three.

use results::TEACHER;
use results::predictions::{Cell, FeaturesRecord, Fit, Origin, Predicted, ProbeColumn, ProbeFits, Task};
use run_spec::ids::Digest;
use run_spec::seed::stream;

/// The probes, and whether each leaves probabilities.
pub(crate) const PROBES: [(&str, bool); 4] =
    [("linear", true), ("1nn", false), ("20nn", false), ("linear_standardised", true)];
const FOLDS: usize = 5;

/// Predictions of a probe that is right for two cells in three, with probabilities as a softmax gives them.
pub(crate) struct Drawn {
    predicted: Vec<u32>,
    probabilities: Vec<f32>,
}

impl Drawn {
    pub(crate) fn new(cells: usize, classes: usize, seed: u64) -> Self {
        let mut draws = stream(seed, "example", &[]);
        let (mut predicted, mut probabilities) = (Vec::with_capacity(cells), Vec::with_capacity(cells * classes));
        for i in 0..cells {
            let class = if draws.below(3) > 0 { i % classes } else { draws.below(classes as u64) as usize };
            let of_class = |k: usize, noise: f64| (if k == class { 3.0 } else { 0.0 } + noise).exp();
            let row: Vec<f64> = (0..classes).map(|k| of_class(k, draws.normal())).collect();
            let sum: f64 = row.iter().sum();
            probabilities.extend(row.iter().map(|p| (p / sum) as f32));
            predicted.push(class as u32);
        }
        Self { predicted, probabilities }
    }

    /// What each of [`PROBES`] said.
    pub(crate) fn predicted(&self) -> [Predicted<'_>; 4] {
        PROBES.map(|(_, probabilities)| Predicted {
            classes: &self.predicted,
            probabilities: probabilities.then_some(&self.probabilities[..]),
        })
    }
}

pub(crate) fn cell(i: usize, classes: usize, per_group: usize) -> Cell {
    let group = i / per_group;
    Cell {
        id: Digest::of(&i.to_le_bytes()),
        pixel_digest: Digest::of(&(i as u64 | 1 << 63).to_le_bytes()),
        source: format!("source {}", group % 4).into(),
        group: format!("images/smear-{group:05}.png").into(),
        fold: (group / 4 % FOLDS) as u32,
        truth: (i % classes) as u32,
    }
}

pub(crate) fn task(classes: usize) -> Task {
    Task {
        dataset: "cells".to_owned(),
        split: "grouped".to_owned(),
        split_digest: Digest::of(b"split"),
        shards_eval: Digest::of(b"eval"),
        classes: (0..classes).map(|class| format!("class {class:02}")).collect(),
        folds: (0..FOLDS).map(|fold| fold.to_string()).collect(),
        probes: PROBES.map(|(name, probabilities)| ProbeColumn { name: name.to_owned(), probabilities }).into(),
        code_probe: "example".to_owned(),
    }
}

pub(crate) fn record(cells: usize, seed: u64) -> FeaturesRecord {
    let fit = |fold: usize| Fit {
        fold: fold.to_string(),
        n_train: (cells - cells / FOLDS) as u64,
        note: String::new(),
        c: None,
        optimum: None,
    };
    let fits = PROBES.map(|(probe, _)| ProbeFits { probe: probe.to_owned(), folds: (0..FOLDS).map(fit).collect() });
    FeaturesRecord {
        features: TEACHER.to_owned(),
        origin: Origin {
            run: "run".to_owned(),
            trial: Digest::of(b"trial"),
            seed: seed.into(),
            arm: "reference".to_owned(),
            step: 600.into(),
            checkpoint: Some(Digest::of(b"checkpoint")),
            config: Digest::of(b"config"),
            shards_train: Digest::of(b"train"),
            init_weights: None,
            code: "example".to_owned(),
            device: "none".to_owned(),
            hours: 0.0,
            kwh: None,
            transductive: Some(false),
            token: None,
        },
        spread: None,
        fits: fits.into(),
        measures: Vec::new(),
    }
}
