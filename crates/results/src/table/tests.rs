//! What a table says about made-up rows.

use super::*;
use crate::measures::ProbeName;
use crate::row::tests::row;
use crate::stats::counts::{CountsBuilder, Place};
use crate::stats::estimate::NoEstimate;
use crate::stats::score::Metric;
use crate::stats::verdict::Verdict;
use run_spec::ids::Digest;

fn options(reference: &str) -> TableOptions {
    TableOptions { reference: Some(reference.to_owned()), ..TableOptions::default() }
}

fn baseline(features: &str, arm: &str, seed: u64, fold: &str, value: f64) -> ResultRow {
    ResultRow { features: features.to_owned(), step: 0.into(), ..row(arm, seed, fold, value) }
}

/// Two arms, two seeds, two folds; `b` is better by 0.1 with seed 0 and by 0.3 with seed 1.
fn rows() -> Vec<ResultRow> {
    let mut rows = Vec::new();
    for (seed, gain) in [(0, 0.1), (1, 0.3)] {
        for (fold, base) in [("0", 0.25), ("1", 0.5)] {
            rows.push(row("a", seed, fold, base));
            rows.push(row("b", seed, fold, base + gain));
        }
    }
    rows
}

/// Three seeds, by which `b` is better by 0.1, 0.2 and 0.3.
fn three_seeds() -> Vec<ResultRow> {
    let third = [("0", 0.25), ("1", 0.5)]
        .into_iter()
        .flat_map(|(fold, base)| [row("a", 2, fold, base), row("b", 2, fold, base + 0.2)]);
    rows().into_iter().chain(third).collect()
}

fn difference(table: &Table, line: usize) -> Difference {
    table.lines[line].difference.clone().unwrap()
}

#[test]
fn three_seeds_have_an_interval_over_seeds_and_two_a_reason() {
    let table = Table::build(&three_seeds(), &[], &options("a")).unwrap();
    let [a, b] = &table.lines[..] else { panic!("{:?}", table.lines) };
    assert_eq!((a.n, a.seeds, a.mean, a.over_seeds, &a.difference), (6, 3, 0.375, Some(0.0), &None));
    assert!(
        (b.over_seeds.unwrap() - 0.1).abs() < 1e-12 && (b.over_folds.unwrap() - 0.25 * 0.5f64.sqrt()).abs() < 1e-12
    );
    let d = b.difference.clone().unwrap();
    assert!(d.seeds == 3 && (d.mean - 0.2).abs() < 1e-12, "{d:?}");
    // t(0.975, 2) = 4.30265; the standard error of {0.1, 0.2, 0.3} is 0.1 / √3.
    let interval = d.over_seeds.unwrap().interval(0.95);
    assert!((interval.hi - (0.2 + 4.302652729911275 * 0.1 / 3f64.sqrt())).abs() < 1e-8, "{interval:?}");
    assert_eq!((d.over_seeds_and_groups, d.judgement), (Err(Missing::NoPredictions), None));
    let two = difference(&Table::build(&rows(), &[], &options("a")).unwrap(), 1);
    assert_eq!(two.over_seeds, Err(NoEstimate::TooFewSeeds { have: 2 }.into()));
}

#[test]
fn equal_differences_give_neither_interval_nor_p() {
    let mut rows = Vec::new();
    for seed in 0..3 {
        rows.extend(["0", "1"].map(|fold| row("a", seed, fold, 0.25)));
        rows.extend(["0", "1"].map(|fold| row("b", seed, fold, 0.5)));
    }
    let d = difference(&Table::build(&rows, &[], &options("a")).unwrap(), 1);
    assert_eq!(d.over_seeds, Err(NoEstimate::NoSpread.into()));
}

#[test]
fn only_common_pairs_are_compared() {
    let mut rows = rows();
    rows.retain(|r| !(r.arm == "b" && r.seed == 1 && r.fold == "1"));
    rows.push(row("b", 7, "0", 0.9));
    let table = Table::build(&rows, &[], &options("a")).unwrap();
    assert_eq!((difference(&table, 1).seeds, table.lines[1].n), (2, 4));
}

