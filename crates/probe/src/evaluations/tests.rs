//! What holds of evaluations on any cells; their numbers are checked in `tests/evaluations.rs`.

use super::*;
use run_spec::seed::stream;

/// 240 cells in 24 groups, 3 folds, 2 sources and 3 classes; feature 0 to 2 hold the class, feature 3 the source.
fn setting(class: f64, source: f64) -> (Arc<Cells>, Classes, Features) {
    let mut draws = stream(6, "test", &[]);
    let labels: Vec<String> = (0..240).map(|i| format!("class {}", if i % 8 == 7 { 2 } else { i % 2 })).collect();
    let groups: Vec<String> = (0..240).map(|i| format!("image {}", i / 10)).collect();
    let folds: Vec<String> = (0..240).map(|i| (i / 10 % 3).to_string()).collect();
    let sources: Vec<String> = (0..240).map(|i| format!("lab {}", i / 30 % 2)).collect();
    let value = |i: usize, j: usize| match j {
        3 => source * (i / 30 % 2) as f64,
        _ if labels[i].ends_with(&j.to_string()) => class,
        _ => 0.0,
    };
    let data = (0..240).flat_map(|i| (0..5).map(move |j| (i, j)));
    let data = data.map(|(i, j)| (value(i, j) + draws.normal()) as f32).collect();
    let cells = Cells::new(&labels, &groups, &folds).unwrap();
    (Arc::new(cells), Classes::encode(&sources), Features::new(5, data).unwrap())
}

/// What `evaluation` finds there.
fn found(evaluation: Evaluation, (cells, sources, features): &(Arc<Cells>, Classes, Features)) -> Vec<Measure> {
    let protocol = protocol::evaluate(cells, features, &[Probe::LINEAR_STANDARDISED]).unwrap();
    let setting = Setting { cells, sources, normal: None };
    measure(&[evaluation], &Subject { setting, features, evaluation: &protocol, patch_scores: None }).unwrap()
}

