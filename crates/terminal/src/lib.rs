//! What the programs say on their standard streams: results on standard output, everything else on standard error.
//!
//! One behaviour for all commands: a reader that has gone away (`| head`) ends the program quietly and with success, and output
//! that cannot be written for another reason ends it with a failure. An error that ends a command is `error: …`, its last line on
//! standard error. Colours are written only to terminals, and not if `NO_COLOR` is set. Libraries print nothing, so only programs
//! depend on this.

mod bar;
mod columns;
mod counted;
mod examples;
mod figures;
mod log;
mod named_file;
mod version;

pub use bar::bar_template;
pub use columns::{columns, table};
pub use counted::counted;
pub use examples::{Examples, arguments, wrong_examples};
pub use figures::{bytes, duration, megabytes, points, thousands};
pub use log::{begin_log, error, has_colours};
pub use named_file::{ensure_there, read_file, read_text};
pub use version::Version;

use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Result, Write};
use std::process::exit;

/// Prints one line of a result on standard output.
pub fn line(text: impl Display) {
    if let Some(code) = ends_with(&write_line(&mut std::io::stdout().lock(), &text)) {
        exit(code);
    }
}

/// Prints one line on standard error: progress, warnings. One that cannot be written is left out.
pub fn note(text: impl Display) {
    drop(write_line(&mut std::io::stderr().lock(), &text));
}

/// Whether a person watches standard error.
pub fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// A result that people read as text and programs as JSON, which is its serialised form.
pub trait Report: Serialize {
    /// The result for people, without a line break at its end.
    fn text(&self) -> String;
}

/// Prints a report on standard output, as one JSON document where `json` asks for it.
///
/// # Errors
/// The report has no JSON form.
pub fn report(report: &impl Report, json: bool) -> serde_json::Result<()> {
    line(if json { serde_json::to_string_pretty(report)? } else { report.text() });
    Ok(())
}

fn write_line(to: &mut impl Write, text: &impl Display) -> Result<()> {
    writeln!(to, "{text}")?;
    to.flush()
}

/// The status with which the program ends after such a write, if it ends.
fn ends_with(written: &Result<()>) -> Option<i32> {
    let error = written.as_ref().err()?;
    if error.kind() == ErrorKind::BrokenPipe {
        return Some(0);
    }
    self::error(format!("standard output cannot be written: {error}"));
    Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is_one() {
        assert_eq!(ends_with(&Ok(())), None);
        assert_eq!(ends_with(&Err(ErrorKind::BrokenPipe.into())), Some(0));
        assert_eq!(ends_with(&Err(ErrorKind::StorageFull.into())), Some(1));
    }
}
