//! Attempts: one for each start of a run. The latest one owns it.

use run_spec::ids::Attempt;
use serde_json::json;

use crate::{Run, RunError, RunKey, held};

impl Run {
    /// Claims the next attempt number for this process, a program of version `code`: one that no key of the run names, even
    /// where the records of attempts are gone.
    ///
    /// # Errors
    /// The store's; [`RunError::NoAttempt`] when others took a thousand numbers meanwhile.
    pub fn claim_attempt(&self, code: &str) -> Result<Attempt, RunError> {
        let claim = json!({ "code": code, "pid": std::process::id(), "host": host(), "unix_s": held::unix_s() });
        let keys = self.store().list("")?;
        let taken = keys.iter().filter_map(|key| key.parse::<RunKey>().ok()?.attempt()).max().unwrap_or_default();
        let next = std::iter::successors(taken.next(), |attempt| attempt.next());
        for attempt in next.take(1000) {
            if self.store().create_record_once(&RunKey::Attempt(attempt).to_string(), &claim)? {
                return Ok(attempt);
            }
        }
        Err(RunError::NoAttempt { uri: self.uri() })
    }

    /// Checks that no later attempt has begun (this one was then declared dead, perhaps while it only could not be reached,
    /// and what it computes is no longer wanted), and that the folder is still where it was.
    ///
    /// # Errors
    /// The store's; [`RunError::TakenOver`]; [`RunError::Gone`].
    pub fn still_ours(&self, attempt: Attempt) -> Result<(), RunError> {
        let attempts = self.attempts()?;
        let by = attempts.iter().copied().max().unwrap_or_default();
        if by > attempt {
            return Err(RunError::TakenOver { uri: self.uri(), attempt, by });
        }
        // To write on would make a folder that has an end and no beginning.
        let gone = |key: RunKey| Err(RunError::Gone { uri: self.uri(), key: key.to_string(), attempt });
        if !attempts.contains(&attempt) {
            return gone(RunKey::Attempt(attempt));
        }
        match self.store().exists(&RunKey::Run.to_string())? {
            true => Ok(()),
            false => gone(RunKey::Run),
        }
    }

    /// The attempts so far, in no order.
    fn attempts(&self) -> Result<Vec<Attempt>, RunError> {
        let attempt = |key: &String| match key.parse() {
            Ok(RunKey::Attempt(attempt)) => Some(attempt),
            _ => None,
        };
        Ok(self.store().list("attempts")?.iter().filter_map(attempt).collect())
    }
}

/// Name of this node.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_numbered_and_the_latest_owns_the_run() {
        let run = Run::at("memory://attempts").unwrap();
        assert_eq!([run.claim_attempt("1.0").unwrap(), run.claim_attempt("1.0").unwrap()], [1, 2]);
        assert!(matches!(run.still_ours(2.into()), Err(RunError::Gone { key, .. }) if key == "run.json"));
        run.store().create("run.json", "{}".into()).unwrap();
        run.still_ours(2.into()).unwrap();
        let error = run.still_ours(1.into()).unwrap_err().to_string();
        assert!(error.contains("attempt 2 has taken this run over from attempt 1"), "{error}");
        run.store().delete("attempts/0002.json").unwrap();
        assert!(matches!(run.still_ours(2.into()), Err(RunError::Gone { .. })));
    }

    #[test]
    fn a_number_is_never_used_twice() {
        let run = Run::at("memory://attempts-gone").unwrap();
        run.store().create("metrics/00000000-a0007.jsonl", "".into()).unwrap();
        assert_eq!(run.claim_attempt("1.0").unwrap(), 8);
        run.store().create("checkpoints/00000050-a9999.json", "{}".into()).unwrap();
        assert_eq!(run.claim_attempt("1.0").unwrap(), 10_000);
        assert_eq!(run.claim_attempt("1.0").unwrap(), 10_001);
        run.store().create("metrics/00000000-a4294967295.jsonl", "".into()).unwrap();
        assert!(matches!(run.claim_attempt("1.0"), Err(RunError::NoAttempt { .. })));
    }
}