fn mean(measures: &[Measure], wanted: impl Fn(&Measure) -> bool) -> f64 {
    let values: Vec<f64> = measures.iter().filter(|m| wanted(m)).map(|m| m.value).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn every_evaluation_leaves_numbers_under_its_own_name_or_adds_a_probe() {
    let all = setting(2.0, 1.0);
    // What a network costs is measured where the network is: by the worker.
    for &evaluation in Evaluation::ALL.iter().filter(|&&evaluation| evaluation != Evaluation::Cost) {
        let found = found(evaluation, &all);
        let own = found.iter().all(|m| m.evaluation == evaluation.name() && m.value.is_finite());
        assert!(own && found.is_empty() != plug(evaluation).probes.is_empty(), "{}", evaluation.name());
    }
}

#[test]
fn more_labels_score_higher_and_shares_hold_whole_groups() {
    let measures = found(Evaluation::LabelEfficiency, &setting(2.0, 0.0));
    let at = |fraction: f64| mean(&measures, |m| m.metric == "weighted_f1" && m.fraction == Some(fraction));
    assert!(at(0.05) < at(1.0) && at(1.0) > 0.75, "{} {}", at(0.05), at(1.0));
    // Of 160 training cells 1 % are 2, which is one group of 10.
    assert!(measures.iter().filter(|m| m.fraction == Some(0.01)).all(|m| m.n_train == 10));
    assert!(measures.iter().filter(|m| m.fraction == Some(0.25)).all(|m| m.n_train == 40 && m.n == 80));
    assert_eq!(measures.len(), (5 * 3 + 1) * 3 * Metric::ALL.len());
}

#[test]
fn a_number_of_labels_holds_so_many_cells_of_each_class_and_the_smaller_numbers() {
    let measures = found(Evaluation::LabelsPerClass, &setting(2.0, 0.0));
    let at = |labels: u64| mean(&measures, |m| m.metric == "weighted_f1" && m.labels_per_class == Some(labels));
    assert!(at(1) < at(25) && at(25) > 0.75, "{} {}", at(1), at(25));
    let fitted = |labels: u64| {
        let of: Vec<u64> = measures.iter().filter(|m| m.labels_per_class == Some(labels)).map(|m| m.n_train).collect();
        assert!(of.iter().all(|n| *n == of[0]) && of.len() == 3 * 3 * Metric::ALL.len(), "{of:?}");
        of[0]
    };
    // Of 160 training cells 20 are of class 2: from 25 on it gives all. At 100 every class would.
    assert_eq!([1, 5, 10, 25, 50].map(fitted), [3, 15, 30, 70, 120]);
    assert!(measures.iter().all(|m| m.labels_per_class < Some(100)));
}

#[test]
fn a_source_left_out_scores_as_a_fold_of_that_source_does() {
    let all = setting(2.0, 1.0);
    let measures = found(Evaluation::LeaveOneSourceOut, &all);
    let (cells, sources, features) = &all;
    let labels: Vec<&String> = cells.classes().of_row().iter().map(|&c| &cells.classes().names()[c as usize]).collect();
    let groups: Vec<String> = cells.group_of_row().iter().map(|group| format!("{group:02}")).collect();
    let folds: Vec<&String> = sources.of_row().iter().map(|&s| &sources.names()[s as usize]).collect();
    let by_source = Arc::new(Cells::new(&labels, &groups, &folds).unwrap());
    let expected = protocol::evaluate(&by_source, features, &[Probe::LINEAR_STANDARDISED]).unwrap();
    let summary = expected.summary(Probe::LINEAR_STANDARDISED, Metric::Accuracy).unwrap();
    let accuracy = mean(&measures, |m| m.metric == "accuracy");
    assert!((accuracy - summary.mean).abs() < 1e-12, "{accuracy} {}", summary.mean);
    let worst = measures.iter().find(|m| m.metric == "worst_accuracy").unwrap();
    assert!(worst.value <= accuracy && worst.note.starts_with("worst source: lab "), "{worst:?}");
}

#[test]
fn a_source_in_the_features_is_found_and_class_is_accounted_for() {
    let of = |class, source| {
        let measures = found(Evaluation::Robustness, &setting(class, source));
        let probe = |name: &str| mean(&measures, |m| m.probe == name && m.metric == "accuracy");
        let index = |name: &str| mean(&measures, |m| m.metric == name);
        (probe("source"), probe("source_within_class"), index("biology_index"), index("biology_index_by_chance"))
    };
    let (blind, blind_within, by_class, chance) = of(6.0, 0.0);
    assert!(
        blind < 0.65 && blind_within < 0.65 && by_class > 0.95 && chance > 0.3 && chance < 0.7,
        "{blind} {by_class}"
    );
    let (knows, knows_within, by_source, _) = of(0.0, 8.0);
    assert!(knows > 0.95 && knows_within > 0.95 && by_source < 0.1, "{knows} {knows_within} {by_source}");
}

#[test]
fn shuffled_labels_score_as_chance_does() {
    let all = setting(4.0, 0.0);
    let measures = found(Evaluation::Controls, &all);
    let of = |probe: &str| mean(&measures, |m| m.probe == probe && m.metric == "balanced_accuracy");
    assert!((of("shuffled_labels") - 1.0 / 3.0).abs() < 0.1 && of("largest_class") == 1.0 / 3.0);
}

#[test]
fn what_these_cells_do_not_allow_is_refused_with_the_reason() {
    let (cells, sources, _) = setting(1.0, 0.0);
    let one = Classes::encode(&["lab"; 240]);
    let refused = |evaluation, sources: &Classes, normal| {
        verify(&[evaluation], &Setting { cells: &cells, sources, normal }).unwrap_err().to_string()
    };
    let error = refused(Evaluation::LeaveOneSourceOut, &one, None);
    assert!(error.contains("leave_one_source_out") && error.contains("one source (lab)"), "{error}");
    let error = refused(Evaluation::Anomaly, &one, Some("disc"));
    assert!(error.contains("no class is called disc; there are class 0, class 1, class 2"), "{error}");
    // Folds that are the sources: none of them can be told.
    let folds: Vec<String> = (0..240).map(|i| cells.fold_of_row()[i].to_string()).collect();
    let error = refused(Evaluation::Robustness, &Classes::encode(&folds), None);
    assert!(error.contains("occurs in another fold"), "{error}");
    verify(&[Evaluation::Robustness], &Setting { cells: &cells, sources: &one, normal: None }).unwrap();
    verify(Evaluation::ALL, &Setting { cells: &cells, sources: &sources, normal: Some("class 1") }).unwrap();
}

#[test]
fn patches_are_ranked_beside_the_cells_and_their_bank_is_of_normal_cells_of_other_folds() {
    let (cells, sources, features) = setting(2.0, 0.0);
    let protocol = protocol::evaluate(&cells, &features, &[Probe::NEAREST_MEAN]).unwrap();
    let setting = Setting { cells: &cells, sources: &sources, normal: Some("class 1") };
    let perfect: Vec<f64> = cells.classes().of_row().iter().map(|&class| f64::from(u8::from(class != 1))).collect();
    let subject = Subject { setting, features: &features, evaluation: &protocol, patch_scores: Some(&perfect) };
    let found = measure(&[Evaluation::Anomaly], &subject).unwrap();
    assert_eq!(mean(&found, |m| m.probe == "patch_distance" && m.metric == "auroc"), 1.0);
    assert_eq!(found.len(), 2 * 3 * 3);
    let banks = crate::patches::bank_rows(&setting, 512).unwrap();
    for (fold, rows) in banks.iter().enumerate() {
        let of = |&row: &usize| cells.fold_of_row()[row] as usize != fold && cells.classes().of_row()[row] == 1;
        assert!(rows.len() == 8 && rows.iter().all(of), "{rows:?}");
    }
}
