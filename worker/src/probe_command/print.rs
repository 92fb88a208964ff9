//! The scores of a probe, as a table for people.

use anyhow::Result;
use probe::ProbeError;
use probe::metrics::Metric;
use probe::protocol::{Evaluation, Probe};
use results::ResultsError;
use results::stats::Bootstrap;
use terminal::counted;

use super::{Scored, measured};
use crate::cli::ScoringArgs;

/// Prints the scores of all features under each probe, in percent, then the further evaluations.
pub(super) fn print(args: &ScoringArgs, scored: &[Scored]) -> Result<()> {
    let Some((first, others)) = scored.split_first() else { return Ok(()) };
    let (origin, cells) = (&first.origin, first.evaluation.cells());
    terminal::line(format!(
        "{}, {}, {}, split {} ({}), step {}{}",
        counted(cells.len(), "cell"),
        counted(cells.classes().names().len(), "class"),
        counted(cells.groups(), "group"),
        args.split,
        counted(cells.folds().len(), "fold"),
        origin.step,
        if origin.transductive == Some(true) {
            ", transductive: the training set contained images of this set"
        } else {
            ""
        }
    ));
    let bootstrap = (args.bootstrap > 0).then_some(Bootstrap { resamples: args.bootstrap, level: LEVEL, seed: 0 });
    let mut header = SCORES.map(str::to_owned).to_vec();
    if bootstrap.is_some() {
        header.push("95 % interval".to_owned());
        header.extend(others.iter().map(|other| format!("minus {}", other.features)));
    }
    let mut rows = Vec::new();
    for of in scored {
        // The first features are the model's own; the others are what it is compared with.
        let compared = if of.features == first.features { others } else { &[] };
        for probe in of.evaluation.predictions().iter().map(|of| of.probe) {
            let mut row = line(of, (probe, compared), bootstrap.as_ref())?;
            row.resize(header.len(), String::new());
            rows.push(row);
        }
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    terminal::line(terminal::table(&header, &header[2..5], &rows));
    terminal::line(explanation(bootstrap.is_some()));
    for Scored { features, measures, .. } in scored {
        measured::lines(measures).iter().for_each(|line| terminal::line(format!("{features:<10} {line}")));
    }
    Ok(())
}

/// Columns that are always there.
const SCORES: [&str; 5] = ["features", "probe", "accuracy", "balanced accuracy", "weighted F1"];

/// Level of the intervals.
const LEVEL: f64 = 0.95;

fn explanation(intervals: bool) -> String {
    let intervals = if intervals {
        " Interval and differences, in points, are those of weighted F1 over new groups (images, patients)."
    } else {
        ""
    };
    format!(
        "In percent: mean over folds ± standard deviation over folds.{intervals} A sweep's table averages over the folds of a source first."
    )
}

/// The scores of one probe, its interval, and its differences to `compared`.
fn line(of: &Scored, (probe, compared): (Probe, &[Scored]), bootstrap: Option<&Bootstrap>) -> Result<Vec<String>> {
    let cell = |metric| -> Result<String> {
        let summary = of.evaluation.summary(probe, metric)?;
        Ok(format!("{:.1} ± {:.1}", 100.0 * summary.mean, 100.0 * summary.std.unwrap_or(0.0)))
    };
    let scores = [cell(Metric::Accuracy)?, cell(Metric::BalancedAccuracy)?, cell(Metric::WeightedF1)?];
    let mut row = vec![of.features.clone(), probe.name.to_string()];
    row.extend(scores);
    if let Some(bootstrap) = bootstrap {
        row.extend(intervals(&of.evaluation, (probe, compared), bootstrap)?);
    }
    Ok(row)
}

/// The interval over groups, and the differences to `compared` on the same draws of groups; why there is none where a fold has one group.
fn intervals(of: &Evaluation, (probe, compared): (Probe, &[Scored]), bootstrap: &Bootstrap) -> Result<Vec<String>> {
    let interval = match of.interval(probe, Metric::WeightedF1, bootstrap) {
        Err(ProbeError::Statistics(ResultsError::OneGroup { .. })) => {
            return Ok(vec!["none: a fold has one group".to_owned()]);
        }
        interval => interval?,
    };
    let mut cells = vec![format!("[{:.1}, {:.1}]", 100.0 * interval.lo, 100.0 * interval.hi)];
    for Scored { evaluation: other, .. } in compared {
        let (difference, interval) = of.paired_difference(other, probe, Metric::WeightedF1, bootstrap)?;
        cells.push(format!(
            "{} [{}, {}]",
            terminal::points(difference),
            terminal::points(interval.lo),
            terminal::points(interval.hi)
        ));
    }
    Ok(cells)
}
