//! A table as Markdown and terminal text for people, as CSV and Parquet for programs.
//!
//! People get percentages with one decimal, one block per data set, split and metric; programs get fractions with all
//! their digits, one record per line. Captions and trials without scores are part of every form that a person reads.

use std::fmt::Write as _;

use crate::ResultsError;
use crate::columns::{counts, numbers, texts, write_batch};
use crate::row::UnscoredTrial;
use crate::table::{Difference, Line, Table};

/// Metrics that are fractions and are shown as percentages.
const FRACTIONS: [&str; 4] = ["accuracy", "balanced_accuracy", "weighted_f1", "macro_f1"];

/// Columns of the CSV and Parquet forms.
const COLUMNS: [&str; 26] = [
    "dataset",
    "split",
    "metric",
    "probe",
    "arm",
    "features",
    "reference",
    "n",
    "seeds",
    "mean",
    "std",
    "pairs",
    "units",
    "unit",
    "difference",
    "lo",
    "hi",
    "level",
    "p",
    "p_holm",
    "hours",
    "kwh",
    "notes",
    "evidence",
    "failed",
    "status",
];

/// The table as Markdown. `metrics` restricts the blocks shown (all when empty).
pub fn markdown(table: &Table, metrics: &[&str]) -> String {
    let mut out = format!("# {}\n\n", table.title);
    if !table.evidence {
        // A quote of its own, so that nobody reads the numbers without it.
        let _ = writeln!(out, "> **{}**\n", crate::table::SMOKE_TEST);
    }
    for block in blocks(table, metrics) {
        let _ = writeln!(out, "## {}\n", block.heading);
        let _ = writeln!(out, "| {} |", block.header.join(" | "));
        let _ = writeln!(out, "|---|---|{}", "---:|".repeat(block.header.len() - 2));
        for row in &block.rows {
            let cells: Vec<String> = row.iter().map(|c| c.replace('|', "\\|")).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        out.push('\n');
        for note in &block.notes {
            let _ = writeln!(out, "- {note}");
        }
        if !block.notes.is_empty() {
            out.push('\n');
        }
    }
    for caption in table.captions().iter().filter(|c| *c != crate::table::SMOKE_TEST) {
        let _ = writeln!(out, "{caption}  ");
    }
    out.push_str("\n## Trials without scores\n\n");
    if table.unscored.is_empty() {
        out.push_str("None.\n");
    } else {
        out.push_str("| arm | seed | trial | status | reason |\n|---|---:|---|---|---|\n");
        for t in &table.unscored {
            let reason = t.reason.replace('|', "\\|").replace('\n', " ");
            let (trial, state) = (t.trial.short(), t.state.words());
            let _ = writeln!(out, "| {} | {} | `{trial}` | {state} | {reason} |", t.arm, t.seed);
        }
    }
    out
}

/// The table as aligned text for a terminal, without colour. `metrics` as for [`markdown`].
pub fn terminal(table: &Table, metrics: &[&str]) -> String {
    let mut out = format!("{}\n", table.title);
    if !table.evidence {
        let _ = writeln!(out, "\n*** {} ***", crate::table::SMOKE_TEST);
    }
    for block in blocks(table, metrics) {
        let _ = writeln!(out, "\n{}", block.heading);
        let width = |column: usize| {
            let cells = block.rows.iter().map(|r| r[column].chars().count());
            cells.chain([block.header[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..block.header.len()).map(width).collect();
        let mut print = |cells: &[String]| {
            let mut line = String::new();
            for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                // Names to the left, numbers to the right.
                let _ = if column < 2 { write!(line, "  {cell}{pad}") } else { write!(line, "  {pad}{cell}") };
            }
            let _ = writeln!(out, "{}", line.trim_end());
        };
        print(&block.header);
        print(&widths.iter().map(|&w| "─".repeat(w)).collect::<Vec<_>>());
        block.rows.iter().for_each(|row| print(row));
        for note in &block.notes {
            let _ = writeln!(out, "  note: {note}");
        }
    }
    out.push('\n');
    for caption in table.captions().iter().filter(|c| *c != crate::table::SMOKE_TEST) {
        let _ = writeln!(out, "{caption}");
    }
    if table.unscored.is_empty() {
        out.push_str("Trials without scores: none.\n");
    } else {
        let failed = table.unscored.iter().filter(|t| t.state.is_failure()).count();
        let _ = writeln!(out, "Trials without scores: {}, {failed} of them failed or damaged", table.unscored.len());
        for t in &table.unscored {
            let _ = writeln!(out, "  {} seed {} ({}): {}", t.arm, t.seed, t.trial.short(), t.words());
        }
    }
    out
}

/// The table as CSV: one record per line of the table, then one per trial without scores: its
/// state in `status`, and in `failed` the reason of one that failed or is damaged.
///
/// # Errors
/// [`ResultsError::Csv`], which for a buffer in memory means a defect of this crate.
pub fn csv(table: &Table) -> Result<String, ResultsError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    for record in records(table) {
        writer.write_record([
            record.dataset.to_owned(),
            record.split.to_owned(),
            record.metric.to_owned(),
            record.probe.to_owned(),
            record.arm.to_owned(),
            record.features.to_owned(),
            table.reference.clone().unwrap_or_default(),
            record.n.to_string(),
            record.seeds.to_string(),
            number(record.mean),
            number(record.std),
            record.difference.map(|d| d.pairs.to_string()).unwrap_or_default(),
            record.difference.map(|d| d.units.to_string()).unwrap_or_default(),
            record.difference.map(|d| d.unit.words().to_owned()).unwrap_or_default(),
            number(record.difference.map(|d| d.mean)),
            number(record.difference.and_then(|d| d.interval).map(|i| i.lo)),
            number(record.difference.and_then(|d| d.interval).map(|i| i.hi)),
            table.level.to_string(),
            number(record.difference.and_then(|d| d.p)),
            number(record.difference.and_then(|d| d.p_holm)),
            number(record.hours),
            number(record.kwh),
            record.notes.clone(),
            table.evidence.to_string(),
            record.failed.clone(),
            record.status.to_owned(),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The table as the bytes of a Parquet file, with the columns of [`csv()`]. The same table gives the same bytes.
///
/// # Errors
/// [`ResultsError::Parquet`] or [`ResultsError::Arrow`], which for a buffer in memory mean a defect of this crate.
pub fn parquet(table: &Table) -> Result<Vec<u8>, ResultsError> {
    let records = records(table);
    let of = || records.iter();
    let d = |f: fn(Difference) -> Option<f64>| numbers(of().map(|r| r.difference.and_then(f)));
    let columns = vec![
        texts(of().map(|r| r.dataset)),
        texts(of().map(|r| r.split)),
        texts(of().map(|r| r.metric)),
        texts(of().map(|r| r.probe)),
        texts(of().map(|r| r.arm)),
        texts(of().map(|r| r.features)),
        texts(of().map(|_| table.reference.as_deref().unwrap_or_default())),
        counts(of().map(|r| r.n as u64)),
        counts(of().map(|r| r.seeds as u64)),
        numbers(of().map(|r| r.mean)),
        numbers(of().map(|r| r.std)),
        counts(of().map(|r| r.difference.map_or(0, |d| d.pairs as u64))),
        counts(of().map(|r| r.difference.map_or(0, |d| d.units as u64))),
        texts(of().map(|r| r.difference.map_or("", |d| d.unit.words()))),
        d(|d| Some(d.mean)),
        d(|d| d.interval.map(|i| i.lo)),
        d(|d| d.interval.map(|i| i.hi)),
        numbers(of().map(|_| Some(table.level))),
        d(|d| d.p),
        d(|d| d.p_holm),
        numbers(of().map(|r| r.hours)),
        numbers(of().map(|r| r.kwh)),
        texts(of().map(|r| r.notes.as_str())),
        texts(of().map(|_| table.evidence.to_string())),
        texts(of().map(|r| r.failed.as_str())),
        texts(of().map(|r| r.status)),
    ];
    write_batch(COLUMNS.into_iter().zip(columns).collect(), "the table")
}

/// One line or one trial without scores, for programs.
struct Record<'a> {
    dataset: &'a str,
    split: &'a str,
    metric: &'a str,
    probe: &'a str,
    arm: &'a str,
    features: &'a str,
    n: usize,
    seeds: usize,
    mean: Option<f64>,
    std: Option<f64>,
    difference: Option<Difference>,
    hours: Option<f64>,
    kwh: Option<f64>,
    notes: String,
    failed: String,
    status: &'a str,
}

fn records(table: &Table) -> Vec<Record<'_>> {
    let lines = table.lines.iter().map(|l| Record {
        dataset: &l.dataset,
        split: &l.split,
        metric: &l.metric,
        probe: &l.probe,
        arm: &l.arm,
        features: &l.features,
        n: l.n,
        seeds: l.seeds,
        mean: Some(l.mean),
        std: l.std,
        difference: l.difference,
        hours: Some(l.hours),
        kwh: l.kwh,
        notes: l.notes.join("; "),
        failed: String::new(),
        status: "scored",
    });
    let unscored = table.unscored.iter().map(|t| Record {
        dataset: "",
        split: "",
        metric: "",
        probe: "",
        arm: &t.arm,
        features: "",
        n: 0,
        seeds: 0,
        mean: None,
        std: None,
        difference: None,
        hours: None,
        kwh: None,
        notes: if t.state.is_failure() { String::new() } else { place(t) },
        failed: if t.state.is_failure() { place(t) } else { String::new() },
        status: t.state.words(),
    });
    lines.chain(unscored).collect()
}

/// Which seed and trial, and why it has no scores.
fn place(trial: &UnscoredTrial) -> String {
    format!("seed {} ({}): {}", trial.seed, trial.trial.short(), trial.reason)
}

/// The lines of one data set, split and metric as text cells.
struct Block {
    heading: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

fn blocks(table: &Table, metrics: &[&str]) -> Vec<Block> {
    let shown = |line: &&Line| metrics.is_empty() || metrics.contains(&line.metric.as_str());
    let lines: Vec<&Line> = table.lines.iter().filter(shown).collect();
    let same = |a: &&Line, b: &&Line| (&a.dataset, &a.split, &a.metric) == (&b.dataset, &b.split, &b.metric);
    lines.chunk_by(same).map(|lines| block(table, lines)).collect()
}

fn block(table: &Table, lines: &[&Line]) -> Block {
    let metric = lines[0].metric.as_str();
    let scale = Scale::of(metric);
    let heading = format!("{}, split {}: {}{}", lines[0].dataset, lines[0].split, metric_words(metric), scale.unit());
    let mut header = vec!["probe", "arm", "n", "mean ± std"];
    let level = format!("{:.0} % interval", 100.0 * table.level);
    if table.reference.is_some() {
        header.extend(["difference", &level, "p (Holm)"]);
    }
    let rows = lines.iter().map(|line| {
        let spread = line.std.map(|s| format!(" ± {}", scale.number(s))).unwrap_or_default();
        let mut cells =
            vec![line.probe.clone(), line.name(), line.n.to_string(), format!("{}{spread}", scale.number(line.mean))];
        if table.reference.is_some() {
            cells.extend(difference_cells(table, line, scale));
        }
        cells
    });
    let notes = lines.iter().flat_map(|l| l.notes.iter().map(move |n| format!("{} {}: {n}", l.probe, l.name())));
    Block {
        heading,
        header: header.into_iter().map(str::to_owned).collect(),
        rows: rows.collect(),
        notes: notes.collect(),
    }
}

fn difference_cells(table: &Table, line: &Line, scale: Scale) -> [String; 3] {
    let Some(d) = line.difference else {
        let is_reference = !line.is_baseline() && Some(&line.arm) == table.reference.as_ref();
        let why = if is_reference { "reference" } else { "no common pair" };
        return [why.to_owned(), String::new(), String::new()];
    };
    let interval = match d.interval {
        Some(i) => format!("[{}, {}]", scale.signed(i.lo), scale.signed(i.hi)),
        None => format!("none from 1 {}", if d.unit == crate::table::Unit::Seed { "seed" } else { "pair" }),
    };
    [scale.signed(d.mean), interval, d.p_holm.map(p_value).unwrap_or_default()]
}

/// A metric as a reader knows it.
pub fn metric_words(metric: &str) -> String {
    metric.replace("f1", "F1").replace('_', " ")
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// How the numbers of a metric are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Percent,
    Plain,
}

impl Scale {
    fn of(metric: &str) -> Self {
        if FRACTIONS.contains(&metric) { Self::Percent } else { Self::Plain }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Percent => " in %",
            Self::Plain => "",
        }
    }

    fn number(self, x: f64) -> String {
        match self {
            Self::Percent => format!("{:.1}", 100.0 * x),
            Self::Plain => format!("{x:.4}"),
        }
    }

    fn signed(self, x: f64) -> String {
        let text = self.number(x.abs());
        // A difference that rounds to nothing has no sign.
        let zero = text.chars().all(|c| c == '0' || c == '.');
        let sign = if zero {
            ""
        } else if x < 0.0 {
            "−"
        } else {
            "+"
        };
        format!("{sign}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;
    use crate::row::{ResultRow, Unscored};
    use crate::table::TableOptions;
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
        let options = TableOptions {
            title: "Ablations".into(),
            reference: Some("base".into()),
            evidence,
            ..TableOptions::default()
        };
        Table::build(&rows, &unscored, &options).unwrap()
    }

    #[test]
    fn markdown_shows_differences_failures_and_the_warning() {
        let text = markdown(&table(false), &["weighted_f1"]);
        let before_numbers = &text[..text.find("| probe").unwrap()];
        assert!(before_numbers.contains("SMOKE TEST, NO EVIDENCE"), "{text}");
        assert!(text.contains("| 1nn | base | 4 | 47.5 ± 2.9 | reference |  |  |"), "{text}");
        assert!(text.contains("| 1nn | no\\|koleo | 4 | 48.0 ± 3.0 | +0.5 | [−8.4, +9.4] |"), "{text}");
        assert!(text.contains("| 1nn | baseline: histogram | 2 | 37.5 ± 3.5 | −10.0 | [−10.0, −10.0] |  |"), "{text}");
        assert!(text.contains("loss was NaN") && text.contains("did not converge"), "{text}");
        assert!(!text.contains("accuracy"), "{text}");
        assert!(!markdown(&table(true), &[]).contains("SMOKE"));
    }

    #[test]
    fn terminal_columns_line_up() {
        let text = terminal(&table(false), &["weighted_f1"]);
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("  1nn")).collect();
        assert_eq!(rows.len(), 3, "{text}");
        let column = |line: &str| line.chars().position(|c| c == '±').unwrap();
        assert!(rows.iter().all(|r| column(r) == column(rows[0])), "{text}");
        assert!(
            text.starts_with("Ablations\n\n*** SMOKE TEST") && text.contains("Trials without scores: 2, 1 of them"),
            "{text}"
        );
        assert!(text.contains("): not run yet\n") && text.contains("): failed: loss was NaN\n"), "{text}");
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
        assert_eq!(line[at("difference")].parse::<f64>().unwrap(), table(true).lines[2].difference.unwrap().mean);
        let [.., not_run, failed] = &records[..] else { panic!("{text}") };
        assert!(failed[at("failed")].contains("loss was NaN") && &failed[at("status")] == "failed");
        assert!(not_run[at("failed")].is_empty() && &not_run[at("status")] == "not run yet");
        assert_eq!(&line[at("status")], "scored");
    }

    #[test]
    fn parquet_is_the_same_twice() {
        assert_eq!(parquet(&table(true)).unwrap(), parquet(&table(true)).unwrap());
    }
}
