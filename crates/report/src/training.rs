//! Curves of training.

use std::collections::BTreeMap;

use run_spec::ids::Seed;

use crate::data::{Chart, ChartKind, Series};
use crate::tally::rounded;

/// The metrics of one trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// Its arm.
    pub arm: String,
    /// Its seed.
    pub seed: Seed,
    /// Values by the name of the metric, as (step, value) in the order of steps.
    pub values: BTreeMap<String, Vec<(u64, f64)>>,
}

/// Metrics that are drawn, with their names in words.
const DRAWN: [(&str, &str); 9] = [
    ("loss", "total loss"),
    ("dino_global", "DINO loss, global crops"),
    ("dino_local", "DINO loss, local crops"),
    ("ibot", "iBOT loss"),
    ("koleo", "KoLeo loss"),
    ("sigreg", "SIGReg loss"),
    ("teacher_entropy", "entropy of the teacher"),
    ("rankme", "effective rank of the teacher's features"),
    ("images_per_s", "images per second"),
];

/// Points of all curves together, which are some four megabytes of a page.
const POINTS: usize = 160_000;

/// One chart for each metric that any trial has.
pub fn training(traces: &[Trace]) -> Vec<Chart> {
    let has = |name: &&(&str, &str)| traces.iter().any(|trace| trace.values.contains_key(name.0));
    let drawn: Vec<&(&str, &str)> = DRAWN.iter().filter(has).collect();
    let curves = (traces.len() * drawn.len()).max(1);
    let most = (POINTS / curves).clamp(12, 240);
    drawn.into_iter().map(|(name, words)| chart(traces, name, words, most)).collect()
}

fn chart(traces: &[Trace], name: &str, words: &str, most: usize) -> Chart {
    let series = traces.iter().filter_map(|trace| {
        let values = thinned(trace.values.get(name)?, most);
        Some(Series {
            name: trace.arm.clone(),
            detail: Some(format!("seed {}", trace.seed)),
            x: values.iter().map(|(step, _)| *step).collect(),
            y: values.iter().map(|(_, value)| Some(*value)).collect(),
            lo: None,
            hi: None,
        })
    });
    Chart {
        group: "Training".to_owned(),
        title: words.to_owned(),
        how: "a line is one trial; those of one arm share a colour. Do not compare the values of arms that use different losses: compare their scores.".to_owned(),
        kind: ChartKind::Line,
        x: "step".to_owned(),
        y: words.to_owned(),
        log_x: false,
        series: series.collect(),
    }
}

/// At most `most` points: means of neighbours.
fn thinned(values: &[(u64, f64)], most: usize) -> Vec<(f64, f64)> {
    let size = values.len().div_ceil(most).max(1);
    let mean = |of: &[(u64, f64)]| {
        let n = of.len() as f64;
        let step = of.iter().map(|(step, _)| *step as f64).sum::<f64>() / n;
        (step.round(), rounded(of.iter().map(|(_, value)| value).sum::<f64>() / n))
    };
    values.chunks(size).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_thinned_to_means_of_neighbours() {
        let values: Vec<(u64, f64)> = (0..1000).map(|step| (step, step as f64)).collect();
        let thin = thinned(&values, 240);
        assert_eq!((thin.len(), thin[0], thin[199]), (200, (2.0, 2.0), (997.0, 997.0)));
        assert_eq!(thinned(&values[..3], 240), [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]);
    }

    #[test]
    fn a_metric_that_no_trial_has_gets_no_chart() {
        let values = BTreeMap::from([("koleo".to_owned(), vec![(0, 1.0)]), ("wd".to_owned(), vec![(0, 1.0)])]);
        let traces = [Trace { arm: "base".into(), seed: 3.into(), values }, Trace::default()];
        let charts = training(&traces);
        assert_eq!((charts.len(), charts[0].series.len()), (1, 1));
        assert_eq!(charts[0].series[0].detail.as_deref(), Some("seed 3"));
    }
}
