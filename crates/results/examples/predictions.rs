//! How large a file of predictions is, and how long reading it takes: `cargo run -p results --example predictions -- CELLS
//! CLASSES`. Two linear probes with probabilities and two of nearest neighbours, one set of features, 100 cells a group.

#![allow(clippy::print_stdout, reason = "its output is its result")]

use std::time::Instant;

use results::TEACHER;
use results::predictions::{
    Cell, FeaturesRecord, Fit, Origin, Predicted, Predictions, ProbeColumn, ProbeFits, Task, Writer,
};
use results::stats::counts::CountsBuilder;
use run_spec::ids::Digest;
use run_spec::seed::stream;

const PROBES: [(&str, bool); 4] = [("linear", true), ("1nn", false), ("20nn", false), ("linear_standardised", true)];
const FOLDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1);
    let mut number = || numbers.next().ok_or("give CELLS CLASSES")?.parse::<usize>().map_err(|e| e.to_string());
    let (cells, classes) = (number()?, number()?);
    let drawn = Drawn::new(cells, classes);

    let start = Instant::now();
    let mut writer = Writer::new(Vec::new(), task(classes))?;
    let predicted = PROBES.map(|(_, probabilities)| Predicted {
        classes: &drawn.predicted,
        probabilities: probabilities.then_some(&drawn.probabilities[..]),
    });
    writer.write(record(cells), (0..cells).map(|i| cell(i, classes)), &predicted)?;
    let held = writer.memory_size();
    let bytes = writer.finish()?;
    let (size, written) = (bytes.len(), start.elapsed());

    let start = Instant::now();
    let predictions = Predictions::open(bytes, "the file")?;
    let mut builder = CountsBuilder::new(classes);
    predictions.add_counts((TEACHER, "linear_standardised"), ("reference", 0), &mut builder)?;
    let groups = builder.build()?.strata().iter().map(|stratum| stratum.groups.len()).sum::<usize>();
    let counted = start.elapsed();

    let start = Instant::now();
    let rows = predictions.rows()?.len();
    let derived = start.elapsed();
    let mb = |bytes: usize| bytes as f64 / 1e6;
    println!(
        "{cells} cells × {classes} classes: {:.1} MB, written in {:.2} s holding {:.1} MB; counts of {groups} groups in {:.2} s; {rows} rows in {:.2} s",
        mb(size),
        written.as_secs_f64(),
        mb(held),
        counted.as_secs_f64(),
        derived.as_secs_f64()
    );
    Ok(())
}

/// Predictions of a probe that is right for two cells in three, with probabilities as a softmax gives them.
struct Drawn {
    predicted: Vec<u32>,
    probabilities: Vec<f32>,
}

impl Drawn {
    fn new(cells: usize, classes: usize) -> Self {
        let mut draws = stream(0, "example", &[]);
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
}

fn cell(i: usize, classes: usize) -> Cell {
    let group = i / 100;
    Cell {
        id: Digest::of(&i.to_le_bytes()),
        pixel_digest: Digest::of(&(i as u64 | 1 << 63).to_le_bytes()),
        source: format!("source {}", group % 4).into(),
        group: format!("images/smear-{group:05}.png").into(),
        fold: (group / 4 % FOLDS) as u32,
        truth: (i % classes) as u32,
    }
}

fn task(classes: usize) -> Task {
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

fn record(cells: usize) -> FeaturesRecord {
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
            seed: 0.into(),
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
        },
        spread: None,
        fits: fits.into(),
    }
}
