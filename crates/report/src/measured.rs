//! What further evaluations found, as curves and tables of a page.

use std::collections::BTreeSet;

use results::measures::Evaluation;
use results::render::{is_percent, metric_words};
use results::stats::score::Metric;
use results::table::{MeasuredLine, Table};

use crate::data::{COVERAGE, Chart, ChartKind, Kind, MeasuredRow, MeasuredTable, Series, Unit};
use crate::tally::rounded;

/// The metric of the risk–coverage curve, of which tables show the area.
const RISK: &str = "risk";

/// The tables of one evaluation set, one for each evaluation.
pub(crate) fn tables(table: &Table, dataset: &str, split: &str) -> Vec<MeasuredTable> {
    let of = |&evaluation: &Evaluation| {
        let lines: Vec<&MeasuredLine> =
            lines(table, dataset, split).filter(|l| l.evaluation == evaluation && l.metric != RISK).collect();
        tables_of(table, evaluation, &lines)
    };
    Evaluation::ALL.iter().filter_map(of).collect()
}

fn lines<'a>(table: &'a Table, dataset: &'a str, split: &'a str) -> impl Iterator<Item = &'a MeasuredLine> {
    table.measured.iter().filter(move |line| (&*line.dataset, &*line.split) == (dataset, split))
}

