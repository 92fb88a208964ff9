//! What the forms of a table say about made-up rows.

use super::*;
use crate::row::tests::row;
use crate::row::{ResultRow, Unscored, UnscoredTrial};
use crate::table::{Table, TableOptions};
use run_spec::ids::Digest;

fn table(evidence: bool) -> Table {
    let mut rows = Vec::new();
    for (seed, gain) in [(0, 0.012), (1, -0.002)] {
        for (fold, base) in [("0", 0.45), ("1", 0.5)] {
            rows.push(row("base", seed, fold, base));
            rows.push(ResultRow { note: "did not converge".into(), ..row("no|koleo", seed, fold, base + gain) });
            rows.push(ResultRow { metric: "accuracy".into(), ..row("base", seed, fold, 1.0) });
            rows.push(ResultRow {
                features: "histogram".into(),
                step: 0.into(),
                ..row("base", seed, fold, base - 0.1)
            });
        }
    }
    let trial = |state, reason: &str| UnscoredTrial {
        arm: "local 0".into(),
        seed: 1.into(),
        trial: Digest::of(b"x"),
        state,
        reason: reason.into(),
    };
    let unscored = [trial(Unscored::NotRun, ""), trial(Unscored::Failed, "loss was NaN")];
    let options =
        TableOptions { title: "Ablations".into(), reference: Some("base".into()), evidence, ..TableOptions::default() };
    Table::build(&rows, &unscored, &options).unwrap()
}

#[test]
fn markdown_shows_differences_failures_and_the_warning() {
    let text = markdown(&table(false));
    let before_numbers = &text[..text.find("| probe").unwrap()];
    assert!(before_numbers.contains("SMOKE TEST, NO EVIDENCE"), "{text}");
    assert!(text.contains("| 1nn | base | 2 | 47.5 ± 0.0 | 3.5 |  | reference |  |  |"), "{text}");
    assert!(text.contains("| 1nn | no\\|koleo | 2 | 48.0 ± 1.0 | 3.5 |  | +0.5 | none | none |"), "{text}");
    assert!(text.contains("| 1nn | baseline: histogram | 1 | 37.5 | 3.5 |  | −10.0 | none | none |"), "{text}");
    assert!(text.contains("loss was NaN") && text.contains("- no|koleo: did not converge"), "{text}");
    assert!(text.contains("2 common seeds, and 3 are needed; run 1 more"), "{text}");
    assert!(text.contains("no predictions are kept of some of these trials"), "{text}");
    assert!(!markdown(&table(true)).contains("SMOKE"));
}

#[test]
fn markdown_shows_any_name_as_it_is() {
    let names =
        [("<script>", "\\<script\\>"), ("a\\|b", "a\\\\\\|b"), ("$x_1$", "\\$x_1\\$"), ("_a_ *b*", "\\_a\\_ \\*b\\*")];
    for (name, expected) in names {
        let rows = [row("base", 0, "0", 0.5), row(name, 0, "0", 0.25)];
        let text = markdown(&Table::build(&rows, &[], &TableOptions::default()).unwrap());
        assert!(text.contains(&format!("| 1nn | {expected} | 1 |")), "{text}");
    }
}

#[test]
fn terminal_columns_line_up() {
    let text = terminal(&table(false));
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("  1nn")).collect();
    assert_eq!(rows.len(), 3, "{text}");
    let end = |line: &str| line.chars().position(|c| c == '.').unwrap();
    assert!(rows[..2].iter().all(|r| end(r) == end(rows[0])), "{text}");
    assert!(
        text.starts_with("Ablations\n\n*** SMOKE TEST") && text.contains("Trials without scores: 2, 1 of them"),
        "{text}"
    );
    assert!(text.contains("): not run yet\n") && text.contains("): failed: loss was NaN\n"), "{text}");
    assert!(!text.contains("accuracy in %"), "a terminal shows the primary metric: {text}");
}

#[test]
fn latex_escapes_names_and_says_that_it_is_no_evidence() {
    let text = latex(&table(false));
    assert!(text.contains("1nn & no|koleo & 2 & 48.0 $\\pm$ 1.0 & 3.5 &  & +0.5 & none & none"), "{text}");
    assert!(text.contains("baseline: histogram & 1 & 37.5 & 3.5 &  & $-$10.0"), "{text}");
    let tables = text.matches("\\begin{table}").count();
    assert_eq!(text.matches("\\textbf{SMOKE TEST, NO EVIDENCE").count(), tables, "{text}");
    assert_eq!(text.matches("\\end{tabular}").count(), tables);
    assert!(!latex(&table(true)).contains("textbf"));
    let body = text.lines().filter(|line| !line.starts_with('%') && !line.starts_with('\\'));
    assert!(body.clone().count() > 0 && body.into_iter().all(|line| line.ends_with("\\\\")), "{text}");
}

#[test]
fn csv_keeps_all_digits_and_the_failures() {
    let text = csv(&table(true)).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), table(true).lines.len() + 2);
    let line = records.iter().find(|r| &r[at("arm")] == "no|koleo").unwrap();
    let expected = table(true).lines.iter().find(|l| l.arm == "no|koleo").unwrap().difference.as_ref().unwrap().mean;
    assert_eq!(line[at("difference")].parse::<f64>().unwrap(), expected);
    assert!(line[at("p")].is_empty() && line[at("lo")].is_empty(), "{line:?}");
    assert!(line[at("no_seeds_alone")].contains("run 1 more"), "{line:?}");
    let [.., not_run, failed] = &records[..] else { panic!("{text}") };
    assert!(failed[at("failed")].contains("loss was NaN") && &failed[at("status")] == "failed");
    assert!(not_run[at("failed")].is_empty() && &not_run[at("status")] == "not run yet");
    assert!(not_run[at("mean")].is_empty() && not_run[at("hours")].is_empty());
    assert_eq!(&line[at("status")], "scored");
}

#[test]
fn parquet_is_the_same_twice() {
    assert_eq!(parquet(&table(true)).unwrap(), parquet(&table(true)).unwrap());
    assert_eq!(classes_csv(&table(true)).unwrap(), "");
}

#[test]
fn a_name_that_is_too_long_loses_its_middle() {
    assert_eq!(shortened("koleo_weight=0.1,lr=0.001", 11), "koleo…0.001");
    assert_eq!(shortened("koleo", 5), "koleo");
}