/// Accuracy of `right` of 10 cells in each of four groups of two folds, whose groups differ by one cell.
fn counted(trials: &[(&str, u64, u64)]) -> Evaluated {
    let mut builder = CountsBuilder::new(2);
    for &(name, seed, right) in trials {
        for (fold, group, more) in ["0", "1"]
            .into_iter()
            .flat_map(|fold| ["p", "q", "r", "s"].map(|group| (fold, group)))
            .map(|(fold, group)| (fold, format!("{fold}{group}"), u64::from(group > "q")))
        {
            let place = Place { source: "a", fold, group: &group };
            // The reference has no such spread: then differences of groups have it.
            let right = if name == "a" { right } else { right + more };
            builder.add((name, seed), place, (0, 0), right).unwrap();
            builder.add((name, seed), place, (0, 1), 10 - right).unwrap();
        }
    }
    let counts = BTreeMap::from([("1nn".to_owned(), builder.build().unwrap())]);
    Evaluated { classes: vec!["round".to_owned(), "spiky".to_owned()], counts }
}

/// Rows of three seeds of the arms `names`, of which scores do not matter.
fn rows_of(names: &[&str]) -> Vec<ResultRow> {
    let of = |name: &&str| -> Vec<ResultRow> {
        let (features, arm) = if *name == "h" { ("histogram", "a") } else { (TEACHER, *name) };
        let scores = (0..3).flat_map(|seed| ["0", "1"].map(|fold| (seed, fold)));
        let row = |(seed, fold)| ResultRow {
            features: features.into(),
            metric: "accuracy".into(),
            ..row(arm, seed, fold, 0.5)
        };
        scores.map(row).collect()
    };
    names.iter().flat_map(of).collect()
}

fn judged(rows: &[ResultRow], evaluated: &Evaluated, options: &TableOptions) -> Table {
    let primary = Primary { probe: ProbeName::OneNearest, metric: Metric::Accuracy };
    let options = TableOptions { primary, ..options.clone() };
    Table::with_predictions(rows, &[], &options, |_, _| Ok::<_, ResultsError>(evaluated.clone())).unwrap()
}

#[test]
fn predictions_give_scores_intervals_and_verdicts() {
    let right = |name, right: [u64; 3]| (0..3).map(move |seed| (name, seed as u64, right[seed]));
    let trials: Vec<_> = right("a", [2, 3, 2]).chain(right("b", [7, 8, 8])).chain(right("c", [2, 3, 3])).collect();
    let table = judged(&rows_of(&["a", "b", "c"]), &counted(&trials), &options("a"));
    let [a, b, c] = &table.lines[..] else { panic!("{:?}", table.lines) };
    assert!((a.mean - 7.0 / 30.0).abs() < 1e-12 && (b.mean - (23.0 / 30.0 + 0.05)).abs() < 1e-12, "{a:?} {b:?}");
    assert!(a.is_primary && b.is_primary);
    let (b, c) = (b.difference.as_ref().unwrap(), c.difference.as_ref().unwrap());
    assert!((b.mean - (b.over_seeds_and_groups.as_ref().unwrap().mean)).abs() < 1e-12);
    assert_eq!(b.judgement.unwrap().judgement.verdict, Verdict::Better);
    assert_eq!(c.judgement.unwrap().judgement.verdict, Verdict::Undecided);
    assert!(b.judgement.unwrap().detectable.unwrap() > 0.0 && b.over_sources.is_none());
    assert_eq!((table.family.arms, table.family.primaries), (2, 1));
    let class = table.classes.iter().find(|line| line.arm == "b" && line.class == "round").unwrap();
    assert_eq!((class.support, class.is_primary, class.precision.mean), (80, true, 1.0));
    assert!((class.recall.mean - (23.0 / 30.0 + 0.05)).abs() < 1e-12, "{class:?}");
}

