//! How long the table of a large sweep takes, and how much memory: `cargo run -p results --example time_a_table -- CELLS CLASSES
//! ARMS SEEDS`. Four probes, 20 cells a group, 4 sources, 5 folds; a file of predictions for each trial is opened anew.

#![allow(clippy::print_stdout, reason = "its output is its result")]

use std::collections::BTreeMap;
use std::time::Instant;

use results::predictions::{Predictions, Writer};
use results::stats::counts::CountsBuilder;
use results::table::{Evaluated, Table, TableOptions};
use results::{ResultRow, ResultsError, TEACHER, render};

use drawn::{Drawn, PROBES, cell, record, task};

mod drawn;

/// Cells of one image.
const PER_GROUP: usize = 20;

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

/// A file of drawn predictions.
fn file(cells: usize, classes: usize, seed: u64) -> Result<Vec<u8>, ResultsError> {
    let mut writer = Writer::new(Vec::new(), task(classes))?;
    let cell = |i| cell(i, classes, PER_GROUP);
    writer.write(record(cells, seed), (0..cells).map(cell), &Drawn::new(cells, classes, seed).predicted())?;
    writer.finish()
}
