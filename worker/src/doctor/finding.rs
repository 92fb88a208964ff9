//! What a check found, in a form that the table, the JSON document and the exit code are all made from.

use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// As it should be.
    Ok,
    /// Nothing on this machine to check, or not asked for. Says nothing about whether it would work.
    NotChecked,
    /// Training would run, but something is odd or slow.
    Warn,
    /// Training would fail or be wrong.
    Fail,
}

impl Outcome {
    /// The outcome as the table shows it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotChecked => "not checked",
            Self::Warn => "warning",
            Self::Fail => "FAILED",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// Its name, stable over releases.
    pub(crate) check: String,
    /// How the check ended.
    pub(crate) outcome: Outcome,
    /// What was seen, or why nothing was.
    pub(crate) detail: String,
    /// What to do about it; a failure and a warning always have one.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    fn new(check: &str, outcome: Outcome, detail: impl Into<String>, remedy: Option<&str>) -> Self {
        Self { check: check.to_owned(), outcome, detail: detail.into(), remedy: remedy.map(str::to_owned) }
    }

    pub(crate) fn ok(check: &str, detail: impl Into<String>) -> Self {
        Self::new(check, Outcome::Ok, detail, None)
    }

    pub(crate) fn not_checked(check: &str, why: impl Into<String>) -> Self {
        Self::new(check, Outcome::NotChecked, why, None)
    }

    pub(crate) fn warn(check: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self::new(check, Outcome::Warn, detail, Some(remedy))
    }

    pub(crate) fn fail(check: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self::new(check, Outcome::Fail, detail, Some(remedy))
    }
}