/// A family is what was planned: an arm that has not been run makes no verdict of another easier.
#[test]
fn holm_counts_arms_that_have_no_scores_yet_and_leaves_baselines_out() {
    let trials: Vec<_> = [("a", [2, 3, 2]), ("b", [7, 8, 8]), ("baseline: histogram (a)", [1, 1, 1])]
        .iter()
        .flat_map(|(name, right)| (0..3).map(move |seed| (*name, seed as u64, right[seed])))
        .collect();
    let p = |arms: &[&str]| {
        let options = TableOptions { arms: arms.iter().map(|&arm| arm.into()).collect(), ..options("a") };
        let table = judged(&rows_of(&["a", "b", "h"]), &counted(&trials), &options);
        let [_, b, histogram] = &table.lines[..] else { panic!("{:?}", table.lines) };
        let histogram = histogram.difference.as_ref().unwrap();
        assert!(histogram.over_seeds_and_groups.is_ok() && histogram.judgement.is_none(), "{histogram:?}");
        let judgement = b.difference.as_ref().unwrap().judgement.unwrap().judgement;
        (judgement.p, judgement.p_holm)
    };
    let (p_alone, holm_alone) = p(&[]);
    assert_eq!(p_alone, holm_alone);
    let (p_planned, holm_planned) = p(&["a", "b", "c", "d"]);
    assert!(p_planned == p_alone && (holm_planned / (3.0 * p_alone).min(1.0) - 1.0).abs() < 1e-12);
}

#[test]
fn a_line_with_predictions_of_some_seeds_has_what_its_rows_give() {
    let mut trials: Vec<_> = ["a", "b"].iter().flat_map(|name| (0..3).map(move |seed| (*name, seed, 5))).collect();
    trials.pop();
    let table = judged(&rows_of(&["a", "b"]), &counted(&trials), &options("a"));
    assert_eq!(difference(&table, 1).over_seeds_and_groups, Err(Missing::NoPredictions));
    assert_eq!((table.lines[0].mean, table.lines[1].mean), (0.5, 0.5));
}

#[test]
fn rows_about_the_features_stand_apart_from_scores() {
    let mut rows = rows();
    let about = |arm, value| ResultRow {
        probe: PROBE_OF_FEATURES.into(),
        metric: "median_std".into(),
        ..row(arm, 0, "all", value)
    };
    rows.extend([about("a", 0.15), about("b", 0.33)]);
    rows.push(ResultRow { class: Some("round".into()), metric: "recall".into(), ..row("a", 0, "0", 0.2) });
    let table = Table::build(&rows, &[], &options("a")).unwrap();
    assert_eq!((table.lines.len(), table.features.len()), (2, 2));
    assert_eq!((table.features[1].mean, &table.features[1].difference), (0.33, &None));
}

#[test]
fn a_baseline_shared_by_all_arms_is_one_line_and_counted_once() {
    let mut rows = rows();
    for (arm, seed) in [("a", 0), ("b", 0), ("b", 9)] {
        rows.push(baseline("histogram", arm, seed, "0", 0.4));
        rows.push(baseline("histogram", arm, seed, "1", 0.2));
    }
    let table = Table::build(&rows, &[], &options("a")).unwrap();
    let line = table.lines.last().unwrap();
    assert_eq!((line.name().as_str(), line.n, table.lines.len()), ("baseline: histogram", 2, 3));
    assert_eq!((line.seeds, line.over_seeds, line.difference.as_ref().unwrap().seeds), (1, None, 2));
}

#[test]
fn arms_with_different_random_weights_keep_their_own_baseline() {
    let mut rows = rows();
    rows.push(baseline("random", "a", 0, "0", 0.4));
    rows.push(baseline("random", "b", 0, "0", 0.3));
    let names: Vec<_> = Table::build(&rows, &[], &options("a")).unwrap().lines.iter().map(Line::name).collect();
    assert_eq!(names, ["a", "b", "baseline: random (a)", "baseline: random (b)"]);
}

#[test]
fn the_last_checkpoint_counts_and_a_repeated_row_counts_once() {
    let mut rows = rows();
    rows.push(rows[0].clone());
    rows.push(ResultRow { step: 300.into(), ..row("a", 0, "0", 0.99) });
    assert_eq!(Table::build(&rows, &[], &options("a")).unwrap().lines[0].mean, 0.375);
    rows.push(row("a", 0, "0", 0.26));
    assert!(matches!(Table::build(&rows, &[], &options("a")), Err(ResultsError::Conflict { .. })));
}

