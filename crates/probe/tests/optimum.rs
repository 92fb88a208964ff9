//! The linear probe at its optimum beside scikit-learn's, whose values `tests/golden/make_newton.py` wrote down.
//!
//! Features are made here and there by the same integer arithmetic; the file holds what came out.

#![allow(clippy::unwrap_used, reason = "a test panics where its golden file is not what it should be")]

use probe::class_scores::Averages;
use probe::metrics::{Confusion, Metric};
use probe::newton::{self, Options, Solver};
use probe::spread::Spread;
use probe::standardised::{self, GRID, INNER_FOLDS, Strength};
use probe::{Features, logistic};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    seed: u64,
    train: usize,
    test: usize,
    dim: usize,
    classes: usize,
    signal: i64,
    constant: bool,
    /// Of the absolute values of all features.
    sum: f64,
    raw: Vec<Fit>,
    standardised: Vec<Fit>,
    choice: Option<Choice>,
    spread: ExpectedSpread,
}

#[derive(Deserialize)]
struct Fit {
    c: f64,
    objective: f64,
    predicted: String,
    log_loss: f64,
    first_row: Vec<f64>,
    accuracy: f64,
    balanced_accuracy: f64,
    macro_f1: f64,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    support: Vec<u64>,
    #[serde(rename = "macro")]
    equal: [f64; 3],
    weighted: [f64; 3],
}

#[derive(Deserialize)]
struct Choice {
    groups: Vec<usize>,
    folds: String,
    right: Vec<f64>,
    c: f64,
}

#[derive(Deserialize)]
struct ExpectedSpread {
    median_std: f64,
    effective_rank: f64,
    alignment: f64,
    uniformity: f64,
}

/// One set, cut into what is fitted to and what is tested.
struct Set {
    train: Features,
    train_labels: Vec<u32>,
    test: Features,
    test_labels: Vec<u32>,
}

fn golden() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/newton.json");
    serde_json::from_str::<Golden>(&std::fs::read_to_string(path).unwrap()).unwrap().cases
}

/// 64 bits: splitmix64 of a counter.
fn bits(seed: u64, domain: u64, index: usize) -> u64 {
    let mut z = (seed * 1000 + domain).wrapping_mul(0xD134_2543_DE82_EF95);
    z = z.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Four bytes added: an integer from -510 to 510.
fn bell(seed: u64, domain: u64, index: usize) -> i64 {
    let z = bits(seed, domain, index);
    (0..4).map(|byte| ((z >> (8 * byte)) & 255) as i64).sum::<i64>() - 510
}

fn set(case: &Case) -> Set {
    let (n, d) = (case.train + case.test, case.dim);
    let label = |i: usize| {
        let u = bits(case.seed, 0, i) & 0xFFFF;
        if i < case.classes { i as u32 } else { ((u * u * case.classes as u64) >> 32) as u32 }
    };
    let labels: Vec<u32> = (0..n).map(label).collect();
    let value = |i: usize, j: usize| {
        let centre = (bell(case.seed, 1, labels[i] as usize * d + j) * case.signal).div_euclid(16);
        let unit = 2f64.powi((bits(case.seed, 2, j) & 7) as i32 - 11);
        (bell(case.seed, 3, i * d + j) + centre + 64) as f64 * unit
    };
    let value = |i, j| if case.constant && j == 1 { 0.1015625 } else { value(i, j) };
    let data: Vec<f64> = (0..n).flat_map(|i| (0..d).map(move |j| (i, j))).map(|(i, j)| value(i, j)).collect();
    let sum: f64 = data.iter().map(|v| v.abs()).sum();
    assert!((sum - case.sum).abs() < 1e-9 * sum, "{}: other features than the script's", case.name);
    let all = Features::new(d, data.into_iter().map(|v| v as f32).collect()).unwrap();
    let (train, test): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| i < case.train);
    let (train_labels, test_labels) = (labels[..case.train].to_vec(), labels[case.train..].to_vec());
    Set { train: all.select(&train), train_labels, test: all.select(&test), test_labels }
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found} for {expected}");
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().map(|c| c.to_digit(10).unwrap()).collect()
}

