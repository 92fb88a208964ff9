//! How long the table of a large sweep takes, and how much memory: `cargo run -p results --example time_a_table -- CELLS CLASSES
//! ARMS SEEDS`. Four probes, 20 cells a group, 4 sources, 5 folds; a file of predictions for each trial is opened anew.

#![allow(clippy::print_stdout, reason = "its output is its result")]

use std::collections::BTreeMap;
use std::time::Instant;

use results::predictions::{
    Cell, FeaturesRecord, Fit, Origin, Predicted, Predictions, ProbeColumn, ProbeFits, Task, Writer,
};
use results::stats::counts::CountsBuilder;
use results::table::{Evaluated, Table, TableOptions};
use results::{ResultRow, ResultsError, TEACHER, render};
use run_spec::ids::Digest;
use run_spec::seed::stream;

const PROBES: [(&str, bool); 4] = [("linear", true), ("1nn", false), ("20nn", false), ("linear_standardised", true)];
const FOLDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1);
    let mut number =
        || numbers.next().ok_or("give CELLS CLASSES ARMS SEEDS")?.parse::<usize>().map_err(|e| e.to_string());
    let (cells, classes, arms, seeds) = (number()?, number()?, number()?, number()?);
    // Arms of one seed share a file here: what is timed is reading, which knows nothing of that.
    let files: Vec<Vec<u8>> = (0..seeds).map(|seed| file(cells, classes, seed as u64)).collect::<Result<_, _>>()?;
    let rows = rows(&files, arms)?;
    let start = Instant::now();
    let options = TableOptions { reference: Some("arm 0".to_owned()), ..TableOptions::default() };
    let table = Table::with_predictions(&rows, &[], &options, |_, _| {
        let counted = counted(&files, classes, arms);
        println!("counted after {:.1} s", start.elapsed().as_secs_f64());
        counted
    })?;
    let text = render::terminal(&table);
    let megabytes = files.iter().map(Vec::len).max().unwrap_or(0) as f64 / 1e6;
    println!(
        "{cells} cells × {classes} classes, {arms} arms × {seeds} seeds, {megabytes:.1} MB a trial: table of {} lines in {:.1} s; \
         peak memory {}",
        text.lines().count(),
        start.elapsed().as_secs_f64(),
        peak()
    );
    Ok(())
}

/// Peak memory of this process, where `/proc` says it; the files themselves are part of it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |kib| kib.trim().to_owned())
}

/// What `orchestrator results` does for each evaluation set.
fn counted(files: &[Vec<u8>], classes: usize, arms: usize) -> Result<Evaluated, ResultsError> {
    let mut builders = PROBES.map(|(probe, _)| (probe, CountsBuilder::new(classes)));
    for (seed, file) in files.iter().enumerate() {
        for arm in 0..arms {
            let predictions = Predictions::open(file.clone(), "the file")?;
            for (probe, builder) in &mut builders {
                predictions.add_counts((TEACHER, probe), (&format!("arm {arm}"), seed as u64), builder)?;
            }
        }
    }
    let mut counts = BTreeMap::new();
    for (probe, builder) in builders {
        counts.insert(probe.to_owned(), builder.build()?);
    }
    Ok(Evaluated { classes: (0..classes).map(|class| class.to_string()).collect(), counts })
}

/// The rows of all trials.
fn rows(files: &[Vec<u8>], arms: usize) -> Result<Vec<ResultRow>, ResultsError> {
    let mut all = Vec::new();
    for file in files {
        let rows = Predictions::open(file.clone(), "the file")?.rows()?;
        all.extend(
            (0..arms)
                .flat_map(|arm| rows.iter().map(move |row| ResultRow { arm: format!("arm {arm}"), ..row.clone() })),
        );
    }
    Ok(all)
}

/// A file of predictions that are right for some two cells in three.
fn file(cells: usize, classes: usize, seed: u64) -> Result<Vec<u8>, ResultsError> {
    let mut draws = stream(seed, "example", &[]);
    let mut class = |i: usize| if draws.below(3) > 0 { i % classes } else { draws.below(classes as u64) as usize };
    let predicted: Vec<u32> = (0..cells).map(|i| class(i) as u32).collect();
    let probabilities = vec![1.0 / classes as f32; cells * classes];
    let predicted = PROBES
        .map(|(_, linear)| Predicted { classes: &predicted, probabilities: linear.then_some(&probabilities[..]) });
    let mut writer = Writer::new(Vec::new(), task(classes))?;
    writer.write(record(seed, cells), (0..cells).map(|i| cell(i, classes)), &predicted)?;
    writer.finish()
}

fn cell(i: usize, classes: usize) -> Cell {
    let group = i / 20;
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

fn record(seed: u64, cells: usize) -> FeaturesRecord {
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
            arm: String::new(),
            step: 600.into(),
            checkpoint: None,
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
