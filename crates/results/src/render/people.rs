//! The forms that people read: Markdown, and aligned text for a terminal.

use std::fmt::Write as _;

use super::block::Block;
use super::blocks::{Detail, blocks};
use crate::table::{SMOKE_TEST, Table};

/// Characters of a terminal's line.
const WIDTH: usize = 120;
/// Characters that a name keeps, however narrow its column must become.
const SHORTEST_NAME: usize = 12;

/// The table as Markdown: every metric, the classes, and what is needed to read the numbers.
pub fn markdown(table: &Table) -> String {
    let mut out = format!("# {}\n\n", table.title);
    if !table.evidence {
        // A quote of its own, so that nobody reads the numbers without it.
        let _ = writeln!(out, "> **{SMOKE_TEST}**\n");
    }
    for block in blocks(table, Detail::Full) {
        let _ = writeln!(out, "## {}\n", block.heading);
        let _ = writeln!(out, "| {} |", block.header.join(" | "));
        let numbers = "---:|".repeat(block.header.len() - block.texts);
        let _ = writeln!(out, "|{}{numbers}", "---|".repeat(block.texts));
        for row in &block.rows {
            let (texts, numbers) = row.split_at(block.texts);
            let cells =
                texts.iter().map(|text| escaped(text)).chain(numbers.iter().map(|cell| cell.replace('|', "\\|")));
            let cells: Vec<String> = cells.collect();
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
    for caption in captions(table) {
        let _ = writeln!(out, "{caption}  ");
    }
    out.push_str("\n## Trials without scores\n\n");
    if table.unscored.is_empty() {
        out.push_str("None.\n");
    } else {
        out.push_str("| arm | seed | trial | status | reason |\n|---|---:|---|---|---|\n");
        for t in &table.unscored {
            let reason = t.reason.replace('|', "\\|").replace('<', "\\<").replace('\n', " ");
            let (trial, state) = (t.trial.short(), t.state.words());
            let _ = writeln!(out, "| {} | {} | `{trial}` | {state} | {reason} |", t.arm, t.seed);
        }
    }
    out
}

/// A name from a label table or a sweep file as Markdown shows it unchanged in a cell: characters that mean something are escaped, and
/// underscores within words, which mean nothing there, stay as they are.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        let within = before.is_alphanumeric() && after.is_alphanumeric();
        if "\\|`*<>&$[]~#!".contains(c) || (c == '_' && !within) {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
        before = c;
    }
    out
}

fn captions(table: &Table) -> impl Iterator<Item = String> {
    table.captions().into_iter().filter(|caption| caption != SMOKE_TEST)
}

/// The table as aligned text for a terminal of 120 characters, without colour: the primary metric of each evaluation set.
pub fn terminal(table: &Table) -> String {
    let mut out = format!("{}\n", table.title);
    if !table.evidence {
        out.push_str(&wrapped(&format!("\n*** {SMOKE_TEST} ***"), ""));
    }
    for block in blocks(table, Detail::Brief) {
        out.push_str(&wrapped(&format!("\n{}", block.heading), ""));
        out.push_str(&aligned(&block));
        for note in &block.notes {
            out.push_str(&wrapped(&format!("  note: {note}"), "    "));
        }
    }
    out.push('\n');
    captions(table).for_each(|caption| out.push_str(&wrapped(&caption, "  ")));
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

/// The cells in columns: texts to the left, numbers to the right. A last column of texts that is too wide is shortened.
fn aligned(block: &Block) -> String {
    let width = |column: usize| {
        let cells = block.rows.iter().map(|row| row[column].chars().count());
        cells.chain([block.header[column].chars().count()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..block.header.len()).map(width).collect();
    let excess = widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(WIDTH);
    let names = block.texts - 1;
    widths[names] = widths[names].saturating_sub(excess).max(SHORTEST_NAME.min(widths[names]));
    let mut out = String::new();
    let mut print = |cells: &[String]| {
        let mut line = String::new();
        for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            let cell = shortened(cell, width);
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let _ = if column < block.texts { write!(line, "  {cell}{pad}") } else { write!(line, "  {pad}{cell}") };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    };
    print(&block.header);
    print(&widths.iter().map(|&width| "─".repeat(width)).collect::<Vec<_>>());
    block.rows.iter().for_each(|row| print(row));
    out
}

/// A text of at most `width` characters: what is too long loses its middle.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width || width < 3 {
        return text.to_owned();
    }
    let (head, tail) = ((width - 1).div_ceil(2), (width - 1) / 2);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// Text in lines of at most 120 characters, those after the first indented; ends with a line break. Spaces and line breaks
/// before the first word stay.
fn wrapped(text: &str, indent: &str) -> String {
    let start = text.len() - text.trim_start().len();
    let mut out = text[..start].to_owned();
    let mut length = out.chars().rev().take_while(|c| *c == ' ').count();
    for (i, word) in text[start..].split(' ').enumerate() {
        let width = word.chars().count();
        if i > 0 && length + 1 + width > WIDTH {
            let _ = write!(out, "\n{indent}{word}");
            length = indent.len() + width;
        } else {
            let space = if i > 0 { " " } else { "" };
            let _ = write!(out, "{space}{word}");
            length += space.len() + width;
        }
    }
    out.push('\n');
    out
}