#[test]
fn the_distance_to_the_optimum_is_shown_where_it_was_measured() {
    let mut rows = three_seeds();
    let about = |metric: &str, fold, value| ResultRow {
        probe: "linear".into(),
        metric: metric.into(),
        ..row("a", 0, fold, value)
    };
    for (fold, changes) in [("0", 0.01), ("1", 0.03)] {
        rows.extend([about("optimum_distance", fold, 0.002), about("optimum_changes", fold, changes)]);
    }
    let table = Table::build(&rows, &[], &options("a")).unwrap();
    assert_eq!((table.lines.len(), table.measured.len()), (2, 2));
    let text = crate::render::markdown(&table);
    assert!(text.contains("| linear | a | 0.0020 | 2.0 |"), "{text}");
    assert!(text.contains("prediction the optimum changes"), "{text}");
}

#[test]
fn evaluation_sets_stand_in_the_order_wanted() {
    let of = |dataset: &str| ResultRow { dataset: dataset.into(), ..row("a", 0, "0", 0.5) };
    let sets = |datasets: &[&str]| {
        let datasets = datasets.iter().map(|&name| name.to_owned()).collect();
        let options = TableOptions { datasets, ..TableOptions::default() };
        let table = Table::build(&[of("a"), of("b"), of("c")], &[], &options).unwrap();
        let text = crate::render::markdown(&table);
        let mut places: Vec<_> =
            ["a", "b", "c"].map(|set| (text.find(&format!("## {set}, split")).unwrap(), set)).into();
        places.sort_unstable();
        places.into_iter().map(|(_, set)| set).collect::<Vec<_>>()
    };
    assert_eq!(sets(&["c", "a"]), ["c", "a", "b"]);
    assert_eq!(sets(&[]), ["a", "b", "c"]);
}

#[test]
fn the_reference_leads_unless_an_order_is_given() {
    let names = |options: &TableOptions| {
        Table::build(&rows(), &[], options).unwrap().lines.iter().map(Line::name).collect::<Vec<_>>()
    };
    assert_eq!(names(&options("b")), ["b", "a"]);
    assert_eq!(names(&TableOptions { arms: vec!["a".into(), "b".into()], ..options("b") }), ["a", "b"]);
}

#[test]
fn a_transductive_line_says_so_and_an_unknown_one_too() {
    let notes = |transductive| {
        let rows: Vec<_> = rows().into_iter().map(|row| ResultRow { transductive, ..row }).collect();
        Table::build(&rows, &[], &options("a")).unwrap().lines[0].notes.join("; ")
    };
    assert!(notes(Some(true)).starts_with("transductive: the training set contained images"));
    assert!(notes(None).contains("is not known"));
    assert_eq!(notes(Some(false)), "");
}

#[test]
fn trials_without_scores_stand_in_the_table_even_alone() {
    let state = crate::Unscored::Failed;
    let failure = UnscoredTrial {
        arm: "a".into(),
        seed: 0.into(),
        trial: Digest::of(b"a"),
        state,
        reason: "loss was NaN".into(),
    };
    let table = Table::build(&[], std::slice::from_ref(&failure), &options("a")).unwrap();
    assert_eq!(table.unscored, [failure]);
    assert!(matches!(Table::build(&[], &[], &options("a")), Err(ResultsError::Empty { .. })));
    assert!(matches!(Table::build(&rows(), &[], &options("x")), Err(ResultsError::NoReference { .. })));
}

/// A number of a further evaluation.
fn number(arm: &str, seed: u64, (evaluation, metric, fold): (&str, &str, &str), value: f64) -> ResultRow {
    ResultRow { evaluation: Some(evaluation.into()), metric: metric.into(), ..row(arm, seed, fold, value) }
}

