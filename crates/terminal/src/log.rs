//! The log of a program and the error that ends it: one form for all programs, on standard error.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// What stands before each line of this process: nothing, or which of several processes it is.
static LABEL: OnceLock<String> = OnceLock::new();

/// Starts the log on standard error. The variable `RUST_LOG` chooses what is in it, otherwise `standard` does, such as `info`. `label` stands before each
/// line of log and errors: it is empty, or distinguishes this process from others that write to the same stream.
///
/// Call it once, before anything is logged.
pub fn begin_log(standard: &str, label: String) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(standard));
    let label = LABEL.get_or_init(|| label);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Labelled(label))
        .with_ansi(has_colours(&std::io::stderr()))
        // A terminal that was closed takes no line; the program goes on all the same.
        .log_internal_errors(false)
        .with_target(false)
        .init();
}

/// Prints the error that ends a command, `error: …`, on standard error. An error that cannot be written is left out.
pub fn error(sentence: impl std::fmt::Display) {
    let line = format!("error: {sentence}\n");
    drop(LabelledEvent(LABEL.get().map_or("", String::as_str)).write_all(line.as_bytes()));
}

/// Whether to write colours to `stream`: it is a terminal, and the variable `NO_COLOR` is not set.
pub fn has_colours(stream: &impl IsTerminal) -> bool {
    colours_are_wanted(stream.is_terminal(), std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()))
}

fn colours_are_wanted(is_terminal: bool, no_color: bool) -> bool {
    is_terminal && !no_color
}

/// Standard error, with a label before each line.
struct Labelled(&'static str);

/// One event on its way to standard error.
struct LabelledEvent<'a>(&'a str);

impl<'a> MakeWriter<'a> for Labelled {
    type Writer = LabelledEvent<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LabelledEvent(self.0)
    }
}

impl Write for LabelledEvent<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // In one piece: the processes of a node share the stream.
        std::io::stderr().write_all(&labelled(self.0, bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Puts `label` before each line of `text`.
fn labelled(label: &str, text: &[u8]) -> Vec<u8> {
    text.split_inclusive(|byte| *byte == b'\n').flat_map(|line| [label.as_bytes(), line].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_event_has_the_label() {
        let text = labelled("rank=1 host=n2 ", b"first\nsecond\n");
        assert_eq!(String::from_utf8_lossy(&text), "rank=1 host=n2 first\nrank=1 host=n2 second\n");
        assert_eq!(labelled("", b"alone\n"), b"alone\n");
    }

    #[test]
    fn pipes_and_people_who_want_no_colours_get_none() {
        let wanted = [(true, false), (true, true), (false, false), (false, true)];
        assert_eq!(
            wanted.map(|(terminal, no_color)| colours_are_wanted(terminal, no_color)),
            [true, false, false, false]
        );
    }
}