/// Predictions, probabilities and every score of a fit.
fn verify(model: &logistic::Model, set: &Set, expected: &Fit, name: &str) {
    let predicted = model.predict(&set.test).unwrap();
    assert_eq!(predicted, digits(&expected.predicted), "{name}");
    let k = expected.first_row.len();
    let p = model.probabilities_of_all(&set.test, k).unwrap();
    for (found, expected) in p.iter().zip(&expected.first_row) {
        close(f64::from(*found), *expected, 1e-5, name);
    }
    // Probabilities of f32 end at 1e-45, so the loss is compared on those of f64.
    let p = model.probabilities(&set.test).unwrap();
    let loss = |(row, &t): (&[f64], &u32)| -row[t as usize].ln();
    let loss = p.chunks_exact(k).zip(&set.test_labels).map(loss).sum::<f64>() / set.test_labels.len() as f64;
    close(loss, expected.log_loss, 1e-4 * expected.log_loss.max(1.0), name);

    let confusion = Confusion::new(k, &set.test_labels, &predicted);
    close(confusion.score(Metric::Accuracy), expected.accuracy, 1e-12, name);
    close(confusion.score(Metric::BalancedAccuracy), expected.balanced_accuracy, 1e-12, name);
    close(confusion.score(Metric::MacroF1), expected.macro_f1, 1e-12, name);
    for (class, score) in confusion.class_scores().iter().enumerate() {
        close(score.precision, expected.precision[class], 1e-12, name);
        close(score.recall, expected.recall[class], 1e-12, name);
        close(score.f1, expected.f1[class], 1e-12, name);
        assert_eq!(score.support, expected.support[class], "{name}");
    }
    let same = |found: Averages, expected: [f64; 3]| {
        close(found.precision, expected[0], 1e-12, name);
        close(found.recall, expected[1], 1e-12, name);
        close(found.f1, expected[2], 1e-12, name);
    };
    same(confusion.macro_average(), expected.equal);
    same(confusion.weighted_average(), expected.weighted);
}

#[test]
fn raw_features_reach_scikit_learn_s_optimum() {
    for case in golden() {
        let set = set(&case);
        for expected in &case.raw {
            let name = format!("{} at C = {}", case.name, expected.c);
            let fit = newton::fit(&set.train, &set.train_labels, &Options::converged(expected.c)).unwrap();
            close(fit.certificate.objective, expected.objective, 1e-8 * expected.objective, &name);
            verify(&fit.model, &set, expected, &name);
        }
    }
}

#[test]
fn cholesky_reaches_it_too() {
    for case in golden().iter().filter(|case| case.dim * case.classes <= 400) {
        let set = set(case);
        for expected in &case.raw {
            let options = Options { solver: Some(Solver::Cholesky), ..Options::converged(expected.c) };
            let fit = newton::fit(&set.train, &set.train_labels, &options).unwrap();
            close(fit.certificate.objective, expected.objective, 1e-8 * expected.objective, &case.name);
            verify(&fit.model, &set, expected, &case.name);
        }
    }
}

#[test]
fn standardised_features_reach_scikit_learn_s_optimum() {
    for case in golden() {
        let set = set(&case);
        let groups = vec![0; case.train];
        for expected in &case.standardised {
            let name = format!("{} standardised at C = {}", case.name, expected.c);
            let fit = standardised::fit(&set.train, &set.train_labels, &groups, Strength::Fixed(expected.c)).unwrap();
            close(fit.certificate.objective, expected.objective, 1e-8 * expected.objective, &name);
            verify(&fit.model, &set, expected, &name);
        }
    }
}

#[test]
fn c_is_chosen_as_by_a_grid_search_over_group_folds() {
    let mut chosen = 0;
    for case in golden() {
        let Some(expected) = &case.choice else { continue };
        let set = set(&case);
        assert_eq!(
            standardised::group_folds(&expected.groups, INNER_FOLDS),
            digits(&expected.folds).iter().map(|&f| f as usize).collect::<Vec<_>>()
        );
        let fit = standardised::fit(&set.train, &set.train_labels, &expected.groups, Strength::Chosen).unwrap();
        assert_eq!(fit.c, expected.c, "{}: {:?}", case.name, fit.inner_accuracy);
        // The inner fits stop early, so a prediction on the fence may fall on the other side.
        for ((found, expected), c) in fit.inner_accuracy.iter().zip(&expected.right).zip(GRID) {
            close(found * case.train as f64, *expected, 3.0, &format!("{} at C = {c}", case.name));
        }
        chosen += 1;
    }
    assert_eq!(chosen, 4);
}

#[test]
fn spread_agrees_with_numpy() {
    for case in golden() {
        let set = set(&case);
        let found = Spread::of(&set.train, &set.train_labels).unwrap();
        let expected = &case.spread;
        close(found.median_std, expected.median_std, 1e-10, &case.name);
        close(found.effective_rank, expected.effective_rank, 1e-5 * expected.effective_rank, &case.name);
        close(found.alignment.unwrap(), expected.alignment, 1e-10, &case.name);
        close(found.uniformity.unwrap(), expected.uniformity, 1e-10, &case.name);
    }
}