#[test]
fn further_evaluations_are_averaged_over_folds_and_draws_and_spread_over_seeds() {
    let mut all = rows();
    for (seed, value) in [(0, 0.25), (1, 0.5)] {
        for (fold, repeat, more) in [("0", 0, 0.0), ("0", 1, 0.25), ("1", 0, 0.25), ("1", 1, 0.5)] {
            let at = |arm: &str, fraction, value| ResultRow {
                fraction: Some(fraction),
                repeat: Some(repeat),
                n_train: 10,
                ..number(arm, seed, ("label_efficiency", "weighted_f1", fold), value)
            };
            all.extend([at("b", 0.05, value + more), at("a", 0.05, 0.5), at("a", 1.0, 0.75)]);
            all.push(ResultRow { features: "histogram".into(), step: 0.into(), ..at("a", 0.05, 0.125) });
            all.push(ResultRow { features: "histogram".into(), step: 0.into(), ..at("b", 0.05, 0.125) });
        }
    }
    let table = Table::build(&all, &[], &options("a")).unwrap();
    let said: Vec<_> = table.measured.iter().map(|l| (l.name(), l.place(), l.value.n, l.value.mean)).collect();
    let line = |name: &str, place: &str, seeds, mean| (name.to_owned(), place.to_owned(), seeds, mean);
    assert_eq!(
        said,
        [
            line("a", "5 %", 2, 0.5),
            line("b", "5 %", 2, 0.625),
            line("baseline: histogram", "5 %", 1, 0.125),
            line("a", "100 %", 2, 0.75)
        ]
    );
    assert_eq!((table.measured[1].value.std, table.measured[1].n_train), (Some(0.125 * 2f64.sqrt()), 10.0));
    assert_eq!(
        table.lines,
        Table::build(&rows(), &[], &options("a")).unwrap().lines,
        "the protocol's lines are as before"
    );
}

#[test]
fn a_left_out_source_is_a_place_of_its_own_and_unknown_evaluations_are_passed_over() {
    let of = |metric, fold, value| number("a", 0, ("leave_one_source_out", metric, fold), value);
    let rows = [
        row("a", 0, "0", 0.5),
        of("accuracy", "chula", 0.75),
        of("accuracy", "elsafty", 0.5),
        ResultRow { note: "worst source: elsafty".into(), ..of("worst_accuracy", "all", 0.5) },
        number("a", 0, ("of_tomorrow", "accuracy", "0"), 0.5),
    ];
    let table = Table::build(&rows, &[], &options("a")).unwrap();
    let places: Vec<String> = table.measured.iter().map(|line| line.place()).collect();
    assert_eq!(places, ["chula", "elsafty", ""]);
    let text = crate::render::markdown(&table);
    assert!(text.contains("| 1nn | chula | a | 75.0 |  |"), "{text}");
    assert!(text.contains("| 1nn |  | a |  | 50.0 |"), "{text}");
    assert!(text.contains("- worst source: elsafty") && text.contains("what a new laboratory may get"), "{text}");
    let csv = crate::render::measured_csv(&table).unwrap();
    assert!(csv.lines().count() == 4 && csv.contains("leave_one_source_out,1nn,accuracy,,,,chula,a"), "{csv}");
}

/// Two sources in two folds, so that the mean over the folds of rows is another number than that of predictions.
fn of_two_sources(trials: &[(&str, u64)]) -> Evaluated {
    let mut builder = CountsBuilder::new(2);
    for &(name, seed) in trials {
        for (source, fold, group, cells) in
            [("a", "0", "p", 30), ("b", "0", "q", 10), ("a", "1", "r", 10), ("b", "1", "s", 30)]
        {
            let right = if source == "a" { cells / 2 + seed } else { cells - seed };
            let place = Place { source, fold, group };
            builder.add((name, seed), place, (0, 0), right).unwrap();
            builder.add((name, seed), place, (0, 1), cells - right).unwrap();
        }
    }
    Evaluated {
        classes: vec!["round".into(), "spiky".into()],
        counts: BTreeMap::from([("1nn".into(), builder.build().unwrap())]),
    }
}

