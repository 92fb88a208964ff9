//! Further probes and evaluations beside scikit-learn's, whose values `tests/golden/make_evaluations.py` wrote down.

#![allow(clippy::unwrap_used, reason = "a test panics where its golden file is not what it should be")]

use std::sync::Arc;

use ndarray::Array2;
use probe::calibration::{self, Answers};
use probe::evaluations::{self, Setting, Subject};
use probe::mlp::Network;
use probe::probes::Probe;
use probe::protocol::{Cells, evaluate};
use probe::ranking::{auroc, average_precision};
use probe::shape::{self, Shape};
use probe::{Classes, Features};
use results::measures::Evaluation;
use results::predictions::Measure;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    units: Vec<i32>,
    dim: usize,
    label: Vec<u32>,
    group: Vec<u32>,
    fold: Vec<u32>,
    source: Vec<u32>,
    knn_cosine: Vote,
    nearest_mean: String,
    mlp: Mlp,
    calibration: Calibration,
    ranking: Ranking,
    anomaly: Anomaly,
    robustness: Robustness,
    controls: Controls,
    hu: [f64; 7],
}

#[derive(Deserialize)]
struct Vote {
    predicted: String,
    probabilities: Vec<f64>,
}

#[derive(Deserialize)]
struct Mlp {
    hidden: usize,
    start: f64,
    first_row: Vec<f64>,
    end: f64,
    predicted: String,
}

#[derive(Deserialize)]
struct Calibration {
    counts: Vec<u32>,
    error: f64,
    brier: f64,
    risk_at_90: f64,
    risk_at_25: f64,
    area: f64,
}

#[derive(Deserialize)]
struct Ranking {
    score: Vec<f64>,
    wanted: Vec<bool>,
    auroc: f64,
    aupr: f64,
}

#[derive(Deserialize)]
struct Anomaly {
    normal: u32,
    classes: Vec<[f64; 3]>,
}

#[derive(Deserialize)]
struct Robustness {
    index: f64,
    chance: f64,
    by_group: f64,
}

#[derive(Deserialize)]
struct Controls {
    largest_class: Vec<f64>,
    source_alone: Vec<f64>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/evaluations.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl Golden {
    fn features(&self) -> Features {
        Features::new(self.dim, self.units.iter().map(|&unit| unit as f32 / 64.0).collect()).unwrap()
    }

    fn cells(&self) -> Arc<Cells> {
        let names = |numbers: &[u32]| numbers.iter().map(|number| format!("{number:02}")).collect::<Vec<_>>();
        Arc::new(Cells::new(&names(&self.label), &names(&self.group), &names(&self.fold)).unwrap())
    }

    /// What `evaluation` finds, with these sources.
    fn found(&self, evaluation: Evaluation, sources: &[u32]) -> Vec<Measure> {
        let (cells, features) = (self.cells(), self.features());
        let sources = Classes::encode(&sources.iter().map(u32::to_string).collect::<Vec<_>>());
        let protocol = evaluate(&cells, &features, &[Probe::NEAREST_MEAN]).unwrap();
        let setting = Setting { cells: &cells, sources: &sources, normal: None };
        let subject = Subject { setting, features: &features, evaluation: &protocol, patch_scores: None };
        evaluations::measure(&[evaluation], &subject).unwrap()
    }
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().map(|c| c.to_digit(10).unwrap()).collect()
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found} for {expected}");
}

/// The values of one metric of one probe, in the order in which they were found.
fn values(found: &[Measure], probe: &str, metric: &str) -> Vec<f64> {
    found.iter().filter(|m| m.probe == probe && m.metric == metric).map(|m| m.value).collect()
}

#[test]
fn the_vote_by_cosine_and_the_nearest_mean_are_those_of_scikit_learn() {
    let golden = golden();
    let evaluation = evaluate(&golden.cells(), &golden.features(), &[Probe::KNN_COSINE, Probe::NEAREST_MEAN]).unwrap();
    assert_eq!(evaluation.predicted(Probe::KNN_COSINE).unwrap(), digits(&golden.knn_cosine.predicted));
    assert_eq!(evaluation.predicted(Probe::NEAREST_MEAN).unwrap(), digits(&golden.nearest_mean));
    let found = evaluation.predictions()[0].probabilities.as_ref().unwrap();
    for (&found, &expected) in found.iter().zip(&golden.knn_cosine.probabilities) {
        close(f64::from(found), expected, 2e-6, "probability");
    }
}

