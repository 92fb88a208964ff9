//! Quotes in tables: one that is never closed makes all rows after it part of one cell.

use crate::error::TableError;

/// Checks that each quoted cell of a table ends where its quote is closed.
///
/// # Errors
/// A quote that is not closed, or one with text after it: the line where the cell begins.
pub(super) fn check_quotes(text: &str, separator: u8) -> Result<(), TableError> {
    let (mut state, mut line, mut begun) = (State::Start, 1_u64, 0);
    for &byte in text.as_bytes() {
        state = match (state, byte) {
            (State::Start, b'"') => {
                begun = line;
                State::Quoted
            }
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) => State::Quoted,
            // Written twice, a quote is one of the text.
            (State::Closed, b'"') => State::Quoted,
            (State::Closed | State::After, b' ' | b'\t') if byte != separator => State::After,
            (_, b'\n' | b'\r') => State::Start,
            (_, byte) if byte == separator => State::Start,
            (State::Closed | State::After, _) => {
                let what =
                    format!("text follows its closing quote in line {line}; a quote inside a cell is written twice");
                return Err(unsound(begun, &what));
            }
            (State::Start | State::Bare, _) => State::Bare,
        };
        line += u64::from(byte == b'\n');
    }
    if state == State::Quoted {
        return Err(unsound(begun, "its quote is never closed; close it or take it out"));
    }
    Ok(())
}

fn unsound(line: u64, what: &str) -> TableError {
    TableError::Quote { line, what: format!("a quoted cell begins there and {what}") }
}

/// Where in a cell the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first character of a cell.
    Start,
    /// In a cell without quotes; a quote in it is a character as any.
    Bare,
    /// Between the quotes of a cell.
    Quoted,
    /// After a quote that closes the cell, if no second one follows.
    Closed,
    /// After spaces behind a closing quote.
    After,
}

/// Whether a cell runs over several lines and those hold rows of the table: as many separators as a row of `header` cells.
pub(super) fn holds_rows(cell: &str, header: usize, separator: u8) -> bool {
    let separators = |line: &str| line.bytes().filter(|byte| *byte == separator).count();
    header > 1 && cell.lines().skip(1).any(|line| separators(line) + 1 >= header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_quote_is_named_with_its_line_and_quotes_in_use_are_not() {
        for (text, line) in [
            ("a,b\n1,\"x\n2,y\n", Some("line 2")),
            ("a,b\n1,x\n2,\"y\"z\n", Some("line 3")),
            ("a,b\n1,\"x\n2,\"y\"\n", Some("line 2")),
            ("a,b\n1,\"x\"\"y\"\n", None),
            ("a,b\n\"x\" ,\"y\"\r\n1,5\" lens\n", None),
            ("a,b\n1,\"two\nlines\"", None),
            ("\"", Some("line 1")),
            ("", None),
        ] {
            let found = check_quotes(text, b',').err().map(|error| error.to_string());
            assert_eq!(found.is_some(), line.is_some(), "{text:?}: {found:?}");
            assert!(line.is_none_or(|line| found.unwrap_or_default().starts_with(line)), "{text:?}");
        }
    }
}