fn three_of(names: &[&'static str]) -> Vec<(&'static str, u64)> {
    names.iter().flat_map(|&name| (0..3).map(move |seed| (name, seed))).collect()
}

/// A table has one definition of a score: where others have predictions, an arm with rows alone is left out.
#[test]
fn a_line_without_predictions_is_left_out_where_its_rows_are_other_scores() {
    let table = judged(&rows_of(&["a", "b", "c"]), &of_two_sources(&three_of(&["a", "c"])), &options("a"));
    let names: Vec<String> = table.lines.iter().map(Line::name).collect();
    assert_eq!(names, ["a", "c"]);
    let [left_out] = &table.left_out[..] else { panic!("{:?}", table.left_out) };
    assert!(left_out.words().starts_with("b has no score here: an older version probed it"), "{}", left_out.words());
    assert!(crate::render::markdown(&table).contains("- b has no score here"));
    // A seed without predictions is left out of its line, which says so.
    let mut trials = three_of(&["a", "b"]);
    trials.pop();
    let table = judged(&rows_of(&["a", "b"]), &of_two_sources(&trials), &options("a"));
    let [a, b] = &table.lines[..] else { panic!("{:?}", table.lines) };
    assert_eq!((a.seeds, b.seeds, difference(&table, 1).seeds), (3, 2, 2));
    assert!(b.notes[0].starts_with("seed 2 does not count here"), "{:?}", b.notes);
    assert!(a.by_seed.iter().zip(&b.by_seed).all(|(a, b)| a == b) && difference(&table, 1).mean == 0.0);
}

#[test]
fn a_reference_without_predictions_leaves_the_whole_comparison_to_the_rows() {
    let mut trials = three_of(&["b", "c", "a"]);
    trials.pop();
    let rows: Vec<_> = rows_of(&["a", "b", "c"])
        .into_iter()
        .map(|row| if row.arm == "b" { ResultRow { value: row.value + 0.125, ..row } } else { row })
        .collect();
    let table = judged(&rows, &of_two_sources(&trials), &options("a"));
    let means: Vec<f64> = table.lines.iter().map(|line| line.mean).collect();
    assert_eq!(means, [0.5, 0.625, 0.5], "no line has the score of its predictions");
    assert_eq!(difference(&table, 1).mean, 0.125, "the difference is that of the two scores");
    assert_eq!(difference(&table, 1).over_seeds_and_groups, Err(Missing::NoPredictions));
    assert!(table.lines.iter().all(|line| line.notes[0].contains("predictions are not kept of all seeds of a")));
    assert_eq!(table.left_out, []);
}

/// Random weights are drawn from the seed: one seed of them says nothing about the others.
#[test]
fn a_single_seed_of_random_weights_is_paired_with_that_seed_alone() {
    let mut rows = three_seeds();
    rows.extend(["0", "1"].map(|fold| baseline("random", "a", 1, fold, 0.25)));
    rows.extend(["0", "1"].map(|fold| baseline("histogram", "a", 1, fold, 0.25)));
    let table = Table::build(&rows, &[], &options("a")).unwrap();
    let of = |name: &str| table.lines.iter().find(|line| line.name() == name).unwrap().difference.clone().unwrap();
    let random = of("baseline: random");
    assert_eq!((random.seeds, random.over_seeds), (1, Err(NoEstimate::TooFewSeeds { have: 1 }.into())));
    assert_eq!(of("baseline: histogram").seeds, 3);
}

#[test]
fn equal_seeds_leave_the_interval_over_groups_and_its_note_says_which_is_missing() {
    let trials: Vec<_> = ["a", "b"]
        .iter()
        .flat_map(|&name| (0..3).map(move |seed| (name, seed, if name == "a" { 3 } else { 5 })))
        .collect();
    let table = judged(&rows_of(&["a", "b"]), &counted(&trials), &options("a"));
    let b = difference(&table, 1);
    assert!(b.over_seeds_and_groups.is_ok() && b.over_seeds == Err(NoEstimate::NoSpread.into()), "{b:?}");
    assert_eq!(table.lines[1].over_seeds, Some(0.0));
    let text = crate::render::markdown(&table);
    assert!(
        text.contains("no interval over seeds alone: all differences are equal") && !text.contains("no interval: "),
        "{text}"
    );
}