fn tables_of(table: &Table, evaluation: Evaluation, lines: &[&MeasuredLine]) -> Option<MeasuredTable> {
    let mut metrics: Vec<&str> = Vec::new();
    let mut rows: Vec<(&MeasuredLine, MeasuredRow)> = Vec::new();
    for line in lines {
        if !metrics.contains(&line.metric.as_str()) {
            metrics.push(&line.metric);
        }
        let same = |known: &MeasuredLine| {
            (&known.probe, known.place(), known.name()) == (&line.probe, line.place(), line.name())
        };
        if !rows.iter().any(|(known, _)| same(known)) {
            rows.push((line, row(table, line)));
        }
    }
    for (first, row) in &mut rows {
        for metric in &metrics {
            let is = |line: &&&MeasuredLine| {
                line.metric == **metric
                    && (&line.probe, line.place(), line.name()) == (&first.probe, first.place(), first.name())
            };
            let found = lines.iter().find(is);
            row.means.push(found.map(|line| rounded(line.value.mean)));
            row.over_seeds.push(found.and_then(|line| line.value.std).map(rounded));
        }
    }
    let notes: BTreeSet<&String> = lines.iter().flat_map(|line| &line.notes).filter(|note| !is_about_c(note)).collect();
    (!rows.is_empty()).then(|| MeasuredTable {
        title: words(evaluation),
        how: evaluation.how_to_read().to_owned(),
        notes: notes.into_iter().cloned().collect(),
        metrics: metrics.iter().map(|metric| (metric_words(metric), unit(metric))).collect(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    })
}

fn row(table: &Table, line: &MeasuredLine) -> MeasuredRow {
    MeasuredRow {
        name: line.name(),
        kind: kind(table, line),
        probe: line.probe.clone(),
        place: line.place(),
        means: Vec::new(),
        over_seeds: Vec::new(),
    }
}

fn kind(table: &Table, line: &MeasuredLine) -> Kind {
    match line.features == results::TEACHER {
        false => Kind::Baseline,
        true if table.reference.as_ref() == Some(&line.arm) => Kind::Reference,
        true => Kind::Arm,
    }
}

fn unit(metric: &str) -> Unit {
    if is_percent(metric) { Unit::Fraction } else { Unit::Number }
}

fn words(evaluation: Evaluation) -> String {
    let name = evaluation.name().replace('_', " ");
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Curves of one evaluation set: the primary metric by the share of labels and by their number, and the share of wrong answers by coverage for each
/// probe with probabilities.
pub fn curves(table: &Table, dataset: &str, split: &str) -> Vec<Chart> {
    let all: Vec<&MeasuredLine> = lines(table, dataset, split).filter(|line| place(line).is_some()).collect();
    let metric = table.primaries.get(dataset).copied().unwrap_or_default().metric;
    let labels = |evaluation| {
        let of = |line: &&MeasuredLine| line.evaluation == evaluation && line.metric == metric.name();
        label_curve((dataset, metric, evaluation), &all.iter().copied().filter(of).collect::<Vec<_>>())
    };
    let mut charts: Vec<Chart> =
        [Evaluation::LabelEfficiency, Evaluation::LabelsPerClass].into_iter().filter_map(labels).collect();
    let risks: Vec<&MeasuredLine> = all.into_iter().filter(|line| line.metric == RISK).collect();
    let mut probes: Vec<&str> = risks.iter().map(|line| line.probe.as_str()).collect();
    probes.dedup();
    // The primary probe first, which a page shows at the beginning.
    let primary = table.primaries.get(dataset).copied().unwrap_or_default().probe.name();
    probes.sort_by_key(|probe| *probe != primary);
    probes.dedup();
    charts.extend(probes.into_iter().map(|probe| {
        let of_probe: Vec<&MeasuredLine> = risks.iter().copied().filter(|line| line.probe == probe).collect();
        risk_curve(dataset, probe, &of_probe)
    }));
    charts
}

/// Where on a curve a line stands: at a share, or at a number of labels of each class.
fn place(line: &MeasuredLine) -> Option<f64> {
    line.fraction.or(line.labels_per_class.map(|labels| labels as f64))
}

fn label_curve((dataset, metric, evaluation): (&str, Metric, Evaluation), lines: &[&MeasuredLine]) -> Option<Chart> {
    let series = series(lines);
    let words = metric_words(metric.name());
    let (x, what) = match evaluation {
        Evaluation::LabelsPerClass => {
            ("labelled cells of each class", "only so many training cells of each class are labelled, image by image")
        }
        _ => ("share of the training cells", "only a share of the training cells is labelled, whole images at a time"),
    };
    (!series.is_empty()).then(|| Chart {
        group: "Label efficiency".to_owned(),
        title: format!("{dataset}: {words} by {x}"),
        how: format!(
            "the score of linear_standardised where {what}; bands are ± one standard deviation over seeds. A curve that is higher at the left needs \
             fewer labels."
        ),
        kind: ChartKind::Line,
        x: x.to_owned(),
        y: words,
        log_x: true,
        series,
    })
}

fn risk_curve(dataset: &str, probe: &str, lines: &[&MeasuredLine]) -> Chart {
    Chart {
        group: COVERAGE.to_owned(),
        title: format!("{dataset}: {}", probe.replace('_', " ")),
        how: "the probe answers only the cells of which it is most certain; the vertical axis is the share of wrong answers among them, mean ± \
        one standard deviation over seeds. If the curve falls towards the left, the answers with the highest confidence are more often correct."
            .to_owned(),
        kind: ChartKind::Line,
        x: "share of the cells answered".to_owned(),
        y: "share wrong".to_owned(),
        log_x: false,
        series: series(lines),
    }
}

/// One series for each arm or baseline, points by their [`place`].
fn series(lines: &[&MeasuredLine]) -> Vec<Series> {
    let mut names: Vec<String> = Vec::new();
    for line in lines {
        if !names.contains(&line.name()) {
            names.push(line.name());
        }
    }
    let of = |name: String| {
        let mut points: Vec<&&MeasuredLine> = lines.iter().filter(|line| line.name() == name).collect();
        points.sort_by(|a, b| place(a).unwrap_or(0.0).total_cmp(&place(b).unwrap_or(0.0)));
        let spread = points.iter().any(|line| line.value.std.is_some());
        let end = |sign: f64| {
            let of = |line: &&&MeasuredLine| rounded(line.value.mean + sign * line.value.std.unwrap_or(0.0));
            spread.then(|| points.iter().map(of).collect())
        };
        Series {
            x: points.iter().filter_map(|line| place(line)).collect(),
            y: points.iter().map(|line| Some(rounded(line.value.mean))).collect(),
            lo: end(-1.0),
            hi: end(1.0),
            name,
            detail: None,
        }
    };
    names.into_iter().map(of).collect()
}

/// Whether a note says which C the linear probe of an evaluation chose, as each fit does; versions before 0.2 began it with the number.
fn is_about_c(note: &str) -> bool {
    note.starts_with("the best C, ") || note.starts_with("C = ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::stats::Summary;

    fn line(evaluation: Evaluation, metric: &str, arm: &str, fraction: f64, mean: f64) -> MeasuredLine {
        MeasuredLine {
            dataset: "cells".into(),
            split: "grouped".into(),
            evaluation,
            probe: "linear_standardised".into(),
            class: None,
            fraction: Some(fraction),
            labels_per_class: None,
            source: None,
            metric: metric.into(),
            arm: arm.into(),
            features: results::TEACHER.into(),
            value: Summary { n: 3, mean, std: Some(0.01) },
            n_train: 10.0,
            notes: vec!["the best C, 10, is at the end of the range that was tried".into(), "normal: disc".into()],
        }
    }

    fn table(measured: Vec<MeasuredLine>) -> Table {
        Table {
            left_out: Vec::new(),
            title: "t".into(),
            reference: Some("base".into()),
            evidence: true,
            rules: Default::default(),
            primaries: Default::default(),
            family: Default::default(),
            lines: Vec::new(),
            features: Vec::new(),
            classes: Vec::new(),
            measured,
            unscored: Vec::new(),
        }
    }

    #[test]
    fn curves_run_over_shares_with_bands_over_seeds() {
        let labels = |arm, fraction, mean| line(Evaluation::LabelEfficiency, "weighted_f1", arm, fraction, mean);
        let table = table(vec![
            labels("base", 1.0, 0.9),
            labels("base", 0.01, 0.5),
            labels("other", 1.0, 0.8),
            line(Evaluation::Calibration, RISK, "base", 0.5, 0.1),
        ]);
        let charts = curves(&table, "cells", "grouped");
        assert_eq!(charts.iter().map(|chart| &*chart.group).collect::<Vec<_>>(), ["Label efficiency", COVERAGE]);
        let base = &charts[0].series[0];
        assert_eq!((&base.x, &base.y), (&vec![0.01, 1.0], &vec![Some(0.5), Some(0.9)]));
        assert_eq!((base.lo.as_ref().unwrap()[0], base.hi.as_ref().unwrap()[1]), (0.49, 0.91));
        assert!(charts[0].log_x && !charts[1].log_x && curves(&table, "others", "grouped").is_empty());
    }

    #[test]
    fn tables_have_a_row_for_each_arm_and_place_and_say_how_to_read_them() {
        let anomaly = |metric, arm, mean| MeasuredLine {
            fraction: None,
            class: Some("burr".into()),
            ..line(Evaluation::Anomaly, metric, arm, 1.0, mean)
        };
        let table =
            table(vec![anomaly("auroc", "base", 0.9), anomaly("auroc", "other", 0.8), anomaly("aupr", "base", 0.5)]);
        let [found] = &tables(&table, "cells", "grouped")[..] else { panic!("one table") };
        assert_eq!((&*found.title, &found.notes), ("Anomaly", &vec!["normal: disc".to_owned()]));
        assert_eq!(found.metrics, [("AUROC".to_owned(), Unit::Fraction), ("AUPR".to_owned(), Unit::Fraction)]);
        assert_eq!((found.rows[0].kind, &*found.rows[0].place), (Kind::Reference, "burr"));
        assert_eq!((&found.rows[0].means, &found.rows[1].means), (&vec![Some(0.9), Some(0.5)], &vec![Some(0.8), None]));
        assert!(!found.how.is_empty());
    }
}
