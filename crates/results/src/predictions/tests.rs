use std::sync::Arc;

use run_spec::ids::Digest;
use run_spec::seed::stream;

use super::*;
use crate::row::tests::row;
use crate::stats::counts::{CountsBuilder, Place};
use crate::stats::score::Metric;
use crate::{ResultRow, ResultsError, TEACHER};

const CLASSES: [&str; 3] = ["discocyte", "echinocyte", "sphérocyte"];
const PROBES: [(&str, bool); 2] = [("linear", true), ("1nn", false)];

fn task() -> Task {
    let ResultRow { dataset, split, shards_eval, .. } = row("base", 3, "0", 0.0);
    Task {
        dataset,
        split,
        split_digest: Digest::of(b"split"),
        shards_eval,
        classes: CLASSES.map(str::to_owned).into(),
        folds: ["0", "1"].map(str::to_owned).into(),
        probes: PROBES.map(|(name, probabilities)| ProbeColumn { name: name.to_owned(), probabilities }).into(),
        code_probe: "0.1.0+abc".to_owned(),
    }
}

fn record(features: &str) -> FeaturesRecord {
    let row = row("base", 3, "0", 0.0);
    let fit = |fold: &str, linear: bool| Fit {
        fold: fold.to_owned(),
        n_train: 60,
        note: if linear { "linear probe did not converge in 1000 steps".to_owned() } else { String::new() },
        c: linear.then_some(0.24),
        optimum: linear.then_some(OptimumDistance { objective: 1.5e-3, predictions: 0.01 }),
    };
    let fits = PROBES.map(|(probe, linear)| ProbeFits {
        probe: probe.to_owned(),
        folds: ["0", "1"].map(|fold| fit(fold, linear)).into(),
    });
    FeaturesRecord {
        features: features.to_owned(),
        origin: Origin {
            run: row.run,
            trial: row.trial,
            seed: row.seed,
            arm: row.arm,
            step: row.step,
            checkpoint: Some(Digest::of(b"checkpoint")),
            config: row.config,
            shards_train: row.shards_train,
            init_weights: row.init_weights,
            code: row.code,
            device: row.device,
            hours: row.hours,
            kwh: row.kwh,
            transductive: row.transductive,
            token: None,
        },
        spread: Some(Spread { median_std: 0.2, effective_rank: 31.5, alignment: Some(0.4), uniformity: None }),
        fits: fits.into(),
        measures: Vec::new(),
    }
}

/// Cells of two sources, each with 4 groups of which the even ones are of fold 0.
fn cells(n: usize) -> Vec<Cell> {
    let cell = |i: usize| {
        let group = i / 5 % 8;
        Cell {
            id: Digest::of(&i.to_le_bytes()),
            pixel_digest: Digest::of(&(i / 2).to_le_bytes()),
            source: if group < 4 { "chula" } else { "datasetA" }.into(),
            group: format!("image {}", group % 4).into(),
            fold: (group % 2) as u32,
            truth: (i % 3) as u32,
        }
    };
    (0..n).map(cell).collect()
}

/// Predicted classes and probabilities of `n` cells.
fn drawn(n: usize, seed: u64) -> (Vec<u32>, Vec<f32>) {
    let mut draws = stream(seed, "test", &[]);
    let classes = (0..n).map(|i| if draws.below(3) > 0 { (i % 3) as u32 } else { draws.below(3) as u32 }).collect();
    (classes, (0..3 * n).map(|_| draws.below(1 << 20) as f32 / 1e6).collect())
}

