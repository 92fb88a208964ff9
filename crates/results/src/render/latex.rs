//! The table for a paper: LaTeX with the package booktabs.

use std::fmt::Write as _;

use super::block::Block;
use super::blocks::{Detail, blocks};
use crate::table::{SMOKE_TEST, Table};

/// The table as LaTeX, one `table` for each block of [`super::markdown`], for the package booktabs. All names are escaped.
pub fn latex(table: &Table) -> String {
    let mut out = String::from("% needs \\usepackage{booktabs}\n");
    for block in blocks(table, Detail::Full) {
        out.push_str(&environment(table, &block));
    }
    for caption in table.captions() {
        let _ = writeln!(out, "% {}", caption.replace('\n', " "));
    }
    out
}

fn environment(table: &Table, block: &Block) -> String {
    let columns = "l".repeat(block.texts) + &"r".repeat(block.header.len() - block.texts);
    let line = |cells: &[String]| cells.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" & ") + " \\\\";
    let warning = if table.evidence { String::new() } else { format!(" \\textbf{{{}}}", escaped(SMOKE_TEST)) };
    let notes: Vec<String> = block.notes.iter().map(|note| format!(" {}", ended(&escaped(note)))).collect();
    let caption = format!("{}.{warning}{}", escaped(&block.heading), notes.concat());
    let mut lines = vec!["\\begin{table}".to_owned(), "\\centering".to_owned(), format!("\\caption{{{caption}}}")];
    lines.extend([
        format!("\\begin{{tabular}}{{{columns}}}"),
        "\\toprule".to_owned(),
        line(&block.header),
        "\\midrule".to_owned(),
    ]);
    lines.extend(block.rows.iter().map(|row| line(row)));
    lines.extend(["\\bottomrule", "\\end{tabular}", "\\end{table}", ""].map(str::to_owned));
    lines.join("\n")
}

fn ended(sentence: &str) -> String {
    if sentence.ends_with('.') { sentence.to_owned() } else { format!("{sentence}.") }
}

/// Text that LaTeX sets as it stands.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for sign in text.chars() {
        match sign {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', sign]),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' | '>' => out.extend(['$', sign, '$']),
            '±' => out.push_str("$\\pm$"),
            '−' => out.push_str("$-$"),
            '×' => out.push_str("$\\times$"),
            '\n' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
