use super::*;
use run_spec::seed::stream;

/// Overlapping clouds, one class after the other; `apart` is the distance of their centres.
fn clouds(rows: usize, dim: usize, classes: usize, apart: f64) -> (Features, Vec<u32>) {
    let mut draws = stream(1, "test", &[]);
    let centres: Vec<f64> = (0..classes * dim).map(|_| apart * draws.normal()).collect();
    let labels: Vec<u32> = (0..rows).map(|i| (i % classes) as u32).collect();
    let place = |&label: &u32| (0..dim).map(move |j| (label as usize, j));
    let data = labels.iter().flat_map(place).map(|(c, j)| (centres[c * dim + j] + draws.normal()) as f32).collect();
    (Features::new(dim, data).unwrap(), labels)
}

fn solved(solver: Solver, c: f64, set: &(Features, Vec<u32>)) -> Solution {
    let options = Options { solver: Some(solver), ..Options::converged(c) };
    fit(&set.0, &set.1, &options).unwrap()
}

fn apart(a: &logistic::Model, b: &logistic::Model) -> f64 {
    let values = |m: &logistic::Model| m.weights().chain(m.intercepts()).collect::<Vec<f64>>();
    values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn both_solvers_and_a_tight_first_order_fit_meet() {
    let set = clouds(700, 12, 5, 0.7);
    for c in [1e-3, 0.6, 40.0] {
        let (a, b) = (solved(Solver::Cholesky, c, &set), solved(Solver::ConjugateGradients, c, &set));
        assert!(apart(&a.model, &b.model) < 1e-4, "{}", apart(&a.model, &b.model));
        let tight = logistic::Options { c, max_steps: 20_000, tol: 1e-10 };
        let first_order = logistic::fit(&set.0, &set.1, &tight).unwrap();
        assert!(apart(&a.model, &first_order) < 1e-4, "{}", apart(&a.model, &first_order));
        for certificate in [a.certificate, b.certificate] {
            assert!(certificate.gap <= 1e-8 && certificate.gradient <= 1e-6, "{certificate:?}");
            let off = (certificate.objective - first_order.outcome().objective) / certificate.objective;
            assert!(off.abs() < 2e-8, "{off}");
        }
    }
}

#[test]
fn the_bound_bounds() {
    // A fit cut short claims a gap; the optimum must not lie further away.
    let set = clouds(400, 8, 4, 0.8);
    let optimum = solved(Solver::Cholesky, 3.0, &set).certificate.objective;
    for tolerance in [1e-1, 1e-2, 1e-4] {
        let loose = Options { gradient_tol: 1.0, objective_tol: tolerance, ..Options::converged(3.0) };
        let found = fit(&set.0, &set.1, &loose).unwrap().certificate;
        let distance = (found.objective - optimum) / found.objective;
        assert!(distance <= found.gap + 1e-9 && found.gap <= tolerance, "{distance} beside {found:?}");
    }
}

#[test]
fn separable_classes_converge_however_weak_the_penalty() {
    for solver in [Solver::Cholesky, Solver::ConjugateGradients] {
        for c in [1.0, 1e4, 1e8] {
            for (rows, dim, classes) in [(60, 80, 4), (200, 3, 2)] {
                let found = solved(solver, c, &clouds(rows, dim, classes, 8.0));
                assert!(found.model.weights().chain(found.model.intercepts()).all(f64::is_finite));
                assert!(found.certificate.objective > 0.0 && found.certificate.gap <= 1e-8, "{:?}", found.certificate);
            }
        }
    }
}

#[test]
fn features_that_say_nothing_or_too_much_are_no_trouble() {
    let labels: Vec<u32> = (0..90).map(|i| i % 3).collect();
    for solver in [Solver::Cholesky, Solver::ConjugateGradients] {
        let constant = (Features::new(2, [5.0, -1.0].repeat(90)).unwrap(), labels.clone());
        let flat = solved(solver, 1.0, &constant);
        assert!(flat.model.weights().all(|w| w.abs() < 1e-9));
        let (features, labels) = clouds(90, 4, 3, 1.0);
        // Units 14 orders of magnitude apart; the last two features are the same.
        let units = [1e-7, 1e7, 1.0, 1.0];
        let rows = features.data().chunks_exact(4).flat_map(|r| [r[0], r[1], r[2], r[2]]);
        let data = rows.zip(units.iter().cycle()).map(|(v, u)| v * *u as f32).collect();
        let found = solved(solver, 1.0, &(Features::new(4, data).unwrap(), labels));
        assert!(found.model.weights().all(f64::is_finite));
    }
}

#[test]
fn intercepts_sum_to_zero_and_the_weights_too() {
    let found = solved(Solver::ConjugateGradients, 1.0, &clouds(300, 6, 3, 1.0));
    assert!(found.model.intercepts().sum::<f64>().abs() < 1e-12);
    let weights: Vec<f64> = found.model.weights().collect();
    assert!((0..6).all(|j| (weights[j] + weights[6 + j] + weights[12 + j]).abs() < 1e-12));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let set = clouds(3000, 40, 4, 0.4);
    for solver in [Solver::Cholesky, Solver::ConjugateGradients] {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| solved(solver, 0.5, &set))
        };
        assert_eq!(with(1), with(3));
    }
}

#[test]
fn what_cannot_be_is_an_error() {
    let (features, labels) = clouds(60, 3, 3, 1.0);
    for c in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = fit(&features, &labels, &Options::converged(c)).unwrap_err();
        assert!(matches!(error, ProbeError::Setting { .. }), "{error}");
    }
    let hasty = Options { max_steps: 1, ..Options::converged(10.0) };
    let error = fit(&features, &labels, &hasty).unwrap_err();
    assert!(matches!(error, ProbeError::NotConverged { steps: 1, .. }), "{error}");
    assert!(matches!(fit(&features, &[1; 60], &hasty), Err(ProbeError::OneClass { .. })));
}
