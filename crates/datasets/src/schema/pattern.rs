//! Patterns of a description: regular expressions with one capture group.

use regex::Regex;

use super::error::RuleError;

/// Compiles the pattern under `key`.
///
/// # Errors
/// What is not a regular expression.
pub(crate) fn compile(key: &str, pattern: &str) -> Result<Regex, RuleError> {
    Regex::new(pattern)
        .map_err(|error| RuleError::new(key, format!("`{pattern}` is not a regular expression: {}", last_line(&error))))
}

/// Checks the pattern under `key`.
///
/// # Errors
/// What is not a regular expression, or captures nothing or several things.
pub(crate) fn check(key: &str, pattern: &str) -> Result<(), RuleError> {
    let groups = compile(key, pattern)?.captures_len() - 1;
    if groups != 1 {
        let why = "capture groups, ( ), and needs one: (?: ) groups without capturing";
        return Err(RuleError::new(key, format!("`{pattern}` has {groups} {why}")));
    }
    Ok(())
}

/// The last line of what the regex crate says: the others draw the place.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
