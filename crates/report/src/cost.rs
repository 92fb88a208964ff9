//! Scores against what they cost.

use results::render::metric_words;
use results::table::{Line, Table};

use crate::data::{Chart, ChartKind, Series};

/// What features cost: the metric in the rows, its words on the axis, and how many of its unit are one of the axis.
const COSTS: [(&str, &str, f64); 3] = [
    ("parameters", "parameters, millions", 1e6),
    ("flops", "operations for one image, billions", 1e9),
    ("images_per_s", "images per second", 1.0),
];

/// A chart for each evaluation set and cost that rows tell (`evaluations: [cost]`): the primary score of each line over it.
pub fn costs(table: &Table) -> Vec<Chart> {
    let datasets = table.primaries.keys();
    datasets.flat_map(|dataset| COSTS.iter().filter_map(|cost| chart(table, dataset, *cost))).collect()
}

fn chart(table: &Table, dataset: &str, (metric, words, unit): (&str, &str, f64)) -> Option<Chart> {
    let primary = table.lines.iter().filter(|line| line.is_primary && line.dataset == dataset);
    let cost = |line: &Line| {
        let of = |other: &&Line| other.dataset == dataset && other.metric == metric && other.name() == line.name();
        table.features.iter().find(of).map(|line| line.mean / unit)
    };
    let points: Vec<(&Line, f64)> = primary.filter_map(|line| Some((line, cost(line)?))).collect();
    let (first, _) = points.first()?;
    let score = format!("{} {}, %", first.probe.replace('_', " "), metric_words(&first.metric));
    Some(Chart {
        group: "Cost".to_owned(),
        title: format!("{dataset}: score over {words}"),
        how: "a point is a model: up is better; left is cheaper, but for images per second, where it is slower. Parameters and operations are counted for the features alone, no head; \
            images per second depend on the machine and what else ran on it."
            .to_owned(),
        kind: ChartKind::Points,
        x: words.to_owned(),
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
