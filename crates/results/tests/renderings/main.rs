//! What tables of made-up sweeps look like, beside files that a person has read.
//!
//! `REDDINO_REWRITE_GOLDEN=1 cargo test --workspace --test renderings` writes the files anew; read the difference before it is kept.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../examples/made_up/mod.rs"]
mod made_up;

use made_up::{DATASET, SPLIT, Sweep};
use results::figure::{ArmsFigure, arms};
use results::render;
use results::stats::verdict::Verdict;
use results::table::Table;

/// A sweep that decides something: `collapsed` is far below, `twin` is the reference under another name.
const DECIDED: Sweep<'_> = Sweep {
    title: "Sweep decided",
    arms: &[("reference", 0.0), ("collapsed", -0.3), ("twin|of it", 0.002)],
    seeds: 4,
    sources: 3,
    groups: 24,
    evidence: true,
};

/// Two seeds: differences without intervals.
const SHORT: Sweep<'_> = Sweep { title: "Sweep short", seeds: 2, sources: 1, evidence: false, ..DECIDED };

fn is_golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/renderings").join(name);
    if std::env::var_os("REDDINO_REWRITE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{} is out of date:\n{text}", path.display());
}

fn picture(table: &Table) -> String {
    let probes = ["linear_standardised", "20nn"];
    arms(&ArmsFigure { table, dataset: DATASET, split: SPLIT, metric: "weighted_f1", probes: &probes }).unwrap()
}

#[test]
fn every_form_of_a_decided_sweep_is_as_it_was_read() {
    let table = DECIDED.table(true).unwrap();
    is_golden("decided.txt", &render::terminal(&table));
    is_golden("decided.md", &render::markdown(&table));
    is_golden("decided.csv", &render::csv(&table).unwrap());
    is_golden("decided-classes.csv", &render::classes_csv(&table).unwrap());
    is_golden("decided.svg", &picture(&table));
}

#[test]
fn two_seeds_and_rows_alone_say_what_is_missing() {
    is_golden("short.txt", &render::terminal(&SHORT.table(true).unwrap()));
    is_golden("rows-alone.txt", &render::terminal(&DECIDED.table(false).unwrap()));
    is_golden("short.svg", &picture(&SHORT.table(true).unwrap()));
}

#[test]
fn verdicts_are_of_primary_lines_alone_and_the_known_effect_is_found() {
    let table = DECIDED.table(true).unwrap();
    let judged = |line: &results::table::Line| line.difference.as_ref().and_then(|d| d.judgement);
    for line in &table.lines {
        let may_be = line.is_primary && !line.is_baseline() && line.arm != "reference";
        assert_eq!(judged(line).is_some(), may_be, "{line:?}");
    }
    let collapsed = table.lines.iter().find(|line| line.is_primary && line.arm == "collapsed").unwrap();
    assert_eq!(judged(collapsed).unwrap().judgement.verdict, Verdict::Worse);
    assert!(SHORT.table(true).unwrap().lines.iter().all(|line| judged(line).is_none()));
}

#[test]
fn a_terminal_of_120_characters_holds_every_line() {
    let long: Vec<(String, f64)> = (0..6).map(|i| (format!("{}={i}", "a.rather.long.key".repeat(5)), 0.01)).collect();
    let mut arms: Vec<(&str, f64)> = long.iter().map(|(name, gain)| (name.as_str(), *gain)).collect();
    arms.insert(0, ("reference", 0.0));
    let table = Sweep { arms: &arms, ..DECIDED }.table(true).unwrap();
    for text in [render::terminal(&table), render::terminal(&DECIDED.table(true).unwrap())] {
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{} characters: {line}", line.chars().count());
        }
    }
}

#[test]
fn programs_get_one_record_a_line_and_the_same_bytes_twice() {
    let table = DECIDED.table(true).unwrap();
    let text = render::csv(&table).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.records().count(), table.lines.len() + table.features.len());
    assert_eq!(render::parquet(&table).unwrap(), render::parquet(&table).unwrap());
}
