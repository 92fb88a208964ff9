//! How large a file of predictions is, and how long reading it takes: `cargo run -p results --example predictions -- CELLS
//! CLASSES`. Two linear probes with probabilities and two of nearest neighbours, one set of features, 100 cells a group.

#![allow(clippy::print_stdout, reason = "its output is its result")]

use std::time::Instant;

use results::TEACHER;
use results::predictions::{Predictions, Writer};
use results::stats::counts::CountsBuilder;

use drawn::{Drawn, cell, record, task};

mod drawn;

/// Cells of one image.
const PER_GROUP: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1);
    let mut number = || numbers.next().ok_or("give CELLS CLASSES")?.parse::<usize>().map_err(|e| e.to_string());
    let (cells, classes) = (number()?, number()?);
    let drawn = Drawn::new(cells, classes, 0);

    let start = Instant::now();
    let mut writer = Writer::new(Vec::new(), task(classes))?;
    let predicted = drawn.predicted();
    writer.write(record(cells, 0), (0..cells).map(|i| cell(i, classes, PER_GROUP)), &predicted)?;
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
