//! The forms that programs read: CSV and Parquet, with fractions and all their digits, one record per line of the table.

use crate::ResultsError;
use crate::columns::{counts, numbers, texts, write_batch};
use crate::row::UnscoredTrial;
use crate::stats::Interval;
use crate::stats::estimate::Estimate;
use crate::stats::power::SeedsNeeded;
use crate::table::{ClassLine, Difference, Line, MeasuredLine, Missing, Table};

/// The table as CSV: one record per line of the table, those of the features' spread included, then one per trial without
/// scores: its state in `status`, and in `failed` the reason of one that failed or is damaged.
///
/// # Errors
/// [`ResultsError::Csv`], which for a buffer in memory means a defect of this crate.
pub fn csv(table: &Table) -> Result<String, ResultsError> {
    as_csv(&records(table))
}

/// The table as the bytes of a Parquet file, with the columns of [`csv()`]. The same table gives the same bytes.
///
/// # Errors
/// [`ResultsError::Parquet`] or [`ResultsError::Arrow`], which for a buffer in memory mean a defect of this crate.
pub fn parquet(table: &Table) -> Result<Vec<u8>, ResultsError> {
    as_parquet(&records(table), "the table")
}

/// The scores of single classes as CSV, one record per probe, class and arm; empty where no predictions are kept.
///
/// # Errors
/// As [`csv()`].
pub fn classes_csv(table: &Table) -> Result<String, ResultsError> {
    as_csv(&table.classes.iter().map(of_class).collect::<Vec<_>>())
}

/// What further evaluations found as CSV, one record per evaluation, probe, metric, place and arm; empty where none was asked for.
///
/// # Errors
/// As [`csv()`].
pub fn measured_csv(table: &Table) -> Result<String, ResultsError> {
    as_csv(&table.measured.iter().map(of_measured).collect::<Vec<_>>())
}

/// A value of a record.
#[derive(Debug, Clone)]
enum Cell {
    Text(String),
    Count(u64),
    Number(Option<f64>),
}

