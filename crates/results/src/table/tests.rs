//! What a table says about made-up rows.

use super::*;
use crate::row::tests::row;
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

#[test]
fn seeds_are_the_unit_where_there_are_two() {
    let table = Table::build(&rows(), &[], &options("a")).unwrap();
    let [a, b] = &table.lines[..] else { panic!("{:?}", table.lines) };
    assert_eq!((a.n, a.seeds, a.mean, a.difference), (4, 2, 0.375, None));
    let d = b.difference.unwrap();
    assert_eq!((d.pairs, d.units, d.unit), (4, 2, Unit::Seed));
    // t(0.975, 1) = 12.706; the standard error of {0.1, 0.3} is 0.1.
    let interval = d.interval.unwrap();
    assert!((d.mean - 0.2).abs() < 1e-12 && (interval.hi - (0.2 + 1.2706204736)).abs() < 1e-9, "{d:?}");
    let of_two = |table: &Table| table.captions().iter().any(|c| c.contains("one degree of freedom"));
    assert!(of_two(&table));
    let third = ["0", "1"].into_iter().flat_map(|fold| [row("a", 2, fold, 0.3), row("b", 2, fold, 0.4)]);
    assert!(!of_two(&Table::build(&rows().into_iter().chain(third).collect::<Vec<_>>(), &[], &options("a")).unwrap()));
}

#[test]
fn folds_are_the_unit_of_one_seed_and_the_caption_says_so() {
    let one_seed: Vec<_> = rows().into_iter().filter(|r| r.seed == 1).collect();
    let table = Table::build(&one_seed, &[], &options("a")).unwrap();
    assert_eq!(table.lines[1].difference.unwrap().unit, Unit::Fold);
    assert!(table.captions().iter().any(|c| c.contains("does not cover another seed")));
}

#[test]
fn only_common_pairs_are_compared() {
    let mut rows = rows();
    rows.retain(|r| !(r.arm == "b" && r.seed == 1 && r.fold == "1"));
    rows.push(row("b", 7, "0", 0.9));
    let table = Table::build(&rows, &[], &options("a")).unwrap();
    assert_eq!(table.lines[1].difference.unwrap().pairs, 3);
    assert_eq!(table.lines[1].n, 4);
}

#[test]
fn holm_runs_over_the_arms_and_leaves_baselines_out() {
    let mut rows = rows();
    for (seed, gain) in [(0, 0.2), (1, 0.21)] {
        rows.extend(["0", "1"].map(|fold| row("c", seed, fold, 0.3 + gain)));
        rows.extend(["0", "1"].map(|fold| baseline("random", "a", seed, fold, 0.1 * gain)));
    }
    let table = Table::build(&rows, &[], &options("a")).unwrap();
    let p: Vec<_> = table.lines.iter().filter_map(|l| l.difference).map(|d| (d.p.unwrap(), d.p_holm)).collect();
    let [(b, Some(b_holm)), (c, Some(c_holm)), (_, None)] = p[..] else { panic!("{p:?}") };
    assert!(c < b && (c_holm - 2.0 * c).abs() < 1e-12 && b_holm >= c_holm, "{p:?}");
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
    assert_eq!(line.difference.unwrap().pairs, 4);
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
    assert!(notes(Some(true)).starts_with("transductive: the training set held images"));
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
