//! The statistics beside SciPy, statsmodels, baycomp, mlxtend and scikit-learn (`tests/golden/make_stats2.py`).

use super::cochran::CochranT;
use super::counts::{Counts, CountsBuilder, Place};
use super::estimate::{Estimand, Estimate};
use super::paired::Paired;
use super::score::Metric;
use super::sources::{corrected_resampled_t, sign_flip};
use super::summary;
use serde_json::Value;

fn golden(part: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/stats2.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file[part].as_array().unwrap().clone()
}

fn list(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

fn assert_close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1e-6), "{what}: {found} for {expected}");
}

#[test]
fn sign_flips_agree_with_scipy_and_mlxtend() {
    for case in golden("sign_flip") {
        assert_close(sign_flip(&list(&case["differences"])).unwrap().p, &case["p"], "sign flip");
    }
}

#[test]
fn the_corrected_resampled_t_agrees_with_baycomp() {
    for case in golden("corrected") {
        let differences = list(&case["differences"]);
        let found = corrected_resampled_t(&differences, 1.0 / (differences.len() - 1) as f64).unwrap();
        assert_close(found.mean, &case["mean"], "mean");
        assert_close(found.error.powi(2), &case["variance"], "variance");
        assert_close(found.p(), &case["p"], "p");
    }
}

#[test]
fn equivalence_agrees_with_statsmodels() {
    for case in golden("tost") {
        let s = summary(&list(&case["differences"])).unwrap();
        let error = s.std.unwrap() / (s.n as f64).sqrt();
        let estimate =
            Estimate { estimand: Estimand::NewSeeds, mean: s.mean, error, t: CochranT::student((s.n - 1) as f64) };
        assert_close(estimate.equivalence_p(case["margin"].as_f64().unwrap()), &case["p"], "TOST");
    }
}

#[test]
fn students_t_with_broken_degrees_of_freedom_agrees_with_scipy() {
    for case in golden("students") {
        let t = CochranT::student(case["df"].as_f64().unwrap());
        assert_close(t.upper_quantile(case["above"].as_f64().unwrap()), &case["t"], &format!("quantile of {t:?}"));
        assert_close(2.0 * t.above(1.7), &case["two_sided"], &format!("p of {t:?}"));
    }
}

fn counts(rows: &Value) -> Counts {
    let mut builder = CountsBuilder::new(3);
    for row in rows.as_array().unwrap() {
        let text = |i: usize| row[i].as_str().unwrap();
        let place = Place { source: text(2), fold: text(3), group: text(4) };
        for pair in row[5].as_array().unwrap() {
            let number = |i: usize| pair[i].as_u64().unwrap() as u32;
            builder
                .add((text(0), row[1].as_u64().unwrap()), place, (number(0), number(1)), u64::from(number(2)))
                .unwrap();
        }
    }
    builder.build().unwrap()
}

#[test]
fn crossed_variances_agree_with_loops_over_cells_and_scikit_learns_metrics() {
    for case in golden("crossed") {
        let counts = counts(&case["rows"]);
        for metric in Metric::ALL {
            let (expected, what) = (&case["expected"][metric.name()], metric.name());
            let paired = Paired::new(&counts, "arm", "base", metric).unwrap();
            for (found, expected) in paired.by_seed.iter().zip(expected["by_seed"].as_array().unwrap()) {
                assert_close(*found, expected, what);
            }
            assert_close(paired.from_groups.unwrap().shared, &expected["shared"][0], what);
            assert_close(paired.from_folds.unwrap().shared, &expected["shared"][1], what);
            let estimate = paired.over_seeds_and_groups().unwrap();
            assert_close(estimate.error, &expected["error"], what);
            assert_close(estimate.interval(0.95).hi, &expected["hi"], what);
            assert_close(estimate.p(), &expected["p"], what);
        }
    }
}