/// One record: names of columns with their values. All records of a table have the same columns.
type Record = Vec<(&'static str, Cell)>;

fn text(name: &'static str, value: impl Into<String>) -> (&'static str, Cell) {
    (name, Cell::Text(value.into()))
}

fn count(name: &'static str, value: usize) -> (&'static str, Cell) {
    (name, Cell::Count(value as u64))
}

fn number(name: &'static str, value: impl Into<Option<f64>>) -> (&'static str, Cell) {
    (name, Cell::Number(value.into()))
}

fn as_csv(records: &[Record]) -> Result<String, ResultsError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let Some(first) = records.first() {
        writer.write_record(first.iter().map(|(name, _)| name))?;
    }
    for record in records {
        writer.write_record(record.iter().map(|(_, cell)| match cell {
            Cell::Text(text) => text.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        }))?;
    }
    let bytes = writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn as_parquet(records: &[Record], what: &str) -> Result<Vec<u8>, ResultsError> {
    let column = |i: usize| {
        let cells = || records.iter().map(move |record| &record[i].1);
        match records[0][i].1 {
            Cell::Text(_) => texts(cells().map(|cell| if let Cell::Text(text) = cell { text.as_str() } else { "" })),
            Cell::Count(_) => counts(cells().map(|cell| if let Cell::Count(count) = cell { *count } else { 0 })),
            Cell::Number(_) => {
                numbers(cells().map(|cell| if let Cell::Number(number) = cell { *number } else { None }))
            }
        }
    };
    let names = records.first().into_iter().flatten().map(|(name, _)| *name);
    write_batch(names.enumerate().map(|(i, name)| (name, column(i))).collect(), what)
}

fn records(table: &Table) -> Vec<Record> {
    let lines = table.lines.iter().chain(&table.features).map(|line| of_line(table, line));
    lines.chain(table.unscored.iter().map(|trial| of_trial(table, trial))).collect()
}

fn of_line(table: &Table, line: &Line) -> Record {
    let mut record = vec![
        text("dataset", &*line.dataset),
        text("split", &*line.split),
        text("metric", &*line.metric),
        text("probe", &*line.probe),
        text("arm", &*line.arm),
        text("features", &*line.features),
        text("reference", table.reference.clone().unwrap_or_default()),
        text("primary", line.is_primary.to_string()),
        count("n", line.n),
        count("seeds", line.seeds),
        number("mean", line.mean),
        number("std_over_seeds", line.over_seeds),
        number("std_over_folds", line.over_folds),
    ];
    record.extend(of_difference(table, line.difference.as_ref()));
    record.extend(of_verdict(table, line.difference.as_ref()));
    record.extend(of_sources(table, line));
    record.extend([
        number("hours", line.hours),
        number("kwh", line.kwh),
        text("notes", line.notes.join("; ")),
        text("evidence", table.evidence.to_string()),
        text("failed", ""),
        text("status", "scored"),
    ]);
    record
}

fn of_difference(table: &Table, difference: Option<&Difference>) -> Record {
    let interval = |estimate: fn(&Difference) -> &Result<Estimate, Missing>| -> Option<Interval> {
        difference.and_then(|d| estimate(d).as_ref().ok()).map(|estimate| estimate.interval(table.level()))
    };
    let missing = |estimate: fn(&Difference) -> &Result<Estimate, Missing>| {
        difference.and_then(|d| estimate(d).as_ref().err()).map(ToString::to_string).unwrap_or_default()
    };
    let (groups, seeds) = (interval(|d| &d.over_seeds_and_groups), interval(|d| &d.over_seeds));
    vec![
        count("common_seeds", difference.map_or(0, |d| d.seeds)),
        number("difference", difference.map(|d| d.mean)),
        number("lo", groups.map(|i| i.lo)),
        number("hi", groups.map(|i| i.hi)),
        text("no_interval", missing(|d| &d.over_seeds_and_groups)),
        number("seeds_alone_lo", seeds.map(|i| i.lo)),
        number("seeds_alone_hi", seeds.map(|i| i.hi)),
        text("no_seeds_alone", missing(|d| &d.over_seeds)),
        number("level", table.level()),
    ]
}

fn of_verdict(table: &Table, difference: Option<&Difference>) -> Record {
    let judged = difference.and_then(|d| d.judgement);
    let judgement = judged.map(|j| j.judgement);
    let needed = judged.map_or(String::new(), |j| match j.seeds_needed {
        SeedsNeeded::None => "0".to_owned(),
        SeedsNeeded::More(n) => n.to_string(),
        SeedsNeeded::OutOfReach => "out of reach".to_owned(),
    });
    vec![
        number("p", judgement.map(|j| j.p)),
        number("p_holm", judgement.map(|j| j.p_holm)),
        count("family", table.family.tests()),
        number("equivalence", table.rules.margin),
        number("equivalence_lo", judgement.map(|j| j.equivalence_interval.lo)),
        number("equivalence_hi", judgement.map(|j| j.equivalence_interval.hi)),
        number("equivalence_p", judgement.map(|j| j.equivalence_p)),
        text("verdict", judgement.map_or("", |j| j.verdict.words())),
        text("further_seeds", needed),
        number("detectable", judged.and_then(|j| j.detectable)),
    ]
}

/// The second estimand; its test stands on primary lines of arms alone.
fn of_sources(table: &Table, line: &Line) -> Record {
    let of = line.difference.as_ref().and_then(|d| d.over_sources);
    let interval = of.map(|of| of.estimate.interval(table.level()));
    let test = of.map(|of| of.estimate).filter(|_| line.is_primary && !line.is_baseline());
    vec![
        count("sources", of.map_or(0, |of| of.sources)),
        number("sources_difference", of.map(|of| of.estimate.mean())),
        number("sources_lo", interval.map(|i| i.lo)),
        number("sources_hi", interval.map(|i| i.hi)),
        number("sources_p", test.map(|test| test.p())),
        number("sources_smallest_p", test.map(|test| test.sign_flip.attainable)),
    ]
}

fn of_trial(table: &Table, trial: &UnscoredTrial) -> Record {
    let failed = trial.state.is_failure();
    let empty = Line {
        dataset: String::new(),
        split: String::new(),
        metric: String::new(),
        probe: String::new(),
        arm: trial.arm.clone(),
        features: String::new(),
        is_primary: false,
        n: 0,
        seeds: 0,
        mean: 0.0,
        over_seeds: None,
        over_folds: None,
        difference: None,
        hours: 0.0,
        kwh: None,
        notes: Vec::new(),
        by_seed: Vec::new(),
    };
    let put = |(name, cell): (&'static str, Cell)| match name {
        "mean" | "hours" => number(name, None),
        "notes" if !failed => text(name, place(trial)),
        "failed" if failed => text(name, place(trial)),
        "status" => text(name, trial.state.words()),
        _ => (name, cell),
    };
    of_line(table, &empty).into_iter().map(put).collect()
}

/// Which seed and trial, and why it has no scores.
fn place(trial: &UnscoredTrial) -> String {
    format!("seed {} ({}): {}", trial.seed, trial.trial.short(), trial.reason)
}

fn of_class(line: &ClassLine) -> Record {
    vec![
        text("dataset", &*line.dataset),
        text("split", &*line.split),
        text("probe", &*line.probe),
        text("class", &*line.class),
        text("arm", &*line.arm),
        text("features", &*line.features),
        count("support", line.support as usize),
        count("seeds", line.f1.n),
        number("precision", line.precision.mean),
        number("precision_std", line.precision.std),
        number("recall", line.recall.mean),
        number("recall_std", line.recall.std),
        number("f1", line.f1.mean),
        number("f1_std", line.f1.std),
    ]
}

fn of_measured(line: &MeasuredLine) -> Record {
    vec![
        text("dataset", &*line.dataset),
        text("split", &*line.split),
        text("evaluation", line.evaluation.name()),
        text("probe", &*line.probe),
        text("metric", &*line.metric),
        text("class", line.class.clone().unwrap_or_default()),
        number("fraction", line.fraction),
        text("labels_per_class", line.labels_per_class.map(|labels| labels.to_string()).unwrap_or_default()),
        text("source", line.source.clone().unwrap_or_default()),
        text("arm", &*line.arm),
        text("features", &*line.features),
        count("seeds", line.value.n),
        number("mean", line.value.mean),
        number("std_over_seeds", line.value.std),
        number("n_train", line.n_train),
        text("notes", line.notes.join("; ")),
    ]
}
