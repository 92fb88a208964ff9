//! Times the protocol and the further evaluations on made-up features of four sources:
//! `cargo run -p probe --example time_a_probe -- CELLS DIM CLASSES OUT_FILE`.
//!
//! The published size of the Chula set is 20875 cells of 12 classes; ViT-S has 384 features.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use probe::evaluations::{self, Setting, Subject};
use probe::metrics::Metric;
use probe::protocol::{Cells, Probe, evaluate};
use probe::{Classes, Features};
use results::measures::Evaluation;
use results::stats::Bootstrap;
use run_spec::seed::stream;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1);
    let mut number =
        || numbers.next().ok_or("give CELLS DIM CLASSES OUT_FILE")?.parse::<usize>().map_err(|e| e.to_string());
    let (cells, dim, classes) = (number()?, number()?, number()?);
    let out = numbers.next().ok_or("give CELLS DIM CLASSES OUT_FILE")?;
    let mut draws = stream(0, "example", &[]);
    let labels: Vec<String> = (0..cells).map(|_| format!("{:02}", draws.below(classes as u64))).collect();
    let groups: Vec<String> = (0..cells).map(|i| (i / 20).to_string()).collect();
    let folds: Vec<String> = (0..cells).map(|i| (i / 20 % 5).to_string()).collect();
    let centres: Vec<f64> = (0..classes * dim).map(|_| 0.12 * draws.normal()).collect();
    let mut data = Vec::with_capacity(cells * dim);
    for label in &labels {
        let class: usize = label.parse()?;
        data.extend((0..dim).map(|j| (centres[class * dim + j] + draws.normal()) as f32));
    }
    let (cells, features) = (Arc::new(Cells::new(&labels, &groups, &folds)?), Features::new(dim, data)?);
    let mut report = String::new();
    for probe in Probe::ALL.into_iter().chain([Probe::LINEAR_WITH_OPTIMUM]) {
        let start = Instant::now();
        let evaluation = evaluate(&cells, &features, &[probe])?;
        let seconds = start.elapsed().as_secs_f64();
        let summary = evaluation.summary(probe, Metric::WeightedF1)?;
        let start = Instant::now();
        let interval = evaluation.interval(probe, Metric::WeightedF1, &Bootstrap::default())?;
        let (f1, boot) = (summary.mean, start.elapsed().as_secs_f64());
        let note =
            evaluation.predictions()[0].fits.iter().map(|f| f.note.clone()).find(|n| !n.is_empty()).unwrap_or_default();
        writeln!(
            report,
            "{}: {seconds:.1} s, weighted F1 {f1:.4} [{:.4}, {:.4}] ({boot:.1} s) {note}",
            probe.name, interval.lo, interval.hi
        )?;
    }
    report.push_str(&further(&cells, &features)?);
    Ok(std::fs::write(out, report)?)
}

/// Seconds of each further evaluation, beside the protocol that it adds to.
fn further(cells: &Arc<Cells>, features: &Features) -> Result<String, Box<dyn std::error::Error>> {
    let sources: Vec<String> = (0..cells.len()).map(|i| format!("source {}", i / 20 / 5 % 4)).collect();
    let sources = Classes::encode(&sources);
    let protocol = evaluate(cells, features, &Probe::ALL)?;
    let mut report = String::new();
    for &evaluation in Evaluation::ALL {
        let start = Instant::now();
        let added: Vec<Probe> =
            evaluations::probes(&[evaluation]).into_iter().filter(|probe| !Probe::ALL.contains(probe)).collect();
        if !added.is_empty() {
            evaluate(cells, features, &added)?;
        }
        let setting = Setting { cells, sources: &sources, normal: None };
        let subject = Subject { setting, features, evaluation: &protocol, patch_scores: None };
        let numbers = evaluations::measure(&[evaluation], &subject)?;
        let seconds = start.elapsed().as_secs_f64();
        writeln!(report, "{}: {seconds:.1} s, {} numbers", evaluation.name(), numbers.len())?;
    }
    Ok(report)
}