fn write(n: usize, features: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), task()).unwrap();
    for (name, seed) in features.iter().zip(0..) {
        let ((linear, probabilities), (nearest, _)) = (drawn(n, seed), drawn(n, seed + 100));
        let predicted = [
            Predicted { classes: &linear, probabilities: Some(&probabilities) },
            Predicted { classes: &nearest, probabilities: None },
        ];
        writer.write(record(name), cells(n), &predicted).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn rows_are_the_scores_of_each_fold_and_class() {
    let bytes = write(40, &[TEACHER, "random"]);
    assert_eq!(bytes, write(40, &[TEACHER, "random"]));
    let predictions = Predictions::open(bytes, "p.parquet").unwrap();
    assert_eq!(predictions.lines(), 80);
    let rows = predictions.rows().unwrap();
    // Per features: (4 metrics + 3 classes × 4) × 2 folds × 2 probes, 2 distances for each linear fit, 3 known spreads.
    assert_eq!(rows.len(), 2 * (16 * 4 + 4 + 3));

    let (cells, (linear, _)) = (cells(40), drawn(40, 0));
    let of_fold = |fold: u32| (0..40).filter(move |&i| (i / 5 % 8) as u32 % 2 == fold);
    let right = of_fold(1).filter(|&i| linear[i] == cells[i].truth).count();
    let expected = ResultRow {
        probe: "linear".into(),
        metric: "accuracy".into(),
        n: 20,
        n_train: 60,
        note: "linear probe did not converge in 1000 steps".into(),
        ..row("base", 3, "1", right as f64 / 20.0)
    };
    let find = |features: &str, probe: &str, fold: &str, metric: &str, class: Option<&str>| {
        let is = |row: &&ResultRow| {
            (&*row.features, &*row.probe, &*row.fold, &*row.metric) == (features, probe, fold, metric)
                && row.class.as_deref() == class
        };
        rows.iter().find(is).unwrap()
    };
    assert_eq!(find(TEACHER, "linear", "1", "accuracy", None), &expected);
    let of_class = |row: &&usize| cells[**row].truth == 2;
    let support: Vec<usize> = of_fold(1).collect();
    let support: Vec<&usize> = support.iter().filter(of_class).collect();
    let found = support.iter().filter(|&&&i| linear[i] == 2).count();
    assert_eq!(find(TEACHER, "linear", "1", "support", Some("sphérocyte")).value, support.len() as f64);
    let recall = find(TEACHER, "linear", "1", "recall", Some("sphérocyte"));
    assert_eq!((recall.value, recall.n), (found as f64 / support.len() as f64, 20));
    assert_eq!(find("random", "linear", "0", "optimum_distance", None).value, 1.5e-3);
    let rank = find("random", "features", "all", "effective_rank", None);
    assert_eq!((rank.value, rank.n, rank.note.as_str()), (31.5, 40, ""));
    assert!(rows.iter().all(|row| row.metric != "uniformity"), "it was not known");
}

#[test]
fn numbers_of_further_evaluations_become_rows_and_files_without_them_are_as_before() {
    let measure = Measure {
        evaluation: "label_efficiency".into(),
        probe: "linear_standardised".into(),
        metric: "weighted_f1".into(),
        class: None,
        fraction: Some(0.05),
        labels_per_class: Some(10),
        repeat: Some(2),
        fold: "1".into(),
        value: 0.75,
        n: 20,
        n_train: 3,
        note: String::new(),
    };
    let of = |measures: Vec<Measure>| {
        let mut writer = Writer::new(Vec::new(), task()).unwrap();
        let ((linear, probabilities), (nearest, _)) = (drawn(40, 0), drawn(40, 100));
        let predicted = [
            Predicted { classes: &linear, probabilities: Some(&probabilities) },
            Predicted { classes: &nearest, probabilities: None },
        ];
        writer.write(FeaturesRecord { measures, ..record(TEACHER) }, cells(40), &predicted).unwrap();
        writer.finish()
    };
    assert_eq!(of(Vec::new()).unwrap(), write(40, &[TEACHER]));
    let rows = Predictions::open(of(vec![measure.clone()]).unwrap(), "p.parquet").unwrap().rows().unwrap();
    let expected = ResultRow {
        probe: measure.probe.clone(),
        metric: measure.metric.clone(),
        evaluation: Some(measure.evaluation.clone()),
        fraction: Some(0.05),
        labels_per_class: Some(10),
        repeat: Some(2),
        n: 20,
        n_train: 3,
        ..row("base", 3, "1", 0.75)
    };
    assert_eq!(rows.last(), Some(&expected));
    assert!(!expected.is_score(), "the protocol's score has the same probe, metric and fold");
    let error = of(vec![Measure { value: f64::NAN, ..measure }]).unwrap_err();
    assert!(matches!(error, ResultsError::NotFinite { .. }), "{error}");
}

#[test]
fn counts_of_one_probe_give_the_scores_of_the_rows() {
    let predictions = Predictions::open(write(400, &[TEACHER, "random"]), "p.parquet").unwrap();
    let mut builder = CountsBuilder::new(3);
    predictions.add_counts(("random", "1nn"), ("base", 3), &mut builder).unwrap();
    let mut by_hand = CountsBuilder::new(3);
    for (cell, &predicted) in cells(400).iter().zip(&drawn(400, 101).0) {
        let place = Place { source: &cell.source, fold: ["0", "1"][cell.fold as usize], group: &cell.group };
        by_hand.add(("base", 3), place, (cell.truth, predicted), 1).unwrap();
    }
    let counts = builder.build().unwrap();
    assert_eq!(counts, by_hand.build().unwrap());
    assert!(counts.score("base", 3, Metric::WeightedF1).unwrap() > 0.5);
    for (features, probe, word) in [("histogram", "1nn", "histogram"), ("random", "20nn", "20nn")] {
        let error = predictions.add_counts((features, probe), ("base", 3), &mut CountsBuilder::new(3)).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(word) && error.contains("p.parquet"), "{error}");
    }
}

