//! Where log lines go: to standard error, in a run of several ranks each with the rank and its host in front.

use std::io::{IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::environment::Environment;

/// Starts the log on standard error, each line with its rank where there are several.
pub(crate) fn begin(environment: &Environment) {
    // The client of the stores tells each request that it sends again; how long a store is away is said here.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,object_store=warn"));
    let Environment { launch, host, .. } = environment;
    let label = (launch.world > 1).then(|| format!("rank={} host={host} ", launch.rank));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Labelled(label.unwrap_or_default()))
        .with_ansi(std::io::stderr().is_terminal())
        // A terminal that was closed takes no line; the run goes on to its checkpoint all the same.
        .log_internal_errors(false)
        .with_target(false)
        .init();
}

/// Standard error, with a label before each line.
struct Labelled(String);

/// One event on its way to standard error.
struct Event<'a>(&'a str);

impl<'a> MakeWriter<'a> for Labelled {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Event(&self.0)
    }
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // In one piece: the ranks of a node share the stream.
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
}
