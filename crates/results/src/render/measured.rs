//! The blocks of further evaluations: a line for each probe, place (class, share, source) and arm, a column for each metric.

use super::block::Block;
use super::scale::{Scale, metric_words};
use crate::measures::Evaluation;
use crate::table::MeasuredLine;

/// What stands in a row beside its numbers.
type Row = (String, String, String);

/// The block of one evaluation; `None` without lines.
pub(super) fn block(set: &str, evaluation: Evaluation, lines: &[&MeasuredLine]) -> Option<Block> {
    let (mut metrics, mut rows): (Vec<&str>, Vec<Row>) = (Vec::new(), Vec::new());
    let row = |line: &MeasuredLine| (line.probe.clone(), line.place(), line.name());
    for line in lines {
        if !metrics.contains(&line.metric.as_str()) {
            metrics.push(&line.metric);
        }
        if !rows.contains(&row(line)) {
            rows.push(row(line));
        }
    }
    let number = |wanted: &Row, metric: &str| {
        let found = lines.iter().find(|line| line.metric == metric && row(line) == *wanted);
        found.map(|line| Scale::of(metric).spread(line.value.mean, line.value.std)).unwrap_or_default()
    };
    let placed = rows.iter().any(|(_, place, _)| !place.is_empty());
    let cells = |of: &Row| {
        let mut cells = vec![of.0.clone()];
        cells.extend(placed.then(|| of.1.clone()));
        cells.push(of.2.clone());
        cells.extend(metrics.iter().map(|metric| number(of, metric)));
        cells
    };
    let mut header = vec!["probe".to_owned()];
    header.extend(placed.then(|| place(evaluation).to_owned()));
    header.push("arm".to_owned());
    header.extend(metrics.iter().map(|metric| metric_words(metric) + Scale::of(metric).unit()));
    let texts = header.len() - metrics.len();
    let mut notes = vec![evaluation.how_to_read().to_owned()];
    notes.extend(said(lines));
    let heading = format!("{set}: {}, mean ± over seeds, descriptive", evaluation.name().replace('_', " "));
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    (!rows.is_empty()).then_some(Block { heading, header, texts, rows, notes })
}

/// What the places of an evaluation are.
fn place(evaluation: Evaluation) -> &'static str {
    match evaluation {
        Evaluation::LabelEfficiency | Evaluation::LabelsPerClass => "labelled",
        Evaluation::LeaveOneSourceOut => "source left out",
        _ => "class",
    }
}

/// What rows note of the whole evaluation, each once. How a single fit went stays in the rows.
fn said(lines: &[&MeasuredLine]) -> Vec<String> {
    let of_a_fit = |note: &&String| note.starts_with("C = ");
    let mut notes: Vec<String> = Vec::new();
    for note in lines.iter().flat_map(|line| &line.notes).filter(|note| !of_a_fit(note)) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    notes
}