#[test]
fn the_network_has_the_objective_and_the_optimum_of_scikit_learn() {
    let Golden { mlp, label, dim, units, .. } = golden();
    let n = label.len();
    let mut z = Array2::from_shape_vec((n, dim), units.iter().map(|&unit| f64::from(unit)).collect()).unwrap();
    for mut column in z.columns_mut() {
        let (mean, std) = (column.mean().unwrap(), column.std(0.0));
        column.mapv_inplace(|v| (v - mean) / std);
    }
    // scikit-learn holds the transpose of our weights.
    let start = |to: usize, from: usize, intercept: f64| {
        let weight = move |i: usize| {
            let (out, into) = (i / from, i % from);
            ((7 * out + 3 * into + out * into) % 11) as f64 / 16.0 - 5.0 / 16.0
        };
        (0..to * from).map(weight).chain(std::iter::repeat_n(intercept, to)).collect::<Vec<f64>>()
    };
    let parameters = [start(mlp.hidden, dim, 0.25), start(4, mlp.hidden, -0.125)].concat();
    let targets: Vec<usize> = label.iter().map(|&l| l as usize).collect();
    let mut network = Network::new((dim, mlp.hidden, 4), parameters.clone()).unwrap();
    for (found, expected) in network.probabilities(z.view()).row(0).iter().zip(&mlp.first_row) {
        close(*found, *expected, 1e-12, "probability at the start");
    }
    close(network.loss(z.view(), &targets), mlp.start, 1e-12, "objective at the start");
    let end = network.train(z.view(), &targets, 500);
    close(end, mlp.end, 1e-5, "objective at the end");
    let p = network.probabilities(z.view());
    let predicted = p.rows().into_iter().map(|row| (0..4).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32);
    let changed = predicted.zip(digits(&mlp.predicted)).filter(|(found, expected)| found != expected).count();
    assert!(changed <= 1, "{changed} predictions differ");
    assert!(Network::new((dim, mlp.hidden, 3), parameters).is_err());
}

#[test]
fn calibration_and_ranking_are_those_of_scikit_learn() {
    let Golden { calibration, ranking, label, .. } = golden();
    let p: Vec<f32> = calibration.counts.iter().map(|&count| count as f32 / 64.0).collect();
    let answers = Answers::new(&p, 4, &label).unwrap();
    let risks = answers.risks();
    close(answers.calibration_error(), calibration.error, 1e-12, "calibration error");
    close(answers.brier(), calibration.brier, 1e-12, "Brier");
    close(calibration::risk_at(&risks, 0.9), calibration.risk_at_90, 1e-12, "risk at 90 %");
    close(calibration::risk_at(&risks, 0.25), calibration.risk_at_25, 1e-12, "risk at 25 %");
    close(calibration::area(&risks), calibration.area, 1e-12, "area");
    let items: Vec<(f64, bool)> = ranking.score.into_iter().zip(ranking.wanted).collect();
    close(auroc(&items).unwrap(), ranking.auroc, 1e-12, "AUROC");
    close(average_precision(&items).unwrap(), ranking.aupr, 1e-12, "AUPR");
}

#[test]
fn anomalies_are_found_as_well_as_in_scikit_learn() {
    let golden = golden();
    let found = golden.found(Evaluation::Anomaly, &golden.source);
    for (metric, at) in [("auroc", 0), ("aupr", 1), ("prevalence", 2)] {
        let found = values(&found, "knn_distance", metric);
        assert_eq!(found.len(), golden.anomaly.classes.len());
        for (found, expected) in found.iter().zip(&golden.anomaly.classes) {
            close(*found, expected[at], 1e-12, metric);
        }
    }
    assert!(found.iter().all(|m| m.note == format!("normal: {:02}", golden.anomaly.normal)), "{found:?}");
}

#[test]
fn neighbours_share_class_and_source_as_in_scikit_learn() {
    let golden = golden();
    let found = golden.found(Evaluation::Robustness, &golden.source);
    close(values(&found, "neighbours", "biology_index")[0], golden.robustness.index, 1e-12, "index");
    close(values(&found, "neighbours", "biology_index_by_chance")[0], golden.robustness.chance, 1e-12, "chance");
    let one = golden.found(Evaluation::Robustness, &vec![0; golden.source.len()]);
    close(values(&one, "neighbours_by_group", "biology_index")[0], golden.robustness.by_group, 1e-12, "by group");
    assert!(one.iter().all(|m| m.note.contains("one source")));
}

#[test]
fn controls_are_those_of_a_dummy_classifier() {
    let golden = golden();
    let found = golden.found(Evaluation::Controls, &golden.source);
    for (probe, expected) in
        [("largest_class", &golden.controls.largest_class), ("source_alone", &golden.controls.source_alone)]
    {
        for (found, expected) in values(&found, probe, "balanced_accuracy").iter().zip(expected) {
            close(*found, *expected, 1e-12, probe);
        }
    }
}

#[test]
fn hu_moments_are_those_of_scikit_image() {
    let place = |at: i64| (at % 50, at / 50);
    let inside = |(x, y): (i64, i64)| {
        let body = (x - 20).pow(2) * 4 + (y - 18).pow(2) * 9 < 1800 && 2 * x + y < 78;
        body || (x - 30).pow(2) + (y - 25).pow(2) < 30
    };
    let mask: Vec<bool> = (0..2000).map(|at| inside(place(at))).collect();
    let light = vec![0.0; 2000];
    let found = shape::hu(&Shape { width: 50, mask: &mask, light: &light, picture: 2000, circularity: 1.0 });
    for (found, expected) in found.iter().zip(golden().hu) {
        close(*found, expected, 1e-9 * expected.abs() + 1e-16, "moment");
    }
}
