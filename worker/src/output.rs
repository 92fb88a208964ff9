//! The only place that prints: results to standard output, everything else goes through `tracing` to standard error.

use std::io::Write;

/// Prints one line of a result. A closed pipe ends the program quietly, as it does in other tools.
pub(crate) fn line(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
