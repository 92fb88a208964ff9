//! Agreement with scikit-learn, whose values `tests/golden/make_probe.py` wrote down.

#![allow(clippy::unwrap_used, reason = "a test panics where its golden file is not what it should be")]

use probe::logistic::{self, Options};
use probe::metrics::{Confusion, Metric};
use probe::{Features, knn};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    probes: Vec<ProbeCase>,
    metrics: Vec<MetricCase>,
    binary: BinaryCase,
}

#[derive(Deserialize)]
struct ProbeCase {
    dim: usize,
    train: Vec<i16>,
    train_labels: Vec<u32>,
    test: Vec<i16>,
    test_labels: Vec<u32>,
    knn: std::collections::BTreeMap<usize, Vec<u32>>,
    linear: Linear,
}

#[derive(Deserialize)]
struct Linear {
    c: f64,
    steps: usize,
    predicted: Vec<u32>,
    probabilities: Vec<f64>,
    coef_tight: Vec<f64>,
    intercept_tight: Vec<f64>,
    probabilities_tight: Vec<f64>,
}

#[derive(Deserialize)]
struct MetricCase {
    classes: usize,
    truth: Vec<u32>,
    predicted: Vec<u32>,
    accuracy: f64,
    balanced_accuracy: f64,
    weighted_f1: f64,
    macro_f1: f64,
    present: Vec<usize>,
    recall: Vec<f64>,
}

#[derive(Deserialize)]
struct BinaryCase {
    dim: usize,
    c: f64,
    train: Vec<i16>,
    train_labels: Vec<u32>,
    probabilities: Vec<f64>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/probe.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Features are stored in 64ths.
fn features(dim: usize, sixty_fourths: &[i16]) -> Features {
    Features::new(dim, sixty_fourths.iter().map(|&v| f32::from(v) / 64.0).collect()).unwrap()
}

fn largest_difference(found: impl IntoIterator<Item = f64>, expected: &[f64]) -> f64 {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn neighbours_vote_as_in_scikit_learn() {
    for case in golden().probes {
        let (train, test) = (features(case.dim, &case.train), features(case.dim, &case.test));
        assert_eq!(test.rows(), case.test_labels.len());
        assert_eq!(case.knn.len(), 2);
        for (k, expected) in case.knn {
            assert_eq!(knn::knn(&train, &case.train_labels, &test, k).unwrap(), expected, "k = {k}, dim {}", case.dim);
        }
    }
}

#[test]
fn the_published_linear_probe_stops_where_scikit_learn_does() {
    for case in golden().probes {
        let (train, test) = (features(case.dim, &case.train), features(case.dim, &case.test));
        let mut classes = case.train_labels.clone();
        classes.sort_unstable();
        classes.dedup();
        let options = Options::published(case.dim, classes.len());
        assert_eq!(options.c, case.linear.c);
        let model = logistic::fit(&train, &case.train_labels, &options).unwrap();
        let outcome = model.outcome();
        assert!(outcome.stop.converged(), "{outcome:?}");
        assert!(outcome.steps.abs_diff(case.linear.steps) <= 2, "{outcome:?} beside {} steps", case.linear.steps);
        assert_eq!(model.predict(&test).unwrap(), case.linear.predicted);
        let first_ten = test.select(&(0..10).collect::<Vec<_>>());
        let off = largest_difference(model.probabilities(&first_ten).unwrap(), &case.linear.probabilities);
        assert!(off < 1e-3, "probabilities off by {off}, dim {}", case.dim);
    }
}

#[test]
fn a_tight_fit_reaches_the_same_minimum() {
    for case in golden().probes {
        let (train, test) = (features(case.dim, &case.train), features(case.dim, &case.test));
        let options = Options { c: case.linear.c, max_steps: 20_000, tol: 1e-9 };
        let model = logistic::fit(&train, &case.train_labels, &options).unwrap();
        let off = largest_difference(model.weights(), &case.linear.coef_tight);
        assert!(off < 1e-4, "weights off by {off}, dim {}", case.dim);
        // The penalty leaves the intercepts a common constant; from zero neither optimiser moves it.
        let off = largest_difference(model.intercepts(), &case.linear.intercept_tight);
        assert!(off < 1e-4, "intercepts off by {off}, dim {}", case.dim);
        let first_ten = test.select(&(0..10).collect::<Vec<_>>());
        let off = largest_difference(model.probabilities(&first_ten).unwrap(), &case.linear.probabilities_tight);
        assert!(off < 1e-5, "probabilities off by {off}, dim {}", case.dim);
    }
}

#[test]
fn two_classes_are_a_softmax_with_the_reference_s_penalty() {
    let case = golden().binary;
    let train = features(case.dim, &case.train);
    let options = Options { c: case.c, max_steps: 20_000, tol: 1e-10 };
    let model = logistic::fit(&train, &case.train_labels, &options).unwrap();
    let off = largest_difference(model.probabilities(&train).unwrap(), &case.probabilities);
    assert!(off < 1e-6, "probabilities off by {off}");
}

#[test]
fn metrics_agree_to_the_last_digits() {
    for case in golden().metrics {
        let confusion = Confusion::new(case.classes, &case.truth, &case.predicted);
        let expected = [case.accuracy, case.balanced_accuracy, case.weighted_f1, case.macro_f1];
        for (metric, expected) in Metric::ALL.into_iter().zip(expected) {
            let found = confusion.score(metric);
            assert!((found - expected).abs() < 1e-12, "{}: {found} for {expected}", metric.name());
        }
        for (&class, expected) in case.present.iter().zip(case.recall) {
            assert!((confusion.recall(class).unwrap() - expected).abs() < 1e-12, "recall of class {class}");
        }
    }
}