#[test]
fn cells_are_shown_in_their_order_with_the_probability_of_what_was_predicted() {
    let predictions = Predictions::open(write(400, &[TEACHER, "random"]), "p.parquet").unwrap();
    let (expected, (linear, probabilities)) = (cells(400), drawn(400, 1));
    let mut number = 0;
    let check = |seen: SeenCell<'_>| {
        let cell = &expected[number];
        let fold = ["0", "1"][cell.fold as usize];
        assert_eq!((seen.source, seen.group, seen.fold), (&*cell.source, &*cell.group, fold));
        let predicted = linear[number] as usize;
        assert_eq!((seen.truth, seen.predicted), (cell.truth as usize, predicted));
        assert_eq!(seen.probability, Some(probabilities[number * 3 + predicted]));
        number += 1;
    };
    predictions.cells(("random", "linear"), check).unwrap();
    assert_eq!(number, 400);
    predictions.cells((TEACHER, "1nn"), |seen| assert_eq!(seen.probability, None)).unwrap();
    assert!(predictions.cells((TEACHER, "20nn"), |_| {}).is_err());
}

#[test]
fn cells_are_written_in_blocks_and_kept_as_they_were() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float32Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let n = 2 * BLOCK + 7;
    let bytes = bytes::Bytes::from(write(n, &[TEACHER]));
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    assert_eq!(builder.metadata().num_row_groups(), 3);
    let (cells, (_, expected)) = (cells(n), drawn(n, 0));
    let (mut at, mut probabilities) = (0, Vec::new());
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        let ids = batch.column_by_name("id").unwrap().as_string::<i32>();
        let pixels = batch.column_by_name("pixel_digest").unwrap().as_string::<i32>();
        for i in 0..batch.num_rows() {
            assert_eq!(ids.value(i), cells[at + i].id.to_string());
            assert_eq!(pixels.value(i), cells[at + i].pixel_digest.to_string());
        }
        let lists = batch.column_by_name("linear_probability").unwrap().as_fixed_size_list();
        probabilities.extend_from_slice(lists.values().as_primitive::<Float32Type>().values());
        at += batch.num_rows();
    }
    assert_eq!((at, probabilities), (n, expected));
}

#[test]
fn memory_does_not_grow_with_the_cells() {
    let held = |n: usize| {
        let mut writer = Writer::new(std::io::sink(), task()).unwrap();
        let ((linear, probabilities), (nearest, _)) = (drawn(n, 0), drawn(n, 1));
        let predicted = [
            Predicted { classes: &linear, probabilities: Some(&probabilities) },
            Predicted { classes: &nearest, probabilities: None },
        ];
        writer.write(record(TEACHER), cells(n), &predicted).unwrap();
        writer.memory_size()
    };
    assert!(held(6 * BLOCK + 4000) < 2 * held(4000));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let (classes, probabilities) = drawn(4, 0);
    let with = |classes: &[u32], probabilities: Option<&[f32]>, record: FeaturesRecord| {
        let predicted = [Predicted { classes, probabilities }, Predicted { classes: &[0; 4], probabilities: None }];
        Writer::new(Vec::new(), task()).unwrap().write(record, cells(4), &predicted)
    };
    with(&classes, Some(&probabilities), record(TEACHER)).unwrap();
    for (classes, probabilities) in
        [(&classes[..3], Some(&probabilities[..9])), (&classes, Some(&probabilities[..9])), (&classes, None)]
    {
        let error = with(classes, probabilities, record(TEACHER)).unwrap_err();
        assert!(matches!(error, ResultsError::Predictions { .. }), "{error}");
    }
    let error = with(&[0, 1, 2, 3], Some(&probabilities), record(TEACHER)).unwrap_err();
    assert!(matches!(error, ResultsError::UnknownClass { class: 3, classes: 3 }), "{error}");
    let mut other = record(TEACHER);
    other.fits[1].folds.pop();
    assert!(with(&classes, Some(&probabilities), other).is_err());
    let mut infinite = record(TEACHER);
    infinite.fits[0].folds[0].c = Some(f64::INFINITY);
    let mut writer = Writer::new(Vec::new(), task()).unwrap();
    let predicted =
        [Predicted { classes: &[], probabilities: Some(&[]) }, Predicted { classes: &[], probabilities: None }];
    writer.write(infinite, [], &predicted).unwrap();
    assert!(matches!(writer.finish().unwrap_err(), ResultsError::NotFinite { .. }));
}

#[test]
fn damage_and_other_files_are_named() {
    let bytes = write(40, &[TEACHER]);
    let cut = Predictions::open(bytes[..bytes.len() / 2].to_vec(), "cut.parquet").unwrap_err().to_string();
    assert!(cut.contains("cut.parquet"), "{cut}");
    let rows = crate::columns::to_parquet(&[row("base", 0, "0", 0.5)]).unwrap();
    let other = Predictions::open(rows, "rows.parquet").unwrap_err().to_string();
    assert!(other.contains("rows.parquet") && other.contains("reddino"), "{other}");
    let json = serde_json::to_string(Predictions::open(bytes, "p").unwrap().metadata()).unwrap();
    let newer = Metadata::from_json(&json.replacen("\"version\":1", "\"version\":2", 1), "p").unwrap_err().to_string();
    assert!(newer.contains("version 2"), "{newer}");
    assert!(Metadata::from_json(&json.replace("\"fold\":\"1\"", "\"fold\":\"2\""), "p").is_err());
    assert_eq!(Arc::new(Metadata::from_json(&json, "p").unwrap()).features(TEACHER), Some(0));
}
