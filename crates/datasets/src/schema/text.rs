//! Names and other texts of people's files, as tables, terminals and messages can show them.

/// Characters of a text of a file that a message shows.
const SHOWN: usize = 120;

/// Checks that a name does not break a line of a table or of a terminal.
///
/// # Errors
/// The name with what it holds, for the report.
pub(crate) fn plain(name: &str) -> Result<(), String> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    match name.contains(breaks) {
        true => Err(format!("`{}` holds a line break or another control character", shortened(name))),
        false => Ok(()),
    }
}

/// A text of a file as a message shows it: without line breaks and not endless.
pub(crate) fn shortened(text: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    let mut shown: String = text.chars().take(SHOWN).map(plain).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_line_break_and_is_shown_shortened() {
        assert!(plain("white cell, \u{e4}").is_ok());
        for name in ["rbc\nb.png", "a\tb", "a\0", "a\u{2028}b"] {
            assert!(plain(name).is_err(), "{name:?}");
        }
        let long = plain(&"x\n".repeat(5000)).expect_err("refused");
        assert!(long.len() < 400 && !long.contains('\n'), "{long}");
    }
}
