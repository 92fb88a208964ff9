//! Scores against what they cost.

use results::measures::Evaluation;
use results::render::metric_words;
use results::table::{Line, MeasuredLine, Table};

use crate::data::{Chart, ChartKind, Series};

/// What features cost, as in the rows.
const COSTS: [&str; 3] = ["parameters_million", "gflop_per_image", "images_per_s"];

/// A chart for each evaluation set and cost that rows tell (`evaluations: [cost]`): the primary score of each line over it.
pub fn costs(table: &Table) -> Vec<Chart> {
    let datasets = table.primaries.keys();
    datasets.flat_map(|dataset| COSTS.iter().filter_map(|cost| chart(table, dataset, cost))).collect()
}

fn chart(table: &Table, dataset: &str, metric: &str) -> Option<Chart> {
    let primary = table.lines.iter().filter(|line| line.is_primary && line.dataset == dataset);
    let cost = |line: &Line| {
        let about = |other: &&MeasuredLine| (&*other.dataset, other.evaluation) == (dataset, Evaluation::Cost);
        let of = |other: &MeasuredLine| other.metric == metric && other.name() == line.name();
        table.measured.iter().filter(about).find(|other| of(other)).map(|other| other.value.mean)
    };
    let points: Vec<(&Line, f64)> = primary.filter_map(|line| Some((line, cost(line)?))).collect();
    let (first, _) = points.first()?;
    let words = metric_words(metric);
    let score = format!("{} {}, %", first.probe.replace('_', " "), metric_words(&first.metric));
    Some(Chart {
        group: "Cost".to_owned(),
        title: format!("{dataset}: score over {words}"),
        how: how(metric).to_owned(),
        kind: ChartKind::Points,
        x: words.clone(),
        y: score,
        log_x: true,
        series: points
            .iter()
            .map(|(line, cost)| Series {
                name: line.name(),
                detail: None,
                x: vec![*cost],
                y: vec![Some(100.0 * line.mean)],
                lo: None,
                hi: None,
            })
            .collect(),
    })
}

fn how(metric: &str) -> &'static str {
    match metric {
        "images_per_s" => {
            "a point is a model; higher is better, further right is faster. The network alone is timed, on its device, without reading and decoding; \
             it depends on the machine and what else ran on it."
        }
        _ => {
            "a point is a model; higher is better, further left is cheaper. The operations that make the features are counted, without heads; a multiplication and \
             its addition are two operations."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::stats::Summary;

    fn line(features: &str, mean: f64) -> Line {
        Line {
            dataset: "cells".into(),
            split: "grouped".into(),
            metric: "weighted_f1".into(),
            probe: "linear".into(),
            arm: String::new(),
            features: features.into(),
            is_primary: true,
            n: 1,
            seeds: 1,
            mean,
            over_seeds: None,
            over_folds: None,
            difference: None,
            hours: 0.0,
            kwh: None,
            notes: Vec::new(),
            by_seed: Vec::new(),
        }
    }

    fn cost(features: &str, metric: &str, mean: f64) -> MeasuredLine {
        MeasuredLine {
            dataset: "cells".into(),
            split: "grouped".into(),
            evaluation: Evaluation::Cost,
            probe: "features".into(),
            class: None,
            fraction: None,
            labels_per_class: None,
            source: None,
            metric: metric.into(),
            arm: String::new(),
            features: features.into(),
            value: Summary { n: 1, mean, std: None },
            n_train: 0.0,
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_model_whose_cost_is_known_is_a_point_of_each_chart() {
        let table = Table {
            left_out: Vec::new(),
            title: "t".into(),
            reference: None,
            evidence: true,
            rules: Default::default(),
            primaries: [("cells".to_owned(), Default::default())].into(),
            family: Default::default(),
            lines: vec![line("small", 0.8), line("large", 0.9), line("histogram", 0.5)],
            features: Vec::new(),
            classes: Vec::new(),
            measured: vec![
                cost("small", "parameters_million", 21.6),
                cost("large", "parameters_million", 303.2),
                cost("small", "gflop_per_image", 12.2),
            ],
            unscored: Vec::new(),
        };
        let charts = costs(&table);
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(titles, ["cells: score over parameters, millions", "cells: score over GFLOP an image"]);
        let points: Vec<(&str, f64, Option<f64>)> =
            charts[0].series.iter().map(|series| (series.name.as_str(), series.x[0], series.y[0])).collect();
        assert_eq!(points, [("baseline: small", 21.6, Some(80.0)), ("baseline: large", 303.2, Some(90.0))]);
    }
}
